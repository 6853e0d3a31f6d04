module Sdac.Tests.PpoTests

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

let private small: PpoConfig =
    { PpoConfig.normalised with
        Networks.Hidden = [ 12; 9 ]
        Networks.InitialLogStd = 0.4
        Rollout = { Environments = 3; VectorSteps = 8; Epochs = 3; Minibatches = 4 } }

let private modelOf compute (config: PpoConfig) = PpoPolicy.model compute space { Iterations = 1_000L } config

let private halfLogTwoPi = 0.5 * log (2.0 * Math.PI)

// ---- the definitions in double precision

let private policyOf (model: PpoModel) (flat: Tensor) (obs: Tensor) =
    Doubles.forward model.Networks.Policy (flat.narrow (0L, 0L, int64 model.Networks.Policy.ParameterCount)) obs

let private valueOf (model: PpoModel) (flat: Tensor) (obs: Tensor) =
    let offset = int64 (model.Networks.Policy.ParameterCount + space.ActionDim)

    (Doubles.forward model.Networks.Value (flat.narrow (0L, offset, int64 model.Networks.Value.ParameterCount)) obs)
        .view
        -1L

let private logStdOf (model: PpoModel) (flat: Tensor) =
    flat.narrow (0L, int64 model.Networks.Policy.ParameterCount, int64 space.ActionDim)

let private logProbability (model: PpoModel) (flat: Tensor) (obs: Tensor) (action: Tensor) =
    let logStd = logStdOf model flat
    let z = (action.sub (policyOf model flat obs)).div(logStd.exp ())
    z.square().mul(Scalars.ofFloat -0.5).sub(logStd).sub(Scalars.ofFloat halfLogTwoPi).sum 1L

let private doubles (numbers: float[]) = torch.tensor numbers

/// The loss of an update, term by term as the papers have it.
let private lossOf (u: PpoUpdate) (flat: Tensor) : Tensor =
    let o, obs = u.Model.Config.Objective, Doubles.double u.Batch.Obs

    let advantage =
        let a = doubles u.Rows.Advantage

        if o.NormaliseAdvantages then
            (a.sub (a.mean ())).div((a.std ()).add(Scalars.ofFloat 1e-8))
        else
            a

    let logs = logProbability u.Model flat obs (Doubles.double u.Batch.Action)
    let ratio = (logs.sub (doubles u.Rows.LogProbability)).exp()
    let bounded = ratio.clamp (Scalars.ofFloat (1.0 - o.ClipRange), Scalars.ofFloat (1.0 + o.ClipRange))
    let policy = (ratio.mul advantage).minimum(bounded.mul advantage).mean().neg()
    let value, old, returns = valueOf u.Model flat obs, doubles u.Rows.Value, doubles u.Rows.Return
    let range = o.ValueClipRange
    let near = old.add ((value.sub old).clamp(Scalars.ofFloat -range, Scalars.ofFloat range))
    let free, near = (value.sub returns).square(), (near.sub returns).square()

    let error =
        match o.ValueClip with
        | ValueClip.Off -> free
        | ValueClip.Alone -> near
        | ValueClip.Larger -> free.maximum near

    let entropy = (logStdOf u.Model flat).add(Scalars.ofFloat (0.5 + halfLogTwoPi)).sum()

    policy
        .add(error.mean().mul(Scalars.ofFloat o.ValueCoefficient))
        .sub(entropy.mul (Scalars.ofFloat o.EntropyCoefficient))

/// An update of random networks on random rows, whose ratios lie on both sides of the clip.
let private started (config: PpoConfig) (key: Key) : PpoUpdate =
    let model = modelOf Compute.cpu config
    let keys = Key.splitMany 7 key
    let fresh = PpoPolicy.init model keys[0]
    let shift = Key.normal Compute.cpu [ Tensors.size 0 fresh.Networks.Flat ] keys[1]
    let flat = fresh.Networks.Flat.add (shift, Scalars.ofFloat 0.3)
    let batch = batchOf keys[2]
    let numbers i = values (Key.normal Compute.cpu [ batchSize ] keys[i])

    let now =
        logProbability model (Doubles.double flat) (Doubles.double batch.Obs) (Doubles.double batch.Action)
        |> Doubles.numbers

    let state = { fresh with Networks = Params.withFlat flat fresh.Networks; Round = 1L }

    { Model = model
      Batch = batch
      Rows =
        { LogProbability = Array.map2 (fun now apart -> now - 0.3 * apart) now (numbers 3)
          Advantage = numbers 4
          Return = numbers 5
          Value = numbers 6 }
      State = state
      Next = state
      Figures = Map.empty
      Verdict = Verdict.Continue }

let private configs =
    gen {
        let! clip = Gen.elements [ ValueClip.Off; ValueClip.Alone; ValueClip.Larger ]
        let! activation = Gen.elements [ HiddenActivation.Tanh; HiddenActivation.Elu ]
        let! normalise = Gen.elements [ true; false ]
        let! entropy = Gen.elements [ 0.0; 0.02 ]

        return
            { small with
                Networks.Activation = activation
                Objective.ValueClip = clip
                Objective.NormaliseAdvantages = normalise
                Objective.EntropyCoefficient = entropy }
    }

let private collected config = Rollouts.collected (Ppo.agent (modelOf Compute.cpu config))
let private smallModel = modelOf Compute.cpu small

[<Tests>]
let tests =
    testList
        "PPO"
        [ testCase "the clipped loss has the reference sheet's numbers" (fun () ->
              let logRatio = [| 1.3; 0.7; 1.1; 0.9; 0.5; 1.6 |] |> Array.map log
              let advantage = [| 1.0; -1.0; -2.0; 0.5; 2.0; -1.0 |]
              let found = PpoObjective.clipped 0.2 logRatio advantage
              closeTo 1e-12 "loss" [| 0.325 |] [| found.Loss |]
              closeTo 1e-9 "gradient" [| 0.0; 0.0; 0.3666666667; -0.075; -0.1666666667; 0.2666666667 |] found.Gradient
              closeTo 1e-12 "clipped share" [| 4.0 / 6.0 |] [| found.ClippedShare |]
              closeTo 1e-9 "divergence" [| 0.0712507611 |] [| found.Kl |]
              let normalised = PpoObjective.normalised advantage

              closeTo
                  1e-7
                  "normalised"
                  [| 0.7235633926; -0.6122459476; -1.280150618; 0.3896110575; 1.391468063; -0.6122459476 |]
                  normalised

              closeTo 1e-7 "loss" [| 0.1604826499 |] [| (PpoObjective.clipped 0.2 logRatio normalised).Loss |]
              Expect.equal (PpoObjective.normalised [| 3.0 |]) [| 3.0 |] "one alone")

          testCase "the value losses have the reference sheet's numbers" (fun () ->
              let loss form =
                  let struct (loss, _) =
                      PpoObjective.valueLoss form 0.2 [| 1.0; 2.0; 3.0 |] [| 1.5; 1.9; 2.0 |] [| 2.0; 1.0; 3.5 |]

                  [| loss |]

              closeTo 1e-9 "larger" [| 1.2333333333 |] (loss ValueClip.Larger)
              closeTo 1e-9 "half of it" [| 0.6166666667 |] [| 0.5 * (loss ValueClip.Larger)[0] |]
              closeTo 1e-9 "alone" [| 0.6466666667 |] (loss ValueClip.Alone)
              closeTo 1e-9 "off" [| 1.1033333333 |] (loss ValueClip.Off))

          testCase "the entropy has the reference sheet's numbers" (fun () ->
              closeTo 1e-7 "at log σ 0" [| 4.2568156 |] [| Ppo.entropy (Array.zeroCreate 3) |]
              closeTo 1e-7 "at log σ -½" [| 2.7568156 |] [| Ppo.entropy (Array.create 3 -0.5f) |])

          testForAll
              "the gradient of all parameters is that of the loss in double precision"
              60
              (Gen.zip configs keys)
              (fun (config, key) ->
                  use _ = torch.NewDisposeScope()
                  let u = started config key
                  let flat = Doubles.leaf u.State.Networks
                  let loss = lossOf u flat
                  let wanted = Doubles.gradient loss flat |> Doubles.numbers

                  for compute in [ Compute.cpu; Compute.libtorch ] do
                      let model = modelOf compute config
                      let struct (gradient, figures) = Ppo.gradient { u with Model = model }
                      closeTo 2e-5 "gradient" wanted (values gradient)
                      let o = config.Objective

                      let told =
                          figures["policyLoss"] + o.ValueCoefficient * figures["valueLoss"]
                          - o.EntropyCoefficient * figures["entropy"]

                      closeTo 1e-5 "loss" (Doubles.numbers loss) [| told |])

          testForAll
              "a step is Adam's along the gradient of at most the given length, all parameters together"
              40
              (Gen.zip keys (Gen.elements [ Some 0.05; Some 1e6; None ]))
              (fun (key, most) ->
                  use _ = torch.NewDisposeScope()
                  let u = started { small with Objective.MaximumGradientNorm = most; Adam.LearningRate = 0.01 } key
                  let struct (gradient, _) = Ppo.gradient u
                  let gradient = values gradient
                  let norm = sqrt (Array.sumBy (fun g -> g * g) gradient)

                  let share =
                      match most with
                      | Some most when norm > most -> most / (norm + 1e-6)
                      | _ -> 1.0

                  let next = Ppo.improve u
                  closeTo 1e-5 "told" [| norm |] [| next.Figures["gradientNorm"] |]
                  // the first step of Adam: m̂ = g, v̂ = g²
                  let step g = 0.01 * share * g / (abs (share * g) + 1e-5)
                  let before = values u.State.Networks.Flat

                  closeTo
                      1e-6
                      "parameters"
                      (Array.map2 (fun p g -> p - step g) before gradient)
                      (values next.Next.Networks.Flat)

                  Expect.equal next.Next.Adam.Count 1L "count")

          testCase "a divergence beyond 1.5 times its target ends the round before the step" (fun () ->
              use _ = torch.NewDisposeScope()
              let kl = (Ppo.improve (started small (Key.ofSeed 3L))).Figures["kl"]

              let improved target =
                  Ppo.improve (started { small with Objective.TargetKl = Some target } (Key.ofSeed 3L))

              let stopped, goes = improved (kl / 1.51), improved (kl / 1.49)
              Expect.equal (stopped.Verdict, goes.Verdict) (Verdict.EndOfRound, Verdict.Continue) "verdicts"
              Expect.isTrue (obj.ReferenceEquals(stopped.Next.Networks, stopped.State.Networks)) "no step"
              Expect.isFalse (obj.ReferenceEquals(goes.Next.Networks, goes.State.Networks)) "a step")

          testCase "an update that no stage has made is refused" (fun () ->
              use _ = torch.NewDisposeScope()
              let u = started small (Key.ofSeed 3L)
              let finish (u: PpoUpdate) = (Ppo.agent u.Model).Finish u |> ignore
              let error = Expect.raises<RefusedOperationException>(fun () -> finish u)
              Expect.stringContains error.Message "put `improve` behind `collect`" "sentence"
              finish (Ppo.improve u))

          testCase "a round that was ended goes on with the next one's collecting" (fun () ->
              let config = { PpoConfig.tiny with Objective.TargetKl = Some 1e-9; Objective.ClipRange = 0.1 }

              let e = Experiment.on Ppo.algorithm "InvertedPendulum-v4" |> Experiment.configure (fun _ -> config)

              let mutable step = Pipeline.start e

              try
                  // the first minibatch's ratios are one: it makes its step
                  step <- Pipeline.consume Pipeline.standard step
                  Expect.equal (step.Iteration, step.State.Minibatch) (1L, 1L) "the first update"
                  Expect.isLessThan (abs step.Figures.Value["kl"]) 1e-9 "the ratios of the first update"
                  Expect.equal step.Figures.Value["clippedShare"] 0.0 "clipped"
                  step <- Pipeline.consume Pipeline.standard step
                  Expect.equal (step.Iteration, step.EnvSteps) (16L, 256L) "the second one ends the round"
                  step <- Pipeline.consume Pipeline.standard step

                  Expect.equal
                      (step.Iteration, step.EnvSteps, step.State.Round, step.State.Minibatch)
                      (17L, 512L, 2L, 1L)
                      "the next round"
              finally
                  Pipeline.dispose step)

          testForAll
              "actions are sent clipped to the box; the unclipped one and its log-probability are stored"
              30
              keys
              (fun key ->
                  use _ = torch.NewDisposeScope()
                  let r = collected small (fun _ -> 0) key

                  for t in r.Stored do
                      let obs, action, logs = t.Extras[0], t.Extras[1], t.Extras[2]
                      Expect.equal t.Action (action |> Array.map (fun a -> Math.Clamp(a, -1.0f, 1.0f))) "clipped"
                      let flat = Doubles.double r.First.Networks.Flat
                      let wide width numbers = Tensors.ofArray Compute.cpu [ 3; width ] numbers |> Doubles.double
                      let wanted = logProbability smallModel flat (wide 4 obs) (wide 2 action) |> Doubles.numbers
                      closeTo 1e-5 "log-probability" wanted (Array.map float logs)

                  let all = r.Stored |> List.map (fun t -> t.Extras[1]) |> Array.concat
                  Expect.exists all (fun a -> abs a > 1.0f) "some are beyond the box"
                  // σ is e^0.4: the spread of 48 actions about means near 0
                  let spread = all |> Array.averageBy (fun a -> float a * float a) |> sqrt
                  Expect.inRange spread (0.9, 2.3) "spread")

          testForAll
              "observations are normalised by the moments of all that were acted on, the next ones and the last ones by the same"
              30
              (Gen.zip keys (Gen.elements [ 0; 1; 2 ]))
              (fun (key, kind) ->
                  use _ = torch.NewDisposeScope()
                  let r = collected small (fun i -> if i % 5 = 4 then kind else 0) key
                  let seen = ResizeArray()
                  seen.AddRange(Array.map float r.Stored.Head.Obs)

                  let normal (obs: float32[]) =
                      let m = RunningMoments.merge (RunningMoments.start 4) (RunningMoments.ofRows 4 (seen.ToArray()))

                      obs
                      |> Array.mapi (fun i x ->
                          let standard = (float x - m.Mean[i % 4]) / sqrt (m.Variance[i % 4] + 1e-8)
                          max -10.0 (min 10.0 standard))

                  for t in r.Stored do
                      closeTo 1e-4 "obs" (normal t.Obs) (Array.map float t.Extras[0])
                      seen.AddRange(Array.map float t.Current)
                      closeTo 1e-4 "next obs" (normal t.NextObs) (Array.map float t.Extras[3])

                  // the next action of an episode that goes on is chosen on the very next observation stored
                  for now, next in List.pairwise r.Stored do
                      for e in 0..2 do
                          if not (now.Terminated[e] || now.Truncated[e]) then
                              let part (numbers: float32[]) = Array.sub numbers (4 * e) 4
                              Expect.equal (part next.Extras[0]) (part now.Extras[3]) "the same"

                  Expect.equal r.Memory.Count 24 "rows")

          testCase "evaluations take the mean by the moments as they are, clipped to the box" (fun () ->
              use _ = torch.NewDisposeScope()
              let r = collected small (fun _ -> 0) (Key.ofSeed 9L)
              let state = r.State
              let obs = Array.init 12 (fun i -> float32 i - 3.0f)

              let act () =
                  (r.Agent.Act Purpose.Evaluate state (Key.ofSeed 1L) (Tensors.ofArray Compute.cpu [ 3; 4 ] obs))
                      .Action
                  |> values

              let normal = RunningMoments.normalise 10.0 state.Observations (Array.map float obs) |> Array.map float32

              let mean =
                  policyOf
                      smallModel
                      (Doubles.double state.Networks.Flat)
                      (Tensors.ofArray Compute.cpu [ 3; 4 ] normal |> Doubles.double)
                  |> Doubles.numbers

              closeTo 1e-5 "mean" (mean |> Array.map (fun a -> Math.Clamp(a, -1.0, 1.0))) (act ()))

          testForAll
              "advantages bootstrap from the true next observation, time limits included"
              30
              (Gen.zip keys (Gen.elements [ 0; 1; 2 ]))
              (fun (key, kind) ->
                  use _ = torch.NewDisposeScope()
                  let r = collected small (fun i -> if i % 7 = 3 then kind else 0) key
                  let struct (state, table) = table r (Key.foldIn 9L key)
                  let flat = Doubles.double r.State.Networks.Flat

                  let value (extra: int) =
                      [| for t in r.Stored do
                             let obs = Tensors.ofArray Compute.cpu [ 3; 4 ] t.Extras[extra] |> Doubles.double
                             yield! valueOf smallModel flat obs |> Doubles.numbers |]

                  let all (f: Transitions -> 'a[]) = r.Stored |> List.map f |> Array.concat
                  let v, next, reward = value 0, value 3, all (fun t -> Array.map float t.Extras[4])
                  let terminated, truncated = all _.Terminated, all _.Truncated
                  let wanted = Array.zeroCreate<float> 24

                  for i in 23..-1..0 do
                      let ahead = if terminated[i] then 0.0 else 0.99 * next[i]
                      let ended = terminated[i] || truncated[i] || i + 3 >= 24
                      let later = if ended then 0.0 else 0.99 * 0.95 * wanted[i + 3]
                      wanted[i] <- reward[i] + ahead - v[i] + later

                  let column name = table.Columns[name] |> Array.map float
                  closeTo 2e-5 "values" v (column "value")
                  closeTo 5e-5 "advantages" wanted (column "advantage")
                  closeTo 5e-5 "returns" (Array.map2 (+) wanted v) (column "return")
                  Expect.equal (state.Round, state.Minibatch) (1L, 0L) "counters")

          testCase "rewards are scaled step by step, the return dropped at every end" (fun () ->
              use _ = torch.NewDisposeScope()
              let r = collected small (fun i -> if i % 7 = 3 then 1 + i % 2 else 0) (Key.ofSeed 4L)
              let mutable scale = ReturnScale.start 3

              for t in r.Stored do
                  let ended = Array.map2 (||) t.Terminated t.Truncated
                  let struct (next, wanted) = ReturnScale.observe 0.99 10.0 (Array.map float t.Reward) ended scale
                  closeTo 1e-6 "scaled" wanted (Array.map float t.Extras[4])
                  scale <- next

              Expect.equal r.State.Returns scale "the state's")

          testCase "nothing is normalised where the settings say so" (fun () ->
              use _ = torch.NewDisposeScope()
              let r = collected { small with Normalisation = NormalisationSettings.off } (fun _ -> 0) (Key.ofSeed 5L)

              for t in r.Stored do
                  Expect.equal (t.Extras[0], t.Extras[3], t.Extras[4]) (t.Obs, t.NextObs, t.Reward) "as they are"

              Expect.equal r.State.Observations r.First.Observations "no moments"
              Expect.equal r.State.Returns r.First.Returns "no returns")

          testForAll "every epoch learns from each row once, in an order of its own" 20 keys (fun key ->
              use _ = torch.NewDisposeScope()
              let r = collected small (fun _ -> 0) key
              let struct (state, table) = table r (Key.foldIn 9L key)
              let stored = r.Stored |> List.map (fun t -> t.Extras[2]) |> Array.concat |> Array.map float

              let part i = r.Agent.Begin table noKeys { state with Minibatch = int64 i }
              let epochs = [ for k in 0..2 -> [| for i in 0..3 -> part (4 * k + i) |] ]
              let logs = epochs |> List.map (Array.collect _.Rows.LogProbability)

              for epoch in logs do
                  Expect.equal (Array.sort epoch) (Array.sort stored) "all rows"

              Expect.equal (List.distinct logs).Length 3 "orders"

              for u in Seq.concat epochs do
                  let rowOf b = Array.IndexOf(stored, u.Rows.LogProbability[b])
                  let of' name width row = Array.sub table.Columns[name] (row * width) width

                  for b in 0..5 do
                      let row = rowOf b
                      let line width (t: Tensor) = Array.sub (Tensors.toArray t) (b * width) width
                      Expect.equal (line 4 u.Batch.Obs) (of' "obs" 4 row) "obs"
                      Expect.equal (line 2 u.Batch.Action) (of' "action" 2 row) "action"
                      Expect.equal (line 4 u.Batch.NextObs) (of' "nextObs" 4 row) "next obs"
                      Expect.equal (line 1 u.Batch.Reward) (of' "reward" 1 row) "reward"
                      Expect.equal [| float32 u.Rows.Advantage[b] |] (of' "advantage" 1 row) "advantage"
                      Expect.equal [| float32 u.Rows.Return[b] |] (of' "return" 1 row) "return"
                      Expect.equal [| float32 u.Rows.Value[b] |] (of' "value" 1 row) "value")

          testCase "the learning rate falls with the rounds, or stays" (fun () ->
              // 1,000 iterations of 12 updates a round: 84 rounds
              let annealed, constant =
                  modelOf Compute.cpu small, modelOf Compute.cpu { small with AnnealLearningRate = false }

              let rates model = [| for round in [ 1L; 2L; 84L; 85L; 200L ] -> Ppo.learningRate model round |]
              closeTo 1e-15 "annealed" [| 3e-4; 3e-4 * 83.0 / 84.0; 3e-4 / 84.0; 0.0; 0.0 |] (rates annealed)
              closeTo 1e-15 "constant" (Array.create 5 3e-4) (rates constant))

          testForAll
              "fresh weights are orthogonal, of the gains of the reference sheet"
              10
              (Gen.zip keys (Gen.elements [ [ 12; 9 ]; [ 3; 20 ]; [] ]))
              (fun (key, hidden) ->
                  use _ = torch.NewDisposeScope()
                  let model = modelOf Compute.cpu { small with Networks.Hidden = hidden }
                  let state = PpoPolicy.init model key
                  let last = hidden.Length

                  for net, head in [ "policy", 0.01; "value", 1.0 ] do
                      for i in 0..last do
                          let w = Params.slice $"{net}.layer{i}.weight" state.Networks
                          let gain = if i = last then head else sqrt 2.0
                          let products = if w.size 0 >= w.size 1 then w.t().mm w else w.mm (w.t ())
                          let n = int (products.size 0)

                          let wanted = Array.init (n * n) (fun k -> if k / n = k % n then gain * gain else 0.0)

                          closeTo (1e-5 * min 1.0 (gain * gain)) $"{net} {i}" wanted (values products)
                          let bias = values (Params.slice $"{net}.layer{i}.bias" state.Networks)
                          Expect.allEqual bias 0.0 "bias"

                  closeTo 1e-7 "log σ" [| 0.4; 0.4 |] (values (Params.slice "logStd" state.Networks)))

          testCase "impossible settings are refused in a sentence each" (fun () ->
              let refused words change = failsWith words (fun () -> modelOf Compute.cpu (change small) |> ignore)

              refused [ "minibatches is 5"; "24 transitions"; "vectorSteps 8 in 3" ] (fun c ->
                  { c with Rollout.Minibatches = 5 })

              refused [ "minibatches is 48"; "24 transitions" ] (fun c -> { c with Rollout.Minibatches = 48 })
              refused [ "vectorSteps is 0"; "at least 1" ] (fun c -> { c with Rollout.VectorSteps = 0 })

              refused [ "vectorSteps is 2147483647"; "16777216" ] (fun c ->
                  { c with Rollout.VectorSteps = Int32.MaxValue; Rollout.Environments = 2 })

              for bad in [ nan; infinity; 0.0; -0.2 ] do
                  refused [ "clipRange is"; "positive number" ] (fun c -> { c with Objective.ClipRange = bad })
                  refused [ "valueClipRange is" ] (fun c -> { c with Objective.ValueClipRange = bad })
                  refused [ "targetKl is" ] (fun c -> { c with Objective.TargetKl = Some bad })
                  refused [ "maximumGradientNorm is" ] (fun c -> { c with Objective.MaximumGradientNorm = Some bad })
                  refused [ "observationClip is" ] (fun c -> { c with Normalisation.ObservationClip = bad })

              refused [ "lambda is 1.5"; "between 0 and 1" ] (fun c -> { c with Lambda = 1.5 })
              refused [ "entropyCoefficient is NaN" ] (fun c -> { c with Objective.EntropyCoefficient = nan })
              refused [ "initialLogStd is NaN" ] (fun c -> { c with Networks.InitialLogStd = nan }))

          testCase "presets are CleanRL's and Stable-Baselines3's" (fun () ->
              let preset name = (Ppo.algorithm.Presets |> List.find (fun p -> p.Name = name)).Config

              let facts (c: PpoConfig) =
                  (c.Networks.Hidden,
                   c.Networks.Activation,
                   c.Adam.LearningRate,
                   c.Adam.AdamEpsilon,
                   c.AnnealLearningRate),
                  (c.Rollout.Environments, c.Rollout.VectorSteps, c.Rollout.Epochs, c.Rollout.Minibatches),
                  (c.Discount, c.Lambda, c.Objective.ClipRange, c.Objective.EntropyCoefficient),
                  (c.Objective.ValueClip,
                   c.Objective.ValueCoefficient,
                   c.Objective.MaximumGradientNorm,
                   c.Objective.TargetKl),
                  (c.Normalisation.NormaliseObservations, c.Normalisation.NormaliseRewards)

              let common anneal clip factor normalised =
                  ([ 64; 64 ], HiddenActivation.Tanh, 3e-4, 1e-5, anneal),
                  (1, 2048, 10, 32),
                  (0.99, 0.95, 0.2, 0.0),
                  (clip, factor, Some 0.5, None),
                  (normalised, normalised)

              Expect.equal (facts (preset "normalised")) (common true ValueClip.Larger 0.25 true) "normalised"
              Expect.equal (facts (preset "sb3")) (common false ValueClip.Off 0.5 false) "sb3") ]
