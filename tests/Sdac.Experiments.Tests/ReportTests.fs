/// Reports of run folders written here line by line.
module Sdac.Experiments.Tests.ReportTests

open System
open System.IO
open System.Text.RegularExpressions
open Expecto
open Sdac.Functional
open Sdac.Experiments
open Sdac.Experiments.Tests.Support
open Sdac.Experiments.Tests.ReportSupport
open Sdac.Testing

let private table =
    { Name = "t"
      Caption = "A <caption>"
      Columns = [ "a|b"; "c" ]
      Rows =
        [ [ Cell.text "x, \"y\""; Cell.strong (Cell.number 12345.678) ]
          [ Cell.text "z"; Cell.number nan ] ] }

let private quietly action = captureError action

[<Tests>]
let tests =
    testList
        "reports"
        [ testCase "a run folder is read back" (fun () ->
              inFolder (fun root ->
                  let path = Path.Combine(root, "a")
                  folderOf path (spec "Hopper-v4" 7L 4) [ 1.0; 5.0; 3.0 ] true
                  let run = readable path

                  Expect.equal
                      (run.Task, run.Algorithm, run.Title, run.Seed)
                      ("Hopper-v4", "sdac", "SDAC", 7L)
                      "task, algorithm, title and seed"

                  Expect.equal (run.Settings["config.particles.particles"]) "4" "settings"
                  Expect.equal (run.Final, run.Best) (3.0, 5.0) "final and best"

                  Expect.equal
                      (run.TrainingEpisodes, run.EvaluationEpisodes)
                      (3, 6)
                      "training episodes and evaluation episodes"

                  Expect.equal (run.Iterations, run.EnvSteps) (30L, 60L) "iterations and env steps"
                  Expect.equal (run.Figures["lambda"]) [| 20L, 1.0; 40L, 0.5; 60L, 1.0 / 3.0 |] "lambda"
                  Expect.equal (run.Figures["weightConcentration"][2]) (60L, 2.0) "concentration"
                  Expect.equal run.Figures.Count 2 "the figures of updates, and nothing else"
                  Expect.equal run.Weights.Length 3 "number of weights"
                  Expect.equal run.PeakMemory 123.5 "peak memory"
                  Expect.isTrue run.Finished "finished"))

          testCase "the algorithm names a run: by its title where it is known, else by its name" (fun () ->
              inFolder (fun root ->
                  let path = Path.Combine(root, "a")
                  folderOf path (spec "Hopper-v4" 7L 4) [ 1.0 ] true
                  let file = Path.Combine(path, "spec.json")
                  let plain = File.ReadAllText file
                  Expect.stringContains plain ("\"algorithm\": \"sdac\"") "plain"

                  let write (text: string) =
                      File.WriteAllText(file, plain.Replace("\"algorithm\": \"sdac\"", $"\"algorithm\": {text}"))

                  write "\"dpmd\""
                  Expect.equal ((readable path).Algorithm, (readable path).Title) ("dpmd", "DPMD") "a known one"
                  // of a script that is not at hand
                  write "\"cql\""
                  Expect.equal ((readable path).Algorithm, (readable path).Title) ("cql", "CQL") "an unknown one"
                  Expect.equal ((readable path).Settings["config.particles.particles"]) "4" "its settings"
                  write "\"my-algorithm\""
                  Expect.equal ((readable path).Title) "my-algorithm" "a long name"
                  // a run older than the setting
                  File.WriteAllText(file, plain.Replace("\"algorithm\": \"sdac\",", ""))
                  Expect.equal ((readable path).Title) "SDAC" "algorithm"))

          testCase
              "algorithms are told apart by their names alone: what was published with one is no difference within it"
              (fun () ->
                  inFolder (fun root ->
                      for seed in 0L .. 1L do
                          let sdac = spec "Hopper-v4" seed 4
                          folderOf (Path.Combine(root, $"sdac{seed}")) sdac [ 1.0 ] true
                          folderOf (Path.Combine(root, $"dpmd{seed}")) (asDpmd sdac) [ 2.0 ] true

                      let groups, _ = RunSearch.find [ root ] |> fst |> List.map readable |> Comparison.group
                      Expect.equal [ for g in groups -> g.Name, g.Runs.Length ] [ "DPMD", 2; "SDAC", 2 ] "groups"))

          testCase "groups are named by what differs within a task, and hold the seeds" (fun () ->
              inFolder (fun root ->
                  campaign root
                  // differs between tasks only: no part of the name
                  folderOf
                      (Path.Combine(root, "other"))
                      { spec "Swimmer-v4" 0L 4 with EvaluateEvery = 3L }
                      [ 1.0 ]
                      true

                  let folders, warnings = RunSearch.find [ root; Path.Combine(root, "other") ]
                  Expect.isEmpty warnings "warnings"
                  Expect.equal folders.Length 19 "number of folders"
                  let groups, repeated = folders |> List.map readable |> Comparison.group
                  Expect.isEmpty repeated "repeated"

                  Expect.equal
                      [ for g in groups -> g.Task, g.Name, g.Runs.Length ]
                      [ "Ant-v4", "SDAC particles=4", 4
                        "Ant-v4", "SDAC particles=8", 5
                        "Hopper-v4", "SDAC particles=4", 4
                        "Hopper-v4", "SDAC particles=8", 5
                        "Swimmer-v4", "SDAC particles=4", 1 ]
                      "groups"))

          testCase "a repeated seed counts once, and is named" (fun () ->
              inFolder (fun root ->
                  let path name = Path.Combine(root, name)
                  folderOf (path "a") (spec "Hopper-v4" 0L 4) [ 1.0 ] false
                  folderOf (path "b") (spec "Hopper-v4" 0L 4) [ 1.0 ] true
                  let groups, warnings = [ path "a"; path "b" ] |> List.map readable |> Comparison.group
                  // the finished one is kept
                  Expect.equal (groups |> List.collect _.Runs |> List.map _.Folder) [ path "b" ] "runs of groups"
                  Expect.stringContains (Expect.single warnings "warnings") (path "a") "warnings"))

          testCase "a curve takes the runs that have got there" (fun () ->
              inFolder (fun root ->
                  let path name = Path.Combine(root, name)
                  folderOf (path "a") (spec "Hopper-v4" 0L 4) [ 1.0; 2.0; 9.0 ] true
                  folderOf (path "b") (spec "Hopper-v4" 1L 4) [ 3.0; 4.0 ] false
                  let groups, _ = [ path "a"; path "b" ] |> List.map readable |> Comparison.group
                  let curve = Comparison.curve Statistics.mean (List.exactlyOne groups)

                  Expect.equal
                      [ for p in curve -> p.EnvSteps, p.Runs, p.Estimate.Value ]
                      [ 20L, 2, 2.0; 40L, 2, 3.0; 60L, 1, 9.0 ]
                      "points of the curve"

                  Expect.equal (curve[0].Estimate) { Value = 2.0; Low = 1.0; High = 3.0 } "estimate"
                  Expect.isTrue (Double.IsNaN curve[2].Estimate.Low) "low"
                  // scores: finished runs only
                  Expect.equal ((List.exactlyOne groups).FinalScores) [| 9.0 |] "final scores"))

          testCase "names are compared over the tasks that all have finished, each on its own scale" (fun () ->
              inFolder (fun root ->
                  let add name task particles score =
                      folderOf (Path.Combine(root, name)) (spec task 0L particles) [ score ] true

                  // halfway between the stored scores, and as far beyond the reference
                  let at task share =
                      let scale = (ReferenceScores.tryFind task).Value
                      scale.Random + share * (scale.Reference - scale.Random)

                  add "a" "Ant-v4" 4 (at "Ant-v4" 0.5)
                  add "b" "Ant-v4" 8 (at "Ant-v4" 1.5)
                  add "c" "Hopper-v4" 4 (at "Hopper-v4" 1.0)
                  add "d" "Hopper-v4" 8 (at "Hopper-v4" 0.0)
                  let runs () = RunSearch.find [ root ] |> fst |> List.map readable |> Comparison.group |> fst
                  let tasks, scores = Comparison.shared (runs ())
                  Expect.equal tasks [ "Ant-v4"; "Hopper-v4" ] "tasks"

                  let close expected (strata: float[][]) =
                      for found, wanted in Array.zip (Array.concat strata) expected do
                          Expect.floatClose Accuracy.high found wanted "strata"

                  close [| 0.5; 1.0 |] (snd scores[0])
                  close [| 1.5; 0.0 |] (snd scores[1])
                  // one task each won
                  let pair = Expect.single (Comparison.improvements (runs ())) "improvements"
                  Expect.equal (pair.X, pair.Y) ("SDAC particles=4", "SDAC particles=8") "x and y"
                  Expect.equal (pair.Tasks.Length, pair.Probability.Value) (2, 0.5) "tasks and probability"
                  // a single task keeps its unit
                  Directory.Delete(Path.Combine(root, "d"), true)
                  let tasks, scores = Comparison.shared (runs ())
                  Expect.equal tasks [ "Ant-v4" ] "tasks"
                  close [| at "Ant-v4" 0.5 |] (snd scores[0])
                  let pair = Expect.single (Comparison.improvements (runs ())) "improvements"
                  Expect.equal (pair.Tasks, pair.Probability.Value) ([ "Ant-v4" ], 0.0) "task and probability"))

          testCase "weights over time are shares of their span" (fun () ->
              inFolder (fun root ->
                  let path = Path.Combine(root, "a")
                  folderOf path (spec "Hopper-v4" 0L 4) (List.replicate 100 1.0) true
                  let groups, _ = Comparison.group [ readable path ]
                  let spans = ReportPlots.weightSpans (List.exactlyOne groups)
                  Expect.inRange spans.Length (20, 40) "number of spans"
                  let starts, ends = [ for a, _, _ in spans -> a ], [ for _, b, _ in spans -> b ]
                  Expect.equal starts (0L :: List.take (ends.Length - 1) ends) "starts"
                  Expect.equal (List.last ends) 2000L "ends"

                  for _, _, buckets in spans do
                      Expect.equal buckets [ 0.0, 0.5, 0.25; 0.5, 1.0, 0.5; 1.0, 2.0, 0.25 ] "buckets"))

          testCase "a table as CSV, Markdown and HTML" (fun () ->
              Expect.equal (Table.csv table) ("a|b,c\n\"x, \"\"y\"\"\",12345.678\nz,\n") "csv"

              Expect.equal
                  (Table.markdown table)
                  ("| a\\|b | c |\n| --- | --- |\n| x, \"y\" | **12,346** |\n| z | – |\n")
                  "markdown"

              let html = Table.html table
              Expect.stringContains html "<caption>A &lt;caption&gt;</caption>" "html"

              Expect.stringContains
                  html
                  ("<th scope=\"row\">x, &quot;y&quot;</th><td data-name=\"c\"><strong>12,346</strong></td>")
                  "html")

          testCase "a page stands alone: every section, pictures inside and beside it, tables in three forms" (fun () ->
              inFolder (fun root ->
                  campaign (Path.Combine(root, "runs"))
                  let out = Path.Combine(root, "report")
                  let page, complaints = quietly (fun () -> Report.write standard [ Path.Combine(root, "runs") ] out)
                  Expect.equal page (Path.Combine(out, "index.html")) "page"
                  let html = File.ReadAllText page

                  for id in
                      [ "overview"
                        "learning"
                        "scores"
                        "profiles"
                        "improvement"
                        "costs"
                        "inside"
                        "groups"
                        "runs" ] do
                      Expect.stringContains html ($"<h2 id=\"{id}\">") "html"

                  Expect.stringContains html "18 runs: 2 tasks, 2 algorithms" "html"
                  // headings that stand alone where one of the two lists is empty
                  Expect.stringContains html "<h2>What cannot be told</h2>" "html"
                  Expect.stringContains html "54 training episodes and 108 evaluation episodes" "html"
                  // nothing is fetched: all scripts are in the page, plotly.js once, and so are the pictures
                  let library = PlotlyRenderer.library ()
                  Expect.equal (html.Split(library).Length - 1) 1 "copies of plotly.js"
                  let page' = html.Replace(library, "")
                  Expect.isNotMatch page' "<script [^>]*src|<link|<iframe|@import|url\\(|https?:" "html"

                  let images =
                      Regex.Matches(page', "<img src=\"([^\"]*)\"") |> Seq.map _.Groups[1].Value |> List.ofSeq

                  for image in images do
                      Expect.isTrue (File.Exists(Path.Combine(out, Uri.UnescapeDataString image))) image

                  for name in [ "overview"; "scores"; "improvement"; "costs"; "phases"; "groups"; "runs" ] do
                      Expect.isTrue (File.Exists(Path.Combine(out, name + ".csv"))) name
                      Expect.isTrue (File.Exists(Path.Combine(out, name + ".md"))) name

                  let overview = File.ReadAllLines(Path.Combine(out, "overview.csv"))
                  Expect.equal (overview[0]) "task,SDAC particles=4,SDAC particles=8" "overview"
                  // final scores of Ant with 4 particles: 3, 4, 7, 12; interquartile mean 5.5
                  Expect.stringStarts (overview[1]) "Ant-v4,5.5 [" "overview"
                  // 7, 8, 11, 16, 23
                  Expect.stringContains (overview[1]) ",11.666666666666666 [" "overview"

                  Expect.equal complaints "" "complaints"

                  for name in
                      [ "learning-mean-Ant-v4"
                        "learning-iqm-Ant-v4"
                        "final-Hopper-v4"
                        "profile"
                        "learning-time-Ant-v4"
                        "improvement"
                        "improvement-Ant-v4"
                        "time"
                        "memory-Ant-v4"
                        "lambda-Ant-v4"
                        "weightConcentration-Ant-v4"
                        "weights-Ant-v4-SDAC-particles=4" ] do
                      Expect.stringContains (File.ReadAllText(Path.Combine(out, name + ".svg"))) "<svg " name
                      Expect.isTrue (File.Exists(Path.Combine(out, name + ".png"))) name
                      Expect.stringContains html $"href=\"{Uri.EscapeDataString name}.svg\"" "html"
                      Expect.stringContains html $"href=\"{Uri.EscapeDataString name}.png\"" "html"
                      Expect.stringContains html $"Plotly.newPlot(\"plot-{name}-0\"" "html"

                  Expect.isEmpty (Directory.GetFiles(out, "*.vl.json")) "specifications"
                  let ids = Regex.Matches(page', "\\bid=\"([^\"]+)\"") |> Seq.map _.Groups[1].Value |> List.ofSeq
                  Expect.equal ids.Length (List.length (List.distinct ids)) "number of ids"

                  // the same runs give the same page
                  let again, _ =
                      quietly (fun () ->
                          Report.write standard [ Path.Combine(root, "runs") ] (Path.Combine(root, "again.html")))

                  Expect.equal again (Path.Combine(root, "again.html")) "again"
                  Expect.isTrue (File.Exists(Path.Combine(root, "again.profile.svg"))) "root"
                  Expect.equal ((File.ReadAllText again).Replace("\"again.", "\"")) html "content of again"))

          testCase
              "learning curves hold the statistic of the seeds, with its interval as a band of the same name"
              (fun () ->
                  inFolder (fun root ->
                      campaign root
                      let groups, _ = RunSearch.find [ root ] |> fst |> List.map readable |> Comparison.group
                      let ant = groups |> List.filter (fun g -> g.Task = "Ant-v4")
                      let names = Comparison.names groups

                      // after the second evaluation the four seeds with 4 particles have 4, 5, 8, 13
                      for statistic, name, value in
                          [ Statistics.mean, "mean", 7.5; Statistics.iqm, "interquartile mean", 6.5 ] do
                          let picture = ReportPlots.learning name statistic names ant
                          Expect.stringContains picture.Title name "title"
                          Expect.stringContains picture.Subtitle "4 to 5 seeds" "subtitle"

                          let own =
                              Picture.layers picture |> List.filter (fun layer -> layer.Name = "SDAC particles=4")

                          match [ for layer in own -> layer.Mark ] with
                          | [ Mark.Band band; Mark.Line(_, line) ] ->
                              Expect.equal line[1] (40.0, value) "the second evaluation"
                              let x, low, high = band[1]
                              Expect.equal x 40.0 "the band's place"
                              Expect.isTrue (low < value && value < high) $"{low} to {high}"
                          | other -> failtest $"%A{other}"))

          testCase "groups beyond the colours have other markers, the others none on long lines" (fun () ->
              let names = [ for i in 1..9 -> $"group {i}" ]
              let curve count = [| for i in 1..count -> int64 i, float i |]
              let picture count = ReportPlots.series "" "" "x" "y" names [ for name in names -> name, curve count ]

              let looks count =
                  [ for layer in Picture.layers (picture count) do
                        match layer.Mark with
                        | Mark.Line(stroke, _) -> layer.Colour, stroke.Marker
                        | other -> failtest $"{other}" ]

              let long, short = looks 100, looks 10
              Expect.equal (List.distinct long).Length 9 "all are told apart"
              Expect.equal (fst long[7]) (fst long[0]) "the colours return"
              Expect.equal (snd long[0], snd long[7]) (None, Some PointShape.Square) "markers"
              Expect.equal (snd short[0]) (Some PointShape.Disc) "few points are marked")

          testCase "final scores: every run a dot, one row a group, the interval behind them" (fun () ->
              inFolder (fun root ->
                  campaign root
                  let groups, _ = RunSearch.find [ root ] |> fst |> List.map readable |> Comparison.group
                  let ant = groups |> List.filter (fun g -> g.Task = "Ant-v4")
                  let picture = ReportPlots.finals (Comparison.names groups) ant

                  Expect.equal
                      picture.Panels.Head.Head.Y.Scale
                      (Scale.Rows [ "SDAC particles=4"; "SDAC particles=8" ])
                      "rows"

                  let marks = [ for layer in Picture.layers picture -> layer.Mark ]

                  let dots =
                      marks
                      |> List.choose (fun mark ->
                          match mark with
                          | Mark.Dots(_, _, points) -> Some points
                          | _ -> None)

                  Expect.equal dots.Head [ 3.0, 0.0; 4.0, 0.0; 7.0, 0.0; 12.0, 0.0 ] "the last evaluations"
                  Expect.isTrue marks.Head.IsIntervals "behind"

                  match marks[2] with
                  | Mark.Strokes(_, [ value, row ]) -> Expect.equal (value, row) (5.5, 0.0) "interquartile mean"
                  | other -> failtest $"{other}"))

          testCase "phases stand end to end" (fun () ->
              let figures = [ "a", "collect", 1.0; "a", "update", 2.0; "b", "collect", 3.0; "b", "update", 4.0 ]

              let bars =
                  [ for layer in Picture.layers (ReportPlots.phases [ "a"; "b" ] figures) do
                        match layer.Mark with
                        | Mark.Bars(_, bars) -> layer.Name, bars
                        | other -> failtest $"{other}" ]

              Expect.equal
                  bars
                  [ "collect", [ 0.0, 0.0, 1.0; 1.0, 0.0, 3.0 ]; "update", [ 0.0, 1.0, 3.0; 1.0, 3.0, 7.0 ] ]
                  "bars")

          testCase "a picture that cannot be written is named; the page shows it and goes on" (fun () ->
              inFolder (fun root ->
                  folderOf (Path.Combine(root, "runs", "a")) (spec "Hopper-v4" 0L 4) [ 1.0; 2.0 ] true
                  let out = Path.Combine(root, "out")
                  // a folder is in the way
                  Files.createFolder (Path.Combine(out, "profile.svg"))
                  let page, complaints = quietly (fun () -> Report.write standard [ Path.Combine(root, "runs") ] out)
                  let html = File.ReadAllText page

                  for text in [ complaints; html ] do
                      Expect.stringContains text "not written beside the page: profile" "the sentence"

                  Expect.stringLacks complaints "lambda" "the others are written"
                  Expect.stringContains html "Plotly.newPlot(\"plot-profile-0\"" "it is in the page"
                  Expect.stringLacks html "href=\"profile.svg\"" "no link"
                  Expect.isTrue (File.Exists(Path.Combine(out, "lambda-Hopper-v4.png"))) "the others"))

          testCase "drawing is followed: each picture by its name, then all of them" (fun () ->
              inFolder (fun root ->
                  folderOf (Path.Combine(root, "runs", "a")) (spec "Hopper-v4" 0L 4) [ 1.0; 2.0 ] true
                  let heard, totals = ResizeArray(), ResizeArray()

                  let following (total: int) draw =
                      totals.Add total
                      draw heard.Add

                  let out = Path.Combine(root, "out")

                  quietly (fun () -> Report.writeFollowed following standard [ Path.Combine(root, "runs") ] out)
                  |> ignore

                  let drawn = Directory.GetFiles(out, "*.svg").Length
                  Expect.equal (List.ofSeq totals) [ drawn ] "how many there are"
                  Expect.equal [ for count, _ in heard -> count ] [ 0..drawn ] "how many are drawn"
                  Expect.exists heard (snd >> (=) "drawing profile") "what is drawn"
                  Expect.equal (Seq.last heard) (drawn, "pictures drawn") "the end"))

          testCase "long names of pages and settings leave room for the files' names" (fun () ->
              inFolder (fun root ->
                  for particles in [ 4; 5 ] do
                      let long = spec "Hopper-v4" 0L particles
                      let hidden = List.replicate 60 (10 + particles)

                      folderOf
                          (Path.Combine(root, "runs", string particles))
                          (configured (fun c -> { c with Hidden = hidden }) long)
                          [ 1.0; 2.0 ]
                          true

                  let page, complaints =
                      quietly (fun () ->
                          Report.write
                              standard
                              [ Path.Combine(root, "runs") ]
                              (Path.Combine(root, String('n', 230) + ".html")))

                  Expect.equal complaints "" "complaints"
                  Expect.isTrue (File.Exists page) page
                  let weights = Directory.GetFiles(root, "*weights-*.svg")
                  Expect.equal weights.Length 2 "a picture for each group"

                  for file in Directory.GetFiles root do
                      if file <> page then
                          Expect.isLessThan (nonNull (Path.GetFileName file)).Length 220 "length"))

          testCase "damaged, empty and unfinished runs are named on the page and on standard error" (fun () ->
              inFolder (fun root ->
                  let runs = Path.Combine(root, "runs")
                  let path name = Path.Combine(runs, name)
                  folderOf (path "good") (spec "Hopper-v4" 0L 4) [ 1.0; 2.0 ] true
                  folderOf (path "unfinished") (spec "Hopper-v4" 1L 4) [ 1.0 ] false
                  folderOf (path "damaged") (spec "Hopper-v4" 2L 4) [ 1.0 ] true
                  File.WriteAllText(Path.Combine(path "damaged", "metrics.jsonl"), "{\"kind\":\n{}\n")
                  folderOf (path "silent") (spec "Hopper-v4" 3L 4) [] true
                  folderOf (path "speechless") (spec "Hopper-v4" 4L 4) [ 1.0 ] true
                  File.WriteAllText(Path.Combine(path "speechless", "spec.json"), "{")
                  Files.createFolder (path "empty")

                  let page, complaints =
                      quietly (fun () -> Report.write standard [ runs ] (Path.Combine(root, "out")))

                  let html = File.ReadAllText page

                  for name in [ "unfinished"; "damaged"; "silent"; "speechless"; "empty" ] do
                      Expect.stringContains complaints (path name) "complaints"
                      Expect.stringContains html (path name) "html"

                  Expect.stringLacks complaints (path "good") "complaints"
                  Expect.stringContains html "2 runs: 1 task, 1 algorithm" "html"
                  Expect.stringContains html "1 run unfinished" "html"))

          testCase "without a usable run there is no page but a sentence" (fun () ->
              inFolder (fun root ->
                  let out = Path.Combine(root, "out")

                  let refuse paths parts =
                      quietly (fun () -> failureOf (fun () -> Report.write standard paths out)) |> fst |> says parts

                  refuse [ Path.Combine(root, "nowhere") ] [ "nowhere"; "no folder" ]
                  refuse [ root ] [ root; "spec.json"; "`./build.sh train`" ]
                  folderOf (Path.Combine(root, "a")) (spec "Hopper-v4" 0L 4) [] true
                  refuse [ root ] [ "no metrics yet" ]
                  Expect.isFalse (Directory.Exists out) "out")) ]
