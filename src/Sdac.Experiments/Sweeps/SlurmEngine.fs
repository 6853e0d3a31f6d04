namespace Sdac.Experiments

open System
open System.Globalization
open System.IO
open System.Threading

/// A sweep as one Slurm job array, or as several where it has more runs than Slurm's arrays may have tasks. Slurm starts, requeues and ends the tasks; this module submits what is unfinished and not in the
/// queue, and shows what Slurm and the run folders say. The jobs are known by their name, which follows from the sweep's folder: a
/// job number alone proves nothing, for a controller that was killed may lose a job and give its number away again.
[<RequireQualifiedAccess>]
module SlurmEngine =
    /// Looks at Slurm in a row that must miss a task before it counts as ended without a result: file systems of clusters show files
    /// late.
    [<Literal>]
    let private Misses = 3

    // ---- submitting

    /// 0,1,2,5 as "0-2,5".
    let ranges (indices: int list) : string =
        let extend found index =
            match found with
            | (first, last) :: rest when index = last + 1 -> (first, index) :: rest
            | _ -> (index, index) :: found

        indices
        |> List.sort
        |> List.fold extend []
        |> List.rev
        |> List.map (fun (first, last) -> if first = last then string first else $"{first}-{last}")
        |> String.concat ","

    let private script (folder: SweepFolder) = Path.Combine(folder.Path, "array.sh")

    /// Slurm's pattern of a log file's path: `name` with %A for the array and %a for the task, or `plain` where the path of the
    /// folder allows no patterns. A per cent sign is written twice there, and so is a backslash; but one backslash anywhere makes
    /// Slurm take all per cent signs for themselves.
    let private output (folder: SweepFolder) (name: string) (plain: string) =
        let logs = Path.Combine(folder.Path, "logs")

        if logs.Contains '\\' then
            Path.Combine(logs.Replace("\\", "\\\\"), plain)
        else
            Path.Combine(logs.Replace("%", "%%"), name)

    /// Bash patterns of the exit codes after which another try is no use.
    let private final = 0 :: SweepFolder.failedForGood |> List.map string |> String.concat "|"

    let private arrayScript (folder: SweepFolder) (options: SlurmOptions) =
        let folderText = SweepFolder.commandLine [ folder.Path ]

        $"""#!/usr/bin/env bash
# One task of the sweep's job array. It may be requeued or started twice: run.sh goes on from the last checkpoint, and whoever
# finds a run in other hands waits for them. $1 is the line before task 0's in runs.txt.
folder={folderText}
name=$(sed -n "$((${{1:-0}} + SLURM_ARRAY_TASK_ID + 1))p" "$folder/runs.txt")
for ((failures = 0; failures <= {options.Retries}; )); do
    bash "$folder/run.sh" "$name" {options.Threads}
    code=$?
    case $code in
    {final}) break ;;
    {SweepFolder.locked}) sleep 5 ;;
    *) failures=$((failures + 1)) ;;
    esac
done
exit $code
"""

    let private submit (arguments: string list) : string =
        match SlurmQueue.command "sbatch" ("--parsable" :: arguments) with
        | Ok text -> text.Trim().Split(';')[0]
        | Error complaint -> Errors.fail (Missing $"Slurm took no job ({complaint}): fix that and repeat the command")

    let private dependency (after: string list) =
        match after with
        | [] -> []
        | jobs -> [ "--dependency=afterany:" + String.concat ":" jobs ]

    /// The tasks that one array may have: Slurm takes indices below its MaxArraySize, which is 1001 where nobody has set it.
    let private arraySize () : int =
        let ofLine (line: string) =
            match line.Split '=' with
            | [| name; value |] when name.Trim() = "MaxArraySize" ->
                match Int32.TryParse(value.Trim(), CultureInfo.InvariantCulture) with
                | true, size -> Some size
                | _ -> None
            | _ -> None

        let found =
            match Commands.tryRun "scontrol" [ "show"; "config" ] with
            | Some(Ok text) -> SlurmQueue.lines text |> List.tryPick ofLine
            | _ -> None

        match found with
        | Some size when size < 1 ->
            Errors.fail (
                Missing
                    $"Slurm's MaxArraySize is {size}, so that it takes no job arrays: have it raised, or take --engine local"
            )
        | Some size -> size
        | None -> 1001

    /// One array: the runs of these indices, task 0 being the run of index `first`, behind the arrays `after`.
    let private submitArray
        (folder: SweepFolder)
        (options: SlurmOptions)
        (after: string list)
        (first: int, indices: int list)
        : string =
        let limit =
            match options.Jobs with
            | Some jobs -> $"%%{jobs}"
            | None -> ""

        let tasks = indices |> List.map (fun index -> index - first)

        submit (
            [ $"--job-name={SlurmQueue.arrayName folder first}"
              $"--array={ranges tasks}{limit}"
              "--requeue"
              "--open-mode=append"
              $"--cpus-per-task={options.Threads}"
              $"""--output={output folder "slurm-%A_%a.out" "slurm.out"}""" ]
            @ dependency after
            @ options.Sbatch
            @ [ script folder; string first ]
        )

    /// As many arrays as Slurm's limit makes of the runs. A number of runs at a time holds for each array alone: so that it holds for
    /// the sweep, they then follow one another.
    let private submitArrays (folder: SweepFolder) (options: SlurmOptions) (indices: int list) : string list =
        Files.writeText (script folder) (arrayScript folder options)
        let size = arraySize ()
        let parts = indices |> List.groupBy (fun index -> index / size * size) |> List.sortBy fst
        let known = SlurmQueue.firsts folder @ List.map fst parts |> List.distinct
        // before the jobs are there: a job whose name nobody knows would be submitted twice
        Files.writeText (SlurmQueue.arrays folder) (String.concat "" [ for first in known -> $"{first}\n" ])

        let add jobs part =
            let after = if options.Jobs.IsSome then List.truncate 1 jobs else []
            submitArray folder options after part :: jobs

        parts |> List.fold add [] |> List.rev

    let private submitReport (folder: SweepFolder) (options: SlurmOptions) (after: string list) =
        submit (
            [ $"--job-name={SlurmQueue.reportName folder}"; "--requeue"; "--open-mode=append" ]
            @ dependency after
            @ [ $"""--output={output folder "report.out" "report.out"}""" ]
            @ options.Sbatch
            @ [ "--wrap"; SweepFolder.commandLine options.Report ]
        )
        |> ignore

    /// Submits the unfinished runs that are not in the queue, and the report behind all of them.
    let private submitMissing (folder: SweepFolder) (options: SlurmOptions) (names: string list) (queue: Queue) =
        let indices = SweepFolder.indices folder
        let there = queue.Tasks |> List.map _.Index |> Set.ofList

        let missing =
            names
            |> List.filter (fun name -> not (SweepFolder.finished folder name))
            |> List.map (fun name -> indices[name])
            |> List.filter (fun index -> not (there.Contains index))

        let added = if missing.IsEmpty then [] else submitArrays folder options missing

        if not added.IsEmpty || not (queue.Report || Directory.Exists folder.Report) then
            submitReport folder options (added @ (queue.Tasks |> List.map _.Job |> List.distinct))

    // ---- watching

    /// Slurm's states of tasks that are in their hour of work.
    let private isAtWork (state: string) =
        List.contains state [ "RUNNING"; "COMPLETING"; "SUSPENDED"; "STOPPED"; "SIGNALING"; "STAGE_OUT" ]

    /// The state of a run that is in the queue, or has just left it (`missed` looks ago), or has left it for good.
    let private state
        (folder: SweepFolder)
        (name: string)
        (task: Queued option)
        (missed: int)
        (account: string option)
        =
        match task, account with
        | _ when SweepFolder.finished folder name -> Finished
        | Some task, _ -> if isAtWork task.State then Running else Waiting
        | None, _ when missed < Misses -> Running
        | None, account ->
            match SweepFolder.idleState folder name, account with
            | Failed sentence, _ -> Failed sentence
            | _, Some account -> Failed $"Slurm says {account}"
            | _, None -> Stopped

    let private look (folder: SweepFolder) (runs: (string * int64) list) (missed: Map<string, int>) (queue: Queue) =
        let indices = SweepFolder.indices folder
        let tasks = queue.Tasks |> List.map (fun task -> task.Index, task) |> Map.ofList

        let missed =
            runs
            |> List.map (fun (name, _) ->
                let before = Map.tryFind name missed |> Option.defaultValue 0
                name, (if tasks.ContainsKey indices[name] then 0 else before + 1))
            |> Map.ofList

        let ended (name, _) = missed[name] >= Misses && not (SweepFolder.finished folder name)
        let accounts = if List.exists ended runs then SlurmQueue.accounts folder else Map.empty

        let statuses =
            runs
            |> List.map (fun (name, total) ->
                let index = indices[name]

                state folder name (Map.tryFind index tasks) missed[name] (Map.tryFind index accounts)
                |> SweepFolder.status folder (name, total))

        missed, statuses

    let private check (options: SlurmOptions) =
        for name, value, least in
            [ "--jobs", Option.defaultValue 1 options.Jobs, 1
              "--threads", options.Threads, 1
              "--retries", options.Retries, 0 ] do
            if value < least then
                Errors.fail (Usage $"{name} is %d{value}; it must be at least {least}")

    let private firstAnswer folder =
        match SlurmQueue.ask folder with
        | Ok queue -> queue
        | Error complaint ->
            Errors.fail (
                Missing
                    $"Slurm does not answer ({complaint}): repeat the command when it does; what is in its queue goes on meanwhile"
            )

    /// The status of the runs (name, iterations).
    let status (folder: SweepFolder) (runs: (string * int64) list) : RunStatus list =
        let given = runs |> List.map (fun (name, _) -> name, Misses) |> Map.ofList
        firstAnswer folder |> look folder runs given |> snd

    /// Submits what is unfinished of the given runs (name, iterations) in a prepared folder and not in the queue yet, then shows their
    /// status until all have ended and the report with them, or `leaving` is asked for: the jobs then stay in the queue.
    let run
        (folder: SweepFolder)
        (runs: (string * int64) list)
        (options: SlurmOptions)
        (leaving: CancellationToken)
        (show: string -> RunStatus list -> unit)
        : RunStatus list =
        check options
        firstAnswer folder |> submitMissing folder options (List.map fst runs)
        let isOver (run: RunStatus) = run.State <> Running && run.State <> Waiting

        let rec watch missed known =
            match SlurmQueue.ask folder with
            | Error complaint ->
                show $"Slurm does not answer ({complaint}); asking again" known
                wait missed known
            | Ok queue ->
                let missed, known = look folder runs missed queue
                let atReport = List.forall isOver known && queue.Report
                show (if atReport then "the report is being written" else "") known
                let inQueue = queue.Report || not queue.Tasks.IsEmpty

                if inQueue || not (List.forall isOver known) then wait missed known else known

        and wait missed known = if leaving.WaitHandle.WaitOne options.Poll then known else watch missed known

        watch Map.empty []
