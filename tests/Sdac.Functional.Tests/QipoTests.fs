module Sdac.Tests.QipoTests

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

let private small: QipoConfig =
    { QipoConfig.published with Hidden = [ 12; 9 ]; Chain.Timesteps = 5; Data.BatchSize = batchSize }

let private configs =
    gen {
        let! actions = sizes 2 4
        let! replay = Gen.elements [ true; false ]
        let! beta = between 0.1 5.0
        let! targetBeta = between 0.1 5.0
        let! acts = Gen.elements [ true; false ]
        let! reduction = reductions

        return
            { small with
                SupportActions = actions
                ReplayAction = replay
                Beta = beta
                TargetBeta = targetBeta
                AverageActs = acts
                RenewEvery = 3
                CloneUpdates = 2
                Critics.QReduction = reduction }
    }

/// An update of a state whose averages, and whose support's policy, are other networks than those that learn.
let private started (config: QipoConfig) (key: Key) : QipoUpdate =
    let model = Qipo.model cpu space config
    let keys = Key.splitMany 8 key
    let state = Qipo.init model keys[0]
    let others = TwinCritics.init model.Critics keys[1] keys[2]

    let state =
        { state with
            TargetPolicy = (Qipo.init model keys[3]).Policy
            SupportPolicy = (Qipo.init model keys[4]).Policy
            Critics = { state.Critics with TargetQ1 = others.Q1; TargetQ2 = others.Q2 } }

    Qipo.start model (Qipo.drawNoise model batchSize keys[5]) (batchOf keys[6]) state

let private through (u: QipoUpdate) = Qipo.stages |> List.fold (fun u (_, stage) -> stage u) u
let private at updates (u: QipoUpdate) = { u with State = { u.State with Updates = updates } }

/// The chain a second time, step by step, all actions as rows.
let private chained (u: QipoUpdate) (policy: Params) (noise: ChainNoise) (obs: Tensor) : Tensor =
    let particles = Tensors.size 0 noise.Initial / Tensors.size 0 obs
    let rows = obs.repeat_interleave (int64 particles, Nullable 0L)
    let mutable x = noise.Initial

    for i in 0..4 do
        let times = [ Array.create (Tensors.size 0 rows) (float (4 - i)) ]
        let predicted = ActionNetwork.forward cpu u.Model.Policy policy rows x times
        x <- Diffusion.step u.Model.Schedule ReverseStep.Posterior (4 - i) x predicted (Some noise.Steps[i])

    (Diffusion.clip x).view(int64 (Tensors.size 0 obs), int64 particles, -1L)

let private one (values: float list) = Tensors.ofArray cpu [ 1; values.Length ] [| for v in values -> float32 v |]

/// softmax a second time, in float64, of each row.
let private shares (beta: float) (q: float[]) =
    let largest = Array.max q
    let e = q |> Array.map (fun q -> exp (beta * (q - largest)))
    e |> Array.map (fun x -> x / Array.sum e)

let private bits (p: Params) = values p.Flat

// ---- one state and one time, where all is Gaussian

let private oneDim = { ObsDim = 1; ActionDim = 1 }

/// A chain of one step, ᾱ = exp(-0.8), and a network that is linear: p·x + c.
let private linear: QipoConfig =
    { small with
        Hidden = []
        TimeEmbedding = TimeEmbedding.Bare
        Chain = { Timesteps = 1; BetaSchedule = BetaSchedule.VariancePreserving(0.1, 1.5); InitialNoiseScale = 1.0 } }

/// The loss's gradient at p and c, with so many draws a of N(m, v) as the support, weighted as given.
let private slopeAt (slope: float) (offset: float) (m: float) (v: float) (weight: Tensor -> Tensor) : float list =
    let draws = 200_000
    let model = Qipo.model cpu oneDim linear
    let state = Qipo.init model (Key.ofSeed 1L)
    // obs, action, 32 features of t, the bias
    let flat = Array.zeroCreate<float32> 35
    flat[1] <- float32 slope
    flat[34] <- float32 offset
    Expect.equal (Tensors.shape state.Policy.Flat) [ 35 ] "a linear network"
    let policy = Params.withFlat (Tensors.ofArray cpu [ 35 ] flat) state.Policy
    let keys = Key.splitMany 2 (Key.ofSeed 5L)

    let action =
        (Key.normal cpu [ 1; draws; 1 ] keys[0]).mul(Scalars.ofFloat (sqrt v)).add(Scalars.ofFloat m)

    let noise =
        { Qipo.drawNoise model 1 (Key.ofSeed 2L) with
            Timesteps = Array.zeroCreate draws
            Forward = Key.normal cpu [ draws; 1 ] keys[1] }

    let batch: Batch =
        { Obs = Tensors.zeros cpu [ 1; 1 ]
          NextObs = Tensors.zeros cpu [ 1; 1 ]
          Action = Tensors.zeros cpu [ 1; 1 ]
          Reward = Tensors.zeros cpu [ 1 ]
          Terminated = Tensors.zeros cpu [ 1 ] }

    let u = Qipo.start model noise batch { state with Policy = policy }

    let struct (_, gradient) =
        Qipo.policyGradient u { Action = action; Weight = weight (action.squeeze (Nullable 2L)) }

    let g = values gradient
    [ g[1]; g[34] ]

[<Tests>]
let tests =
    testList
        "QIPO"
        [ testCase "weights, loss and softmax value have the reference sheet's numbers" (fun () ->
              use _ = torch.NewDisposeScope()
              let q = one [ 0.0; 0.5; 1.0 ]
              let g = Qipo.weights 2.0 q
              closeTo 2e-6 "weights" [| 0.090031; 0.244728; 0.665241 |] (values g)
              closeTo 2e-6 "softmax value" [| 0.787605 |] (values (Qipo.softValue 2.0 q))
              let huge = Qipo.weights 2.0 (one [ 1e4; 1e4 + 0.5; -1e4 ])
              closeTo 1e-5 "large values" [| 0.268941; 0.731059; 0.0 |] (values huge)

              let u = started { small with SupportActions = 2; Data.BatchSize = 1 } (Key.ofSeed 1L)
              // a network of zeros predicts no noise: the errors are the noise's own
              let zero = Params.withFlat (u.State.Policy.Flat.zeros_like ()) u.State.Policy
              let squares = Tensors.ofArray cpu [ 3; 2 ] [| 1f; 0f; 0.25f; 0.25f; 0f; 0.2f |]

              let u =
                  { u with
                      State = { u.State with Policy = zero }
                      Batch = { u.Batch with Obs = u.Batch.Obs.narrow (0L, 0L, 1L) }
                      Noise = { u.Noise with Timesteps = [| 0; 3; 4 |]; Forward = squares.sqrt () } }

              let struct (loss, _) = Qipo.policyGradient u { Action = Tensors.zeros cpu [ 1; 3; 2 ]; Weight = g }
              closeTo 2e-6 "loss" [| 0.345443 |] (values loss))

          testCase "renewals by the weighted support itself give μ·exp(lβQ)" (fun () ->
              use _ = torch.NewDisposeScope()
              let n = 200_000
              let q = [| 0.0; 0.5; 1.0 |]

              // a support in which each of three actions is there in proportion to its probability
              let renewed (mu: float[]) =
                  let counts = mu |> Array.map (fun p -> int (round (p * float n)))
                  let support = Array.concat [ for i in 0..2 -> Array.create counts[i] q[i] ]
                  let g = Qipo.weights 2.0 (one (List.ofArray support)) |> values
                  [| for value in q -> Array.fold2 (fun sum s g -> if s = value then sum + g else sum) 0.0 support g |]

              let first = renewed [| 0.6; 0.3; 0.1 |]
              let second = renewed first
              closeTo 2e-5 "round 1" [| 0.278501; 0.378522; 0.342977 |] first
              closeTo 2e-5 "round 2" [| 0.072494; 0.267832; 0.659674 |] second
              closeTo 2e-5 "round 3" [| 0.012775; 0.128291; 0.858934 |] (renewed second))

          testCase "for a Gaussian support and a linear Q the minimiser is the moved Gaussian's score" (fun () ->
              use _ = torch.NewDisposeScope()
              let m, v, beta, q = 0.2, 0.3, 2.0, 0.7
              let bar = exp -0.8
              let moved = m + beta * q * v
              let variance = bar * v + 1.0 - bar
              // ε = -√(1-ᾱ)·score, the score that of N(√ᾱ·moved, variance)
              let slope mean = sqrt (1.0 - bar) / variance, -(sqrt (1.0 - bar)) * sqrt bar * mean / variance
              let weighted (a: Tensor) = Qipo.weights beta (a.mul (Scalars.ofFloat q))
              let plain (a: Tensor) = torch.full_like (a, Scalars.ofFloat 5e-6)
              let p, c = slope moved
              closeTo 0.01 "weighted" [| 0.0; 0.0 |] (slopeAt p c m v weighted |> List.toArray)
              closeTo 0.01 "as it is" [| 0.0; 0.0 |] (slopeAt p (snd (slope m)) m v plain |> List.toArray)
              Expect.isGreaterThan (abs (slopeAt p c m v plain).[1]) 0.2 "the one is not the other"
              Expect.isGreaterThan (abs (slopeAt (1.3 * p) c m v weighted).[0]) 0.05 "nor another variance")

          testForAll
              "loss and gradient are those of float64 and autograd with constant weights"
              25
              (Gen.zip3 configs (sizes 0 6) keys)
              (fun (config, updates, key) ->
                  use _ = torch.NewDisposeScope()
                  let u = started config key |> at (int64 updates)
                  let support = (u |> Qipo.evaluateQ |> Qipo.weighSupport).Made.Value
                  let each = Tensors.size 1 support.Action
                  let rows = batchSize * each
                  let t = u.Noise.Timesteps[.. rows - 1]
                  let bars = (Schedule.create BetaSchedule.Cosine 5).AlphaBars
                  let column (f: float -> float) = torch.tensor([| for t in t -> f bars[t] |]).unsqueeze 1L
                  let noise = (Doubles.double u.Noise.Forward).narrow(0L, 0L, int64 rows)
                  let action = (Doubles.double support.Action).view(int64 rows, 2L)
                  let noised = (column sqrt).mul(action).add((column (fun b -> sqrt (1.0 - b))).mul noise)
                  let flat = Doubles.leaf u.State.Policy
                  let obs = (Doubles.double u.Batch.Obs).repeat_interleave(int64 each, Nullable 0L)
                  let output = ChainTests.doubleNetwork u.Model.Policy flat obs noised [ Array.map float t ]
                  let errors = (output.sub noise).square().sum(1L).view(int64 batchSize, int64 each)
                  let wanted = errors.mul(Doubles.double support.Weight).sum(1L).mean()
                  let gradient = Doubles.gradient wanted flat
                  let struct (loss, got) = Qipo.policyGradient u support
                  closeTo 1e-4 "loss" (Doubles.numbers wanted) (values loss)
                  closeTo 2e-4 "gradient" (Doubles.numbers gradient) (values got))

          testForAll
              "the support is the replay action and M of the policy at the last renewal, weighed by the critics after their step"
              20
              (Gen.zip configs keys)
              (fun (config, key) ->
                  use _ = torch.NewDisposeScope()
                  let u = started config key

                  for updates in 0L .. 9L do
                      let learned = u |> at updates |> Qipo.evaluateQ
                      let after = Qipo.weighSupport learned
                      let support = after.Made.Value
                      let replay = values u.Batch.Action

                      if updates < 2L then
                          Expect.equal (values support.Action) replay "the replay memory's alone"
                          Expect.equal (Tensors.shape support.Action) [ batchSize; 1; 2 ] "one a state"
                          Expect.equal (values support.Weight) (Array.create batchSize 1.0) "as it is"

                          Expect.isTrue
                              (obj.ReferenceEquals(after.Next.SupportPolicy, u.State.SupportPolicy))
                              "no renewal"
                      else
                          // of updates 2, 5, 8
                          let renewed = updates % 3L = 2L
                          let policy = if renewed then u.State.Policy else u.State.SupportPolicy
                          Expect.equal (bits after.Next.SupportPolicy) (bits policy) $"whose, {updates}"
                          let own = chained u policy u.Noise.Support u.Batch.Obs
                          Expect.equal (Tensors.size 1 own) config.SupportActions "M"

                          let wanted =
                              if config.ReplayAction then
                                  Tensors.cat 1 [ u.Batch.Action.unsqueeze 1L; own ]
                              else
                                  own

                          closeTo 1e-4 $"actions, {updates}" (values wanted) (values support.Action)

                          let q =
                              TwinCritics.values u.Model.Critics learned.Next.Critics u.Batch.Obs support.Action
                              |> values
                              |> Array.chunkBySize (Tensors.size 1 support.Action)

                          closeTo 1e-4 "weights" (q |> Array.collect (shares config.Beta)) (values support.Weight)

                          let effective =
                              q
                              |> Array.averageBy (
                                  shares config.Beta >> Array.sumBy (fun g -> g * g) >> fun s -> 1.0 / s
                              )

                          closeTo 1e-3 "effective" [| effective |] [| after.Figures["effectiveActions"] |])

          testForAll
              "targets are softmax values of M actions of the policy by the critics' averages"
              20
              (Gen.zip configs keys)
              (fun (config, key) ->
                  use _ = torch.NewDisposeScope()
                  let u = started config key
                  let actions = chained u u.State.Policy u.Noise.Next u.Batch.NextObs
                  Expect.equal (Tensors.size 1 actions) config.SupportActions "M"

                  let value =
                      TwinCritics.targetValues u.Model.Critics u.State.Critics u.Batch.NextObs actions
                      |> values
                      |> Array.chunkBySize config.SupportActions
                      |> Array.map (fun q ->
                          Array.fold2 (fun sum g q -> sum + g * q) 0.0 (shares config.TargetBeta q) q)

                  let reward, ended = values u.Batch.Reward, values u.Batch.Terminated
                  let wanted = Array.init batchSize (fun i -> reward[i] + 0.99 * (1.0 - ended[i]) * value[i])
                  closeTo 1e-4 "target" wanted (Qipo.criticTarget u |> values))

          testForAll
              "acting takes one action, in training and in evaluations"
              20
              (Gen.zip configs keys)
              (fun (config, key) ->
                  use _ = torch.NewDisposeScope()
                  let u = started config key
                  let policy = if config.AverageActs then u.State.TargetPolicy else u.State.Policy
                  let noise = ChainNoise.draw cpu 5 batchSize 2 key
                  let wanted = chained u policy noise u.Batch.Obs |> values

                  for purpose in [ Purpose.Explore; Purpose.Evaluate ] do
                      let acted = (Qipo.agent u.Model).Act purpose u.State key u.Batch.Obs
                      Expect.equal (Tensors.shape acted.Action) [ batchSize; 2 ] "shape"
                      closeTo 1e-4 $"{purpose}" wanted (values acted.Action))

          testForAll
              "a step is Adam's at the policy's own rate, and the averages follow"
              20
              (Gen.zip configs keys)
              (fun (config, key) ->
                  use _ = torch.NewDisposeScope()

                  let u =
                      started { config with PolicyRate = LearningRate.LinearDecay(1e-3, 1e-4, 0L, 10L) } key |> at 4L

                  let u = { u with State = { u.State with PolicyAdam.Count = 5L } }
                  let after = through u
                  let adam = AdamSettings.ofSettings config.Adam
                  let support = (u |> Qipo.evaluateQ |> Qipo.weighSupport).Made.Value
                  let struct (_, gradient) = Qipo.policyGradient u support
                  // half way down at the 5th of 10 steps
                  let struct (policy, _) = Adam.step cpu adam 5.5e-4 gradient u.State.Policy u.State.PolicyAdam
                  closeTo 1e-6 "policy" (bits policy) (bits after.Next.Policy)
                  let follow average online = Polyak.step cpu 0.005 average online |> bits

                  closeTo
                      1e-6
                      "its average"
                      (follow u.State.TargetPolicy after.Next.Policy)
                      (bits after.Next.TargetPolicy)

                  let critics = u.State.Critics
                  let struct (_, _, g) = TwinCritics.gradient u.Model.Critics critics.Q2 u.Batch (Qipo.criticTarget u)
                  let struct (q2, _) = Adam.step cpu adam 3e-4 g critics.Q2 critics.Q2Adam
                  Expect.equal (bits after.Next.Critics.Q2) (bits q2) "critic 2"

                  Expect.equal
                      (bits after.Next.Critics.TargetQ1)
                      (follow critics.TargetQ1 after.Next.Critics.Q1)
                      "the critics' average")

          testForAll
              "an update's numbers are of its rows, each kind its own"
              15
              (Gen.zip configs keys)
              (fun (config, key) ->
                  use _ = torch.NewDisposeScope()
                  let u = started config key
                  let n = u.Noise
                  let rows = batchSize * (config.SupportActions + (if config.ReplayAction then 1 else 0))
                  Expect.equal (n.Timesteps.Length, Tensors.shape n.Forward) (rows, [ rows; 2 ]) "rows of the loss"
                  Expect.equal (Set n.Timesteps) (Set [ 0..4 ]) "every t"
                  let first (t: Tensor) = values (t.narrow (0L, 0L, 4L))
                  let distinct = [ n.Next.Initial; n.Support.Initial; n.Forward ] |> List.map first |> List.distinct
                  Expect.equal distinct.Length 3 "keys of their own"
                  Expect.differs (first n.Support.Initial) (first n.Support.Steps[0]) "and the steps")

          testCase "stages that run too early say what is missing" (fun () ->
              use _ = torch.NewDisposeScope()
              let u = started small (Key.ofSeed 3L)
              let refused stage = (Expect.raises<RefusedOperationException>(fun () -> stage u |> ignore)).Message
              Expect.stringContains (refused Qipo.weighSupport) "put `evaluateQ` before it" "support"
              Expect.stringContains (refused Qipo.improvePolicy) "put `weighSupport` before it" "policy")

          testCase "the presets have the reference sheet's settings" (fun () ->
              let p = QipoConfig.published

              Expect.equal
                  (p.Hidden, p.SupportActions, p.Beta, p.TargetBeta, p.Critics.QReduction, p.Critics.Tau)
                  ([ 512; 512; 512; 512 ], 4, 1.0, 1.0, QReduction.Mean, 0.005)
                  "of the implementation by others"

              Expect.equal
                  (p.ReplayAction, p.RenewEvery, p.CloneUpdates, p.AverageActs, p.Chain.Timesteps, p.Adam.LearningRate)
                  (true, 1, 0, false, 20, 3e-4)
                  "online"

              Expect.equal p.Networks.CriticLayerNorm (Some 1e-5) "layer norm"

              for preset in Qipo.algorithm.Presets do
                  Expect.equal (QipoConfig.problems preset.Config) [] preset.Name)

          testCase "impossible settings are one sentence each" (fun () ->
              let problems change = QipoConfig.problems (change small) |> String.concat "; "
              let contains change (sentence: string) = Expect.stringContains (problems change) sentence sentence
              contains (fun c -> { c with SupportActions = 0 }) "supportActions is 0; it must be at least 1"

              contains
                  (fun c -> { c with SupportActions = 1; ReplayAction = false })
                  "its weight would be 1 whatever Q says"

              contains (fun c -> { c with Beta = -1.0 }) "beta is -1; it must lie between 0"
              contains (fun c -> { c with TargetBeta = nan }) "targetBeta is NaN"
              contains (fun c -> { c with RenewEvery = 0 }) "renewEvery is 0; it must be at least 1"
              contains (fun c -> { c with CloneUpdates = -1 }) "cloneUpdates is -1; it must be at least 0"
              contains (fun c -> { c with Chain.Timesteps = 0 }) "timesteps is 0; it must be at least 1"

              Expect.equal
                  (problems (fun c -> { c with SupportActions = 1 }))
                  ""
                  "one action beside the replay memory's"

              Expect.equal (problems id) "" "possible") ]
