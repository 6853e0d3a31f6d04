module Sdac.Tests.IdqlTests

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

let private small: IdqlConfig =
    { IdqlConfig.published with
        Hidden = [ 12; 9 ]
        CriticHidden = [ 11; 8 ]
        Networks.InitialWeights = InitialWeights.TorchUniform
        Data.BatchSize = batchSize
        BehaviourParticles = 4
        EvaluationParticles = 3 }

let private weightings =
    [ IdqlWeights.Cloning
      IdqlWeights.Exponential(3.0, 1.4)
      IdqlWeights.Expectile
      IdqlWeights.Positive ]

let private configs =
    gen {
        let! weights = Gen.elements weightings
        let! expectile = between 0.55 0.95
        let! sampler = Gen.elements [ IdqlSampler.ClippedState; IdqlSampler.Posterior ]
        let! least = Gen.elements [ 0.0; 0.4 ]
        let! averages = Gen.elements [ true; false ]

        return
            { small with
                Weights = weights
                ValueExpectile = expectile
                Sampler = sampler
                ExplorationDeviation = least
                ChooseByAverages = averages }
    }

let private others (model: IdqlModel) (key: Key) : TwinCritics =
    let struct (a, b) = Key.split (Key.foldIn 77L key)
    TwinCritics.init model.Critics a b

/// An update whose moving averages are not what they follow.
let private started (config: IdqlConfig) (key: Key) : IdqlUpdate =
    let model = IdqlPolicy.model cpu space config
    let state, other = IdqlPolicy.init model (Key.foldIn 3L key), IdqlPolicy.init model (Key.foldIn 4L key)

    Idql.start
        model
        (Idql.drawNoise model batchSize (Key.foldIn 1L key))
        (batchOf (Key.foldIn 2L key))
        { state with
            TargetPolicy = other.Policy
            Critics = { state.Critics with TargetQ1 = other.Critics.Q1; TargetQ2 = other.Critics.Q2 } }

let private row (numbers: float list) =
    Tensors.ofArray cpu [ numbers.Length ] (numbers |> List.map float32 |> List.toArray)

/// Where the mean slope of the expectile loss over these values vanishes, by bisection.
let private expectile tau (numbers: float list) =
    let slope v =
        let struct (_, gradient) = Idql.expectileLoss tau ((row numbers).sub(Scalars.ofFloat v))
        Tensors.scalar (gradient.sum ())

    let rec between low high n =
        let middle = 0.5 * (low + high)

        if n = 0 then middle
        elif slope middle > 0.0 then between middle high (n - 1)
        else between low middle (n - 1)

    between (List.min numbers) (List.max numbers) 40

let private uniformOn (n: int) = Array.init n (fun i -> (float i + 0.5) / float n)

/// The row's index of the candidate that was chosen, for candidates that are their own numbers.
let private indexOf choice (q: float list) (v: float) (uniform: float[]) =
    let n, rows = q.Length, uniform.Length
    let all (values: float list) = (row values).view(1L, -1L).expand(int64 rows, -1L)
    let actions = (all [ for i in 0 .. n - 1 -> float i ]).unsqueeze 2L
    let u = Tensors.ofArray cpu [ rows ] (Array.map float32 uniform)
    let v = Tensors.ofArray cpu [ rows ] (Array.create rows (float32 v))
    IdqlPolicy.chosen choice actions (all q) v u |> values

[<Tests>]
let tests =
    testList
        "IDQL"
        [ testCase "expectiles and their loss have the reference sheet's numbers" (fun () ->
              use _ = torch.NewDisposeScope()
              closeTo 1e-5 ".7 of {0, 1}" [| 0.7 |] [| expectile 0.7 [ 0.0; 1.0 ] |]
              closeTo 1e-5 ".7 of {0, 1, 2}" [| 1.307692 |] [| expectile 0.7 [ 0.0; 1.0; 2.0 ] |]
              closeTo 1e-5 ".9 of {0, 1, 2}" [| 1.727273 |] [| expectile 0.9 [ 0.0; 1.0; 2.0 ] |]

              let loss x =
                  let struct (loss, _) = Idql.expectileLoss 0.7 (row [ x ])
                  Tensors.scalar loss

              closeTo 1e-6 "loss at +.5, -.5" [| 0.175; 0.075 |] [| loss 0.5; loss -0.5 |])

          testCase "the best of N uniform actions under Q = a has the reference sheet's mean" (fun () ->
              use _ = torch.NewDisposeScope()

              for n, wanted, kl in
                  [ 4, 0.6, 0.636294; 16, 0.882353, 1.835089; 32, 0.939394, 2.496986; 64, 0.969231, 3.174508 ] do
                  let rows = 40_000
                  let u = Key.uniform cpu [ rows; n; 1 ] (Key.ofSeed (int64 n))
                  let actions = u.mul(Scalars.ofFloat 2.0).sub(Scalars.ofFloat 1.0)
                  let none = Tensors.zeros cpu [ rows ]
                  let best = IdqlPolicy.chosen IdqlChoice.Best actions (actions.squeeze (Nullable 2L)) none none
                  // the deviation of one is at most 0.33
                  Expect.isLessThan (abs (Tensors.scalar (best.mean ()) - wanted)) 0.006 $"best of {n}"
                  closeTo 1e-6 "the mean's formula" [| wanted |] [| float (n - 1) / float (n + 1) |]
                  closeTo 1e-6 "the KL's formula" [| kl |] [| Idql.divergence n |]
                  // the best one's density over the uniform one: N·((1 + a)/2)^(N-1)
                  let ratio (a: float) = log (float n) + float (n - 1) * log (0.5 + 0.5 * a)
                  let found = values best |> Array.averageBy ratio
                  Expect.isLessThan (abs (found - kl)) 0.02 $"KL of the best of {n}")

          testCase "of equal values the first candidate is chosen" (fun () ->
              use _ = torch.NewDisposeScope()
              closeTo 0.0 "all equal" [| 0.0 |] (indexOf IdqlChoice.Best [ 1.0; 1.0; 1.0; 1.0 ] 0.0 [| 0.3 |])
              closeTo 0.0 "two equal" [| 1.0 |] (indexOf IdqlChoice.Best [ 0.5; 2.0; 2.0; 1.0 ] 0.0 [| 0.9 |]))

          testCase "the expectile draws a candidate with τ where it is better than V, with 1-τ where not" (fun () ->
              use _ = torch.NewDisposeScope()
              let n = 10_000

              let shares q v =
                  let drawn = indexOf (IdqlChoice.Expectile 0.7) q v (uniformOn n)
                  [| for i in 0 .. q.Length - 1 -> float (Array.filter ((=) (float i)) drawn).Length / float n |]

              // equal to V is not better
              closeTo 1e-3 "one of three" [| 0.7 / 1.3; 0.3 / 1.3; 0.3 / 1.3 |] (shares [ 2.0; -1.0; 0.5 ] 0.5)
              closeTo 1e-3 "two of three" [| 0.3 / 1.7; 0.7 / 1.7; 0.7 / 1.7 |] (shares [ -2.0; 1.0; 3.0 ] 0.0)
              closeTo 1e-3 "all alike" [| 0.25; 0.25; 0.25; 0.25 |] (shares [ 1.0; 2.0; 3.0; 4.0 ] 0.0)
              let ends = indexOf (IdqlChoice.Expectile 0.7) [ 1.0; 2.0; 3.0 ] 0.0 [| 0.0; 0.99999994 |]
              closeTo 0.0 "ends" [| 0.0; 2.0 |] ends)

          testForAll
              "the clone's loss and gradient are those of float64 and autograd, for every weighting"
              40
              (Gen.zip configs keys)
              (fun (config, key) ->
                  use _ = torch.NewDisposeScope()
                  let u = started config key
                  let model, t = u.Model, u.Noise.Timesteps
                  let advantage = Idql.advantage u
                  let q = TwinCritics.targetValue model.Critics u.State.Critics u.Batch.Obs u.Batch.Action |> values
                  let v = IdqlPolicy.value model u.State.Value u.Batch.Obs |> values
                  closeTo 1e-5 "advantage" (Array.map2 (-) q v) (values advantage)

                  let weight x =
                      match config.Weights with
                      | IdqlWeights.Cloning -> 1.0
                      | IdqlWeights.Exponential(beta, largest) -> min largest (exp (beta * x))
                      | IdqlWeights.Expectile -> if x > 0.0 then config.ValueExpectile else 1.0 - config.ValueExpectile
                      | IdqlWeights.Positive -> if x > 0.0 then 1.0 else 0.0

                  let weights = Array.map weight (values advantage)
                  let bars = [| for t in t -> model.Schedule.AlphaBars[t] |]
                  let column (f: float -> float) = torch.tensor(Array.map f bars).unsqueeze 1L
                  let noise = Doubles.double u.Noise.Forward

                  let noised =
                      (column sqrt)
                          .mul(Doubles.double u.Batch.Action)
                          .add((column (fun bar -> sqrt (1.0 - bar))).mul noise)

                  let flat = Doubles.leaf u.State.Policy
                  let obs = Doubles.double u.Batch.Obs
                  let output = ChainTests.doubleNetwork model.Policy flat obs noised [ Array.map float t ]
                  let wanted = output.sub(noise).square().sum(1L).mul(torch.tensor weights).mean()
                  let gradient = Doubles.gradient wanted flat
                  let struct (loss, got) = Idql.policyGradient u
                  closeTo 1e-4 "loss" (Doubles.numbers (wanted.view -1L)) (values loss)
                  let scale = 1.0 + (Doubles.numbers gradient |> Array.map abs |> Array.max)
                  closeTo (1e-4 * scale) "gradient" (Doubles.numbers gradient) (values got))

          testForAll
              "the policy takes an Adam step with decoupled decay at its own rate, and its average follows at its own"
              20
              (Gen.zip configs keys)
              (fun (config, key) ->
                  use _ = torch.NewDisposeScope()

                  let config =
                      { config with
                          PolicyRate = LearningRate.CosineDecay(2e-3, 0.0, 100L)
                          WeightDecay = 0.5
                          PolicyTau = 0.3 }

                  let u = started config key
                  let struct (_, gradient) = Idql.policyGradient u
                  let adam = AdamSettings.ofSettings config.Adam

                  for count in [ 0L; 60L ] do
                      let state = { u.State.PolicyAdam with Count = count }
                      let rate = LearningRate.at count config.PolicyRate
                      let struct (stepped, _) = Adam.step cpu adam rate gradient u.State.Policy state
                      let before = values u.State.Policy.Flat
                      let decayed = Array.map2 (fun p old -> p - rate * 0.5 * old) (values stepped.Flat) before
                      let after = Idql.clonePolicy { u with State = { u.State with PolicyAdam = state } }
                      closeTo 1e-6 $"after {count} steps" decayed (values after.Next.Policy.Flat)
                      let old = values u.State.TargetPolicy.Flat
                      let averaged = Array.map2 (fun p old -> old + 0.3 * (p - old)) decayed old
                      closeTo 1e-6 "average" averaged (values after.Next.TargetPolicy.Flat))

          testForAll
              "V steps towards the expectile of the moving averages' value of the memory's actions"
              20
              (Gen.zip configs keys)
              (fun (config, key) ->
                  use _ = torch.NewDisposeScope()
                  let u = started config key
                  let model = u.Model
                  let flat = Doubles.leaf u.State.Value
                  let v = (Doubles.forward model.Value flat (Doubles.double u.Batch.Obs)).view -1L

                  let target q =
                      Doubles.q
                          model.Critics.Net
                          (Doubles.double q)
                          (Doubles.double u.Batch.Obs)
                          (Doubles.double u.Batch.Action)

                  let critics = u.State.Critics
                  let apart = ((target critics.TargetQ1.Flat).minimum(target critics.TargetQ2.Flat)).sub v
                  let above = apart.detach().gt(Scalars.ofFloat 0.0).``to`` torch.float64
                  let tau = config.ValueExpectile
                  let weights = above.mul(Scalars.ofFloat (2.0 * tau - 1.0)).add(Scalars.ofFloat (1.0 - tau))
                  let wanted = weights.mul(apart.square ()).mean()
                  let gradient = (Doubles.gradient wanted flat).``to`` torch.float32
                  let after = Idql.evaluateV u
                  closeTo 1e-4 "loss" (Doubles.numbers (wanted.view -1L)) [| after.Figures["valueLoss"] |]
                  closeTo 1e-4 "norm" [| Tensors.norm gradient |] [| after.Figures["valueGradientNorm"] |]

                  let struct (stepped, _) =
                      Adam.step
                          cpu
                          (AdamSettings.ofSettings config.Adam)
                          config.Adam.LearningRate
                          gradient
                          u.State.Value
                          u.State.ValueAdam

                  closeTo 1e-4 "V" (values stepped.Flat) (values after.Next.Value.Flat))

          testForAll
              "the critics' target is V after its step, of the next state; then their averages follow"
              20
              (Gen.zip configs keys)
              (fun (config, key) ->
                  use _ = torch.NewDisposeScope()
                  let u = started { config with Critics.RewardScale = 0.3; Critics.Tau = 0.4 } key
                  let model = u.Model
                  let evaluated = Idql.evaluateV u
                  let v = IdqlPolicy.value model evaluated.Next.Value u.Batch.NextObs |> values
                  let old = IdqlPolicy.value model u.State.Value u.Batch.NextObs |> values
                  Expect.differs v old "V has moved"
                  let reward, ended = values u.Batch.Reward, values u.Batch.Terminated
                  let target = Array.init batchSize (fun i -> 0.3 * reward[i] + 0.99 * (1.0 - ended[i]) * v[i])

                  let struct (learned, _) =
                      TwinCritics.learn model.Critics u.Batch (row (List.ofArray target)) u.State.Critics

                  let after = (Idql.evaluateQ evaluated).Next.Critics
                  closeTo 1e-5 "critic" (values learned.Q1.Flat) (values after.Q1.Flat)
                  closeTo 1e-5 "critic" (values learned.Q2.Flat) (values after.Q2.Flat)
                  let followed = TwinCritics.follow model.Critics learned
                  closeTo 1e-5 "average" (values followed.TargetQ1.Flat) (values after.TargetQ1.Flat)
                  closeTo 1e-5 "average" (values followed.TargetQ2.Flat) (values after.TargetQ2.Flat))

          testCase "without V's step there is none of the critics" (fun () ->
              use _ = torch.NewDisposeScope()
              let u = started small (Key.ofSeed 3L)
              let failure = Expect.raises<RefusedOperationException>(fun () -> Idql.evaluateQ u |> ignore)
              Expect.stringContains failure.Message "put `evaluateV` before it" "sentence")

          testForAll
              "actions come from the average's chain written step by step, the best by the averages or the critics"
              30
              (Gen.zip configs keys)
              (fun (config, key) ->
                  use _ = torch.NewDisposeScope()

                  let config =
                      { config with
                          Chain = { config.Chain with InitialNoiseScale = 0.7; Timesteps = 4 }
                          Exploration = IdqlChoice.Best }

                  let u = started config key
                  let model, s, obs, particles = u.Model, u.State, u.Batch.Obs, 4
                  let rows = batchSize * particles
                  let noise = ChainNoise.draw cpu 4 rows 2 (Key.foldIn 5L key)
                  let repeated = obs.repeat_interleave (int64 particles, Nullable 0L)
                  let mutable x = noise.Initial.mul (Scalars.ofFloat 0.7)
                  let s' = model.Schedule

                  for i in 0..3 do
                      let t = 3 - i
                      let told = [ Array.create rows (float t) ]
                      let predicted = ActionNetwork.forward cpu model.Policy s.TargetPolicy repeated x told

                      let struct (mean, own) =
                          match config.Sampler with
                          | IdqlSampler.Posterior ->
                              struct (Diffusion.posteriorMean s' t x predicted, sqrt s'.PosteriorVariance[t])
                          | IdqlSampler.ClippedState ->
                              let beta = s'.Betas[t]

                              struct (x
                                          .sub(predicted.mul (Scalars.ofFloat (beta / sqrt (1.0 - s'.AlphaBars[t]))))
                                          .div(Scalars.ofFloat (sqrt (1.0 - beta))),
                                      sqrt beta)

                      let deviation = if t = 0 then 0.0 else max own config.ExplorationDeviation
                      let next = mean.add (noise.Steps[i].mul(Scalars.ofFloat deviation))
                      x <- if config.Sampler = IdqlSampler.ClippedState then Diffusion.clip next else next

                  let all = (Diffusion.clip x).view(int64 batchSize, int64 particles, 2L)
                  let critics = if config.ChooseByAverages then TwinCritics.averages s.Critics else s.Critics
                  let q = values (TwinCritics.values model.Critics critics obs all)
                  let flat = values all

                  let best =
                      [| for b in 0 .. batchSize - 1 do
                             let i = Seq.maxBy (fun i -> q[b * particles + i]) (seq { 0 .. particles - 1 })
                             for d in 0..1 -> flat[(b * particles + i) * 2 + d] |]

                  let none = Tensors.zeros cpu [ batchSize ]

                  closeTo
                      1e-4
                      "best of four"
                      best
                      (IdqlPolicy.sampled model s Purpose.Explore noise none obs |> values))

          testCase "acting draws chain and choice by keys of their own; N and choice differ by purpose" (fun () ->
              use _ = torch.NewDisposeScope()
              let u = started { small with Exploration = IdqlChoice.Expectile 0.7 } (Key.ofSeed 5L)
              let agent, key = Idql.agent u.Model, Key.ofSeed 6L
              let struct (chainKey, choiceKey) = Key.split key

              let wanted purpose particles =
                  let noise = ChainNoise.draw cpu 5 (batchSize * particles) 2 chainKey
                  let uniform = Key.uniform cpu [ batchSize ] choiceKey
                  IdqlPolicy.sampled u.Model u.State purpose noise uniform u.Batch.Obs |> values

              for purpose, particles in [ Purpose.Explore, 4; Purpose.Evaluate, 3 ] do
                  let acted = (agent.Act purpose u.State key u.Batch.Obs).Action |> values
                  Expect.equal acted (wanted purpose particles) $"{purpose}"

              let best = Idql.agent { u.Model with Config = { u.Model.Config with Exploration = IdqlChoice.Best } }
              let acted (agent: Agent<_, _>) = (agent.Act Purpose.Explore u.State key u.Batch.Obs).Action |> values
              Expect.differs (acted best) (acted agent) "the choice matters")

          testCase "a round is so many steps, then so many updates for each" (fun () ->
              use _ = torch.NewDisposeScope()
              let rhythm = (Idql.agent (IdqlPolicy.model cpu space IdqlConfig.published)).Rhythm
              Expect.equal (rhythm.VectorSteps, rhythm.Updates, rhythm.Environments) (1_000, 5_000, 10) "published"
              Expect.isTrue rhythm.KeepMemory "the memory stays"
              let paper = (Idql.agent (IdqlPolicy.model cpu space IdqlConfig.sdacPaper)).Rhythm
              Expect.equal (paper.VectorSteps, paper.Updates) (1, 1) "the paper's frame")

          testCase "time limits count as terminations only where asked" (fun () ->
              let transitions: Transitions =
                  { Obs = [||]
                    Action = [||]
                    Reward = [||]
                    Terminated = [| false; true; false |]
                    Truncated = [| true; false; false |]
                    NextObs = [||]
                    Current = [||]
                    Extras = [] }

              let stored terminate =
                  use _ = torch.NewDisposeScope()
                  let u = started { small with TimeLimitsTerminate = terminate } (Key.ofSeed 1L)
                  let struct (_, stored) = (Idql.agent u.Model).Observe transitions u.State
                  stored.Terminated

              Expect.equal (stored false) transitions.Terminated "off"
              Expect.equal (stored true) [| true; true; false |] "on")

          testCase "the presets have the reference sheet's settings" (fun () ->
              let p, d = IdqlConfig.published, IdqlConfig.dppo

              Expect.equal
                  (p.Hidden, p.CriticHidden, p.Chain.Timesteps, p.Chain.BetaSchedule, p.Sampler)
                  ([ 256; 256; 256 ],
                   [ 256; 256 ],
                   5,
                   BetaSchedule.VariancePreserving(0.1, 10.0),
                   IdqlSampler.ClippedState)
                  "networks and chain"

              Expect.equal
                  (p.ValueExpectile, p.PolicyTau, p.Critics.Tau, p.WeightDecay, p.BehaviourParticles)
                  (0.7, 0.001, 0.005, 1e-4, 64)
                  "learning"

              Expect.equal
                  (p.PolicyRate, p.Weights, p.ChooseByAverages, p.Evaluation)
                  (LearningRate.CosineDecay(3e-4, 0.0, 2_000_000L), IdqlWeights.Cloning, true, IdqlChoice.Best)
                  "policy"

              Expect.equal
                  (d.Chain.Timesteps, d.ExplorationDeviation, d.EvaluationDeviation, d.BehaviourParticles)
                  (10, 0.1, 0.001, 10)
                  "DPPO's chain"

              Expect.equal
                  (d.ValueExpectile, d.Exploration, d.Critics.RewardScale, d.Critics.Tau)
                  (0.8, IdqlChoice.Expectile 0.7, 0.01, 0.001)
                  "DPPO's learning"

              Expect.equal (d.PolicyRate, d.Adam.LearningRate) (LearningRate.Constant 1e-4, 1e-3) "DPPO's rates"

              for preset in Idql.algorithm.Presets do
                  Expect.equal (IdqlConfig.problems preset.Config) [] preset.Name)

          testCase "impossible settings are one sentence each" (fun () ->
              let problems change = IdqlConfig.problems (change small) |> String.concat "; "
              let says (text: string) change = Expect.stringContains (problems change) text text
              says "valueExpectile is 1; an expectile lies between 0 and 1" (fun c -> { c with ValueExpectile = 1.0 })
              says "exploration is 0; an expectile lies" (fun c -> { c with Exploration = IdqlChoice.Expectile 0.0 })
              says "roundSteps is 0; it must be at least 1" (fun c -> { c with RoundSteps = 0 })
              says "timesteps is 0; it must be at least 1" (fun c -> { c with Chain.Timesteps = 0 })
              says "behaviourParticles is 0" (fun c -> { c with BehaviourParticles = 0 })
              says "weightDecay is -1" (fun c -> { c with WeightDecay = -1.0 })
              says "policyTau is 2" (fun c -> { c with PolicyTau = 2.0 })

              says "the β of weights is 0; it must be a positive number" (fun c ->
                  { c with Weights = IdqlWeights.Exponential(0.0, 100.0) })

              Expect.equal (problems id) "" "possible") ]
