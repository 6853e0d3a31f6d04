module Sdac.Tests.DipoTests

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

let private small: DipoConfig =
    { DipoConfig.published with
        Hidden = [ 12; 9 ]
        Chain.Timesteps = 5
        Climb.ClimbSteps = 4
        Data.BatchSize = batchSize
        Data.Environments = 2
        Data.BufferCapacity = 400 }

/// Q = -|a - c|²: the climb's numbers are in closed form.
let private towards (goal: Tensor) : ActionValue =
    { Values = fun _ actions -> (actions.sub (goal.unsqueeze 1L)).square().sum(2L).neg()
      WithSlopes =
        fun _ actions ->
            let away = actions.sub (goal.unsqueeze 1L)
            struct (away.square().sum(2L).neg(), away.mul (Scalars.ofFloat -2.0)) }

let private rows (values: float list) = Tensors.ofArray cpu [ values.Length / 2; 2 ] [| for v in values -> float32 v |]

let private climbed settings steps (goal: Tensor) (start: Tensor) =
    let obs = Tensors.zeros cpu [ Tensors.size 0 start; 1 ]
    ActionClimb.climb cpu { settings with ClimbSteps = steps } (towards goal) obs start |> values

/// A memory of random transitions of two environments.
let private memoryOf (key: Key) : Replay =
    let numbers n i = Key.normal cpu [ n ] (Key.foldIn (int64 i) key) |> Tensors.toArray

    let step (memory: Replay) i =
        Replay.append
            { Obs = numbers 8 (10 * i)
              Action = numbers 4 (10 * i + 1) |> Array.map tanh
              Reward = numbers 2 (10 * i + 2)
              Terminated = [| i % 7 = 0; false |]
              Truncated = [| false; i % 5 = 0 |]
              NextObs = numbers 8 (10 * i + 10)
              Current = numbers 8 (10 * i + 10)
              Extras = [] }
            memory

    Seq.fold step (Replay.create 2 4 2 64) (seq { 1..40 })

let private begun (config: DipoConfig) (key: Key) : DipoUpdate =
    let model = DipoPolicy.model cpu space config
    let agent = Dipo.agent model
    let memory = memoryOf (Key.foldIn 1L key)
    let state = DipoPolicy.init model (Key.foldIn 2L key)
    let struct (state, table) = agent.Prepare (Key.foldIn 3L key) memory state
    agent.Begin table { Batch = Key.foldIn 4L key; Noise = Key.foldIn 5L key } state

let private through (u: DipoUpdate) = Dipo.stages |> List.fold (fun u (_, stage) -> stage u) u

let private configs =
    gen {
        let! persist = Gen.elements [ true; false ]
        let! together = Gen.elements [ true; false ]
        let! every = sizes 1 3
        let! clip = Gen.elements [ 0.05; 1e3 ]
        let! embedding = Gen.elements [ TimeEmbedding.Dipo; TimeEmbedding.Bare; TimeEmbedding.Qsm ]

        return
            { small with
                Persist = persist
                ClipCriticsTogether = together
                PolicyTargetEvery = every
                GradientClip = clip
                TimeEmbedding = embedding }
    }

let private norm (t: Tensor) = Tensors.norm t

[<Tests>]
let tests =
    testList
        "DIPO"
        [ testCase "one action's climb has the reference sheet's numbers" (fun () ->
              use _ = torch.NewDisposeScope()
              let goal, start = rows [ 0.5; -0.2 ], rows [ 0.0; 0.0 ]
              let usual = ClimbSettings.usual
              let g = rows [ -1.0; 0.4 ]
              closeTo 1e-6 "norm" [| 1.077033 |] [| norm g |]
              closeTo 1e-5 "factor" [| -0.185695; 0.4 * 0.185695 |] (values (ActionClimb.bounded 0.2 g))
              closeTo 2e-6 "step 1" [| 0.029998; -0.029996 |] (climbed usual 1 goal start)
              closeTo 2e-6 "step 2" [| 0.060006; -0.059894 |] (climbed usual 2 goal start)
              closeTo 5e-6 "step 20" [| 0.566569; -0.165499 |] (climbed usual 20 goal start)
              let cheetah = { usual with ClimbBound = ClimbBound.PerDimension 0.08 }
              closeTo 5e-6 "40 steps" [| 0.464777; -0.1992815 |] (climbed cheetah 40 goal start)
              let port = { usual with ClimbEpsilon = 1e-8; ClimbBound = ClimbBound.Fixed 0.16 }
              closeTo 2e-6 "the SDAC authors', step 1" [| 0.03; -0.03 |] (climbed port 1 goal start)
              closeTo 5e-6 "step 30" [| 0.519109; -0.215293 |] (climbed port 30 goal start))

          testCase "two actions climb under one bound, and stay in the box" (fun () ->
              use _ = torch.NewDisposeScope()
              let goal, start = rows [ 0.5; -0.2; 1.5; -0.2 ], rows [ 0.0; 0.0; 0.9; 0.9 ]
              let usual = ClimbSettings.usual
              closeTo 2e-6 "step 1" [| 0.029996; -0.029990; 0.929997; 0.870002 |] (climbed usual 1 goal start)
              closeTo 5e-6 "step 20" [| 0.530178; -0.200503; 1.0; 0.301600 |] (climbed usual 20 goal start))

          testForAll
              "only the sampled rows of the second set change, and none where nothing is written back"
              20
              (Gen.zip configs keys)
              (fun (config, key) ->
                  use _ = torch.NewDisposeScope()
                  let u = begun config key
                  let after = through u

                  if config.Persist then
                      let before, now = u.State.Improved, after.Next.Improved
                      Expect.equal (now.First, now.Count) (before.First, before.Count) "the same rows"
                      let sampled = Set u.Made.Pairs.Ids
                      let climbed = values after.Made.Climbed.Value |> Array.map float32

                      for i in 0 .. now.Count - 1 do
                          let id = now.First + int64 i

                          if sampled.Contains id then
                              let at = Array.FindLastIndex(u.Made.Pairs.Ids, (fun other -> other = id))
                              Expect.equal (now.Gather [| id |]) climbed[2 * at .. 2 * at + 1] "the climbed action"
                          else
                              Expect.equal (now.Gather [| id |]) (before.Gather [| id |]) "untouched"
                  else
                      Expect.isTrue (obj.ReferenceEquals(after.Next.Improved, u.State.Improved)) "nothing is written"
                      Expect.equal u.State.Improved.Count 0 "and nothing is kept")

          testForAll
              "climbs go on from where the last one stopped, or from the action that was done"
              15
              keys
              (fun key ->
                  use _ = torch.NewDisposeScope()

                  let kept persist =
                      let u = begun { small with Persist = persist } key
                      let after = through u
                      let memory = memoryOf (Key.foldIn 1L key)
                      let agent = Dipo.agent u.Model
                      let struct (state, table) = agent.Prepare (Key.ofSeed 0L) memory after.Next
                      // the same keys: the same rows
                      let again = agent.Begin table { Batch = Key.foldIn 4L key; Noise = Key.foldIn 5L key } state
                      Expect.equal again.Made.Pairs.Ids u.Made.Pairs.Ids "the same rows"
                      // the memory has lost its first rows: ids and places differ
                      let oldest = memory.Total - int64 memory.Count
                      Expect.isGreaterThan oldest 0L "oldest row"
                      let places = u.Made.Pairs.Ids |> Array.map (fun id -> int (id - oldest))
                      let stored = (Replay.gather cpu places memory).Action |> values

                      values u.Made.Pairs.Action,
                      values after.Made.Climbed.Value,
                      values again.Made.Pairs.Action,
                      stored

                  let first, _, second, stored = kept false
                  Expect.equal first stored "the action that was done"
                  Expect.equal second stored "again"
                  let first, climbed, second, stored = kept true
                  Expect.equal first stored "at first the action that was done"
                  Expect.differs climbed stored "it climbs"

                  let distinct =
                      begun small key |> fun u -> u.Made.Pairs.Ids |> Array.countBy id |> Array.forall (snd >> (=) 1)

                  if distinct then
                      Expect.equal second climbed "then from there")

          testForAll
              "the climb's critics are those after their step, its pairs a batch of their own"
              15
              (Gen.zip configs keys)
              (fun (config, key) ->
                  use _ = torch.NewDisposeScope()
                  let u = begun config key
                  let learned = Dipo.evaluateQ u
                  let value = TwinCritics.actionValue u.Model.Critics learned.Next.Critics
                  let wanted = ActionClimb.climb cpu config.Climb value u.Made.Pairs.Obs u.Made.Pairs.Action
                  Expect.equal (values (Dipo.climbActions learned).Made.Climbed.Value) (values wanted) "after the step"
                  Expect.differs (values u.Made.Pairs.Obs) (values u.Batch.Obs) "another batch")

          testForAll
              "loss and gradient of the policy are those of float64 and autograd on the climbed actions"
              25
              (Gen.zip configs keys)
              (fun (config, key) ->
                  use _ = torch.NewDisposeScope()
                  let u = begun config key
                  let action = (u |> Dipo.evaluateQ |> Dipo.climbActions).Made.Climbed.Value
                  let bars = (Schedule.create BetaSchedule.Cosine 5).AlphaBars

                  let column (f: float -> float) =
                      torch.tensor([| for t in u.Noise.Timesteps -> f bars[t] |]).unsqueeze 1L

                  let noise = Doubles.double u.Noise.Forward

                  let noised =
                      (column sqrt).mul(Doubles.double action).add((column (fun b -> sqrt (1.0 - b))).mul noise)

                  let flat = Doubles.leaf u.State.Policy
                  let times = [ u.Noise.Timesteps |> Array.map float ]

                  let output =
                      ChainTests.doubleNetwork u.Model.Policy flat (Doubles.double u.Made.Pairs.Obs) noised times

                  let wanted = (output.sub noise).square().mean()
                  let gradient = torch.autograd.grad([| wanted |], [| flat |])[0]
                  let struct (loss, got) = Dipo.policyGradient u action
                  let doubles (t: Tensor) = values (t.``to`` torch.float32)
                  closeTo 1e-4 "loss" (doubles wanted) (values loss)
                  closeTo 1e-4 "gradient" (doubles gradient) (values got)

                  // and its step is one of Adam's along the bounded gradient
                  let bounded = ActionClimb.bounded config.GradientClip got
                  let adam = AdamSettings.ofSettings config.Adam
                  let struct (policy, _) = Adam.step cpu adam 3e-4 bounded u.State.Policy u.State.PolicyAdam
                  Expect.equal (values (through u).Next.Policy.Flat) (values policy.Flat) "step")

          testForAll "the critics' gradients are bounded together or each, never enlarged" 25 keys (fun key ->
              use _ = torch.NewDisposeScope()
              let one scale i = (Key.normal cpu [ 50 ] (Key.foldIn i key)).mul(Scalars.ofFloat scale)
              let a, b = one 3.0 1L, one 0.001 2L

              let struct (joint1, joint2) = TwinCritics.boundedGradients true 2.0 a b

              let share = 2.0 / sqrt (norm a ** 2.0 + norm b ** 2.0)

              closeTo
                  1e-5
                  "together"
                  (values (Tensors.cat 0 [ a; b ]) |> Array.map ((*) share))
                  (values (Tensors.cat 0 [ joint1; joint2 ]))

              let struct (each1, each2) = TwinCritics.boundedGradients false 2.0 a b

              closeTo 1e-5 "each" [| 2.0; norm b |] [| norm each1; norm each2 |])

          testForAll
              "the averages move as the settings say, the target asks the policy's average"
              15
              (Gen.zip configs keys)
              (fun (config, key) ->
                  use _ = torch.NewDisposeScope()
                  let u = begun config key

                  for updates in 0L .. 5L do
                      let after = through { u with State = { u.State with Updates = updates } }
                      let moved = not (obj.ReferenceEquals(after.Next.TargetPolicy, u.State.TargetPolicy))
                      Expect.equal moved ((updates + 1L) % int64 config.PolicyTargetEvery = 0L) $"update {updates}"

                      Expect.isFalse
                          (obj.ReferenceEquals(after.Next.Critics.TargetQ1, u.State.Critics.TargetQ1))
                          "critics' averages"

                  let struct (a, b) = Key.split (Key.foldIn 50L key)
                  let other = (DipoPolicy.init u.Model a).Policy
                  let critics = TwinCritics.init u.Model.Critics a b

                  let u =
                      { u with
                          State =
                              { u.State with
                                  TargetPolicy = other
                                  Critics = { u.State.Critics with TargetQ1 = critics.Q1; TargetQ2 = critics.Q2 } } }

                  let action = DipoPolicy.sampled u.Model other false u.Noise.Next u.Batch.NextObs
                  let value = TwinCritics.targetValue u.Model.Critics u.State.Critics u.Batch.NextObs action |> values
                  let reward, ended = values u.Batch.Reward, values u.Batch.Terminated
                  let wanted = Array.init batchSize (fun i -> reward[i] + 0.99 * (1.0 - ended[i]) * value[i])
                  closeTo 1e-5 "target" wanted (Dipo.criticTarget u |> values))

          testForAll
              "actions come from the posterior chain; a quiet one draws only its start"
              15
              (Gen.zip configs keys)
              (fun (config, key) ->
                  use _ = torch.NewDisposeScope()
                  let u = begun config key

                  let net x t =
                      ActionNetwork.forward
                          cpu
                          u.Model.Policy
                          u.State.Policy
                          u.Batch.Obs
                          x
                          [ Array.create batchSize (float t) ]

                  for quiet in [ true; false ] do
                      let noise = u.Noise.Next
                      let mutable x = noise.Initial

                      for i in 0..4 do
                          let z = if quiet then None else Some noise.Steps[i]
                          x <- Diffusion.step u.Model.Schedule ReverseStep.Posterior (4 - i) x (net x (4 - i)) z

                      let got = DipoPolicy.sampled u.Model u.State.Policy quiet noise u.Batch.Obs
                      closeTo 5e-5 $"quiet {quiet}" (values (Diffusion.clip x)) (values got)

                  let act config purpose =
                      ((Dipo.agent (DipoPolicy.model cpu space config)).Act purpose u.State key u.Batch.Obs).Action
                      |> values

                  let loud = { config with QuietEvaluation = false }
                  Expect.equal (act config Purpose.Explore) (act loud Purpose.Evaluate) "training draws"

                  Expect.differs
                      (act config Purpose.Evaluate)
                      (act loud Purpose.Evaluate)
                      "an evaluation is quiet where asked")

          testCase "stages that run too early say what is missing" (fun () ->
              use _ = torch.NewDisposeScope()
              let u = begun small (Key.ofSeed 3L)
              let refused stage = (Expect.raises<RefusedOperationException>(fun () -> stage u |> ignore)).Message
              Expect.stringContains (refused Dipo.climbActions) "put `evaluateQ` before it" "climb"
              Expect.stringContains (refused Dipo.improvePolicy) "put `climbActions` before it" "policy"
              Expect.stringContains (refused Dipo.followTargets) "put `improvePolicy` before it" "averages")

          testCase "the presets have the reference sheet's settings" (fun () ->
              let p, s = DipoConfig.published, DipoConfig.sdacPaper

              Expect.equal
                  (p.Hidden, p.Chain.Timesteps, p.Chain.BetaSchedule, p.Adam.AdamEpsilon)
                  ([ 256; 256; 256 ], 100, BetaSchedule.Cosine, 1e-5)
                  "authors"

              Expect.equal
                  (p.Climb.ClimbSteps, p.Climb.ClimbBound, p.GradientClip, p.Persist)
                  (40, ClimbBound.PerDimension 0.08, 2.0, false)
                  "authors"

              Expect.equal (p.PolicyTargetEvery, p.ClipCriticsTogether, p.QuietEvaluation) (2, true, true) "authors"

              Expect.equal
                  (s.Climb.ClimbSteps, s.Climb.ClimbBound, s.Climb.ClimbEpsilon, s.Persist)
                  (30, ClimbBound.Fixed 0.16, 1e-8, true)
                  "port"

              Expect.equal
                  (s.Chain.BetaSchedule, s.Chain.InitialNoiseScale, s.ClipCriticsTogether, s.GradientClip)
                  (BetaSchedule.Linear 0.3, 0.5, false, 4.0)
                  "port"

              Expect.equal
                  (s.TimeEmbedding, s.PolicyActivation, s.Critics.RewardScale)
                  (TimeEmbedding.Bare, HiddenActivation.Relu, 1.0)
                  "port"

              for preset in Dipo.algorithm.Presets do
                  Expect.equal (DipoConfig.problems preset.Config) [] preset.Name)

          testCase "impossible settings are one sentence each" (fun () ->
              let problems change = DipoConfig.problems (change small) |> String.concat "; "
              let contains change (sentence: string) = Expect.stringContains (problems change) sentence sentence
              contains (fun c -> { c with Climb.ClimbSteps = 0 }) "climbSteps is 0; it must be at least 1"
              contains (fun c -> { c with Climb.ClimbRate = -0.1 }) "climbRate is -0.1; it must be a positive number"
              contains (fun c -> { c with Climb.ClimbBound = ClimbBound.PerDimension 0.0 }) "climbBound is 0"
              contains (fun c -> { c with GradientClip = nan }) "gradientClip is NaN"
              contains (fun c -> { c with Chain.Timesteps = 0 }) "timesteps is 0; it must be at least 1"
              contains (fun c -> { c with PolicyTargetEvery = 0 }) "policyTargetEvery is 0"
              Expect.equal (problems id) "" "possible") ]
