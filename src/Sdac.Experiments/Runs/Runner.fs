namespace Sdac.Experiments

open System
open System.Diagnostics
open Sdac

/// The effects around the pure pipeline: logs, evaluations, checkpoints, the summary.
[<RequireQualifiedAccess>]
module Runner =
    /// Updates between two collections of the youngest garbage. The script host's collector (server mode) otherwise lets
    /// over 60 MiB of it gather, more or less as the run goes on; a collection costs about a millisecond.
    [<Literal>]
    let private CollectEvery = 100L

    // Beside the streams that the pipeline takes from the root key (small numbers).
    let private evaluationStream = 1_000_000L

    let private compute (e: Experiment) = Compute.create e.Device e.Kernels

    let private arena (e: Experiment) episodes = Environment.create e.Task e.TaskOptions episodes

    /// The networks and coefficients of an experiment.
    let model (e: Experiment) : Model =
        use environment = arena e 1
        Model.create (compute e) environment.ObsDim environment.ActionDim e.Config

    /// Plays `episodes` episodes without exploration noise; the starts depend on the seed alone.
    let evaluate (e: Experiment) (model: Model) (state: TrainState) (episodes: int) (seed: int64) : Episode[] =
        use environment = arena e episodes
        Evaluation.run model environment (Key.ofSeed seed |> Key.foldIn evaluationStream) state

    /// The last good checkpoint, for messages.
    let private lastGood (folder: RunFolder) =
        match Checkpoint.own folder with
        | newest :: _ -> $"the last good checkpoint is {newest}"
        | [] -> "no checkpoint had been written"

    let private checkFinite (folder: RunFolder) (step: Step) =
        match step.Metrics |> Option.bind Metrics.firstNotFinite with
        | Some(name, value) ->
            Errors.fail (
                Diverged
                    $"{name} is {string value} at iteration {step.Iteration} on {step.Environment.Task}; {lastGood folder}; lower learningRate or qScale"
            )
        | None -> ()

    /// What the environments refuse (a diverging simulation, an action that is not finite) stops the run with its place.
    let private stepping (folder: RunFolder) (iteration: int64) (advance: unit -> 'a) : 'a =
        let stop (error: exn) =
            Errors.fail (Diverged $"{error.Message.TrimEnd('.')} (iteration {iteration}); {lastGood folder}")

        try
            advance ()
        with
        | :? Sdac.Mujoco.SimulationException as error -> stop error
        | :? Sdac.Mujoco.ActionException as error -> stop error

    let private due every (iteration: int64) = every > 0L && iteration % every = 0L

    /// Draws the learning curve of a run folder from its metrics; a sentence where there is no picture.
    let drawCurve (folder: RunFolder) (e: Experiment) : Result<unit, string> =
        let lines = Metrics.read folder.Metrics
        let ofKind kind = lines |> List.filter (fun l -> l["kind"] = Label kind) |> List.toArray
        let figure name (line: Map<string, Figure>) = Metrics.number line[name] |> Option.defaultValue nan
        let steps line = int64 (figure "envSteps" line)
        let episodes = ofKind "episode" |> Array.map (fun l -> steps l, figure "return" l)

        let evaluations =
            ofKind "evaluation" |> Array.map (fun l -> steps l, figure "mean" l, figure "deviation" l)

        let c = e.Config

        let subtitle =
            match c.Algorithm with
            | Algorithm.Sdac ->
                $"SDAC, seed %d{e.Seed}, {c.Particles} particles, {c.MonteCarloDraws} draws, {c.Timesteps} timesteps"
            | Algorithm.Dpmd -> $"DPMD, seed %d{e.Seed}, {c.Particles} particles, {c.Timesteps} timesteps"

        Plot.learningCurve e.Task subtitle episodes evaluations |> Plot.save folder.Curve

    let private peakMemory () =
        use self = Process.GetCurrentProcess()
        float self.PeakWorkingSet64 / 1048576.0

    let private warmUp (quiet: bool) (step: Step) =
        if not quiet then
            printfn
                $"{step.Environment.Task}: {Progress.thousands (int64 step.Model.Config.WarmUp)} random transitions first"

        Pipeline.warm step

    /// SDAC's stages by the names that timings.jsonl gives them.
    let sdac: (string * Stage) list =
        [ "collect", Pipeline.collect
          "evaluateQ", Pipeline.evaluateQ
          "reverseSample", Pipeline.reverseSample
          "rssmUpdate", Pipeline.rssmUpdate ]

    /// DPMD's stages likewise.
    let dpmd: (string * Stage) list =
        [ "collect", Pipeline.collect
          "evaluateQ", Pipeline.evaluateQ
          "mirrorDescent", Pipeline.mirrorDescent ]

    /// The stages of the algorithm that a specification names.
    let stages (spec: Spec) : (string * Stage) list =
        match spec.Experiment.Config.Algorithm with
        | Algorithm.Sdac -> sdac
        | Algorithm.Dpmd -> dpmd

    /// The stages of the algorithm that a run folder's specification names.
    let stagesOf (path: string) : (string * Stage) list = Spec.ofRun (RunFolder.openExisting path) |> stages

    /// Where a process begins with a run: at its beginning, or at a checkpoint.
    [<NoComparison; NoEquality>]
    type private Beginning = { Step: Step; Journal: Journal; Parts: MemoryPart list }

    /// The run's newest checkpoint, or its beginning where it has none.
    let private beginning (spec: Spec) (folder: RunFolder) : Beginning =
        let first = Pipeline.start spec.Experiment

        try
            match Checkpoint.restore folder spec first with
            | None -> { Step = first; Journal = Journal.empty; Parts = [] }
            | Some restored ->
                for complaint in restored.Complaints do
                    eprintfn $"warning: {complaint}; an older checkpoint is used"

                TrainState.dispose first.State
                { Step = restored.Step; Journal = restored.Journal; Parts = restored.Parts }
        with _ ->
            Pipeline.dispose first
            reraise ()

    let private summary
        (folder: RunFolder)
        (e: Experiment)
        (log: RunLog)
        (timings: Timings)
        checkpoint
        final
        (step: Step)
        =
        let bestAt, best = log.Best |> Option.defaultValue (step.EnvSteps, final)

        { Task = e.Task
          Seed = e.Seed
          Iterations = step.Iteration
          EnvSteps = step.EnvSteps
          Final = final
          BestMean = best.Mean
          BestAtEnvSteps = bestAt
          RecentTrainingReturn = log.RecentReturn
          Lambda = step.State.Temperature.Lambda
          Checkpoint = IO.Path.GetRelativePath(folder.Path, checkpoint)
          WallClockSeconds = timings.Total
          PeakMemoryMiB = peakMemory ()
          // known at the very end
          TimingLines = 0L
          Files = Map.empty }

    /// Trains on from the beginning given to the end of the run.
    let private train (spec: Spec) (stages: (string * Stage) list) (folder: RunFolder) (quiet: bool) (from: Beginning) =
        let e = spec.Experiment
        use environment = from.Step.Environment
        use arena = arena e spec.EvaluationEpisodes
        use log = new RunLog(folder, spec, from.Journal)
        use timings = new Timings(folder, from.Step.Iteration)
        let phases = timings.Phases

        let observe: Stage =
            fun step ->
                Option.iter log.Observe step.Update
                step

        let iteration: Stage =
            stages @ [ "logging", observe ]
            |> List.map (fun (name, stage) -> phases.Time name stage)
            |> List.reduce (>>)

        let mutable step = from.Step
        let mutable parts = from.Parts
        let mutable aside = 0.0

        /// Work that the speed of the training leaves out.
        let apart name work =
            let began = timings.Elapsed
            let result = phases.Time name work ()
            aside <- aside + timings.Elapsed - began
            result

        let evaluate () =
            let key = Key.ofSeed e.Seed |> Key.foldIn evaluationStream
            let episodes = stepping folder step.Iteration (fun () -> Evaluation.run step.Model arena key step.State)
            let score = Score.ofEpisodes episodes
            log.Evaluation(step, score, episodes)
            score

        let checkpoint () =
            // A later resume goes on behind the log's lines: they are on the disk before the checkpoint is.
            let struct (path, saved) = Checkpoint.save folder spec parts (log.Save()) step
            parts <- saved
            path

        let evaluateIfDue () =
            if due spec.EvaluateEvery step.Iteration && step.Iteration < e.Iterations then
                apart "evaluation" evaluate |> ignore

        let rate () = float (step.EnvSteps - from.Step.EnvSteps) / (timings.Elapsed - aside)

        let note (m: Metrics) =
            let logged = due spec.LogEvery step.Iteration
            let m = log.Update(step, m, logged)

            if logged then
                timings.Write(step.Iteration, rate ())

            m

        let standing (m: Metrics) =
            { Iteration = step.Iteration
              EnvSteps = step.EnvSteps
              StepsPerSecond = rate ()
              RecentReturn = log.RecentReturn
              CriticLoss = m.Q1Loss
              PolicyLoss = Option.defaultValue nan m.PolicyLoss
              Lambda = m.Lambda }

        try
            if step.Iteration = 0L then
                step <- stepping folder 0L (fun () -> apart "warmUp" (fun () -> warmUp quiet step))
            else
                // what an uninterrupted run does right after a checkpoint
                evaluateIfDue ()

            // what compiling the script and the warm-up left behind
            GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, true, true)

            Progress.run quiet e.Iterations step.Iteration (fun report ->
                while step.Iteration < e.Iterations do
                    step <- stepping folder step.Iteration (fun () -> Pipeline.consume iteration step)
                    checkFinite folder step
                    phases.Time "logging" log.Episodes step

                    match step.Metrics with
                    | Some m ->
                        let m = phases.Time "logging" note m
                        phases.Time "progress" (standing >> report) m
                    | None -> ()

                    if due CollectEvery step.Iteration then
                        GC.Collect(0, GCCollectionMode.Forced, true)

                    // first the checkpoint: an evaluation that fails loses nothing
                    if due spec.CheckpointEvery step.Iteration && step.Iteration < e.Iterations then
                        phases.Time "checkpoint" checkpoint () |> ignore

                    evaluateIfDue ())

            let last =
                if from.Step.Iteration < e.Iterations then
                    checkpoint ()
                else
                    Checkpoint.path folder step.Iteration

            let final = evaluate ()
            let summary = summary folder e log timings last final step
            log.Save() |> ignore
            timings.Flush()
            summary
        finally
            TrainState.dispose step.State

    let private table (summary: Summary) (place: string) (picture: string) =
        let show (value: float) = Number.display value

        Progress.summaryTable
            $"{summary.Task}, seed %d{summary.Seed}"
            [ "final evaluation",
              $"{show summary.Final.Mean} ± {show summary.Final.Deviation} over {summary.Final.Episodes} episodes"
              "lowest, highest", $"{show summary.Final.Lowest}, {show summary.Final.Highest}"
              "best evaluation",
              $"{show summary.BestMean} at {Progress.thousands summary.BestAtEnvSteps} environment steps"
              "training, last episodes", show summary.RecentTrainingReturn
              "iterations, environment steps",
              $"{Progress.thousands summary.Iterations}, {Progress.thousands summary.EnvSteps}"
              "λ", show summary.Lambda
              "wall-clock", $"%.0f{summary.WallClockSeconds} s"
              "peak memory", $"%.0f{summary.PeakMemoryMiB} MiB"
              "run folder", place
              "learning curve", picture ]

    /// Training, curve, summary: to the end, from wherever the folder stands. The caller holds the lock. summary.json comes
    /// last: where it is, the run is finished.
    let private finish spec stages (folder: RunFolder) (place: string) quiet (from: Beginning) =
        let summary = train spec stages folder quiet from

        let picture =
            match drawCurve folder spec.Experiment with
            | Ok() -> folder.Curve
            | Error sentence -> $"no picture: {sentence}"

        let summary =
            { summary with TimingLines = RunFiles.timingLines folder; Files = RunFiles.describe folder }

        Files.writeText folder.Summary (Json.print summary + "\n")
        table summary place picture
        summary

    /// A whole run from nothing: folder, specification, training, curve, summary table.
    let run
        (spec: Spec)
        (stages: (string * Stage) list)
        (out: string)
        (overwrite: bool)
        (threads: int)
        (quiet: bool)
        : Summary =
        let spec = Spec.validate spec
        Machine.useThreads (compute spec.Experiment) threads
        // before a folder is made or emptied: settings that the task refuses
        model spec.Experiment |> ignore
        let folder = RunFolder.create out overwrite
        use _ = RunFolder.lock folder
        Files.writeText folder.Spec (Spec.print spec)
        Files.writeText folder.Machine (Json.print (Machine.describe ()) + "\n")
        finish spec stages folder out quiet (beginning spec folder)

    /// Records the machine of a process that takes a run up; says where it differs from the one that began the run.
    let private noteMachine (folder: RunFolder) (iteration: int64) =
        let now = Machine.describe ()

        let began =
            if iteration > 0L && IO.File.Exists folder.Machine then
                Files.readText folder.Machine |> Json.parseOver folder.Machine now
            else
                now

        for setting, was, is in Json.differences { began with Threads = now.Threads } now do
            eprintfn
                $"warning: {folder.Path} was begun with {setting} {was}, this is {is}: results may differ from an uninterrupted run's"

        if iteration = 0L then
            Files.writeText folder.Machine (Json.print now + "\n")
        elif now <> began then
            Files.writeText (folder.MachineAt iteration) (Json.print now + "\n")

    /// Takes a run up again where its last good checkpoint left it, or from its beginning where it has none (spec.json is
    /// enough), and brings it to its end; None where it is finished already, and then nothing is touched; Damaged where it is, but files
    /// of it are no longer as it wrote them. The stages must be
    /// those that the run was begun with. What comes out is what an uninterrupted run gives.
    let resume (stages: (string * Stage) list) (path: string) (threads: int) (quiet: bool) : Summary option =
        let folder = RunFolder.openExisting path

        if RunFiles.isFinished folder then
            None
        else
            let spec = Spec.ofRun folder
            Machine.useThreads (compute spec.Experiment) threads
            use _ = RunFolder.lock folder

            // it may have ended while this process waited for nothing but the lock
            if RunFiles.isFinished folder then
                None
            else
                for inner in [ folder.Path; folder.Checkpoints; folder.Memory ] do
                    Files.removeUnfinished inner

                Files.createFolder folder.Checkpoints
                let from = beginning spec folder
                noteMachine folder from.Step.Iteration

                if not quiet && from.Step.Iteration > 0L then
                    printfn $"{spec.Experiment.Task}: resumed after iteration {Progress.thousands from.Step.Iteration}"

                Some(finish spec stages folder path quiet from)
