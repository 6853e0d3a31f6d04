namespace Sdac.Experiments

open System
open System.IO
open Sdac

/// The tables of a report.
[<RequireQualifiedAccess>]
module ReportTables =
    /// "3,456 [3,210, 3,702]"; without an interval the value alone.
    let shown (e: Estimate) =
        if Double.IsFinite e.Low then
            $"{Cell.show e.Value} [{Cell.show e.Low}, {Cell.show e.High}]"
        else
            Cell.show e.Value

    let private raw (value: float) = (Cell.number value).Raw

    let private estimateCell (e: Estimate) =
        { Cell.text (shown e) with
            Raw =
                if Double.IsFinite e.Low then
                    $"{raw e.Value} [{raw e.Low}; {raw e.High}]"
                else
                    raw e.Value }

    let private estimates (scores: float[]) =
        [ for statistic in [ Statistics.mean; Statistics.iqm ] -> Comparison.estimate statistic scores |> estimateCell ]

    let private largest (values: float[]) = if values.Length = 0 then nan else Array.max values

    /// Final and best scores of every group.
    let scores (groups: RunGroup list) : Table =
        { Name = "scores"
          Caption =
            "Final and best scores of the finished runs: return per evaluation episode (undiscounted), 95 % bootstrap interval over seeds"
          Columns =
            [ "task"
              "algorithm"
              "seeds"
              "finished"
              "training episodes"
              "evaluation episodes"
              "environment steps"
              "final, mean"
              "final, IQM"
              "best, mean"
              "best, IQM"
              "best of all" ]
          Rows =
            [ for g in groups ->
                  [ Cell.text g.Task
                    Cell.text g.Name
                    Cell.count g.Runs.Length
                    Cell.count g.Finished.Length
                    Cell.count (g.Runs |> List.sumBy (_.TrainingEpisodes >> int64))
                    Cell.count (g.Runs |> List.sumBy (_.EvaluationEpisodes >> int64))
                    Cell.count (g.Runs |> List.map _.EnvSteps |> List.max) ]
                  @ estimates g.FinalScores
                  @ estimates g.BestScores
                  @ [ Cell.number (largest g.BestScores) ] ] }

    /// The cells of a row, the largest value in bold.
    let private best (estimates: Estimate option list) =
        let values = estimates |> List.choose (Option.map _.Value) |> List.filter Double.IsFinite

        [ for e in estimates ->
              match e with
              | None -> Cell.text "–"
              | Some e when values.Length > 1 && e.Value = List.max values -> Cell.strong (estimateCell e)
              | Some e -> estimateCell e ]

    /// Final scores, a row per task and a column per algorithm; over several shared tasks a row for all of them.
    let overview (groups: RunGroup list) : Table =
        let names, tasks = Comparison.names groups, Comparison.tasks groups

        let row task =
            [ for name in names ->
                  groups
                  |> List.tryFind (fun g -> g.Task = task && g.Name = name && not g.Finished.IsEmpty)
                  |> Option.map (fun g -> Comparison.estimate Statistics.iqm g.FinalScores) ]

        let together =
            match Comparison.shared groups with
            | shared, scores when shared.Length > 1 ->
                let estimate strata =
                    Statistics.bootstrap
                        Comparison.Level
                        Comparison.Resamples
                        Comparison.key
                        (Statistics.pooled Statistics.iqm)
                        strata

                let of' name = scores |> List.tryFind (fst >> (=) name) |> Option.map (snd >> estimate)
                [ Cell.text $"{shared.Length} tasks, 0: worst run, 1: best run" :: best (List.map of' names) ]
            | _ -> []

        { Name = "overview"
          Caption =
            "Final score by task and algorithm: interquartile mean over seeds of the last evaluation's mean return, 95 % stratified bootstrap interval; the best of a task in bold"
          Columns = "task" :: names
          Rows = [ for task in tasks -> Cell.text task :: best (row task) ] @ together }

    /// Of every two algorithms.
    let improvement (pairs: (string * string * int * Estimate) list) : Table =
        { Name = "improvement"
          Caption =
            "Probability that a run of x scores more than one of y on the same task (final score, ties count half)"
          Columns = [ "x"; "y"; "tasks"; "P(x > y)"; "low"; "high" ]
          Rows =
            [ for x, y, tasks, e in pairs ->
                  [ Cell.text x; Cell.text y; Cell.count tasks ] @ List.map Cell.number [ e.Value; e.Low; e.High ] ] }

    /// Phases that are no part of an update.
    let private besides =
        set [ "evaluation"; "evaluationSeconds"; "checkpoint"; "checkpointSeconds"; "warmUp" ]

    /// Milliseconds per update of a group's phases, mean over its runs. A run without phases has one: its whole time.
    let updatePhases (g: RunGroup) : (string * float) list =
        let perRun (t: RecordedTimings) =
            let perUpdate seconds = 1000.0 * seconds / float t.Updates

            match t.Phases |> List.filter (fun (name, _) -> not (besides.Contains name)) with
            | [] -> [ "everything", perUpdate (t.Seconds - (t.Phases |> List.sumBy snd)) ]
            | phases -> [ for name, seconds in phases -> name, perUpdate seconds ]

        let timed =
            g.Runs
            |> List.choose _.Timings
            |> List.filter (fun t -> t.Updates > 0L && Double.IsFinite t.Seconds)

        timed
        |> List.collect perRun
        |> List.groupBy fst
        |> List.map (fun (name, figures) -> name, List.sumBy snd figures / float timed.Length)
        |> List.sortBy fst

    let private average (values: float list) =
        match List.filter Double.IsFinite values with
        | [] -> nan
        | values -> List.average values

    /// Time by phase, and memory.
    let costs (groups: RunGroup list) : Table =
        let phases = groups |> List.collect (updatePhases >> List.map fst) |> List.distinct |> List.sort

        { Name = "costs"
          Caption =
            "Time and memory: mean over runs; an update's time leaves evaluations, checkpoints and the warm-up out, the wall-clock does not"
          Columns =
            [ "task"; "algorithm"; "updates"; "ms per update" ]
            @ [ for phase in phases -> $"{phase} (ms)" ]
            @ [ "peak memory (MiB)"; "wall-clock (s)" ]
          Rows =
            [ for g in groups ->
                  let figures = updatePhases g
                  let total = if figures.IsEmpty then nan else List.sumBy snd figures

                  let phase name =
                      figures |> List.tryFind (fst >> (=) name) |> Option.map snd |> Option.defaultValue nan

                  [ Cell.text g.Task; Cell.text g.Name; Cell.count (g.Runs |> List.map _.Iterations |> List.max) ]
                  @ List.map Cell.number (total :: List.map phase phases)
                  @ [ Cell.number (average (g.Runs |> List.map _.PeakMemory))
                      Cell.number (
                          average (g.Runs |> List.map (_.Timings >> Option.map _.Seconds >> Option.defaultValue nan))
                      ) ] ] }

    /// Every run by itself.
    let runs (groups: RunGroup list) : Table =
        { Name = "runs"
          Caption = "All runs"
          Columns =
            [ "run folder"
              "task"
              "algorithm"
              "seed"
              "finished"
              "updates"
              "environment steps"
              "training episodes"
              "final return"
              "best return" ]
          Rows =
            [ for g in groups do
                  for run in g.Runs ->
                      [ Cell.text (string (Path.GetFileName run.Folder))
                        Cell.text g.Task
                        Cell.text g.Name
                        { Cell.text (string run.Seed) with Raw = string run.Seed }
                        Cell.text (if run.Finished then "yes" else "no")
                        Cell.count run.Iterations
                        Cell.count run.EnvSteps
                        Cell.count run.TrainingEpisodes
                        Cell.number run.Final
                        Cell.number run.Best ] ] }
