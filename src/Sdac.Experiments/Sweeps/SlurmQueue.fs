namespace Sdac.Experiments

open System
open System.Globalization
open System.IO

/// How a sweep uses Slurm.
type SlurmOptions =
    {
        /// Runs at a time; None leaves that to Slurm
        Jobs: int option
        /// Threads, and processors asked for, of each run
        Threads: int
        /// Tries within one task after the first, each from the run's last checkpoint
        Retries: int
        /// Further options of sbatch ("--partition=long"), for the array and for the report
        Sbatch: string list
        /// The command that writes the report in the end
        Report: string list
        /// Time between two questions to Slurm
        Poll: TimeSpan
    }

/// A task of this sweep in Slurm's queue; `Index` is its run's line in runs.txt, from 0.
type Queued = { Job: string; Index: int; State: string }

/// What Slurm's queue holds of this sweep.
type Queue = { Tasks: Queued list; Report: bool }

/// What Slurm's queue and accounts say of a sweep's jobs, which are known by their names.
[<RequireQualifiedAccess>]
module SlurmQueue =
    /// What both of the sweep's jobs are called; the folder's path tells sweeps of one name apart.
    let jobName (folder: SweepFolder) : string =
        let bytes = Text.Encoding.UTF8.GetBytes folder.Path
        let digest = Convert.ToHexStringLower(Security.Cryptography.SHA256.HashData bytes)
        // squeue separates names by commas
        let plain =
            string (Path.GetFileName folder.Path)
            |> String.filter (fun c -> Char.IsAsciiLetterOrDigit c || c = '-')

        $"sdac-{plain}-{digest.Substring(0, 8)}"

    /// What the job is called that writes the report.
    let reportName folder = jobName folder + "-report"

    /// Where the runs of the arrays that this sweep has ever been given to Slurm as begin, one a line. The names of the arrays follow
    /// from them.
    let arrays (folder: SweepFolder) = Path.Combine(folder.Path, "arrays.txt")

    /// What the array is called whose task 0 is the run of this index.
    let arrayName folder (first: int) = if first = 0 then jobName folder else $"{jobName folder}-from{first}"

    /// The indices at which this sweep's arrays begin.
    let firsts (folder: SweepFolder) : int list =
        let known =
            if File.Exists(arrays folder) then
                (Files.readText (arrays folder)).Split('\n', StringSplitOptions.RemoveEmptyEntries)
                |> Array.choose (fun line ->
                    match Int32.TryParse(line, CultureInfo.InvariantCulture) with
                    | true, first -> Some first
                    | _ -> None)
                |> Array.toList
            else
                []

        0 :: known |> List.distinct

    /// What the arrays of this sweep are called.
    let jobNames (folder: SweepFolder) : string list = firsts folder |> List.map (arrayName folder)

    /// What a command of Slurm prints, or what it complains of.
    let command program arguments =
        match Commands.tryRun program arguments with
        | Some answer -> answer
        | None ->
            Errors.fail (
                Missing
                    $"{program} was not found: run this where Slurm's commands are installed (slurm-client), or take --engine local"
            )

    let lines (text: string) = text.Split('\n', StringSplitOptions.RemoveEmptyEntries) |> Array.toList

    // ---- asking

    /// One line of `squeue -o "%j|%F|%K|%T"`. `first` tells where an array begins by its name.
    let private queued (first: Map<string, int>) (line: string) =
        match line.Split '|' with
        | [| name; job; index; state |] ->
            match Map.tryFind name first, Int32.TryParse(index, CultureInfo.InvariantCulture) with
            | Some first, (true, index) -> Some { Job = job; Index = first + index; State = state }
            | _ -> None
        | _ -> None

    let ask (folder: SweepFolder) : Result<Queue, string> =
        let first = Map [ for first in firsts folder -> arrayName folder first, first ]
        let names = Seq.append (Map.keys first) [ reportName folder ] |> String.concat ","

        command "squeue" [ "--noheader"; "--array"; $"--name={names}"; "--format=%j|%F|%K|%T" ]
        |> Result.map (fun text ->
            let report, tasks =
                lines text |> List.partition _.StartsWith(reportName folder + "|", StringComparison.Ordinal)

            { Tasks = List.choose (queued first) tasks; Report = not report.IsEmpty })

    /// The index and the state in a line of `sacct`: "12_3|TIMEOUT".
    let private accounted (first: int) (line: string) =
        match line.Split '|' with
        | [| task; state |] ->
            match Int32.TryParse(task.Substring(task.IndexOf '_' + 1), CultureInfo.InvariantCulture) with
            | true, index when task.Contains '_' -> Some(first + index, state)
            | _ -> None
        | _ -> None

    /// How tasks ended by Slurm's accounting; empty where there is none.
    let accounts (folder: SweepFolder) : Map<int, string> =
        let ofArray first =
            let arguments =
                [ "--noheader"; "--parsable2"; "--allocations"; "--starttime=now-30days" ]
                @ [ $"--name={arrayName folder first}"; "--format=JobID,State" ]

            match Commands.tryRun "sacct" arguments with
            | Some(Ok text) -> lines text |> List.choose (accounted first)
            | _ -> []

        firsts folder |> List.collect ofArray |> Map.ofList
