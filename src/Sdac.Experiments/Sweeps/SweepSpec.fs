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

    /// Reads a sweep; unknown names are Settings failures that name the nearest valid one. `place` names the text in messages.
    let parse (place: string) (text: string) : Sweep =
        let sweep = Json.parseOver place complete text

        match sweep with
        | { Name = "" } -> Errors.fail (Settings $"{place} lacks a name: add \"name\": \"my-sweep\"")
        | { Tasks = [] } -> { sweep with Tasks = [ (Presets.find sweep.Preset).Experiment.Task ] }
        | sweep -> sweep

    /// Where a number of iterations is set, the schedules keep their share of it; what is set after that stands as it is.
    let private set (place: string) (spec: Spec) (name: string, value: Literal) : Spec =
        let changed = Json.setFrom place spec name value.Text

        if changed.Experiment.Iterations = spec.Experiment.Iterations then
            changed
        else
            Spec.withExperiment changed.Experiment spec

    /// An algorithm brings along what was published with it, as --algorithm does; what the sweep sets beside it stands.
    let private setAlgorithm (place: string) (spec: Spec) (assignment: string * Literal) : Spec =
        let named = (set place spec assignment).Experiment.Config.Algorithm
        { spec with Experiment = Experiment.algorithm named spec.Experiment }

    /// The specification of one run.
    let resolve (sweep: Sweep) (run: PlannedRun) : Spec =
        let names (setting: string) (name: string, _) =
            name = setting || name.EndsWith("." + setting, StringComparison.Ordinal)

        let iterations, others = run.Settings |> List.partition (names "iterations")
        let algorithms, others = others |> List.partition (names "algorithm")
        let place = $"sweep '{sweep.Name}'"
        let spec = List.fold (set place) (Presets.find sweep.Preset) iterations
        let spec = List.fold (set place) (List.fold (setAlgorithm place) spec algorithms) others
        { spec with Experiment = { spec.Experiment with Task = run.Task; Seed = run.Seed } }

    let private refuseTwins (runs: (PlannedRun * Spec) list) =
        for _, same in List.groupBy snd runs do
            match same with
            | (a, _) :: (b, _) :: _ ->
                Errors.fail (
                    Settings $"the runs {a.Name} and {b.Name} are the same run under two names: remove one of them"
                )
            | _ -> ()

    /// One impossible combination among many fails as a run and leaves the others alone; a sweep of nothing else is refused.
    let private refuseHopeless (runs: (PlannedRun * Spec) list) =
        let impossible (_, spec) =
            try
                Spec.validate spec |> ignore
                false
            with :? UserError ->
                true

        if List.forall impossible runs then
            runs |> List.head |> snd |> Spec.validate |> ignore

    let private checkTasks (sweep: Sweep) =
        for task in sweep.Tasks do
            using (Environment.create task Map.empty 1) ignore

    /// The runs of a sweep with their specifications. Settings failure where a name is unknown, a run stands there twice, or nothing
    /// of it is possible.
    let plan (sweep: Sweep) : (PlannedRun * Spec) list =
        let runs = Sweep.expand sweep |> List.map (fun run -> run, resolve sweep run)
        refuseTwins runs
        refuseHopeless runs
        checkTasks sweep
        runs
