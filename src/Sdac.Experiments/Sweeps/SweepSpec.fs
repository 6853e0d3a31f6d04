namespace Sdac.Experiments

open System
open Sdac

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
    let private algorithmOf (registry: Registry) (place: string) (settings: (string * Literal) list) : IAlgorithm =
        match settings |> List.filter (named "algorithm") |> List.tryLast with
        | Some(_, literal) -> Spec.algorithm registry place (literal.Text.Trim '"')
        | None -> List.head (Registry.all registry)

    let private place (sweep: Sweep) = $"sweep '{sweep.Name}'"

    /// The preset's task, for a sweep that names none.
    let private taskOf (registry: Registry) (place: string) (sweep: Sweep) : string =
        (algorithmOf registry place (Map.toList sweep.Base) |> Spec.preset place sweep.Preset).Task

    /// Reads a sweep; unknown names are Settings failures that name the nearest valid one. `place` names the text in messages.
    let parse (registry: Registry) (place: string) (text: string) : Sweep =
        let sweep = Json.parseOver place complete text

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
        let start = algorithmOf registry place run.Settings |> Spec.preset place sweep.Preset

        let set (spec: Spec) (name, value: Literal) = Spec.set registry place spec (key name) value.Text
        { List.fold set start settings with Task = run.Task; Seed = run.Seed }

    let private refuseTwins (runs: (PlannedRun * Spec) list) =
        for _, same in List.groupBy snd runs do
            match same with
            | (a, _) :: (b, _) :: _ ->
                Errors.fail (
                    Settings $"the runs {a.Name} and {b.Name} are the same run under two names: remove one of them"
                )
            | _ -> ()

    /// One impossible combination among many fails as a run and leaves the others alone; a sweep of nothing else is refused.
    let private refuseImpossible (registry: Registry) (sweep: Sweep) (runs: (PlannedRun * Spec) list) =
        let impossible (_, spec) =
            try
                Spec.validate registry (place sweep) spec |> ignore
                false
            with :? UserError ->
                true

        if List.forall impossible runs then
            runs |> List.head |> snd |> Spec.validate registry (place sweep) |> ignore

    let private checkTasks (registry: Registry) (sweep: Sweep) =
        for task in sweep.Tasks do
            using (Environment.createFrom registry.Tasks task Map.empty 1) ignore

    /// The runs of a sweep with their specifications. Settings failure where a name is unknown, a run stands there twice, or nothing
    /// of it is possible.
    let plan (registry: Registry) (sweep: Sweep) : (PlannedRun * Spec) list =
        let runs = Sweep.expand sweep |> List.map (fun run -> run, resolve registry sweep run)
        refuseTwins runs
        refuseImpossible registry sweep runs
        checkTasks registry sweep
        runs
