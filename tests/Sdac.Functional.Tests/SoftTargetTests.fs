/// SDAC with a log-probability in the critics' targets.
module Sdac.Tests.SoftTargetTests

open System
open Expecto
open FsCheck.FSharp
open Sdac.Functional
open TorchSharp
open Sdac.Tests.Properties
open Sdac.Tests.Figures
open Sdac.Tests.TwinCriticsTests
open Sdac.Testing

let private cpu = Compute.cpu

let private likelihood form clips probes : LikelihoodSettings =
    { LogProbability = form; LikelihoodDraws = 3; LikelihoodClip = clips; FlowProbes = probes }

let private likelihoods =
    gen {
        let! form = Gen.elements [ LogProbabilityForm.NoiseErrors; LogProbabilityForm.Flow ]
        let! clips = Gen.elements [ true; false ]
        let! probes = Gen.elements [ 0; 2 ]
        return likelihood form clips probes
    }

let private config likelihood : SdacConfig =
    { SdacConfig.tiny with
        Hidden = [ 12; 9 ]
        Data.BatchSize = batchSize
        Energy.QScale = 4.0
        Temperature.InitialTemperature = 0.6
        Likelihood = likelihood }

/// An update whose moving averages are not what they follow.
let private started (config: SdacConfig) (key: Key) : Update =
    let model = Sdac.model cpu space config
    let state = ActorCriticState.init model (Key.foldIn 3L key)
    let other = ActorCriticState.init model (Key.foldIn 4L key)

    let state =
        { state with
            TargetPolicy = other.Policy
            Critics = { state.Critics with TargetQ1 = other.Critics.Q1; TargetQ2 = other.Critics.Q2 } }

    ActorCritic.start model (UpdateNoise.draw model batchSize (Key.foldIn 1L key)) (batchOf (Key.foldIn 2L key)) state

/// A policy trained for one state whose Q is -½·25·(a - 0.2)²: exp(Q) is Gaussian and lies in the box.
let private trained () : struct (ActorCriticModel * ActorCriticState) =
    let data: DataSettings =
        { Environments = 1; UpdatesPerStep = 1; WarmUp = 1; BatchSize = 256; BufferCapacity = 256 }

    let model =
        Sdac.model
            cpu
            { ObsDim = 1; ActionDim = 1 }
            { SdacConfig.published with
                Hidden = [ 64; 64 ]
                Data = data
                Diffusion.Timesteps = 50
                Diffusion.BetaSchedule = BetaSchedule.Geometric(0.02, 30.0)
                Diffusion.InitialNoiseScale = 1.0
                Particles.Particles = 1
                Particles.NoiseScale = 0.0
                Draws =
                    { MonteCarloDraws = 64
                      Weights = RssmWeights.SelfNormalised
                      ReverseNoise = ReverseNoise.TruncatedNormal }
                Energy.QScale = 1.0
                Adam.LearningRate = 1e-3
                Policy.PolicyDelay = 1
                Policy.PolicyLearningRateEnd = 1e-5
                Policy.PolicyDecayBegin = 750L
                Policy.PolicyDecayLength = 750L
                Temperature.InitialTemperature = 1.0
                Temperature.TemperatureLearningRate = 0.0 }

    // Q = -12.5·(a - 0.2)²
    let q: ActionValue =
        let from (actions: Tensor) = actions - num 0.2

        { Values = fun _ actions -> num -12.5 * (from actions).square().sum(2L)
          WithSlopes = fun _ actions -> struct (num -12.5 * (from actions).square().sum(2L), num -25.0 * from actions) }

    let model = { model with Critics = { model.Critics with Known = Some q } }

    let zeros shape = Tensors.zeros cpu shape

    let batch: Batch =
        { Obs = zeros [ 256; 1 ]
          NextObs = zeros [ 256; 1 ]
          Action = zeros [ 256; 1 ]
          Reward = zeros [ 256 ]
          Terminated = zeros [ 256 ] }

    let mutable state = ActorCriticState.init model (Key.ofSeed 1L)

    for i in 1L .. 1_500L do
        let struct (next, _) = Sdac.update model (Key.foldIn i (Key.ofSeed 2L)) batch state
        Parts.disposeReplaced ActorCriticState.parts next state
        state <- next

    struct (model, state)

[<Tests>]
let tests =
    testList
        "SDAC with a log-probability"
        [ testForAll
              "the critics' target loses λ/QScale times the online policy's log-probability of a', but for terminations"
              30
              (Gen.zip likelihoods keys)
              (fun (likelihood, key) ->
                  use _ = torch.NewDisposeScope()
                  let u = started (config likelihood) key
                  let model, s, obs = u.Model, u.State, u.Batch.NextObs
                  let action = ActorCritic.sampleTargetAction model s u.Noise.Next obs
                  let value = TwinCritics.targetValue model.Critics s.Critics obs action |> values
                  let policy = PolicyNoise.ofNoiseNetwork cpu model.Noise s.Policy model.Diffusion.Timesteps obs

                  let log_ =
                      (LogProbability.ofActions likelihood cpu model.Schedule policy u.Noise.LogProbability action)
                          .Value
                      |> values

                  let reward, ended = values u.Batch.Reward, values u.Batch.Terminated

                  let wanted =
                      Array.init batchSize (fun i ->
                          reward[i] + 0.99 * (1.0 - ended[i]) * (value[i] - 0.6 / 4.0 * log_[i]))

                  let found = (ActorCritic.nextLogProbability u action).Value
                  closeTo 1e-6 "log π" log_ (values found)
                  closeTo 1e-5 "y" wanted (ActorCritic.softTarget model s u.Batch action found |> values)
                  let after = ActorCritic.evaluateQ u
                  let target = Tensors.ofArray cpu [ batchSize ] (Array.map float32 wanted)
                  let struct (learned, _) = TwinCritics.learn model.Critics u.Batch target s.Critics
                  closeTo 1e-4 "the critics' step" (values learned.Q1.Flat) (values after.Next.Critics.Q1.Flat)
                  closeTo 1e-5 "entropy" [| -(Array.average log_) |] [| after.Figures["entropy"] |])

          testForAll "switched off it draws nothing and changes no bit" 10 keys (fun key ->
              use _ = torch.NewDisposeScope()
              let u = started (config LikelihoodSettings.off) key
              Expect.equal SdacConfig.published.Likelihood LikelihoodSettings.off "as published"

              let struct (after, uses) = KeyTrace.during (fun () -> ActorCritic.evaluateQ u)

              let drawn =
                  uses
                  |> List.choose (function
                      | Numbers key -> Some key
                      | Keys _ -> None)

              let struct (_, reference) =
                  KeyTrace.during (fun () ->
                      ActorCritic.sampleTargetAction u.Model u.State u.Noise.Next u.Batch.NextObs)

              let wanted =
                  reference
                  |> List.choose (function
                      | Numbers key -> Some key
                      | Keys _ -> None)

              Expect.equal drawn wanted "the numbers of a' alone"
              let target = ActorCritic.criticTarget u.Model u.State u.Batch after.NextAction.Value
              let struct (learned, _) = TwinCritics.learn u.Model.Critics u.Batch target u.State.Critics
              Expect.equal (values after.Next.Critics.Q1.Flat) (values learned.Q1.Flat) "critic"

              Expect.equal
                  after.Figures["entropy"]
                  (Temperature.entropy 2 u.State.Temperature)
                  "the temperature's guess")

          testForAll
              "an update draws its numbers by a key of their own"
              10
              (Gen.zip likelihoods keys)
              (fun (likelihood, key) ->
                  use _ = torch.NewDisposeScope()

                  let struct (_, uses) =
                      KeyTrace.during (fun () ->
                          let u = started (config likelihood) key
                          ActorCritic.evaluateQ u |> ActorCritic.reverseSample |> Sdac.rssmUpdate)

                  let drawn =
                      uses
                      |> List.choose (function
                          | Numbers key -> Some key
                          | Keys _ -> None)

                  Expect.equal (List.distinct drawn).Length drawn.Length "no key twice")

          testCase "a policy trained on a Gaussian exp(Q) has its entropy, by either estimate" (fun () ->
              use _ = torch.NewDisposeScope()
              let struct (model, state) = trained ()
              let n = 4_000
              let obs = Tensors.zeros cpu [ n; 1 ]
              let action = ActorCritic.act model state.Policy state 1 0.0 (SamplerNoise.Drawn(Key.ofSeed 3L)) obs
              let policy = PolicyNoise.ofNoiseNetwork cpu model.Noise state.Policy 50 obs

              let entropy form clips =
                  let settings = { likelihood form clips 0 with LikelihoodDraws = 8 }
                  let found = LogProbability.ofActions settings cpu model.Schedule policy (Key.ofSeed 4L) action
                  -(Tensors.scalar (found.Value.mean ()))

              // ½·ln(2πe/25)
              let exact = -0.1905

              for clips in [ true; false ] do
                  Expect.isLessThan (abs (entropy LogProbabilityForm.Flow clips - exact)) 0.08 $"flow, clip {clips}"
                  // its sum over fifty steps is 0.106 above the entropy of the exact network
                  let summed = entropy LogProbabilityForm.NoiseErrors clips
                  Expect.isLessThan (abs (summed - exact - 0.106)) 0.1 $"noise errors, clip {clips}"

              Parts.dispose ActorCriticState.parts state)

          testCase "impossible settings are one sentence each" (fun () ->
              let broken = config { LikelihoodSettings.off with FlowProbes = -1 }
              Expect.equal (SdacConfig.problems broken) [ "flowProbes is -1; it must be at least 0" ] "probes") ]
