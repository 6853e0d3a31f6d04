namespace Sdac.Experiments

open System
open System.Collections.Generic
open System.Globalization
open System.IO
open System.Text.Json
open System.Text.RegularExpressions
open Sdac.Functional

/// How a run of a sweep stands.
type RunState =
    /// Nobody works on it yet, or it waits for another try.
    | Waiting
    | Running
    /// A process outside of this sweep command holds the run folder.
    | Held
    | Finished
    /// For good; the sentence says why.
    | Failed of string
    /// Begun, not finished, and nobody works on it.
    | Stopped

/// What a sweep shows of one run.
type RunStatus =
    {
        Name: string
        State: RunState
        Iteration: int64
        Total: int64
        EnvSteps: int64
        /// Final evaluation of a finished run, else the mean of the last training episodes; NaN before the first has ended.
        Return: float
        /// Environment steps a second; NaN when unknown.
        Speed: float
        Tries: int
    }

/// The folder of one sweep: what lies where.
type SweepFolder =
    { Path: string }

    /// The sweep (JSON).
    member folder.Sweep = Path.Combine(folder.Path, "sweep.json")
    /// The run folders, one per run.
    member folder.Runs = Path.Combine(folder.Path, "runs")
    /// The run folder of a run.
    member folder.Run name : RunFolder = { Path = Path.Combine(folder.Runs, name) }
    /// The specification that a run begins with.
    member folder.Spec name = Path.Combine(folder.Path, "specs", $"{name}.json")
    /// What the worker processes of a run said, try after try.
    member folder.Log name = Path.Combine(folder.Path, "logs", $"{name}.log")
    /// The exit code of the last try; absent during a try and after one that was killed.
    member folder.Exit name = Path.Combine(folder.Path, "logs", $"{name}.exit")
    /// The script that makes one try at one run.
    member folder.Launcher = Path.Combine(folder.Path, "run.sh")
    /// Run names, one a line; the line number is the index in a job array. Only ever appended to.
    member folder.Numbers = Path.Combine(folder.Path, "runs.txt")
    /// Where the report goes.
    member folder.Report = Path.Combine(folder.Path, "report")

/// Writing the plan of a sweep to its folder, and reading from it how the runs stand.
[<RequireQualifiedAccess>]
module SweepFolder =
    /// Training episodes that the shown return averages.
    [<Literal>]
    let private Recent = 20

    /// Bytes at the end of a metrics file that are looked at.
    [<Literal>]
    let private Tail = 65536

    /// How a worker ends whose run folder another process holds.
    let locked = (Locked "").ExitCode

    /// How workers end that would end the same way again: the same specification gives the same bits.
    let failedForGood = [ Usage ""; Settings ""; Input ""; Diverged "" ] |> List.map _.ExitCode

    let at (path: string) : SweepFolder = { Path = Path.GetFullPath path }

    /// Takes the folder for this process until disposed; a second sweep command on it is refused.
    let lock (folder: SweepFolder) : IDisposable =
        Files.createFolder folder.Path
        RunFolder.lock { Path = folder.Path }

    // ---- the plan

    let private quote (text: string) = "'" + text.Replace("'", "'\\''") + "'"

    /// A command as one line of shell.
    let commandLine (command: string list) = command |> List.map quote |> String.concat " "

    let private launcher (worker: string list) =
        $"""#!/usr/bin/env bash
# One try at one run of this sweep: bash run.sh NAME [THREADS]. A run that is done stays as it is, one that has begun goes on
# from its last checkpoint, another begins. What the worker says goes to logs/NAME.log, its exit code to logs/NAME.exit.
name=$1 threads=${{2:-1}}
cd "$(dirname "${{BASH_SOURCE[0]}}")" || exit 4
run=$PWD/runs/$name
[ -e "$run/summary.json" ] && exit 0
exec >>"logs/$name.log" 2>&1 </dev/null
echo "--- try at $(date -u +%%FT%%TZ), process $$ on $(uname -n)"
rm -f "logs/$name.exit"
if [ -e "$run/spec.json" ]; then
    set -- --resume "$run"
else
    set -- --config "$PWD/specs/$name.json" --out "$run"
fi
{Sessions.endWithBash}
# asked to stop, like the worker: it writes a checkpoint first, and bash waits for that
trap : TERM
"${{guard[@]}}" {commandLine worker} "$@" --threads "$threads" --quiet
code=$?
[ $code -eq {locked} ] && echo "--- not a try: another process works on this run"
echo $code >"logs/$name.exit"
exit $code
"""

    let private refuseChange (registry: Registry) (folder: SweepFolder) (run: PlannedRun) (spec: Spec) =
        if File.Exists(folder.Spec run.Name) then
            let known = SpecFile.parseWhole registry (folder.Spec run.Name) (Files.readText (folder.Spec run.Name))

            if known <> spec then
                Errors.fail (
                    Settings
                        $"the run {run.Name} stands in {folder.Path} with other settings: choose another folder with --out"
                )

    let private numbers (folder: SweepFolder) =
        if File.Exists folder.Numbers then
            (Files.readText folder.Numbers).Split('\n', StringSplitOptions.RemoveEmptyEntries)
        else
            [||]

    /// The index in a job array of every run that the folder knows.
    let indices (folder: SweepFolder) : Map<string, int> =
        numbers folder |> Array.mapi (fun i name -> name, i) |> Map.ofArray

    /// Writes the sweep, the specifications of its runs and the script that runs one of them by the `worker` command (which takes
    /// the arguments of `train`). A folder that holds the same runs already is continued, more runs are added; one that holds them with
    /// other settings is refused before anything is written.
    let prepare
        (registry: Registry)
        (folder: SweepFolder)
        (sweep: Sweep)
        (plan: (PlannedRun * Spec) list)
        (worker: string list)
        =
        for run, spec in plan do
            refuseChange registry folder run spec

        for part in [ "runs"; "specs"; "logs" ] do
            Files.createFolder (Path.Combine(folder.Path, part))

        for run, spec in plan do
            if not (File.Exists(folder.Spec run.Name)) then
                Files.writeText (folder.Spec run.Name) (Spec.print spec)

        let known = numbers folder
        let added = plan |> List.map (fun (run, _) -> run.Name) |> List.except known
        Files.writeText folder.Numbers (String.concat "" [ for name in Seq.append known added -> name + "\n" ])
        Files.writeText folder.Launcher (launcher worker)
        Files.writeText folder.Sweep (SweepSpec.print sweep)

    // ---- how the runs stand

    let finished (folder: SweepFolder) (name: string) = File.Exists (folder.Run name).Summary

    let private log (folder: SweepFolder) name =
        if File.Exists(folder.Log name) then
            (Files.readText (folder.Log name)).Split('\n', StringSplitOptions.RemoveEmptyEntries)
        else
            [||]

    let private tries (lines: string[]) =
        let count (start: string) = lines |> Array.filter _.StartsWith(start, StringComparison.Ordinal) |> Array.length
        count "--- try at" - count "--- not a try"

    /// The exit code of the last try at a run; None while it lasts, after it was killed, or before the first.
    let exitCode (folder: SweepFolder) (name: string) : int option =
        if File.Exists(folder.Exit name) then
            match Int32.TryParse(Files.readText (folder.Exit name), CultureInfo.InvariantCulture) with
            | true, code -> Some code
            | _ -> None
        else
            None

    /// What the last try said when it failed: the worker's sentence, or its last line.
    let complaint (folder: SweepFolder) (name: string) : string =
        let lines = log folder name
        let began = lines |> Array.tryFindIndexBack _.StartsWith("--- try at", StringComparison.Ordinal)
        let said = lines |> Array.skip (began |> Option.map ((+) 1) |> Option.defaultValue 0)
        // "train: ", "train.fsx: ", "mine.fsx train: "
        let sentence (line: string) = Regex.IsMatch(line, @"^([\w.-]+\.fsx )?(train|[\w.-]+\.fsx): ")

        match said |> Array.tryFindBack sentence, Array.tryLast said with
        | Some line, _ -> line
        | None, Some line -> line.Trim()
        | None, None -> "it ended without a word"

    let private figure name (line: Map<string, Figure>) = Map.tryFind name line |> Option.bind Metrics.number

    let private progress (folder: SweepFolder) (name: string) =
        let run = folder.Run name
        let lines = Metrics.tail run.Metrics Tail
        let last name lines = lines |> List.tryPick (figure name)
        let backwards = List.rev lines

        let returns =
            backwards
            |> List.filter (fun line -> Map.tryFind "kind" line = Some(Label "episode"))
            |> List.choose (figure "return")
            |> List.truncate Recent

        last "iteration" backwards |> Option.map int64 |> Option.defaultValue 0L,
        last "envSteps" backwards |> Option.map int64 |> Option.defaultValue 0L,
        (if returns.IsEmpty then nan else List.average returns),
        Metrics.tail run.Timings Tail |> List.rev |> last "envStepsPerSecond" |> Option.defaultValue nan

    /// Iterations, environment steps and final return of a finished run; a sentence where its summary cannot be read.
    let private summary (folder: SweepFolder) (name: string) : Result<int64 * int64 * float, string> =
        let path = (folder.Run name).Summary

        try
            match Files.readText path |> JsonText.tryDocument with
            | Error problem -> Error $"{path} {problem}, or delete it, and the run is finished again"
            | Ok document ->
                use document = document
                let root = document.RootElement
                let final = root.GetProperty("final").GetProperty("mean") |> Number.tryRead

                Ok(
                    root.GetProperty("iterations").GetInt64(),
                    root.GetProperty("envSteps").GetInt64(),
                    Option.defaultValue nan final
                )
        with
        | :? UserError as error -> Error error.Failure.Sentence
        | :? InvalidOperationException
        | :? FormatException
        | :? KeyNotFoundException -> Error $"{path} is no summary of a run: delete it, and the run is finished again"

    /// The status of a run, from what lies in the folder; whether somebody works on it is for the engine to say.
    let status (folder: SweepFolder) (name: string, total: int64) (state: RunState) : RunStatus =
        let iteration, steps, value, speed =
            try
                progress folder name
            with :? UserError -> // damaged in between: the worker names it when it takes the run up
                0L, 0L, nan, nan

        let known =
            { Name = name
              State = state
              Iteration = iteration
              Total = total
              EnvSteps = steps
              Return = value
              Speed = speed
              Tries = tries (log folder name) }

        if state = Finished then
            match summary folder name with
            | Ok(iterations, steps, final) -> { known with Iteration = iterations; EnvSteps = steps; Return = final }
            | Error sentence -> { known with State = Failed sentence }
        else
            known

    /// The state of a run on which nobody works, by the files alone.
    let idleState (folder: SweepFolder) (name: string) : RunState =
        match exitCode folder name with
        | _ when finished folder name -> Finished
        | Some code when code <> 0 && code <> locked && not (Sessions.isStop code) -> Failed(complaint folder name)
        | _ when File.Exists (folder.Run name).Spec -> Stopped
        | _ -> Waiting

    /// True while some process works on the run.
    let isHeld (folder: SweepFolder) (name: string) : bool =
        let run = folder.Run name

        try
            if Directory.Exists run.Path then
                (RunFolder.lock run).Dispose()

            false
        with :? UserError as error when error.Failure.ExitCode = locked ->
            true
