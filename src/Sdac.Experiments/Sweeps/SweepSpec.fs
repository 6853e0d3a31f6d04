namespace Sdac.Experiments

open System
open System.Text.Json.Nodes
open Sdac.Functional

/// Sweeps as JSON, and the specifications of their runs.
[<RequireQualifiedAccess>]
module SweepSpec =
    /// The sweep as JSON.
    let print (sweep: Sweep) = Json.print sweep + "\n"

    /// What the text leaves out: one seed, the preset's task.
    let private complete = Sweep.create "" "quick"

    let private named (setting: string) (name: string, _) =
        name = setting || name.EndsWith("." + setting, StringComparison.Ordinal)

    /// The algorithm that settings choose; the registry's first where they choose none.
    let private algorithmOf (registry: Registry) (place: string) (settings: (string * SettingValue) list) : IAlgorithm =
        match settings |> List.filter (named "algorithm") |> List.tryLast with
        | Some(_, literal) -> Spec.algorithm registry place (literal.Text.Trim '"')
        | None -> List.head (Registry.all registry)

    let private place (sweep: Sweep) = $"sweep '{sweep.Name}'"

    /// The preset's task, for a sweep that names none.
    let private taskOf (registry: Registry) (place: string) (sweep: Sweep) : string =
        (algorithmOf registry place (Map.toList sweep.Base) |> Spec.preset place sweep.Preset).Task

    /// `"algorithms": ["sac", "td3"]` is short for `{ "sac": {}, "td3": {} }`.
    let private writtenOut (registry: Registry) (place: string) (text: string) : string =
        let named =
            match Json.parseNode place text with
            | :? JsonObject as root ->
                match root["algorithms"] with
                | :? JsonArray as names when names |> Seq.forall (fun name -> name :? JsonValue) ->
                    Some(root, [ for name in names -> string name ])
                | _ -> None
            | _ -> None

        match named with
        | None -> text
        | Some(root, names) ->
            match names |> List.countBy id |> List.tryFind (fun (_, count) -> count > 1) with
            | Some(name, count) ->
                Errors.fail (Settings $"'algorithms' in {place} names {name} {count} times: name it once")
            | None ->
                for name in names do
                    Spec.algorithm registry place name |> ignore

                root["algorithms"] <- JsonObject(dict [ for name in names -> name, JsonObject() :> JsonNode | null ])
                root.ToJsonString()

    /// An entry that is named after an algorithm, and sets none, is that algorithm.
    let private namedAlgorithms (registry: Registry) (sweep: Sweep) : Sweep =
        let complete name (settings: Assignment) =
            match Registry.tryFind name registry with
            | Some _ when settings |> Map.toList |> List.exists (named "algorithm") |> not ->
                settings.Add("algorithm", SettingValue $"\"{name}\"")
            | _ -> settings

        { sweep with Algorithms = sweep.Algorithms |> Map.map complete }

    /// Reads a sweep; unknown names are Settings failures that name the nearest valid one. `place` names the text in messages.
    let parse (registry: Registry) (place: string) (text: string) : Sweep =
        let sweep = writtenOut registry place text |> Json.parseOver place complete

        match sweep with
        | { Name = "" } -> Errors.fail (Settings $"{place} lacks a name: add \"name\": \"my-sweep\"")
        | { Tasks = [] } -> { sweep with Tasks = [ taskOf registry place sweep ] }
        | sweep -> sweep

    /// Paths of schema 1 began with "experiment." and lay flat: their last names are the same.
    let private key (name: string) =
        if name.StartsWith("experiment.", StringComparison.Ordinal) then
            name.Substring(name.LastIndexOf '.' + 1)
        else
            name

    /// The specification of one run: the algorithm first, since it says what the preset is and which settings there are; then the
    /// number of iterations, of which the schedules are shares; then all else as it stands.
    let resolve (registry: Registry) (sweep: Sweep) (run: PlannedRun) : Spec =
        let place = place sweep
        let iterations, others = run.Settings |> List.partition (named "iterations")
        let settings = iterations @ List.filter (named "algorithm" >> not) others
        let algorithm = algorithmOf registry place run.Settings
        let start = algorithm |> Spec.preset place sweep.Preset

        // what one algorithm has another may lack
        let set (spec: Spec) (name, value: SettingValue) =
            Spec.set registry $"{place} for {algorithm.Name}" spec (key name) value.Text

        { List.fold set start settings with Task = run.Task; Seed = run.Seed } |> SpecFile.wholePaths

    let private refuseTwins (runs: (PlannedRun * Spec) list) =
        for _, same in List.groupBy snd runs do
            match same with
            | (a, _) :: (b, _) :: _ ->
                Errors.fail (
                    Settings $"the runs {a.Name} and {b.Name} are the same run under two names: remove one of them"
                )
            | _ -> ()

    /// Why a task cannot be made with its options; None where it can.
    let private taskProblem (registry: Registry) (task: string, options: Map<string, string>) : string option =
        try
            using (Environment.createFrom registry.Tasks task options 1) ignore
            None
        with :? ArgumentException as error ->
            Some error.Message

    /// Why runs cannot be made, by what makes them so: settings, or the task with its options. Nothing for those that can.
    let private complaints (registry: Registry) (sweep: Sweep) (runs: (PlannedRun * Spec) list) =
        let tasks =
            runs
            |> List.map (fun (_, spec) -> spec.Task, spec.TaskOptions)
            |> List.distinct
            |> List.map (fun task -> task, taskProblem registry task)
            |> Map

        [ for run, spec in runs do
              try
                  SpecCheck.validate registry (place sweep) spec |> ignore

                  match tasks[spec.Task, spec.TaskOptions] with
                  | Some problem -> run, Settings problem
                  | None -> ()
              with :? UserError as error ->
                  run, error.Failure ]

    /// Looks at every run before anything is started: a sweep of impossible ones alone is refused; a single impossible combination
    /// will fail as a run and leave the others alone, and is told.
    let private refuseImpossible (registry: Registry) (sweep: Sweep) (runs: (PlannedRun * Spec) list) : string list =
        match complaints registry sweep runs with
        | (_, failure) :: _ as all when all.Length = runs.Length -> Errors.fail failure
        | some -> [ for run, failure in some -> $"the run {run.Name} will fail: {failure.Sentence}" ]

    /// The runs of a sweep with their specifications. Settings failure where a name is unknown, a run stands there twice, or nothing
    /// of it is possible; `warn` is told of single runs that are not.
    let planWith (warn: string -> unit) (registry: Registry) (sweep: Sweep) : (PlannedRun * Spec) list =
        for task in sweep.Tasks do
            match taskProblem registry (task, Map.empty) with
            | Some problem -> Errors.fail (Settings $"{place sweep}: {problem}")
            | None -> ()

        let runs =
            namedAlgorithms registry sweep
            |> Sweep.expand
            |> List.map (fun run -> run, resolve registry sweep run)

        refuseTwins runs
        refuseImpossible registry sweep runs |> List.iter warn
        runs

    /// The same without a word about runs that will fail.
    let plan (registry: Registry) (sweep: Sweep) : (PlannedRun * Spec) list = planWith ignore registry sweep
