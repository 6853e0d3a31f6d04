/// Reverse noise restricted to the box of actions, against the truncated normal distribution integrated numerically.
module Sdac.Tests.TruncatedTests

open System
open Expecto
open FsCheck.FSharp
open Sdac.Functional
open TorchSharp
open Sdac.Tests.Properties
open Sdac.Tests.Figures
open Sdac.Tests.SdacTests
open Sdac.Testing

let private schedule = Schedule.create (BetaSchedule.Linear 0.8) 20

/// ∫ f(x)·N(x; centre, spread²) over [-1, 1], by the midpoint rule where the density is not negligible.
let private integral (centre: float) (spread: float) (f: float -> float) =
    let low, high = max -1.0 (centre - 12.0 * spread), min 1.0 (centre + 12.0 * spread)
    let n = 20_000
    let h = (high - low) / float n

    Seq.sum (
        seq {
            for i in 0 .. n - 1 do
                let x = low + (float i + 0.5) * h
                let z = (x - centre) / spread
                f x * exp (-0.5 * z * z) / (spread * sqrt (2.0 * Math.PI)) * h
        }
    )

// a_t near the box or well outside of it
let private cases = Gen.zip (Gen.zip (between -2.0 2.0) (sizes 1 19)) (sizes 0 1_000_000)

[<Tests>]
let tests =
    testList
        "truncated noise"
        [ testForAll
              "truncated draws stay inside the box with the mean and the variance of the truncated density"
              25
              cases
              (fun ((at, t), seed) ->
                  use _ = torch.NewDisposeScope()
                  let count = 20_000
                  let noisy = Tensors.ofArray Compute.cpu [ 1; 1 ] [| float32 at |]
                  let uniform = Key.uniform Compute.cpu [ 1; count; 1 ] (Key.ofSeed (int64 seed))
                  let struct (noise, logShare) = Rssm.truncatedNoise Compute.cpu schedule [| t |] noisy uniform
                  let centre = float (float32 at) * schedule.SqrtRecipAlphaBars[t]
                  let spread = schedule.SqrtRecipM1AlphaBars[t]
                  // computed here in double: nothing is clipped
                  let draws = values noise |> Array.map (fun e -> centre - spread * e)

                  for a in draws do
                      Expect.inRange a (-1.0 - 3e-4, 1.0 + 3e-4) "draw"

                  let box =
                      Rssm.cleanDraws ReverseNoise.TruncatedNormal Compute.cpu schedule [| t |] noisy noise |> values

                  for a in box do
                      Expect.inRange a (-1.0, 1.0) "draw"

                  closeTo 1e-3 "draws" draws box

                  let share = integral centre spread (fun _ -> 1.0)

                  if share > 1e-12 then
                      let mean = integral centre spread id / share
                      let moment k = integral centre spread (fun x -> (x - mean) ** k) / share
                      let variance = moment 2.0
                      let found = Array.average draws
                      let spreadFound = draws |> Array.averageBy (fun a -> (a - mean) ** 2.0)
                      let error = sqrt (variance / float count)
                      let errorOfVariance = sqrt ((moment 4.0 - variance * variance) / float count)

                      Expect.isTrue
                          (abs (found - mean) < 5.0 * error + 3e-4)
                          $"t {t}, a_t {at}: mean {found}, not {mean}"

                      Expect.isTrue
                          (abs (spreadFound - variance) < 5.0 * errorOfVariance + 3e-4)
                          $"t {t}, a_t {at}: variance {spreadFound}, not {variance}"

                      closeTo 1e-3 "share" [| log share |] (values logShare))

          let interval = Gen.zip (between -60.0 60.0) (between 0.01 80.0)

          testForAll
              "quantiles of a restricted normal distribution undo its distribution function, far out too"
              200
              (Gen.zip interval (between 0.001 0.999))
              (fun ((low, width), u) ->
                  let i = NormalInterval.create low (low + width)
                  let x = NormalInterval.quantile u i
                  Expect.inRange x (low, low + width) "quantile"
                  Expect.isTrue (NormalInterval.quantile (u + 0.0005) i >= x) "quantile"

                  // where Φ neither underflows nor loses its digits
                  if abs low < 6.0 && abs (low + width) < 6.0 then
                      let phi = NormalInterval.phi
                      let share = (phi x - phi low) / (phi (low + width) - phi low)
                      Expect.isTrue (abs (share - u) < 1e-5) $"[{low}, {low + width}]: u {u}, found {share}")

          // by the midpoint rule, relative to the density at the end nearer to zero
          let integral high low upTo =
              let n = 4000
              let h = (upTo - low) / float n
              let at i = low + (float i + 0.5) * h
              Seq.sum (Seq.init n (fun i -> exp (0.5 * (high * high - at i * at i)))) * h

          // where the exponential tail takes over, down to widths over which the density hardly changes
          let cases = Gen.zip (Gen.zip (between -300.0 -30.5) (between -4.0 0.5)) (between 0.01 0.99)

          testForAll
              "far out in the tail a narrow interval has its whole share, spread over its whole width"
              200
              cases
              (fun ((high, exponent), u) ->
                  // in units of the tail's own scale 1/|high|
                  let low = high - 10.0 ** exponent / -high * 2.0
                  let whole = integral high low high
                  let share = log whole - 0.5 * high * high - 0.5 * log (2.0 * Math.PI)

                  for mirrored in [ false; true ] do
                      let i =
                          if mirrored then
                              NormalInterval.create -high -low
                          else
                              NormalInterval.create low high

                      let found = NormalInterval.logShare i
                      Expect.isTrue (abs (found - share) < 3e-3) $"[{low}, {high}]: ln share {found}, not {share}"
                      let x = NormalInterval.quantile (if mirrored then 1.0 - u else u) i
                      let below = integral high low (if mirrored then -x else x) / whole
                      Expect.isTrue (abs (below - u) < 3e-3) $"[{low}, {high}]: u {u}, found {below}")

          testForAll
              "an update with truncated noise learns from draws inside the box, with the theorem's weights"
              8
              (sizes 0 1_000_000 |> Gen.map (int64 >> Key.ofSeed))
              (fun key ->
                  use _ = torch.NewDisposeScope()

                  for weights in [ RssmWeights.Raw; RssmWeights.SelfNormalised ] do
                      let config =
                          { small with
                              Draws.ReverseNoise = ReverseNoise.TruncatedNormal
                              Draws.Weights = weights
                              Energy.QScale = 1.0 }

                      let model = Sdac.model Compute.cpu { ObsDim = 4; ActionDim = 2 } config
                      let n = config.Data.BatchSize
                      let noise = UpdateNoise.draw model n (Key.foldIn 1L key)
                      let state = ActorCriticState.init model (Key.foldIn 2L key)
                      let obs = Key.normal Compute.cpu [ n; 4 ] (Key.foldIn 3L key)
                      let action = (Key.normal Compute.cpu [ n; 2 ] (Key.foldIn 4L key)).tanh()

                      for u in values noise.Reverse do
                          Expect.inRange u (0.0, 1.0) "uniform number"

                      let found = Sdac.rssmGradient model state noise obs action

                      let t = noise.Timesteps
                      let noisy = Diffusion.noised Compute.cpu model.Schedule t action noise.Forward

                      let struct (reverse, logShare) =
                          Rssm.truncatedNoise Compute.cpu model.Schedule t noisy noise.Reverse

                      let draws = Rssm.draws Compute.cpu model.Schedule t noisy reverse

                      let q =
                          Critic.minQ Compute.libtorch model.Critics.Net state.Critics.Q1 state.Critics.Q2 obs draws

                      let raw = (q.div(Scalars.ofFloat state.Temperature.Lambda).add logShare).exp()

                      let expected =
                          match weights with
                          | RssmWeights.Raw -> raw
                          | _ -> (q.div (Scalars.ofFloat state.Temperature.Lambda)).softmax 1L

                      closeTo 1e-4 "weights" (values expected) (values found.Weights)
                      let predicted = NoiseNetwork.forward Compute.libtorch model.Noise state.Policy obs noisy t
                      closeTo 1e-4 "loss" (values (Rssm.loss predicted reverse expected)) (values found.Loss))

          testCase "updates with every kind of reverse noise are the same by kernels and by libtorch" (fun () ->
              for kind in [ ReverseNoise.Clipped; ReverseNoise.TruncatedNormal; ReverseNoise.Unbounded ] do
                  let run compute =
                      let model =
                          Sdac.model compute { ObsDim = 4; ActionDim = 2 } { small with Draws.ReverseNoise = kind }

                      let mutable s = ActorCriticState.init model (Key.ofSeed 1L)
                      let n = small.Data.BatchSize
                      let keys = Key.splitMany 4 (Key.ofSeed 2L)

                      let batch: Batch =
                          { Obs = Key.normal Compute.cpu [ n; 4 ] keys[0]
                            NextObs = Key.normal Compute.cpu [ n; 4 ] keys[1]
                            Action = (Key.normal Compute.cpu [ n; 2 ] keys[2]).tanh()
                            Reward = Key.normal Compute.cpu [ n ] keys[3]
                            Terminated = Tensors.zeros Compute.cpu [ n ] }

                      for i in 0L .. 3L do
                          let struct (next, m) = Sdac.update model (Key.foldIn i (Key.ofSeed 3L)) batch s
                          Expect.isTrue ((Algorithm.firstNotFinite Sdac.algorithm.Figures m).IsNone) "first not finite"
                          Parts.disposeReplaced ActorCriticState.parts next s
                          s <- next

                      let found = Parts.tensors ActorCriticState.parts s |> List.map values
                      Parts.dispose ActorCriticState.parts s
                      found

                  for a, b in List.zip (run Compute.libtorch) (run Compute.cpu) do
                      closeTo 1e-4 $"{kind}" a b)

          testCase
              "a state that is not finite makes its own noise and share NaN, and the loss names it as with every other noise"
              (fun () ->
                  use _ = torch.NewDisposeScope()

                  for bad in [ nanf; infinityf; -infinityf ] do
                      let noisy = Tensors.ofArray Compute.cpu [ 2; 2 ] [| 0.1f; bad; 0.3f; 0.4f |]
                      let uniform = Key.uniform Compute.cpu [ 2; 3; 2 ] (Key.ofSeed 1L)
                      let struct (noise, logShare) = Rssm.truncatedNoise Compute.cpu schedule [| 3; 3 |] noisy uniform
                      let isNaN = Array.map Double.IsNaN (values noise)
                      Expect.equal isNaN [| for i in 0..11 -> i < 6 && i % 2 = 1 |] "NaN"
                      Expect.equal (Array.map Double.IsNaN (values logShare)) [| true; false |] "log share"

                  let found kind =
                      let config = { small with Draws.ReverseNoise = kind }
                      let model = Sdac.model Compute.cpu { ObsDim = 4; ActionDim = 2 } config
                      let n = config.Data.BatchSize

                      let batch: Batch =
                          { Obs = Key.normal Compute.cpu [ n; 4 ] (Key.ofSeed 1L)
                            NextObs = Key.normal Compute.cpu [ n; 4 ] (Key.ofSeed 2L)
                            Action = Key.uniform Compute.cpu [ n; 2 ] (Key.ofSeed 3L)
                            Reward = Key.normal Compute.cpu [ n ] (Key.ofSeed 4L)
                            Terminated = Tensors.zeros Compute.cpu [ n ] }

                      let u =
                          ActorCritic.start
                              model
                              (UpdateNoise.draw model n (Key.ofSeed 5L))
                              batch
                              (ActorCriticState.init model (Key.ofSeed 6L))

                      let action = batch.Action.mul (Scalars.ofFloat nan)
                      (Sdac.rssmUpdate { u with Action = Some action }).Figures["policyLoss"]

                  for kind in [ ReverseNoise.Clipped; ReverseNoise.TruncatedNormal; ReverseNoise.Unbounded ] do
                      Expect.isTrue (Double.IsNaN(found kind)) $"{kind}") ]
