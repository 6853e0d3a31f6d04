namespace Sdac.Experiments

open System
open System.Globalization
open System.IO
open System.Security.Cryptography
open System.Text
open System.Text.RegularExpressions
open Sdac

/// One page about many runs, with its pictures and tables beside it.
[<RequireQualifiedAccess>]
module Report =
    let private thousands (n: int) = n.ToString("N0", CultureInfo.InvariantCulture)

    let private plural (n: int) (noun: string) = if n = 1 then $"1 {noun}" else $"{thousands n} {noun}s"

    /// A text as a part of a file's name. File systems take 255 bytes: what is long is cut, and its checksum keeps it apart.
    let private fileName (text: string) =
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
        let series of' = groups |> List.map (fun g -> g.Name, Comparison.meanSeries of' g)

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

    let private comparisonParts names (groups: RunGroup list) =
        let tasks, scores = Comparison.shared groups
        let pairs = Comparison.improvements groups

        [ Heading("profiles", "Performance profiles")
          if tasks.IsEmpty then
              Paragraph "No profile: there is no task on which every algorithm has a finished run."
          else
              Picture("profile", "Performance profiles", ReportPlots.profile (tasks.Length > 1) names tasks scores)
          Heading("improvement", "Probability of improvement")
          if pairs.IsEmpty then
              Paragraph "No pair: this needs two algorithms with finished runs on the same task."
          else
              Picture("improvement", "Probabilities of improvement", ReportPlots.improvement pairs)
              Tabular(ReportTables.improvement pairs) ]

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

          Tabular(ReportTables.costs groups) ]

    /// Links to the pages on which runs can be watched, where some have been made. `folder`: the report's own.
    let private watched (folder: string) (groups: RunGroup list) =
        let pages =
            [ for g in groups do
                  for run in g.Runs do
                      for which, page in Watch.pages { Path = run.Folder } do
                          let name = string (Path.GetFileName run.Folder)
                          $"{name} ({which})", Path.GetRelativePath(folder, page) ]

        [ if not pages.IsEmpty then
              Links("To watch, recorded episodes of the newest or the best networks:", pages) ]

    let private parts (registry: Registry) (folder: string) (groups: RunGroup list) : ReportPart list =
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
          Heading("scores", "Final and best scores")
          Paragraph
              "A run's score is the mean return of an evaluation: of the last one (final), of the best one (best; chosen afterwards, hence optimistic). IQM: interquartile mean. Only finished runs count."
          yield!
              byTask (fun groups ->
                  [ if finished groups then
                        Picture(
                            $"final-{fileName groups.Head.Task}",
                            $"Final scores on {groups.Head.Task}",
                            ReportPlots.finals names groups
                        ) ])
          Tabular(ReportTables.scores groups)
          yield! comparisonParts names groups
          yield! costParts names groups
          Heading("inside", "Inside the updates, over time")
          if not (groups |> List.exists (fun g -> g.Runs |> List.exists (fun r -> r.Weights.Length > 0))) then
              Paragraph "These runs hold no histograms of their weights; the largest weight stands for them."
          yield! byTask (inside registry names)
          Heading("runs", "Runs")
          Tabular(ReportTables.runs groups)
          yield! watched folder groups ]

    /// The best name of each task, as a sentence.
    let private leaders (groups: RunGroup list) =
        [ for task in Comparison.tasks groups do
              let scored =
                  groups
                  |> List.filter (fun g -> g.Task = task && not g.Finished.IsEmpty)
                  |> List.map (fun g -> g, Comparison.estimate Statistics.iqm g.FinalScores)

              if not scored.IsEmpty then
                  let g, e = scored |> List.maxBy (fun (_, e) -> e.Value)
                  let among = if scored.Length > 1 then $", the highest of {scored.Length} algorithms" else ""

                  let interval =
                      if Double.IsFinite e.Low then
                          ", 95 % interval in brackets"
                      else
                          ", one seed: no interval"

                  let runs = plural g.Finished.Length "finished run"
                  $"{task}: {g.Name} ends at {ReportTables.shown e} (interquartile mean of {runs}{interval}){among}." ]

    let private summary (groups: RunGroup list) =
        let runs = groups |> List.collect _.Runs
        let unfinished = runs |> List.filter (fun run -> not run.Finished)
        let episodes (count: RunRecord -> int) = runs |> List.sumBy count

        let size =
            [ plural runs.Length "run" + ":"
              plural (Comparison.tasks groups).Length "task" + ","
              plural (Comparison.names groups).Length "algorithm" + " (settings that differ count apart),"
              plural (runs |> List.map _.Seed |> List.distinct).Length "seed" + ","
              plural (episodes _.TrainingEpisodes) "training episode" + " and"
              plural (episodes _.EvaluationEpisodes) "evaluation episode" + "." ]
            |> String.concat " "

        let open' =
            [ if not unfinished.IsEmpty then
                  plural unfinished.Length "run" + " unfinished: in the learning curves, not in the scores." ]

        let few =
            [ if groups |> List.exists (fun g -> g.Runs.Length > 1 && g.Runs.Length < 5) then
                  "Some groups have fewer than five seeds: their intervals are narrower than they should be." ]

        size :: leaders groups @ open' @ few

    /// The readable runs at or below the paths, and warnings about the others.
    let private gather (registry: Registry) (paths: string list) =
        let folders, warnings = RunRecord.find paths
        let results = folders |> List.map (RunRecord.read registry)

        let runs =
            results
            |> List.choose (function
                | Ok run -> Some run
                | Error _ -> None)

        let refused =
            results
            |> List.choose (function
                | Error sentence -> Some sentence
                | Ok _ -> None)

        runs, warnings @ refused

    /// Where the page goes, and how the names of the files beside it begin: a name that ends in .html is the page's own, another
    /// that of a folder for index.html.
    let private target (out: string) =
        if out.EndsWith(".html", StringComparison.OrdinalIgnoreCase) then
            let folder = Path.GetDirectoryName(Path.GetFullPath out) |> Option.ofObj |> Option.defaultValue "/"
            let stem = string (Path.GetFileNameWithoutExtension out)
            // a long name would leave none for the files beside the page
            let prefix = if stem.Length <= 60 then stem else fileName (stem.Replace('.', '-'))
            struct (folder, string (Path.GetFileName out), $"{prefix}.")
        else
            struct (Path.GetFullPath out, "index.html", "")

    /// Writes the pictures: the names of those that lie beside the page, and a sentence for each reason why others do not.
    let private savePictures (beside: string -> string) (parts: ReportPart list) : Set<string> * string list =
        let results =
            [ for part in parts do
                  match part with
                  | Picture(name, _, picture) -> name, Plot.save (beside $"{name}.svg") picture
                  | _ -> () ]

        let failures =
            results
            |> List.choose (fun (name, result) ->
                match result with
                | Error sentence -> Some(sentence, name)
                | Ok() -> None)
            |> List.groupBy fst
            |> List.map (fun (sentence, names) ->
                let names = names |> List.map snd |> String.concat ", "
                $"not written beside the page: {names} ({sentence})")

        for failure in failures do
            eprintfn $"warning: {failure}"

        set
            [ for name, result in results do
                  if result.IsOk then
                      name ],
        failures

    /// Writes the report of all runs at or below the paths; what was left out is said on standard error and on the page. The
    /// page's path.
    let write (registry: Registry) (paths: string list) (out: string) : string =
        let runs, unread = gather registry paths

        if runs.IsEmpty then
            let given = String.concat ", " paths

            let first =
                unread |> List.tryHead |> Option.map (fun sentence -> $" ({sentence})") |> Option.defaultValue ""

            Errors.fail (Storage $"there is no usable run in {given}{first}: give folders that train.fsx has made")

        let groups, repeated = Comparison.group runs

        let unfinished =
            [ for g in groups do
                  for run in g.Runs do
                      if not run.Finished then
                          $"{run.Folder} is unfinished ({run.Iterations} updates): it is shown in the learning curves, but not counted in the scores" ]

        let warnings = unread @ repeated @ unfinished

        for warning in warnings do
            eprintfn $"warning: {warning}"

        let struct (folder, name, prefix) = target out
        Files.createFolder folder
        let beside file = Path.Combine(folder, prefix + file)
        let parts = parts registry folder groups

        let written, unwritten = savePictures beside parts

        for part in parts do
            match part with
            | Tabular table ->
                Files.writeText (beside $"{table.Name}.csv") (Table.csv table)
                Files.writeText (beside $"{table.Name}.md") (Table.markdown table)
            | _ -> ()

        let title = "Report: " + String.concat ", " (Comparison.tasks groups)
        let path = Path.Combine(folder, name)

        Files.writeText path (ReportPage.html prefix title (summary groups) (warnings @ unwritten) written parts)

        path
