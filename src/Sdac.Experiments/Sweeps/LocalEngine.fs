namespace Sdac.Experiments

open System
open System.Diagnostics
open System.Threading

/// How a sweep uses this machine.
type LocalOptions =
    {
        /// Worker processes at a time
        Jobs: int
        /// Threads of each
        Threads: int
        /// Tries after the first, each from the run's last checkpoint
        Retries: int
    }

/// A sweep on this machine: worker processes, one per run. Each is a session of its own, writes to its own log and holds the lock
/// of its run folder. Should this process be killed, they are killed too, and the same command goes on from their checkpoints.
[<RequireQualifiedAccess>]
module LocalEngine =
    /// Milliseconds between two looks at the workers.
    [<Literal>]
    let private Poll = 200

    /// Milliseconds between two readings of the run folders.
    [<Literal>]
    let private Refresh = 1000.0

    /// What follows from the end of a try.
    type Verdict =
        | Done
        | TryAgain
        /// Somebody else works on the run: wait, this was no try.
        | WaitForOther
        | GiveUp

    /// What follows when a run's try ends with `code` after `failures` failed ones.
    let judge (retries: int) (failures: int) (finished: bool) (code: int) : Verdict =
        if finished then Done
        elif code = SweepFolder.locked then WaitForOther
        elif List.contains code SweepFolder.failedForGood then GiveUp
        elif failures < retries then TryAgain
        else GiveUp

    type private Slot =
        | Ready
        | Elsewhere
        | Working of Process
        | Over of RunState

    type private Job = { Name: string; Total: int64; Failures: int; Slot: Slot }

    let private start (folder: SweepFolder) (options: LocalOptions) (name: string) : Process =
        Sessions.start [ "bash"; folder.Launcher; name; string options.Threads ]

    let private afterTry (folder: SweepFolder) (options: LocalOptions) (job: Job) (worker: Process) : Job =
        let code = worker.ExitCode
        worker.Dispose()

        match judge options.Retries job.Failures (SweepFolder.finished folder job.Name) code with
        | Done -> { job with Slot = Over Finished }
        | WaitForOther -> { job with Slot = Elsewhere }
        | TryAgain -> { job with Slot = Ready; Failures = job.Failures + 1 }
        | GiveUp -> { job with Slot = Over(Failed(SweepFolder.complaint folder job.Name)) }

    let private advance (folder: SweepFolder) (options: LocalOptions) (job: Job) : Job =
        match job.Slot with
        | Working worker when worker.HasExited -> afterTry folder options job worker
        | Elsewhere when not (SweepFolder.isHeld folder job.Name) ->
            { job with Slot = (if SweepFolder.finished folder job.Name then Over Finished else Ready) }
        | _ -> job

    let private fill (folder: SweepFolder) (options: LocalOptions) (jobs: Job list) : Job list =
        let busy = jobs |> List.filter _.Slot.IsWorking |> List.length

        let startWhereFree free (job: Job) =
            match job.Slot with
            | Ready when free > 0 -> { job with Slot = Working(start folder options job.Name) }, free - 1
            | _ -> job, free

        jobs |> List.mapFold startWhereFree (options.Jobs - busy) |> fst

    let private state (job: Job) =
        match job.Slot with
        | Ready -> Waiting
        | Elsewhere -> Held
        | Working _ -> Running
        | Over state -> state

    /// How the runs stand, as their files tell; what is over needs no second look.
    let private statuses (folder: SweepFolder) (known: RunStatus list) (jobs: Job list) : RunStatus list =
        let over =
            known
            |> List.filter (fun run -> run.State = Finished)
            |> List.map (fun run -> run.Name, run)
            |> Map.ofList

        jobs
        |> List.map (fun job ->
            match Map.tryFind job.Name over with
            | Some run -> run
            | None -> SweepFolder.status folder (job.Name, job.Total) (state job))

    let private check (options: LocalOptions) =
        for name, value, least in
            [ "--jobs", options.Jobs, 1; "--threads", options.Threads, 1; "--retries", options.Retries, 0 ] do
            if value < least then
                Errors.fail (Usage $"{name} is %d{value}; it must be at least {least}")

    /// Runs what is unfinished of the given runs (name, iterations) in a prepared folder, until all are finished or have failed for
    /// good, or `stopping` is asked for: the workers are then stopped, and the same call goes on later. `show` is told how the runs
    /// stand; so is the caller in the end.
    let run
        (folder: SweepFolder)
        (runs: (string * int64) list)
        (options: LocalOptions)
        (stopping: CancellationToken)
        (show: RunStatus list -> unit)
        : RunStatus list =
        check options
        let clock = Stopwatch.StartNew()
        let mutable shown = Double.NegativeInfinity
        let mutable known = []

        let mutable jobs =
            runs
            |> List.map (fun (name, total) ->
                let slot = if SweepFolder.finished folder name then Over Finished else Ready
                { Name = name; Total = total; Failures = 0; Slot = slot })

        let look () =
            known <- statuses folder known jobs
            shown <- clock.Elapsed.TotalMilliseconds
            show known

        let workers () =
            jobs
            |> List.choose (fun job ->
                match job.Slot with
                | Working worker -> Some worker
                | _ -> None)

        try
            while not stopping.IsCancellationRequested && jobs |> List.exists (fun job -> not job.Slot.IsOver) do
                let before = List.map state jobs
                jobs <- jobs |> List.map (advance folder options) |> fill folder options

                if List.map state jobs <> before || clock.Elapsed.TotalMilliseconds - shown >= Refresh then
                    look ()

                stopping.WaitHandle.WaitOne Poll |> ignore
        finally
            Sessions.stop (workers ())

        jobs <-
            jobs
            |> List.map (fun job ->
                if job.Slot.IsOver then
                    job
                else
                    { job with Slot = Over(SweepFolder.idleState folder job.Name) })

        look ()
        known
