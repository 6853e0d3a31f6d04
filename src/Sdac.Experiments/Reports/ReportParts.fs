namespace Sdac.Experiments

open System
open System.IO
open System.Security.Cryptography
open System.Text
open System.Text.RegularExpressions
open Sdac.Functional

/// What stands on a report's page, in its order.
[<RequireQualifiedAccess>]
module ReportParts =
    /// A text as a part of a file's name. File systems take 255 bytes: what is long is cut, and its checksum keeps it apart.
    let fileName (text: string) =
        let plain = Regex.Replace(text, @"[^A-Za-z0-9.=_-]+", "-").Trim('-')

        if plain.Length <= 60 then
            plain
        else
            let sum = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes text))
            $"{plain[..49]}-{sum[..7]}"

    let private hasInterquartile (groups: RunGroup list) = groups |> List.exists (fun g -> g.Runs.Length >= 4)

    let private learning names (groups: RunGroup list) =
        let task = groups.Head.Task
        let file = fileName task

        [ if groups |> List.exists (fun g -> g.Runs |> List.exists (fun r -> r.Evaluations.Length > 0)) then
              Picture(
                  $"learning-mean-{file}",
                  $"Learning curves on {task}, mean over seeds",
                  ReportPlots.learning "mean" Statistics.mean names groups
              )

              if
                  groups
                  |> List.exists (fun g -> g.Runs |> List.exists (_.EvaluatedAfter >> Array.exists Double.IsFinite))
              then
                  Picture(
                      $"learning-time-{file}",
                      $"Learning curves on {task} against wall-clock time, mean over seeds",
                      ReportPlots.overTime names groups
                  )

              if hasInterquartile groups then
                  Picture(
                      $"learning-iqm-{file}",
                      $"Learning curves on {task}, interquartile mean over seeds",
                      ReportPlots.learning "interquartile mean" Statistics.iqm names groups
                  )
          else
              Paragraph $"No run on {task} has been evaluated yet." ]

    /// The figures that the groups' algorithms have drawn, each once, with the labels of their axes.
    let private plotted (registry: Registry) (groups: RunGroup list) : (FigureInfo * string) list =
        groups
        |> List.collect (fun g -> g.Runs |> List.map _.Algorithm)
        |> List.distinct
        |> List.choose (fun name -> Registry.tryFind name registry)
        |> List.collect (fun algorithm ->
            algorithm.Open
                { new IOpen<FigureInfo list> with
                    member _.Open algorithm = algorithm.Figures })
        |> List.choose (fun info -> info.Plotted |> Option.map (fun label -> info, label))
        |> List.distinctBy (fun (info, _) -> info.Name)

    let private inside (registry: Registry) names (groups: RunGroup list) =
        let task = groups.Head.Task
        let file = fileName task
        let series figure = groups |> List.map (fun g -> g.Name, Comparison.meanSeries figure g)

        let drawn (info: FigureInfo) (label: string) =
            let figures = series (fun run -> Map.tryFind info.Name run.Figures |> Option.defaultValue [||])

            [ if figures |> List.exists (fun (_, points) -> Array.length points > 0) then
                  Picture(
                      $"{info.Name}-{file}",
                      $"{info.Title} over time on {task}",
                      ReportPlots.series
                          $"{task}: {info.Title}"
                          "Mean over seeds"
                          "Environment steps"
                          label
                          names
                          figures
                  ) ]

        [ for info, label in plotted registry groups do
              yield! drawn info label
          for g in groups do
              if not (ReportPlots.weightSpans g).IsEmpty then
                  Picture(
                      $"weights-{file}-{fileName g.Name}",
                      $"Histogram of the weights of {g.Name} on {task} over time",
                      ReportPlots.weights g
                  ) ]

    /// Figures of whole episodes that the task has evaluations note.
    let private episodes names (groups: RunGroup list) =
        let task = groups.Head.Task

        let noted =
            groups
            |> List.collect (fun g -> g.Runs |> List.collect (_.EpisodeFigures >> Map.keys >> List.ofSeq))
            |> List.distinct

        [ for name in noted do
              Picture(
                  $"{fileName name}-{fileName task}",
                  $"{name} of an episode on {task}, mean over seeds",
                  ReportPlots.episodeFigure name names groups
              ) ]

    let private memory names (groups: RunGroup list) =
        let task = groups.Head.Task

        let memory (run: RunRecord) = run.Timings |> Option.map _.Memory |> Option.defaultValue [||]
        let figures = groups |> List.map (fun g -> g.Name, Comparison.meanSeries memory g)

        [ if figures |> List.exists (fun (_, points) -> points.Length > 0) then
              Picture(
                  $"memory-{fileName task}",
                  $"Resident memory over updates on {task}",
                  ReportPlots.series $"{task}: resident memory" "Mean over seeds" "Updates" "MiB" names figures
              ) ]

    let private profileParts names (groups: RunGroup list) =
        let tasks, scores = Comparison.shared groups

        [ Heading("profiles", "Performance profiles")
          if tasks.IsEmpty then
              Paragraph
                  "No profile: there is no task on which every algorithm has a finished run, or several of them without stored reference scores."
          else
              Picture("profile", "Performance profiles", ReportPlots.profile (tasks.Length > 1) names tasks scores)

          if tasks.Length > 1 then
              Tabular(ReportTables.references tasks) ]

    let private improvementParts (groups: RunGroup list) =
        let byTask = Comparison.byTask groups
        let overall = Comparison.improvements groups |> List.filter (fun pair -> pair.Tasks.Length > 1)

        [ Heading("improvement", "Probability of improvement")
          if byTask.IsEmpty then
              Paragraph "No pair: this needs two algorithms with finished runs on the same task."
          else
              for task, pairs in byTask do
                  Picture(
                      $"improvement-{fileName task}",
                      $"Probabilities of improvement on {task}",
                      ReportPlots.improvement task pairs
                  )

              if not overall.IsEmpty then
                  Picture(
                      "improvement",
                      "Probabilities of improvement over all tasks",
                      ReportPlots.improvement "All tasks that both have finished" overall
                  )

              Tabular(ReportTables.improvement groups) ]

    let private costParts names (groups: RunGroup list) =
        let many = (Comparison.tasks groups).Length > 1
        let label (g: RunGroup) = if many then $"{g.Task}, {g.Name}" else g.Name

        let figures =
            [ for g in groups do
                  for phase, ms in ReportTables.updatePhases g -> label g, phase, ms ]

        [ Heading("costs", "Time and memory per update")
          if figures.IsEmpty then
              Paragraph "The runs hold no timings."
          else
              Picture("time", "Time per update by phase", ReportPlots.phases (List.map label groups) figures)

          for task in Comparison.tasks groups do
              yield! memory names (groups |> List.filter (fun g -> g.Task = task))

          Tabular(ReportTables.costs groups)
          if not figures.IsEmpty then
              Tabular(ReportTables.phases groups) ]

    /// What each group is: a key to the names, and its settings and folders in full.
    let private groupParts (groups: RunGroup list) =
        [ Heading("groups", "Groups, settings and folders")
          Tabular(ReportTables.key groups)
          for g in groups do
              Details(
                  $"{g.Name} on {g.Task}: settings and folders",
                  [ "settings", [ for KeyValue(path, value) in g.Runs.Head.Settings -> $"{path} = {value}" ]
                    "folders", [ for run in g.Runs -> run.Folder ] ]
              ) ]

    /// Links to the pages on which runs can be watched, where some have been made. `folder`: the report's own.
    let watched (folder: string) (groups: RunGroup list) : ReportPart list =
        let pages =
            [ for g in groups do
                  for run in g.Runs do
                      for which, page in Watch.pages { Path = run.Folder } do
                          let name = string (Path.GetFileName run.Folder)
                          $"{name} ({which})", Path.GetRelativePath(folder, page) ]

        [ if not pages.IsEmpty then
              Links("To watch, recorded episodes of the newest or the best networks:", pages) ]

    /// The page's parts in their order.
    let all (registry: Registry) (groups: RunGroup list) : ReportPart list =
        let names = Comparison.names groups

        let byTask part =
            [ for task in Comparison.tasks groups do
                  yield! part (groups |> List.filter (fun g -> g.Task = task)) ]

        let finished (groups: RunGroup list) = groups |> List.exists (fun g -> not g.Finished.IsEmpty)

        [ Heading("overview", "All tasks and algorithms")
          Tabular(ReportTables.overview groups)
          Heading("learning", "Learning curves")
          if not (groups |> List.exists (fun g -> g.Runs.Length >= 4)) then
              Paragraph "With fewer than four seeds the interquartile mean is the mean: only this one is drawn."
          yield! byTask (learning names)
          yield! byTask (episodes names)
          Heading("scores", "Final and best scores")
          Paragraph
              "A run's score is the mean return of an evaluation: of the last one (final), of those in the last tenth of its steps together (last tenth), of the best one (best; chosen afterwards, hence optimistic). Comparisons go by the final one. IQM: interquartile mean. Only finished runs count."
          yield!
              byTask (fun groups ->
                  [ if finished groups then
                        Picture(
                            $"final-{fileName groups.Head.Task}",
                            $"Final scores on {groups.Head.Task}",
                            ReportPlots.finals names groups
                        ) ])
          Tabular(ReportTables.scores groups)
          yield! profileParts names groups
          yield! improvementParts groups
          yield! costParts names groups
          Heading("inside", "Inside the updates, over time")
          if not (groups |> List.exists (fun g -> g.Runs |> List.exists (fun r -> r.Weights.Length > 0))) then
              Paragraph "These runs hold no histograms of their weights; the largest weight stands for them."
          yield! byTask (inside registry names)
          yield! groupParts groups
          Heading("runs", "Runs")
          Tabular(ReportTables.runs groups) ]
