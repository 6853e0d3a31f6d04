/// A pipeline whose stages are in the wrong order, or too few, names the stage that is missing.
module Sdac.Tests.StageOrderTests

open System
open Expecto
open Sdac
open TorchSharp
open Sdac.Tests.SdacTests
open Sdac.Testing

let private experiment (algorithm: Algorithm) =
    Experiment.sdac "InvertedPendulum-v4"
    |> Experiment.iterations 1L
    |> Experiment.configure (fun _ -> Config.withAlgorithm algorithm small)

let private refused (algorithm: Algorithm) (stages: Stage) (words: string list) =
    let error =
        Expect.raises<InvalidOperationException>(fun () -> Pipeline.run stages (experiment algorithm) |> ignore)

    Expect.stringLacks error.Message "\n" "one sentence"

    for word in words do
        Expect.stringContains error.Message word "sentence"

[<Tests>]
let tests =
    testList
        "the order of stages"
        [ testCase "a stage that comes too early, or without the one it needs, names that one" (fun () ->
              let sdac stages words = refused Algorithm.Sdac stages words
              let dpmd stages words = refused Algorithm.Dpmd stages words
              let collect, q, sample = Pipeline.collect, Pipeline.evaluateQ, Pipeline.reverseSample
              let update, descent = Pipeline.rssmUpdate, Pipeline.mirrorDescent
              sdac (collect >> update) [ "rssmUpdate"; "put `evaluateQ` before it" ]
              sdac (collect >> update >> q >> sample) [ "rssmUpdate"; "put `evaluateQ` before it" ]
              sdac (collect >> sample >> update) [ "rssmUpdate"; "put `evaluateQ` before it" ]
              sdac (collect >> sample >> update >> q) [ "rssmUpdate"; "put `evaluateQ` before it" ]
              sdac (collect >> q >> update) [ "rssmUpdate"; "put `reverseSample` before it" ]
              sdac (collect >> q >> update >> sample) [ "rssmUpdate"; "put `reverseSample` before it" ]
              sdac (q >> collect >> sample >> update) [ "evaluateQ"; "put `collect`" ]
              sdac collect [ "no stage"; "`evaluateQ`" ]
              sdac (collect >> sample) [ "no stage"; "`evaluateQ`" ]
              dpmd (collect >> descent) [ "mirrorDescent"; "put `evaluateQ` before it" ]
              dpmd (collect >> descent >> q) [ "mirrorDescent"; "put `evaluateQ` before it" ]
              // another algorithm's stage is still the first thing to say
              dpmd (collect >> update) [ "rssmUpdate belongs to Sdac" ]
              sdac (collect >> descent) [ "mirrorDescent belongs to Dpmd" ])

          testCase "pipelines that are whole, or leave the policy alone, run" (fun () ->
              for algorithm, stages in
                  [ Algorithm.Sdac, Pipeline.sdac
                    Algorithm.Sdac,
                    Pipeline.collect >> Pipeline.reverseSample >> Pipeline.evaluateQ >> Pipeline.rssmUpdate
                    Algorithm.Sdac, Pipeline.collect >> Pipeline.evaluateQ
                    Algorithm.Dpmd, Pipeline.dpmd ] do
                  let struct (last, _) = Pipeline.run stages (experiment algorithm |> Experiment.iterations 3L)
                  Expect.equal last.Iteration 3L "iterations"
                  Pipeline.dispose last)

          testCase "a critic of the user's own that diverges is still told as a loss that is not finite" (fun () ->
              let critic: Stage =
                  fun step ->
                      let learn (u: Update) = { u with Next = { u.Next with Q1 = Params.copy u.State.Q1 } }

                      { step with Update = Option.map learn step.Update }

              let error =
                  Expect.raises<ArithmeticException>(fun () ->
                      Pipeline.run (Pipeline.collect >> critic) (experiment Algorithm.Sdac) |> ignore)

              Expect.stringContains error.Message "the loss of critic 1 is NaN" "sentence")

          testCase "environment steps for which there is no number of iterations are refused by name" (fun () ->
              let steps count change =
                  (Experiment.sdac "Hopper-v4" |> Experiment.configure change |> Experiment.envSteps count).Iterations

              failsWith [ "Environments is 0"; "at least 1" ] (fun () ->
                  steps 100L (fun c -> { c with Environments = 0 }) |> ignore)

              failsWith [ "Environments is -2" ] (fun () ->
                  steps 100L (fun c -> { c with Environments = -2 }) |> ignore)

              failsWith [ "UpdatesPerStep is 0" ] (fun () ->
                  steps 100L (fun c -> { c with UpdatesPerStep = 0 }) |> ignore)

              failsWith [ "environment steps is 0" ] (fun () -> steps 0L id |> ignore)
              failsWith [ "environment steps is -5" ] (fun () -> steps -5L id |> ignore)

              failsWith [ "too many iterations" ] (fun () ->
                  steps Int64.MaxValue (fun c -> { c with Environments = 1; UpdatesPerStep = 2 }) |> ignore)

              Expect.equal (steps Int64.MaxValue (fun c -> { c with Environments = 1 })) Int64.MaxValue "the most") ]
