/// The scratch copy of the working tree in which faults are planted. It stays from one run to the next, so that only what has
/// changed is compiled again.
module Copy

open System
open System.Collections.Generic
open System.IO
open Processes

let root = Path.GetFullPath(Path.Combine(__SOURCE_DIRECTORY__, "..", ".."))
let folder = Path.Combine(root, "artifacts", "mutants")

let private inCopy (file: string) = Path.Combine(folder, file)

/// Writes what differs, so that the time of the last change stays that of a change.
let write (file: string) (text: string) : unit =
    let path = inCopy file

    if not (File.Exists path) || File.ReadAllText path <> text then
        Directory.CreateDirectory(string (Path.GetDirectoryName path)) |> ignore
        File.WriteAllText(path, text)

let private copyFile (from: string) (path: string) =
    let same =
        File.Exists path
        && FileInfo(path).Length = FileInfo(from).Length
        && File.ReadAllBytes(path).AsSpan().SequenceEqual(File.ReadAllBytes from)

    if not same then
        Directory.CreateDirectory(string (Path.GetDirectoryName path)) |> ignore
        File.Copy(from, path, true)
        File.SetLastWriteTimeUtc(path, DateTime.UtcNow)

/// The files of the working tree that Git knows or would take.
let files () : string list =
    (output root [ "git"; "ls-files"; "-z"; "--cached"; "--others"; "--exclude-standard" ]).Split('\000')
    |> Array.filter (fun f -> f <> "" && File.Exists(Path.Combine(root, f)))
    |> Array.distinct
    |> List.ofArray

/// The text of a source file as it is in the working tree; null where there is none.
let source: string -> string =
    let read = Dictionary<string, string>()

    fun file ->
        match read.TryGetValue file with
        | true, text -> text
        | _ ->
            let path = Path.Combine(root, file)
            let text = if File.Exists path then File.ReadAllText path else null
            read[file] <- text
            text

let private switch =
    """namespace PlantedFaults;

public static class Switch
{
    private static readonly int Chosen =
        int.TryParse(System.Environment.GetEnvironmentVariable("SDAC_FAULT"), out var number) ? number : -1;

    public static bool On(int number) => number == Chosen;
}
"""

let private switchProject =
    """<Project Sdk="Microsoft.NET.Sdk">
  <PropertyGroup><TargetFramework>net10.0</TargetFramework></PropertyGroup>
</Project>
"""

/// Warnings are none here: a switch may make one, and columns move.
let private properties (text: string) =
    text
        .Replace("<TreatWarningsAsErrors>true<", "<TreatWarningsAsErrors>false<")
        .Replace(
            "</Project>",
            """  <PropertyGroup>
    <OtherFlags>$(OtherFlags) --strict-indentation-</OtherFlags>
    <NoWarn>$(NoWarn);FS0058;FS0025;FS3370;CS0162;CS0219;CS0164;CS1591;CS8620;CS8604;CS8602</NoWarn>
    <GenerateDocumentationFile>false</GenerateDocumentationFile>
  </PropertyGroup>
  <ItemGroup>
    <Reference Include="PlantedFaults"><HintPath>$(RepositoryRoot)switch/bin/PlantedFaults.dll</HintPath></Reference>
  </ItemGroup>
</Project>"""
        )

/// Builds a project of the copy; the compiler's complaints where it cannot be built.
let build (project: string) : Result<unit, string> =
    match
        run folder [] None [ "dotnet"; "build"; project; "-c"; "Release"; "-nologo"; "-v"; "quiet"; "-clp:NoSummary" ]
    with
    | Code(0, _) -> Ok()
    | Code(_, output) -> Error output
    | TimeOut -> Error "no time limit"

/// Builds several projects of the copy at once.
let buildAll (projects: string list) : Result<unit, string> =
    let listed =
        projects
        |> List.map (fun p -> $"\"{p}/{Path.GetFileName p}.fsproj\"".Replace("/", "\\\\"))
        |> String.concat ", "

    let filter = $$"""{ "solution": { "path": "Sdac.Functional.sln", "projects": [{{listed}}] } }"""
    write "mutants.slnf" filter
    build "mutants.slnf"

/// Brings the copy up to date but for the files that `switched` writes.
let bring (switched: Set<string>) : unit =
    let manifest = inCopy "faults.files"
    let before = if File.Exists manifest then Set(File.ReadAllLines manifest) else Set.empty
    let now = files ()

    for gone in before - Set now do
        File.Delete(inCopy gone)

    for file in now do
        if file = "Directory.Build.props" then
            write file (properties (source file))
        elif not (switched.Contains file) then
            copyFile (Path.Combine(root, file)) (inCopy file)

    File.WriteAllLines(manifest, now)

    for folder in [ ".paket"; "paket-files" ] do
        let from = Path.Combine(root, folder)

        if Directory.Exists from then
            for file in Directory.GetFiles(from, "*", SearchOption.AllDirectories) do
                copyFile file (inCopy (Path.GetRelativePath(root, file)))

    // Its own project files shield it from the copy's.
    for name in [ "props"; "targets" ] do
        write $"switch/Directory.Build.{name}" "<Project />\n"

    write "switch/Switch.cs" switch
    write "switch/PlantedFaults.csproj" switchProject

    if not (File.Exists(inCopy "switch/bin/PlantedFaults.dll")) then
        output folder [ "dotnet"; "build"; "switch"; "-o"; "switch/bin"; "-nologo"; "-v"; "quiet" ]
        |> ignore
