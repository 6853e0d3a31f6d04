namespace Sdac.Experiments

open System
open System.Diagnostics
open Sdac.Functional

/// The loop of a training process and all that belongs to it: log, evaluations, checkpoints, and stopping between two rounds.
[<RequireQualifiedAccess>]
module internal Training =
    /// Updates between two collections of the youngest garbage. The script host's collector (server mode) otherwise lets
    /// over 60 MiB of it gather, more or less as the run goes on; a collection costs about a millisecond.
    [<Literal>]
    let private CollectEvery = 100L

    // Beside the streams that the rounds take from the root key (small numbers).
    let private evaluationStream = 1_000_000L

    /// The key of all evaluations of a run.
    let evaluationKey (seed: int64) : Key = Key.ofSeed seed |> Key.foldIn evaluationStream

    /// Environments for evaluations.
    let arena (e: Experiment<'c, 's, 'w>) (episodes: int) : Environment =
        Environment.createFrom e.Tasks e.Task e.TaskOptions episodes

    // ---- what stops a run

    /// The last good checkpoint, for messages.
    let private lastGood (folder: RunFolder) =
        match Checkpoint.own folder with
        | newest :: _ -> $"the last good checkpoint is {newest}"
        | [] -> "no checkpoint had been written"

    let private checkFinite (folder: RunFolder) (infos: FigureInfo list) (step: Step<'s, 'w>) =
        match step.Figures |> Option.bind (Algorithm.firstNotFinite infos) with
        | Some(title, value) ->
            Errors.fail (
                Diverged
                    $"{title} is {string value} at iteration {step.Iteration} on {step.Environment.Task}; {lastGood folder}; lower the learning rate or the scale of Q"
            )
        | None -> ()

    /// What the environments refuse (a diverging simulation, an action that is not finite, a function of the user's that throws) stops the run with its place.
    let stepping (folder: RunFolder) (iteration: int64) (advance: unit -> 'a) : 'a =
        let stop (error: exn) =
            Errors.fail (Diverged $"{error.Message.TrimEnd('.')} (iteration {iteration}); {lastGood folder}")

        try
            advance ()
        with
        | :? Sdac.Environments.SimulationException as error -> stop error
        | :? Sdac.Environments.ActionException as error -> stop error
        | :? Sdac.Environments.TaskFunctionException as error -> stop error

    // ---- an iteration and what follows it

    /// Is a multiple of `every` among the iterations behind `before` up to `now`?
    let private due every (before: int64) (now: int64) = every > 0L && now / every > before / every

    let private evaluateNow (w: TrainingContext<'c, 's, 'w>) (p: TrainingState<'s, 'w>) : Score =
        let step = p.Step

        TrainingReport.told w p (Activity.Evaluating w.Plan.Spec.EvaluationEpisodes) w.Log.Figures
        |> w.Report

        let key = evaluationKey w.Plan.Spec.Seed

        let episodes =
            stepping w.Folder step.Iteration (fun () -> Evaluation.run step.Agent w.Arena key step.State)

        let score = Score.ofEpisodes episodes
        w.Log.Evaluation(RunPlace.ofStep step, score, w.Arena.Spec.EpisodeFigures, episodes)
        BestCheckpoint.keep w.Folder w.Plan.Spec score step |> Option.iter Progress.warn

        score

    /// Work that the speed of the training leaves out.
    let private aside (w: TrainingContext<'c, 's, 'w>) name (work: unit -> 'a) (p: TrainingState<'s, 'w>) =
        let began = w.Timings.Elapsed
        let result = w.Timings.Phases.Time name work ()
        struct (result, { p with Aside = p.Aside + w.Timings.Elapsed - began })

    /// Has something that lies between rounds become due in the round behind, and is the run not at its end?
    let private dueBetween every (spec: Spec) (step: Step<'s, 'w>) =
        Checkpoint.isDue every step.Agent.Rhythm.Updates step.Iteration && step.Iteration < spec.Iterations

    let private evaluateWhenDue (w: TrainingContext<'c, 's, 'w>) (p: TrainingState<'s, 'w>) =
        if dueBetween w.Plan.Spec.EvaluateEvery w.Plan.Spec p.Step then
            let struct (_, p) = aside w "evaluation" (fun () -> evaluateNow w p) p
            p
        else
            p

    /// A later resume goes on behind the log's lines: they are on the disk before the checkpoint is.
    let private checkpoint (w: TrainingContext<'c, 's, 'w>) (p: TrainingState<'s, 'w>) =
        let struct (path, parts) =
            w.Timings.Phases.Time
                "checkpoint"
                (fun () -> Checkpoint.save w.Folder w.Plan.Spec p.Parts (w.Log.Save()) p.Step)
                ()

        struct (path, { p with Parts = parts; SavedAt = w.Timings.Elapsed })

    let private note (w: TrainingContext<'c, 's, 'w>) (before: int64) (p: TrainingState<'s, 'w>) : Figures =
        let at = RunPlace.ofStep p.Step
        let logged = due w.Plan.Spec.LogEvery before at.Iteration
        w.Log.Episodes(at, p.Step.Episodes)

        match p.Step.Figures with
        | Some figures ->
            let figures = w.Log.Update(at, figures, p.Step.Tallies, logged)

            if logged then
                w.Timings.Write(at.Iteration, TrainingReport.rate w p)

            figures
        | None -> w.Log.Figures

    /// Is it time for a checkpoint by the clock?
    let private isOverdue (w: TrainingContext<'c, 's, 'w>) (p: TrainingState<'s, 'w>) =
        let seconds = 60.0 * w.Options.CheckpointMinutes
        seconds > 0.0 && w.Timings.Elapsed - p.SavedAt >= seconds

    /// Checkpoint and evaluation where they are due, and a stop that was asked for. A process that takes the run up from this
    /// checkpoint does what is behind it first: the evaluation.
    let private betweenRounds (w: TrainingContext<'c, 's, 'w>) (p: TrainingState<'s, 'w>) =
        let spec, step = w.Plan.Spec, p.Step
        let isOver = step.Iteration >= spec.Iterations

        let halt =
            match w.Request.Signal, w.Until with
            | _ when isOver -> None
            | Some signal, _ -> Some(Halt.Signal signal)
            | None, Some last when step.Iteration >= last -> Some Halt.Until
            | None, _ -> None

        // first the checkpoint: an evaluation that fails loses nothing
        let p =
            if dueBetween spec.CheckpointEvery spec step || halt.IsSome || (isOverdue w p && not isOver) then
                let struct (_, p) = checkpoint w p
                { p with Halt = halt }
            else
                p

        if halt.IsSome then p else evaluateWhenDue w p

    /// One iteration with all that belongs to it: log, progress, and what lies between rounds.
    let private iterate (w: TrainingContext<'c, 's, 'w>) (p: TrainingState<'s, 'w>) =
        let phases = w.Timings.Phases
        let before = p.Step.Iteration
        let step = stepping w.Folder before (fun () -> Round.consume w.Stages p.Step)
        let p = { p with Step = step }
        checkFinite w.Folder w.Plan.Experiment.Algorithm.Figures step
        let figures = phases.Time "logging" (note w before) p
        phases.Time "progress" (TrainingReport.told w p Activity.Updates >> w.Report) figures

        if due CollectEvery before step.Iteration then
            GC.Collect(0, GCCollectionMode.Forced, true)

        if Round.begins step then betweenRounds w p else p

    /// The random warm-up, or what an uninterrupted run does right after a checkpoint.
    let private prepare (w: TrainingContext<'c, 's, 'w>) (p: TrainingState<'s, 'w>) : TrainingState<'s, 'w> =
        let step = p.Step

        if step.Iteration > 0L then
            evaluateWhenDue w p
        else
            let transitions = int64 step.Agent.Rhythm.WarmUp

            let shown (step: Step<'s, 'w>) =
                let finished = min transitions step.Memory.Total

                TrainingReport.told w { p with Step = step } (Activity.WarmUp(finished, transitions)) Map.empty
                |> w.Report

            let rec warm step =
                if Round.isWarm step || w.Request.Signal.IsSome then
                    step
                else
                    shown step
                    warm (Round.warmUp step)

            let struct (step, p) = aside w "warmUp" (fun () -> stepping w.Folder 0L (fun () -> warm step)) p
            let halt = if Round.isWarm step then None else Option.map Halt.Signal w.Request.Signal
            { p with Step = step; Halt = halt }

    let private rounds (w: TrainingContext<'c, 's, 'w>) (state: TrainingState<'s, 'w> ref) : unit =
        while state.Value.Halt.IsNone && state.Value.Step.Iteration < w.Plan.Spec.Iterations do
            state.Value <- iterate w state.Value

    let checkTrail (folder: RunFolder) (made: string list) (now: string list) =
        if now <> made then
            let shown = String.concat " >> "

            Errors.fail (
                Settings
                    $"{folder.Path} was made with the stages {shown made}, but this script runs {shown now}: resume it with the same stages, or train anew in another folder"
            )

    /// The trail of a user's stages, which an iteration shows once the memory is warm: written down by the first process that
    /// gets so far.
    let private noteTrail (plan: Plan<'c, 's, 'w>) (folder: RunFolder) (step: Step<'s, 'w>) : Plan<'c, 's, 'w> =
        match plan.Stages with
        | Some stages when step.Iteration = 0L ->
            let trail = stepping folder step.Iteration (fun () -> Round.trail stages step)

            if plan.Spec.Stages.IsEmpty then
                let spec = { plan.Spec with Stages = trail }
                Files.writeText folder.Spec (Spec.print spec)
                { plan with Spec = spec }
            else
                checkTrail folder plan.Spec.Stages trail
                plan
        | _ -> plan

    /// The evaluation at the end, and what is to be said of the run; `trained` where this process made iterations.
    let private conclude (w: TrainingContext<'c, 's, 'w>) (trained: bool) (p: TrainingState<'s, 'w>) : Summary =
        let struct (last, _) =
            if trained then
                checkpoint w p
            else
                struct (Checkpoint.path w.Folder p.Step.Iteration, p)

        let final = evaluateNow w p
        let summary = TrainingReport.summary w last final p.Step
        w.Log.Save() |> ignore
        w.Timings.Flush()
        summary

    /// From where a state is to the end of the run, or None where it is left before. The cell holds the newest state at any time, also
    /// where this fails.
    let private follow (w: TrainingContext<'c, 's, 'w>) (state: TrainingState<'s, 'w> ref) : Summary option =
        let plan = w.Plan
        state.Value <- prepare w state.Value

        let w =
            if state.Value.Halt.IsSome then
                w
            else
                { w with Plan = noteTrail plan w.Folder state.Value.Step }

        // what compiling the script and the warm-up left behind
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, true, true)
        let trained = state.Value.Step.Iteration < plan.Spec.Iterations
        rounds w state

        match state.Value.Halt with
        | Some halt ->
            w.Timings.Flush()

            match halt with
            | Halt.Signal signal ->
                Errors.fail (TrainingReport.stopped plan w.Options state.Value.Step.Iteration signal)
            | Halt.Until -> None
        | None -> Some(conclude w trained state.Value)

    /// Trains on from the beginning given to the end of the run, or to that of the round of iteration `until`: None. Fails with
    /// Interrupted where a signal asks for it, with a checkpoint at the end of the round that is under way.
    let train
        (plan: Plan<'c, 's, 'w>)
        (folder: RunFolder)
        (options: RunOptions)
        (until: int64 option)
        (from: Beginning<'s, 'w>)
        (request: StopRequest)
        : Summary option =
        let e = plan.Experiment
        use environment = from.Step.Environment
        use arena = arena e plan.Spec.EvaluationEpisodes

        let infos, distributions = e.Algorithm.Figures, from.Step.Agent.Distributions
        use log = new RunLog(folder, plan.Spec, infos, distributions, from.Journal)
        use timings = new Timings(folder, from.Step.Iteration)

        let state =
            ref
                { Step = { from.Step with Around = timings.Phases.Time }
                  Parts = from.Parts
                  Aside = 0.0
                  SavedAt = 0.0
                  Halt = None }

        let context (report: TrainingProgress -> unit) =
            { Plan = plan
              Folder = folder
              Arena = arena
              Log = log
              Timings = timings
              Stages = plan.Stages |> Option.defaultWith (fun () -> Round.standard from.Step.Agent)
              Options = options
              Request = request
              Report = report
              Until = until
              FirstEnvSteps = from.Step.EnvSteps }

        // a branch of another run repeats nothing
        if from.Step.Iteration = 0L && until.IsNone then
            TrainingReport.announce plan options from.Step

        try
            Progress.run options.Quiet plan.Spec.Iterations (fun report -> follow (context report) state)
        finally
            Round.disposeState state.Value.Step
