/// The packages in programs and scripts elsewhere.
module Sdac.Experiments.Tests.PackageTests

open System
open System.Diagnostics
open System.Globalization
open System.IO
open System.IO.Compression
open Expecto
open Sdac.Experiments
open Sdac.Experiments.Tests.Processes
open Sdac.Experiments.Tests.Support
open Sdac.Testing

let private version = "0.1.0-test"

/// Packages are made and used only where this is set: it takes a minute or two.
let private Switch = "SDAC_TEST_PACKAGES"

/// Runs a command with a package cache of its own, in which the user's own cache counts as well: what others' packages it has is not
/// fetched again. Its output; fails with all it said where it fails.
let private run (folder: string) (cache: string) (words: string list) : string =
    let info =
        ProcessStartInfo(List.head words, List.tail words, WorkingDirectory = folder, RedirectStandardOutput = true)

    info.RedirectStandardError <- true

    let users =
        match Environment.GetEnvironmentVariable "NUGET_PACKAGES" with
        | NonNull folder when folder <> "" -> folder
        | _ -> Path.Combine(Environment.GetFolderPath Environment.SpecialFolder.UserProfile, ".nuget", "packages")

    info.Environment["NUGET_PACKAGES"] <- cache
    info.Environment["RestoreFallbackFolders"] <- users
    info.Environment["DOTNET_CLI_TELEMETRY_OPTOUT"] <- "1"
    use started = Process.Start info |> nonNull
    let error = started.StandardError.ReadToEndAsync()
    let output = started.StandardOutput.ReadToEnd()
    started.WaitForExit()
    let said = String.concat " " words
    Expect.equal started.ExitCode 0 $"{said}: {output}{error.Result}"
    output

let private pack (feed: string) (arguments: string list) (cache: string) : string =
    let script = Path.Combine(repository, "src", "packages", "pack.fsx")
    run repository cache ([ dotnet; "fsi"; "--exec"; script ] @ arguments @ [ "--out"; feed ])

/// A console project that knows the packages alone.
let private consoleProject (folder: string) (feed: string) =
    let write (name: string) (text: string) = File.WriteAllText(Path.Combine(folder, name), text)

    write
        "nuget.config"
        $"<configuration><packageSources><clear/><add key=\"local\" value=\"{feed}\"/></packageSources></configuration>"

    write
        "play.csproj"
        $"""<Project Sdk="Microsoft.NET.Sdk">
              <PropertyGroup><OutputType>Exe</OutputType><TargetFramework>net10.0</TargetFramework></PropertyGroup>
              <ItemGroup><PackageReference Include="Sdac.Experiments" Version="{version}" /></ItemGroup>
            </Project>"""

    write
        "Program.cs"
        """using var policy = Sdac.Experiments.Policy.Load(args[0]);
           System.Console.WriteLine(policy.Act([0.01, 0.02, 0.03, 0.04])[0].ToString("R", System.Globalization.CultureInfo.InvariantCulture));"""

let private script (folder: string) (feed: string) : string =
    let path = Path.Combine(folder, "play.fsx")

    File.WriteAllText(
        path,
        $"#i \"nuget: {feed}\"\n#r \"nuget: Sdac.Experiments, {version}\"\n"
        + "open Sdac.Experiments\n"
        + "Script.run \"play.fsx\" (fun () ->\n"
        + "    use policy = Policy.load fsi.CommandLineArgs[1]\n"
        + "    let action = (policy.act [| 0.01; 0.02; 0.03; 0.04 |])[0]\n"
        + "    printfn \"%s\" (action.ToString(\"R\", System.Globalization.CultureInfo.InvariantCulture))\n"
        + "    0)\n|> exit\n"
    )

    path

[<Tests>]
let tests =
    testList
        "packages"
        [ testCase "a console project elsewhere and a script use them, and act as this library does" (fun () ->
              if Environment.GetEnvironmentVariable Switch <> "1" then
                  skiptest $"packages are made and restored: minutes; {Switch}=1 ./build.sh test packages does it"

              inFolder (fun path ->
                  let place (name: string) = Directory.CreateDirectory(Path.Combine(path, name)).FullName
                  let feed, cache, console, scripts = place "feed", place "cache", place "console", place "scripts"
                  pack feed [ "--version"; version ] cache |> ignore
                  let run' = PolicyTests.runs["sdac"].Value.Path

                  let expected =
                      use policy = Policy.load run'
                      ((policy.act [| 0.01; 0.02; 0.03; 0.04 |])[0]).ToString("R", CultureInfo.InvariantCulture)

                  consoleProject console feed
                  let built = [ dotnet; "build"; "-c"; "Release"; "-nologo"; "-v"; "quiet" ]
                  run console cache built |> ignore
                  let program = Path.Combine(console, "bin", "Release", "net10.0", "play.dll")
                  let played = run console cache [ dotnet; program; run' ]
                  Expect.equal (played.Trim()) expected "the console project"
                  let said = run scripts cache [ dotnet; "fsi"; "--exec"; script scripts feed; run' ]
                  Expect.equal (said.Trim().Split('\n') |> Array.last) expected "the script"))

          testCase
              "a package holds its libraries, and what it needs of others in the versions that are locked"
              (fun () ->
                  if
                      not (
                          File.Exists(
                              Path.Combine(repository, "src/Sdac.Experiments/bin/Release/Sdac.Experiments.dll")
                          )
                      )
                  then
                      skiptest "the libraries have not been built"

                  inFolder (fun path ->
                      let made = pack path [ "--version"; version ] path
                      Expect.stringContains made $"8 packages of version {version}" "said"

                      let entries (name: string) =
                          use zip = ZipFile.OpenRead(Path.Combine(path, $"{name}.{version}.nupkg"))
                          let entry = nonNull (zip.GetEntry $"{name}.nuspec")
                          use nuspec = new StreamReader(entry.Open())
                          [ for entry in zip.Entries -> entry.FullName ], nuspec.ReadToEnd()

                      let files, _ = entries "Sdac.Mujoco"
                      Expect.contains files "runtimes/linux-x64/native/libsdac_mujoco.so" "MuJoCo's layout"
                      let files, nuspec = entries "Sdac.LibTorch"
                      Expect.contains files "runtimes/linux-x64/native/libLibTorchSharp.so" "the changed library"
                      Expect.contains files "lib/net10.0/TorchSharp.dll" "the changed assembly"
                      Expect.stringContains nuspec "id=\"libtorch-cpu-linux-x64\" version=\"[2.10.0]\"" "libtorch"
                      Expect.stringLacks nuspec "id=\"TorchSharp\"" "the package that it takes the place of"
                      let _, nuspec = entries "Sdac.Experiments"
                      Expect.stringContains nuspec $"id=\"Sdac.Functional\" version=\"[{version}]\"" "its own"
                      Expect.stringContains nuspec "id=\"Argu\" version=\"6.1.1\"" "of others")) ]
