namespace Sdac.Experiments

open System
open Sdac

/// Runs that differ in their seeds alone.
type RunGroup =
    {
        Task: string
        /// Algorithm, and the settings in which it differs from other groups
        Name: string
        /// By seed
        Runs: RunRecord list
    }

    member group.Finished = group.Runs |> List.filter _.Finished

    /// The last evaluation of every finished run; an unfinished run's would be of another age.
    member group.FinalScores = [| for run in group.Finished -> run.Final |]

    /// The best evaluation of every finished run.
    member group.BestScores = [| for run in group.Finished -> run.Best |]

/// A figure against environment steps, over the runs of a group.
type CurvePoint = { EnvSteps: int64; Runs: int; Estimate: Estimate }

/// Runs put together and compared.
[<RequireQualifiedAccess>]
module Comparison =
    /// The level of all intervals.
    [<Literal>]
    let Level = 0.95

    /// Bootstrap resamples of an interval in a table.
    [<Literal>]
    let Resamples = 2000

    /// Of each point of a curve.
    [<Literal>]
    let private CurveResamples = 1000

    /// All intervals of a report are drawn from here: the same runs give the same report.
    let key = Key.ofSeed 95L

    let private short (path: string) = path.Substring(path.LastIndexOf '.' + 1)

    let private settingOf path (run: RunRecord) = Map.tryFind path run.Settings |> Option.defaultValue "unset"

    /// The settings that differ between runs of one algorithm on one task. What differs only from task to task belongs to
    /// the task.
    let private differing (runs: RunRecord list) : string list =
        let within (runs: RunRecord list) =
            let paths = runs |> List.collect (_.Settings >> Map.keys >> List.ofSeq) |> List.distinct

            paths
            |> List.filter (fun path -> runs |> List.map (settingOf path) |> List.distinct |> List.length > 1)

        runs
        |> List.groupBy (fun run -> run.Task, run.Algorithm)
        |> List.collect (snd >> within)
        |> List.distinct
        |> List.sort

    let private nameOf (differing: string list) (run: RunRecord) =
        let parts =
            differing
            |> List.filter run.Settings.ContainsKey
            |> List.map (fun path -> $"{short path}={settingOf path run}")

        String.concat " " (run.Title :: parts)

    /// The first run of every seed, and a warning for each repeated one: a seed counted twice would make results look surer.
    let private distinctSeeds (name: string) (runs: RunRecord list) : RunRecord list * string list =
        let better = runs |> List.sortBy (fun run -> run.Seed, not run.Finished, run.Folder)
        let kept = better |> List.distinctBy _.Seed

        let warnings =
            [ for run in List.except kept better do
                  let first = kept |> List.find (fun other -> other.Seed = run.Seed)
                  $"{run.Folder} repeats seed %d{run.Seed} of {name} on {run.Task} ({first.Folder}): it is left out" ]

        kept, warnings

    /// The groups of the runs, by task and name, and warnings.
    let group (runs: RunRecord list) : RunGroup list * string list =
        let differing = differing runs

        let groups =
            [ for (task, name), runs in runs |> List.groupBy (fun run -> run.Task, nameOf differing run) do
                  let kept, warnings = distinctSeeds name runs
                  { Task = task; Name = name; Runs = kept }, warnings ]
            |> List.sortBy (fun (group, _) -> group.Task, group.Name)

        List.map fst groups, List.collect snd groups

    let tasks (groups: RunGroup list) = groups |> List.map _.Task |> List.distinct
    let names (groups: RunGroup list) = groups |> List.map _.Name |> List.distinct |> List.sort

    /// An estimate over the runs of one task.
    let estimate (statistic: float[] -> float) (scores: float[]) : Estimate =
        Statistics.bootstrap Level Resamples key (Statistics.pooled statistic) [| scores |]

    /// The learning curve of a group: at every evaluation the runs that have got there.
    let curve (statistic: float[] -> float) (group: RunGroup) : CurvePoint list =
        [ for run in group.Runs do
              yield! run.Evaluations ]
        |> List.groupBy fst
        |> List.sortBy fst
        |> List.map (fun (steps, scores) ->
            let scores = [| for _, score in scores -> score |]
            let statistic = Statistics.pooled statistic

            { EnvSteps = steps
              Runs = scores.Length
              Estimate = Statistics.bootstrap Level CurveResamples key statistic [| scores |] })

    /// The mean over runs of a noted figure, by environment steps.
    let meanSeries (series: RunRecord -> (int64 * float)[]) (group: RunGroup) : (int64 * float)[] =
        [| for run in group.Runs do
               yield! series run |]
        |> Array.filter (snd >> Double.IsFinite)
        |> Array.groupBy fst
        |> Array.sortBy fst
        |> Array.map (fun (steps, values) -> steps, values |> Array.averageBy snd)

    /// Final scores by name over the tasks on which every name has finished runs: on the tasks' own scale where there is one
    /// task, else on 0 (the worst final score of the task) to 1 (the best). No tasks where nothing is shared.
    let shared (groups: RunGroup list) : string list * (string * float[][]) list =
        let scored = groups |> List.filter (fun group -> not group.Finished.IsEmpty)
        let names = names scored
        let on task = scored |> List.filter (fun group -> group.Task = task)
        let tasks = tasks scored |> List.filter (fun task -> (on task).Length = names.Length)

        let scale task =
            let all = on task |> List.map _.FinalScores |> Array.concat

            if tasks.Length = 1 then
                id
            else
                Statistics.normalise (Array.min all) (Array.max all)

        tasks,
        [ for name in names ->
              name,
              [| for task in tasks ->
                     let group = on task |> List.find (fun group -> group.Name = name)
                     scale task group.FinalScores |] ]

    /// P(x > y) for every two names, over the tasks that both have finished.
    let improvements (groups: RunGroup list) : (string * string * int * Estimate) list =
        let scored = groups |> List.filter (fun group -> not group.Finished.IsEmpty)

        let scores name =
            Map
                [ for group in scored do
                      if group.Name = name then
                          group.Task, group.FinalScores ]

        let names = names scored

        [ for i, x in List.indexed names do
              for y in List.skip (i + 1) names do
                  let a, b = scores x, scores y
                  let tasks = a.Keys |> Seq.filter b.ContainsKey |> Array.ofSeq

                  if tasks.Length > 0 then
                      let side (map: Map<string, float[]>) = tasks |> Array.map (fun task -> map[task])
                      x, y, tasks.Length, Statistics.bootstrapImprovement Level Resamples key (side a) (side b) ]
