namespace Sdac.Experiments

open System
open System.Threading
open Sdac.Functional

/// Where the runs of a sweep are worked on.
type Engine =
    | Local of LocalOptions
    | Slurm of SlurmOptions

/// Whole sweeps, from the value to the last table.
[<RequireQualifiedAccess>]
module Sweeps =
    /// Exit code after Ctrl-C, as shells have it.
    [<Literal>]
    let private Interrupted = 130

    let private lengths (plan: (PlannedRun * Spec) list) =
        plan |> List.map (fun (run, spec) -> run.Name, spec.Iterations)

    let private work folder plan engine (stopping: CancellationToken) =
        let runs = lengths plan

        match engine with
        | Local options -> SweepTable.watch (fun show -> LocalEngine.run folder runs options stopping (show ""))
        | Slurm options -> SweepTable.watch (SlurmEngine.run folder runs options stopping)

    let private howToGoOn (engine: Engine) (folder: SweepFolder) =
        match engine with
        | Local _ -> "stopped; the same command goes on from the last checkpoints"
        | Slurm _ ->
            let ending =
                SlurmQueue.jobNames folder |> List.map (fun name -> $"scancel --name={name}") |> String.concat "; "

            $"left; the jobs stay with Slurm (the same command shows them again; {ending} ends them)"

    /// The failed runs with their sentences, and how many were left unfinished; None when all have finished.
    let shortcomings (folder: SweepFolder) (runs: RunStatus list) : string option =
        let failures =
            runs
            |> List.choose (fun run ->
                match run.State with
                | Failed sentence -> Some $"{run.Name} ({sentence.TrimEnd('.')})"
                | _ -> None)

        let finished = runs |> List.filter (fun run -> run.State = Finished) |> List.length
        let unfinished = runs.Length - finished - failures.Length

        let parts =
            [ if not failures.IsEmpty then
                  let names = String.concat "; " failures
                  $"{failures.Length} of {runs.Length} runs failed: {names}"
              if unfinished > 0 then
                  $"{unfinished} of {runs.Length} runs are unfinished" ]

        if parts.IsEmpty then
            None
        else
            let text = String.concat "; " parts
            Some $"{text}; the logs are in {folder.Path}/logs, and the same command tries again"

    /// Works on a sweep in `folder` until all runs have finished or failed for good, shows their status, and gives the exit code.
    /// A folder that holds a part of the sweep already is continued. `worker` is the command that takes the arguments of `train`.
    /// Unfinished failure naming the runs that failed.
    let run (registry: Registry) (folder: SweepFolder) (sweep: Sweep) (worker: string list) (engine: Engine) : int =
        let plan = SweepSpec.planWith Progress.warn registry sweep
        use _ = SweepFolder.lock folder
        SweepFolder.prepare registry folder sweep plan worker

        let runs, interrupted =
            Sessions.untilInterrupted (fun stopping ->
                let runs = work folder plan engine stopping
                runs, stopping.IsCancellationRequested)

        SweepTable.print $"{sweep.Name} in {folder.Path}: {SweepTable.counts runs}" runs

        match shortcomings folder runs with
        | None -> 0
        | Some _ when interrupted ->
            Console.Error.WriteLine(howToGoOn engine folder)
            Interrupted
        | Some sentence -> Errors.fail (Unfinished sentence)

    /// Prints how the runs of a sweep stand; starts nothing, takes no lock and writes nothing.
    let status (registry: Registry) (folder: SweepFolder) (sweep: Sweep) (engine: Engine) =
        let plan = SweepSpec.plan registry sweep
        let known = SweepFolder.indices folder

        for run, _ in plan do
            if not (known.ContainsKey run.Name) then
                Errors.fail (
                    Storage
                        $"{folder.Path} does not hold the run {run.Name}: start the sweep first, by the same command without --status"
                )

        let status (name, total) =
            let held = not (SweepFolder.finished folder name) && RunFolder.isLocked (folder.Run name)
            let state = if held then Running else SweepFolder.idleState folder name
            SweepFolder.status folder (name, total) state

        let runs =
            match engine with
            | Local _ -> lengths plan |> List.map status
            | Slurm _ -> SlurmEngine.status folder (lengths plan)

        SweepTable.print $"{sweep.Name} in {folder.Path}: {SweepTable.counts runs}" runs
