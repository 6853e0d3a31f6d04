module Sdac.Tests.DpmdTests

open System
open Expecto
open FsCheck.FSharp
open Sdac.Functional
open Sdac.Environments
open TorchSharp
open Sdac.Tests.Properties
open Sdac.Tests.Figures
open Sdac.Tests.SdacTests
open Sdac.Testing

let private dpmd = DpmdConfig.ofSdac small

/// What one property needs: sizes, settings and a key for all the rest.
type private Case = { Obs: int; Action: int; Batch: int; Config: DpmdConfig; Key: Key }

let private cases =
    let sizes' = Gen.zip (Gen.zip (sizes 1 7) (sizes 1 5)) (Gen.zip (sizes 1 20) (sizes 1 12))

    let settings =
        Gen.zip
            (Gen.elements [ QNormalisation.Off; QNormalisation.Running; QNormalisation.RunningAsPublished ])
            (Gen.zip (between 0.3 5.0) (sizes 1 4))

    Gen.zip (Gen.zip sizes' settings) (Gen.zip schedules (sizes 0 1_000_000))
    |> Gen.map (fun ((((obs, action), (batch, T)), (normalisation, (lambda, particles))), (schedule, seed)) ->
        { Obs = obs
          Action = action
          Batch = batch
          Key = Key.ofSeed (int64 seed)
          Config =
            { dpmd with
                Data.BatchSize = batch
                Diffusion.Timesteps = T
                Diffusion.BetaSchedule = schedule
                Temperature.InitialTemperature = lambda
                Particles.Particles = particles
                Energy.QNormalisation = normalisation } })

let private modelOf compute (c: Case) = Dpmd.model compute { ObsDim = c.Obs; ActionDim = c.Action } c.Config

/// A state whose running averages have left their beginning.
let private stateOf model (c: Case) =
    { ActorCriticState.init model (Key.foldIn 1L c.Key) with Values = { Mean = 0.3; Deviation = 0.2 } }

let private batchOf (c: Case) : Batch =
    let keys = Key.splitMany 5 (Key.foldIn 2L c.Key)
    let n = c.Batch

    { Obs = Key.normal Compute.cpu [ n; c.Obs ] keys[0]
      NextObs = Key.normal Compute.cpu [ n; c.Obs ] keys[1]
      Action = (Key.normal Compute.cpu [ n; c.Action ] keys[2]).tanh()
      Reward = Key.normal Compute.cpu [ n ] keys[3]
      Terminated = (Key.uniform Compute.cpu [ n ] keys[4]).gt(Scalars.ofFloat 0.9).``float``() }

let private noiseOf (model: ActorCriticModel) (c: Case) = UpdateNoise.draw model c.Batch (Key.foldIn 3L c.Key)

/// The weights as the paper and the published implementation write them, in double precision.
let private plainWeights (c: DpmdConfig) (v: RunningValues) (q: float[]) =
    let clip x = max -3.0 (min 3.0 x)

    let energy q =
        match c.Energy.QNormalisation with
        | QNormalisation.Off -> q
        | QNormalisation.Running -> clip ((q - v.Mean) / v.Deviation)
        | QNormalisation.RunningAsPublished -> clip (q - v.Mean / v.Deviation)
        | QNormalisation.Batch -> invalidOp "not among the cases"

    q |> Array.map (fun q -> exp (energy q / c.Temperature.InitialTemperature))

/// Weighted noise prediction in plain libtorch: the loss, and by autograd the gradient of the policy's parameters.
let private plainGradient
    (model: ActorCriticModel)
    (state: ActorCriticState)
    (noise: UpdateNoise)
    (obs: Tensor)
    (action: Tensor)
    w
    =
    let flat = state.Policy.Flat.detach().requires_grad_()
    let rows = Tensors.size 0 action

    let column f = Tensors.ofArray Compute.cpu [ rows; 1 ] (noise.Timesteps |> Array.map (f >> float32))

    let bars = model.Schedule.AlphaBars
    let keep, spread = column (fun t -> sqrt bars[t]), column (fun t -> sqrt (1.0 - bars[t]))
    let noisy = keep.mul(action).add(spread.mul noise.Forward)

    let predicted =
        NoiseNetwork.forward Compute.libtorch model.Noise (Params.withFlat flat state.Policy) obs noisy noise.Timesteps

    let weights = Tensors.ofArray Compute.cpu [ rows; 1 ] (w |> Array.map float32)
    let loss = (predicted.sub noise.Forward).square().mul(weights).mean()
    struct (loss, torch.autograd.grad([| loss |], [| flat |]).[0])

[<Tests>]
let tests =
    testList
        "DPMD"
        [ testForAll
              "DPMD's step of the policy equals the straightforward one with autograd, on random sizes and settings"
              40
              cases
              (fun c ->
                  use _ = torch.NewDisposeScope()

                  for compute in [ Compute.cpu; Compute.libtorch ] do
                      let model = modelOf compute c
                      let state, batch, noise = stateOf model c, batchOf c, noiseOf model c
                      let u = ActorCritic.start model noise batch state |> ActorCritic.evaluateQ
                      let after = Dpmd.mirrorDescent u
                      let action = u.NextAction.Value

                      let q net =
                          QNetwork.forward Compute.libtorch model.Critics.Net net batch.NextObs action |> values

                      let least = Array.map2 min (q state.Critics.Q1) (q state.Critics.Q2)
                      let w = plainWeights c.Config state.Values least
                      let struct (loss, gradient) = plainGradient model state noise batch.NextObs action w

                      closeTo 2e-4 "weights" w (values after.Weights.Value)
                      closeTo 1e-4 "loss" (values loss) [| after.Figures["policyLoss"] |]

                      // the first Adam step tells only signs: compare the moment, which is (1 - β1)·gradient
                      let scale = values gradient |> Array.map abs |> Array.max |> max 1e-3

                      closeTo
                          1e-4
                          "gradient"
                          (values gradient |> Array.map (fun g -> 0.1 * g / scale))
                          (values after.Next.PolicyAdam.M |> Array.map (fun m -> m / scale))

                      let followed =
                          match c.Config.Energy.QNormalisation with
                          | QNormalisation.Off -> state.Values
                          | _ ->
                              let mean = Array.average least
                              let deviation = least |> Array.averageBy (fun q -> (q - mean) ** 2.0) |> sqrt
                              { Mean = 0.3 + 0.001 * (mean - 0.3); Deviation = 0.2 + 0.001 * (deviation - 0.2) }

                      closeTo
                          1e-5
                          "running averages"
                          [| followed.Mean; followed.Deviation |]
                          [| after.Next.Values.Mean; after.Next.Values.Deviation |])

          testForAll "the gradient of DPMD's loss equals central differences along random directions" 15 cases (fun c ->
              use _ = torch.NewDisposeScope()
              let model = modelOf Compute.cpu c
              let state, obs, noise = stateOf model c, (batchOf c).NextObs, noiseOf model c
              let action = (batchOf c).Action
              let q = (Key.normal Compute.cpu [ c.Batch; 1 ] (Key.foldIn 4L c.Key)).mul(Scalars.ofFloat 0.3)
              let found = Dpmd.policyGradient model state noise obs (action.unsqueeze 1L) q
              let direction = (Key.normal Compute.cpu [ Tensors.size 0 state.Policy.Flat ] (Key.foldIn 5L c.Key))
              let direction = direction.div (Scalars.ofFloat (Tensors.norm direction))

              let lossAt step =
                  let flat = state.Policy.Flat.add (direction.mul (Scalars.ofFloat step))
                  let moved = { state with Policy = Params.withFlat flat state.Policy }
                  Tensors.scalar (Dpmd.policyGradient model moved noise obs (action.unsqueeze 1L) q).Loss

              let h = 1e-2
              let difference = (lossAt h - lossAt -h) / (2.0 * h)
              let slope = Tensors.scalar (found.Gradient.mul(direction).sum())
              let tolerance = 2e-3 * (1.0 + lossAt 0.0)
              Expect.isTrue (abs (difference - slope) <= tolerance) $"slope {slope}, difference {difference}")

          testForAll
              "normalised weights ignore shift and scale of Q that the averages share, and stay within their bounds"
              60
              (Gen.zip (Gen.zip (between -50.0 50.0) (between 0.1 20.0)) (sizes 0 1_000_000))
              (fun ((shift, scale), seed) ->
                  use _ = torch.NewDisposeScope()
                  let c = { dpmd.Energy with QNormalisation = QNormalisation.Running }
                  let q = Key.normal Compute.cpu [ 9; 1 ] (Key.ofSeed (int64 seed))
                  let v = { Mean = 0.1; Deviation = 0.4 }
                  let moved = q.mul(Scalars.ofFloat scale).add(Scalars.ofFloat shift)
                  let followed = { Mean = scale * v.Mean + shift; Deviation = scale * v.Deviation }
                  let weights v q = Energy.ofValues c v 0.7 q |> Rssm.weights RssmWeights.Raw |> values
                  closeTo 1e-2 "weights" (weights v q) (weights followed moved)

                  for w in weights v q do
                      Expect.inRange w (exp (-3.0 / 0.7) - 1e-6, exp (3.0 / 0.7) + 1e-3) "weight")

          testForAll
              "a constant factor of all weights changes the loss and its gradient by that factor only"
              20
              cases
              (fun c ->
                  use _ = torch.NewDisposeScope()
                  let c = { c with Config = { c.Config with Energy.QNormalisation = QNormalisation.Off } }
                  let model = modelOf Compute.cpu c
                  let state, obs, noise = stateOf model c, (batchOf c).NextObs, noiseOf model c
                  let q = Key.normal Compute.cpu [ c.Batch; 1 ] (Key.foldIn 4L c.Key)
                  let at (q: Tensor) = Dpmd.policyGradient model state noise obs ((batchOf c).Action.unsqueeze 1L) q

                  let plain, raised =
                      at q, at (q.add (Scalars.ofFloat (log 2.0 * c.Config.Temperature.InitialTemperature)))

                  closeTo 1e-4 "loss" (values plain.Loss |> Array.map ((*) 2.0)) (values raised.Loss)
                  closeTo 1e-4 "gradient" (values plain.Gradient |> Array.map ((*) 2.0)) (values raised.Gradient))

          testCase "running averages reach the mean and deviation of values that keep their distribution" (fun () ->
              let c = { dpmd.Energy with QNormalisation = QNormalisation.Running; QNormalisationRate = 0.01 }

              let v =
                  List.fold
                      (fun v i ->
                          let q = Key.normal Compute.cpu [ 64; 1 ] (Key.ofSeed i)
                          RunningValues.follow c (q.mul(Scalars.ofFloat 3.0).add(Scalars.ofFloat -7.0)) v)
                      RunningValues.init
                      [ 1L .. 1000L ]

              closeTo 0.03 "averages" [| -7.0; 3.0 |] [| v.Mean; v.Deviation |])

          testForAll
              "a DPMD update changes none of its arguments, and the same arguments give the same bits"
              6
              cases
              (fun c ->
                  let model = modelOf Compute.cpu c
                  let state, batch = stateOf model c, batchOf c

                  let bits (s: ActorCriticState) =
                      [ for t in Parts.tensors ActorCriticState.parts s -> Tensors.toArray t ], s.Temperature, s.Values

                  let before = bits state
                  let struct (next, metrics) = Dpmd.update model (Key.foldIn 6L c.Key) batch state
                  let struct (again, metricsAgain) = Dpmd.update model (Key.foldIn 6L c.Key) batch state
                  Expect.equal (bits state) before "bits"
                  Expect.equal (bits again) (bits next) "bits"
                  Expect.equal metricsAgain metrics "metrics again"
                  Expect.differs (bits next) before "bits")

          testForAll "DPMD by libtorch alone gives what the kernels give" 6 cases (fun c ->
              let run compute =
                  let model = modelOf compute c
                  let mutable state = stateOf model c

                  for i in 0L .. 3L do
                      let struct (next, _) = Dpmd.update model (Key.foldIn i c.Key) (batchOf c) state
                      Parts.disposeReplaced ActorCriticState.parts next state
                      state <- next

                  let found = Parts.tensors ActorCriticState.parts state |> List.map values, state.Values
                  Parts.dispose ActorCriticState.parts state
                  found

              let ours, oursAverages = run Compute.cpu
              let theirs, theirAverages = run Compute.libtorch

              for a, b in List.zip ours theirs do
                  closeTo 1e-4 "state" b a

              closeTo
                  1e-5
                  "averages"
                  [| theirAverages.Mean; theirAverages.Deviation |]
                  [| oursAverages.Mean; oursAverages.Deviation |])

          testCase "DPMD moves the policy and the targets every second update, the averages of Q always" (fun () ->
              let model = Dpmd.model Compute.cpu { ObsDim = 4; ActionDim = 2 } dpmd

              let batch =
                  batchOf { Obs = 4; Action = 2; Batch = small.Data.BatchSize; Config = dpmd; Key = Key.ofSeed 1L }

              let mutable s = ActorCriticState.init model (Key.ofSeed 2L)

              for i in 0L .. 5L do
                  let struct (next, m) = Dpmd.update model (Key.foldIn i (Key.ofSeed 3L)) batch s
                  let same (f: ActorCriticState -> Params) = obj.ReferenceEquals((f s).Flat, (f next).Flat)
                  Expect.equal (same _.Policy) (i % 2L = 1L) "policy"
                  Expect.equal (same _.TargetPolicy) (i % 2L = 1L) "target policy"
                  Expect.equal (same _.Critics.TargetQ1) (i % 2L = 1L) "target Q1"
                  Expect.equal (m.ContainsKey "policyLoss") (i % 2L = 0L) "policy loss"
                  Expect.isFalse (same _.Critics.Q1) "the critic has moved"
                  Expect.differs next.Values s.Values "values"
                  Expect.equal (s.Temperature <> next.Temperature) (i % 250L = 0L) "temperature"
                  Parts.disposeReplaced ActorCriticState.parts next s
                  s <- next)

          testCase "SDAC's settings for DPMD take over what was published with it, and nothing else" (fun () ->
              let custom =
                  { SdacConfig.published with
                      Hidden = [ 5 ]
                      Diffusion.Timesteps = 7
                      Energy.QScale = 20.0
                      Energy.QClip = 2.0 }

              let found = DpmdConfig.ofSdac custom

              Expect.equal
                  found
                  { Hidden = custom.Hidden
                    CriticHidden = custom.CriticHidden
                    Networks = custom.Networks
                    CriticActivation = custom.CriticActivation
                    Data = custom.Data
                    Diffusion = { custom.Diffusion with BetaSchedule = BetaSchedule.Linear 0.3 }
                    Particles = custom.Particles
                    Mirror = MirrorSettings.published
                    Regression = RegressionSettings.from Anchor.TargetAction
                    Energy = { custom.Energy with QScale = 1.0; QNormalisation = QNormalisation.Running }
                    Critics = custom.Critics
                    TargetNoise = custom.TargetNoise
                    Adam = custom.Adam
                    Policy = custom.Policy
                    Temperature = custom.Temperature
                    Tuning = custom.Tuning }
                  "settings for DPMD"

              Expect.isEmpty (DpmdConfig.problems Dpmd.algorithm.Published) "published")

          testCase "stages of the other algorithm are refused by name" (fun () ->
              use _ = torch.NewDisposeScope()
              let space = { ObsDim = 4; ActionDim = 2 }

              let refused (model: ActorCriticModel) (stage: Update -> Update) =
                  let state = ActorCriticState.init model (Key.ofSeed 2L)

                  let batch =
                      batchOf { Obs = 4; Action = 2; Batch = small.Data.BatchSize; Config = dpmd; Key = Key.ofSeed 1L }

                  let u =
                      ActorCritic.start model (UpdateNoise.draw model small.Data.BatchSize (Key.ofSeed 3L)) batch state

                  (Expect.raises<RefusedOperationException>(fun () -> stage u |> ignore)).Message

              Expect.stringContains
                  (refused (Sdac.model Compute.cpu space small) Dpmd.mirrorDescent)
                  "mirrorDescent belongs to DPMD"
                  "mirror descent"

              Expect.stringContains
                  (refused (Dpmd.model Compute.cpu space dpmd) Sdac.rssmUpdate)
                  "rssmUpdate belongs to SDAC"
                  "rssm update")

          testCase "an iteration of DPMD's stages is exactly one Dpmd.update on the batch that collect drew" (fun () ->
              use scope = torch.NewDisposeScope()

              let step =
                  Experiment.on Dpmd.algorithm "InvertedPendulum-v4"
                  |> Experiment.configure (fun _ -> dpmd)
                  |> Pipeline.start
                  |> Pipeline.warm

              use _ = step.Environment :> IDisposable
              let u = (Pipeline.collect step).Work.Value
              let struct (expected, metrics) = Dpmd.updateWith u.Model u.Noise u.Batch step.State
              let iterated = Pipeline.iterate Pipeline.dpmd step

              let parameters (s: ActorCriticState) =
                  [ for t in Parts.tensors ActorCriticState.parts s -> Tensors.toArray t ]

              Expect.equal (parameters iterated.State) (parameters expected) "state"
              Expect.equal iterated.Figures (Some metrics) "metrics") ]
