namespace Sdac.Experiments

open System
open System.Diagnostics
open System.IO
open Sdac.Functional

/// How a stored run is verified.
type VerifyOptions =
    {
        /// Windows that are run again
        Windows: int
        /// Iterations of a window; None: as many as lie between two planned checkpoints
        Length: int64 option
        /// Which windows are drawn
        Seed: int64
        /// Threads of the arithmetic
        Threads: int
    }

/// A part of a run that was run again.
type VerifiedWindow =
    {
        /// Iterations before it
        First: int64
        /// Its last iteration
        Last: int64
        /// Lines of metrics.jsonl in it
        Lines: int
        /// Checkpoints that were compared too
        Checkpoints: int
        /// Where it first differs
        Difference: string option
    }

/// Is a stored run what its specification makes on this machine? Some windows of it are run again, from its own checkpoints or its
/// beginning, and compared byte for byte.
[<RequireQualifiedAccess>]
module Verify =
    /// Three windows, drawn by seed 0, on all processors.
    let usual: VerifyOptions =
        { Windows = 3; Length = None; Seed = 0L; Threads = Environment.ProcessorCount }

    let private check (options: VerifyOptions) =
        if options.Windows < 1 then
            Errors.fail (Usage $"--windows is %d{options.Windows}; it must be at least 1")

        match options.Length with
        | Some length when length < 1L -> Errors.fail (Usage $"--iterations is %d{length}; it must be at least 1")
        | _ -> ()

    /// How far the run has come, as its newest checkpoint tells.
    let private reached (run: RunFolder) : int64 =
        let own = set (Checkpoint.own run)

        match RunFolder.checkpoints run |> List.tryFind (fun (_, path) -> own.Contains path) with
        | Some(iteration, _) -> iteration
        | None -> Errors.fail (Damaged $"{run.Path} holds no checkpoint: train first")

    /// Where windows can begin: the checkpoints, and the beginning unless it needs a file that is no more there.
    let private beginnings (registry: Registry) (run: RunFolder) (spec: Spec) (last: int64) =
        let fromNothing =
            match spec.From with
            | Some mark when not (File.Exists mark.Checkpoint) -> []
            | _ -> [ 0L, None ]

        let kept =
            Branch.starts registry run spec
            |> List.filter (fun (iteration, _) -> iteration > 0L && iteration < last)

        fromNothing @ [ for iteration, path in List.rev kept -> iteration, Some path ]

    /// So many of the beginnings, drawn by a seed, in their order.
    let private drawn (options: VerifyOptions) (all: (int64 * string option) list) =
        let order =
            Key.ofSeed options.Seed |> Key.uniform Compute.cpu [ all.Length ] |> Tensors.toArray |> List.ofArray

        List.zip order all
        |> List.sortBy fst
        |> List.truncate options.Windows
        |> List.map snd
        |> List.sortBy fst

    let private linesOf (path: string) = if File.Exists path then File.ReadAllLines(path).Length else 0

    let private window
        (registry: Registry)
        (options: VerifyOptions)
        (run: RunFolder)
        (spec: Spec)
        (path: string)
        (last: int64)
        (first: int64, checkpoint: string option)
        : VerifiedWindow =
        let branch =
            match checkpoint with
            | Some checkpoint -> Branch.plant run (first, checkpoint) spec path
            | None -> Branch.plantAtBeginning run spec path

        let before = linesOf branch.Metrics

        let runOptions =
            { RunOptions.into path with Threads = options.Threads; Quiet = true; CheckpointMinutes = 0.0 }

        Runner.goOnUntil registry runOptions last
        let theirs = set [ for path in Checkpoint.own run -> string (Path.GetFileName path) ]

        let shared =
            RunFolder.checkpoints branch
            |> List.filter (fun (iteration, path) ->
                iteration > first && theirs.Contains(string (Path.GetFileName path)))

        { First = first
          Last = last
          Lines = linesOf branch.Metrics - before
          Checkpoints = shared.Length
          Difference = Branch.difference run branch }

    /// Seconds of an iteration when the run was made, its evaluations and checkpoints included; NaN where it does not tell.
    let private secondsEach (run: RunFolder) : float =
        let figure name (line: Map<string, Figure>) =
            Map.tryFind name line |> Option.bind Metrics.number |> Option.defaultValue nan

        try
            match Metrics.read run.Timings |> List.tryLast with
            | Some line -> figure "seconds" line / figure "iteration" line
            | None -> nan
        with :? UserError ->
            nan

    /// What is going to be run again, and how long it took when the run was made.
    let private announce (run: RunFolder) (spec: Spec) (windows: (int64 * int64) list) =
        let named =
            [ for first, last in windows -> $"{Progress.thousands (first + 1L)} to {Progress.thousands last}" ]

        let seconds = secondsEach run * float (windows |> List.sumBy (fun (first, last) -> last - first))

        let cost =
            if seconds >= 1.0 then
                $"; the run took {Progress.duration seconds} for them"
            else
                ""

        printfn $"""{spec.Task}: runs the iterations {String.concat ", " named} again{cost}"""

    let private show (spec: Spec) (seconds: float) (windows: VerifiedWindow list) =
        Progress.table
            $"{spec.Task}, {spec.Algorithm}, seed %d{spec.Seed}: run again in %.0f{seconds} s"
            [ "iterations"; "lines of metrics"; "checkpoints"; "result" ]
            [ for w in windows ->
                  [ $"{Progress.thousands (w.First + 1L)} to {Progress.thousands w.Last}"
                    Progress.thousands (int64 w.Lines)
                    string w.Checkpoints
                    match w.Difference with
                    | None -> "equal, byte for byte"
                    | Some place -> $"{place} differs" ] ]

    let private machineSays (run: RunFolder) =
        if File.Exists run.Machine then
            let now = Machine.describe ()
            let recorded = Files.readText run.Machine |> Json.parseOver run.Machine now

            match Json.differences { recorded with Threads = now.Threads } now with
            | [] -> "the machine is the same"
            | different ->
                [ for setting, was, is in different -> $"{setting} was {was}, is {is}" ] |> String.concat ", "
        else
            "no machine.json says where it was made"

    /// Runs windows of a run again and compares them; the windows. The run's folder is only read. Fails with Damaged where one differs.
    let run (registry: Registry) (path: string) (options: VerifyOptions) : VerifiedWindow list =
        check options
        let folder = RunFolder.openExisting path
        let spec = SpecFile.ofRun registry folder
        let lastIteration = reached folder

        let between =
            if spec.CheckpointEvery > 0L then
                spec.CheckpointEvery
            else
                spec.Iterations / 100L

        let length = options.Length |> Option.defaultWith (fun () -> max between (2L * spec.LogEvery))
        let clock = Stopwatch.StartNew()
        let scratch = Directory.CreateTempSubdirectory("sdac-verify-").FullName

        try
            let chosen = beginnings registry folder spec lastIteration |> drawn options
            let lastOf first = min lastIteration (first + length)
            announce folder spec [ for first, _ in chosen -> first, lastOf first ]

            let windows =
                chosen
                |> List.map (fun (first, checkpoint) ->
                    let place = Path.Combine(scratch, string first)
                    window registry options folder spec place (lastOf first) (first, checkpoint))

            show spec clock.Elapsed.TotalSeconds windows

            match windows |> List.tryFind _.Difference.IsSome with
            | Some w ->
                Errors.fail (
                    Damaged
                        $"{path} is not what its specification makes on this machine: {w.Difference.Value} differs, in the iterations {w.First + 1L} to {w.Last} ({machineSays folder}); make it anew to compare, or verify it on the machine that made it"
                )
            | None -> windows
        finally
            Directory.Delete(scratch, true)
