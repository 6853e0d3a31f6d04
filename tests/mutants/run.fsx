// Plants each fault of this folder in a copy of the last commit and runs the tests that are to notice it:
//   dotnet fsi tests/mutants/run.fsx [WORD...]        (only faults with every word in their names; after ./build.sh build)
// A fault that no test notices is a failure. A .mutant file: its title, `file:`, `tests:` (a project and words of test names), and
// the text to be replaced (behind ---) by another (behind +++).
open System
open System.Diagnostics
open System.IO

type Mutant =
    { Name: string
      Title: string
      File: string
      Project: string
      Words: string list
      From: string
      To: string }

let root = Path.GetFullPath(Path.Combine(__SOURCE_DIRECTORY__, "..", ".."))

let read (path: string) : Mutant =
    let text = File.ReadAllText path
    let head, body = let i = text.IndexOf "---\n" in text.Substring(0, i), text.Substring(i + 4)
    let lines = head.Split '\n'

    let field (name: string) =
        lines |> Array.find (fun l -> l.StartsWith $"{name}: ") |> fun l -> l.Substring(name.Length + 2)

    let middle = body.IndexOf "\n+++\n"
    let tests = field "tests" |> fun t -> t.Split ' ' |> List.ofArray

    { Name = string (Path.GetFileNameWithoutExtension path)
      Title = lines[0]
      File = field "file"
      Project = tests.Head
      Words = tests.Tail
      From = body.Substring(0, middle)
      To = body.Substring(middle + 5).TrimEnd '\n' }

/// The exit code of a command in a folder, and the last lines of what it printed.
let run (folder: string) (program: string) (arguments: string list) : int * string =
    let info =
        ProcessStartInfo(
            program,
            arguments,
            WorkingDirectory = folder,
            RedirectStandardOutput = true,
            RedirectStandardError = true
        )

    use started = Process.Start info
    let errors = started.StandardError.ReadToEndAsync()
    let output = started.StandardOutput.ReadToEnd() + errors.Result
    started.WaitForExit()
    started.ExitCode, output

let test (copy: string) (mutant: Mutant) : Result<unit, string> =
    let path = Path.Combine(copy, mutant.File)
    let original = File.ReadAllText path

    let count = original.Split(mutant.From).Length - 1

    if count <> 1 then
        Error $"its text is {count} times in {mutant.File}: bring the fault up to date"
    else
        File.WriteAllText(path, original.Replace(mutant.From, mutant.To))

        try
            let project = Path.Combine("tests", mutant.Project)

            match
                run copy "dotnet" [ "build"; project; "-c"; "Release"; "-nologo"; "-v"; "quiet"; "-clp:NoSummary" ]
            with
            | 0, _ ->
                let dll = Path.Combine(project, "bin", "Release", $"{mutant.Project}.dll")

                match run copy "dotnet" (dll :: mutant.Words) with
                | 0, _ -> Error "no test notices it"
                | 64, _ -> Error $"""no test has the words {String.concat " " mutant.Words} in its name"""
                | _ -> Ok()
            | _, output -> Error $"it does not compile: {output.Trim()}"
        finally
            File.WriteAllText(path, original)

// Paket reads the feed from there; build.sh chooses it for its own commands only.
if String.IsNullOrEmpty(Environment.GetEnvironmentVariable "NUGET_SOURCE") then
    let enabled =
        (run root "dotnet" [ "nuget"; "list"; "source"; "--format"; "short" ] |> snd).Split '\n'
        |> Array.tryFind (fun line -> line.StartsWith "E ")

    match enabled with
    | Some line -> Environment.SetEnvironmentVariable("NUGET_SOURCE", line.Substring(2).Trim())
    | None -> failwith "no NuGet source is enabled: add one (dotnet nuget add source) or set NUGET_SOURCE"

let words = fsi.CommandLineArgs[1..]

let mutants =
    Directory.GetFiles(__SOURCE_DIRECTORY__, "*.mutant")
    |> Array.sort
    |> Array.map read
    |> Array.filter (fun m -> words |> Array.forall m.Name.Contains)

if mutants.Length = 0 then
    eprintfn "no fault has these words in its name"
    exit 2

let copy = Path.Combine(Path.GetTempPath(), $"sdac-mutants-{Environment.ProcessId}")

let results =
    try
        run root "git" [ "worktree"; "add"; "--detach"; copy; "HEAD" ] |> ignore

        match run copy "bash" [ "./build.sh"; "build" ] with
        | 0, _ -> ()
        | _, output -> failwith $"the last commit does not build: {output}"

        [ for m in mutants do
              let result = test copy m

              let said =
                  match result with
                  | Ok() -> "noticed"
                  | Error why -> $"NOT NOTICED: {why}"

              printfn $"{m.Name}: {said}  ({m.Title})"
              result ]
    finally
        run root "git" [ "worktree"; "remove"; "--force"; copy ] |> ignore

let missed = results |> List.filter _.IsError |> List.length
printfn $"{results.Length - missed} of {results.Length} faults are noticed"
exit (if missed = 0 then 0 else 1)
