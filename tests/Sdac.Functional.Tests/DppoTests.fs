module Sdac.Tests.DppoTests

open System
open Expecto
open FsCheck.FSharp
open Sdac.Functional
open Sdac.Environments
open TorchSharp
open Sdac.Tests.Properties
open Sdac.Tests.Figures
open Sdac.Tests.TwinCriticsTests
open Sdac.Tests.Rollouts
open Sdac.Testing

let private small: DppoConfig =
    { DppoConfig.published with
        Networks.PolicyWidth = 11
        Networks.ValueWidth = 9
        Chain.Timesteps = 4
        Rollout = { Environments = 3; VectorSteps = 8; Epochs = 3; Minibatches = 6 } }

let private cpu = Compute.cpu
let private modelOf compute (config: DppoConfig) = DppoPolicy.model compute space config
let private scalar = Scalars.ofFloat
let private doubles (numbers: float[]) = torch.tensor numbers
let private halfLogTwoPi = 0.5 * log (2.0 * Math.PI)

// ---- the definitions in double precision

/// [rows, 1] of a schedule's coefficients.
let private column (coefficients: float[]) (t: int[]) : Tensor =
    (doubles (t |> Array.map (fun t -> coefficients[t]))).unsqueeze 1L

/// The mean of a denoising step for a predicted noise, and its deviation.
let private gaussian (model: DppoModel) (t: int[]) (x: Tensor) (noise: Tensor) : struct (Tensor * Tensor) =
    let s = model.Schedule

    let clean = (column s.SqrtRecipAlphaBars t).mul(x).sub((column s.SqrtRecipM1AlphaBars t).mul noise)

    let mean =
        (column s.PosteriorMeanCoef1 t)
            .mul(clean.clamp (scalar -1.0, scalar 1.0))
            .add((column s.PosteriorMeanCoef2 t).mul x)

    let deviations =
        Array.init s.Timesteps (fun t ->
            max model.Config.Denoising.DeviationFloor (if t = 0 then 0.0 else sqrt s.PosteriorVariance[t]))

    struct (mean, column deviations t)

let private logProbability (model: DppoModel) (policy: Tensor) (obs: Tensor) (t: int[]) (x: Tensor) (reached: Tensor) =
    let d = model.Config.Denoising
    let noise = ChainTests.doubleNetwork model.Policy policy obs x [ Array.map float t ]
    let struct (mean, deviation) = gaussian model t x noise
    let z = (reached.sub mean).div deviation

    let each =
        z
            .square()
            .mul(scalar -0.5)
            .sub(deviation.log ())
            .sub(scalar halfLogTwoPi)
            .clamp(scalar d.LogDensityLow, scalar d.LogDensityHigh)

    if d.Likelihood = StepLikelihood.Mean then each.mean [| 1L |] else each.sum 1L

let private valueOf (model: DppoModel) (flat: Tensor) (obs: Tensor) =
    let mutable x, at = obs, 0L

    for segment in model.Value do
        let part = flat.narrow (0L, at, int64 segment.Shape.ParameterCount)
        let y = Doubles.activate segment.Before x |> Doubles.forward segment.Shape part
        x <- if segment.Skip then x.add y else y
        at <- at + int64 segment.Shape.ParameterCount

    x.view -1L

let private wide width (numbers: float32[]) =
    Tensors.ofArray cpu [ numbers.Length / width; width ] numbers |> Doubles.double

let private timesOf (u: DppoUpdate) =
    u.Steps.Place |> Array.map (fun place -> u.Model.Config.Chain.Timesteps - 1 - place)

/// The clipped loss of an update, term by term.
let private lossOf (u: DppoUpdate) (policy: Tensor) : Tensor =
    let o, s, steps = u.Model.Config.Objective, u.Steps, u.Model.Config.Chain.Timesteps

    let advantage =
        let a = doubles s.Advantage

        if o.NormaliseAdvantages then
            (a.sub (a.mean ())).div((a.std ()).add(scalar 1e-8))
        else
            a

    let at (f: float -> float) = s.Place |> Array.map (float >> f) |> doubles
    let advantage = advantage.mul (at (fun place -> o.DenoisingDiscount ** (float steps - 1.0 - place)))

    let range =
        at (fun place ->
            let grown = (exp (o.ClipGrowth * place / (float steps - 1.0)) - 1.0) / (exp o.ClipGrowth - 1.0)
            o.ClipBase + (o.ClipRange - o.ClipBase) * grown)

    let logs =
        logProbability u.Model policy (Doubles.double u.Batch.Obs) (timesOf u) (wide 2 s.From) (wide 2 s.Reached)

    let ratio = (logs.sub (doubles s.LogProbability)).exp()
    let one = torch.ones_like range
    let bounded = ratio.maximum(one.sub range).minimum(one.add range)
    (ratio.mul advantage).minimum(bounded.mul advantage).mean().neg()

/// An update of random networks on random steps, whose ratios lie on both sides of the clip.
let private started (config: DppoConfig) (key: Key) : DppoUpdate =
    let model = modelOf cpu config
    let keys = Key.splitMany 9 key
    let fresh = DppoPolicy.init model keys[0]
    let batch = batchOf keys[1]
    let place = Key.integers config.Chain.Timesteps batchSize keys[2]
    let t = place |> Array.map (fun place -> config.Chain.Timesteps - 1 - place)
    let from = Key.normal cpu [ batchSize; 2 ] keys[3]
    let policy, obs = Doubles.double fresh.Policy.Flat, Doubles.double batch.Obs
    let x = Doubles.double from
    let noise = ChainTests.doubleNetwork model.Policy policy obs x [ Array.map float t ]
    let struct (mean, deviation) = gaussian model t x noise
    let z = Doubles.double (Key.normal cpu [ batchSize; 2 ] keys[4])
    let reached = (mean.add (deviation.mul z)).``to`` torch.float32
    let now = logProbability model policy obs t x (Doubles.double reached) |> Doubles.numbers
    let numbers i = values (Key.normal cpu [ batchSize ] keys[i])

    { Model = model
      Batch = batch
      Steps =
        { Place = place
          From = Tensors.toArray from
          Reached = Tensors.toArray reached
          LogProbability = Array.map2 (fun now apart -> now - 0.2 * apart) now (numbers 5)
          Advantage = numbers 6
          Return = numbers 7 }
      State = fresh
      Next = fresh
      Figures = Map.empty
      Verdict = Verdict.Continue }

let private configs =
    gen {
        let! likelihood = Gen.elements [ StepLikelihood.Mean; StepLikelihood.Sum ]
        let! activation = Gen.elements [ HiddenActivation.Relu; HiddenActivation.Mish; HiddenActivation.Tanh ]
        let! normalise = Gen.elements [ true; false ]
        let! clipBase = Gen.elements [ 0.1; 0.02; 0.3 ]
        let! discount = Gen.elements [ 1.0; 0.8 ]
        let! low = Gen.elements [ -5.0; -1.5 ]

        return
            { small with
                Networks.PolicyActivation = activation
                Networks.ValueActivation = activation
                Denoising.Likelihood = likelihood
                Denoising.LogDensityLow = low
                Objective.ClipBase = clipBase
                Objective.DenoisingDiscount = discount
                Objective.NormaliseAdvantages = normalise }
    }

let private collected config = Rollouts.collected (Dppo.agent (modelOf cpu config))

/// Row r, step i of stored chains.
let private chainOf (r: MadeRollout<_, _>) (config: DppoConfig) =
    let stored, width = all (fun t -> t.Extras[1]) r, 2 * (config.Chain.Timesteps + 1)
    fun row i -> Array.sub stored (row * width + 2 * i) 2

// ---- tests

let private sheet =
    [ testCase "a dimension's log-density has the reference sheet's numbers" (fun () ->
          let d = small.Denoising
          closeTo 1e-6 "off the mean" [| 0.258647 |] [| DenoisingSteps.logDensity 0.1 0.2 0.35 |]
          closeTo 1e-6 "at the mean" [| 1.383647 |] [| DenoisingSteps.logDensity 0.1 0.2 0.2 |]
          closeTo 1e-6 "at 3σ" [| -3.116353 |] [| DenoisingSteps.logDensity 0.1 0.2 0.5 |]
          closeTo 1e-6 "the lower limit" [| d.LogDensityLow |] [| DenoisingSteps.logDensity 0.1 0.0 0.3573135 |]
          // noise is clipped at 3: at the floor nothing that was collected reaches the limit
          Expect.isGreaterThan
              (DenoisingSteps.logDensity d.DeviationFloor 0.0 (d.DeviationFloor * d.NoiseClip))
              d.LogDensityLow
              "clipped noise")

      testCase "the ratio of two dimensions has the reference sheet's numbers, by the mean and by the sum" (fun () ->
          let model = modelOf cpu small
          // at t = 0 the mean is x̂_0 itself: -√(1/ᾱ - 1)·ε for x = 0
          let toNoise mean = float32 (-mean / model.Schedule.SqrtRecipM1AlphaBars[0])

          let logs likelihood (means: float list) =
              let struct (logs, _) =
                  DenoisingSteps.likelihood
                      model.Schedule
                      { small.Denoising with Likelihood = likelihood }
                      (DenoisingSteps.deviations model.Schedule 0.1)
                      [| 0 |]
                      [| 0f; 0f |]
                      [| 0.35f; -0.1f |]
                      [| for mean in means -> toNoise mean |]

              logs

          let before, after = [ 0.2; 0.0 ], [ 0.25; -0.05 ]
          let both = StepLikelihood.Sum
          closeTo 1e-5 "old" [| 0.258647 + 0.883647 |] (logs both before)
          closeTo 1e-5 "new" [| 0.883647 + 1.258647 |] (logs both after)

          let ratio likelihood = exp ((logs likelihood after)[0] - (logs likelihood before)[0])
          closeTo 1e-5 "by the mean" [| 1.648721 |] [| ratio StepLikelihood.Mean |]
          closeTo 1e-5 "by the sum" [| 2.718282 |] [| ratio both |]

          let climbed advantage =
              let steps =
                  { Place = [| 3 |]
                    From = [| 0f; 0f |]
                    Reached = [| 0.35f; -0.1f |]
                    LogProbability = logs StepLikelihood.Mean before
                    Advantage = [| advantage |]
                    Return = [| 0.0 |] }

              -(Dppo.objective small.Objective 4 steps (logs StepLikelihood.Mean after)).Loss

          closeTo 1e-5 "A = 1" [| 1.1 |] [| climbed 1.0 |]
          closeTo 1e-5 "A = -1" [| -1.648721 |] [| climbed -1.0 |])

      testCase "advantages have the reference sheet's numbers" (fun () ->
          let steps terminated =
              { Environments = 1
                Reward = [| 1.0; 2.0; 3.0 |]
                Value = [| 0.5; 1.0; 1.5 |]
                NextValue = [| 1.0; 1.5; 2.0 |]
                Terminated = [| false; terminated; false |]
                Truncated = Array.create 3 false }

          let advantages terminated =
              let struct (found, _) = Advantage.estimate small.Discount small.Lambda (steps terminated)
              found

          closeTo 1e-6 "going on" [| 6.905343; 5.757940; 3.480000 |] (advantages false)
          closeTo 1e-6 "a termination" [| 2.430500; 1.000000; 3.480000 |] (advantages true))

      testCase "rewards are scaled by the reference sheet's numbers" (fun () ->
          let struct (scale, scaled) =
              ReturnScale.observeRound 0.99 10.0 [| 1.0; 1.0; 1.0 |] (Array.create 3 false) (ReturnScale.start 1)

          let m = scale.Moments
          closeTo 1e-9 "return" [| 2.9701 |] scale.Return
          closeTo 1e-6 "variance" [| 0.970530 |] [| m.Variance[0] * m.Count / (m.Count - 1.0) |]
          closeTo 1e-6 "scaled" (Array.create 3 1.015069) scaled)

      testCase "the clip grows along the chain by the reference sheet's numbers, or is one" (fun () ->
          let o = { small.Objective with ClipBase = 0.001; ClipRange = 0.01 }

          closeTo
              1e-6
              "ten steps"
              [| 0.001; 0.001187; 0.001447; 0.001810; 0.002317; 0.003025; 0.004013; 0.005391; 0.007315; 0.01 |]
              (Array.init 10 (Dppo.clipRange o 10))

          closeTo 1e-12 "one step" [| 0.01 |] [| Dppo.clipRange o 1 0 |]
          closeTo 1e-12 "flat" (Array.create 10 0.1) (Array.init 10 (Dppo.clipRange small.Objective 10)))

      testCase "the deviations have the reference sheet's numbers; an evaluation's last step has none" (fun () ->
          let s = Schedule.create BetaSchedule.Cosine 10

          let wanted =
              [| 0.1; 0.144219; 0.243172; 0.327271; 0.406521; 0.487794; 0.578098; 0.687273; 0.830970; 0.987399 |]

          closeTo 1e-5 "training" wanted (DenoisingSteps.deviations s 0.1)
          closeTo 1e-5 "evaluation" (Array.append [| 0.0 |] wanted[1..]) (DenoisingSteps.evaluationDeviations s 0.001)
          let raised = DenoisingSteps.evaluationDeviations s 0.3
          closeTo 1e-5 "a higher floor" [| 0.0; 0.3; 0.3; 0.327271 |] raised[..3]) ]

let private acting =
    [ testForAll
          "actions are the ends of chains written step by step, not clipped; the chain and its log-probabilities are stored"
          30
          (Gen.zip configs (Gen.zip keys (Gen.elements [ 3.0; 0.4 ])))
          (fun (config, (key, clip)) ->
              use _ = torch.NewDisposeScope()
              let config = { config with Denoising.NoiseClip = clip; Chain.InitialNoiseScale = 0.7 }
              let model = modelOf cpu config
              let agent = Dppo.agent model
              let state = agent.Init key
              let obs = Key.normal cpu [ 5; 4 ] (Key.foldIn 1L key)
              let acted = agent.Act Purpose.Explore state (Key.foldIn 2L key) obs
              let noise = ChainNoise.draw cpu 4 5 2 (Key.foldIn 2L key)

              let seen =
                  let m = RunningMoments.observe (values obs) (RunningMoments.start 4)
                  RunningMoments.normaliseSingle 10.0 m (Tensors.toArray obs) |> wide 4

              let policy = Doubles.double state.Policy.Flat
              let mutable x = (Doubles.double noise.Initial).mul(scalar 0.7)
              let chain, logs = ResizeArray [ Doubles.numbers x ], ResizeArray()

              for i in 0..3 do
                  let t = Array.create 5 (3 - i)
                  let predicted = ChainTests.doubleNetwork model.Policy policy seen x [ Array.map float t ]
                  let struct (mean, deviation) = gaussian model t x predicted
                  let z = (Doubles.double noise.Steps[i]).clamp(scalar -clip, scalar clip)
                  let next = mean.add (deviation.mul z)
                  logs.Add(logProbability model policy seen t x next |> Doubles.numbers)
                  x <- next
                  chain.Add(Doubles.numbers x)

              closeTo 1e-4 "action" (Doubles.numbers x) (values acted.Action)

              match acted.Extras with
              | [ obs; stored; logProbability ] ->
                  closeTo 1e-5 "obs" (Doubles.numbers seen) (values obs)
                  let line (parts: ResizeArray<float[]>) row = [| for part in parts -> part[row] |]
                  let chains = [| for row in 0..4 -> [| for x in chain -> Array.sub x (2 * row) 2 |] |]
                  closeTo 1e-4 "chain" (Array.concat (Array.concat chains)) (values stored)

                  closeTo
                      2e-3
                      "log-probability"
                      (Array.concat [ for row in 0..4 -> line logs row ])
                      (values logProbability)
              | other -> failtest $"{other.Length} extras")

      testCase "training actions leave the box, evaluations do not" (fun () ->
          use _ = torch.NewDisposeScope()
          let agent = Dppo.agent (modelOf cpu small)
          let state = agent.Init(Key.ofSeed 4L)
          let obs = Key.normal cpu [ 400; 4 ] (Key.ofSeed 5L)
          let act purpose = (agent.Act purpose state (Key.ofSeed 6L) obs).Action |> values |> Array.map abs
          let trained, evaluated = act Purpose.Explore, act Purpose.Evaluate
          Expect.exists trained (fun a -> a > 1.0) "some are beyond the box"
          Expect.all trained (fun a -> a <= 1.3 + 1e-6) "by three deviations of the last step"
          Expect.all evaluated (fun a -> a <= 1.0) "in the box")

      testForAll
          "an evaluation's chain has its own deviations, the moments as they are, and stores nothing"
          15
          (Gen.zip configs keys)
          (fun (config, key) ->
              use _ = torch.NewDisposeScope()
              let r = collected config (fun _ -> 0) key
              let model = modelOf cpu config
              let obs = Key.normal cpu [ 3; 4 ] (Key.foldIn 1L key)
              let acted = r.Agent.Act Purpose.Evaluate r.State (Key.foldIn 2L key) obs
              let noise = ChainNoise.draw cpu 4 3 2 (Key.foldIn 2L key)
              let seen = RunningMoments.normaliseSingle 10.0 r.State.Observations (Tensors.toArray obs)

              let deviations = DenoisingSteps.evaluationDeviations model.Schedule 0.001

              let struct (xs, _) =
                  DppoPolicy.chain model r.State.Policy deviations noise (Tensors.ofArray cpu [ 3; 4 ] seen)

              closeTo 1e-6 "action" (Array.last xs |> Array.map float) (values acted.Action)
              Expect.isEmpty acted.Extras "extras") ]

let private rounds =
    [ testForAll
          "observations are normalised by the moments of all that were acted on, the next ones and the last ones by the same"
          20
          (Gen.zip keys (Gen.elements [ 0; 1; 2 ]))
          (fun (key, kind) ->
              use _ = torch.NewDisposeScope()
              let r = collected small (fun i -> if i % 5 = 4 then kind else 0) key
              let seen = ResizeArray(Array.map float r.Stored.Head.Obs)

              let normal (obs: float32[]) =
                  let m = RunningMoments.merge (RunningMoments.start 4) (RunningMoments.ofRows 4 (seen.ToArray()))
                  RunningMoments.normalise 10.0 m (Array.map float obs)

              for t in r.Stored do
                  closeTo 1e-4 "obs" (normal t.Obs) (Array.map float t.Extras[0])
                  seen.AddRange(Array.map float t.Current)
                  closeTo 1e-4 "next obs" (normal t.NextObs) (Array.map float t.Extras[3])

              Expect.equal r.State.Returns r.First.Returns "rewards wait for the round's end")

      testForAll
          "advantages are those of rewards scaled by the whole round, and bootstrap from the true next observation"
          20
          (Gen.zip keys (Gen.zip (Gen.elements [ 0; 1; 2 ]) (Gen.elements [ true; false ])))
          (fun (key, (kind, terminates)) ->
              use _ = torch.NewDisposeScope()
              let config = { small with TimeLimitsTerminate = terminates }
              let model = modelOf cpu config
              let r = collected config (fun i -> if i % 7 = 3 then kind else 0) key
              let struct (state, table) = table r (Key.foldIn 9L key)
              let flat = Doubles.double r.State.Value.Flat
              let value extra = all (fun t -> valueOf model flat (wide 4 t.Extras[extra]) |> Doubles.numbers) r
              let ends = Array.init 24 (fun i -> if i % 7 = 3 then kind else 0)
              let ended = ends |> Array.map (fun kind -> kind > 0)

              let struct (scale, reward) =
                  ReturnScale.observeRound
                      0.99
                      10.0
                      (all (fun t -> Array.map float t.Reward) r)
                      ended
                      (ReturnScale.start 3)

              let struct (wanted, returns) =
                  Advantage.estimate
                      0.99
                      0.95
                      { Environments = 3
                        Reward = reward
                        Value = value 0
                        NextValue = value 3
                        Terminated = ends |> Array.map (fun kind -> kind = 1 || kind = 2 && terminates)
                        Truncated = ends |> Array.map (fun kind -> kind = 2 && not terminates) }

              let column name = table.Columns[name] |> Array.map float
              closeTo 1e-6 "rewards" reward (column "reward")
              closeTo 5e-5 "values" (value 0) (column "value")
              closeTo 2e-4 "advantages" wanted (column "advantage")
              closeTo 2e-4 "returns" returns (column "return")
              Expect.equal state.Returns scale "the state's scale"
              Expect.equal state.Minibatch 0L "counter")

      testCase "rewards and observations stay as they are where the settings say so" (fun () ->
          use _ = torch.NewDisposeScope()
          let r = collected { small with Normalisation = NormalisationSettings.off } (fun _ -> 0) (Key.ofSeed 5L)
          let struct (state, table) = table r (Key.ofSeed 6L)
          Expect.equal table.Columns["reward"] (all _.Reward r) "rewards"
          Expect.equal table.Columns["obs"] (all _.Obs r) "observations"
          Expect.equal state.Returns r.First.Returns "no returns")

      testForAll
          "every epoch learns from each pair of transition and step once, in an order of its own, with its own numbers"
          10
          (Gen.zip configs keys)
          (fun (config, key) ->
              use _ = torch.NewDisposeScope()
              let r = collected config (fun _ -> 0) key
              let chain, logs = chainOf r config, all (fun t -> t.Extras[2]) r
              let struct (state, table) = table r (Key.foldIn 9L key)
              let part i = r.Agent.Begin table noKeys { state with Minibatch = int64 i }
              let epochs = [ for k in 0..2 -> [| for i in 0..5 -> part (6 * k + i) |] ]
              let column name row = [| float (table.Columns[name][row]) |]

              let pairsOf (u: DppoUpdate) =
                  [| for b in 0..15 do
                         let place = u.Steps.Place[b]
                         let from = Array.sub u.Steps.From (2 * b) 2
                         let row = Seq.findIndex (fun row -> chain row place = from) (seq { 0..23 })
                         let line width (t: Tensor) = Array.sub (Tensors.toArray t) (b * width) width
                         let of' name width = Array.sub table.Columns[name] (row * width) width
                         Expect.equal (Array.sub u.Steps.Reached (2 * b) 2) (chain row (place + 1)) "reached"
                         Expect.equal (u.Steps.LogProbability[b]) (float (logs[4 * row + place])) "log-probability"
                         Expect.equal (line 4 u.Batch.Obs) (of' "obs" 4) "obs"
                         Expect.equal (line 4 u.Batch.NextObs) (of' "nextObs" 4) "next obs"
                         Expect.equal (line 2 u.Batch.Action) (chain row 4) "action"
                         Expect.equal (line 1 u.Batch.Reward) (of' "reward" 1) "reward"
                         Expect.equal [| u.Steps.Advantage[b] |] (column "advantage" row) "advantage"
                         Expect.equal [| u.Steps.Return[b] |] (column "return" row) "return"
                         row, place |]

              let orders = epochs |> List.map (Array.collect pairsOf)

              for order in orders do
                  Expect.equal
                      (Array.sort order)
                      [| for row in 0..23 do
                             for i in 0..3 -> row, i |]
                      "all pairs"

              Expect.equal (List.distinct orders).Length 3 "orders") ]

let private updates =
    [ testForAll
          "the policy's gradient is that of the clipped loss in double precision"
          60
          (Gen.zip configs keys)
          (fun (config, key) ->
              use _ = torch.NewDisposeScope()
              let u = started config key
              let flat = Doubles.leaf u.State.Policy
              let loss = lossOf u flat
              let wanted = Doubles.gradient loss flat |> Doubles.numbers
              let scale = 1.0 + (wanted |> Array.map abs |> Array.max)

              for compute in [ cpu; Compute.libtorch ] do
                  let struct (gradient, clipped) = Dppo.policyGradient { u with Model = modelOf compute config }
                  closeTo (2e-4 * scale) "gradient" wanted (values gradient)
                  closeTo 1e-4 "loss" (Doubles.numbers loss) [| clipped.Loss |])

      testForAll
          "the value's gradient is that of its mean squared error times the coefficient"
          30
          (Gen.zip configs keys)
          (fun (config, key) ->
              use _ = torch.NewDisposeScope()
              let u = started config key
              let flat = Doubles.leaf u.State.Value
              let error = valueOf u.Model flat (Doubles.double u.Batch.Obs)
              let loss = error.sub(doubles u.Steps.Return).square().mean()
              let wanted = Doubles.gradient (loss.mul (scalar 0.25)) flat |> Doubles.numbers

              for compute in [ cpu; Compute.libtorch ] do
                  let struct (gradient, told) = Dppo.valueGradient { u with Model = modelOf compute config }
                  closeTo 1e-4 "gradient" wanted (values gradient)
                  closeTo 1e-5 "loss" (Doubles.numbers loss) [| told |])

      testForAll
          "a step is Adam's of each network at its own rate, along a gradient of at most the given length"
          20
          (Gen.zip keys (Gen.elements [ Some 0.02; Some 1e6; None ]))
          (fun (key, most) ->
              use _ = torch.NewDisposeScope()
              let config = { small with Objective.MaximumGradientNorm = most; Objective.TargetKl = None }

              let u =
                  started
                      { config with
                          Adam.AdamEpsilon = 1e-3
                          PolicyRate = LearningRate.LinearDecay(0.02, 0.0, 10L, 10L) }
                      key

              let struct (policy, clipped) = Dppo.policyGradient u
              let struct (value, error) = Dppo.valueGradient u
              let next = Dppo.improve u

              // the first step of Adam: m̂ = g, v̂ = g²
              let check what rate (gradient: Tensor) (before: Params) (after: Params) =
                  let gradient = values gradient
                  let norm = sqrt (Array.sumBy (fun g -> g * g) gradient)

                  let share =
                      match most with
                      | Some most when norm > most -> most / (norm + 1e-6)
                      | _ -> 1.0

                  closeTo 1e-5 "told" [| norm |] [| next.Figures[$"{what}GradientNorm"] |]
                  let step g = rate * share * g / (abs (share * g) + 1e-3)
                  let wanted = Array.map2 (fun p g -> p - step g) (values before.Flat) gradient
                  closeTo 1e-5 what wanted (values after.Flat)

              check "policy" 0.02 policy u.State.Policy next.Next.Policy
              check "value" 1e-3 value u.State.Value next.Next.Value
              Expect.equal (next.Next.PolicyAdam.Count, next.Next.ValueAdam.Count) (1L, 1L) "counts"

              Expect.equal
                  (next.Figures["policyLoss"], next.Figures["valueLoss"], next.Figures["kl"])
                  (clipped.Loss, error, clipped.Kl)
                  "figures")

      testCase "the policy's rate follows its own steps" (fun () ->
          use _ = torch.NewDisposeScope()

          let config =
              { small with PolicyRate = LearningRate.LinearDecay(1e-2, 0.0, 0L, 10L); Objective.TargetKl = None }

          let u = started config (Key.ofSeed 3L)

          let moved count =
              let state = { u.State with PolicyAdam = { u.State.PolicyAdam with Count = count } }
              let next = (Dppo.improve { u with State = state; Next = state }).Next
              (next.Policy.Flat.sub u.State.Policy.Flat).abs().max() |> Tensors.scalar

          Expect.isGreaterThan (moved 0L) 5e-3 "at the start"
          Expect.equal (moved 10L) 0.0 "at the end")

      testCase "a divergence beyond its target ends the round before the step" (fun () ->
          use _ = torch.NewDisposeScope()
          let kl = (Dppo.improve (started small (Key.ofSeed 3L))).Figures["kl"]

          let improved target = Dppo.improve (started { small with Objective.TargetKl = Some target } (Key.ofSeed 3L))

          let stopped, goes = improved (kl / 1.01), improved (kl / 0.99)
          Expect.equal (stopped.Verdict, goes.Verdict) (Verdict.EndOfRound, Verdict.Continue) "verdicts"
          let same (a: Params) (b: Params) = obj.ReferenceEquals(a, b)
          Expect.isTrue (same stopped.Next.Policy stopped.State.Policy) "no step of the policy"
          Expect.isTrue (same stopped.Next.Value stopped.State.Value) "nor of the value"
          Expect.isFalse (same goes.Next.Policy goes.State.Policy) "a step")

      testCase
          "the first update of a round has ratios of one; a round that was ended goes on with the next one's collecting"
          (fun () ->
              let config =
                  { DppoConfig.tiny with
                      Objective.TargetKl = Some 1e-7
                      Objective.ClipRange = 0.1
                      Objective.ClipBase = 0.1 }

              let e = Experiment.on Dppo.algorithm "InvertedPendulum-v4" |> Experiment.configure (fun _ -> config)
              let mutable step = Pipeline.start e

              try
                  step <- Pipeline.consume Pipeline.standard step
                  Expect.equal (step.Iteration, step.State.Minibatch) (1L, 1L) "the first update"
                  Expect.isLessThan (abs step.Figures.Value["kl"]) 1e-7 "its ratios"
                  Expect.equal step.Figures.Value["clippedShare"] 0.0 "clipped"
                  step <- Pipeline.consume Pipeline.standard step
                  Expect.equal (step.Iteration, step.EnvSteps) (16L, 256L) "the second one ends the round"
                  step <- Pipeline.consume Pipeline.standard step
                  Expect.equal (step.Iteration, step.EnvSteps, step.State.Minibatch) (17L, 512L, 1L) "the next round"
              finally
                  Pipeline.dispose step)

      testCase "an update that no stage has made is refused" (fun () ->
          use _ = torch.NewDisposeScope()
          let u = started small (Key.ofSeed 3L)
          let finish (u: DppoUpdate) = (Dppo.agent u.Model).Finish u |> ignore
          let error = Expect.raises<RefusedOperationException>(fun () -> finish u)
          Expect.stringContains error.Message "put `improve` behind `collect`" "sentence"
          finish (Dppo.improve u)) ]

let private settings =
    [ testCase "impossible settings are refused in a sentence each" (fun () ->
          let refused words change = failsWith words (fun () -> modelOf cpu (change small) |> ignore)

          refused
              [ "minibatches is 5"
                "96 pairs of a transition and one of 4 denoising steps"
                "take one that does" ]
              (fun c -> { c with Rollout.Minibatches = 5 })

          refused [ "vectorSteps is 6000000"; "more than 16777216 pairs" ] (fun c ->
              { c with Rollout.VectorSteps = 6_000_000; Rollout.Environments = 1 })

          refused [ "timesteps is 0"; "at least 1" ] (fun c -> { c with Chain.Timesteps = 0 })
          refused [ "policyWidth is 0" ] (fun c -> { c with Networks.PolicyWidth = 0 })
          refused [ "valueBlocks is 0" ] (fun c -> { c with Networks.ValueBlocks = 0 })

          refused
              [ "logDensityHigh is 2"
                "the log-density 3.686 of a step at its mean with deviation 0.01"
                "larger deviationFloor" ]
              (fun c -> { c with Denoising.DeviationFloor = 0.01 })

          refused [ "logDensityLow is 3; it must be less than logDensityHigh (2)" ] (fun c ->
              { c with Denoising.LogDensityLow = 3.0 })

          for bad in [ nan; infinity; 0.0; -0.2 ] do
              refused [ "clipRange is"; "positive number" ] (fun c -> { c with Objective.ClipRange = bad })
              refused [ "clipBase is" ] (fun c -> { c with Objective.ClipBase = bad })
              refused [ "targetKl is" ] (fun c -> { c with Objective.TargetKl = Some bad })
              refused [ "deviationFloor is" ] (fun c -> { c with Denoising.DeviationFloor = bad })
              refused [ "noiseClip is" ] (fun c -> { c with Denoising.NoiseClip = bad })

              refused [ "denoisingDiscount is" ] (fun c ->
                  { c with Objective.DenoisingDiscount = (if bad = 0.0 then nan else bad) })

          refused [ "policyRate stays at -1" ] (fun c -> { c with PolicyRate = LearningRate.Constant -1.0 })
          refused [ "clipGrowth is 0" ] (fun c -> { c with Objective.ClipGrowth = 0.0 })
          refused [ "denoisingDiscount is 1.1" ] (fun c -> { c with Objective.DenoisingDiscount = 1.1 }))

      testCase "the networks are the authors'" (fun () ->
          let model = DppoPolicy.model cpu { ObsDim = 17; ActionDim = 6 } DppoConfig.published
          let layer a b = a * b + b
          let counts (segments: Segment list) = segments |> List.map _.Shape.ParameterCount
          let inputs = 17 + 6 + 16

          Expect.equal
              (counts model.Policy.Segments)
              [ layer inputs 512; 2 * layer 512 512; layer 512 6 ]
              "the policy's layers"

          Expect.equal (counts model.Value) [ layer 17 256; 2 * layer 256 256; layer 256 1 ] "the value's"

          Expect.equal
              [ for s in model.Policy.Segments -> s.Before, s.Skip ]
              [ Sdac.Kernels.Activation.Identity, false
                Sdac.Kernels.Activation.Relu, true
                Sdac.Kernels.Activation.Identity, false ]
              "an activation before each layer of the block, none elsewhere"

          Expect.equal model.Value[1].Shape.Hidden Sdac.Kernels.Activation.Mish "the value's activation"
          use _ = torch.NewDisposeScope()
          let state = DppoPolicy.init model (Key.ofSeed 1L)
          let first = Params.slice "segment0.layer0.weight" state.Value |> values |> Array.map abs |> Array.max
          Expect.isTrue (first <= 1.0 / sqrt 17.0 && first > 0.99 / sqrt 17.0) "PyTorch's bound")

      testCase "the presets have the reference sheet's settings" (fun () ->
          let preset name = Dppo.algorithm.Presets |> List.find (fun p -> p.Name = name)
          let c = (preset "published").Config

          Expect.equal
              (c.Chain, c.Rollout)
              ({ Timesteps = 10; BetaSchedule = BetaSchedule.Cosine; InitialNoiseScale = 1.0 },
               { Environments = 10; VectorSteps = 1000; Epochs = 10; Minibatches = 20 })
              "chain and rollout"

          Expect.equal
              (c.PolicyRate, c.Adam.LearningRate, c.Adam.AdamEpsilon, c.Discount, c.Lambda)
              (LearningRate.Constant 1e-4, 1e-3, 1e-8, 0.99, 0.95)
              "rates and discounts"

          let o = c.Objective

          Expect.equal
              (o.ClipRange, o.ClipBase, o.DenoisingDiscount, o.ValueCoefficient, o.TargetKl, o.MaximumGradientNorm)
              (0.1, 0.1, 1.0, 0.25, Some 1.0, None)
              "objective"

          Expect.equal
              c.Denoising
              { DeviationFloor = 0.1
                EvaluationFloor = 0.001
                NoiseClip = 3.0
                Likelihood = StepLikelihood.Mean
                LogDensityLow = -5.0
                LogDensityHigh = 2.0 }
              "denoising"

          Expect.equal ((preset "published").Iterations, (preset "sdac-paper").Iterations) (90_000L, 20_000L) "updates"
          Expect.isFalse c.TimeLimitsTerminate "time limits bootstrap"

          for preset in Dppo.algorithm.Presets do
              Expect.equal (DppoConfig.problems preset.Config) [] preset.Name) ]

[<Tests>]
let tests = testList "DPPO" (sheet @ acting @ rounds @ updates @ settings)
