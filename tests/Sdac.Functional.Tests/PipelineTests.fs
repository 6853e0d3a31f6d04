module Sdac.Tests.PipelineTests

open System
open Xunit
open Sdac
open Sdac.Kernels
open TorchSharp
open Sdac.Tests.Figures
open Sdac.Tests.SdacTests

let private experiment =
    Experiment.sdac "InvertedPendulum-v4"
    |> Experiment.seed 7L
    |> Experiment.iterations 12L
    |> Experiment.configure (fun _ -> small)

let private parameters (s: TrainState) = [ for t in TrainState.tensors s -> Tensors.toArray t ]

[<Fact>]
let ``the same experiment gives the same bits, on one thread and on two`` () =
    let run threads =
        let before = Workers.Threads
        Workers.Threads <- threads

        try
            let struct (step, episodes) = Pipeline.run Pipeline.sdac experiment
            use _ = step.Environment :> IDisposable
            parameters step.State, episodes, step.Metrics, step.EnvSteps
        finally
            Workers.Threads <- before

    let first = run 1
    Assert.Equal(first, run 1)
    Assert.Equal(first, run 2)

[<Fact>]
let ``an iteration of the composed stages is exactly one Sdac.update on the batch that collect drew`` () =
    use scope = torch.NewDisposeScope()
    let step = Pipeline.warm (Pipeline.start experiment)
    use _ = step.Environment :> IDisposable
    let collected = Pipeline.collect step
    let u = collected.Update.Value
    let struct (expected, metrics) = Sdac.updateWith u.Model u.Noise u.Batch step.State
    let iterated = Pipeline.iterate Pipeline.sdac step
    Assert.Equal<float32[] list>(parameters expected, parameters iterated.State)
    Assert.Equal(Some metrics, iterated.Metrics)
    Assert.Equal(1L, iterated.Iteration)

[<Fact>]
let ``stages change nothing of the step they are given`` () =
    use scope = torch.NewDisposeScope()
    let step = Pipeline.warm (Pipeline.start experiment)
    use _ = step.Environment :> IDisposable
    let before = parameters step.State, Environment.obs step.EnvStates, step.Replay.Count, step.Iteration
    let obs = Array.copy (Environment.obs step.EnvStates)
    let once = Pipeline.iterate Pipeline.sdac step
    let twice = Pipeline.iterate Pipeline.sdac step
    Assert.Equal(before, (parameters step.State, Environment.obs step.EnvStates, step.Replay.Count, step.Iteration))
    Assert.Equal<float32[]>(obs, Environment.obs step.EnvStates)
    Assert.Equal<float32[] list>(parameters once.State, parameters twice.State)

[<Fact>]
let ``the warm-up is random, fills the memory and is not counted`` () =
    use scope = torch.NewDisposeScope()
    let step = Pipeline.warm (Pipeline.start experiment)
    use _ = step.Environment :> IDisposable
    Assert.Equal(40, step.Replay.Count)
    Assert.Equal(0L, step.EnvSteps)
    let actions = (Replay.gather Compute.cpu [| 0..39 |] step.Replay).Action |> Tensors.toArray
    Assert.Equal(40, (Array.distinct actions).Length)
    Assert.All(actions, fun a -> Assert.InRange(a, -1.0f, 1.0f))
    Assert.Equal(2L, (Pipeline.iterate Pipeline.sdac step).EnvSteps)

[<Fact>]
let ``with several updates per step the environments move on every such iteration only`` () =
    use scope = torch.NewDisposeScope()

    let step =
        experiment
        |> Experiment.configure (fun c -> { c with UpdatesPerStep = 3 })
        |> Pipeline.start
        |> Pipeline.warm

    use _ = step.Environment :> IDisposable
    let steps = List.scan (fun s _ -> Pipeline.iterate Pipeline.sdac s) step [ 1..7 ]
    Assert.Equal<int64 list>([ 0L; 2L; 2L; 2L; 4L; 4L; 4L; 6L ], steps |> List.map _.EnvSteps)
    Assert.Equal(7L, (List.last steps).State.Updates)

[<Fact>]
let ``the averaged policy acts in the environments, not the one that is being trained`` () =
    use scope = torch.NewDisposeScope()
    let step = Pipeline.warm (Pipeline.start experiment)
    use _ = step.Environment :> IDisposable
    let zero (p: Params) = Params.withFlat (p.Flat.zeros_like ()) p

    let actions (state: TrainState) =
        let after = Pipeline.collect { step with State = state }
        let newest = [| after.Replay.Count - 2; after.Replay.Count - 1 |]
        (Replay.gather Compute.cpu newest after.Replay).Action |> Tensors.toArray

    let s = step.State
    Assert.Equal<float32[]>(actions s, actions { s with Policy = zero s.Policy })
    Assert.NotEqual<float32[]>(actions s, actions { s with TargetPolicy = zero s.TargetPolicy })

[<Fact>]
let ``a stage of the user's own composes with the others`` () =
    use scope = torch.NewDisposeScope()
    let step = Pipeline.warm (Pipeline.start experiment)
    use _ = step.Environment :> IDisposable

    let clipRewards: Stage =
        fun s ->
            match s.Update with
            | Some u ->
                let reward = u.Batch.Reward.clamp (Scalars.ofFloat 0.0, Scalars.ofFloat 0.5)
                { s with Update = Some { u with Batch = { u.Batch with Reward = reward } } }
            | None -> s

    let plain = Pipeline.iterate Pipeline.sdac step

    let clipped =
        Pipeline.iterate
            (Pipeline.collect
             >> clipRewards
             >> Pipeline.evaluateQ
             >> Pipeline.reverseSample
             >> Pipeline.rssmUpdate)
            step

    Assert.NotEqual<float32[]>(Tensors.toArray plain.State.Q1.Flat, Tensors.toArray clipped.State.Q1.Flat)
    Assert.Equal<float32[]>(Tensors.toArray plain.State.Policy.Flat, Tensors.toArray clipped.State.Policy.Flat)

[<Fact>]
let ``a pipeline without a batch says which stage is missing`` () =
    use scope = torch.NewDisposeScope()
    let step = Pipeline.start experiment
    use _ = step.Environment :> IDisposable

    let e =
        Assert.Throws<InvalidOperationException>(fun () -> Pipeline.iterate Pipeline.evaluateQ step |> ignore)

    Assert.Contains("put `collect`", e.Message)

[<Fact>]
let ``evaluation plays one whole episode in each environment and repeats exactly`` () =
    use scope = torch.NewDisposeScope()
    let step = Pipeline.start experiment
    use _ = step.Environment :> IDisposable
    use arena = Environment.create "InvertedPendulum-v4" Map.empty 5
    let episodes = Evaluation.run step.Model arena (Key.ofSeed 1L) step.State
    Assert.Equal(5, episodes.Length)
    // every step of this task pays 1
    Assert.All(episodes, fun e -> Assert.Equal(float e.Length, e.Return))
    Assert.Equal<Episode[]>(episodes, Evaluation.run step.Model arena (Key.ofSeed 1L) step.State)

[<Fact>]
let ``iterations leave no tensor behind`` () =
    let mutable step = Pipeline.warm (Pipeline.start experiment)
    use _ = step.Environment :> IDisposable

    let advance n =
        for _ in 1..n do
            step <- Pipeline.consume Pipeline.sdac step

    advance 4
    let before = liveTensors ()
    advance 30
    Assert.Equal(before, liveTensors ())
