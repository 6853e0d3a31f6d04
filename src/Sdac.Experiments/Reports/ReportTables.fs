namespace Sdac.Experiments

open System
open System.Globalization
open System.IO
open Sdac.Functional

/// The tables of a report.
[<RequireQualifiedAccess>]
module ReportTables =
    /// "1 of 5 (20 %)", of the runs that are over; "0" where none has failed.
    let failedShare (group: RunGroup) : string =
        let over = group.Runs |> List.filter (fun run -> run.Finished || run.State = "failed")
        let failed = over |> List.filter (fun run -> not run.Finished)

        if failed.IsEmpty then
            "0"
        else
            $"{failed.Length} of {over.Length} (%.0f{100.0 * float failed.Length / float over.Length} %%)"

    let private estimate (statistic: float[] -> float) (scores: float[]) =
        Comparison.estimate statistic scores |> Cell.estimate

    /// Final, late and best scores of every group.
    let scores (groups: RunGroup list) : Table =
        { Name = "scores"
          Caption =
            "Return per evaluation episode (undiscounted), interquartile mean (IQM) or mean over the finished runs with 95 % bootstrap interval over seeds"
          Columns =
            [ "task"
              "algorithm"
              "finished runs"
              "failed runs"
              "environment steps"
              "final, IQM"
              "final, mean"
              "last tenth, IQM"
              "best, IQM"
              "best of all" ]
          Rows =
            [ for g in groups ->
                  [ Cell.text g.Task
                    Cell.text g.Name
                    Cell.figures $"{g.Finished.Length} of {g.Runs.Length}"
                    Cell.figures (failedShare g)
                    Cell.count (g.Runs |> List.map _.EnvSteps |> List.max)
                    estimate Statistics.iqm g.FinalScores
                    estimate Statistics.mean g.FinalScores
                    estimate Statistics.iqm g.WindowScores
                    estimate Statistics.iqm g.BestScores
                    Cell.number (if g.Finished.IsEmpty then nan else Array.max g.BestScores) ] ] }

    /// Columns of an overview with one for each name; more names have a row each.
    [<Literal>]
    let private MostNames = 7

    /// Of each task with finished runs, and of all together: its title, and by name the estimate and whether it is the best.
    let private finals (groups: RunGroup list) : (string * Map<string, Estimate * bool>) list =
        [ for task in Comparison.tasks groups do
              let own = groups |> List.filter (fun g -> g.Task = task)
              let pairs = Comparison.improvements own

              task,
              Map
                  [ for g in own do
                        if not g.Finished.IsEmpty then
                            g.Name, (Comparison.estimate Statistics.iqm g.FinalScores, Comparison.isBest pairs g.Name) ]

          match Comparison.shared groups with
          | tasks, scores when tasks.Length > 1 ->
              let pairs = groups |> List.filter (fun g -> List.contains g.Task tasks) |> Comparison.improvements
              let pooled = Statistics.pooled Statistics.iqm

              let estimate strata =
                  Statistics.bootstrap Comparison.Level Comparison.Resamples Comparison.key pooled strata

              $"{tasks.Length} tasks, 0: random, 1: reference",
              Map [ for name, strata in scores -> name, (estimate strata, Comparison.isBest pairs name) ]
          | _ -> () ]

    let private final (found: Map<string, Estimate * bool>) (name: string) : Cell =
        match Map.tryFind name found with
        | None -> Cell.figures "–"
        | Some(e, true) -> Cell.strong (Cell.estimate e)
        | Some(e, false) -> Cell.estimate e

    /// Final scores by task and algorithm: a column for each algorithm, or a row where there are many; over several shared tasks
    /// one for all of them.
    let overview (groups: RunGroup list) : Table =
        let names, finals = Comparison.names groups, finals groups

        { Name = "overview"
          Caption =
            "Final score: interquartile mean over seeds of the last evaluation's mean return, 95 % stratified bootstrap interval. Bold: better than each other one beyond the interval of the probability of improvement"
          Columns =
            if names.Length <= MostNames then
                "task" :: names
            else
                [ "task"; "algorithm"; "final score" ]
          Rows =
            [ for task, found in finals do
                  if names.Length <= MostNames then
                      Cell.text task :: List.map (final found) names
                  else
                      for name in names do
                          if found.ContainsKey name then
                              [ Cell.text task; Cell.text name; final found name ] ] }

    /// What 0 and 1 of the normalised scores are.
    let references (tasks: string list) : Table =
        { Name = "references"
          Caption =
            "The scale of the normalised scores: returns that are 0 and 1. They are stored with the program and do not depend on these runs"
          Columns = [ "task"; "0: random actions"; "1: reference"; "the reference" ]
          Rows =
            [ for task in tasks do
                  match ReferenceScores.tryFind task with
                  | None -> ()
                  | Some score ->
                      [ Cell.text task; Cell.number score.Random; Cell.number score.Reference; Cell.text score.Source ] ] }

    let private says (pair: ComparedPair) =
        match pair.Finding with
        | Finding.Better -> "x is better"
        | Finding.Worse -> "y is better"
        | Finding.NoDifference -> "no difference"
        | Finding.TooFew -> "too few runs"

    /// Of every two algorithms on every task, and on all that both have finished.
    let improvement (groups: RunGroup list) : Table =
        let row (where: string) (pair: ComparedPair) =
            let difference =
                match pair.Difference with
                | None -> Cell.figures "–"
                | Some e -> Cell.estimate e

            [ Cell.text where
              Cell.text pair.X
              Cell.text pair.Y
              Cell.figures (pair.Sizes |> List.unzip |> fun (x, y) -> $"{List.sum x} : {List.sum y}")
              Cell.estimate pair.Probability
              Cell.text (says pair)
              difference
              Cell.count pair.EqualSeeds ]

        { Name = "improvement"
          Caption =
            "P(x > y): probability that a run of x scores more than one of y on the same task (final score, ties count half), 95 % bootstrap interval. x - y: mean difference of the final scores over the seeds that both have finished. Too few runs: even if every run of one side scored more, chance alone would do that in more than 5 % of the cases"
          Columns = [ "task"; "x"; "y"; "runs x : y"; "P(x > y)"; "says"; "x - y over equal seeds"; "equal seeds" ]
          Rows =
            [ for task, pairs in Comparison.byTask groups do
                  yield! List.map (row task) pairs
              for pair in Comparison.improvements groups do
                  if pair.Tasks.Length > 1 then
                      row $"{pair.Tasks.Length} tasks" pair ] }

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

    /// Time and memory.
    let costs (groups: RunGroup list) : Table =
        { Name = "costs"
          Caption =
            "Time and memory: mean over runs; an update's time leaves evaluations, checkpoints and the warm-up out, the wall-clock does not"
          Columns = [ "task"; "algorithm"; "updates"; "ms per update"; "peak memory (MiB)"; "wall-clock (s)" ]
          Rows =
            [ for g in groups ->
                  let figures = updatePhases g
                  let seconds = g.Runs |> List.map (_.Timings >> Option.map _.Seconds >> Option.defaultValue nan)

                  [ Cell.text g.Task
                    Cell.text g.Name
                    Cell.count (g.Runs |> List.map _.Iterations |> List.max)
                    Cell.number (if figures.IsEmpty then nan else List.sumBy snd figures)
                    Cell.number (average (g.Runs |> List.map _.PeakMemory))
                    Cell.number (average seconds) ] ] }

    /// Time by phase: milliseconds per update.
    let phases (groups: RunGroup list) : Table =
        { Name = "phases"
          Caption = "An update's time by phase: mean over updates and runs"
          Columns = [ "task"; "algorithm"; "phase"; "ms per update" ]
          Rows =
            [ for g in groups do
                  for phase, ms in updatePhases g ->
                      [ Cell.text g.Task; Cell.text g.Name; Cell.text phase; Cell.number ms ] ] }

    /// Version and commit as people write them: "1.2.0 (3bb1d1a)".
    let private program (text: string) =
        match text.Split '+' with
        | [| version; commit |] -> $"{version} ({commit[.. min 8 (commit.Length - 1)]})"
        | _ when text = "" -> "unknown"
        | _ -> text

    /// What the groups' names mean, and where their runs are from.
    let key (groups: RunGroup list) : Table =
        let day (date: DateOnly) = date.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture)

        { Name = "groups"
          Caption =
            "The groups: runs that differ in their seeds alone. Dates are those of the files spec.json, commits those of the programs that began the runs"
          Columns = [ "algorithm"; "task"; "differs in"; "runs"; "version (commit)"; "begun" ]
          Rows =
            [ for g in groups |> List.sortBy (fun g -> List.findIndex ((=) g.Name) (Comparison.names groups)) ->
                  let differing = [ for name, value in g.Differing -> $"{name}={value}" ]
                  let days = g.Runs |> List.map _.Begun
                  let first, last = List.min days, List.max days

                  [ Cell.text g.Name
                    Cell.text g.Task
                    Cell.text (if differing.IsEmpty then "–" else String.concat ", " differing)
                    Cell.count g.Runs.Length
                    Cell.text (g.Runs |> List.map (_.Program >> program) |> List.distinct |> String.concat ", ")
                    Cell.text (if first = last then day first else $"{day first} to {day last}") ] ] }

    /// Every run by itself.
    let runs (groups: RunGroup list) : Table =
        { Name = "runs"
          Caption = "All runs"
          Columns =
            [ "run folder"
              "task"
              "algorithm"
              "seed"
              "state"
              "updates"
              "environment steps"
              "training episodes"
              "final return"
              "last tenth"
              "best return" ]
          Rows =
            [ for g in groups do
                  for run in g.Runs ->
                      [ Cell.text (string (Path.GetFileName run.Folder))
                        Cell.text g.Task
                        Cell.text g.Name
                        Cell.figures (string run.Seed)
                        Cell.text run.State
                        Cell.count run.Iterations
                        Cell.count run.EnvSteps
                        Cell.count run.TrainingEpisodes
                        Cell.number run.Final
                        Cell.number run.Window
                        Cell.number run.Best ] ] }
