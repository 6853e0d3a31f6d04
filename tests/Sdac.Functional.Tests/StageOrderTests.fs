/// A pipeline whose stages are in the wrong order, or too few, names the stage that is missing.
module Sdac.Tests.StageOrderTests

open System
open Expecto
open Sdac.Functional
open Sdac.Environments
open TorchSharp
open Sdac.Tests.SdacTests
open Sdac.Testing

let private sdacOn =
    Experiment.on Sdac.algorithm "InvertedPendulum-v4"
    |> Experiment.iterations 1L
    |> Experiment.configure (fun _ -> small)

let private dpmdOn =
    Experiment.on Dpmd.algorithm "InvertedPendulum-v4"
    |> Experiment.iterations 1L
    |> Experiment.configure (fun _ -> DpmdConfig.ofSdac small)

let private refused experiment (stages: Stage<ActorCriticState, Update>) (words: string list) =
    let error = Expect.raises<RefusedOperationException>(fun () -> Pipeline.run stages experiment |> ignore)

    Expect.stringLacks error.Message "\n" "one sentence"

    for word in words do
        Expect.stringContains error.Message word "sentence"

[<Tests>]
let tests =
    testList
        "the order of stages"
        [ testCase "a stage that comes too early, or without the one it needs, names that one" (fun () ->
              let sdac stages words = refused sdacOn stages words
              let dpmd stages words = refused dpmdOn stages words
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
              dpmd (collect >> update) [ "rssmUpdate belongs to SDAC" ]
              sdac (collect >> descent) [ "mirrorDescent belongs to DPMD" ])

          testCase "pipelines that are whole, or leave the policy alone, run" (fun () ->
              let runs (stages: Stage<ActorCriticState, Update>) experiment =
                  let struct (last, _) = Pipeline.run stages (experiment |> Experiment.iterations 3L)
                  Expect.equal last.Iteration 3L "iterations"
                  Pipeline.dispose last

              runs Pipeline.sdac sdacOn
              runs Pipeline.standard sdacOn
              runs (Pipeline.collect >> Pipeline.reverseSample >> Pipeline.evaluateQ >> Pipeline.rssmUpdate) sdacOn
              runs (Pipeline.collect >> Pipeline.evaluateQ) sdacOn
              runs Pipeline.dpmd dpmdOn
              runs Pipeline.standard dpmdOn)

          testCase "a critic of the user's own that diverges is still told as a loss that is not finite" (fun () ->
              let critic =
                  Round.onWork "critic" (fun (u: Update) ->
                      { u with Next = { u.Next with Critics.Q1 = Params.copy u.State.Critics.Q1 } })

              let error =
                  Expect.raises<ArithmeticException>(fun () ->
                      Pipeline.run (Pipeline.collect >> critic) sdacOn |> ignore)

              Expect.stringContains error.Message "the loss of critic 1 is NaN" "sentence")

          testCase "environment steps for which there is no number of iterations are refused by name" (fun () ->
              let steps count change =
                  (Experiment.on Sdac.algorithm "Hopper-v4" |> Experiment.configure change |> Experiment.envSteps count)
                      .Iterations

              failsWith [ "environments is 0"; "at least 1" ] (fun () ->
                  steps 100L (fun c -> { c with Data.Environments = 0 }) |> ignore)

              failsWith [ "environments is -2" ] (fun () ->
                  steps 100L (fun c -> { c with Data.Environments = -2 }) |> ignore)

              failsWith [ "updatesPerStep is 0" ] (fun () ->
                  steps 100L (fun c -> { c with Data.UpdatesPerStep = 0 }) |> ignore)

              failsWith [ "environment steps is 0" ] (fun () -> steps 0L id |> ignore)
              failsWith [ "environment steps is -5" ] (fun () -> steps -5L id |> ignore)

              failsWith [ "too many iterations" ] (fun () ->
                  steps Int64.MaxValue (fun c -> { c with Data.Environments = 1; Data.UpdatesPerStep = 2 }) |> ignore)

              Expect.equal (steps Int64.MaxValue (fun c -> { c with Data.Environments = 1 })) Int64.MaxValue "the most") ]
