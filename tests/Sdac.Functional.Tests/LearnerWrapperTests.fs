/// What options put between a task and its learner: moments of the observations, and the scale of rewards.
module Sdac.Functional.Tests.LearnerWrapperTests

open System
open Expecto
open Sdac.Functional
open Sdac.Testing

type private Place = { X: float; V: float }

/// A mass on a spring whose observations are shown as `a` times what they are, plus `b`.
let private spring (a: float) (b: float) : PlainTask<Place> =
    { Name = "spring"
      ActionLow = [ -1.0 ]
      ActionHigh = [ 1.0 ]
      ObsDim = 2
      MaxEpisodeSteps = 20
      Reset = fun key -> { X = (Key.uniformArray 1 key)[0] - 0.5; V = 0.0 }
      Step =
        fun s u ->
            let v = s.V + 0.1 * (u[0] - s.X)
            struct ({ X = s.X + 0.1 * v; V = v }, -s.X * s.X - 0.1 * v * v, false)
      Observe =
        fun s obs ->
            obs[0] <- a * s.X + b
            obs[1] <- a * s.V - b
      Parts = fun visit s -> { X = visit.Float("x", s.X); V = visit.Float("v", s.V) } }

let private tiny =
    { SdacConfig.tiny with
        Hidden = [ 16 ]
        Data.Environments = 2
        Data.WarmUp = 60
        Data.BatchSize = 16 }

let private experiment (task: PlainTask<Place>) (algorithm: Algorithm<SdacConfig, 's, 'w>) =
    Experiment.on algorithm task.Name
    |> Experiment.tasks (Registry.addTask task Registry.standard).Tasks
    |> Experiment.iterations 30L
    |> Experiment.configure (fun _ -> tiny)
    |> Experiment.seed 3L

/// The actions of an evaluation's first step, and the state's leaves, after some iterations.
let private after (count: int) (e: Experiment<SdacConfig, 's, 'w>) =
    let mutable step = Pipeline.start e |> Pipeline.warm

    try
        for _ in 1..count do
            step <- Pipeline.consume Pipeline.standard step

        let obs = Tensors.ofArray Compute.cpu [ 2; 2 ] step.Obs
        let action = (step.Agent.Act Purpose.Evaluate step.State (Key.ofSeed 9L) obs).Action |> Tensors.toArray
        let numbers = ResizeArray<string * float[]>()

        let look =
            { new IVisit with
                member _.Numbers(name, value) =
                    numbers.Add((name, value))
                    value

                member _.Float(name, value) =
                    numbers.Add((name, [| value |]))
                    value

                member _.Int(_, value) = value
                member _.Params(_, value) = value
                member _.Adam(_, value) = value
                member _.Rows(_, value) = value }

        step.Agent.Parts look step.State |> ignore
        struct (action, Map.ofSeq numbers, step.Memory, step.EnvStates.Returns.ToArray())
    finally
        Pipeline.dispose step

[<Tests>]
let tests =
    testList
        "wrappers of the learner"
        [ testCase "moments make the units of observations no matter" (fun () ->
              let run a b = experiment (spring a b) (ObservationMoments.around Sdac.algorithm) |> after 5

              let struct (plain, _, _, _) = run 1.0 0.0
              let struct (other, _, _, _) = run 1024.0 -300.0
              // narrowed to single precision on the way
              for x, y in Array.zip plain other do
                  Expect.floatClose (within 2e-2) (float y) (float x) "actions"

              let bare a b = experiment (spring a b) Sdac.algorithm |> after 5
              let struct (shown, _, _, _) = bare 1.0 0.0
              let struct (large, _, _, _) = bare 1024.0 -300.0
              let apart = Array.zip shown large |> Array.map (fun (x, y) -> abs (x - y)) |> Array.max
              Expect.isTrue (apart > 0.1f) "without them they do matter")

          testCase "the moments are those of all observations acted on, and part of the state" (fun () ->
              let struct (_, leaves, memory, _) =
                  experiment (spring 1.0 0.0) (ObservationMoments.around Sdac.algorithm) |> after 7

              let batch = Replay.gather Compute.cpu [| 0 .. memory.Count - 1 |] memory
              let seen = Tensors.toArray batch.Obs |> Array.map float |> RunningMoments.ofRows 2
              Expect.equal leaves["observationMoments.count"] [| seen.Count |] "count"

              let mean, variance = leaves["observationMoments.mean"], leaves["observationMoments.variance"]

              for i in 0..1 do
                  Expect.floatClose (within 1e-9) mean[i] (seen.Mean[i]) "mean"
                  Expect.floatClose (within 1e-9) variance[i] (seen.Variance[i]) "variance"

              // what is gathered for learning
              let shown = Replay.normalised 10.0 seen memory |> Replay.gather Compute.cpu [| 3; 0 |]

              let rows =
                  [| 3; 0 |] |> Array.collect (fun row -> (Tensors.toArray batch.NextObs)[2 * row .. 2 * row + 1])

              let wanted = RunningMoments.normaliseSingle 10.0 seen rows
              Expect.equal (Tensors.toArray shown.NextObs) wanted "normalised")

          testCase "the learner's rewards are scaled, returns are not" (fun () ->
              let scaled scale =
                  experiment (spring 1.0 0.0) Sdac.algorithm |> Experiment.option "reward_scale" scale |> after 0

              let struct (_, _, one, returns) = scaled "1"
              let struct (_, _, four, returns') = scaled "4"
              Expect.equal (Replay.rewards four) (Replay.rewards one |> Array.map ((*) 4.0f)) "remembered"
              Expect.equal returns' returns "returns")

          testCase "what cannot be is refused" (fun () ->
              let agent algorithm config =
                  Experiment.on algorithm "Hopper-v4"
                  |> Experiment.configure (fun _ -> config)
                  |> Experiment.option ObservationMoments.Option "true"
                  |> Experiment.agent Compute.cpu { ObsDim = 11; ActionDim = 3 }

              failsWith [ "Hopper-v4: observation_moments"; "by its name" ] (fun () ->
                  agent Sdac.algorithm tiny |> ignore)

              failsWith [ "replay memory"; "normaliseObservations" ] (fun () ->
                  agent (ObservationMoments.around Ppo.algorithm) Ppo.algorithm.Published |> ignore)

              failsWith [ "observation_moments must be true or false, not yes" ] (fun () ->
                  ObservationMoments.isAsked "Hopper-v4" (Map [ "observation_moments", "yes" ]) |> ignore)) ]
