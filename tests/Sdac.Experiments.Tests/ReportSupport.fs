/// Run folders written line by line, for the tests of reports.
module Sdac.Experiments.Tests.ReportSupport

open System.IO
open Sdac.Functional
open Sdac.Experiments
open Sdac.Experiments.Tests.Support
open Sdac.Testing

let spec task seed particles =
    Experiment.on Sdac.algorithm task
    |> Experiment.seed seed
    |> Experiment.configure (fun c -> { c with Particles.Particles = particles })
    |> Spec.create

/// A run folder whose evaluations are given; finished unless said otherwise.
let folderOf (path: string) (spec: Spec) (scores: float list) (finished: bool) =
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

let readable path =
    match RunRecord.read standard path with
    | Ok run -> run
    | Error sentence -> failwith sentence

/// Two tasks, two settings, four and five seeds; scores rise with particles, and more and more with the seed.
let campaign (root: string) =
    for task in [ "Hopper-v4"; "Ant-v4" ] do
        for particles in [ 4; 8 ] do
            for seed in 0L .. (if particles = 4 then 3L else 4L) do
                let score = float particles + float (seed * seed)

                folderOf
                    (Path.Combine(root, $"{task}-{particles}-{seed}"))
                    (spec task seed particles)
                    [ 0.0; score; score - 1.0 ]
                    true

/// The groups of all runs below a folder.
let groupsOf (root: string) : RunGroup list =
    RunSearch.find [ root ] |> fst |> List.map readable |> Comparison.group |> fst
