/// The options of the algorithms, each against what it should be without looking at the code that implements it.
module Sdac.Tests.OptionTests

open System
open Expecto
open FsCheck.FSharp
open Sdac.Functional
open TorchSharp
open Sdac.Tests.Properties
open Sdac.Tests.Figures
open Sdac.Tests.SdacTests
open Sdac.Testing

let private keys = sizes 0 1_000_000 |> Gen.map (int64 >> Key.ofSeed)

let private batchOf (key: Key) : Batch =
    let keys = Key.splitMany 4 key
    let n = small.Data.BatchSize

    { Obs = Key.normal Compute.cpu [ n; 4 ] keys[0]
      NextObs = Key.normal Compute.cpu [ n; 4 ] keys[1]
      Action = (Key.normal Compute.cpu [ n; 2 ] keys[2]).tanh()
      Reward = Key.normal Compute.cpu [ n ] keys[3]
      Terminated = Tensors.zeros Compute.cpu [ n ] }

let private started config key =
    let model = Sdac.model Compute.cpu { ObsDim = 4; ActionDim = 2 } config
    let noise = UpdateNoise.draw model small.Data.BatchSize (Key.foldIn 1L key)
    ActorCritic.start model noise (batchOf (Key.foldIn 2L key)) (ActorCriticState.init model (Key.foldIn 3L key))

let private updated config count key =
    let model = Sdac.model Compute.cpu { ObsDim = 4; ActionDim = 2 } config
    let mutable s = ActorCriticState.init model (Key.foldIn 3L key)
    let mutable metrics = None

    for i in 0L .. count - 1L do
        let struct (next, m) = Sdac.update model (Key.foldIn i key) (batchOf (Key.foldIn 2L key)) s
        Parts.disposeReplaced ActorCriticState.parts next s
        s <- next
        metrics <- Some m

    s, metrics.Value

[<Tests>]
let tests =
    testList
        "options"
        [ testForAll
              "raw weights are the exponentials of the energies less one shift, which keeps them finite however large these are"
              100
              (Gen.zip keys (between -4.0 4.0))
              (fun (key, exponent) ->
                  use _ = torch.NewDisposeScope()
                  let energy = (Key.normal Compute.cpu [ 6; 3 ] key).mul(Scalars.ofFloat (10.0 ** exponent))
                  let struct (weights, _) = Energy.weights RssmWeights.Raw EnergyShift.init energy
                  let energies, weights = values energy, values weights

                  for w in weights do
                      Expect.isTrue (Double.IsFinite w && w >= 0.0) "finite"

                  let top, largest = Array.max energies, Array.max weights
                  let shift = max 0.0 (ceil (top - 30.0))

                  Expect.isTrue
                      (abs (log largest - (top - shift)) < 1e-3)
                      $"top {top}: the largest weight is {largest}"

                  for e, w in Array.zip energies weights do
                      if top - e < 60.0 then
                          Expect.isTrue
                              (abs (log w - log largest - (e - top)) < 1e-5 * (10.0 + abs e + abs top))
                              "size of largest")

          testCase "a temperature far too low leaves the loss of raw weights finite" (fun () ->
              use _ = torch.NewDisposeScope()
              let key = Key.ofSeed 5L

              let config =
                  { small with Draws.Weights = RssmWeights.Raw; Draws.MonteCarloDraws = 1; Energy.QScale = 1e4 }

              let model = Sdac.model Compute.cpu { ObsDim = 4; ActionDim = 2 } config
              let noise = UpdateNoise.draw model small.Data.BatchSize (Key.foldIn 1L key)
              let state = ActorCriticState.init model (Key.foldIn 3L key)
              let batch = batchOf (Key.foldIn 2L key)
              let found = Sdac.rssmGradient model state noise batch.Obs batch.Action
              Expect.isTrue (Double.IsFinite(Tensors.scalar found.Loss)) "loss"

              for g in values found.Gradient do
                  Expect.isTrue (Double.IsFinite g) "finite")

          testForAll "without best-of-N an action is one draw of the policy plus exploration" 10 keys (fun key ->
              use _ = torch.NewDisposeScope()
              let u = started small key
              let struct (sampleKey, exploreKey) = Key.split key
              let m = u.Model
              let one = ActorCritic.act m u.State.Policy u.State 1 0.3 (SamplerNoise.Drawn key) u.Batch.Obs

              let drawn =
                  Diffusion.sample
                      m.Compute
                      m.Schedule
                      m.Noise
                      u.State.Policy
                      0.5
                      1
                      (SamplerNoise.Drawn sampleKey)
                      u.Batch.Obs
                  |> Tensors.view [ small.Data.BatchSize; 2 ]
                  |> Diffusion.explore m.Compute 0.3 (SamplerNoise.Drawn exploreKey)

              Expect.equal (Tensors.toArray one) (Tensors.toArray drawn) "action")

          testForAll "best-of-N is switched off for the targets alone" 5 keys (fun key ->
              use _ = torch.NewDisposeScope()
              let critics config = (ActorCritic.evaluateQ (started config key)).Next.Critics.Q1.Flat |> Tensors.toArray
              let actions config = (ActorCritic.reverseSample (started config key)).Action.Value |> Tensors.toArray
              let off, one = { small with Particles.TargetParticles = Some 1 }, { small with Particles.Particles = 1 }
              Expect.equal (critics off) (critics one) "critics"
              Expect.differs (critics off) (critics small) "critics"
              Expect.equal (actions off) (actions small) "actions")

          testCase "best-of-N is switched off for the behaviour and the evaluation alone" (fun () ->
              use _ = torch.NewDisposeScope()

              let experiment =
                  Experiment.on Sdac.algorithm "InvertedPendulum-v4" |> Experiment.configure (fun _ -> small)

              let step = Pipeline.warm (Pipeline.start experiment)
              use arena = Environment.create "InvertedPendulum-v4" Map.empty 3
              use _ = step.Environment :> IDisposable

              let under config =
                  { step with Agent = Sdac.algorithm.Agent Compute.cpu step.Agent.Space { Iterations = 1L } config }


              let acted config =
                  let after = Pipeline.collect (under config)
                  (Replay.gather Compute.cpu [| after.Memory.Count - 1 |] after.Memory).Action |> Tensors.toArray

              let played config = Evaluation.run (under config).Agent arena (Key.ofSeed 1L) step.State
              let one = { small with Particles.Particles = 1 }
              let behaviour = { small with Particles.BehaviourParticles = Some 1 }
              let evaluation = { small with Particles.EvaluationParticles = Some 1 }
              Expect.equal (acted behaviour) (acted one) "acted"
              Expect.equal (acted evaluation) (acted small) "acted"
              Expect.differs (acted behaviour) (acted small) "acted"
              Expect.equal (played evaluation) (played one) "played"
              Expect.equal (played behaviour) (played small) "played"
              Expect.differs (played evaluation) (played small) "played")

          testCase "a fixed temperature stays fixed, to the last bit, and a learned one moves by its rate" (fun () ->
              let fixed' =
                  { small with
                      Temperature.TemperatureLearningRate = 0.0
                      Temperature.TemperatureDelay = 1
                      Temperature.InitialTemperature = 1.7 }

              let last, metrics = updated fixed' 12L (Key.ofSeed 1L)
              Expect.equal last.Temperature.LogLambda (Temperature.init(1.7).LogLambda) "log lambda"
              Expect.equal metrics["lambda"] last.Temperature.Lambda "lambda"

              for rate in [ 1e-4; 7e-3; 0.1 ] do
                  let config = { fixed' with Temperature.TemperatureLearningRate = rate }
                  let last, _ = updated config 1L (Key.ofSeed 1L)
                  // Adam's first step has the length of its rate; λ = 1.7 lies below the target entropy's 3.6 or above it
                  let expected = Temperature.init(1.7).LogLambda
                  closeTo 1e-6 "step" [| rate |] [| abs (last.Temperature.LogLambda - expected) |])

          for schedule in
              [ BetaSchedule.Linear 0.8
                BetaSchedule.Linear 0.3
                BetaSchedule.Cosine
                BetaSchedule.VariancePreserving(0.1, 10.0) ] do
              testForAll
                  $"raw weights with one draw learn under every schedule, and libtorch agrees with the kernels: %A{schedule}"
                  3
                  keys
                  (fun key ->
                      let config =
                          { small with
                              Draws.Weights = RssmWeights.Raw
                              Draws.MonteCarloDraws = 1
                              Energy.QScale = 1.0
                              Diffusion.BetaSchedule = schedule }

                      let run compute =
                          let model = Sdac.model compute { ObsDim = 4; ActionDim = 2 } config
                          let mutable s = ActorCriticState.init model (Key.foldIn 3L key)

                          for i in 0L .. 2L do
                              let struct (next, m) = Sdac.update model (Key.foldIn i key) (batchOf key) s

                              Expect.isTrue
                                  ((Algorithm.firstNotFinite Sdac.algorithm.Figures m).IsNone)
                                  "first not finite"

                              Parts.disposeReplaced ActorCriticState.parts next s
                              s <- next

                          let found = Parts.tensors ActorCriticState.parts s |> List.map values
                          Parts.dispose ActorCriticState.parts s
                          found

                      for a, b in List.zip (run Compute.libtorch) (run Compute.cpu) do
                          closeTo 1e-4 $"{schedule}" a b)

          testForAll
              "further critic steps repeat Adam's step with the same gradient, as many as asked for"
              8
              (Gen.zip keys (Gen.elements [ 1; 2; 3; 5 ]))
              (fun (key, count) ->
                  use _ = torch.NewDisposeScope()
                  let u = started small key

                  let after =
                      ActorCritic.evaluateQ { u with Model = { u.Model with Critics.Settings.CriticSteps = count } }

                  let gradient =
                      let target = ActorCritic.criticTarget u.Model u.State u.Batch after.NextAction.Value

                      let struct (_, _, gradient) =
                          TwinCritics.gradient u.Model.Critics u.State.Critics.Q1 u.Batch target

                      gradient

                  let step (struct (q, adam)) _ =
                      Adam.step Compute.cpu (AdamSettings.ofSettings u.Model.Adam) 3e-4 gradient q adam

                  let struct (q, adam) =
                      Seq.fold step (struct (u.State.Critics.Q1, u.State.Critics.Q1Adam)) (seq { 1..count })

                  Expect.equal
                      (Tensors.toArray after.Next.Critics.Q1.Flat)
                      (Tensors.toArray q.Flat)
                      "parameters of the critic"

                  Expect.equal after.Next.Critics.Q1Adam.Count adam.Count "number of Q1 adam"
                  let same = Tensors.toArray (ActorCritic.evaluateQ u).Next.Critics.Q1.Flat = Tensors.toArray q.Flat
                  Expect.isTrue (same = (count = 1)) $"{count} steps")

          testForAll
              "normalised values are clipped where QClip says, whichever way they are normalised"
              40
              (Gen.zip keys (Gen.zip (between 0.1 8.0) (between 0.2 2.0)))
              (fun (key, (clip, deviation)) ->
                  use _ = torch.NewDisposeScope()
                  let q = (Key.normal Compute.cpu [ 12; 1 ] key).mul(Scalars.ofFloat 6.0)
                  let v = { Mean = 0.7; Deviation = deviation }

                  let found kind =
                      Energy.normalised { small.Energy with QNormalisation = kind; QClip = clip } v q |> values

                  let clipped f = values q |> Array.map (fun q -> max -clip (min clip (f q)))
                  closeTo 1e-5 "off" (values q) (found QNormalisation.Off)
                  closeTo 1e-5 "running" (clipped (fun q -> (q - 0.7) / deviation)) (found QNormalisation.Running)

                  closeTo
                      1e-5
                      "as published"
                      (clipped (fun q -> q - 0.7 / deviation))
                      (found QNormalisation.RunningAsPublished))

          let kinds =
              [ BetaSchedule.Linear 0.8
                BetaSchedule.Linear 0.3
                BetaSchedule.Cosine
                BetaSchedule.VariancePreserving(0.1, 10.0)
                BetaSchedule.Geometric(0.01, 20.0) ]

          testForAll
              "the schedule that the settings name noises the actions, and no two of them alike"
              5
              keys
              (fun key ->
                  use _ = torch.NewDisposeScope()

                  let losses =
                      kinds
                      |> List.map (fun kind ->
                          let u = started { small with Diffusion.BetaSchedule = kind } key
                          let bars = (Schedule.create kind small.Diffusion.Timesteps).AlphaBars
                          Expect.equal u.Model.Schedule.AlphaBars bars "alpha bars"
                          let after = u |> ActorCritic.reverseSample |> Sdac.rssmUpdate
                          let t, action = u.Noise.Timesteps, after.Action.Value
                          let column f = Tensors.ofArray Compute.cpu [ t.Length; 1 ] (t |> Array.map (f >> float32))

                          let noisy =
                              (column (fun t -> sqrt bars[t]))
                                  .mul(action)
                                  .add((column (fun t -> sqrt (1.0 - bars[t]))).mul u.Noise.Forward)

                          let expected = Sdac.rssmGradient u.Model u.State u.Noise u.Batch.Obs action
                          let used = Diffusion.noised Compute.cpu u.Model.Schedule t action u.Noise.Forward
                          closeTo 1e-5 $"{kind}" (values noisy) (values used)
                          Expect.equal after.Figures["policyLoss"] (Tensors.scalar expected.Loss) "policy loss"
                          after.Figures["policyLoss"])

                  Expect.equal ((List.distinct losses).Length) kinds.Length "number of losses")

          testCase "the temperature moves on every TemperatureDelay-th update, from the first on" (fun () ->
              for delay in [ 1; 2; 3 ] do
                  let config = { small with Temperature.TemperatureDelay = delay }
                  let model = Sdac.model Compute.cpu { ObsDim = 4; ActionDim = 2 } config
                  let mutable s = ActorCriticState.init model (Key.ofSeed 1L)

                  for i in 0L .. 6L do
                      let struct (next, _) = Sdac.update model (Key.ofSeed i) (batchOf (Key.ofSeed 2L)) s
                      Expect.equal (next.Temperature <> s.Temperature) (i % int64 delay = 0L) "temperature"
                      Parts.disposeReplaced ActorCriticState.parts next s
                      s <- next

                  Parts.dispose ActorCriticState.parts s)

          testCase "one environment and one update per step count alike" (fun () ->
              use scope = torch.NewDisposeScope()

              let experiment =
                  Experiment.on Sdac.algorithm "InvertedPendulum-v4"
                  |> Experiment.configure (fun _ -> { small with Data.Environments = 1; Data.UpdatesPerStep = 1 })
                  |> Experiment.envSteps 5L

              let struct (last, _) = Pipeline.run Pipeline.sdac experiment
              use _ = last.Environment :> IDisposable

              Expect.equal
                  (last.Iteration, last.EnvSteps, last.State.Updates)
                  (5L, 5L, 5L)
                  "iteration, env steps and updates")

          testCase "impossible options are named" (fun () ->
              let problems =
                  SdacConfig.problems
                      { small with
                          Particles.BehaviourParticles = Some 0
                          Particles.TargetParticles = Some -1
                          Particles.EvaluationParticles = Some 0
                          Critics.CriticSteps = 0
                          Energy.QClip = nan
                          Energy.QNormalisationRate = 1.5 }

              for name in
                  [ "behaviourParticles is 0"
                    "targetParticles is -1"
                    "evaluationParticles is 0"
                    "criticSteps is 0"
                    "qClip is NaN"
                    "qNormalisationRate is 1.5" ] do
                  Expect.exists problems (fun p -> p.StartsWith name) "problems") ]
