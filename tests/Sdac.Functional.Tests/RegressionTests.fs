/// SDAC's and DPMD's further forms: where ã_t comes from, which timesteps, how weights and λ are made, how candidates are drawn.
module Sdac.Tests.RegressionTests

open System
open Expecto
open FsCheck.FSharp
open Sdac.Functional
open TorchSharp
open Sdac.Tests.Properties
open Sdac.Tests.Figures
open Sdac.Tests.SdacTests
open Sdac.Testing

let private cpu = Compute.cpu
let private scalar = Scalars.ofFloat
let private space = { ObsDim = 4; ActionDim = 2 }
let private near tolerance expected found what = Expect.floatClose (within tolerance) found expected what
let private row (xs: float list) = Tensors.ofArray cpu [ 1; xs.Length ] [| for x in xs -> float32 x |]

let private batchOf (n: int) (key: Key) : Batch =
    let keys = Key.splitMany 5 key

    { Obs = Key.normal cpu [ n; space.ObsDim ] keys[0]
      NextObs = Key.normal cpu [ n; space.ObsDim ] keys[1]
      Action = (Key.normal cpu [ n; space.ActionDim ] keys[2]).tanh()
      Reward = Key.normal cpu [ n ] keys[3]
      Terminated = (Key.uniform cpu [ n ] keys[4]).gt(scalar 0.9).``float``() }

/// A state whose target policy is another network than its policy.
let private stateOf (model: ActorCriticModel) (key: Key) =
    let state = ActorCriticState.init model key
    state.TargetPolicy.Flat.mul_ (scalar 1.5) |> ignore
    state

let private sdacModel config = Sdac.model cpu space config
let private dpmdModel config = Dpmd.model cpu space config

let private anchoredAt anchor = { small with Regression.Anchor = anchor }

/// DPMD on several actions of the old policy, each part of its own size.
let private severalActions =
    { DpmdConfig.ofSdac small with
        Mirror = { Actions = 3; ActionNoise = 0.2; ActionWeights = RssmWeights.LogSumExp }
        Regression =
            { RegressionSettings.from Anchor.Policy with
                WeightCritic = Some QReduction.Mean
                ErrorCap = Some 0.8 }
        Energy.QNormalisation = QNormalisation.Off
        Energy.QScale = 3.0
        Particles.Particles = 4 }

let private sdacStages = ActorCritic.evaluateQ >> ActorCritic.reverseSample >> Sdac.rssmUpdate

let private moments (s: ActorCriticState) = values s.PolicyAdam.M

/// Does the policy's step depend on this part of the batch?
let private dependsOn (config: SdacConfig) (change: Batch -> Batch) =
    use _ = torch.NewDisposeScope()
    let model = sdacModel config
    let state = stateOf model (Key.ofSeed 1L)
    let batch = batchOf 16 (Key.ofSeed 2L)
    let noise = UpdateNoise.draw model 16 (Key.ofSeed 3L)

    let step batch = moments (ActorCritic.start model noise batch state |> sdacStages).Next

    step batch <> step (change batch)

[<Tests>]
let tests =
    testList
        "forms of the policy's regression"
        [ testForAll
              "timesteps have the probabilities that their names say"
              40
              (Gen.zip (Gen.zip schedules (sizes 1 12)) (sizes 1 6))
              (fun ((schedule, T), dim) ->
                  let s = Schedule.create schedule T
                  let p draws = Regression.probabilities s dim draws

                  for draws in [ TimestepDraws.Uniform; TimestepDraws.LowNoise; TimestepDraws.Balanced ] do
                      near 1e-12 1.0 (Array.sum (p draws)) $"the sum of {draws}"

                  for t in 1 .. T - 1 do
                      let ratio draws = (p draws)[t] / (p draws)[t - 1]
                      let bars = s.AlphaBars[t] / s.AlphaBars[t - 1]
                      near 1e-9 1.0 (ratio TimestepDraws.Uniform) "uniform"
                      near 1e-9 bars (ratio TimestepDraws.LowNoise) "low noise"
                      // ᾱ^(-d/2): what times ᾱ^(d/2) is the same for all timesteps
                      let power = bars ** (-0.5 * float dim)

                      if (p TimestepDraws.Balanced)[t - 1] > 1e-250 then
                          near (1e-9 * power) power (ratio TimestepDraws.Balanced) "balanced")

          testCase "balanced timesteps of very many components are all the noisiest" (fun () ->
              // ᾱ^(-d/2) is beyond any double
              let p = Regression.probabilities (Schedule.create BetaSchedule.Cosine 20) 2_000 TimestepDraws.Balanced
              near 1e-12 1.0 (Array.sum p) "the sum"
              near 1e-12 1.0 (Array.last p) "the last one")

          testCase "timesteps are drawn as often as their probabilities say" (fun () ->
              let s, n = Schedule.create (BetaSchedule.Linear 0.3) 6, 60_000

              for draws in [ TimestepDraws.Uniform; TimestepDraws.LowNoise; TimestepDraws.Balanced ] do
                  let found = Regression.timesteps s 1 draws n (Key.ofSeed 5L) |> Array.countBy id |> Map.ofArray

                  Regression.probabilities s 1 draws
                  |> Array.iteri (fun t p ->
                      let share = float (found |> Map.tryFind t |> Option.defaultValue 0) / float n
                      // five standard deviations of a share of n
                      near (5.0 * sqrt (p * (1.0 - p) / float n)) p share $"{draws} at t {t}")

              Expect.equal
                  (Regression.timesteps s 1 TimestepDraws.Uniform 50 (Key.ofSeed 6L))
                  (Key.integers 6 50 (Key.ofSeed 6L))
                  "uniform timesteps are the key's integers")

          testForAll
              "a capped loss has the gradient that autograd gives it; a cap beyond all errors changes nothing"
              60
              (Gen.zip (Gen.zip (sizes 1 6) (sizes 1 5)) (Gen.zip (between 0.1 3.0) (sizes 0 1_000_000)))
              (fun ((rows, draws), (cap, seed)) ->
                  use _ = torch.NewDisposeScope()
                  let keys = Key.splitMany 3 (Key.ofSeed (int64 seed))
                  let prediction = (Key.normal cpu [ rows; 2 ] keys[0]).requires_grad_()
                  let noise = Key.normal cpu [ rows; draws; 2 ] keys[1]
                  let weights = Key.uniform cpu [ rows; draws ] keys[2]
                  let squares = (prediction.unsqueeze 1L).sub(noise).square()
                  // min by where: autograd gives the side that counts the whole gradient
                  let held = torch.where (squares.gt (scalar cap), torch.full_like (squares, scalar cap), squares)
                  let loss = held.mul(weights.unsqueeze 2L).mean()
                  let gradient = torch.autograd.grad([| loss |], [| prediction |]).[0]
                  let plain = prediction.detach ()

                  closeTo 1e-5 "loss" (values loss) (values (Regression.loss (Some cap) plain noise weights))

                  closeTo
                      1e-5
                      "gradient"
                      (values gradient)
                      (values (Regression.gradient (Some cap) plain noise weights))

                  closeTo
                      1e-5
                      "a cap beyond all errors"
                      (values (Regression.gradient None plain noise weights))
                      (values (Regression.gradient (Some 1e6) plain noise weights)))

          testCase "weights, entropy and divergence have the reference sheet's numbers" (fun () ->
              use _ = torch.NewDisposeScope()
              let q = row [ 0.0; 1.0; 2.0 ]
              let w = Rssm.weights RssmWeights.SelfNormalised q
              closeTo 1e-6 "softmax" [| 0.090031; 0.244728; 0.665241 |] (values w)

              closeTo
                  1e-6
                  "logsumexp"
                  [| 0.270092; 0.734185; 1.995723 |]
                  (values (Rssm.weights RssmWeights.LogSumExp q))

              near 1e-6 2.407606 (Tensors.scalar (q.logsumexp 1L)) "normaliser"
              let kl = Temperature.divergence 3 (Tensors.toArray w)
              near 1e-6 0.266217 kl "divergence"
              near 1e-6 0.832396 (log 3.0 - kl) "entropy"
              near 1e-6 1.733783 (Temperature.divergenceGradient 2.0 kl (Temperature.init 1.0)) "λ's gradient"
              // a draw alone weighs the same whatever Q says
              closeTo 0.0 "one draw" [| 1.0 |] (values (Rssm.weights RssmWeights.SelfNormalised (row [ -7.0 ])))
              closeTo 0.0 "one draw" [| 1.0 |] (values (Rssm.weights RssmWeights.LogSumExp (row [ 5.0 ]))))

          testForAll
              "the divergence is 0 for equal weights, ln K for one that has all, and the mean over states"
              40
              (Gen.zip (sizes 2 64) (between 0.1 9.0))
              (fun (k, size) ->
                  let equal = Array.create k (float32 size)
                  let one = Array.init k (fun i -> if i = 1 then float32 size else 0f)
                  near 1e-6 0.0 (Temperature.divergence k equal) "equal"
                  // shares below 1e-6 count as that
                  near 2e-3 (log (float k)) (Temperature.divergence k one) "one"
                  near 1e-3 (0.5 * log (float k)) (Temperature.divergence k (Array.append equal one)) "mean")

          testForAll
              "values normalised by their batch ignore shift and scale of Q"
              60
              (Gen.zip (Gen.zip (between -50.0 50.0) (between 0.1 20.0)) (sizes 0 1_000_000))
              (fun ((shift, scale), seed) ->
                  use _ = torch.NewDisposeScope()
                  let c = { small.Energy with QNormalisation = QNormalisation.Batch; QScale = 1.0; QClip = 2.0 }
                  let q = Key.normal cpu [ 9; 4 ] (Key.ofSeed (int64 seed))
                  let energy q = values (Energy.ofValues c RunningValues.init 1.0 q)
                  let found = energy q
                  closeTo 1e-3 "energies" found (energy (q.mul(scalar scale).add(scalar shift)))
                  let plain = values q
                  let mean = Array.average plain
                  let deviation = plain |> Array.averageBy (fun x -> (x - mean) ** 2.0) |> sqrt
                  let wanted = plain |> Array.map (fun x -> max -2.0 (min 2.0 ((x - mean) / deviation)))
                  closeTo 1e-4 "by hand" wanted found
                  Expect.equal (RunningValues.follow c q RunningValues.init) RunningValues.init "no running averages")

          testCase "each anchor moves the policy on its own actions and states" (fun () ->
              let changes =
                  [ "obs", (fun (b: Batch) -> { b with Obs = b.Obs.add (scalar 0.3) })
                    "next_obs", (fun b -> { b with NextObs = b.NextObs.add (scalar 0.3) })
                    "action", (fun b -> { b with Action = b.Action.mul (scalar 0.5) }) ]

              for anchor, wanted in
                  [ Anchor.Policy, [ "obs" ]
                    Anchor.Replay, [ "obs"; "action" ]
                    Anchor.TargetAction, [ "next_obs" ] ] do
                  let found = changes |> List.filter (snd >> dependsOn (anchoredAt anchor)) |> List.map fst
                  Expect.equal found wanted $"what the anchor {anchor} looks at")

          testCase
              "only the anchor policy samples new actions, and each anchor's step is RSSM's on its actions"
              (fun () ->
                  use _ = torch.NewDisposeScope()

                  for anchor in [ Anchor.Policy; Anchor.Replay; Anchor.TargetAction ] do
                      let model = sdacModel (anchoredAt anchor)
                      let state, batch = stateOf model (Key.ofSeed 1L), batchOf 16 (Key.ofSeed 2L)
                      let noise = UpdateNoise.draw model 16 (Key.ofSeed 3L)

                      let u =
                          ActorCritic.start model noise batch state
                          |> ActorCritic.evaluateQ
                          |> ActorCritic.reverseSample

                      Expect.equal u.Action.IsSome (anchor = Anchor.Policy) "new actions"

                      let struct (obs, action) =
                          match anchor with
                          | Anchor.Policy -> struct (batch.Obs, u.Action.Value)
                          | Anchor.Replay -> struct (batch.Obs, batch.Action)
                          | Anchor.TargetAction -> struct (batch.NextObs, u.NextAction.Value)

                      let wanted = Sdac.rssmGradient model state noise obs action
                      let after = Sdac.rssmUpdate (Sdac.inOrder u)
                      closeTo 0.0 "loss" (values wanted.Loss) [| after.Figures["policyLoss"] |]
                      closeTo 0.0 "weights" (values wanted.Weights) (values after.Weights.Value)

                      // an update that leaves the policy
                      let idle = { state with Updates = 1L }
                      let still = ActorCritic.start model noise batch idle |> sdacStages

                      Expect.isTrue
                          (obj.ReferenceEquals(still.Next.Policy, idle.Policy))
                          "an update that leaves the policy")

          testCase
              "DPMD on several actions: the old policy's, with noise, not clipped, weighed in their state"
              (fun () ->
                  use _ = torch.NewDisposeScope()

                  for compute in [ cpu; Compute.libtorch ] do
                      let model = Dpmd.model compute space severalActions
                      let state, batch = stateOf model (Key.ofSeed 1L), batchOf 5 (Key.ofSeed 2L)
                      let noise = UpdateNoise.draw model 5 (Key.ofSeed 3L)
                      let u = ActorCritic.start model noise batch state |> ActorCritic.evaluateQ
                      let after = Dpmd.mirrorDescent u

                      let sampled =
                          Diffusion.sample
                              cpu
                              model.Schedule
                              model.Noise
                              state.TargetPolicy
                              model.Diffusion.InitialNoiseScale
                              3
                              noise.New
                              batch.Obs

                      let z = noise.Actions.Value.view (5L, 3L, 2L)
                      let actions = sampled.add (z, scalar 0.2)
                      let flat = actions.reshape (15L, 2L)
                      let obs = batch.Obs.repeat_interleave (3L, Nullable 0L)
                      let value net = QNetwork.forward Compute.libtorch model.Critics.Net net obs flat
                      let q = (value state.Critics.Q1).add(value state.Critics.Q2).mul(scalar 0.5).view(5L, 3L)
                      let w = q.mul(scalar (3.0 / state.Temperature.Lambda)).softmax(1L).mul(scalar 3.0)
                      closeTo 1e-4 "weights" (values w) (values after.Weights.Value)

                      let p = state.Policy.Flat.detach().requires_grad_()
                      let policy = Params.withFlat p state.Policy
                      let noisy = Diffusion.noised cpu model.Schedule noise.Timesteps flat noise.Forward

                      let predicted =
                          NoiseNetwork.forward Compute.libtorch model.Noise policy obs noisy noise.Timesteps

                      let squares = predicted.sub(noise.Forward).square()
                      let held = torch.where (squares.gt (scalar 0.8), torch.full_like (squares, scalar 0.8), squares)
                      Expect.isTrue ((squares.gt (scalar 0.8)).any().ToBoolean()) "some errors are above the cap"
                      let loss = held.mul(w.view (15L, 1L)).mean()
                      closeTo 1e-4 "loss" (values loss) [| after.Figures["policyLoss"] |]
                      let gradient = torch.autograd.grad([| loss |], [| p |]).[0]
                      closeTo 1e-5 "gradient" (values (gradient.mul (scalar 0.1))) (moments after.Next)

                      Expect.isTrue
                          (values actions |> Array.exists (fun a -> abs a > 1.0))
                          "noise is not clipped again")

          testCase "DPMD's other anchors weigh one action a state" (fun () ->
              use _ = torch.NewDisposeScope()

              for anchor in [ Anchor.Replay; Anchor.TargetAction ] do
                  let config = { DpmdConfig.ofSdac small with Regression.Anchor = anchor }
                  let model = dpmdModel config
                  let state, batch = stateOf model (Key.ofSeed 1L), batchOf 16 (Key.ofSeed 2L)
                  let noise = UpdateNoise.draw model 16 (Key.ofSeed 3L)
                  let u = ActorCritic.start model noise batch state |> ActorCritic.evaluateQ

                  let struct (obs, action) =
                      match anchor with
                      | Anchor.Replay -> struct (batch.Obs, batch.Action)
                      | _ -> struct (batch.NextObs, u.NextAction.Value)

                  let action = action.unsqueeze 1L
                  let q = TwinCritics.values model.Critics state.Critics obs action
                  let wanted = Dpmd.policyGradient model state noise obs action q
                  let after = Dpmd.mirrorDescent u
                  closeTo 0.0 "loss" (values wanted.Loss) [| after.Figures["policyLoss"] |])

          testCase "λ follows the divergence of the weights, on the updates that move the policy" (fun () ->
              use _ = torch.NewDisposeScope()

              let config target =
                  { severalActions with
                      Tuning = TemperatureTuning.Divergence target
                      Policy.PolicyDelay = 2
                      Temperature.TemperatureDelay = 1
                      Temperature.TemperatureLearningRate = 0.1 }

              let moved target updates =
                  let model = dpmdModel (config target)
                  let state = { stateOf model (Key.ofSeed 1L) with Updates = updates }
                  let noise = UpdateNoise.draw model 16 (Key.ofSeed 3L)

                  let u =
                      ActorCritic.start model noise (batchOf 16 (Key.ofSeed 2L)) state
                      |> ActorCritic.evaluateQ
                      |> Dpmd.mirrorDescent

                  let found = u.Weights |> Option.map (Tensors.toArray >> Temperature.divergence 3)
                  struct (found, u.Next.Temperature.LogLambda - state.Temperature.LogLambda)

              let struct (divergence, _) = moved 0.5 0L
              let divergence = divergence.Value
              let struct (_, falls) = moved (divergence + 0.1) 0L
              let struct (_, rises) = moved (divergence * 0.5) 0L
              // Adam's first step is as long as its rate
              near 1e-3 -0.1 falls "weights more equal than wanted"
              near 1e-3 0.1 rises "weights less equal than wanted"
              let struct (none, stays) = moved 0.5 1L
              Expect.isNone none "an update that leaves the policy"
              Expect.equal stays 0.0 "and λ")

          testCase "copies: the target policy is the policy of every such-th of its updates" (fun () ->
              let config = { small with Policy.PolicyCopies = Some 2; Policy.PolicyDelay = 2 }
              let model = sdacModel config
              let mutable state = stateOf model (Key.ofSeed 1L)

              for i in 0L .. 8L do
                  use _ = torch.NewDisposeScope()
                  let batch = batchOf 16 (Key.foldIn i (Key.ofSeed 2L))
                  let struct (next, _) = Sdac.update model (Key.foldIn i (Key.ofSeed 3L)) batch state
                  let bits (p: Params) = Tensors.toArray p.Flat

                  // policy updates at 0, 2, 4, ..; copies at each second of them
                  if i % 4L = 0L then
                      Expect.equal (bits next.TargetPolicy) (bits next.Policy) $"a copy at update {i}"
                  else
                      Expect.equal (bits next.TargetPolicy) (bits state.TargetPolicy) $"the same at update {i}"

                  Parts.disposeReplaced ActorCriticState.parts next state
                  state <- next

              Parts.dispose ActorCriticState.parts state)

          testCase "the policy that acts is the one that the settings name" (fun () ->
              use _ = torch.NewDisposeScope()
              let obs = Key.normal cpu [ 20; space.ObsDim ] (Key.ofSeed 4L)

              let acts actsBy swap purpose =
                  let config = { small with Policy.ActsBy = actsBy }
                  let agent = Sdac.algorithm.Agent cpu space { Iterations = 1L } config
                  let state = stateOf (sdacModel config) (Key.ofSeed 1L)

                  let state =
                      if swap then
                          { state with Policy = state.TargetPolicy; TargetPolicy = state.Policy }
                      else
                          state

                  values (agent.Act purpose state (Key.ofSeed 5L) obs).Action

              for purpose in [ Purpose.Explore; Purpose.Evaluate ] do
                  let target, online = ActingPolicy.Target, ActingPolicy.Online
                  Expect.equal (acts online true purpose) (acts target false purpose) "the networks change places"
                  Expect.notEqual (acts online false purpose) (acts target false purpose) "they differ")

          testCase
              "candidates in one step are reverse draws around one chain's action, the best of them taken"
              (fun () ->
                  use _ = torch.NewDisposeScope()
                  let n, t, N = 30, 2, 8

                  for compute in [ cpu; Compute.libtorch ] do
                      let model = Sdac.model compute space { small with Particles.Candidates = Candidates.OneStep t }
                      let state = stateOf model (Key.ofSeed 1L)
                      let obs, key = Key.normal cpu [ n; space.ObsDim ] (Key.ofSeed 4L), Key.ofSeed 5L
                      let acted = ActorCritic.act model state.Policy state N 0.0 (SamplerNoise.Drawn key) obs
                      let struct (sample, _) = Key.split key
                      let scale = model.Diffusion.InitialNoiseScale

                      let chain =
                          Diffusion.sample
                              compute
                              model.Schedule
                              model.Noise
                              state.Policy
                              scale
                              1
                              (SamplerNoise.Drawn sample)
                              obs

                      let bar = model.Schedule.AlphaBars[t]
                      let z = Key.normal compute [ n; 2 ] (Key.foldIn 1L sample)
                      let noise = Key.normal compute [ n; N; 2 ] (Key.foldIn 2L sample)
                      let noisy = chain.squeeze(Nullable 1L).mul(scalar (sqrt bar)).add(z, scalar (sqrt (1.0 - bar)))
                      let spread = sqrt (1.0 / bar - 1.0)

                      let candidates =
                          noisy
                              .mul(scalar (1.0 / sqrt bar))
                              .unsqueeze(1L)
                              .sub(noise.mul (scalar spread))
                              .clamp(scalar -1.0, scalar 1.0)

                      let q = TwinCritics.values model.Critics state.Critics obs candidates
                      closeTo 1e-5 "actions" (values (Diffusion.bestOf candidates q).Action) (values acted)
                      // one candidate: nothing to choose from, the chain's own action
                      let one = ActorCritic.act model state.Policy state 1 0.0 (SamplerNoise.Drawn key) obs
                      closeTo 0.0 "one" (values chain) (values one))

          testCase "candidates in one step: an update draws them from its keys on every device" (fun () ->
              use _ = torch.NewDisposeScope()

              let config =
                  { small with Particles.Candidates = Candidates.OneStep 1; Particles.TargetParticles = Some 6 }

              let next compute =
                  let model = Sdac.model compute space config
                  let state = stateOf model (Key.ofSeed 1L)
                  let noise = UpdateNoise.draw model 16 (Key.ofSeed 3L)

                  values
                      (ActorCritic.start model noise (batchOf 16 (Key.ofSeed 2L)) state |> sdacStages).NextAction.Value

              closeTo 1e-4 "a'" (next cpu) (next Compute.libtorch))

          testForAll
              "wide noise: the fast chain is the straightforward one with noise of deviation √β"
              20
              (Gen.zip schedules (Gen.zip (sizes 2 8) (sizes 0 1_000_000)))
              (fun (schedule, (T, seed)) ->
                  use _ = torch.NewDisposeScope()

                  let model =
                      sdacModel
                          { small with
                              Diffusion.BetaSchedule = schedule
                              Diffusion.Timesteps = T
                              Diffusion.WideNoise = true }

                  let keys = Key.splitMany 4 (Key.ofSeed (int64 seed))
                  let policy = NoiseNetwork.init cpu model.Noise keys[0]
                  let obs = Key.normal cpu [ 6; space.ObsDim ] keys[1]
                  let initial, steps = Key.normal cpu [ 6; 1; 2 ] keys[2], Key.normal cpu [ T; 6; 1; 2 ] keys[3]
                  let noise = SamplerNoise.Given(initial, steps, Tensors.zeros cpu [ 6; 2 ])
                  let fast = Diffusion.sample cpu model.Schedule model.Noise policy 0.5 1 noise obs
                  let plain = Schedule.create schedule T
                  let predict t x = NoiseNetwork.forward cpu model.Noise policy obs x (Array.create 6 t)
                  let z i = Some(steps.select(0L, int64 i).squeeze(Nullable 1L))
                  let initial = initial.squeeze(Nullable 1L).mul(scalar 0.5)
                  let slow = Diffusion.reverseBy ReverseStep.WideNoise plain predict z initial
                  closeTo 1e-4 "actions" (values slow) (values (fast.squeeze (Nullable 1L))))

          testCase "the presets flow-rl have its figures" (fun () ->
              let s, d = SdacConfig.flowRl, DpmdConfig.flowRl
              Expect.isEmpty (SdacConfig.problems s) "SDAC's settings are possible"
              Expect.isEmpty (DpmdConfig.problems d) "DPMD's settings are possible"
              Expect.equal (s.Data.Environments, s.Data.UpdatesPerStep, s.Data.WarmUp) (1, 1, 5_000) "data"

              Expect.equal
                  (s.Diffusion.BetaSchedule, s.Diffusion.Timesteps)
                  (BetaSchedule.ContinuousCosine, 20)
                  "chain"

              Expect.equal
                  (d.Diffusion.BetaSchedule, d.Diffusion.WideNoise)
                  (BetaSchedule.ContinuousCosine, true)
                  "DPMD's chain"

              Expect.equal (s.Draws.MonteCarloDraws, s.Draws.ReverseNoise) (500, ReverseNoise.TruncatedNormal) "draws"
              Expect.equal (s.Regression.Anchor, d.Regression.Anchor) (Anchor.Replay, Anchor.Policy) "anchors"
              Expect.equal (s.Temperature.InitialTemperature, s.Temperature.TemperatureLearningRate) (0.05, 0.0) "λ"
              Expect.equal (s.Energy.QScale, s.Critics.RewardScale) (1.0, 1.0) "rewards as they are"

              Expect.equal
                  (d.Energy.QNormalisation, d.Regression.ErrorCap)
                  (QNormalisation.Off, Some 3.0)
                  "DPMD's loss"

              Expect.equal
                  d.Mirror
                  { Actions = 64; ActionNoise = 0.2; ActionWeights = RssmWeights.LogSumExp }
                  "DPMD's actions"

              Expect.equal
                  (d.Policy.PolicyCopies, d.Tuning)
                  (Some 1_000, TemperatureTuning.Divergence 2.0)
                  "DPMD's own"

              let rate count = LearningRate.at count (PolicySettings.rate d.Adam d.Policy)
              near 1e-15 1e-4 (rate 1L) "DPMD's rate"

              Expect.equal
                  (ParticleSettings.behaviour s.Particles, ParticleSettings.evaluation s.Particles)
                  (1, 10)
                  "N")

          testCase "impossible forms are refused in a sentence each" (fun () ->
              let sdac config words = failsWith words (fun () -> sdacModel config |> ignore)
              let dpmd config words = failsWith words (fun () -> dpmdModel config |> ignore)
              let mirrored = DpmdConfig.ofSdac small

              sdac { small with Particles.Candidates = Candidates.OneStep 6 } [ "timestep 6"; "0 to 5" ]

              sdac
                  { small with Draws.MonteCarloDraws = 1; Draws.Weights = RssmWeights.LogSumExp }
                  [ "monteCarloDraws is 1" ]

              sdac { small with Tuning = TemperatureTuning.Divergence 2.0 } [ "5 weights"; "ln 5 = 1.609" ]
              sdac { small with Regression.ErrorCap = Some 0.0 } [ "errorCap is 0" ]
              sdac { small with Policy.PolicyCopies = Some 0 } [ "policyCopies is 0" ]
              dpmd { mirrored with Mirror.Actions = 4 } [ "actions is 4"; "anchor = policy" ]

              dpmd
                  { mirrored with Mirror.ActionWeights = RssmWeights.LogSumExp }
                  [ "actions is 1"; "at least 2 actions" ]

              dpmd { mirrored with Tuning = TemperatureTuning.Divergence 0.5 } [ "1 weights"; "between" ]
              dpmd { mirrored with Mirror.ActionNoise = -1.0 } [ "actionNoise is -1" ]) ]
