module Sdac.Tests.SdacTests

open System
open Expecto
open FsCheck.FSharp
open Sdac.Functional
open Sdac.Environments
open Sdac.Kernels
open TorchSharp
open Sdac.Tests.Properties
open Sdac.Tests.Figures
open Sdac.Testing

let internal small =
    { SdacConfig.published with
        Hidden = [ 24; 16 ]
        Data.BatchSize = 16
        Particles.Particles = 4
        Draws.MonteCarloDraws = 5
        Diffusion.Timesteps = 6
        Data.Environments = 2
        Data.WarmUp = 40
        Data.BufferCapacity = 1000 }

let private modelOf compute = Sdac.model compute { ObsDim = 4; ActionDim = 2 } small

let private batchOf (key: Key) : Batch =
    let keys = Key.splitMany 5 key
    let n = small.Data.BatchSize

    { Obs = Key.normal Compute.cpu [ n; 4 ] keys[0]
      NextObs = Key.normal Compute.cpu [ n; 4 ] keys[1]
      Action = (Key.normal Compute.cpu [ n; 2 ] keys[2]).tanh()
      Reward = Key.normal Compute.cpu [ n ] keys[3]
      Terminated = (Key.uniform Compute.cpu [ n ] keys[4]).gt(Scalars.ofFloat 0.9).``float``() }

let private bits (s: ActorCriticState) =
    [ for t in Parts.tensors ActorCriticState.parts s -> Tensors.toArray t ], s.Temperature, s.Updates

let private seeds = sizes 0 1_000_000 |> Gen.map (int64 >> Key.ofSeed)

/// Which parts of an update's next state are other tensors than those it started from.
let private moved (u: Update) =
    let parts (s: ActorCriticState) =
        [ "policy", s.Policy.Flat
          "target policy", s.TargetPolicy.Flat
          "q1", s.Critics.Q1.Flat
          "q2", s.Critics.Q2.Flat
          "target q1", s.Critics.TargetQ1.Flat
          "target q2", s.Critics.TargetQ2.Flat ]

    List.zip (parts u.State) (parts u.Next)
    |> List.filter (fun ((_, before), (_, after)) -> not (obj.ReferenceEquals(before, after)))
    |> List.map (fun ((name, _), _) -> name)

[<Tests>]
let tests =
    testList
        "SDAC"
        [ testForAll
              "an update changes none of its arguments, and the same arguments give the same bits"
              6
              seeds
              (fun key ->
                  let model = modelOf Compute.cpu
                  let keys = Key.splitMany 3 key
                  let state, batch = ActorCriticState.init model keys[0], batchOf keys[1]
                  let stateBits = bits state

                  let batchBits () =
                      [ for t in [ batch.Obs; batch.NextObs; batch.Action; batch.Reward; batch.Terminated ] ->
                            Tensors.toArray t ]

                  let before = batchBits ()
                  let struct (next, metrics) = Sdac.update model keys[2] batch state
                  let struct (again, metricsAgain) = Sdac.update model keys[2] batch state
                  Expect.equal (bits state) stateBits "bits"
                  Expect.equal (batchBits ()) before "batch bits"
                  Expect.equal (bits again) (bits next) "bits"
                  Expect.equal metricsAgain metrics "metrics again"
                  Expect.differs (bits next) stateBits "bits")

          testCase "updates give the same bits on one, two and three threads" (fun () ->
              let run threads =
                  let before = Workers.Threads
                  Workers.Threads <- threads

                  try
                      let model =
                          Sdac.model
                              Compute.cpu
                              { ObsDim = 17; ActionDim = 6 }
                              { SdacConfig.published with
                                  Data.BatchSize = 96
                                  Particles.Particles = 5
                                  Draws.MonteCarloDraws = 7 }

                      let mutable state = ActorCriticState.init model (Key.ofSeed 4L)
                      let keys = Key.splitMany 5 (Key.ofSeed 5L)
                      let n = 96

                      let batch: Batch =
                          { Obs = Key.normal Compute.cpu [ n; 17 ] keys[0]
                            NextObs = Key.normal Compute.cpu [ n; 17 ] keys[1]
                            Action = (Key.normal Compute.cpu [ n; 6 ] keys[2]).tanh()
                            Reward = Key.normal Compute.cpu [ n ] keys[3]
                            Terminated = Tensors.zeros Compute.cpu [ n ] }

                      [ for i in 0L .. 2L do
                            let struct (next, metrics) = Sdac.update model (Key.foldIn i keys[4]) batch state
                            state <- next
                            metrics ],
                      bits state
                  finally
                      Workers.Threads <- before

              let one = run 1
              Expect.equal (run 2) one "bits on two threads"
              Expect.equal (run 3) one "bits on three threads")

          testForAll "libtorch alone gives what the kernels give" 4 seeds (fun key ->
              let keys = Key.splitMany 3 key
              let batch = batchOf keys[1]

              let run compute =
                  let model = modelOf compute
                  let mutable state = ActorCriticState.init model keys[0]
                  let mutable last = None

                  for i in 0L .. 3L do
                      let struct (next, metrics) = Sdac.update model (Key.foldIn i keys[2]) batch state
                      state <- next
                      last <- Some metrics

                  Parts.tensors ActorCriticState.parts state |> List.map values, last.Value

              let ours, oursMetrics = run Compute.cpu
              let theirs, theirMetrics = run Compute.libtorch

              for a, b in List.zip ours theirs do
                  closeTo 1e-4 "state" b a

              closeTo
                  1e-4
                  "losses"
                  [| theirMetrics["q1Loss"]; theirMetrics["q2Loss"] |]
                  [| oursMetrics["q1Loss"]; oursMetrics["q2Loss"] |])

          testCase
              "policy and targets move every second update, the temperature every 250th, the critics always"
              (fun () ->
                  let model = modelOf Compute.cpu
                  let batch = batchOf (Key.ofSeed 1L)
                  let mutable s = ActorCriticState.init model (Key.ofSeed 2L)

                  for i in 0L .. 251L do
                      let struct (next, m) = Sdac.update model (Key.foldIn i (Key.ofSeed 3L)) batch s
                      let same (f: ActorCriticState -> Params) = obj.ReferenceEquals((f s).Flat, (f next).Flat)
                      let moved = i % 2L = 0L
                      Expect.equal (same _.Policy) (not moved) "policy"
                      Expect.equal (same _.TargetPolicy) (not moved) "target policy"
                      Expect.equal (same _.Critics.TargetQ1) (not moved) "target Q1"
                      Expect.equal (m.ContainsKey "policyLoss") moved "policy loss"
                      Expect.isFalse (same _.Critics.Q1) "the first critic has moved"
                      Expect.isFalse (same _.Critics.Q2) "the second critic has moved"
                      Expect.equal (s.Temperature <> next.Temperature) (i % 250L = 0L) "temperature"
                      Parts.disposeReplaced ActorCriticState.parts next s
                      s <- next)

          testCase "each stage works alone and moves its own part only" (fun () ->
              use scope = torch.NewDisposeScope()
              let model = modelOf Compute.cpu
              let batch = batchOf (Key.ofSeed 1L)
              let noise = UpdateNoise.draw model small.Data.BatchSize (Key.ofSeed 3L)
              let first = ActorCritic.start model noise batch (ActorCriticState.init model (Key.ofSeed 2L))
              let second = ActorCritic.start model noise batch { first.State with Updates = 1L }
              Expect.isEmpty (moved first) "moved"

              let critics = ActorCritic.evaluateQ first
              Expect.equal (moved critics) [ "q1"; "q2" ] "moved"

              Expect.isTrue
                  (critics.Action.IsNone
                   && not (critics.Figures.ContainsKey "policyLoss")
                   && critics.Figures["q1Loss"] > 0.0)
                  "action"

              let sampled = ActorCritic.reverseSample first
              Expect.isEmpty (moved sampled) "moved"
              Expect.equal (Tensors.shape sampled.Action.Value) [ small.Data.BatchSize; 2 ] "action"
              Expect.isTrue ((ActorCritic.reverseSample second).Action.IsNone) "action"

              let policy = Sdac.rssmUpdate sampled
              Expect.equal (moved policy) [ "policy"; "target policy"; "target q1"; "target q2" ] "moved"
              Expect.differs policy.Next.Temperature first.State.Temperature "temperature"
              // without an action there is nothing for the policy to learn from
              Expect.isEmpty (moved (Sdac.rssmUpdate first)) "moved"
              Expect.equal ((Sdac.rssmUpdate second).Next.Temperature) second.State.Temperature "temperature")

          testCase
              "the stages use none of each other's results, so that all gradients belong to the state before the update"
              (fun () ->
                  use scope = torch.NewDisposeScope()
                  let model = modelOf Compute.cpu
                  let noise = UpdateNoise.draw model small.Data.BatchSize (Key.ofSeed 3L)

                  let u =
                      ActorCritic.start
                          model
                          noise
                          (batchOf (Key.ofSeed 1L))
                          (ActorCriticState.init model (Key.ofSeed 2L))

                  let policyFirst = u |> ActorCritic.reverseSample |> Sdac.rssmUpdate
                  let criticsFirst = u |> ActorCritic.evaluateQ |> ActorCritic.reverseSample |> Sdac.rssmUpdate

                  Expect.equal
                      (Tensors.toArray criticsFirst.Next.Policy.Flat)
                      (Tensors.toArray policyFirst.Next.Policy.Flat)
                      "parameters of the policy"

                  Expect.equal
                      (Tensors.toArray (ActorCritic.evaluateQ policyFirst).Next.Critics.Q1.Flat)
                      (Tensors.toArray (ActorCritic.evaluateQ u).Next.Critics.Q1.Flat)
                      "parameters of the critic")

          testCase "a loop that owns its states keeps the number of live tensors constant" (fun () ->
              for compute in [ Compute.cpu; Compute.libtorch ] do
                  let model = modelOf compute
                  let batch = batchOf (Key.ofSeed 1L)
                  let mutable s = ActorCriticState.init model (Key.ofSeed 2L)

                  let advance n =
                      for i in 1L .. n do
                          let struct (next, _) = Sdac.update model (Key.foldIn i (Key.ofSeed 3L)) batch s
                          Parts.disposeReplaced ActorCriticState.parts next s
                          s <- next

                  advance 4L
                  let before = liveTensors ()
                  advance 40L
                  Expect.equal (liveTensors ()) before "live tensors"
                  Parts.dispose ActorCriticState.parts s)

          testCase "all impossible settings are named at once" (fun () ->
              let wrong =
                  { SdacConfig.published with
                      Diffusion.Timesteps = 0
                      Particles.Particles = 0
                      Critics.Discount = 1.5
                      Temperature.InitialTemperature = -1.0
                      Draws.MonteCarloDraws = 1 }

              let e =
                  Expect.raises<RefusedArgumentException>(fun () ->
                      Sdac.model Compute.cpu { ObsDim = 3; ActionDim = 2 } wrong |> ignore)

              for name in
                  [ "timesteps is 0"
                    "particles is 0"
                    "discount is 1.5"
                    "initialTemperature is -1"
                    "at least 2 draws" ] do
                  Expect.stringContains e.Message name "sentence"

              Expect.isEmpty (SdacConfig.problems SdacConfig.published) "published")

          testCase "the published settings are those of the design" (fun () ->
              let c = SdacConfig.published
              Expect.equal c.Critics.Discount 0.99 "discount"
              Expect.equal c.Data.BatchSize 256 "batch size"
              Expect.equal c.Hidden [ 256; 256; 256 ] "hidden"
              Expect.equal c.Diffusion.Timesteps 20 "timesteps"
              Expect.equal c.Diffusion.BetaSchedule (BetaSchedule.Linear 0.8) "beta schedule"

              Expect.equal
                  (c.Particles.Particles,
                   c.Draws.MonteCarloDraws,
                   c.Temperature.InitialTemperature,
                   c.Temperature.TemperatureLearningRate,
                   c.Temperature.TemperatureDelay)
                  (32, 64, 5.0, 7e-3, 250)
                  "particles, draws and temperature"

              Expect.equal
                  (c.Adam.LearningRate,
                   c.Policy.PolicyLearningRateEnd,
                   c.Policy.PolicyDecayBegin,
                   c.Policy.PolicyDecayLength)
                  (3e-4, 3e-5, 25_000L, 50_000L)
                  "learning rates"

              Expect.equal
                  (c.Critics.Tau,
                   c.Policy.PolicyDelay,
                   c.Critics.RewardScale,
                   c.Data.Environments,
                   c.Data.UpdatesPerStep,
                   c.Data.WarmUp,
                   c.Data.BufferCapacity)
                  (0.005, 2, 0.2, 5, 1, 30_000, 1_000_000)
                  "averaging, delay, rewards, environments and memory"

              Expect.equal
                  (c.Temperature.TargetEntropyPerDim, c.Particles.NoiseScale, c.Diffusion.InitialNoiseScale)
                  (-0.9, 0.1, 0.5)
                  "entropy and noise")

          testCase "asking for CUDA where there is none says so and names the mend" (fun () ->
              if torch.cuda.is_available () then
                  skiptest "there is a CUDA GPU"

              let e = Expect.raises<RefusedArgumentException>(fun () -> Compute.create "cuda" true |> ignore)
              Expect.stringContains e.Message "--device cpu" "sentence") ]
