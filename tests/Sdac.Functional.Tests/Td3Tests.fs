module Sdac.Tests.Td3Tests

open System
open Expecto
open FsCheck.FSharp
open Sdac.Functional
open TorchSharp
open Sdac.Tests.Properties
open Sdac.Tests.Figures
open Sdac.Tests.TwinCriticsTests
open Sdac.Testing

let private small: Td3Config = { Td3Config.authors with Hidden = [ 12; 9 ]; Data.BatchSize = batchSize }

let private started (config: Td3Config) (key: Key) : Td3Update =
    let model = Td3.model Compute.cpu space config
    let state = Td3.init model (Key.foldIn 3L key)
    // a target policy of its own tells the two apart
    let other = Td3.init model (Key.foldIn 4L key)

    let state =
        { state with
            TargetPolicy = other.Policy
            Critics.TargetQ1 = other.Critics.Q1
            Critics.TargetQ2 = other.Critics.Q2 }

    Td3.start model (Td3.drawNoise model batchSize (Key.foldIn 1L key)) (batchOf (Key.foldIn 2L key)) state

let private run (u: Td3Update) = Td3.stages |> List.fold (fun u (_, stage) -> stage u) u

let private policy (u: Td3Update) (flat: Tensor) (obs: Tensor) =
    Doubles.forward u.Model.Policy flat (Doubles.double obs)

[<Tests>]
let tests =
    testList
        "TD3"
        [ testForAll
              "the target is that of the formula: the smoothed action of the target policy, the smaller target"
              40
              keys
              (fun key ->
                  use _ = torch.NewDisposeScope()
                  let u = started small key
                  let action = policy u (Doubles.double u.State.TargetPolicy.Flat) u.Batch.NextObs |> Doubles.numbers
                  let noise = values u.Noise.Smoothing.Value

                  let smoothed =
                      Array.map2
                          (fun a z -> float32 (Math.Clamp(a + Math.Clamp(0.2 * z, -0.5, 0.5), -1.0, 1.0)))
                          action
                          noise

                  let action = Tensors.ofArray Compute.cpu [ batchSize; 2 ] smoothed |> Doubles.double

                  let q (p: Params) =
                      Doubles.q u.Model.Critics.Net (Doubles.double p.Flat) (Doubles.double u.Batch.NextObs) action

                  let least = (q u.State.Critics.TargetQ1).minimum(q u.State.Critics.TargetQ2) |> Doubles.numbers

                  let wanted =
                      Array.map3
                          (fun r d v -> r + 0.99 * (1.0 - d) * v)
                          (values u.Batch.Reward)
                          (values u.Batch.Terminated)
                          least

                  closeTo 2e-5 "y" wanted (values (Td3.criticTarget u)))

          testForAll
              "the policy's gradient is that of -mean Q1, or of the smaller value, the critics held fast"
              40
              (Gen.zip keys (Gen.elements [ PolicyCritic.First; PolicyCritic.Both ]))
              (fun (key, critic) ->
                  use _ = torch.NewDisposeScope()
                  let u = started { small with PolicyCritic = critic } key
                  let critics = u.State.Critics
                  let flat = Doubles.leaf u.State.Policy
                  let action = policy u flat u.Batch.Obs

                  let q (p: Params) =
                      Doubles.q u.Model.Critics.Net (Doubles.double p.Flat) (Doubles.double u.Batch.Obs) action

                  let value =
                      match critic with
                      | PolicyCritic.First -> q critics.Q1
                      | PolicyCritic.Both -> (q critics.Q1).minimum(q critics.Q2)

                  let loss = value.mean().neg()
                  let struct (found, gradient) = Td3.policyGradient u critics
                  closeTo 2e-5 "loss" (Doubles.numbers loss) (values found)
                  closeTo 2e-5 "gradient" (Doubles.gradient loss flat |> Doubles.numbers) (values gradient))

          testForAll
              "the policy and all moving averages rest but on every such-th update, counted from 1"
              20
              (Gen.zip keys (Gen.elements [ 1; 2; 3 ]))
              (fun (key, delay) ->
                  use _ = torch.NewDisposeScope()
                  let u = started { small with PolicyDelay = delay } key

                  for n in 1L .. 6L do
                      let after =
                          run
                              { u with
                                  State = { u.State with Updates = n - 1L }
                                  Next = { u.Next with Updates = n - 1L } }

                      let same (part: Td3State -> Params) =
                          obj.ReferenceEquals((part after.State).Flat, (part after.Next).Flat)

                      let rests = n % int64 delay <> 0L
                      Expect.equal (same _.Policy) rests $"policy at update {n}"
                      Expect.equal (same _.TargetPolicy) rests $"target policy at update {n}"
                      Expect.equal (same _.Critics.TargetQ1) rests $"target 1 at update {n}"
                      Expect.equal (same _.Critics.TargetQ2) rests $"target 2 at update {n}"
                      Expect.isFalse (same _.Critics.Q1) $"critic 1 at update {n}"
                      Expect.isFalse (same _.Critics.Q2) $"critic 2 at update {n}"
                      Expect.equal after.Next.PolicyAdam.Count (if rests then 0L else 1L) "steps of the policy")

          testForAll "the policy steps by the critics after their step, and its average follows it" 5 keys (fun key ->
              use _ = torch.NewDisposeScope()
              let u = Td3.evaluateQ (started { small with PolicyDelay = 1 } key)
              let after = Td3.improvePolicy u
              let struct (_, gradient) = Td3.policyGradient u u.Next.Critics
              closeTo 1e-5 "gradient" (values gradient) (values (after.Next.PolicyAdam.M.mul (Scalars.ofFloat 10.0)))

              let followed =
                  Array.map2
                      (fun t p -> t + 0.005 * (p - t))
                      (values u.State.TargetPolicy.Flat)
                      (values after.Next.Policy.Flat)

              closeTo 1e-6 "target policy" followed (values after.Next.TargetPolicy.Flat))

          testForAll
              "exploration is the policy with noise of its deviation, in the box; an evaluation has none"
              10
              keys
              (fun key ->
                  use _ = torch.NewDisposeScope()
                  let u = started { small with ExplorationNoise = 0.4 } key
                  let agent = Td3.agent u.Model
                  let acted purpose = values (agent.Act purpose u.State key u.Batch.Obs).Action
                  let plain = policy u (Doubles.double u.State.Policy.Flat) u.Batch.Obs |> Doubles.numbers
                  let noise = values (Key.normal Compute.cpu [ batchSize; 2 ] key)
                  let wanted = Array.map2 (fun a z -> Math.Clamp(a + 0.4 * z, -1.0, 1.0)) plain noise
                  closeTo 1e-5 "explored" wanted (acted Purpose.Explore)
                  closeTo 1e-5 "evaluated" plain (acted Purpose.Evaluate))

          testCase "best-of-N takes the candidate of the largest value" (fun () ->
              use _ = torch.NewDisposeScope()
              let n = 6
              let u = started { small with BestOf.BehaviourParticles = n; ExplorationNoise = 0.5 } (Key.ofSeed 5L)
              let key = Key.ofSeed 6L
              let obs = u.Batch.Obs
              let plain = policy u (Doubles.double u.State.Policy.Flat) obs |> Doubles.numbers
              let noise = values (Key.normal Compute.cpu [ batchSize * n; 2 ] key)

              let candidates =
                  [| for b in 0 .. batchSize - 1 do
                         for k in 0 .. n - 1 do
                             for i in 0..1 do
                                 float32 (Math.Clamp(plain[2 * b + i] + 0.5 * noise[2 * (b * n + k) + i], -1.0, 1.0)) |]

              let actions = Tensors.ofArray Compute.cpu [ batchSize; n; 2 ] candidates

              let best =
                  (Diffusion.bestOf actions (TwinCritics.values u.Model.Critics u.State.Critics obs actions)).Action

              closeTo
                  1e-5
                  "best"
                  (values best)
                  (values ((Td3.agent u.Model).Act Purpose.Explore u.State key obs).Action))

          testCase "presets are the authors' and Stable-Baselines3's" (fun () ->
              let preset name = (Td3.algorithm.Presets |> List.find (fun p -> p.Name = name)).Config

              let facts (c: Td3Config) =
                  c.Hidden, c.Adam.LearningRate, c.Data.WarmUp, c.ExplorationNoise, c.PolicyDelay

              Expect.equal (facts (preset "authors")) ([ 256; 256 ], 3e-4, 10_000, 0.1, 2) "authors"
              Expect.equal (facts (preset "sb3")) ([ 400; 300 ], 1e-3, 100, 0.1, 2) "sb3") ]
