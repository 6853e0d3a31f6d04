// Makes NuGet packages of what is built:  ./build.sh pack [--version VERSION] [--out FOLDER]
// A package holds its project's assembly and, under runtimes/linux-x64/native, the native libraries that come with it; what other
// packages there are is in paket.lock. TorchSharp is inside Sdac.LibTorch: its two files are changed ones, which no build target
// could put into a script's session (src/Sdac.LibTorch/build/TorchSharpLibrary.targets says what is changed and why).
open System
open System.IO
open System.IO.Compression
open System.Text.RegularExpressions
open System.Xml.Linq

let root = Path.GetFullPath(Path.Combine(__SOURCE_DIRECTORY__, "..", ".."))
let under (parts: string list) = Path.Combine(Array.ofList (root :: parts))

let fail (sentence: string) : 'a =
    eprintfn $"pack: {sentence}"
    exit 2

type Package =
    {
        Name: string
        Description: string
        /// Packages of this repository
        Ours: string list
        /// Packages of others, by their names in paket.lock, beyond the project's own references
        Others: string list
        /// Packages of others that Paket does not know, with their versions
        Exact: (string * string) list
        /// Further files: where they lie in the repository and in the package
        Files: (string list * string) list
    }

let package name description ours =
    { Name = name; Description = description; Ours = ours; Others = []; Exact = []; Files = [] }

let native file = $"runtimes/linux-x64/native/{file}"

let packages =
    [ package
          "Sdac.Kernels"
          "SIMD kernels for the networks of diffusion-policy RL on the CPU, and counter-based random numbers."
          []
      package "Sdac.Environments" "Batches of environments with auto-reset over any engine." [ "Sdac.Kernels" ]
      { package
            "Sdac.LibTorch"
            "TorchSharp 0.107.0 as Sdac needs it: loadable on Debian 12 and Ubuntu 22.04 (linux-x64). Takes the place of the package TorchSharp."
            [ "Sdac.Kernels" ] with
          // TorchSharp's own
          Others = [ "Google.Protobuf"; "SharpZipLib"; "SkiaSharp" ]
          Exact = [ ("libtorch-cpu-linux-x64", "[2.10.0]") ]
          Files =
              [ [ "src"; "Sdac.LibTorch"; "obj"; "TorchSharp.dll" ], "lib/net10.0/TorchSharp.dll"
                [ "src"; "Sdac.LibTorch"; "obj"; "libLibTorchSharp.so" ], native "libLibTorchSharp.so"
                [ "src"; "packages"; "THIRD-PARTY.txt" ], "THIRD-PARTY.txt" ] }
      { package
            "Sdac.Mujoco"
            "Gym and Control Suite tasks on MuJoCo 2.2.2 (Debian's libmujoco2.2.2; linux-x64)."
            [ "Sdac.Kernels"; "Sdac.Environments" ] with
          Files = [ ([ "src"; "Sdac.Mujoco"; "obj"; "Release"; "libsdac_mujoco.so" ], native "libsdac_mujoco.so") ] }
      package "Sdac.PushT" "PushT over Chipmunk (Debian's libchipmunk7)." [ "Sdac.Kernels"; "Sdac.Environments" ]
      package
          "Sdac.Functional"
          "Diffusion-policy reinforcement learning as composable F# experiments: the pure core."
          [ "Sdac.Kernels"; "Sdac.LibTorch"; "Sdac.Environments"; "Sdac.Mujoco"; "Sdac.PushT" ]
      package
          "Sdac.Sampling"
          "Samplers of densities known up to a constant (RSSM, iDEM, FAB, Langevin) and their measures."
          [ "Sdac.Functional" ]
      package
          "Sdac.Experiments"
          "Runs, checkpoints, sweeps, reports, and trained policies that act: diffusion-policy reinforcement learning for .NET."
          [ "Sdac.Functional"; "Sdac.Sampling" ] ]

/// Versions of others' packages.
let locked =
    Map
        [ for line in File.ReadAllLines(under [ "paket.lock" ]) do
              let found = Regex.Match(line, @"^    (\S+) \(([^)]+)\)$")

              if found.Success then
                  found.Groups[1].Value, found.Groups[2].Value ]

let others (p: Package) : (string * string) list =
    let file = under [ "src"; p.Name; "paket.references" ]
    let own = if File.Exists file then List.ofArray (File.ReadAllLines file) else []

    [ for name in List.distinct (own @ p.Others) do
          if name <> "" && name <> "TorchSharp" then
              match Map.tryFind name locked with
              | Some version -> name, version
              | None -> fail $"paket.lock has no {name}, which {p.Name} needs: run ./build.sh build" ]

let nuspec (version: string) (p: Package) : XDocument =
    let ns = XNamespace.Get "http://schemas.microsoft.com/packaging/2013/05/nuspec.xsd"
    let element (name: string) (content: obj list) = XElement(ns + name, Array.ofList content)
    let text name (value: string) = element name [ value ]

    let dependency (id: string, version: string) : obj =
        element "dependency" [ XAttribute(XName.Get "id", id); XAttribute(XName.Get "version", version) ]

    let dependencies = [ for name in p.Ours -> name, $"[{version}]" ] @ others p @ p.Exact

    let group =
        element "group" (box (XAttribute(XName.Get "targetFramework", "net10.0")) :: List.map dependency dependencies)

    let license = element "license" [ XAttribute(XName.Get "type", "expression"); "MIT" ]

    XDocument(
        element
            "package"
            [ element
                  "metadata"
                  [ text "id" p.Name
                    text "version" version
                    text "authors" "Sdac.Functional"
                    license
                    text "description" p.Description
                    element "dependencies" [ group ] ] ]
    )

let contentTypes (extensions: string list) : XDocument =
    let ns = XNamespace.Get "http://schemas.openxmlformats.org/package/2006/content-types"

    let entry (extension: string, kind: string) : obj =
        XElement(
            ns + "Default",
            XAttribute(XName.Get "Extension", extension),
            XAttribute(XName.Get "ContentType", kind)
        )

    XDocument(
        XElement(
            ns + "Types",
            [| for extension, kind in
                   ("rels", "application/vnd.openxmlformats-package.relationships+xml")
                   :: [ for extension in extensions -> extension, "application/octet" ] -> entry (extension, kind) |]
        )
    )

let relations (p: Package) : XDocument =
    let ns = XNamespace.Get "http://schemas.openxmlformats.org/package/2006/relationships"

    XDocument(
        XElement(
            ns + "Relationships",
            XElement(
                ns + "Relationship",
                XAttribute(XName.Get "Type", "http://schemas.microsoft.com/packaging/2010/07/manifest"),
                XAttribute(XName.Get "Target", $"/{p.Name}.nuspec"),
                XAttribute(XName.Get "Id", "manifest")
            )
        )
    )

let files (p: Package) : (string * string) list =
    let built extension = under [ "src"; p.Name; "bin"; "Release"; p.Name + extension ]

    [ built ".dll", $"lib/net10.0/{p.Name}.dll"; built ".xml", $"lib/net10.0/{p.Name}.xml" ]
    @ [ for parts, target in p.Files -> under parts, target ]

let write (folder: string) (version: string) (p: Package) =
    let target = Path.Combine(folder, $"{p.Name}.{version}.nupkg")
    let files = files p

    for file, _ in files do
        if not (File.Exists file) then
            fail $"{file} is missing: run ./build.sh build"

    use stream = new FileStream(target, FileMode.Create)
    use zip = new ZipArchive(stream, ZipArchiveMode.Create)

    let add (name: string) (write: Stream -> unit) =
        let entry = zip.CreateEntry(name, CompressionLevel.Optimal)
        // equal builds give equal packages
        entry.LastWriteTime <- DateTimeOffset(2000, 1, 1, 0, 0, 0, TimeSpan.Zero)
        use content = entry.Open()
        write content

    let document name (xml: XDocument) = add name (fun content -> xml.Save content)
    document "_rels/.rels" (relations p)
    document "[Content_Types].xml" (contentTypes [ "nuspec"; "dll"; "xml"; "so"; "txt" ])
    document $"{p.Name}.nuspec" (nuspec version p)

    for file, name in files do
        add name (fun content ->
            use source = File.OpenRead file
            source.CopyTo content)

let rec arguments (version: string) (out: string) (words: string list) =
    match words with
    | "--version" :: value :: rest -> arguments value out rest
    | "--out" :: value :: rest -> arguments version value rest
    | [] -> version, out
    | word :: _ -> fail $"'{word}' is no argument, or lacks its value: pack takes --version VERSION and --out FOLDER"

let version, out =
    arguments "0.1.0" (under [ "artifacts"; "packages" ]) (List.tail (List.ofArray fsi.CommandLineArgs))

if not (Regex.IsMatch(version, @"^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$")) then
    fail $"'{version}' is no version of a package: give one like 0.2.0 or 0.2.0-beta.1"

Directory.CreateDirectory out |> ignore
packages |> List.iter (write out version)
printfn $"{packages.Length} packages of version {version} in {out}: dotnet nuget add source {out}"
