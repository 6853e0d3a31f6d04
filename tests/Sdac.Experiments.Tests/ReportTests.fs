/// Reports of run folders written here line by line.
module Sdac.Experiments.Tests.ReportTests

open System
open System.IO
open System.Text.RegularExpressions
open Sdac
open Sdac.Experiments
open Sdac.Experiments.Tests.Support
open Xunit

let private spec task seed particles =
    let experiment =
        Experiment.sdac task
        |> Experiment.seed seed
        |> Experiment.configure (fun c -> { c with Particles = particles })

    Spec.create experiment

/// A run folder whose evaluations are given; finished unless said otherwise.
let private folderOf (path: string) (spec: Spec) (scores: float list) (finished: bool) =
    let folder: RunFolder = { Path = path }
    Files.createFolder path
    Files.writeText folder.Spec (Spec.print spec)

    using (LineWriter.Create folder.Metrics) (fun metrics ->
        for i, score in List.indexed scores do
            let at kind =
                [ "kind", Label kind
                  "iteration", Count(10L * int64 i + 10L)
                  "envSteps", Count(20L * int64 i + 20L) ]

            metrics.Write(at "episode" @ [ "return", Value 1.0; "length", Count 5L ])
            metrics.Write(at "update" @ [ "lambda", Value(1.0 / float (i + 1)); "weightConcentration", Value 2.0 ])

            metrics.Write(
                at "histogram"
                @ [ "name", Label "weight"
                    "edges", Values [ 0.0; 0.5; 1.0; 2.0 ]
                    "counts", Values [ 1.0; 2.0; 1.0 ] ]
            )

            metrics.Write(
                at "evaluation"
                @ [ "mean", Value score; "deviation", Value 0.0; "returns", Values [ score; score ] ]
            ))

    using (LineWriter.Create folder.Timings) (fun timings ->
        timings.Write
            [ "iteration", Count 10L
              "seconds", Value 3.0
              "envStepsPerSecond", Value 1.0
              "memoryMiB", Value 100.0
              "collect", Value 0.1
              "evaluation", Value 1.0
              "evaluateQ", Value 0.3 ])

    if finished then
        Files.writeText folder.Summary "{ \"peakMemoryMiB\": 123.5 }\n"

let private readable path =
    match RunRecord.read path with
    | Ok run -> run
    | Error sentence -> failwith sentence

/// Two tasks, two settings, four and five seeds; scores rise with particles, and more and more with the seed.
let private campaign (root: string) =
    for task in [ "Hopper-v4"; "Ant-v4" ] do
        for particles in [ 4; 8 ] do
            for seed in 0L .. (if particles = 4 then 3L else 4L) do
                let score = float particles + float (seed * seed)

                folderOf
                    (Path.Combine(root, $"{task}-{particles}-{seed}"))
                    (spec task seed particles)
                    [ 0.0; score; score - 1.0 ]
                    true

[<Fact>]
let ``a run folder is read back`` () =
    inFolder (fun root ->
        let path = Path.Combine(root, "a")
        folderOf path (spec "Hopper-v4" 7L 4) [ 1.0; 5.0; 3.0 ] true
        let run = readable path
        Assert.Equal(("Hopper-v4", "SDAC", 7L), (run.Task, run.Algorithm, run.Seed))
        Assert.Equal("4", run.Settings["experiment.config.particles"])
        Assert.Equal((3.0, 5.0), (run.Final, run.Best))
        Assert.Equal((3, 6), (run.TrainingEpisodes, run.EvaluationEpisodes))
        Assert.Equal((30L, 60L), (run.Iterations, run.EnvSteps))
        Assert.Equal((20L, 1.0), run.Lambda[0])
        Assert.Equal(3, run.Weights.Length)
        Assert.Equal(123.5, run.PeakMemory)
        Assert.True run.Finished)

[<Fact>]
let ``the algorithm names a run, as text or as a case with settings`` () =
    inFolder (fun root ->
        let path = Path.Combine(root, "a")
        folderOf path (spec "Hopper-v4" 7L 4) [ 1.0 ] true
        let file = Path.Combine(path, "spec.json")
        let plain = File.ReadAllText file
        Assert.Contains("\"algorithm\": \"sdac\"", plain)

        let write (text: string) =
            File.WriteAllText(file, plain.Replace("\"algorithm\": \"sdac\"", $"\"algorithm\": {text}"))

        write """{ "td3": { "delay": 2 } }"""
        Assert.Equal("TD3", (readable path).Algorithm)
        Assert.Equal("2", (readable path).Settings["experiment.config.algorithm.td3.delay"])
        // a run older than the setting
        File.WriteAllText(file, plain.Replace("\"algorithm\": \"sdac\",", ""))
        Assert.Equal("SDAC", (readable path).Algorithm))

[<Fact>]
let ``algorithms are told apart by their names alone: what was published with one is no difference within it`` () =
    inFolder (fun root ->
        for seed in 0L .. 1L do
            let sdac = spec "Hopper-v4" seed 4
            let dpmd = { sdac with Experiment = Experiment.algorithm Algorithm.Dpmd sdac.Experiment }
            folderOf (Path.Combine(root, $"sdac{seed}")) sdac [ 1.0 ] true
            folderOf (Path.Combine(root, $"dpmd{seed}")) dpmd [ 2.0 ] true

        let groups, _ = RunRecord.find [ root ] |> fst |> List.map readable |> Comparison.group
        Assert.Equal<(string * int) list>([ "DPMD", 2; "SDAC", 2 ], [ for g in groups -> g.Name, g.Runs.Length ]))

[<Fact>]
let ``groups are named by what differs within a task, and hold the seeds`` () =
    inFolder (fun root ->
        campaign root
        // differs between tasks only: no part of the name
        folderOf (Path.Combine(root, "other")) { spec "Swimmer-v4" 0L 4 with EvaluateEvery = 3L } [ 1.0 ] true
        let folders, warnings = RunRecord.find [ root; Path.Combine(root, "other") ]
        Assert.Empty warnings
        Assert.Equal(19, folders.Length)
        let groups, repeated = folders |> List.map readable |> Comparison.group
        Assert.Empty repeated

        Assert.Equal<(string * string * int) list>(
            [ "Ant-v4", "SDAC particles=4", 4
              "Ant-v4", "SDAC particles=8", 5
              "Hopper-v4", "SDAC particles=4", 4
              "Hopper-v4", "SDAC particles=8", 5
              "Swimmer-v4", "SDAC particles=4", 1 ],
            [ for g in groups -> g.Task, g.Name, g.Runs.Length ]
        ))

[<Fact>]
let ``a repeated seed counts once, and is named`` () =
    inFolder (fun root ->
        let path name = Path.Combine(root, name)
        folderOf (path "a") (spec "Hopper-v4" 0L 4) [ 1.0 ] false
        folderOf (path "b") (spec "Hopper-v4" 0L 4) [ 1.0 ] true
        let groups, warnings = [ path "a"; path "b" ] |> List.map readable |> Comparison.group
        // the finished one is kept
        Assert.Equal<string list>([ path "b" ], groups |> List.collect _.Runs |> List.map _.Folder)
        Assert.Contains(path "a", Assert.Single warnings))

[<Fact>]
let ``a curve takes the runs that have got there`` () =
    inFolder (fun root ->
        let path name = Path.Combine(root, name)
        folderOf (path "a") (spec "Hopper-v4" 0L 4) [ 1.0; 2.0; 9.0 ] true
        folderOf (path "b") (spec "Hopper-v4" 1L 4) [ 3.0; 4.0 ] false
        let groups, _ = [ path "a"; path "b" ] |> List.map readable |> Comparison.group
        let curve = Comparison.curve Statistics.mean (List.exactlyOne groups)

        Assert.Equal<(int64 * int * float) list>(
            [ 20L, 2, 2.0; 40L, 2, 3.0; 60L, 1, 9.0 ],
            [ for p in curve -> p.EnvSteps, p.Runs, p.Estimate.Value ]
        )

        Assert.Equal({ Value = 2.0; Low = 1.0; High = 3.0 }, curve[0].Estimate)
        Assert.True(Double.IsNaN curve[2].Estimate.Low)
        // scores: finished runs only
        Assert.Equal<float[]>([| 9.0 |], (List.exactlyOne groups).FinalScores))

[<Fact>]
let ``names are compared over the tasks that all have finished, each on its own scale`` () =
    inFolder (fun root ->
        let add name task particles score = folderOf (Path.Combine(root, name)) (spec task 0L particles) [ score ] true
        add "a" "Ant-v4" 4 100.0
        add "b" "Ant-v4" 8 300.0
        add "c" "Hopper-v4" 4 5.0
        add "d" "Hopper-v4" 8 1.0
        let runs () = RunRecord.find [ root ] |> fst |> List.map readable |> Comparison.group |> fst
        let tasks, scores = Comparison.shared (runs ())
        Assert.Equal<string list>([ "Ant-v4"; "Hopper-v4" ], tasks)
        let close expected (strata: float[][]) = Assert.Equal<float[]>(expected, Array.concat strata)
        close [| 0.0; 1.0 |] (snd scores[0])
        close [| 1.0; 0.0 |] (snd scores[1])
        // one task each won
        let x, y, count, e = Assert.Single(Comparison.improvements (runs ()))
        Assert.Equal(("SDAC particles=4", "SDAC particles=8", 2, 0.5), (x, y, count, e.Value))
        // a single task keeps its unit
        Directory.Delete(Path.Combine(root, "d"), true)
        let tasks, scores = Comparison.shared (runs ())
        Assert.Equal<string list>([ "Ant-v4" ], tasks)
        close [| 100.0 |] (snd scores[0])
        let x, y, count, e = Assert.Single(Comparison.improvements (runs ()))
        Assert.Equal(("SDAC particles=4", "SDAC particles=8", 1, 0.0), (x, y, count, e.Value)))

[<Fact>]
let ``weights over time are shares of their span`` () =
    inFolder (fun root ->
        let path = Path.Combine(root, "a")
        folderOf path (spec "Hopper-v4" 0L 4) (List.replicate 100 1.0) true
        let groups, _ = Comparison.group [ readable path ]
        let spans = ReportPlots.weightSpans (List.exactlyOne groups)
        Assert.InRange(spans.Length, 20, 40)
        let starts, ends = [ for a, _, _ in spans -> a ], [ for _, b, _ in spans -> b ]
        Assert.Equal<int64 list>(0L :: List.take (ends.Length - 1) ends, starts)
        Assert.Equal(2000L, List.last ends)

        for _, _, buckets in spans do
            Assert.Equal<(float * float * float) list>([ 0.0, 0.5, 0.25; 0.5, 1.0, 0.5; 1.0, 2.0, 0.25 ], buckets))

let private table =
    { Name = "t"
      Caption = "A <caption>"
      Columns = [ "a|b"; "c" ]
      Rows =
        [ [ Cell.text "x, \"y\""; Cell.strong (Cell.number 12345.678) ]
          [ Cell.text "z"; Cell.number nan ] ] }

[<Fact>]
let ``a table as CSV, Markdown and HTML`` () =
    Assert.Equal("a|b,c\n\"x, \"\"y\"\"\",12345.678\nz,\n", Table.csv table)
    Assert.Equal("| a\\|b | c |\n| --- | --- |\n| x, \"y\" | **12,346** |\n| z | – |\n", Table.markdown table)
    let html = Table.html table
    Assert.Contains("<caption>A &lt;caption&gt;</caption>", html)
    Assert.Contains("<th scope=\"row\">x, &quot;y&quot;</th><td><strong>12,346</strong></td>", html)

let private quietly action = captureError action

[<Fact>]
let ``a page stands alone: every section, pictures inside and beside it, tables in three forms`` () =
    inFolder (fun root ->
        campaign (Path.Combine(root, "runs"))
        let out = Path.Combine(root, "report")
        let page, complaints = quietly (fun () -> Report.write [ Path.Combine(root, "runs") ] out)
        Assert.Equal(Path.Combine(out, "index.html"), page)
        let html = File.ReadAllText page

        for id in [ "overview"; "learning"; "scores"; "profiles"; "improvement"; "costs"; "inside"; "runs" ] do
            Assert.Contains($"<h2 id=\"{id}\">", html)

        Assert.Contains("18 runs: 2 tasks, 2 algorithms", html)
        Assert.Contains("54 training episodes and 108 evaluation episodes", html)
        // nothing is fetched
        Assert.DoesNotMatch("<script|<link|<img|src=|@import|url\\((?!#)", html)

        for name in [ "overview"; "scores"; "improvement"; "costs"; "runs" ] do
            Assert.True(File.Exists(Path.Combine(out, name + ".csv")), name)
            Assert.True(File.Exists(Path.Combine(out, name + ".md")), name)

        let overview = File.ReadAllLines(Path.Combine(out, "overview.csv"))
        Assert.Equal("task,SDAC particles=4,SDAC particles=8", overview[0])
        // final scores of Ant with 4 particles: 3, 4, 7, 12; interquartile mean 5.5
        Assert.StartsWith("Ant-v4,5.5 [", overview[1])
        // 7, 8, 11, 16, 23
        Assert.Contains(",11.666666666666666 [", overview[1])

        // what the curves of Ant with 4 particles show after the second evaluation: 4, 5, 8, 13
        for statistic, value in [ "mean", "7.5"; "iqm", "6.5" ] do
            let curve = File.ReadAllText(Path.Combine(out, $"learning-{statistic}-Ant-v4.vl.json"))
            Assert.Contains($"\"x\":40,\"value\":{value},\"low\"", curve)

        if complaints.Contains "no pictures" then
            // no node here: the page says so
            Assert.Contains("./build.sh setup", html)
        else
            Assert.Equal("", complaints)

            for name in
                [ "learning-mean-Ant-v4"
                  "learning-iqm-Ant-v4"
                  "final-Hopper-v4"
                  "profile"
                  "improvement"
                  "time"
                  "memory-Ant-v4"
                  "lambda-Ant-v4"
                  "concentration-Ant-v4"
                  "weights-Ant-v4-SDAC-particles=4" ] do
                Assert.StartsWith("<svg", File.ReadAllText(Path.Combine(out, name + ".svg")))
                Assert.Contains($"href=\"{name}.svg\"", html)

            let ids = Regex.Matches(html, "\\bid=\"([^\"]+)\"") |> Seq.map _.Groups[1].Value |> List.ofSeq
            Assert.Equal(List.length (List.distinct ids), ids.Length)

            // the same runs give the same page
            let again, _ =
                quietly (fun () -> Report.write [ Path.Combine(root, "runs") ] (Path.Combine(root, "again.html")))

            Assert.Equal(Path.Combine(root, "again.html"), again)
            Assert.True(File.Exists(Path.Combine(root, "again.profile.svg")))
            Assert.Equal(html, (File.ReadAllText again).Replace("\"again.", "\"")))

[<Fact>]
let ``damaged, empty and unfinished runs are named on the page and on standard error`` () =
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
        let page, complaints = quietly (fun () -> Report.write [ runs ] (Path.Combine(root, "out")))
        let html = File.ReadAllText page

        for name in [ "unfinished"; "damaged"; "silent"; "speechless"; "empty" ] do
            Assert.Contains(path name, complaints)
            Assert.Contains(path name, html)

        Assert.DoesNotContain(path "good", complaints)
        Assert.Contains("2 runs: 1 task, 1 algorithm", html)
        Assert.Contains("1 run unfinished", html))

[<Fact>]
let ``without a usable run there is no page but a sentence`` () =
    inFolder (fun root ->
        let out = Path.Combine(root, "out")
        let refuse paths parts = quietly (fun () -> failureOf (fun () -> Report.write paths out)) |> fst |> says parts
        refuse [ Path.Combine(root, "nowhere") ] [ "nowhere"; "no folder" ]
        refuse [ root ] [ root; "spec.json"; "train.fsx" ]
        folderOf (Path.Combine(root, "a")) (spec "Hopper-v4" 0L 4) [] true
        refuse [ root ] [ "no metrics yet" ]
        Assert.False(Directory.Exists out))
