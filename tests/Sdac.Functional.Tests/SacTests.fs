module Sdac.Tests.SacTests

open System
open Expecto
open FsCheck.FSharp
open Sdac.Functional
open TorchSharp
open Sdac.Tests.Properties
open Sdac.Tests.Figures
open Sdac.Tests.TwinCriticsTests
open Sdac.Testing

let private small: SacConfig = { SacConfig.sb3 with Hidden = [ 12; 9 ]; Data.BatchSize = batchSize }

let private started (config: SacConfig) (key: Key) : SacUpdate =
    let model = Sac.model Compute.cpu space config

    Sac.start
        model
        (Sac.drawNoise model batchSize (Key.foldIn 1L key))
        (batchOf (Key.foldIn 2L key))
        (Sac.init model (Key.foldIn 3L key))

let private configs =
    gen {
        let! reduction = Gen.elements [ QReduction.Minimum; QReduction.Mean ]
        let! smooth = Gen.elements [ true; false ]
        let! correction = Gen.elements [ true; false ]
        let! norm = Gen.elements [ None; Some 1e-5 ]
        let! activation = Gen.elements [ HiddenActivation.Mish; HiddenActivation.Gelu; HiddenActivation.Elu ]
        let! alpha = between 0.01 3.0

        return
            { small with
                Critics.QReduction = reduction
                Gaussian.SmoothLogStd = smooth
                Gaussian.TanhCorrection = correction
                Networks.PolicyLayerNorm = norm
                Networks.Activation = activation
                InitialTemperature = alpha }
    }

/// A linear network that gives these numbers whatever it is shown.
let private constantly (outputs: float list) (p: Params) : Params =
    let flat = Array.zeroCreate<float32>(Tensors.size 0 p.Flat)
    let at = flat.Length - outputs.Length
    outputs |> List.iteri (fun i v -> flat[at + i] <- float32 v)
    Params.withFlat (Tensors.ofArray Compute.cpu [ flat.Length ] flat) p

[<Tests>]
let tests =
    testList
        "SAC"
        [ testCase
              "the target has the reference sheet's numbers: 10.1426, and 0.5 where the episode terminated"
              (fun () ->
                  use _ = torch.NewDisposeScope()
                  let space = { ObsDim = 3; ActionDim = 1 }
                  let config = { small with Hidden = []; InitialTemperature = 0.2; Gaussian.TanhCorrection = false }
                  let model = Sac.model Compute.cpu space config
                  let state = Sac.init model (Key.ofSeed 1L)

                  // log π of the mean is -log σ - ½·log 2π
                  let logStd = 1.2 - 0.5 * log (2.0 * Math.PI)

                  let state =
                      { state with
                          Policy = constantly [ 0.3; logStd ] state.Policy
                          Critics.TargetQ1 = constantly [ 10.0 ] state.Critics.TargetQ1
                          Critics.TargetQ2 = constantly [ 9.5 ] state.Critics.TargetQ2 }

                  let batch: Batch =
                      { Obs = Tensors.zeros Compute.cpu [ 2; 3 ]
                        NextObs = Tensors.zeros Compute.cpu [ 2; 3 ]
                        Action = Tensors.zeros Compute.cpu [ 2; 1 ]
                        Reward = Tensors.ofArray Compute.cpu [ 2 ] [| 0.5f; 0.5f |]
                        Terminated = Tensors.ofArray Compute.cpu [ 2 ] [| 0f; 1f |] }

                  let zero = Tensors.zeros Compute.cpu [ 2; 1 ]
                  let u = Sac.start model { Next = zero; Smoothing = None; New = zero } batch state
                  closeTo 1e-6 "y" [| 10.1426; 0.5 |] (values (Sac.criticTarget u)))

          testCase "targets and the policy's step have noise of their own" (fun () ->
              use _ = torch.NewDisposeScope()
              let noise = Sac.drawNoise (Sac.model Compute.cpu { ObsDim = 4; ActionDim = 3 } small) 8 (Key.ofSeed 2L)
              Expect.equal noise.Next.shape noise.New.shape "shape"
              Expect.differs (values noise.Next) (values noise.New) "noise")

          testCase "the temperature's two steps have the reference sheet's numbers" (fun () ->
              use _ = torch.NewDisposeScope()
              let model = Sac.model Compute.cpu { ObsDim = 4; ActionDim = 3 } small
              let state = Sac.init model (Key.ofSeed 1L)

              let tuned logProbability (state: SacState) =
                  let noise = Sac.drawNoise model 1 (Key.ofSeed 2L)
                  let u = Sac.start model noise (batchOf (Key.ofSeed 3L)) state
                  (Sac.tuneTemperature { u with Made = Some logProbability }).Next

              let once = tuned -1.5 state
              let twice = tuned 4.0 once

              closeTo
                  1e-9
                  "log α"
                  [| -0.0003; -0.0004477752 |]
                  [| once.Temperature.LogLambda; twice.Temperature.LogLambda |]

              closeTo 1e-9 "α" [| 0.9997000450; 0.9995523251 |] [| once.Temperature.Lambda; twice.Temperature.Lambda |])

          testForAll
              "the target is that of the formula, by the policy and the α of the beginning"
              40
              (Gen.zip keys configs)
              (fun (key, config) ->
                  use _ = torch.NewDisposeScope()
                  let u = started config key
                  let m, s = u.Model, u.State
                  let next = Doubles.double u.Batch.NextObs
                  let output = Doubles.forward m.Policy (Doubles.double s.Policy.Flat) next
                  let struct (action, logProbability) = Doubles.squashed m.Head output (Doubles.double u.Noise.Next)
                  let q (p: Params) = Doubles.q m.Critics.Net (Doubles.double p.Flat) next action
                  let q1, q2 = q s.Critics.TargetQ1, q s.Critics.TargetQ2

                  let value =
                      match config.Critics.QReduction with
                      | QReduction.Minimum -> q1.minimum q2
                      | QReduction.Mean -> q1.add(q2).mul(Scalars.ofFloat 0.5)

                  let soft =
                      value.sub (logProbability.mul (Scalars.ofFloat config.InitialTemperature)) |> Doubles.numbers

                  let wanted =
                      Array.map3
                          (fun r d v -> r + 0.99 * (1.0 - d) * v)
                          (values u.Batch.Reward)
                          (values u.Batch.Terminated)
                          soft

                  closeTo 2e-5 "y" wanted (values (Sac.criticTarget u)))

          testForAll
              "the policy's gradient is that of mean(α·log π - v), the critics held fast"
              40
              (Gen.zip keys configs)
              (fun (key, config) ->
                  use _ = torch.NewDisposeScope()
                  let u = started config key
                  let m = u.Model
                  let others = (Sac.init m (Key.foldIn 9L key)).Critics
                  let flat = Doubles.leaf u.State.Policy
                  let obs = Doubles.double u.Batch.Obs

                  let struct (action, logProbability) =
                      Doubles.squashed m.Head (Doubles.forward m.Policy flat obs) (Doubles.double u.Noise.New)

                  let q (p: Params) = Doubles.q m.Critics.Net (Doubles.double p.Flat) obs action

                  let value =
                      match config.Critics.QReduction with
                      | QReduction.Minimum -> (q others.Q1).minimum(q others.Q2)
                      | QReduction.Mean -> (q others.Q1).add(q others.Q2).mul(Scalars.ofFloat 0.5)

                  let loss = logProbability.mul(Scalars.ofFloat config.InitialTemperature).sub(value).mean()
                  let struct (found, gradient, mean) = Sac.policyGradient u others
                  closeTo 2e-5 "loss" (Doubles.numbers loss) (values found)
                  closeTo 2e-5 "log π" (Doubles.numbers (logProbability.mean ())) (values mean)
                  closeTo 2e-5 "gradient" (Doubles.gradient loss flat |> Doubles.numbers) (values gradient))

          testForAll "the policy steps by the critics after their step" 5 keys (fun key ->
              use _ = torch.NewDisposeScope()
              let u = Sac.evaluateQ (started small key)
              // after one step Adam's first moment is a tenth of the gradient
              let moment = (Sac.improvePolicy u).Next.PolicyAdam.M.mul(Scalars.ofFloat 10.0)
              let struct (_, after, _) = Sac.policyGradient u u.Next.Critics
              let struct (_, before, _) = Sac.policyGradient u u.State.Critics
              closeTo 1e-5 "gradient" (values after) (values moment)
              Expect.isTrue (values before <> values after) "the step makes a difference")

          testForAll
              "the best of N has the largest value, and the log-probability is its own"
              20
              (Gen.zip3 keys configs (Gen.elements [ 2; 5 ]))
              (fun (key, config, n) ->
                  use _ = torch.NewDisposeScope()
                  let u = started config key
                  let m, s, obs = u.Model, u.State, u.Batch.Obs
                  let noise = Key.normal Compute.cpu [ batchSize * n; 2 ] (Key.foldIn 7L key)
                  let struct (action, logProbability) = Sac.sampled m s n noise obs

                  let each =
                      [ for k in 0 .. n - 1 ->
                            let rows = torch.arange (int64 k, int64 (batchSize * n), int64 n)
                            let struct (a, l) = Sac.sampled m s 1 (noise.index_select (0L, rows)) obs
                            let v = TwinCritics.values m.Critics s.Critics obs (a.unsqueeze 1L)
                            values a, values l, values v ]

                  for b in 0 .. batchSize - 1 do
                      let a, l, _ = each |> List.maxBy (fun (_, _, v) -> v[b])

                      closeTo
                          1e-6
                          "a"
                          [| a[2 * b]; a[2 * b + 1] |]
                          [| (values action)[2 * b]; (values action)[2 * b + 1] |]

                      closeTo 1e-6 "log π" [| l[b] |] [| (values logProbability)[b] |])

          testCase "best-of-N is switched for the behaviour, the targets and the evaluation alone" (fun () ->
              use _ = torch.NewDisposeScope()
              let key = Key.ofSeed 4L
              let obs = (batchOf key).Obs
              let state = (started small key).State

              let acted purpose config =
                  let agent = Sac.agent (Sac.model Compute.cpu space config)
                  values (agent.Act purpose state (Key.ofSeed 5L) obs).Action

              let target config = values (Sac.criticTarget { started config key with State = state })

              let behaviour, targets, evaluation =
                  { small with BestOf.BehaviourParticles = 4 },
                  { small with BestOf.TargetParticles = 4 },
                  { small with BestOf.EvaluationParticles = 4 }

              for config, name in [ behaviour, "behaviour"; targets, "targets"; evaluation, "evaluation" ] do
                  let changes (what: string) = what = name

                  Expect.equal
                      (acted Purpose.Explore config <> acted Purpose.Explore small)
                      (changes "behaviour")
                      "behaviour"

                  Expect.equal
                      (acted Purpose.Evaluate config <> acted Purpose.Evaluate small)
                      (changes "evaluation")
                      "evaluation"

                  Expect.equal (target config <> target small) (changes "targets") "targets")

          testForAll "an evaluation plays tanh μ, whatever the key" 5 keys (fun key ->
              use _ = torch.NewDisposeScope()
              let u = started small key
              let agent = Sac.agent u.Model
              let played seed = values (agent.Act Purpose.Evaluate u.State (Key.ofSeed seed) u.Batch.Obs).Action

              let output =
                  Doubles.forward u.Model.Policy (Doubles.double u.State.Policy.Flat) (Doubles.double u.Batch.Obs)

              closeTo 1e-5 "a" (Doubles.numbers ((output.narrow (1L, 0L, 2L)).tanh())) (played 1L)
              Expect.equal (played 1L) (played 2L) "keys")

          testCase "a fixed temperature stays, and its learning rate alone decides" (fun () ->
              use _ = torch.NewDisposeScope()

              let after config =
                  let u = started config (Key.ofSeed 6L)
                  (Sac.stages |> List.fold (fun u (_, stage) -> stage u) u).Next.Temperature

              let still = after { small with TemperatureLearningRate = 0.0; InitialTemperature = 0.2 }
              Expect.equal still (Temperature.init 0.2) "fixed"
              Expect.isTrue ((after small).LogLambda <> 0.0) "learned")

          testCase "stages in a wrong order are refused by name" (fun () ->
              use _ = torch.NewDisposeScope()
              let u = started small (Key.ofSeed 7L)

              let refused (stage: SacUpdate -> SacUpdate) (missing: string) =
                  Expect.throwsC (fun () -> stage u |> ignore) (fun error ->
                      Expect.stringContains error.Message missing "sentence")

              refused Sac.tuneTemperature "improvePolicy"
              refused Sac.followTargets "evaluateQ")

          testCase "impossible settings are named" (fun () ->
              let problems change = SacConfig.problems (change SacConfig.sb3) |> String.concat "; "

              let cases: ((SacConfig -> SacConfig) * string) list =
                  [ (fun c -> { c with TargetEntropyPerDim = nan }), "targetEntropyPerDim"
                    (fun c -> { c with InitialTemperature = 0.0 }), "initialTemperature"
                    (fun c -> { c with TemperatureLearningRate = infinity }), "temperatureLearningRate"
                    (fun c -> { c with Gaussian.LogStdLow = 3.0 }), "logStdLow"
                    (fun c -> { c with Gaussian.LogStdHigh = nan }), "logStdHigh"
                    (fun c -> { c with BestOf.TargetParticles = 0 }), "targetParticles"
                    (fun c -> { c with TargetNoise.TargetNoise = -0.1 }), "targetNoise"
                    (fun c -> { c with TargetNoise.TargetNoiseClip = nan }), "targetNoiseClip"
                    (fun c -> { c with Critics.HuberThreshold = Some 0.0 }), "huberThreshold"
                    (fun c -> { c with Networks.CriticLayerNorm = Some -1.0 }), "criticLayerNorm" ]

              for change, name in cases do
                  Expect.stringContains (problems change) name name) ]
