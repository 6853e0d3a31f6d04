/// The main function of every test project.
module Sdac.Testing.TestProgram

open System
open System.Diagnostics
open System.IO
open System.Reflection
open Expecto
open Expecto.Impl

/// The exit code where no test has all the words in its name.
let private nothingMatches = 64

type private Options =
    {
        Words: string list
        Results: string option
        /// A file of tests to leave out, a name a line
        Without: string option
        FailOnFocused: bool
        UntilFailure: bool
        List: bool
        Language: string option
    }

let rec private parse (options: Options) (arguments: string list) : Result<Options, string> =
    match arguments with
    | [] -> Ok { options with Words = List.rev options.Words }
    | "--junit-summary" :: file :: rest -> parse { options with Results = Some file } rest
    | [ "--junit-summary" ] -> Result.Error "--junit-summary wants the name of a file"
    | "--without" :: file :: rest -> parse { options with Without = Some file } rest
    | [ "--without" ] -> Result.Error "--without wants the name of a file"
    | "--fail-on-focused-tests" :: rest -> parse { options with FailOnFocused = true } rest
    | "--until-failure" :: rest -> parse { options with UntilFailure = true } rest
    | "--list-tests" :: rest -> parse { options with List = true } rest
    | "--language" :: name :: rest when Languages.all.ContainsKey name ->
        parse { options with Language = Some name } rest
    | flag :: _ when flag.StartsWith '-' ->
        Result.Error
            $"unknown option '{flag}': give words that the tests' names hold, --list-tests, --until-failure, --fail-on-focused-tests, --language (de_DE, sv_SE or ar_SA), --without FILE or --junit-summary FILE"
    | word :: rest -> parse { options with Words = word :: options.Words } rest

let private matches (words: string list) (name: string list) =
    let name = JoinWith.Slash.format name
    words |> List.forall (fun word -> name.Contains(word, StringComparison.OrdinalIgnoreCase))

/// Writes to standard output itself: Expecto's writer wraps each line of the console in escape codes, and tests put writers of
/// their own in the console's place.
type private Report(output: TextWriter, project: string, total: int, untilFailure: bool) =
    let clock = Stopwatch.StartNew()
    let mutable ended = 0
    let mutable told = 0.0
    let say (line: string) = output.WriteLine line

    let next () =
        ended <- ended + 1

        if clock.Elapsed.TotalSeconds > told + 10.0 then
            told <- clock.Elapsed.TotalSeconds
            say $"  {project}: {ended} of {total} after {told:F0} s"

    let failed name (complaint: string) =
        say $"FAILED {name}\n{complaint}\n"

        if untilFailure then
            exit 1

        next ()

    member _.Printers =
        { TestPrinters.silent with
            passed = fun _ _ -> async { next () }
            ignored = fun _ _ -> async { next () }
            failed = fun name complaint _ -> async { failed name complaint }
            exn = fun name error _ -> async { failed name (string error) } }

    /// The last lines: what was skipped and why, what failed, and one that counts.
    member _.Close(summary: TestRunSummary) =
        let name (test: FlatTest) = JoinWith.Slash.format test.name

        for test, result in List.rev summary.ignored do
            match result.result with
            | Ignored reason -> say $"skipped: {name test}: {reason}"
            | _ -> ()

        let failures = List.rev (summary.failed @ summary.errored)

        for test, _ in failures do
            say $"failed: {name test}"

        say $"{project}:\n{summary.passed.Length} passed, {failures.Length} failed, {summary.ignored.Length} skipped"

let private execute (output: TextWriter) (project: string) (options: Options) (tests: Test) (count: int) : int =
    output.WriteLine $"{project}: {count} tests"
    let report = Report(output, project, count, options.UntilFailure)
    let mutable summary = None

    let printers = { report.Printers with summary = fun _ found -> async { summary <- Some found } }

    let settings =
        [ CLIArguments.Sequenced
          CLIArguments.No_Spinner
          CLIArguments.Colours 0
          CLIArguments.JoinWith "/"
          CLIArguments.Printer printers
          match options.Results with
          | Some file -> CLIArguments.JUnit_Summary file
          | None -> () ]

    let tests =
        match options.Language with
        | Some name -> Languages.under Languages.all[name] tests
        | None -> Languages.underAll tests

    let code = runTestsWithCLIArgs settings [||] (testSequenced tests)
    summary |> Option.iter report.Close
    code

/// Runs those tests of an assembly whose names hold all the words among the arguments, one after the other whatever the lists
/// say: native state, the console and environment variables are shared.
let run (assembly: Assembly) (arguments: string[]) : int =
    use output = new StreamWriter(Console.OpenStandardOutput(), AutoFlush = true)

    let project =
        match assembly.GetName().Name with
        | null -> "tests"
        | name -> name.Replace(".Tests", "")

    match
        parse
            { Words = []
              Results = None
              Without = None
              FailOnFocused = false
              UntilFailure = false
              List = false
              Language = None }
            (List.ofArray arguments)
    with
    | Result.Error complaint ->
        eprintfn $"{project}: {complaint}"
        2
    | Ok options ->
        let all = testList project (testFromAssembly assembly |> Option.toList)

        let leftOut =
            match options.Without with
            | Some file -> File.ReadLines file |> Set
            | None -> Set.empty

        let unknown =
            let known = Test.toTestCodeList all |> List.map (fun test -> JoinWith.Slash.format test.name) |> Set

            leftOut
            |> Set.filter (fun name ->
                name.StartsWith($"{project}/", StringComparison.Ordinal) && not (known.Contains name))

        let wanted (name: string list) =
            matches options.Words name && not (leftOut.Contains(JoinWith.Slash.format name))

        let tests = all |> Test.filter "/" wanted
        let flat = Test.toTestCodeList tests

        if not unknown.IsEmpty then
            eprintfn
                $"{project} has no test '{unknown.MinimumElement}', which is to be left out: correct its name there"

            2
        elif flat.IsEmpty then
            if options.Words.IsEmpty && leftOut.IsEmpty then
                eprintfn $"{project} has no tests"
                1
            else
                nothingMatches
        elif options.List then
            for test in flat do
                output.WriteLine(JoinWith.Slash.format test.name)

            0
        else
            let focused = flat |> List.filter (fun test -> test.state = Focused)

            if options.FailOnFocused && not focused.IsEmpty then
                for test in focused do
                    output.WriteLine
                        $"failed: {JoinWith.Slash.format test.name}: in focus, so that the others would not run"

                output.WriteLine $"\n0 passed, {focused.Length} failed, 0 skipped"
                1
            else
                execute output project options tests flat.Length
