module Sdac.Tests.DacerTests

open System
open Expecto
open FsCheck.FSharp
open Sdac.Functional
open Sdac.Environments
open TorchSharp
open Sdac.Tests.Properties
open Sdac.Tests.Figures
open Sdac.Tests.TwinCriticsTests
open Sdac.Testing

let private cpu = Compute.cpu

let private small: DacerConfig =
    { DacerConfig.published with
        Hidden = [ 12; 9 ]
        Networks.InitialWeights = InitialWeights.TorchUniform
        Data.BatchSize = batchSize
        Diffusion.Timesteps = 4
        Entropy.MixtureSamples = 12 }

let private configs =
    gen {
        let! timesteps = sizes 1 5
        let! scale = between 0.4 1.2
        let! noise = between 0.05 0.3
        let! alpha = between 0.5 4.0
        let! activations = Gen.elements [ ChainActivations.Recorded; ChainActivations.Recomputed ]

        return
            { small with
                Diffusion.Timesteps = timesteps
                Diffusion.InitialNoiseScale = scale
                ChainActivations = activations
                NoiseScale = noise
                Temperature.InitialTemperature = alpha }
    }

/// An update whose critics' moving averages differ from the critics.
let private started (config: DacerConfig) (key: Key) : DacerUpdate =
    let model = Dacer.model cpu space config
    let state = Dacer.init model (Key.foldIn 3L key)
    let struct (a, b) = Key.split (Key.foldIn 77L key)
    let others = DistributionalCritics.init model.Critics a b

    let state =
        { state with
            Critics.First.Target = others.First.Online
            Critics.Second.Target = others.Second.Online }

    Dacer.start model (Dacer.drawNoise model batchSize (Key.foldIn 1L key)) (batchOf (Key.foldIn 2L key)) state

let private at (updates: int64) (u: DacerUpdate) = { u with State = { u.State with Updates = updates } }

let private single (t: Tensor) = values (t.detach().``to`` torch.float32)

/// The policy's loss in float64, as a function of its parameters.
let private doubleLoss (u: DacerUpdate) (critics: DistributionalCritics) (policy: Tensor) : Tensor =
    let model, noise = u.Model, u.Noise
    let obs = Doubles.double u.Batch.Obs

    let initial =
        (Doubles.double noise.New.Initial).mul(Scalars.ofFloat model.Config.Diffusion.InitialNoiseScale)

    let chain = ReverseChainTests.doubleChain model.Schedule model.Policy policy initial noise.New.Steps obs

    let deviation = model.Config.NoiseScale * u.State.Temperature.Lambda

    let action =
        chain
            .add((Doubles.double noise.NewAction).mul(Scalars.ofFloat deviation))
            .clamp(Scalars.ofFloat -1.0, Scalars.ofFloat 1.0)

    let mean (one: DistributionalCritic) =
        (Doubles.forward model.Critics.Shape (Doubles.double one.Online.Flat) (torch.cat ([| obs; action |], 1L)))
            .select(1L, 0L)

    ((mean critics.First).minimum(mean critics.Second)).mean().neg()

[<Tests>]
let tests =
    testList
        "DACER"
        [ testForAll
              "loss and gradient of the policy are those of float64 and autograd, through chain, noise, clips and critics"
              40
              (Gen.zip configs keys)
              (fun (config, key) ->
                  use _ = torch.NewDisposeScope()
                  let u = started config key
                  let critics = (Dacer.evaluateQ u).Next.Critics
                  let flat = Doubles.leaf u.State.Policy
                  let wanted = doubleLoss u critics flat
                  let gradient = single (Doubles.gradient wanted flat)
                  let struct (loss, got) = Dacer.policyGradient u critics
                  closeTo 1e-5 "loss" (single wanted) (values loss)
                  let scale = 1e-4 + (gradient |> Array.map abs |> Array.max)
                  closeTo (3e-4 * scale) "gradient" gradient (values got))

          testForAll
              "the policy climbs the critics as they were before their step, by one Adam step at its own rate"
              20
              (Gen.zip configs keys)
              (fun (config, key) ->
                  use _ = torch.NewDisposeScope()
                  let config = { config with PolicyRate = LearningRate.CosineDecay(2e-3, 0.0, 100L) }
                  let u = started config key
                  let struct (loss, gradient) = Dacer.policyGradient u u.State.Critics
                  let stepped = Dacer.evaluateQ u
                  let struct (after, _) = Dacer.policyGradient u stepped.Next.Critics
                  Expect.differs (values loss) (values after) "the step changes the loss"
                  let moved = Dacer.improvePolicy stepped
                  closeTo 1e-7 "loss" (values loss) [| moved.Figures["policyLoss"] |]
                  closeTo 1e-5 "norm" [| Tensors.norm gradient |] [| moved.Figures["policyGradientNorm"] |]

                  for count in [ 0L; 60L ] do
                      let optimiser = { u.State.PolicyAdam with Count = count }
                      let rate = LearningRate.at count config.PolicyRate

                      let struct (wanted, _) =
                          Adam.step cpu (AdamSettings.ofSettings config.Adam) rate gradient u.State.Policy optimiser

                      let got = { u with State = { u.State with PolicyAdam = optimiser } } |> Dacer.improvePolicy

                      Expect.equal (values got.Next.Policy.Flat) (values wanted.Flat) $"after {count} steps")

          testForAll
              "targets are those of the online policy's action with clipped noise of c·α on it"
              20
              (Gen.zip configs keys)
              (fun (config, key) ->
                  use _ = torch.NewDisposeScope()
                  let u = started config key
                  let chain = (Dacer.sampled u.Model u.State 1 u.Noise.Next u.Batch.NextObs).squeeze(Nullable 1L)
                  let deviation = config.NoiseScale * config.Temperature.InitialTemperature

                  let action = chain.add (u.Noise.NextAction.mul (Scalars.ofFloat deviation)) |> Diffusion.clip

                  let wanted =
                      DistributionalCritics.targets u.Model.Critics u.State.Critics u.Batch action u.Noise.Targets

                  let got = Dacer.criticTargets u
                  closeTo 1e-5 "y" (values wanted.Mean) (values got.Mean)
                  closeTo 1e-5 "y_z" (values wanted.Sampled) (values got.Sampled)

                  let struct (learned, _) = DistributionalCritics.learn u.Model.Critics u.Batch got u.State.Critics

                  let after = Dacer.evaluateQ u
                  Expect.equal (values after.Next.Critics.First.Online.Flat) (values learned.First.Online.Flat) "step"
                  Expect.equal after.Next.Critics.Second.Spread learned.Second.Spread "b")

          testForAll
              "critics move on every update, the policy and the moving averages on every such-th, behind the critics"
              10
              (Gen.zip configs keys)
              (fun (config, key) ->
                  use _ = torch.NewDisposeScope()
                  let u = started { config with PolicyDelay = 3 } key

                  for updates, moves in [ 0L, true; 1L, false; 2L, false; 3L, true ] do
                      let learned = u |> at updates |> Dacer.evaluateQ
                      let after = learned |> Dacer.improvePolicy |> Dacer.followTargets
                      let same a b = obj.ReferenceEquals(a, b)
                      Expect.equal (not (same after.Next.Policy u.State.Policy)) moves $"policy at {updates}"
                      let before = u.State.Critics.First
                      Expect.isFalse (same after.Next.Critics.First.Online before.Online) "critic"

                      Expect.equal
                          (not (same after.Next.Critics.First.Target before.Target))
                          moves
                          $"average at {updates}"

                      if moves then
                          let wanted = DistributionalCritics.follow u.Model.Critics learned.Next.Critics

                          Expect.equal
                              (values after.Next.Critics.Second.Target.Flat)
                              (values wanted.Second.Target.Flat)
                              "behind the critics after their step")

          testCase "without the critics' step the averages do not follow" (fun () ->
              use _ = torch.NewDisposeScope()
              let u = started small (Key.ofSeed 3L)
              let failure = Expect.raises<RefusedOperationException>(fun () -> Dacer.followTargets u |> ignore)
              Expect.stringContains failure.Message "put `evaluateQ` before it" "sentence")

          testForAll
              "α's first step is the reference sheet's: down where the entropy is above its target, else up"
              10
              keys
              (fun key ->
                  use _ = torch.NewDisposeScope()

                  let after target =
                      let u = started { small with Temperature.TargetEntropyPerDim = target } key
                      (Dacer.tuneTemperature u).Next.Temperature.Lambda

                  closeTo 1e-5 "entropy above its target" [| 2.911337 |] [| after -100.0 |]
                  closeTo 1e-5 "below" [| 3.091364 |] [| after 100.0 |])

          testCase "α cannot fall fast: 1.646 after 20 of its steps, as many as 200,000 updates have" (fun () ->
              let t = DacerConfig.published.Temperature
              let adam = AdamSettings.ofSettings DacerConfig.published.Adam

              let after steps =
                  (Seq.replicate steps 5.0
                   |> Seq.fold
                       (fun alpha gradient -> Temperature.descend adam t.TemperatureLearningRate gradient alpha)
                       (Temperature.init t.InitialTemperature))
                      .Lambda

              closeTo 1e-3 "200,000 updates" [| 1.646 |] [| after (200_000 / t.TemperatureDelay) |]
              closeTo 1e-3 "1,500,000 updates" [| 0.033 |] [| after (1_500_000 / t.TemperatureDelay) |])

          testForAll
              "α moves on every such-th update, the first included, along the entropy of actions with noise and clip"
              10
              (Gen.zip configs keys)
              (fun (config, key) ->
                  use _ = torch.NewDisposeScope()
                  let config = { config with Temperature.TemperatureDelay = 5 }
                  let u = started config key
                  let samples, keys = config.Entropy.MixtureSamples, Key.splitMany 3 u.Noise.Entropy
                  let chain = Dacer.sampled u.Model u.State samples (SamplerNoise.Drawn keys[0]) u.Batch.Obs
                  let noise = Key.normal cpu [ batchSize; samples; 2 ] keys[1]
                  let deviation = config.NoiseScale * config.Temperature.InitialTemperature

                  let all = chain.add (noise.mul (Scalars.ofFloat deviation)) |> Diffusion.clip |> Tensors.toArray

                  let entropies =
                      [| for s in 0 .. batchSize - 1 ->
                             Array.init samples (fun i -> [| for j in 0..1 -> float all[(s * samples + i) * 2 + j] |])
                             |> GaussianMixture.fit config.Entropy (Key.foldIn (int64 s) keys[2])
                             |> GaussianMixture.entropyBound |]

                  let wanted = Array.average entropies
                  let moved = Dacer.tuneTemperature u
                  closeTo 1e-4 "entropy" [| wanted |] [| moved.Figures["entropy"] |]

                  let alpha =
                      Temperature.descend
                          (AdamSettings.ofSettings config.Adam)
                          3e-2
                          (wanted - -0.9 * 2.0)
                          u.State.Temperature

                  closeTo 1e-6 "α" [| alpha.Lambda |] [| moved.Next.Temperature.Lambda |]

                  for updates, moves in [ 1L, false; 4L, false; 5L, true ] do
                      let after = u |> at updates |> Dacer.tuneTemperature
                      Expect.equal (after.Next.Temperature <> u.State.Temperature) moves $"update {updates}"
                      Expect.equal (after.Figures.ContainsKey "entropy") moves "figure"

                  let fixedAlpha = started { config with Temperature.TemperatureLearningRate = 0.0 } key
                  Expect.isFalse ((Dacer.tuneTemperature fixedAlpha).Figures.ContainsKey "entropy") "no rate, no fit")

          testForAll
              "an update uses the α, the policy and the critics that it began with throughout"
              10
              (Gen.zip configs keys)
              (fun (config, key) ->
                  use _ = torch.NewDisposeScope()
                  let u = started config key
                  let inOrder = Dacer.stages |> List.fold (fun u (_, stage) -> stage u) u
                  // the other order of what does not depend on the critics' step
                  let other =
                      u |> Dacer.tuneTemperature |> Dacer.improvePolicy |> Dacer.evaluateQ |> Dacer.followTargets

                  Expect.equal (values other.Next.Policy.Flat) (values inOrder.Next.Policy.Flat) "policy"
                  Expect.equal other.Next.Temperature inOrder.Next.Temperature "α"

                  Expect.equal
                      (values other.Next.Critics.Second.Target.Flat)
                      (values inOrder.Next.Critics.Second.Target.Flat)
                      "averages")

          testForAll
              "the training action is the chain's with clipped noise of c·α on it, an evaluation's has none"
              10
              (Gen.zip configs keys)
              (fun (config, key) ->
                  use _ = torch.NewDisposeScope()
                  let u = started config key
                  let agent = Dacer.agent u.Model
                  let act purpose = (agent.Act purpose u.State key u.Batch.Obs).Action |> values
                  let struct (chainKey, exploreKey) = Key.split key
                  let chain = Dacer.sampled u.Model u.State 1 (SamplerNoise.Drawn chainKey) u.Batch.Obs |> values
                  Expect.equal (act Purpose.Evaluate) chain "no noise"
                  let z = Key.normal cpu [ batchSize; 2 ] exploreKey |> values
                  let deviation = config.NoiseScale * config.Temperature.InitialTemperature
                  let noisy = Array.map2 (fun a z -> max -1.0 (min 1.0 (a + deviation * z))) chain z
                  closeTo 1e-6 "noise" noisy (act Purpose.Explore))

          testCase "time limits bootstrap: transitions are stored as they are" (fun () ->
              use _ = torch.NewDisposeScope()

              let transitions: Transitions =
                  { Obs = [||]
                    Action = [||]
                    Reward = [||]
                    Terminated = [| false; true |]
                    Truncated = [| true; false |]
                    NextObs = [||]
                    Current = [||]
                    Extras = [] }

              let u = started small (Key.ofSeed 1L)
              let struct (_, stored) = (Dacer.agent u.Model).Observe transitions u.State
              Expect.equal (stored.Terminated, stored.Truncated) ([| false; true |], [| true; false |]) "stored")

          testCase "the presets have the reference sheet's settings" (fun () ->
              let p, s = DacerConfig.published, DacerConfig.sdacPaper
              let d = p.Diffusion
              Expect.equal (p.Hidden, p.Networks.Activation) ([ 256; 256; 256 ], HiddenActivation.Mish) "networks"
              Expect.equal (d.Timesteps, d.BetaSchedule) (20, BetaSchedule.VariancePreserving(0.1, 10.0)) "chain"
              Expect.equal (d.InitialNoiseScale, d.TimeDim, d.TimeHidden) (1.0, 16, 32) "chain"
              Expect.equal (p.Data.Environments, p.Data.WarmUp, p.Data.BatchSize) (20, 200_000, 256) "data"

              Expect.equal
                  (p.PolicyRate, p.Adam.LearningRate, p.PolicyDelay)
                  (LearningRate.Constant 1e-4, 1e-4, 2)
                  "rates"

              Expect.equal
                  (p.Critics.Discount, p.Critics.RewardScale, p.Critics.Tau, p.Critics.SpreadGuard)
                  (0.99, 0.2, 0.005, 0.1)
                  "critics"

              Expect.equal
                  (p.NoiseScale, p.Temperature.InitialTemperature, p.Temperature.TemperatureLearningRate)
                  (0.15, 3.0, 3e-2)
                  "noise"

              Expect.equal (p.Temperature.TemperatureDelay, p.Temperature.TargetEntropyPerDim) (10_000, -0.9) "α"
              Expect.equal (p.Entropy.MixtureSamples, p.Entropy.MixtureComponents) (200, 3) "entropy"

              Expect.equal
                  (s.Diffusion.BetaSchedule, s.Diffusion.InitialNoiseScale)
                  (BetaSchedule.Linear 0.3, 0.5)
                  "port"

              Expect.equal (s.Data.Environments, s.Data.WarmUp, s.Adam.LearningRate) (5, 30_000, 3e-4) "port"

              Expect.equal
                  (s.PolicyRate, s.NoiseScale)
                  (LearningRate.LinearDecay(3e-4, 3e-5, 25_000L, 50_000L), 0.15)
                  "port"

              for preset in Dacer.algorithm.Presets do
                  Expect.equal (DacerConfig.problems preset.Config) [] preset.Name)

          testCase "impossible settings are one sentence each" (fun () ->
              let problems change = DacerConfig.problems (change small) |> String.concat "; "

              Expect.stringContains
                  (problems (fun c -> { c with Diffusion.Timesteps = 0 }))
                  "timesteps is 0; it must be at least 1"
                  "T"

              Expect.stringContains (problems (fun c -> { c with NoiseScale = nan })) "noiseScale is NaN" "c"
              Expect.stringContains (problems (fun c -> { c with PolicyDelay = 0 })) "policyDelay is 0" "delay"

              Expect.stringContains
                  (problems (fun c -> { c with Entropy.MixtureSamples = 2 }))
                  "mixtureSamples is 2; 3 components need at least 6 samples"
                  "samples"

              Expect.stringContains
                  (problems (fun c -> { c with Temperature.InitialTemperature = 0.0 }))
                  "initialTemperature is 0"
                  "α"

              Expect.stringContains (problems (fun c -> { c with Critics.SpreadClip = 0.0 })) "spreadClip is 0" "b"
              Expect.equal (problems id) "" "possible") ]
