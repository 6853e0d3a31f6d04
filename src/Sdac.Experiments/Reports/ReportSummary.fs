namespace Sdac.Experiments

open System
open System.Globalization
open Sdac.Functional

/// The first lines of a report: what its runs can tell, what they cannot, and how many they are.
[<RequireQualifiedAccess>]
module ReportSummary =
    /// Groups of a task of which every two are named; of more, the highest against each other one.
    [<Literal>]
    let private FewGroups = 3

    let private thousands (n: int) = n.ToString("N0", CultureInfo.InvariantCulture)

    let plural (n: int) (noun: string) = if n = 1 then $"1 {noun}" else $"{thousands n} {noun}s"

    let private sizes (pair: ComparedPair) =
        let x, y = List.unzip pair.Sizes
        $"{List.sum x} and {List.sum y} runs"

    let private probability (pair: ComparedPair) = $"P = {Cell.showEstimate pair.Probability}"

    let private difference (pair: ComparedPair) =
        match pair.Difference with
        | Some e when Double.IsFinite e.Low -> $"; {Cell.showEstimate e} more over {pair.EqualSeeds} equal seeds"
        | _ -> ""

    /// A pair as it is read best: the better side first.
    let private oriented (pair: ComparedPair) = if pair.Probability.Value < 0.5 then pair.Reversed else pair

    /// The pairs of a place that are worth a line.
    let private named (groups: RunGroup list) (pairs: ComparedPair list) : ComparedPair list =
        let names = Comparison.names groups

        if names.Length <= FewGroups then
            pairs
        else
            let value (g: RunGroup) = Statistics.iqm g.FinalScores
            let finished = groups |> List.filter (fun g -> not g.Finished.IsEmpty)
            let highest = (finished |> List.maxBy value).Name
            pairs |> List.filter (fun pair -> pair.X = highest || pair.Y = highest)

    /// A place, and the pairs in it.
    let private places (groups: RunGroup list) : (string * ComparedPair list) list =
        [ for task, pairs in Comparison.byTask groups do
              task, named (groups |> List.filter (fun g -> g.Task = task)) pairs
          let several = Comparison.improvements groups |> List.filter (fun pair -> pair.Tasks.Length > 1)

          if not several.IsEmpty && (Comparison.names groups).Length <= FewGroups then
              let most = several |> List.map _.Tasks.Length |> List.max
              $"Over {most} tasks", several |> List.filter (fun pair -> pair.Tasks.Length = most) ]

    let private told (place: string, pairs: ComparedPair list) =
        [ for pair in List.map oriented pairs do
              if pair.Finding = Finding.Better then
                  $"{place}: {pair.X} is better than {pair.Y}: {probability pair}, {sizes pair}{difference pair}." ]

    let private untold (place: string, pairs: ComparedPair list) =
        [ for pair in List.map oriented pairs do
              match pair.Finding with
              | Finding.NoDifference ->
                  $"{place}: no difference between {pair.X} and {pair.Y}: {probability pair}, {sizes pair}."
              | Finding.TooFew ->
                  $"{place}: too few runs to compare {pair.X} with {pair.Y} ({sizes pair}): whatever they score could be chance."
              | Finding.Better
              | Finding.Worse -> () ]

    /// Where a group stands alone on its task there is a level, and nothing to compare.
    let private levels (groups: RunGroup list) =
        [ for task in Comparison.tasks groups do
              match groups |> List.filter (fun g -> g.Task = task && not g.Finished.IsEmpty) with
              | [ g ] when g.Finished.Length > 1 ->
                  let e = Comparison.estimate Statistics.iqm g.FinalScores
                  let runs = plural g.Finished.Length "run"
                  $"{task}: {g.Name} ends at {Cell.showEstimate e} (interquartile mean of {runs}, 95 %% interval)."
              | _ -> () ]

    let private lonely (groups: RunGroup list) =
        [ for task in Comparison.tasks groups do
              match groups |> List.filter (fun g -> g.Task = task && not g.Finished.IsEmpty) with
              | [] -> $"{task}: no run is finished: there are learning curves, but no scores."
              | [ g ] ->
                  if g.Finished.Length = 1 then
                      let final = Cell.show g.FinalScores[0]
                      $"{task}: {g.Name} ends at {final} in a single run: how far another seed would end from it, nobody knows."

                  $"{task}: nothing to compare {g.Name} with."
              | _ -> () ]

    let private failures (groups: RunGroup list) =
        [ for g in groups do
              if g.Runs |> List.exists (fun run -> run.State = "failed") then
                  $"{g.Task}: {ReportTables.failedShare g} runs of {g.Name} failed: its scores are those of the others, and so too good." ]

    let private few (groups: RunGroup list) =
        [ if groups |> List.exists (fun g -> g.Finished.Length > 1 && g.Finished.Length < 5) then
              "Some groups have fewer than five finished runs: their intervals are narrower than they should be." ]

    let private unscaled (groups: RunGroup list) =
        let tasks = Comparison.tasks groups

        match tasks |> List.filter (fun task -> (ReferenceScores.tryFind task).IsNone) with
        | _ :: _ as missing when tasks.Length > 1 ->
            let missing = String.concat ", " missing
            [ $"Without stored reference scores, and so not in the normalised scores over several tasks: {missing}." ]
        | _ -> []

    /// What the runs can tell, a sentence each.
    let can (groups: RunGroup list) : string list = List.collect told (places groups) @ levels groups

    /// What they cannot.
    let cannot (groups: RunGroup list) : string list =
        List.collect untold (places groups) @ lonely groups @ failures groups @ few groups @ unscaled groups

    /// How many runs of what there are.
    let size (groups: RunGroup list) : string list =
        let runs = groups |> List.collect _.Runs
        let episodes (count: RunRecord -> int) = runs |> List.sumBy count

        let size =
            [ plural runs.Length "run" + ":"
              plural (Comparison.tasks groups).Length "task" + ","
              plural (Comparison.names groups).Length "algorithm" + " (settings that differ count apart),"
              plural (runs |> List.map _.Seed |> List.distinct).Length "seed" + ","
              plural (episodes _.TrainingEpisodes) "training episode" + " and"
              plural (episodes _.EvaluationEpisodes) "evaluation episode" + "." ]
            |> String.concat " "

        let unfinished =
            runs
            |> List.filter (fun run -> not run.Finished)
            |> List.countBy _.State
            |> List.map (fun (state, count) -> $"{count} {state}")

        let unfinishedRuns =
            [ if not unfinished.IsEmpty then
                  let count = runs |> List.filter (fun run -> not run.Finished) |> List.length
                  let states = String.concat ", " unfinished
                  plural count "run" + $" unfinished ({states}): in the learning curves, not in the scores." ]

        size :: unfinishedRuns
