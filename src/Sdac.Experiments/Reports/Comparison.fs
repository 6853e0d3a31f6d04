namespace Sdac.Experiments

open System
open System.Text.RegularExpressions
open Sdac.Functional

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

    /// Characters of a group's name; a longer one becomes a number.
    [<Literal>]
    let private LongestName = 44

    /// All intervals of a report are drawn from here: the same runs give the same report.
    let key = Key.ofSeed 95L

    // ---- groups

    let private settingOf path (run: RunRecord) = Map.tryFind path run.Settings |> Option.defaultValue "unset"

    let private pathsOf (runs: RunRecord list) =
        runs |> List.collect (_.Settings >> Map.keys >> List.ofSeq) |> List.distinct

    /// The settings in which runs of one algorithm differ on some task, by what they are called. What differs only from task to
    /// task belongs to the task.
    let private differing (runs: RunRecord list) : (string * string) list =
        let within (runs: RunRecord list) =
            pathsOf runs
            |> List.filter (fun path -> runs |> List.map (settingOf path) |> List.distinct |> List.length > 1)

        let all = pathsOf runs

        runs
        |> List.groupBy _.Task
        |> List.collect (snd >> within)
        |> List.distinct
        |> List.sort
        |> List.map (fun path -> path, Json.shortest all path)

    /// For sorting: 4 before 16, and 0.0003 before 0.001. Digits behind a point are compared from the left as they stand.
    let private natural (name: string) =
        Regex.Replace(name, @"(?<![0-9]\.[0-9]*)[0-9]+", fun digits -> digits.Value.PadLeft(12, '0'))

    let private wholeName (title: string) (differing: (string * string) list) =
        String.concat " " (title :: [ for name, value in differing -> $"{name}={value}" ])

    /// The settings that a name tells, of those in which the groups of an algorithm differ: not the value that more than half of the
    /// groups have.
    let private telling (groups: (string * string) list list) : (string * string) list -> (string * string) list =
        let usual =
            List.concat groups
            |> List.countBy id
            |> List.filter (fun (_, count) -> 2 * count > groups.Length)
            |> List.map fst

        List.filter (fun setting -> not (List.contains setting usual))

    /// Names by what differs, for each title: the whole where it is short, else the title with a number.
    let private namesOf (wholes: (string * string) list) : Map<string, string> =
        let wholes = wholes |> List.distinct |> List.sortBy (snd >> natural)

        Map
            [ for title, own in List.groupBy fst wholes do
                  let long = own |> List.map snd |> List.filter (fun whole -> whole.Length > LongestName)

                  for _, whole in own do
                      whole,
                      match List.tryFindIndex ((=) whole) long with
                      | Some i -> $"{title} #{i + 1}"
                      | None -> whole ]

    /// The first run of every seed, and a warning for each repeated one: a seed counted twice would make results look surer.
    let private distinctSeeds (name: string) (runs: RunRecord list) : RunRecord list * string list =
        let better = runs |> List.sortBy (fun run -> run.Seed, not run.Finished, run.Folder)
        let kept = better |> List.distinctBy _.Seed

        let warnings =
            [ for run in better do
                  let first = kept |> List.find (fun other -> other.Seed = run.Seed)

                  // by their folders: figures that are not known are NaN, which equals nothing
                  if first.Folder <> run.Folder then
                      $"{run.Folder} repeats seed %d{run.Seed} of {name} on {run.Task} ({first.Folder}): it is left out" ]

        kept, warnings

    /// The groups of the runs, by task and name, and warnings.
    let group (runs: RunRecord list) : RunGroup list * string list =
        let described =
            [ for _, runs in runs |> List.groupBy (fun (run: RunRecord) -> run.Algorithm) do
                  let differing = differing runs

                  let own (run: RunRecord) = [ for path, name in differing -> name, settingOf path run ]
                  let telling = runs |> List.map own |> List.distinct |> telling

                  for run in runs do
                      run, own run, wholeName run.Title (telling (own run)) ]

        let names = namesOf [ for run, _, whole in described -> run.Title, whole ]

        let groups =
            [ for (task, whole), members in described |> List.groupBy (fun (run, _, whole) -> run.Task, whole) do
                  let name = names[whole]
                  let kept, warnings = members |> List.map (fun (run, _, _) -> run) |> distinctSeeds name
                  let _, differing, _ = members.Head
                  { Task = task; Name = name; Differing = differing; Runs = kept }, warnings ]
            |> List.sortBy (fun (group, _) -> group.Task, natural group.Name)

        List.map fst groups, List.collect snd groups

    let tasks (groups: RunGroup list) = groups |> List.map _.Task |> List.distinct
    let names (groups: RunGroup list) = groups |> List.map _.Name |> List.distinct |> List.sortBy natural

    // ---- figures of one group

    /// An estimate over the runs of one task.
    let estimate (statistic: float[] -> float) (scores: float[]) : Estimate =
        Statistics.bootstrap Level Resamples key (Statistics.pooled statistic) [| scores |]

    /// The learning curve of a group: at every evaluation the runs that have got there.
    let curve (statistic: float[] -> float) (group: RunGroup) : CurvePoint list =
        [ for run in group.Runs do
              for (steps, score), seconds in Array.zip run.Evaluations run.EvaluatedAfter -> steps, (score, seconds) ]
        |> List.groupBy fst
        |> List.sortBy fst
        |> List.map (fun (steps, found) ->
            let scores = [| for _, (score, _) in found -> score |]
            let statistic = Statistics.pooled statistic

            { EnvSteps = steps
              Seconds =
                found |> List.map (snd >> snd) |> List.filter Double.IsFinite |> Array.ofList |> Statistics.mean
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

    // ---- several groups

    let private scored (groups: RunGroup list) = groups |> List.filter (fun group -> not group.Finished.IsEmpty)

    /// Final scores by name over the tasks on which every name has finished runs: on the task's own scale where there is one, else on
    /// that of the stored reference scores, without the tasks that have none. No tasks where nothing is shared.
    let shared (groups: RunGroup list) : string list * (string * float[][]) list =
        let scored = scored groups
        let names = names scored
        let on task = scored |> List.filter (fun group -> group.Task = task)
        let common = tasks scored |> List.filter (fun task -> (on task).Length = names.Length)

        let scales =
            match common with
            | [ task ] -> [ task, id ]
            | _ ->
                [ for task in common do
                      match ReferenceScores.tryFind task with
                      | Some score -> task, ReferenceScores.normalise score
                      | None -> () ]

        List.map fst scales,
        [ for name in names ->
              name,
              [| for task, scale in scales ->
                     let group = on task |> List.find (fun group -> group.Name = name)
                     scale group.FinalScores |] ]

    /// Mean of the differences over the seeds that both have finished.
    let private paired (x: RunGroup) (y: RunGroup) : int * Estimate option =
        let bySeed (group: RunGroup) = Map [ for run in group.Finished -> run.Seed, run.Final ]
        let a, b = bySeed x, bySeed y
        let seeds = [| for seed in a.Keys |> Seq.filter b.ContainsKey -> seed |]

        if seeds.Length = 0 then
            0, None
        else
            let side (scores: Map<int64, float>) = seeds |> Array.map (fun seed -> scores[seed])
            seeds.Length, Some(Statistics.pairedDifference Level Resamples key (side a) (side b))

    /// Two names on the tasks that both have finished; None where there is none.
    let compare (groups: RunGroup list) (x: string) (y: string) : ComparedPair option =
        let groupOf name task = scored groups |> List.tryFind (fun group -> group.Name = name && group.Task = task)

        match
            [ for task in tasks groups do
                  match groupOf x task, groupOf y task with
                  | Some a, Some b -> task, a, b
                  | _ -> () ]
        with
        | [] -> None
        | found ->
            let side pick = [| for pair in found -> (pick pair: RunGroup).FinalScores |]
            let a, b = side (fun (_, a, _) -> a), side (fun (_, _, b) -> b)

            let seeds, difference =
                match found with
                | [ _, a, b ] -> paired a b
                | _ -> 0, None

            Some
                { X = x
                  Y = y
                  Tasks = [ for task, _, _ in found -> task ]
                  Sizes = List.zip [ for s in a -> s.Length ] [ for s in b -> s.Length ]
                  Probability = Statistics.bootstrapImprovement Level Resamples key a b
                  Difference = difference
                  EqualSeeds = seeds }

    /// Every two names over the tasks that both have finished.
    let improvements (groups: RunGroup list) : ComparedPair list =
        let names = names (scored groups)

        [ for i, x in List.indexed names do
              for y in List.skip (i + 1) names do
                  yield! Option.toList (compare groups x y) ]

    /// Every two names on each task.
    let byTask (groups: RunGroup list) : (string * ComparedPair list) list =
        [ for task in tasks groups do
              match groups |> List.filter (fun group -> group.Task = task) |> improvements with
              | [] -> ()
              | pairs -> task, pairs ]

    /// Does a name score more than every other one that it is compared with, beyond the interval?
    let isBest (pairs: ComparedPair list) (name: string) : bool =
        let own =
            [ for pair in pairs do
                  if pair.X = name then
                      pair
                  elif pair.Y = name then
                      pair.Reversed ]

        not own.IsEmpty && own |> List.forall (fun pair -> pair.Finding = Finding.Better)
