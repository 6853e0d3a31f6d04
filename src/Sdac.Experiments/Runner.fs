namespace Sdac.Experiments

open System
open System.Collections.Generic
open System.Diagnostics
open Sdac

/// Returns of an evaluation.
type Score =
    {
        Mean: float
        /// Over the episodes (population)
        Deviation: float
        Lowest: float
        Highest: float
        Episodes: int
    }

/// The end of a run, as written to summary.json.
type Summary =
    {
        Task: string
        Seed: int64
        Iterations: int64
        EnvSteps: int64
        Final: Score
        BestMean: float
        BestAtEnvSteps: int64
        /// Mean return of the last training episodes, exploration noise included
        RecentTrainingReturn: float
        Lambda: float
        Checkpoint: string
        WallClockSeconds: float
        PeakMemoryMiB: float
    }

[<RequireQualifiedAccess>]
module Score =
    let ofEpisodes (episodes: Episode[]) =
        let returns = episodes |> Array.map _.Return
        let mean = Array.average returns

        { Mean = mean
          Deviation = sqrt (returns |> Array.averageBy (fun r -> (r - mean) * (r - mean)))
          Lowest = Array.min returns
          Highest = Array.max returns
          Episodes = returns.Length }

/// Seconds spent per phase since they were last asked for.
[<Sealed>]
type internal Phases() =
    let seconds = SortedDictionary<string, float>()

    /// Runs a piece of work on the account of a phase.
    member _.Time (name: string) (work: 'a -> 'b) (argument: 'a) : 'b =
        let began = Stopwatch.GetTimestamp()
        let result = work argument

        let before =
            match seconds.TryGetValue name with
            | true, value -> value
            | _ -> 0.0

        seconds[name] <- before + Stopwatch.GetElapsedTime(began).TotalSeconds
        result

    /// The seconds of every phase, by name; begins anew.
    member _.Drain() : (string * Figure) list =
        let figures = [ for pair in seconds -> pair.Key, Value pair.Value ]
        seconds.Clear()
        figures

/// The effects around the pure pipeline: logs, evaluations, checkpoints, the summary.
[<RequireQualifiedAccess>]
module Runner =
    /// Training episodes that "recent return" averages.
    [<Literal>]
    let private Recent = 20

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
        match Checkpoint.list folder with
        | newest :: _ -> $"the last good checkpoint is {newest}"
        | [] -> "no checkpoint had been written"

    let private checkFinite (folder: RunFolder) (step: Step) =
        match step.Metrics |> Option.bind Metrics.firstNotFinite with
        | Some(name, value) ->
            Errors.fail (
                Diverged
                    $"{name} is {value} at iteration {step.Iteration} on {step.Environment.Task}; {lastGood folder}; lower learningRate or qScale"
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
        | :? ArgumentException as error when error.Message.Contains "finite" -> stop error

    /// Most updates may leave the policy alone: its last figures stand in for those of an update that did.
    let private withPolicyOf (earlier: Metrics option) (m: Metrics) =
        match earlier with
        | Some e when m.PolicyLoss.IsNone ->
            { m with
                PolicyLoss = e.PolicyLoss
                PolicyGradientNorm = e.PolicyGradientNorm
                WeightConcentration = e.WeightConcentration }
        | _ -> m

    let private updateFigures (step: Step) (m: Metrics) =
        let optional name value = value |> Option.map (fun v -> name, Value v) |> Option.toList

        [ "kind", Label "update"
          "iteration", Count step.Iteration
          "envSteps", Count step.EnvSteps
          "q1Loss", Value m.Q1Loss
          "q2Loss", Value m.Q2Loss
          "q1Mean", Value m.Q1Mean
          "q1GradientNorm", Value m.Q1GradientNorm
          "q2GradientNorm", Value m.Q2GradientNorm
          yield! optional "policyLoss" m.PolicyLoss
          yield! optional "policyGradientNorm" m.PolicyGradientNorm
          yield! optional "weightConcentration" m.WeightConcentration
          "lambda", Value m.Lambda
          "entropy", Value m.Entropy ]

    let private episodeFigures (step: Step) (e: Episode) =
        [ "kind", Label "episode"
          "iteration", Count step.Iteration
          "envSteps", Count step.EnvSteps
          "return", Value e.Return
          "length", Count(int64 e.Length) ]

    let private evaluationFigures (step: Step) (score: Score) (episodes: Episode[]) =
        [ "kind", Label "evaluation"
          "iteration", Count step.Iteration
          "envSteps", Count step.EnvSteps
          "mean", Value score.Mean
          "deviation", Value score.Deviation
          "returns", Values [ for e in episodes -> e.Return ] ]

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
            $"SDAC, seed {e.Seed}, {c.Particles} particles, {c.MonteCarloDraws} draws, {c.Timesteps} timesteps"

        Plot.learningCurve e.Task subtitle episodes evaluations |> Plot.save folder.CurveSpec folder.Curve

    let private peakMemory () =
        use self = Process.GetCurrentProcess()
        float self.PeakWorkingSet64 / 1048576.0

    let private memory () = float Environment.WorkingSet / 1048576.0

    let private warmUp (quiet: bool) (step: Step) =
        if not quiet then
            printfn $"{step.Environment.Task}: {step.Model.Config.WarmUp:N0} random transitions first"

        Pipeline.warm step

    /// SDAC's stages by the names that timings.jsonl gives them.
    let sdac: (string * Stage) list =
        [ "collect", Pipeline.collect
          "evaluateQ", Pipeline.evaluateQ
          "reverseSample", Pipeline.reverseSample
          "rssmUpdate", Pipeline.rssmUpdate ]

    /// Trains as `spec` says, in `folder`: metrics, timings, checkpoints, summary, learning curve. The caller has set the threads
    /// (`Machine.useThreads`) and locked the folder.
    let train (spec: Spec) (stages: (string * Stage) list) (folder: RunFolder) (quiet: bool) : Summary =
        let e = spec.Experiment
        let clock = Stopwatch.StartNew()
        let phases = Phases()

        let iteration: Stage =
            stages |> List.map (fun (name, stage) -> phases.Time name stage) |> List.reduce (>>)

        let first = Pipeline.start e
        use environment = first.Environment
        use arena = arena e spec.EvaluationEpisodes
        use metrics = LineWriter.Create folder.Metrics
        use timings = LineWriter.Create folder.Timings
        let recent = Queue<float>()
        let evaluations = ResizeArray<int64 * Score>()
        let mutable step = first
        let mutable evaluating = 0.0

        let recentReturn () = if recent.Count = 0 then nan else Seq.average recent

        let evaluate () =
            let began = clock.Elapsed.TotalSeconds
            let key = Key.ofSeed e.Seed |> Key.foldIn evaluationStream
            let episodes = stepping folder step.Iteration (fun () -> Evaluation.run step.Model arena key step.State)
            let score = Score.ofEpisodes episodes
            metrics.Write(evaluationFigures step score episodes)
            evaluations.Add(step.EnvSteps, score)
            evaluating <- evaluating + clock.Elapsed.TotalSeconds - began
            score

        let writeTimings stepsPerSecond =
            timings.Write(
                [ "iteration", Count step.Iteration
                  "seconds", Value clock.Elapsed.TotalSeconds
                  "envStepsPerSecond", Value stepsPerSecond
                  "memoryMiB", Value(memory ()) ]
                @ phases.Drain()
            )

        let checkpoint () =
            // A later resume goes on behind these lines: they must be on the disk before the checkpoint is.
            metrics.Flush true
            Checkpoint.save folder spec.CheckpointsKept step

        try
            step <- stepping folder 0L (fun () -> warmUp quiet step)
            // what compiling the script and the warm-up left behind
            GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, true, true)
            let warm = clock.Elapsed.TotalSeconds
            let mutable last: Metrics option = None

            Progress.run quiet e.Iterations 0L (fun report ->
                while step.Iteration < e.Iterations do
                    step <- stepping folder step.Iteration (fun () -> Pipeline.consume iteration step)
                    checkFinite folder step

                    for episode in step.Episodes do
                        metrics.Write(episodeFigures step episode)
                        recent.Enqueue episode.Return

                        if recent.Count > Recent then
                            recent.Dequeue() |> ignore

                    match step.Metrics with
                    | None -> ()
                    | Some m ->
                        let m = withPolicyOf last m
                        last <- Some m
                        let training = clock.Elapsed.TotalSeconds - warm - evaluating
                        let rate = float step.EnvSteps / training

                        if due spec.LogEvery step.Iteration then
                            metrics.Write(updateFigures step m)
                            writeTimings rate

                        report
                            { Iteration = step.Iteration
                              EnvSteps = step.EnvSteps
                              StepsPerSecond = rate
                              RecentReturn = recentReturn ()
                              CriticLoss = m.Q1Loss
                              PolicyLoss = Option.defaultValue nan m.PolicyLoss
                              Lambda = m.Lambda }

                    if due CollectEvery step.Iteration then
                        GC.Collect(0, GCCollectionMode.Forced, true)

                    // first the checkpoint: an evaluation that fails loses nothing
                    if due spec.CheckpointEvery step.Iteration && step.Iteration < e.Iterations then
                        phases.Time "checkpoint" checkpoint () |> ignore

                    if due spec.EvaluateEvery step.Iteration && step.Iteration < e.Iterations then
                        phases.Time "evaluation" evaluate () |> ignore)

            let checkpoint = checkpoint ()
            let final = evaluate ()
            let bestAt, best = evaluations |> Seq.maxBy (fun (_, score) -> score.Mean)

            let summary =
                { Task = e.Task
                  Seed = e.Seed
                  Iterations = step.Iteration
                  EnvSteps = step.EnvSteps
                  Final = final
                  BestMean = best.Mean
                  BestAtEnvSteps = bestAt
                  RecentTrainingReturn = recentReturn ()
                  Lambda = step.State.Temperature.Lambda
                  Checkpoint = IO.Path.GetRelativePath(folder.Path, checkpoint)
                  WallClockSeconds = clock.Elapsed.TotalSeconds
                  PeakMemoryMiB = peakMemory () }

            metrics.Flush true
            timings.Flush true
            Files.writeText folder.Summary (Json.print summary + "\n")
            summary
        finally
            TrainState.dispose step.State

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
        let summary = train spec stages folder quiet

        let picture =
            match drawCurve folder spec.Experiment with
            | Ok() -> folder.Curve
            | Error sentence -> $"no picture: {sentence}"

        let show (value: float) = Number.display value

        Progress.summaryTable
            $"{summary.Task}, seed {summary.Seed}"
            [ "final evaluation",
              $"{show summary.Final.Mean} ± {show summary.Final.Deviation} over {summary.Final.Episodes} episodes"
              "lowest, highest", $"{show summary.Final.Lowest}, {show summary.Final.Highest}"
              "best evaluation", $"{show summary.BestMean} at {summary.BestAtEnvSteps:N0} environment steps"
              "training, last episodes", show summary.RecentTrainingReturn
              "iterations, environment steps", $"{summary.Iterations:N0}, {summary.EnvSteps:N0}"
              "λ", show summary.Lambda
              "wall-clock", $"{summary.WallClockSeconds:F0} s"
              "peak memory", $"{summary.PeakMemoryMiB:F0} MiB"
              "run folder", out
              "learning curve", picture ]

        summary
