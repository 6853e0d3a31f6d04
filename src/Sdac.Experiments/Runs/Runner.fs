namespace Sdac.Experiments

open System
open System.Diagnostics
open Sdac

/// What decides nothing about a run's results.
type RunOptions =
    {
        /// The run folder
        Out: string
        /// Replace the run that the folder holds
        Overwrite: bool
        /// Threads of the arithmetic
        Threads: int
        /// No progress, only the summary
        Quiet: bool
    }

[<RequireQualifiedAccess>]
module RunOptions =
    /// A new run in this folder, on all processors, with progress.
    let into (out: string) = { Out = out; Overwrite = false; Threads = Environment.ProcessorCount; Quiet = false }

/// The effects around the pure pipeline: logs, evaluations, checkpoints, the summary.
[<RequireQualifiedAccess>]
module Runner =
    /// Updates between two collections of the youngest garbage. The script host's collector (server mode) otherwise lets
    /// over 60 MiB of it gather, more or less as the run goes on; a collection costs about a millisecond.
    [<Literal>]
    let private CollectEvery = 100L

    // Beside the streams that the rounds take from the root key (small numbers).
    let private evaluationStream = 1_000_000L

    let private arena (e: Experiment<'c, 's, 'w>) episodes = Environment.create e.Task e.TaskOptions episodes

    /// The agent of an experiment on its task and device.
    let agent (e: Experiment<'c, 's, 'w>) : Agent<'s, 'w> =
        use environment = arena e 1
        let space = { ObsDim = environment.ObsDim; ActionDim = environment.ActionDim }
        Experiment.agent (Compute.create e.Device e.Kernels) space e

    /// Plays `episodes` episodes without exploration noise; the starts depend on the seed alone.
    let evaluate (e: Experiment<'c, 's, 'w>) (agent: Agent<'s, 'w>) (state: 's) (episodes: int) (seed: int64) =
        use environment = arena e episodes
        Evaluation.run agent environment (Key.ofSeed seed |> Key.foldIn evaluationStream) state

    /// An algorithm at work on a run.
    [<NoComparison; NoEquality>]
    type private Plan<'config, 'state, 'work> =
        {
            Registry: Registry
            Spec: Spec
            Experiment: Experiment<'config, 'state, 'work>
            /// Of the user's own; None: the algorithm's
            Stages: Stage<'state, 'work> option
        }

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

    /// What the environments refuse (a diverging simulation, an action that is not finite) stops the run with its place.
    let private stepping (folder: RunFolder) (iteration: int64) (advance: unit -> 'a) : 'a =
        let stop (error: exn) =
            Errors.fail (Diverged $"{error.Message.TrimEnd('.')} (iteration {iteration}); {lastGood folder}")

        try
            advance ()
        with
        | :? Sdac.Mujoco.SimulationException as error -> stop error
        | :? Sdac.Mujoco.ActionException as error -> stop error

    // ---- training

    /// A run between two iterations: all that the loop hands on.
    [<NoComparison; NoEquality>]
    type private TrainingState<'state, 'work> =
        {
            Step: Step<'state, 'work>
            /// Of the replay memory, on disk
            Parts: MemoryPart list
            /// Seconds that the speed of the training leaves out
            Aside: float
        }

    /// What a training process works with until it ends.
    [<NoComparison; NoEquality>]
    type private TrainingContext<'config, 'state, 'work> =
        {
            Plan: Plan<'config, 'state, 'work>
            Folder: RunFolder
            Arena: Environment
            Log: RunLog
            Timings: Timings
            Stages: Stage<'state, 'work>
            Quiet: bool
            /// Where this process began
            FirstEnvSteps: int64
        }

    /// Is a multiple of `every` among the iterations behind `before` up to `now`?
    let private due every (before: int64) (now: int64) = every > 0L && now / every > before / every

    let private evaluateNow (w: TrainingContext<'c, 's, 'w>) (step: Step<'s, 'w>) : Score =
        let key = Key.ofSeed w.Plan.Spec.Seed |> Key.foldIn evaluationStream

        let episodes =
            stepping w.Folder step.Iteration (fun () -> Evaluation.run step.Agent w.Arena key step.State)

        let score = Score.ofEpisodes episodes
        w.Log.Evaluation(RunPlace.ofStep step, score, episodes)
        score

    /// Work that the speed of the training leaves out.
    let private aside (w: TrainingContext<'c, 's, 'w>) name (work: unit -> 'a) (p: TrainingState<'s, 'w>) =
        let began = w.Timings.Elapsed
        let result = w.Timings.Phases.Time name work ()
        struct (result, { p with Aside = p.Aside + w.Timings.Elapsed - began })

    /// Has something that lies between rounds become due in the round behind, and is the run not at its end?
    let private dueBetween every (spec: Spec) (step: Step<'s, 'w>) =
        due every (step.Iteration - int64 step.Agent.Rhythm.Updates) step.Iteration
        && step.Iteration < spec.Iterations

    let private evaluateWhenDue (w: TrainingContext<'c, 's, 'w>) (p: TrainingState<'s, 'w>) =
        if dueBetween w.Plan.Spec.EvaluateEvery w.Plan.Spec p.Step then
            let struct (_, p) = aside w "evaluation" (fun () -> evaluateNow w p.Step) p
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

        struct (path, { p with Parts = parts })

    let private rate (w: TrainingContext<'c, 's, 'w>) (p: TrainingState<'s, 'w>) =
        float (p.Step.EnvSteps - w.FirstEnvSteps) / (w.Timings.Elapsed - p.Aside)

    let private note (w: TrainingContext<'c, 's, 'w>) (before: int64) (p: TrainingState<'s, 'w>) : Figures =
        let at = RunPlace.ofStep p.Step
        let logged = due w.Plan.Spec.LogEvery before at.Iteration
        w.Log.Episodes(at, p.Step.Episodes)

        match p.Step.Figures with
        | Some figures ->
            let figures = w.Log.Update(at, figures, p.Step.Tallies, logged)

            if logged then
                w.Timings.Write(at.Iteration, rate w p)

            figures
        | None -> w.Log.Figures

    let private headlines (infos: FigureInfo list) (figures: Figures) =
        [ for info in infos do
              match info.Headline, Map.tryFind info.Name figures with
              | Some label, Some value -> label, value
              | _ -> () ]

    let private told (w: TrainingContext<'c, 's, 'w>) (p: TrainingState<'s, 'w>) (figures: Figures) : TrainingProgress =
        { Iteration = p.Step.Iteration
          EnvSteps = p.Step.EnvSteps
          StepsPerSecond = rate w p
          RecentReturn = w.Log.RecentReturn
          Headlines = headlines w.Plan.Experiment.Algorithm.Figures figures }

    /// One iteration with all that belongs to it: log, progress, and where they are due checkpoint and evaluation, which lie
    /// between rounds.
    let private iterate (w: TrainingContext<'c, 's, 'w>) (report: TrainingProgress -> unit) (p: TrainingState<'s, 'w>) =
        let phases = w.Timings.Phases
        let before = p.Step.Iteration
        let step = stepping w.Folder before (fun () -> Round.consume w.Stages p.Step)
        let p = { p with Step = step }
        checkFinite w.Folder w.Plan.Experiment.Algorithm.Figures step
        let figures = phases.Time "logging" (note w before) p
        phases.Time "progress" (told w p >> report) figures

        if due CollectEvery before step.Iteration then
            GC.Collect(0, GCCollectionMode.Forced, true)

        if not (Round.begins step) then
            p
        else
            // first the checkpoint: an evaluation that fails loses nothing
            let p =
                if dueBetween w.Plan.Spec.CheckpointEvery w.Plan.Spec step then
                    let struct (_, p) = checkpoint w p
                    p
                else
                    p

            evaluateWhenDue w p

    let private peakMemory () =
        use self = Process.GetCurrentProcess()
        float self.PeakWorkingSet64 / 1048576.0

    let private summary (w: TrainingContext<'c, 's, 'w>) checkpoint final (step: Step<'s, 'w>) : Summary =
        let spec = w.Plan.Spec
        let bestAt, best = w.Log.Best |> Option.defaultValue (step.EnvSteps, final)

        { Algorithm = spec.Algorithm
          Task = spec.Task
          Seed = spec.Seed
          Iterations = step.Iteration
          EnvSteps = step.EnvSteps
          Final = final
          BestMean = best.Mean
          BestAtEnvSteps = bestAt
          RecentTrainingReturn = w.Log.RecentReturn
          Figures = w.Log.Figures
          Checkpoint = IO.Path.GetRelativePath(w.Folder.Path, checkpoint)
          WallClockSeconds = w.Timings.Total
          PeakMemoryMiB = peakMemory ()
          // known at the very end
          TimingLines = 0L
          Files = Map.empty }

    /// Where a process begins with a run: at its beginning, or at a checkpoint.
    [<NoComparison; NoEquality>]
    type private Beginning<'state, 'work> = { Step: Step<'state, 'work>; Journal: Journal; Parts: MemoryPart list }

    /// The random warm-up, or what an uninterrupted run does right after a checkpoint.
    let private prepare (w: TrainingContext<'c, 's, 'w>) (p: TrainingState<'s, 'w>) : TrainingState<'s, 'w> =
        let step = p.Step

        if step.Iteration > 0L then
            evaluateWhenDue w p
        else
            let transitions = int64 step.Agent.Rhythm.WarmUp

            if not w.Quiet && transitions > 0L then
                printfn $"{step.Environment.Task}: {Progress.thousands transitions} random transitions first"

            let struct (step, p) = aside w "warmUp" (fun () -> stepping w.Folder 0L (fun () -> Round.warm step)) p

            { p with Step = step }

    let private rounds (w: TrainingContext<'c, 's, 'w>) (p: TrainingState<'s, 'w>) : TrainingState<'s, 'w> =
        let total = w.Plan.Spec.Iterations
        let mutable p = p

        Progress.run w.Quiet total p.Step.Iteration (fun report ->
            while p.Step.Iteration < total do
                p <- iterate w report p)

        p

    let private checkTrail (folder: RunFolder) (made: string list) (now: string list) =
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

    /// Trains on from the beginning given to the end of the run.
    let private train (plan: Plan<'c, 's, 'w>) (folder: RunFolder) (quiet: bool) (from: Beginning<'s, 'w>) : Summary =
        let e = plan.Experiment
        use environment = from.Step.Environment
        use arena = arena e plan.Spec.EvaluationEpisodes

        let infos, distributions = e.Algorithm.Figures, from.Step.Agent.Distributions
        use log = new RunLog(folder, plan.Spec, infos, distributions, from.Journal)
        use timings = new Timings(folder, from.Step.Iteration)
        let stages = plan.Stages |> Option.defaultWith (fun () -> Round.standard from.Step.Agent)

        let context =
            { Plan = plan
              Folder = folder
              Arena = arena
              Log = log
              Timings = timings
              Stages = stages
              Quiet = quiet
              FirstEnvSteps = from.Step.EnvSteps }

        let mutable p =
            { Step = { from.Step with Around = timings.Phases.Time }; Parts = from.Parts; Aside = 0.0 }

        try
            p <- prepare context p
            let context = { context with Plan = noteTrail plan folder p.Step }

            // what compiling the script and the warm-up left behind
            GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, true, true)
            let trained = p.Step.Iteration < plan.Spec.Iterations
            p <- rounds context p

            let struct (last, _) =
                if trained then
                    checkpoint context p
                else
                    struct (Checkpoint.path folder p.Step.Iteration, p)

            let final = evaluateNow context p.Step
            let summary = summary context last final p.Step
            log.Save() |> ignore
            timings.Flush()
            summary
        finally
            Round.disposeState p.Step

    // ---- pictures and tables

    /// Draws the learning curve of a run folder from its metrics; a sentence where there is no picture.
    let drawCurve (folder: RunFolder) (e: Experiment<'c, 's, 'w>) : Result<unit, string> =
        let lines = Metrics.read folder.Metrics
        let ofKind kind = lines |> List.filter (fun l -> l["kind"] = Label kind) |> List.toArray
        let figure name (line: Map<string, Figure>) = Metrics.number line[name] |> Option.defaultValue nan
        let steps line = int64 (figure "envSteps" line)
        let episodes = ofKind "episode" |> Array.map (fun l -> steps l, figure "return" l)

        let evaluations =
            ofKind "evaluation" |> Array.map (fun l -> steps l, figure "mean" l, figure "deviation" l)

        let subtitle =
            [ e.Algorithm.Title; $"seed %d{e.Seed}"; e.Algorithm.Describe e.Config ]
            |> List.filter ((<>) "")
            |> String.concat ", "

        Plot.learningCurve e.Task subtitle episodes evaluations |> Plot.save folder.Curve

    let private table (infos: FigureInfo list) (summary: Summary) (place: string) (picture: string) =
        let show (value: float) = Number.display value

        let last =
            headlines infos summary.Figures
            |> List.map (fun (label, value) -> $"{label} {show value}")
            |> String.concat ", "

        Progress.summaryTable
            $"{summary.Task}, {summary.Algorithm}, seed %d{summary.Seed}"
            [ "final evaluation",
              $"{show summary.Final.Mean} ± {show summary.Final.Deviation} over {summary.Final.Episodes} episodes"
              "lowest, highest", $"{show summary.Final.Lowest}, {show summary.Final.Highest}"
              "best evaluation",
              $"{show summary.BestMean} at {Progress.thousands summary.BestAtEnvSteps} environment steps"
              "training, last episodes", show summary.RecentTrainingReturn
              "iterations, environment steps",
              $"{Progress.thousands summary.Iterations}, {Progress.thousands summary.EnvSteps}"
              "last update", last
              "wall-clock", $"%.0f{summary.WallClockSeconds} s"
              "peak memory", $"%.0f{summary.PeakMemoryMiB} MiB"
              "run folder", place
              "learning curve", picture ]

    /// Training, curve, summary: to the end, from wherever the folder stands. The caller holds the lock. summary.json comes
    /// last: where it is, the run is finished.
    let private finish (plan: Plan<'c, 's, 'w>) (folder: RunFolder) (place: string) quiet from : Summary =
        let summary = train plan folder quiet from

        let picture =
            match drawCurve folder plan.Experiment with
            | Ok() -> folder.Curve
            | Error sentence -> $"no picture: {sentence}"

        let summary =
            { summary with TimingLines = RunFiles.timingLines folder; Files = RunFiles.describe folder }

        Files.writeText folder.Summary (Json.print summary + "\n")
        table plan.Experiment.Algorithm.Figures summary place picture
        summary

    // ---- runs from nothing

    /// The run's newest checkpoint, or its beginning where it has none.
    let private beginning (plan: Plan<'c, 's, 'w>) (folder: RunFolder) : Beginning<'s, 'w> =
        let first = Round.start plan.Experiment

        try
            match Checkpoint.restore plan.Registry folder plan.Spec first with
            | None -> { Step = first; Journal = Journal.empty; Parts = [] }
            | Some restored ->
                for complaint in restored.Complaints do
                    eprintfn $"warning: {complaint}; an older checkpoint is used"

                Round.disposeState first
                { Step = restored.Step; Journal = restored.Journal; Parts = restored.Parts }
        with _ ->
            Round.dispose first
            reraise ()

    /// The specification with what is known of its stages before the first iteration: the algorithm's own, or a mark of the
    /// script that brings others. An algorithm that is not this library's is marked so too.
    let private marked (agent: Agent<'s, 'w>) (stages: Stage<'s, 'w> option) (spec: Spec) : Spec =
        let isOwn = (Registry.tryFind spec.Algorithm Registry.standard).IsNone

        { spec with
            Stages = if stages.IsSome then [] else Round.standardTrail agent
            Script = if isOwn || stages.IsSome then Sessions.script () else None }

    let private start (plan: Plan<'c, 's, 'w>) (options: RunOptions) : Summary =
        Machine.useThreads (Compute.create plan.Spec.Device plan.Spec.Kernels) options.Threads
        // before a folder is made or emptied: settings that the task refuses
        let agent = agent plan.Experiment
        let plan = { plan with Spec = marked agent plan.Stages plan.Spec }
        let folder = RunFolder.create options.Out options.Overwrite
        use _ = RunFolder.lock folder
        Files.writeText folder.Spec (Spec.print plan.Spec)
        Files.writeText folder.Machine (Json.print (Machine.describe ()) + "\n")
        finish plan folder options.Out options.Quiet (beginning plan folder)

    /// What to do with a specification's algorithm, whatever its types.
    let private opened (registry: Registry) (spec: Spec) (work: IOpen<'r>) : 'r =
        (Spec.algorithm registry "the specification" spec.Algorithm).Open work

    /// A whole run of a specification from nothing: folder, specification, training, curve, summary table.
    let run (registry: Registry) (spec: Spec) (options: RunOptions) : Summary =
        let spec = Spec.validate registry "" spec

        opened
            registry
            spec
            { new IOpen<Summary> with
                member _.Open algorithm =
                    start
                        { Registry = registry; Spec = spec; Experiment = Spec.experiment algorithm spec; Stages = None }
                        options }

    let private registryOf (algorithm: Algorithm<'c, 's, 'w>) =
        match Registry.tryFind algorithm.Name Registry.standard with
        | Some _ -> Registry.standard
        | None -> Registry.add algorithm Registry.standard

    /// A whole run with stages of one's own. `spec` is the experiment's (`Spec.create`), with other schedules where wanted.
    let compose
        (stages: Stage<'s, 'w>)
        (algorithm: Algorithm<'c, 's, 'w>)
        (spec: Spec)
        (options: RunOptions)
        : Summary =
        let registry = registryOf algorithm
        let spec = Spec.validate registry "" spec

        start
            { Registry = registry
              Spec = spec
              Experiment = Spec.experiment algorithm spec
              Stages = Some stages }
            options

    // ---- runs taken up again

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

    /// Refuses to go on with other stages than the run was made with, or from an edited script, before anything is written.
    let private checkStages (plan: Plan<'c, 's, 'w>) (folder: RunFolder) (from: Beginning<'s, 'w>) =
        let spec = plan.Spec

        match spec.Script with
        | Some mark when Sessions.script () <> Some mark ->
            Errors.fail (
                Settings
                    $"{folder.Spec} was begun by the script {mark.File}, which is not this one or has been edited since: put it back, or train anew in another folder"
            )
        | _ -> ()

        match plan.Stages with
        | None when not spec.Stages.IsEmpty -> checkTrail folder spec.Stages (Round.standardTrail from.Step.Agent)
        | Some stages when not spec.Stages.IsEmpty ->
            // without a checkpoint the run begins anew: its first iteration is the one behind the warm-up
            let step = stepping folder from.Step.Iteration (fun () -> Round.warm from.Step)
            checkTrail folder spec.Stages (stepping folder step.Iteration (fun () -> Round.trail stages step))
        | _ -> ()

    let private takeUp (plan: Plan<'c, 's, 'w>) (folder: RunFolder) (path: string) (threads: int) (quiet: bool) =
        Machine.useThreads (Compute.create plan.Spec.Device plan.Spec.Kernels) threads
        let from = beginning plan folder

        try
            checkStages plan folder from
        with _ ->
            Round.dispose from.Step
            reraise ()

        noteMachine folder from.Step.Iteration

        if not quiet && from.Step.Iteration > 0L then
            printfn $"{plan.Spec.Task}: resumed after iteration {Progress.thousands from.Step.Iteration}"

        finish plan folder path quiet from

    /// Takes a run up by `work` unless it is finished.
    let private unlessFinished
        (registry: Registry)
        (path: string)
        (work: Spec -> RunFolder -> Summary)
        : Summary option =
        let folder = RunFolder.openExisting path

        if RunFiles.isFinished folder then
            None
        else
            let spec = Spec.ofRun registry folder
            use _ = RunFolder.lock folder

            // it may have ended while this process waited for nothing but the lock
            if RunFiles.isFinished folder then
                None
            else
                for inner in [ folder.Path; folder.Checkpoints; folder.Memory ] do
                    Files.removeUnfinished inner

                Files.createFolder folder.Checkpoints
                Some(work spec folder)

    /// Takes a run up again where its last good checkpoint left it, or from its beginning where it has none (spec.json is
    /// enough), and brings it to its end; None where it is finished already, and then nothing is touched; Damaged where it is, but
    /// files of it are no longer as it wrote them. What comes out is what an uninterrupted run gives.
    let resume (registry: Registry) (path: string) (threads: int) (quiet: bool) : Summary option =
        unlessFinished registry path (fun spec folder ->
            opened
                registry
                spec
                { new IOpen<Summary> with
                    member _.Open algorithm =
                        takeUp
                            { Registry = registry
                              Spec = spec
                              Experiment = Spec.experiment algorithm spec
                              Stages = None }
                            folder
                            path
                            threads
                            quiet })

    /// The same with the stages of one's own that the run was begun with.
    let resumeComposed
        (stages: Stage<'s, 'w>)
        (algorithm: Algorithm<'c, 's, 'w>)
        (path: string)
        (threads: int)
        (quiet: bool)
        : Summary option =
        let registry = registryOf algorithm

        unlessFinished registry path (fun spec folder ->
            if spec.Algorithm <> algorithm.Name then
                Errors.fail (
                    Settings
                        $"{folder.Spec} is a run of the algorithm {spec.Algorithm}, not of {algorithm.Name}: resume it with that one"
                )

            takeUp
                { Registry = registry
                  Spec = spec
                  Experiment = Spec.experiment algorithm spec
                  Stages = Some stages }
                folder
                path
                threads
                quiet)
