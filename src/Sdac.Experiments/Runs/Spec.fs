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

    let private erase (spec: Spec<'c>) : Spec = withConfig (ConfigJson(Json.compact spec.Config)) spec

    let private typed (algorithm: Algorithm<'c, 's, 'w>) (spec: Spec) : Spec<'c> =
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
    let private refuseReplay (place: string) (algorithm: Algorithm<'c, 's, 'w>) (names: string list) =
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

    let private usual (e: Experiment<'c, 's, 'w>) : Spec<'c> =
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

    // ---- checking

    /// All that is impossible in a specification, one clause each. `place` names where it stands.
    let problems (registry: Registry) (place: string) (spec: Spec) : string list =
        let ofAlgorithm =
            (algorithm registry place spec.Algorithm).Open
                { new IOpen<string list> with
                    member _.Open algorithm = algorithm.Problems (typed algorithm spec).Config }

        [ if spec.Schema <> Schema then
              $"schema is %d{spec.Schema}; this version reads {Schema}"
          if spec.Iterations < 1L then
              $"iterations is %d{spec.Iterations}; it must be at least 1"
          if spec.Horizon < 1L && spec.Horizon <> spec.Iterations then
              $"horizon is %d{spec.Horizon}; it must be at least 1"
          if spec.EvaluateEvery < 0L then
              $"evaluateEvery is %d{spec.EvaluateEvery}; it must be at least 0"
          if spec.EvaluationEpisodes < 1 then
              $"evaluationEpisodes is %d{spec.EvaluationEpisodes}; it must be at least 1"
          if spec.CheckpointEvery < 0L then
              $"checkpointEvery is %d{spec.CheckpointEvery}; it must be at least 0"
          if spec.CheckpointsKept < 1 then
              $"checkpointsKept is %d{spec.CheckpointsKept}; it must be at least 1"
          if spec.KeepEvery < 0L then
              $"keepEvery is %d{spec.KeepEvery}; it must be at least 0"
          for KeyValue(stream, seed) in spec.Reseeded do
              if not (List.contains stream streams) then
                  Errors.unknown "stream" stream "reseeded" streams

              if seed < 0L then
                  $"the seed of {stream} is %d{seed}; it must be at least 0"
          if spec.LogEvery < 1L then
              $"logEvery is %d{spec.LogEvery}; it must be at least 1"
          yield! ofAlgorithm ]

    /// The specification itself, or a Settings failure that names all that is impossible in it. `place` names where it stands.
    let validate (registry: Registry) (place: string) (spec: Spec) : Spec =
        match problems registry place spec with
        | [] -> spec
        | problems ->
            let where = if place = "" then "" else $" in {place}"
            Errors.fail (Settings($"impossible settings{where}: " + String.concat "; " problems))

    /// The specification itself, or a Settings failure where there is no such task, or none with such options. `place` names where it
    /// stands.
    let onKnownTask (registry: Registry) (place: string) (spec: Spec) : Spec =
        match spec.Script with
        | Some mark when not (Seq.contains spec.Task registry.Tasks.Names) ->
            Errors.fail (
                Settings
                    $"{place} has the task {spec.Task}, which the script {mark.File} brought: use the commands of that script"
            )
        | _ ->
            try
                registry.Tasks.Create(spec.Task, spec.TaskOptions) |> ignore
                spec
            with :? ArgumentException as error ->
                Errors.fail (Settings $"{place}: {error.Message}")

    /// Fails with Settings, naming the first difference, where a run was made with another specification than `given`.
    let checkSame (madeBy: string) (made: Spec) (place: string) (given: Spec) =
        match Json.differences made given with
        | [] -> ()
        | (path, before, now) :: _ ->
            Errors.fail (
                Settings
                    $"{place} says {path} = {now}, but {madeBy} was made with {before}: put it back, or train anew in another folder"
            )

    /// What of a specification is not what another has, by its shortest name, with its value as JSON: settings that decide results.
    /// Schedules follow the number of iterations; task and seed have places of their own.
    let changes (from: Spec) (spec: Spec) : (string * string) list =
        let aside =
            Set
                [ "schema"
                  "task"
                  "seed"
                  "algorithm"
                  "horizon"
                  "stages"
                  "script"
                  "from"
                  "evaluateEvery"
                  "evaluationEpisodes"
                  "checkpointEvery"
                  "checkpointsKept"
                  "keepEvery"
                  "logEvery" ]

        let rec paths (path: string) (node: JsonNode | null) =
            match node with
            | :? JsonObject as fields when fields.Count > 0 ->
                [ for field in fields do
                      yield! paths (if path = "" then field.Key else $"{path}.{field.Key}") field.Value ]
            | _ -> [ path ]

        let all = paths "" (Json.parseNode "the specification" (Json.print spec))

        [ for path, _, now in Json.differences from spec do
              if not (aside.Contains(path.Split('.')[0])) then
                  Json.shortest all path, now ]

    // ---- reading and printing

    let print (spec: Spec) = Json.print spec + "\n"

    /// The text in this version's layout, and the algorithm that it means where it names none. A text of a newer one would be
    /// refused for its settings' names before its version.
    let private current (registry: Registry) (place: string) (text: string) : struct (string * string option) =
        let upgraded fields = struct (SpecSchema1.upgrade registry place fields, Some SpecSchema1.Standard)

        match Json.parseNode place text with
        | :? JsonObject as fields ->
            match fields["schema"] with
            | :? JsonValue as schema when schema.ToJsonString() = "1" -> upgraded fields
            | null when fields.ContainsKey "schema" -> SpecSchema1.refuseNull place "schema"
            | null when fields.ContainsKey "experiment" -> upgraded fields
            | :? JsonValue as schema when schema.ToJsonString() <> string Schema ->
                Errors.fail (Settings $"{place} has schema {schema.ToJsonString()}; this version reads 1 and {Schema}")
            | _ -> struct (text, None)
        | _ -> struct (text, None)

    /// The algorithm that a text names.
    let private named (place: string) (text: string) : string option =
        match Json.parseNode place text with
        | :? JsonObject as fields ->
            match fields["algorithm"] with
            | null when fields.ContainsKey "algorithm" -> SpecSchema1.refuseNull place "algorithm"
            | :? JsonValue as name when name.GetValueKind() = Text.Json.JsonValueKind.String -> Some(name.GetValue())
            | null -> None
            | other ->
                Errors.fail (
                    Settings $"'algorithm' in {place} is {other.ToJsonString()}: write the name of one, in quotes"
                )
        | _ -> None

    /// All names of a tree's objects.
    let rec private namesIn (node: JsonNode | null) : string list =
        match node with
        | :? JsonObject as fields -> fields |> Seq.collect (fun field -> field.Key :: namesIn field.Value) |> List.ofSeq
        | _ -> []

    /// Reads a specification over a preset: of the algorithm that the text names, else of the one given. What the text leaves out
    /// is the preset's. `place` names the text in messages.
    let parse
        (registry: Registry)
        (place: string)
        (algorithmGiven: string option)
        (presetName: string)
        (text: string)
        : Spec =
        let struct (text, _) = current registry place text

        let name =
            match named place text, algorithmGiven with
            | Some named, Some given when named <> given ->
                Errors.fail (
                    Settings
                        $"{place} is about the algorithm {named}, but --algorithm says {given}: leave one of them out"
                )
            | Some named, _ -> named
            | None, Some given -> given
            | None, None -> (List.head (Registry.all registry)).Name

        let found = algorithm registry place name
        let complete = preset "--preset" presetName found

        found.Open
            { new IOpen<Spec> with
                member _.Open algorithm =
                    match Json.parseNode place text with
                    | :? JsonObject as fields -> refuseReplay place algorithm (namesIn fields["config"])
                    | _ -> ()

                    Json.parseOver place (typed algorithm complete) text |> erase }

    let rec private putMissing (names: string list) (published: JsonNode | null) (into: JsonNode | null) =
        match names, published, into with
        | [ name ], (:? JsonObject as published), (:? JsonObject as into) when not (into.ContainsKey name) ->
            into[name] <- published[name] |> Option.ofObj |> Option.map _.DeepClone() |> Option.toObj
        | name :: rest, (:? JsonObject as published), (:? JsonObject as into) when not rest.IsEmpty ->
            putMissing rest published[name] into[name]
        | _ -> ()

    /// Puts into a specification of today's layout the settings that were `Added` to its algorithm after it was written.
    let putAdded (registry: Registry) (algorithm: string) (fields: JsonObject) =
        match Registry.tryFind algorithm registry with
        | Some algorithm ->
            let published, added =
                algorithm.Open
                    { new IOpen<string * string list> with
                        member _.Open algorithm = Json.compact algorithm.Published, algorithm.Added }

            for path in added do
                putMissing (List.ofArray (path.Split '.')) (Json.parseNode algorithm.Name published) fields["config"]
        | None -> ()

    /// What specifications of this schema have not always had, as a run was without it.
    let putAddedFields (fields: JsonObject) =
        let added: (string * JsonNode option) list =
            [ "from", None; "keepEvery", Some(JsonValue.Create 10); "reseeded", Some(JsonObject()) ]

        for name, value in added do
            if not (fields.ContainsKey name) then
                fields[name] <- Option.toObj value

    let private withAdded (registry: Registry) (place: string) (algorithm: string) (text: string) : string =
        match Json.parseNode place text with
        | :? JsonObject as fields ->
            putAdded registry algorithm fields
            putAddedFields fields
            fields.ToJsonString()
        | _ -> text

    /// The text's specification over the published settings of its algorithm, and what the text leaves out though there was such
    /// a setting when it was written, by path, each with the value that it is given so. `place` names the text in messages.
    let private overPublished
        (registry: Registry)
        (place: string)
        (text: string)
        : struct (Spec * (string * string) list) =
        let struct (text, standard) = current registry place text

        let name =
            match named place text |> Option.orElse standard with
            | Some name -> name
            | None -> Errors.fail (Settings $"{place} lacks algorithm: put back what the run was begun with")

        let text = withAdded registry place name text

        (algorithm registry place name).Open
            { new IOpen<struct (Spec * (string * string) list)> with
                member _.Open algorithm =
                    // a specification that names no task has none
                    let complete = Experiment.on algorithm "" |> usual
                    let spec = Json.parseOver place complete text
                    struct (erase spec, Json.missing place spec text) }

    let private shown (path: string, value: string) =
        if value.StartsWith '{' || value = "\"\"" then
            path
        else
            $"{path} (published: {value})"

    /// Reads the specification that a run was made with; one that leaves something out is refused. `place` names the text in
    /// messages.
    let parseWhole (registry: Registry) (place: string) (text: string) : Spec =
        match overPublished registry place text with
        | struct (spec, []) -> spec
        | struct (_, missing) ->
            let missing = missing |> List.map shown |> String.concat ", "

            Errors.fail (
                Settings
                    $"{place} lacks {missing}: put back what the run was begun with, or train anew in another folder"
            )

    /// The specification that a checkpoint holds. An older version may have had fewer settings: the others were as published.
    let parseRecorded (registry: Registry) (place: string) (text: string) : Spec =
        let struct (spec, _) = overPublished registry place text
        spec

    /// The specification of a run folder, to go on with the run: all of it must be there.
    let ofRun (registry: Registry) (folder: RunFolder) : Spec =
        Files.readUtf8 folder.Spec
        |> parseWhole registry folder.Spec
        |> validate registry folder.Spec
        |> onKnownTask registry folder.Spec

    /// The specification of a run folder, to look at the run. What it leaves out is as published, each said in a sentence.
    let ofRunOrPublished (registry: Registry) (folder: RunFolder) : struct (Spec * string list) =
        let struct (spec, missing) = Files.readUtf8 folder.Spec |> overPublished registry folder.Spec

        if spec.Task = "" then
            Errors.fail (Settings $"{folder.Spec} lacks task: put back the task that the run was begun with")

        let said =
            missing
            |> List.map (fun setting -> $"{folder.Spec} lacks {shown setting}: what was published is used")

        struct (validate registry folder.Spec spec |> onKnownTask registry folder.Spec, said)
