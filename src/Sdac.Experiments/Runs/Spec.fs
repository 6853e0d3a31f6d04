namespace Sdac.Experiments

open System
open System.Text.Json.Nodes
open Sdac.Functional

/// A checkpoint whose networks a run begins with.
type StartMark =
    {
        /// The file, by its full path
        Checkpoint: string
        /// The digest that stands in the file
        Sha256: string
    }

/// Everything that decides the results of a run, with its seed. Printed into the run folder, parsed from --config.
type Spec<'config> =
    {
        /// Version of this record's layout
        Schema: int
        /// By its name in the registry
        Algorithm: string
        Task: string
        /// The task's own options by Gymnasium's names
        TaskOptions: Map<string, string>
        /// The seed of all randomness
        Seed: int64
        /// Updates
        Iterations: int64
        /// The planned length in updates, which schedules go by
        Horizon: int64
        /// cpu, cuda or cuda:N
        Device: string
        /// Our kernels (CPU), or libtorch alone
        Kernels: bool
        /// The algorithm's settings
        Config: 'config
        /// The named stages that an iteration passes; empty until the first one
        Stages: string list
        /// Where the stages or the algorithm are not this library's
        Script: ScriptMark option
        /// Where the run begins with the networks of another
        From: StartMark option
        /// Other seeds for some streams of its random numbers, by the streams' names (`Spec.streams`): a branch of another run
        Reseeded: Map<string, int64>
        /// Iterations between evaluations; 0 evaluates at the end only
        EvaluateEvery: int64
        /// Episodes of an evaluation, played without exploration noise
        EvaluationEpisodes: int
        /// Iterations between checkpoints; 0 writes one at the end only
        CheckpointEvery: int64
        /// Checkpoints that stay on disk, the newest
        CheckpointsKept: int
        /// Every so many-th checkpoint stays on disk for good; 0: none
        KeepEvery: int64
        /// Iterations between lines of update metrics
        LogEvery: int64
    }

/// The specification of a run whose algorithm's types are not known.
type Spec = Spec<ConfigJson>

[<RequireQualifiedAccess>]
module Spec =
    /// The layout that this program writes.
    [<Literal>]
    let Schema = 2

    /// The streams of a run's random numbers that a branch can have another seed for: those of an iteration, and the environments'
    /// resets.
    let streams: string list = Round.streams @ [ "environments" ]

    /// The settings that decide when a run looks at itself and what it keeps of it, not what it learns.
    let schedules: string list =
        [ "evaluateEvery"
          "evaluationEpisodes"
          "checkpointEvery"
          "checkpointsKept"
          "keepEvery"
          "logEvery" ]

    // ---- with and without types

    let private withConfig (config: 'b) (spec: Spec<'a>) : Spec<'b> =
        { Schema = spec.Schema
          Algorithm = spec.Algorithm
          Task = spec.Task
          TaskOptions = spec.TaskOptions
          Seed = spec.Seed
          Iterations = spec.Iterations
          Horizon = spec.Horizon
          Device = spec.Device
          Kernels = spec.Kernels
          Config = config
          Stages = spec.Stages
          Script = spec.Script
          From = spec.From
          Reseeded = spec.Reseeded
          EvaluateEvery = spec.EvaluateEvery
          EvaluationEpisodes = spec.EvaluationEpisodes
          CheckpointEvery = spec.CheckpointEvery
          CheckpointsKept = spec.CheckpointsKept
          KeepEvery = spec.KeepEvery
          LogEvery = spec.LogEvery }

    let internal erase (spec: Spec<'c>) : Spec = withConfig (ConfigJson(Json.compact spec.Config)) spec

    let internal typed (algorithm: Algorithm<'c, 's, 'w>) (spec: Spec) : Spec<'c> =
        let (ConfigJson text) = spec.Config
        withConfig (Json.parseOver $"the settings of {algorithm.Name}" algorithm.Published text) spec

    /// The algorithm of that name; an unknown one is a Settings failure that names the nearest.
    let algorithm (registry: Registry) (place: string) (name: string) : IAlgorithm =
        match Registry.tryFind name registry with
        | Some found -> found
        | None -> Errors.fail (Settings(Errors.unknown "algorithm" name place (Registry.names registry)))

    /// The algorithm of a specification, with what the task's options put before it.
    let algorithmOf (registry: Registry) (place: string) (spec: Spec) : IAlgorithm =
        algorithm registry place spec.Algorithm |> ObservationMoments.forTask spec.Task spec.TaskOptions

    /// The experiment that a specification is about, on one of these tasks.
    let experiment
        (tasks: Sdac.Environments.TaskSuite)
        (algorithm: Algorithm<'c, 's, 'w>)
        (spec: Spec)
        : Experiment<'c, 's, 'w> =
        let spec = typed algorithm spec

        { Algorithm = algorithm
          Config = spec.Config
          Task = spec.Task
          Tasks = tasks
          TaskOptions = spec.TaskOptions
          Seed = spec.Seed
          Iterations = spec.Iterations
          Horizon = { Iterations = spec.Horizon }
          Device = spec.Device
          Kernels = spec.Kernels }

    /// Settings of a replay memory among these names are refused for an algorithm that has none, for what they are: the nearest name
    /// would mislead.
    let internal refuseReplay (place: string) (algorithm: Algorithm<'c, 's, 'w>) (names: string list) =
        let last (path: string) = path.Substring(path.LastIndexOf '.' + 1)
        let leaves ty = Json.leaves ty |> List.map last
        let foreign = List.except (leaves typeof<'c>) (leaves typeof<DataSettings>)

        match names |> List.tryFind (fun name -> List.contains name foreign) with
        | Some name when not (Experiment.rhythm (Experiment.on algorithm "")).KeepMemory ->
            let place = if place = "" then "" else $" in {place}"

            Errors.fail (
                Settings
                    $"'{name}'{place} belongs to a replay memory, and {algorithm.Title} has none: it learns from each rollout and drops it; leave it out"
            )
        | _ -> ()

    // ---- making

    let internal usual (e: Experiment<'c, 's, 'w>) : Spec<'c> =
        { Schema = Schema
          Algorithm = e.Algorithm.Name
          Task = e.Task
          TaskOptions = e.TaskOptions
          Seed = e.Seed
          Iterations = e.Iterations
          Horizon = e.Horizon.Iterations
          Device = e.Device
          Kernels = e.Kernels
          Config = e.Config
          Stages = []
          Script = None
          From = None
          Reseeded = Map.empty
          EvaluateEvery = max 1L (e.Iterations / 20L)
          EvaluationEpisodes = 20
          CheckpointEvery = max 1L (e.Iterations / 100L)
          CheckpointsKept = 3
          KeepEvery = 10L
          LogEvery = max 1L (e.Iterations / 500L) }

    /// A specification around an experiment, with the usual schedules.
    let create (e: Experiment<'c, 's, 'w>) : Spec = usual e |> erase

    let private ofPreset (algorithm: Algorithm<'c, 's, 'w>) (preset: Preset<'c>) : Spec<'c> =
        let spec = Experiment.preset preset.Name algorithm |> usual

        { spec with
            EvaluateEvery = defaultArg preset.EvaluateEvery spec.EvaluateEvery
            EvaluationEpisodes = preset.EvaluationEpisodes }

    /// A preset of an algorithm; an unknown name is a Settings failure that names the nearest. `place` names where it was given.
    let preset (place: string) (name: string) (algorithm: IAlgorithm) : Spec =
        algorithm.Open
            { new IOpen<Spec> with
                member _.Open algorithm =
                    match algorithm.Presets |> List.tryFind (fun preset -> preset.Name = name) with
                    | Some preset -> ofPreset algorithm preset |> erase
                    | None ->
                        let names = algorithm.Presets |> List.map _.Name
                        Errors.fail (Settings(Errors.unknown $"preset of {algorithm.Name}" name place names)) }

    /// What a run's files say of it: as it was planned, so that their bytes do not depend on how far it was trained on later.
    let planned (spec: Spec) : Spec = { spec with Iterations = spec.Horizon }

    /// With another number of iterations, planned and run, the schedules keep their share of it.
    let iterations (count: int64) (spec: Spec) : Spec =
        let share (every: int64) =
            if every = 0L then
                0L
            else
                max 1L (int64 (float every * float count / float (max 1L spec.Iterations)))

        if count = spec.Iterations then
            spec
        else
            { spec with
                Iterations = count
                Horizon = count
                EvaluateEvery = share spec.EvaluateEvery
                CheckpointEvery = share spec.CheckpointEvery
                LogEvery = share spec.LogEvery }

    /// Updates between two evaluations of a short trial, at least.
    [<Literal>]
    let private TrialEvaluateEvery = 500L

    /// Of a trial of fewer updates than this an evaluation has few episodes.
    [<Literal>]
    let private Trial = 1_000L

    /// Fewer evaluations where a run is so short that it would mostly evaluate itself: none between the ends of 500 updates, and five
    /// episodes at most in a run of fewer than 1,000.
    let lessEvaluation (spec: Spec) : Spec =
        { spec with
            EvaluateEvery =
                if spec.EvaluateEvery = 0L then
                    0L
                else
                    max spec.EvaluateEvery (min TrialEvaluateEvery spec.Iterations)
            EvaluationEpisodes =
                if spec.Iterations < Trial then
                    min 5 spec.EvaluationEpisodes
                else
                    spec.EvaluationEpisodes }

    /// So many environment steps at least, as iterations.
    let envSteps (registry: Registry) (count: int64) (spec: Spec) : Spec =
        (algorithm registry "" spec.Algorithm).Open
            { new IOpen<Spec> with
                member _.Open algorithm =
                    iterations (experiment registry.Tasks algorithm spec |> Experiment.envSteps count).Iterations spec }

    /// Changes one setting: `key` is its path or its unambiguous last part, `text` its new value as JSON or plain text. A new
    /// number of iterations is planned for too, and the schedules keep their share of it. `place` names their origin in messages.
    let set (registry: Registry) (place: string) (spec: Spec) (key: string) (text: string) : Spec =
        let changed =
            (algorithm registry place spec.Algorithm).Open
                { new IOpen<Spec> with
                    member _.Open algorithm =
                        refuseReplay place algorithm [ key.Substring(key.LastIndexOf '.' + 1) ]
                        Json.setFrom place (typed algorithm spec) key text |> erase }

        if changed.Algorithm <> spec.Algorithm then
            Errors.fail (
                Settings $"{place} sets algorithm={changed.Algorithm} among other settings: choose it with --algorithm"
            )

        if changed.Iterations <> spec.Iterations && changed.Horizon = spec.Horizon then
            iterations changed.Iterations spec
        else
            changed

    // ---- printing

    let print (spec: Spec) = Json.print spec + "\n"
