namespace Sdac.Experiments

open System.Text.Json.Nodes
open Sdac

/// Everything that decides the results of a run, with its seed. Printed into the run folder, parsed from --config.
type Spec =
    {
        /// Version of this record's layout
        Schema: int
        Experiment: Experiment
        /// Iterations between evaluations; 0 evaluates at the end only
        EvaluateEvery: int64
        /// Episodes of an evaluation, played without exploration noise
        EvaluationEpisodes: int
        /// Iterations between checkpoints; 0 writes one at the end only
        CheckpointEvery: int64
        /// Checkpoints that stay on disk, the newest
        CheckpointsKept: int
        /// Iterations between lines of update metrics
        LogEvery: int64
    }

[<RequireQualifiedAccess>]
module Spec =
    /// The layout that this program writes and reads.
    [<Literal>]
    let Schema = 1

    /// A specification around an experiment, with the usual schedules.
    let create (experiment: Experiment) =
        { Schema = Schema
          Experiment = experiment
          EvaluateEvery = max 1L (experiment.Iterations / 20L)
          EvaluationEpisodes = 20
          CheckpointEvery = max 1L (experiment.Iterations / 10L)
          CheckpointsKept = 3
          LogEvery = max 1L (experiment.Iterations / 500L) }

    /// The specification around another experiment; with another number of iterations the schedules keep their share of it.
    let withExperiment (experiment: Experiment) (spec: Spec) =
        let share (every: int64) =
            if every = 0L then
                0L
            else
                max 1L (int64 (float every * float experiment.Iterations / float (max 1L spec.Experiment.Iterations)))

        if experiment.Iterations = spec.Experiment.Iterations then
            { spec with Experiment = experiment }
        else
            { spec with
                Experiment = experiment
                EvaluateEvery = share spec.EvaluateEvery
                CheckpointEvery = share spec.CheckpointEvery
                LogEvery = share spec.LogEvery }

    /// The specification itself, or a Settings failure that names all that is impossible in it.
    let validate (spec: Spec) =
        let e = spec.Experiment

        let problems =
            [ if spec.Schema <> Schema then
                  $"schema is %d{spec.Schema}; this version reads {Schema}"
              if e.Iterations < 1L then
                  $"iterations is %d{e.Iterations}; it must be at least 1"
              if spec.EvaluateEvery < 0L then
                  $"evaluateEvery is %d{spec.EvaluateEvery}; it must be at least 0"
              if spec.EvaluationEpisodes < 1 then
                  $"evaluationEpisodes is %d{spec.EvaluationEpisodes}; it must be at least 1"
              if spec.CheckpointEvery < 0L then
                  $"checkpointEvery is %d{spec.CheckpointEvery}; it must be at least 0"
              if spec.CheckpointsKept < 1 then
                  $"checkpointsKept is %d{spec.CheckpointsKept}; it must be at least 1"
              if spec.LogEvery < 1L then
                  $"logEvery is %d{spec.LogEvery}; it must be at least 1"
              yield! Config.problems e.Config ]

        match problems with
        | [] -> spec
        | problems -> Errors.fail (Settings("impossible settings: " + String.concat "; " problems))

    /// A text of another version would be refused for its settings' names before its version.
    let private checkSchema (place: string) (text: string) =
        match Json.parseNode place text with
        | :? JsonObject as fields ->
            match fields["schema"] with
            | :? JsonValue as schema when schema.ToJsonString() <> string Schema ->
                Errors.fail (Settings $"{place} has schema {schema.ToJsonString()}; this version reads {Schema}")
            | _ -> ()
        | _ -> ()

    /// Reads a specification; what the text leaves out is taken from `complete`. `place` names the text in messages.
    let parse (place: string) (complete: Spec) (text: string) : Spec =
        checkSchema place text
        Json.parseOver place complete text

    let print (spec: Spec) = Json.print spec + "\n"

    /// Fails with Settings, naming the first difference, where a run was made with another specification than `given`.
    let checkSame (madeBy: string) (made: Spec) (place: string) (given: Spec) =
        match Json.differences made given with
        | [] -> ()
        | (path, before, now) :: _ ->
            Errors.fail (
                Settings
                    $"{place} says {path} = {now}, but {madeBy} was made with {before}: put it back, or train anew in another folder"
            )

    /// The text's specification over the published settings of its algorithm, and what the text leaves out, by path, each with the
    /// value that it is given so ("" where it is a part of several settings). `place` names the text in messages.
    let private overPublished (place: string) (text: string) : struct (Spec * (string * string) list) =
        let over experiment = parse place (create experiment) text
        // a specification that names no task has none
        let nowhere = ""
        let sdac = over (Experiment.sdac nowhere)

        let spec =
            match sdac.Experiment.Config.Algorithm with
            | Algorithm.Sdac -> sdac
            | Algorithm.Dpmd -> over (Experiment.dpmd nowhere)

        struct (spec, Json.missing place spec text)

    let private shown (path: string, value: string) =
        if value.StartsWith '{' || value = "\"\"" then
            path
        else
            $"{path} (published: {value})"

    /// Reads the specification that a run was made with; one that leaves something out is refused. `place` names the text in
    /// messages.
    let parseWhole (place: string) (text: string) : Spec =
        match overPublished place text with
        | struct (spec, []) -> spec
        | struct (_, missing) ->
            let missing = missing |> List.map shown |> String.concat ", "

            Errors.fail (
                Settings
                    $"{place} lacks {missing}: put back what the run was begun with, or train anew in another folder"
            )

    /// The specification that a checkpoint holds. An older version may have had fewer settings: the others were as published.
    let parseRecorded (place: string) (text: string) : Spec =
        let struct (spec, _) = overPublished place text
        spec

    /// The specification of a run folder, to go on with the run: all of it must be there.
    let ofRun (folder: RunFolder) : Spec = Files.readUtf8 folder.Spec |> parseWhole folder.Spec |> validate

    /// The specification of a run folder, to look at the run. What it leaves out is as published, each said in a sentence.
    let ofRunOrPublished (folder: RunFolder) : struct (Spec * string list) =
        let struct (spec, missing) = Files.readUtf8 folder.Spec |> overPublished folder.Spec

        if spec.Experiment.Task = "" then
            Errors.fail (Settings $"{folder.Spec} lacks experiment.task: put back the task that the run was begun with")

        let said =
            missing
            |> List.map (fun setting -> $"{folder.Spec} lacks {shown setting}: what was published is used")

        struct (validate spec, said)

/// The algorithms by name.
[<RequireQualifiedAccess>]
module Algorithms =
    let all = [ "sdac", Algorithm.Sdac; "dpmd", Algorithm.Dpmd ]

    /// The algorithm of that name; an unknown one is a Settings failure that names the nearest.
    let find (name: string) : Algorithm =
        match List.tryFind (fst >> (=) name) all with
        | Some(_, algorithm) -> algorithm
        | None -> Errors.fail (Settings(Errors.unknown "algorithm" name "--algorithm" (List.map fst all)))

/// Named starting points.
[<RequireQualifiedAccess>]
module Presets =
    /// InvertedPendulum-v4 in a minute or two: small networks, few particles, sharper weights (QScale 20 at λ ≈ 1), faster targets.
    let private quick =
        let experiment =
            Experiment.sdac "InvertedPendulum-v4"
            |> Experiment.iterations 20_000L
            |> Experiment.configure (fun published ->
                { published with
                    Hidden = [ 64; 64 ]
                    BatchSize = 128
                    Timesteps = 10
                    Particles = 8
                    MonteCarloDraws = 16
                    QScale = 20.0
                    InitialTemperature = 1.0
                    LearningRate = 1e-3
                    PolicyLearningRateEnd = 1e-4
                    PolicyDecayBegin = 5_000L
                    PolicyDecayLength = 5_000L
                    Tau = 0.02
                    PolicyDelay = 1
                    Environments = 2
                    WarmUp = 1_000
                    BufferCapacity = 100_000 })

        { Spec.create experiment with EvaluateEvery = 1_000L }

    /// HalfCheetah-v4 on two cores: 100,000 environment steps.
    let private laptop =
        let experiment =
            Experiment.sdac "HalfCheetah-v4"
            |> Experiment.iterations 50_000L
            |> Experiment.configure (fun published ->
                { published with
                    Hidden = [ 128; 128 ]
                    Timesteps = 10
                    Particles = 4
                    MonteCarloDraws = 16
                    InitialTemperature = 1.0
                    LearningRate = 1e-3
                    PolicyLearningRateEnd = 3e-4
                    Tau = 0.01
                    Environments = 4
                    UpdatesPerStep = 2
                    WarmUp = 10_000 })

        { Spec.create experiment with EvaluateEvery = 2_500L; EvaluationEpisodes = 5 }

    /// The published configuration, 200,000 updates = 1,000,000 environment steps.
    let private paper = Spec.create (Experiment.sdac "HalfCheetah-v4")

    let all = [ "quick", quick; "laptop", laptop; "paper", paper ]

    /// The preset of that name; an unknown one is a Settings failure that names the nearest.
    let find (name: string) =
        match List.tryFind (fst >> (=) name) all with
        | Some(_, spec) -> spec
        | None -> Errors.fail (Settings(Errors.unknown "preset" name "--preset" (List.map fst all)))
