module Sdac.Tests.SdacTests

open System
open Xunit
open FsCheck.FSharp
open Sdac
open Sdac.Kernels
open TorchSharp
open Sdac.Tests.Properties
open Sdac.Tests.Figures

let internal small =
    { Config.published with
        Hidden = [ 24; 16 ]
        BatchSize = 16
        Particles = 4
        MonteCarloDraws = 5
        Timesteps = 6
        Environments = 2
        WarmUp = 40
        BufferCapacity = 1000 }

let private modelOf compute = Model.create compute 4 2 small

let private batchOf (key: Key) : Batch =
    let keys = Key.splitMany 5 key
    let n = small.BatchSize

    { Obs = Key.normal Compute.cpu [ n; 4 ] keys[0]
      NextObs = Key.normal Compute.cpu [ n; 4 ] keys[1]
      Action = (Key.normal Compute.cpu [ n; 2 ] keys[2]).tanh()
      Reward = Key.normal Compute.cpu [ n ] keys[3]
      Terminated = (Key.uniform Compute.cpu [ n ] keys[4]).gt(Scalars.ofFloat 0.9).``float``() }

let private bits (s: TrainState) = [ for t in TrainState.tensors s -> Tensors.toArray t ], s.Temperature, s.Updates

let private seeds = sizes 0 1_000_000 |> Gen.map (int64 >> Key.ofSeed)

[<Fact>]
let ``an update changes none of its arguments, and the same arguments give the same bits`` () =
    forAll 6 seeds (fun key ->
        let model = modelOf Compute.cpu
        let keys = Key.splitMany 3 key
        let state, batch = TrainState.init model keys[0], batchOf keys[1]
        let stateBits = bits state

        let batchBits () =
            [ for t in [ batch.Obs; batch.NextObs; batch.Action; batch.Reward; batch.Terminated ] -> Tensors.toArray t ]

        let before = batchBits ()
        let struct (next, metrics) = Sdac.update model keys[2] batch state
        let struct (again, metricsAgain) = Sdac.update model keys[2] batch state
        Assert.Equal(stateBits, bits state)
        Assert.Equal<float32[] list>(before, batchBits ())
        Assert.Equal(bits next, bits again)
        Assert.Equal(metrics, metricsAgain)
        Assert.NotEqual(stateBits, bits next))

[<Fact>]
let ``updates give the same bits on one, two and three threads`` () =
    let run threads =
        let before = Workers.Threads
        Workers.Threads <- threads

        try
            let model =
                Model.create
                    Compute.cpu
                    17
                    6
                    { Config.published with BatchSize = 96; Particles = 5; MonteCarloDraws = 7 }

            let mutable state = TrainState.init model (Key.ofSeed 4L)
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
    Assert.Equal(one, run 2)
    Assert.Equal(one, run 3)

[<Fact>]
let ``libtorch alone gives what the kernels give`` () =
    forAll 4 seeds (fun key ->
        let keys = Key.splitMany 3 key
        let batch = batchOf keys[1]

        let run compute =
            let model = modelOf compute
            let mutable state = TrainState.init model keys[0]
            let mutable last = None

            for i in 0L .. 3L do
                let struct (next, metrics) = Sdac.update model (Key.foldIn i keys[2]) batch state
                state <- next
                last <- Some metrics

            TrainState.tensors state |> List.map values, last.Value

        let ours, oursMetrics = run Compute.cpu
        let theirs, theirMetrics = run Compute.libtorch

        for a, b in List.zip ours theirs do
            closeTo 1e-4 "state" b a

        closeTo
            1e-4
            "losses"
            [| theirMetrics.Q1Loss; theirMetrics.Q2Loss |]
            [| oursMetrics.Q1Loss; oursMetrics.Q2Loss |])

[<Fact>]
let ``policy and targets move every second update, the temperature every 250th, the critics always`` () =
    let model = modelOf Compute.cpu
    let batch = batchOf (Key.ofSeed 1L)
    let mutable s = TrainState.init model (Key.ofSeed 2L)

    for i in 0L .. 251L do
        let struct (next, m) = Sdac.update model (Key.foldIn i (Key.ofSeed 3L)) batch s
        let same (f: TrainState -> Params) = obj.ReferenceEquals((f s).Flat, (f next).Flat)
        let moved = i % 2L = 0L
        Assert.Equal(not moved, same _.Policy)
        Assert.Equal(not moved, same _.TargetPolicy)
        Assert.Equal(not moved, same _.TargetQ1)
        Assert.Equal(moved, m.PolicyLoss.IsSome)
        Assert.False(same _.Q1)
        Assert.False(same _.Q2)
        Assert.Equal(i % 250L = 0L, s.Temperature <> next.Temperature)
        TrainState.disposeReplaced next s
        s <- next

/// Which parts of an update's next state are other tensors than those it started from.
let private moved (u: Update) =
    let parts (s: TrainState) =
        [ "policy", s.Policy.Flat
          "target policy", s.TargetPolicy.Flat
          "q1", s.Q1.Flat
          "q2", s.Q2.Flat
          "target q1", s.TargetQ1.Flat
          "target q2", s.TargetQ2.Flat ]

    List.zip (parts u.State) (parts u.Next)
    |> List.filter (fun ((_, before), (_, after)) -> not (obj.ReferenceEquals(before, after)))
    |> List.map (fun ((name, _), _) -> name)

[<Fact>]
let ``each stage works alone and moves its own part only`` () =
    use scope = torch.NewDisposeScope()
    let model = modelOf Compute.cpu
    let batch = batchOf (Key.ofSeed 1L)
    let noise = UpdateNoise.draw model small.BatchSize (Key.ofSeed 3L)
    let first = Sdac.start model noise batch (TrainState.init model (Key.ofSeed 2L))
    let second = Sdac.start model noise batch { first.State with Updates = 1L }
    Assert.Empty(moved first)

    let critics = Sdac.evaluateQ first
    Assert.Equal<string list>([ "q1"; "q2" ], moved critics)
    Assert.True(critics.Action.IsNone && critics.Metrics.PolicyLoss.IsNone && critics.Metrics.Q1Loss > 0.0)

    let sampled = Sdac.reverseSample first
    Assert.Empty(moved sampled)
    Assert.Equal<int list>([ small.BatchSize; 2 ], Tensors.shape sampled.Action.Value)
    Assert.True((Sdac.reverseSample second).Action.IsNone)

    let policy = Sdac.rssmUpdate sampled
    Assert.Equal<string list>([ "policy"; "target policy"; "target q1"; "target q2" ], moved policy)
    Assert.NotEqual(first.State.Temperature, policy.Next.Temperature)
    // without an action there is nothing for the policy to learn from
    Assert.Empty(moved (Sdac.rssmUpdate first))
    Assert.Equal(second.State.Temperature, (Sdac.rssmUpdate second).Next.Temperature)

[<Fact>]
let ``the stages use none of each other's results, so that all gradients belong to the state before the update`` () =
    use scope = torch.NewDisposeScope()
    let model = modelOf Compute.cpu
    let noise = UpdateNoise.draw model small.BatchSize (Key.ofSeed 3L)
    let u = Sdac.start model noise (batchOf (Key.ofSeed 1L)) (TrainState.init model (Key.ofSeed 2L))
    let policyFirst = u |> Sdac.reverseSample |> Sdac.rssmUpdate
    let criticsFirst = u |> Sdac.evaluateQ |> Sdac.reverseSample |> Sdac.rssmUpdate
    Assert.Equal<float32[]>(Tensors.toArray policyFirst.Next.Policy.Flat, Tensors.toArray criticsFirst.Next.Policy.Flat)

    Assert.Equal<float32[]>(
        Tensors.toArray (Sdac.evaluateQ u).Next.Q1.Flat,
        Tensors.toArray (Sdac.evaluateQ policyFirst).Next.Q1.Flat
    )

[<Fact>]
let ``a loop that owns its states keeps the number of live tensors constant`` () =
    for compute in [ Compute.cpu; Compute.libtorch ] do
        let model = modelOf compute
        let batch = batchOf (Key.ofSeed 1L)
        let mutable s = TrainState.init model (Key.ofSeed 2L)

        let advance n =
            for i in 1L .. n do
                let struct (next, _) = Sdac.update model (Key.foldIn i (Key.ofSeed 3L)) batch s
                TrainState.disposeReplaced next s
                s <- next

        advance 4L
        let before = liveTensors ()
        advance 40L
        Assert.Equal(before, liveTensors ())
        TrainState.dispose s

[<Fact>]
let ``all impossible settings are named at once`` () =
    let wrong =
        { Config.published with
            Timesteps = 0
            Particles = 0
            Discount = 1.5
            InitialTemperature = -1.0
            MonteCarloDraws = 1 }

    let e = Assert.Throws<ArgumentException>(fun () -> Model.create Compute.cpu 3 2 wrong |> ignore)

    for name in
        [ "Timesteps is 0"
          "Particles is 0"
          "Discount is 1.5"
          "InitialTemperature is -1"
          "at least 2 draws" ] do
        Assert.Contains(name, e.Message)

    Assert.Empty(Config.problems Config.published)

[<Fact>]
let ``the published settings are those of the design`` () =
    let c = Config.published
    Assert.Equal(0.99, c.Discount)
    Assert.Equal(256, c.BatchSize)
    Assert.Equal<int list>([ 256; 256; 256 ], c.Hidden)
    Assert.Equal(20, c.Timesteps)
    Assert.Equal(Linear 0.8, c.BetaSchedule)

    Assert.Equal(
        (32, 64, 5.0, 7e-3, 250),
        (c.Particles, c.MonteCarloDraws, c.InitialTemperature, c.TemperatureLearningRate, c.TemperatureDelay)
    )

    Assert.Equal(
        (3e-4, 3e-5, 25_000L, 50_000L),
        (c.LearningRate, c.PolicyLearningRateEnd, c.PolicyDecayBegin, c.PolicyDecayLength)
    )

    Assert.Equal(
        (0.005, 2, 0.2, 5, 1, 30_000, 1_000_000),
        (c.Tau, c.PolicyDelay, c.RewardScale, c.Environments, c.UpdatesPerStep, c.WarmUp, c.BufferCapacity)
    )

    Assert.Equal((-0.9, 0.1, 0.5), (c.TargetEntropyPerDim, c.NoiseScale, c.InitialNoiseScale))

[<Fact>]
let ``asking for CUDA where there is none says so and names the mend`` () =
    if not (torch.cuda.is_available ()) then
        let e = Assert.Throws<ArgumentException>(fun () -> Compute.create "cuda" true |> ignore)
        Assert.Contains("--device cpu", e.Message)
