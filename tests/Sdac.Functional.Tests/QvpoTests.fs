module Sdac.Tests.QvpoTests

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
let private horizon = { Iterations = 1_000L }

let private small: QvpoConfig =
    { QvpoConfig.published with
        Hidden = [ 12; 9 ]
        Chain.Timesteps = 5
        TrainingParticles = 6
        EntropyActions = 3
        Data.BatchSize = batchSize }

let private kinds =
    Gen.elements [ QvpoWeights.Qadv; QvpoWeights.Qrelu; QvpoWeights.Qcut; QvpoWeights.Qgate ]

let private configs =
    gen {
        let! kind = kinds
        let! uniform = sizes 0 3
        let! best = sizes 1 3
        let! acts = Gen.elements [ true; false ]
        let! averages = Gen.elements [ true; false ]
        let! together = Gen.elements [ true; false ]
        let! clip = Gen.elements [ Some 0.05; Some 1e3; None ]
        let! embedding = Gen.elements [ TimeEmbedding.Dipo; TimeEmbedding.Dacer; TimeEmbedding.Qsm ]

        return
            { small with
                Weights = kind
                EntropyActions = uniform
                BestOf = { BehaviourParticles = best; TargetParticles = best + 1; EvaluationParticles = best + 2 }
                AverageActs = acts
                AverageTargets = averages
                ClipCriticsTogether = together
                GradientClip = clip
                TimeEmbedding = embedding }
    }

let private modelOf config = QvpoPolicy.model cpu space horizon config

/// An update of a state whose averages are other networks than those that learn.
let private started (config: QvpoConfig) (key: Key) : QvpoUpdate =
    let model = modelOf config
    let keys = Key.splitMany 8 key
    let state = QvpoPolicy.init model keys[0]
    let others = TwinCritics.init model.Critics keys[1] keys[2]

    let state =
        { state with
            TargetPolicy = (QvpoPolicy.init model keys[3]).Policy
            Critics = { state.Critics with TargetQ1 = others.Q1; TargetQ2 = others.Q2 } }

    Qvpo.start model (Qvpo.drawNoise model batchSize keys[4]) (batchOf keys[5]) (batchOf keys[6]) state

let private through (u: QvpoUpdate) = Qvpo.stages |> List.fold (fun u (_, stage) -> stage u) u
let private at updates (u: QvpoUpdate) = { u with State = { u.State with Updates = updates } }

/// The chain a second time, step by step, all actions as rows.
let private chained (u: QvpoUpdate) (policy: Params) (noise: ChainNoise) (obs: Tensor) : Tensor =
    let particles = Tensors.size 0 noise.Initial / Tensors.size 0 obs
    let rows = obs.repeat_interleave (int64 particles, Nullable 0L)
    let steps = u.Model.Config.Chain.Timesteps
    let mutable x = noise.Initial

    for i in 0 .. steps - 1 do
        let t = steps - 1 - i
        let times = [ Array.create (Tensors.size 0 rows) (float t) ]
        let predicted = ActionNetwork.forward cpu u.Model.Policy policy rows x times
        x <- Diffusion.step u.Model.Schedule ReverseStep.Posterior t x predicted (Some noise.Steps[i])

    (Diffusion.clip x).view(int64 (Tensors.size 0 obs), int64 particles, -1L)

/// Of each state's actions the one with the largest smaller value of both critics.
let private bestBy (u: QvpoUpdate) (q1: Params) (q2: Params) (obs: Tensor) (actions: Tensor) : float[] =
    let particles, dim = Tensors.size 1 actions, Tensors.size 2 actions
    let rows = obs.repeat_interleave (int64 particles, Nullable 0L)

    let q p =
        Doubles.q
            u.Model.Critics.Net
            (Doubles.double p.Flat)
            (Doubles.double rows)
            (Doubles.double (actions.view (-1L, int64 dim)))

    let least = Array.map2 min (Doubles.numbers (q q1)) (Doubles.numbers (q q2))
    let all = values actions

    [| for b in 0 .. Tensors.size 0 obs - 1 do
           let k = Seq.maxBy (fun k -> least[b * particles + k]) (seq { 0 .. particles - 1 })
           yield! all[(b * particles + k) * dim .. (b * particles + k + 1) * dim - 1] |]

let private weighed kind (rows: float list list) =
    let q = rows |> List.concat |> List.map float32 |> List.toArray
    Tensors.ofArray cpu [ rows.Length; q.Length / rows.Length ] q |> Qvpo.weights kind |> values

let private bits (p: Params) = values p.Flat

[<Tests>]
let tests =
    testList
        "QVPO"
        [ testCase "weights have the reference sheet's numbers" (fun () ->
              use _ = torch.NewDisposeScope()
              closeTo 1e-6 "advantage" [| 1.166667 |] (weighed QvpoWeights.Qadv [ [ 1.0; 2.5; 0.5 ] ])

              closeTo
                  1e-6
                  "two states"
                  [| 0.2; 0.0 |]
                  (weighed QvpoWeights.Qadv [ [ 0.2; -0.3; 0.1 ]; [ 2.0; 2.0; 2.0 ] ])

              let q = [ [ -2.0; -0.5 ]; [ 0.4; 0.1 ]; [ 0.5; 3.0 ] ]
              closeTo 1e-6 "qrelu" [| 0.0; 0.4; 3.0 |] (weighed QvpoWeights.Qrelu q)
              closeTo 1e-6 "qcut" [| 1.0; 1.0; 3.0 |] (weighed QvpoWeights.Qcut q)
              closeTo 1e-6 "qgate" [| 0.0; 0.0; 3.0 |] (weighed QvpoWeights.Qgate q))

          testCase "the best of 64 uniform actions has the advantage 63/65 where Q = a" (fun () ->
              use _ = torch.NewDisposeScope()

              let a =
                  (Key.uniform cpu [ 50_000; 64 ] (Key.ofSeed 11L)).mul(Scalars.ofFloat 2.0).sub(Scalars.ofFloat 1.0)

              let found = (Qvpo.weights QvpoWeights.Qadv a).mean() |> Tensors.scalar
              // its deviation is 0.08, that of the mean 0.0004
              closeTo 1e-3 "expected weight" [| 63.0 / 65.0 |] [| found |])

          testCase "the loss of one state has the reference sheet's number" (fun () ->
              use _ = torch.NewDisposeScope()
              let config = { small with EntropyActions = 10; Data.BatchSize = 1 }
              let u = started config (Key.ofSeed 1L)
              // a network of zeros predicts no noise: the errors are the noise's own
              let zero = Params.withFlat (u.State.Policy.Flat.zeros_like ()) u.State.Policy
              let one (t: Tensor) = t.narrow (0L, 0L, 1L)
              let squares = Tensors.ofArray cpu [ 11; 2 ] [| 0.5f; 0.1f; yield! Array.create 20 1f |]

              let u =
                  { u with
                      State = { u.State with Policy = zero }
                      Made = { u.Made with PolicyBatch.Obs = one u.Made.PolicyBatch.Obs }
                      Noise =
                          { u.Noise with
                              Uniform = Key.uniform cpu [ 10; 2 ] (Key.ofSeed 2L)
                              Timesteps = Key.integers 5 11 (Key.ofSeed 3L)
                              Forward = squares.sqrt () } }

              let weight = Tensors.ofArray cpu [ 1; 3 ] [| 1f; 2.5f; 0.5f |] |> Qvpo.weights QvpoWeights.Qadv
              let action = Tensors.zeros cpu [ 1; 2 ]
              let struct (loss, _) = Qvpo.policyGradient u { Action = action; Weight = weight }
              closeTo 2e-6 "loss" [| 0.053030 |] (values loss))

          testForAll
              "loss and gradient are those of float64 and autograd with constant weights"
              25
              (Gen.zip configs keys)
              (fun (config, key) ->
                  use _ = torch.NewDisposeScope()
                  // the authors' ω is so small that the uniform actions would hardly show
                  let config = { config with EntropyWeight = 5.0 }
                  let u = started config key |> at 300L
                  let chosen = (u |> at 0L |> Qvpo.evaluateQ |> Qvpo.chooseActions).Made.Chosen.Value
                  let each = int64 config.EntropyActions
                  let again (t: Tensor) = torch.cat ([| t; t.repeat_interleave (each, Nullable 0L) |], 0L)
                  let bars = (Schedule.create BetaSchedule.Cosine 5).AlphaBars

                  let column (f: float -> float) =
                      torch.tensor([| for t in u.Noise.Timesteps -> f bars[t] |]).unsqueeze 1L

                  let noise = Doubles.double u.Noise.Forward
                  let uniform = (Doubles.double u.Noise.Uniform).mul(Scalars.ofFloat 2.0).sub(Scalars.ofFloat 1.0)
                  let action = torch.cat ([| Doubles.double chosen.Action; uniform |], 0L)
                  let noised = (column sqrt).mul(action).add((column (fun b -> sqrt (1.0 - b))).mul noise)

                  // ω after 300 of 1,000 updates behind a warm-up of 10,000 steps
                  let omega = max 0.002 (5.0 * (1.0 - 10_300.0 / 11_000.0))

                  let factors =
                      [| for i in 0 .. u.Noise.Timesteps.Length - 1 -> if i < batchSize then 1.0 else omega |]

                  let weight = (again (Doubles.double chosen.Weight)).mul(torch.tensor factors).unsqueeze 1L
                  let flat = Doubles.leaf u.State.Policy
                  let times = [ u.Noise.Timesteps |> Array.map float ]
                  let obs = again (Doubles.double u.Made.PolicyBatch.Obs)
                  let output = ChainTests.doubleNetwork u.Model.Policy flat obs noised times
                  let wanted = (output.sub noise).square().mul(weight).mean()
                  let gradient = Doubles.gradient wanted flat
                  let struct (loss, got) = Qvpo.policyGradient u chosen
                  closeTo 1e-4 "loss" (Doubles.numbers wanted) (values loss)
                  closeTo 1e-4 "gradient" (Doubles.numbers gradient) (values got))

          testForAll
              "the policy learns the best of its own actions for a batch of its own, by the critics after their step"
              20
              (Gen.zip configs keys)
              (fun (config, key) ->
                  use _ = torch.NewDisposeScope()
                  let u = started config key
                  let learned = Qvpo.evaluateQ u
                  let chosen = (Qvpo.chooseActions learned).Made.Chosen.Value
                  let c = learned.Next.Critics
                  let actions = chained u u.State.Policy u.Noise.New u.Made.PolicyBatch.Obs
                  Expect.equal (Tensors.size 1 actions) config.TrainingParticles "K of them"
                  let wanted = bestBy u c.Q1 c.Q2 u.Made.PolicyBatch.Obs actions
                  closeTo 1e-4 "actions" wanted (values chosen.Action)
                  let q = TwinCritics.values u.Model.Critics c u.Made.PolicyBatch.Obs actions
                  closeTo 1e-4 "weights" (Qvpo.weights config.Weights q |> values) (values chosen.Weight))

          testForAll
              "targets ask the averages for their actions and the choice among them, or the networks themselves"
              20
              (Gen.zip configs keys)
              (fun (config, key) ->
                  use _ = torch.NewDisposeScope()
                  let u = started config key
                  let s, obs = u.State, u.Batch.NextObs
                  let c = s.Critics

                  let policy, q1, q2 =
                      if config.AverageTargets then
                          s.TargetPolicy, c.TargetQ1, c.TargetQ2
                      else
                          s.Policy, c.Q1, c.Q2

                  let candidates = chained u policy u.Noise.Next obs
                  Expect.equal (Tensors.size 1 candidates) config.BestOf.TargetParticles "so many"

                  let action =
                      bestBy u q1 q2 obs candidates |> Array.map float32 |> Tensors.ofArray cpu [ batchSize; 2 ]

                  let value = TwinCritics.targetValue u.Model.Critics c obs action |> values
                  let reward, ended = values u.Batch.Reward, values u.Batch.Terminated
                  let wanted = Array.init batchSize (fun i -> reward[i] + 0.99 * (1.0 - ended[i]) * value[i])
                  closeTo 1e-4 "target" wanted (Qvpo.criticTarget u |> values))

          testForAll
              "acting takes the best of as many as its purpose says, by the critics themselves"
              20
              (Gen.zip configs keys)
              (fun (config, key) ->
                  use _ = torch.NewDisposeScope()
                  let u = started config key
                  let obs = u.Batch.Obs
                  let policy = if config.AverageActs then u.State.TargetPolicy else u.State.Policy
                  let agent = Qvpo.agent u.Model

                  for purpose, n in
                      [ Purpose.Explore, config.BestOf.BehaviourParticles
                        Purpose.Evaluate, config.BestOf.EvaluationParticles ] do
                      let noise = ChainNoise.draw cpu 5 (n * batchSize) 2 key
                      let wanted = chained u policy noise obs |> bestBy u u.State.Critics.Q1 u.State.Critics.Q2 obs
                      closeTo 1e-4 $"{purpose}" wanted (values (agent.Act purpose u.State key obs).Action))

          testForAll
              "a step is Adam's along the bounded gradients, at the policy's own rate"
              20
              (Gen.zip configs keys)
              (fun (config, key) ->
                  use _ = torch.NewDisposeScope()
                  let config = { config with PolicyRate = LearningRate.LinearDecay(1e-3, 1e-4, 0L, 10L) }
                  let u = started config key
                  let u = { u with State = { u.State with PolicyAdam.Count = 5L } }
                  let after = through u
                  let bound t = config.GradientClip |> Option.fold (fun t b -> ActionClimb.bounded b t) t
                  let adam = AdamSettings.ofSettings config.Adam
                  let chosen = (u |> Qvpo.evaluateQ |> Qvpo.chooseActions).Made.Chosen.Value
                  let struct (_, gradient) = Qvpo.policyGradient u chosen
                  // half way down at the 5th of 10 steps
                  let struct (policy, _) = Adam.step cpu adam 5.5e-4 (bound gradient) u.State.Policy u.State.PolicyAdam
                  closeTo 1e-6 "policy" (bits policy) (bits after.Next.Policy)

                  let critics = u.State.Critics
                  let target = Qvpo.criticTarget u
                  let struct (_, _, g1) = TwinCritics.gradient u.Model.Critics critics.Q1 u.Batch target
                  let struct (_, _, g2) = TwinCritics.gradient u.Model.Critics critics.Q2 u.Batch target

                  let struct (g1, g2) =
                      match config.GradientClip with
                      | Some b -> TwinCritics.boundedGradients config.ClipCriticsTogether b g1 g2
                      | None -> struct (g1, g2)

                  let struct (q1, _) = Adam.step cpu adam 3e-4 g1 critics.Q1 critics.Q1Adam
                  let struct (q2, _) = Adam.step cpu adam 3e-4 g2 critics.Q2 critics.Q2Adam
                  Expect.equal (bits after.Next.Critics.Q1) (bits q1) "critic 1"
                  Expect.equal (bits after.Next.Critics.Q2) (bits q2) "critic 2")

          testForAll
              "the policy and all averages rest together"
              15
              (Gen.zip3 configs (sizes 1 3) keys)
              (fun (config, delay, key) ->
                  use _ = torch.NewDisposeScope()
                  let u = started { config with PolicyDelay = delay } key

                  for updates in 0L .. 4L do
                      let after = u |> at updates |> through
                      let moves = updates % int64 delay = 0L
                      let moved before now = not (obj.ReferenceEquals(before, now))
                      Expect.isTrue (moved u.State.Critics.Q1 after.Next.Critics.Q1) "the critics learn"
                      Expect.equal (moved u.State.Policy after.Next.Policy) moves $"policy, {updates}"
                      Expect.equal (moved u.State.TargetPolicy after.Next.TargetPolicy) moves $"its average, {updates}"

                      Expect.equal
                          (moved u.State.Critics.TargetQ1 after.Next.Critics.TargetQ1)
                          moves
                          $"the critics', {updates}"

                  let after = through u
                  let follow (average: Params) online = Polyak.step cpu 0.005 average online |> bits

                  Expect.equal
                      (bits after.Next.TargetPolicy)
                      (follow u.State.TargetPolicy after.Next.Policy)
                      "the average follows the new policy"

                  Expect.equal
                      (bits after.Next.Critics.TargetQ2)
                      (follow u.State.Critics.TargetQ2 after.Next.Critics.Q2)
                      "and the new critics")

          testCase "ω is the reference sheet's over a run of a million steps" (fun () ->
              use _ = torch.NewDisposeScope()

              let omega config iterations updates =
                  Qvpo.entropyWeight (QvpoPolicy.model cpu space { Iterations = iterations } config) updates

              let authors = omega { small with Data = QvpoConfig.published.Data } 990_000L
              closeTo 1e-9 "the first update" [| 0.02 |] [| authors 0L |]
              closeTo 1e-6 "after it" [| 0.01979998 |] [| authors 1L |]
              closeTo 1e-9 "at 500,000 steps" [| 0.01 |] [| authors 490_000L |]
              closeTo 1e-9 "at 900,000 and from there" [| 0.002; 0.002 |] [| authors 890_000L; authors 990_000L |]
              let port = omega { small with EntropyCountsWarmUp = false; Data = QvpoConfig.sdacPaper.Data } 200_000L
              closeTo 1e-9 "the SDAC authors'" [| 0.01; 0.002 |] [| port 100_000L; port 180_000L |]
              let constant = omega { small with EntropyWeight = 0.01; EntropyWeightEnd = 0.01 } 1_000L
              closeTo 1e-12 "a constant" [| 0.01; 0.01 |] [| constant 1L; constant 1_000L |])

          testForAll
              "an update's numbers are of its rows, each kind its own"
              15
              (Gen.zip configs keys)
              (fun (config, key) ->
                  use _ = torch.NewDisposeScope()
                  let u = started { config with EntropyActions = 3 } key
                  let n = u.Noise
                  let rows = 4 * batchSize
                  Expect.equal (n.Timesteps.Length, Tensors.shape n.Forward) (rows, [ rows; 2 ]) "rows of the loss"
                  Expect.equal (Tensors.shape n.Uniform) [ 3 * batchSize; 2 ] "uniform actions"
                  Expect.equal (Set n.Timesteps) (Set [ 0..4 ]) "every t"
                  let first (t: Tensor) = values (t.narrow (0L, 0L, 4L))
                  let u3 = values n.Uniform
                  Expect.isTrue (Array.forall (fun x -> x >= 0.0 && x < 1.0) u3) "uniform on [0, 1)"
                  Expect.isLessThan (abs (Array.average u3 - 0.5)) 0.12 "all of it"
                  Expect.differs (first n.Next.Initial) (first n.New.Initial) "keys of their own"
                  Expect.differs (values u.Made.PolicyBatch.Obs) (values u.Batch.Obs) "batches of their own")

          testCase "both batches of an update are changed, and time limits are terminations where asked" (fun () ->
              use _ = torch.NewDisposeScope()
              let u = started small (Key.ofSeed 4L)
              let agent = Qvpo.agent u.Model
              let changed = agent.OnBatch (fun b -> { b with Obs = b.Obs.neg () }) u
              Expect.equal (values changed.Batch.Obs) (values (u.Batch.Obs.neg ())) "the critics'"

              Expect.equal
                  (values changed.Made.PolicyBatch.Obs)
                  (values (u.Made.PolicyBatch.Obs.neg ()))
                  "the policy's"

              let transitions =
                  { Obs = Array.zeroCreate 8
                    Action = Array.zeroCreate 4
                    Reward = [| 0f; 0f |]
                    Terminated = [| false; false |]
                    Truncated = [| true; false |]
                    NextObs = Array.zeroCreate 8
                    Current = Array.zeroCreate 8
                    Extras = [] }

              for terminate in [ false; true ] do
                  let agent = Qvpo.agent (modelOf { small with TimeLimitsTerminate = terminate })
                  let struct (_, stored) = agent.Observe transitions u.State
                  Expect.equal stored.Terminated [| terminate; false |] $"{terminate}")

          testCase "stages that run too early say what is missing" (fun () ->
              use _ = torch.NewDisposeScope()
              let u = started small (Key.ofSeed 3L)
              let refused stage = (Expect.raises<RefusedOperationException>(fun () -> stage u |> ignore)).Message
              Expect.stringContains (refused Qvpo.chooseActions) "put `evaluateQ` before it" "choice"
              Expect.stringContains (refused Qvpo.improvePolicy) "put `chooseActions` before it" "policy"
              Expect.stringContains (refused Qvpo.followTargets) "put `improvePolicy` before it" "averages")

          testCase "the presets have the reference sheet's settings" (fun () ->
              let p, s = QvpoConfig.published, QvpoConfig.sdacPaper

              Expect.equal
                  (p.Hidden, p.Chain.Timesteps, p.Chain.BetaSchedule, p.Chain.InitialNoiseScale)
                  ([ 256; 256; 256 ], 20, BetaSchedule.Cosine, 1.0)
                  "authors: networks"

              Expect.equal
                  (p.Adam.LearningRate, p.Adam.AdamEpsilon, p.PolicyRate, p.GradientClip, p.ClipCriticsTogether)
                  (3e-4, 1e-5, LearningRate.Constant 1e-4, Some 2.0, true)
                  "authors: steps"

              Expect.equal
                  (p.TrainingParticles, p.Weights, p.EntropyActions, p.BestOf, p.AverageActs, p.AverageTargets)
                  (64,
                   QvpoWeights.Qadv,
                   10,
                   { BehaviourParticles = 4; TargetParticles = 4; EvaluationParticles = 32 },
                   false,
                   true)
                  "authors: particles"

              Expect.equal
                  (s.Chain, s.TrainingParticles, s.Weights, s.Critics.CriticSteps, s.Critics.RewardScale, s.PolicyDelay)
                  ({ Timesteps = 20; BetaSchedule = BetaSchedule.Linear 0.3; InitialNoiseScale = 0.5 },
                   32,
                   QvpoWeights.Qgate,
                   2,
                   0.2,
                   2)
                  "port"

              Expect.equal
                  (s.BestOf.BehaviourParticles, s.AverageActs, s.AverageTargets, s.PolicyRate)
                  (32, true, false, LearningRate.LinearDecay(3e-4, 5e-5, 25_000L, 50_000L))
                  "port"

              for preset in Qvpo.algorithm.Presets do
                  Expect.equal (QvpoConfig.problems preset.Config) [] preset.Name)

          testCase "impossible settings are one sentence each" (fun () ->
              let problems change = QvpoConfig.problems (change small) |> String.concat "; "
              let contains change (sentence: string) = Expect.stringContains (problems change) sentence sentence
              contains (fun c -> { c with TrainingParticles = 0 }) "trainingParticles is 0; it must be at least 1"
              contains (fun c -> { c with TrainingParticles = 1 }) "the one action's advantage over itself is 0"
              contains (fun c -> { c with EntropyActions = -1 }) "entropyActions is -1; it must be at least 0"
              contains (fun c -> { c with EntropyWeight = nan }) "entropyWeight is NaN"

              contains
                  (fun c -> { c with EntropyWeightEnd = 0.5 })
                  "entropyWeightEnd is 0.5, above entropyWeight, 0.02"

              contains (fun c -> { c with BestOf.TargetParticles = 0 }) "targetParticles is 0"
              contains (fun c -> { c with GradientClip = Some 0.0 }) "gradientClip is 0; it must be a positive number"
              contains (fun c -> { c with Chain.Timesteps = 0 }) "timesteps is 0; it must be at least 1"
              contains (fun c -> { c with PolicyDelay = 0 }) "policyDelay is 0; it must be at least 1"

              Expect.equal
                  (problems (fun c -> { c with TrainingParticles = 1; Weights = QvpoWeights.Qrelu }))
                  ""
                  "one action"

              Expect.equal (problems id) "" "possible") ]
