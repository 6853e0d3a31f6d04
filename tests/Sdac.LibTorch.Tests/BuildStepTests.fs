/// The build steps that make TorchSharp's library loadable on Debian 12 and its calls safe, on made-up files.
module Sdac.LibTorch.Tests.BuildStepTests

open System
open System.Diagnostics
open System.IO
open System.Text
open Expecto
open Sdac.Testing

[<Literal>]
let private Version = "GLIBCXX_3.4.32"

/// The System V ABI's hash of a name.
let private hash (name: string) =
    let mutable h = 0u

    for c in name do
        h <- (h <<< 4) + uint32 c
        let top = h &&& 0xf0000000u
        h <- (h ^^^ (top >>> 24)) &&& ~~~top

    h

/// A library with nothing but a header, a table of strings and what it asks of which library's versions; and where the flags
/// of each version lie, in order.
let private library (needs: (string * string list) list) : byte[] * int list =
    let strings = StringBuilder "\000"
    let places = Collections.Generic.Dictionary<string, int>()

    for name in needs |> List.collect (fun (file, versions) -> file :: versions) do
        if places.TryAdd(name, strings.Length) then
            strings.Append(name).Append('\000') |> ignore

    let bytes, flags = new MemoryStream(), ResizeArray()
    let write (part: byte[]) = bytes.Write(part, 0, part.Length)
    let u16 (v: int) = write (BitConverter.GetBytes(uint16 v))
    let u32 (v: uint32) = write (BitConverter.GetBytes v)
    let u64 (v: int64) = write (BitConverter.GetBytes v)
    let pad length = write (Array.zeroCreate (length - int bytes.Length))
    let needPlace, stringPlace = 64, 64 + List.sumBy (fun (_, v) -> 16 + 16 * List.length v) needs
    let text = Encoding.ASCII.GetBytes(string strings)
    let headers = stringPlace + text.Length
    write [| 0x7fuy; byte 'E'; byte 'L'; byte 'F'; 2uy; 1uy; 1uy |]
    pad 0x28
    u64 (int64 headers)
    pad 0x3a
    u16 64
    u16 3
    pad needPlace

    for i, (file, versions) in List.indexed needs do
        u16 1
        u16 versions.Length
        u32 (uint32 places[file])
        u32 16u
        u32 (if i = needs.Length - 1 then 0u else uint32 (16 + 16 * versions.Length))

        for j, version in List.indexed versions do
            u32 (hash version)
            flags.Add(int bytes.Length)
            u16 0
            u16 (j + 2)
            u32 (uint32 places[version])
            u32 (if j = versions.Length - 1 then 0u else 16u)

    write text

    let section (kind: uint32) place size link info =
        u32 0u
        u32 kind
        u64 0L
        u64 0L
        u64 (int64 place)
        u64 (int64 size)
        u32 link
        u32 info
        u64 0L
        u64 0L

    section 0u 0 0 0u 0u
    section 0x6ffffffeu needPlace (stringPlace - needPlace) 2u (uint32 needs.Length)
    section 3u stringPlace text.Length 0u 0u
    bytes.ToArray(), List.ofSeq flags

let private targets =
    let rec upwards (folder: DirectoryInfo | null) =
        match folder with
        | null -> failtest "the repository was not found"
        | folder ->
            let file = Path.Combine(folder.FullName, "src", "Sdac.LibTorch", "build", "TorchSharpLibrary.targets")
            if File.Exists file then file else upwards folder.Parent

    upwards (DirectoryInfo AppContext.BaseDirectory)

/// Runs a step (the element for one file and the file to be written) on every file in one build; what it wrote for each, and
/// what the build said.
let private built (step: string -> string -> string) (libraries: byte[] list) : byte[] option list * string =
    let folder = Directory.CreateTempSubdirectory("sdac-build-step-").FullName
    let file i = Path.Combine(folder, $"{i}.so")

    try
        libraries |> List.iteri (fun i bytes -> File.WriteAllBytes(file i, bytes))

        let tasks =
            libraries |> List.mapi (fun i _ -> step (file i) (file i + ".written")) |> String.concat "\n"

        let project =
            $"""<Project><Import Project="{targets}" /><Target Name="All">{tasks}</Target></Project>"""

        File.WriteAllText(Path.Combine(folder, "step.proj"), project)

        let start =
            ProcessStartInfo(
                "dotnet",
                [ "msbuild"; Path.Combine(folder, "step.proj"); "-t:All"; "-nologo"; "-nodeReuse:false" ]
            )

        start.RedirectStandardOutput <- true
        start.WorkingDirectory <- folder
        use build = nonNull (Process.Start start)
        let said = build.StandardOutput.ReadToEnd()
        build.WaitForExit()

        let written i =
            let written = file i + ".written"
            if File.Exists written then Some(File.ReadAllBytes written) else None

        libraries |> List.mapi (fun i _ -> written i), said
    finally
        Directory.Delete(folder, true)

let private marked =
    built (fun library written ->
        $"""<MarkWeakVersion Library="{library}" Version="$(TorchSharpLibraryVersion)" Marked="{written}" ContinueOnError="true" />""")

let private kept =
    built (fun assembly written ->
        $"""<KeepArguments Assembly="{assembly}" Kept="{written}" ContinueOnError="true" />""")

let private asks =
    [ "libm.so.6", [ "GLIBC_2.29" ]; "libstdc++.so.6", [ "GLIBCXX_3.4.20"; Version; "CXXABI_1.3" ] ]

[<Tests>]
let tests =
    testList
        "The build step for TorchSharp's library"
        [ test "marks the one requirement weak, leaves the rest, and refuses what it does not understand" {
              let good, flags = library asks
              let newer, _ = library [ "libstdc++.so.6", [ "GLIBCXX_3.4.20"; "GLIBCXX_3.4.33" ] ]
              let twice, _ = library [ "a.so", [ Version ]; "b.so", [ Version ] ]
              let cut = Array.truncate (good.Length - 100) good
              let text = Encoding.ASCII.GetBytes(String.replicate 40 "no library ")
              let written, said = marked [ good; newer; twice; cut; text; [||] ]
              let expected = Array.copy good
              expected[flags[2]] <- 2uy
              Expect.equal written[0] (Some expected) "weak in two bytes, all else as it was"
              Expect.equal written[1] (Some newer) "a library that does not ask for it passes untouched"
              Expect.equal written[2..] [ None; None; None; None ] "nothing is written for what cannot be trusted"

              for sentence in
                  [ $"2.so cannot be prepared for this system's C++ library: asks for {Version} of two libraries"
                    "3.so cannot be prepared for this system's C++ library: a damaged ELF file"
                    "4.so cannot be prepared for this system's C++ library: not a 64-bit little-endian ELF file"
                    "5.so cannot be prepared for this system's C++ library: not a 64-bit little-endian ELF file" ] do
                  Expect.stringContains said sentence "what the build says"
          }

          test "the package cache keeps the library as it came: the copy in use is another file" {
              let inUse = Path.Combine(AppContext.BaseDirectory, "libLibTorchSharp.so")

              let cache =
                  match Environment.GetEnvironmentVariable "NUGET_PACKAGES" with
                  | null
                  | "" ->
                      Path.Combine(
                          Environment.GetFolderPath Environment.SpecialFolder.UserProfile,
                          ".nuget",
                          "packages"
                      )
                  | folder -> folder

              let original =
                  Path.Combine(cache, "torchsharp", "0.107.0", "runtimes", "linux-x64", "native", "libLibTorchSharp.so")

              if not (File.Exists original) then
                  skiptest $"the package is not at {original}"

              let before, after = File.ReadAllBytes original, File.ReadAllBytes inUse
              Expect.equal after.Length before.Length "length"

              let changed = Array.zip before after |> Array.indexed |> Array.filter (fun (_, (a, b)) -> a <> b)

              Expect.equal (changed |> Array.map snd) [| 0uy, 2uy |] "one byte: the flag of one version"
          }

          test "TorchSharp in use is compiled without optimisation, and only an assembly with one such mark is changed" {
              let inUse = typeof<TorchSharp.torch.Tensor>.Assembly

              let modes =
                  inUse.GetCustomAttributes(typeof<DebuggableAttribute>, false)
                  |> Array.map (fun a -> a :?> DebuggableAttribute)

              Expect.equal
                  [ for m in modes -> m.IsJITOptimizerDisabled, m.IsJITTrackingEnabled ]
                  [ true, true ]
                  "both: the runtime heeds the first only with the second"

              let blob = [| 8uy; 1uy; 0uy; 2uy; 0uy; 0uy; 0uy; 0uy; 0uy |]
              let around = Array.concat [ [| 8uy; 8uy; 1uy |]; blob; [| 7uy |] ]
              let written, said = kept [ around; Array.append around blob; [| 1uy; 2uy |] ]
              let expected = Array.copy around
              expected[6] <- 3uy
              expected[7] <- 1uy
              Expect.equal written [ Some expected; None; None ] "two bytes, or nothing"

              for i in 1..2 do
                  Expect.stringContains
                      said
                      $"{i}.so cannot be prepared to keep what it gives libtorch alive: its DebuggableAttribute was not found exactly once"
                      "what the build says"
          } ]
