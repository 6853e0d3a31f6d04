/// The critics that SDAC, DPMD, SAC and TD3 share, and the settings of networks and critics that all four have.
module Sdac.Tests.TwinCriticsTests

open System
open Expecto
open FsCheck.FSharp
open Sdac.Functional
open TorchSharp
open Sdac.Tests.Properties
open Sdac.Tests.Figures
open Sdac.Testing

let internal space = { ObsDim = 4; ActionDim = 2 }
let internal keys = sizes 0 1_000_000 |> Gen.map (int64 >> Key.ofSeed)
let internal batchSize = 16

let internal batchOf (key: Key) : Batch =
    let keys = Key.splitMany 5 key

    { Obs = Key.normal Compute.cpu [ batchSize; 4 ] keys[0]
      NextObs = Key.normal Compute.cpu [ batchSize; 4 ] keys[1]
      Action = (Key.normal Compute.cpu [ batchSize; 2 ] keys[2]).tanh()
      Reward = Key.normal Compute.cpu [ batchSize ] keys[3]
      Terminated = (Key.uniform Compute.cpu [ batchSize ] keys[4]).gt(Scalars.ofFloat 0.7).``float``() }

let private modelWith networks settings noise =
    TwinCritics.model Compute.cpu space [ 12; 9 ] networks settings noise (AdamSettings.usual 1e-3)

let private model settings = modelWith SacConfig.sb3.Networks settings TargetNoiseSettings.off

let private start model key =
    let struct (a, b) = Key.split key
    TwinCritics.init model a b

let internal reductions = Gen.elements [ QReduction.Minimum; QReduction.Mean ]

let private activations =
    Gen.elements
        [ HiddenActivation.Mish
          HiddenActivation.Relu
          HiddenActivation.Gelu
          HiddenActivation.Elu
          HiddenActivation.Tanh ]

let private networks =
    gen {
        let! activation = activations
        let! norm = Gen.elements [ None; Some 1e-5 ]
        return { SacConfig.sb3.Networks with Activation = activation; CriticLayerNorm = norm }
    }

/// An update of each of the four algorithms under changed settings: all bits of the critics after it.
let private criticsAfter
    (networks: NetworkSettings)
    (critics: CriticSettings)
    (noise: TargetNoiseSettings)
    (key: Key)
    : (string * float32[]) list =
    let after (algorithm: Algorithm<'c, 's, 'w>) (config: 'c) (critics: 's -> TwinCritics) =
        use _ = torch.NewDisposeScope()
        let agent = algorithm.Agent Compute.cpu space { Iterations = 10L } config
        let state = agent.Init key

        let memory =
            let transitions seed =
                let b = batchOf (Key.foldIn seed key)
                let next = Tensors.toArray b.NextObs

                { Obs = Tensors.toArray b.Obs
                  Action = Tensors.toArray b.Action
                  Reward = Tensors.toArray b.Reward
                  Terminated = Array.create batchSize false
                  Truncated = Array.create batchSize true
                  NextObs = next
                  Current = next
                  Extras = [] }

            Seq.fold
                (fun memory seed -> Replay.append (transitions seed) memory)
                (Replay.create batchSize 4 2 1000)
                [ 1L; 2L ]

        let table = { Memory = memory; Columns = Map.empty }
        let struct (batch, numbers) = Key.split key
        let work = agent.Begin table { Batch = batch; Noise = numbers } state
        let finished = agent.Stages |> List.fold (fun work (_, stage) -> stage work) work |> agent.Finish
        let found = critics finished.State
        algorithm.Name, Array.append (Tensors.toArray found.Q1.Flat) (Tensors.toArray found.Q2.Flat)

    let data = { SacConfig.tiny.Data with BatchSize = batchSize }

    [ after
          Sdac.algorithm
          { SdacConfig.tiny with Networks = networks; Critics = critics; TargetNoise = noise; Data = data }
          _.Critics
      after
          Dpmd.algorithm
          { DpmdConfig.ofSdac SdacConfig.tiny with
              Networks = networks
              Critics = critics
              TargetNoise = noise
              Data = data }
          _.Critics
      after
          Sac.algorithm
          { SacConfig.tiny with Networks = networks; Critics = critics; TargetNoise = noise; Data = data }
          _.Critics
      after
          Td3.algorithm
          { Td3Config.tiny with Networks = networks; Critics = critics; TargetNoise = noise; Data = data }
          _.Critics ]

[<Tests>]
let tests =
    testList
        "twin critics"
        [ testForAll
              "the value is the smaller of both, or their mean, and so is the gradient with respect to the action"
              40
              (Gen.zip3 keys reductions networks)
              (fun (key, reduction, networks) ->
                  use _ = torch.NewDisposeScope()
                  let settings = { CriticSettings.usual with QReduction = reduction }
                  let model = modelWith networks settings TargetNoiseSettings.off
                  let critics, batch = start model key, batchOf key
                  let obs = Doubles.double batch.Obs
                  let action = (Doubles.double batch.Action).requires_grad_()
                  let q (p: Params) = Doubles.q model.Net (Doubles.double p.Flat) obs action

                  let wanted =
                      match reduction with
                      | QReduction.Minimum -> (q critics.Q1).minimum(q critics.Q2)
                      | QReduction.Mean -> (q critics.Q1).add(q critics.Q2).mul(Scalars.ofFloat 0.5)

                  let struct (value, slope) = TwinCritics.actionGradient model critics batch.Obs batch.Action
                  closeTo 1e-5 "value" (Doubles.numbers wanted) (values value)
                  closeTo 1e-5 "slope" (Doubles.gradient (wanted.sum ()) action |> Doubles.numbers) (values slope)
                  let many = TwinCritics.values model critics batch.Obs (batch.Action.unsqueeze 1L)
                  closeTo 1e-5 "values" (Doubles.numbers wanted) (values many))

          testForAll
              "the targets' value is that of the moving averages, not of the online critics"
              10
              (Gen.zip keys reductions)
              (fun (key, reduction) ->
                  use _ = torch.NewDisposeScope()
                  let model = model { CriticSettings.usual with QReduction = reduction }
                  let critics, others, batch = start model key, start model (Key.foldIn 1L key), batchOf key
                  let mixed = { critics with TargetQ1 = others.Q1; TargetQ2 = others.Q2 }
                  let found = TwinCritics.targetValue model mixed batch.Obs batch.Action
                  let wanted = TwinCritics.values model others batch.Obs (batch.Action.unsqueeze 1L)
                  Expect.equal (values found) (values wanted) "value")

          testForAll
              "a critic's gradient is that of the mean squared error, or of Huber's loss"
              40
              (Gen.zip3 keys (Gen.elements [ None; Some 0.3; Some 1.0 ]) networks)
              (fun (key, threshold, networks) ->
                  use _ = torch.NewDisposeScope()
                  let settings = { CriticSettings.usual with HuberThreshold = threshold }
                  let model = modelWith networks settings TargetNoiseSettings.off
                  let critics, batch = start model key, batchOf key
                  let target = batch.Reward
                  let flat = Doubles.leaf critics.Q1
                  let q = Doubles.q model.Net flat (Doubles.double batch.Obs) (Doubles.double batch.Action)
                  let apart = q.sub (Doubles.double target)

                  let each =
                      match threshold with
                      | None -> apart.square ()
                      | Some kappa ->
                          let size = apart.abs ()
                          let outside = size.sub(Scalars.ofFloat (0.5 * kappa)).mul(Scalars.ofFloat kappa)
                          let inside = apart.square().mul(Scalars.ofFloat 0.5)
                          torch.where (size.le (Scalars.ofFloat kappa), inside, outside)

                  let struct (loss, _, gradient) = TwinCritics.gradient model critics.Q1 batch target
                  closeTo 1e-5 "loss" (Doubles.numbers (each.mean ())) (values loss)
                  closeTo 1e-5 "gradient" (Doubles.gradient (each.mean ()) flat |> Doubles.numbers) (values gradient))

          testForAll
              "a' is smoothed by clipped noise and stays in the box"
              50
              (Gen.zip3 keys (between 0.01 1.0) (between 0.05 1.0))
              (fun (key, scale, clip) ->
                  use _ = torch.NewDisposeScope()
                  let noise = { TargetNoise = scale; TargetNoiseClip = clip }
                  let model = modelWith SacConfig.sb3.Networks CriticSettings.usual noise
                  let action = (batchOf key).Action
                  let drawn = TwinCritics.smoothingNoise model [ batchSize; 2 ] (Key.foldIn 1L key)

                  let wanted =
                      Array.map2
                          (fun a z -> Math.Clamp(a + Math.Clamp(scale * z, -clip, clip), -1.0, 1.0))
                          (values action)
                          (values drawn.Value)

                  closeTo 1e-6 "a'" wanted (values (TwinCritics.smoothed model drawn action)))

          testCase "where the settings smooth nothing a' stays as it is, beyond the box as well" (fun () ->
              use _ = torch.NewDisposeScope()
              let model = model CriticSettings.usual
              let action = Key.normal Compute.cpu [ batchSize; 2 ] (Key.ofSeed 1L)
              let noise = TwinCritics.smoothingNoise model [ batchSize; 2 ] (Key.ofSeed 2L)
              Expect.isNone noise "noise"
              Expect.equal (values (TwinCritics.smoothed model noise action)) (values action) "a'")

          testCase "moving averages go a hundredth of the way: 2 and 1 at τ 0.005 give 1.005" (fun () ->
              use _ = torch.NewDisposeScope()
              let model = model CriticSettings.usual
              let critics = start model (Key.ofSeed 1L)
              let full (value: float) (p: Params) = Params.withFlat (torch.full_like (p.Flat, Scalars.ofFloat value)) p

              let moved =
                  TwinCritics.follow
                      model
                      { critics with
                          Q1 = full 2.0 critics.Q1
                          Q2 = full 4.0 critics.Q2
                          TargetQ1 = full 1.0 critics.Q1
                          TargetQ2 = full 1.0 critics.Q2 }

              let distinct (p: Params) = values p.Flat |> Array.map (fun v -> Math.Round(v, 6)) |> Array.distinct
              Expect.equal (distinct moved.TargetQ1) [| 1.005 |] "target 1"
              Expect.equal (distinct moved.TargetQ2) [| 1.015 |] "target 2")

          testCase
              "the published settings are those without the options, and each option reaches all four algorithms"
              (fun () ->
                  let key = Key.ofSeed 3L
                  let networks, critics, noise = NetworkSettings.mish, CriticSettings.usual, TargetNoiseSettings.off
                  let plain = criticsAfter networks critics noise key

                  let options =
                      [ "activation",
                        criticsAfter { networks with Activation = HiddenActivation.Relu } critics noise key
                        "critic layer norm",
                        criticsAfter { networks with CriticLayerNorm = Some 1e-5 } critics noise key
                        "policy layer norm",
                        criticsAfter { networks with PolicyLayerNorm = Some 1e-5 } critics noise key
                        "initial weights",
                        criticsAfter { networks with InitialWeights = InitialWeights.TorchUniform } critics noise key
                        "Q's mean", criticsAfter networks { critics with QReduction = QReduction.Mean } noise key
                        "Huber", criticsAfter networks { critics with HuberThreshold = Some 0.01 } noise key
                        "reward scale", criticsAfter networks { critics with RewardScale = 3.0 } noise key
                        "target noise", criticsAfter networks critics { TargetNoise = 0.5; TargetNoiseClip = 0.7 } key ]

                  Expect.equal (criticsAfter networks critics noise key) plain "the same settings again"

                  for option, changed in options do
                      for (algorithm, before), (_, after) in List.zip plain changed do
                          Expect.isTrue (before <> after) $"{option} does not reach {algorithm}")

          testForAll "fresh weights have the deviations and bounds that they are named for" 5 keys (fun key ->
              use _ = torch.NewDisposeScope()
              let fanIn, fanOut = 300, 200

              let shape =
                  HiddenLayers.shape
                      fanIn
                      { Widths = [ fanOut ]; Activation = Sdac.Kernels.Activation.Relu; LayerNorm = None }
                      1

              let drawn initial = InitialWeights.draw initial shape key
              let weights (all: float32[]) = Array.sub all (shape.WeightOffset 0) (fanIn * fanOut) |> Array.map float
              let biases (all: float32[]) = Array.sub all (shape.BiasOffset 0) fanOut |> Array.map float
              let variance (x: float[]) = Array.averageBy (fun v -> v * v) x

              let near what wanted found =
                  Expect.isTrue (abs (found / wanted - 1.0) < 0.03) $"{what}: {found}, not {wanted}"

              let unit = 1.0 / sqrt (float fanIn)

              let lecun = drawn InitialWeights.LecunUniform
              near "LeCun's variance" (unit * unit) (variance (weights lecun))
              Expect.isTrue (weights lecun |> Array.forall (fun w -> abs w <= sqrt 3.0 * unit + 1e-7)) "LeCun's bound"
              Expect.isTrue (biases lecun |> Array.forall ((=) 0.0)) "LeCun's biases"

              let torch = drawn InitialWeights.TorchUniform
              near "PyTorch's variance" (unit * unit / 3.0) (variance (weights torch))

              Expect.isTrue
                  (Array.append (weights torch) (biases torch) |> Array.forall (fun w -> abs w <= unit + 1e-7))
                  "PyTorch's bound"

              Expect.isTrue (variance (biases torch) > 0.2 * unit * unit) "PyTorch's biases are not zero"

              // a normal number cut at ±2 has the variance 1 - 4φ(2)/(2Φ(2) - 1) = 0.7737
              let cut = drawn InitialWeights.CutNormal
              near "Haiku's variance" (0.7737 * unit * unit) (variance (weights cut))
              Expect.isTrue (weights cut |> Array.forall (fun w -> abs w <= 2.0 * unit + 1e-7)) "Haiku's bound"
              Expect.isTrue (biases cut |> Array.forall ((=) 0.0)) "Haiku's biases") ]
