module Sdac.Tests.PipelineTests

open System
open Expecto
open Sdac.Functional
open Sdac.Environments
open Sdac.Kernels
open TorchSharp
open Sdac.Tests.Figures
open Sdac.Tests.SdacTests
open Sdac.Testing

let private experiment =
    Experiment.on Sdac.algorithm "InvertedPendulum-v4"
    |> Experiment.seed 7L
    |> Experiment.iterations 12L
    |> Experiment.configure (fun _ -> small)

let private parameters (s: ActorCriticState) = [ for t in Parts.tensors ActorCriticState.parts s -> Tensors.toArray t ]

[<Tests>]
let tests =
    testList
        "pipeline"
        [ testCase "the same experiment gives the same bits, on one thread and on two" (fun () ->
              let run threads =
                  let before = Workers.Threads
                  Workers.Threads <- threads

                  try
                      let struct (step, episodes) = Pipeline.run Pipeline.sdac experiment
                      use _ = step.Environment :> IDisposable
                      parameters step.State, episodes, step.Figures, step.EnvSteps
                  finally
                      Workers.Threads <- before

              let first = run 1
              Expect.equal (run 1) first "bits on one thread"
              Expect.equal (run 2) first "bits on two threads")

          testCase
              "an iteration of the composed stages is exactly one Sdac.update on the batch that collect drew"
              (fun () ->
                  use scope = torch.NewDisposeScope()
                  let step = Pipeline.warm (Pipeline.start experiment)
                  use _ = step.Environment :> IDisposable
                  let collected = Pipeline.collect step
                  let u = collected.Work.Value
                  let struct (expected, metrics) = Sdac.updateWith u.Model u.Noise u.Batch step.State
                  let iterated = Pipeline.iterate Pipeline.sdac step
                  Expect.equal (parameters iterated.State) (parameters expected) "state"
                  Expect.equal iterated.Figures (Some metrics) "metrics"
                  Expect.equal iterated.Iteration 1L "iteration")

          testCase "stages change nothing of the step they are given" (fun () ->
              use scope = torch.NewDisposeScope()
              let step = Pipeline.warm (Pipeline.start experiment)
              use _ = step.Environment :> IDisposable
              let before = parameters step.State, Environment.obs step.EnvStates, step.Memory.Count, step.Iteration
              let obs = Array.copy (Environment.obs step.EnvStates)
              let once = Pipeline.iterate Pipeline.sdac step
              let twice = Pipeline.iterate Pipeline.sdac step

              Expect.equal
                  (parameters step.State, Environment.obs step.EnvStates, step.Memory.Count, step.Iteration)
                  before
                  "everything that the step holds"

              Expect.equal (Environment.obs step.EnvStates) obs "env states"
              Expect.equal (parameters twice.State) (parameters once.State) "state")

          testCase "the warm-up is random, fills the memory and is not counted" (fun () ->
              use scope = torch.NewDisposeScope()
              let step = Pipeline.warm (Pipeline.start experiment)
              use _ = step.Environment :> IDisposable
              Expect.equal step.Memory.Count 40 "number of replay"
              Expect.equal step.EnvSteps 0L "env steps"
              let actions = (Replay.gather Compute.cpu [| 0..39 |] step.Memory).Action |> Tensors.toArray
              Expect.equal ((Array.distinct actions).Length) 40 "number of actions"

              for a in actions do
                  Expect.inRange a (-1.0f, 1.0f) "action"

              Expect.equal ((Pipeline.iterate Pipeline.sdac step).EnvSteps) 2L "env steps")

          testCase "with several updates per step the environments move on every such iteration only" (fun () ->
              use scope = torch.NewDisposeScope()

              let step =
                  experiment
                  |> Experiment.configure (fun c -> { c with Data.UpdatesPerStep = 3 })
                  |> Pipeline.start
                  |> Pipeline.warm

              use _ = step.Environment :> IDisposable
              let steps = List.scan (fun s _ -> Pipeline.iterate Pipeline.sdac s) step [ 1..7 ]
              Expect.equal (steps |> List.map _.EnvSteps) [ 0L; 2L; 2L; 2L; 4L; 4L; 4L; 6L ] "env steps of steps"
              Expect.equal ((List.last steps).State.Updates) 7L "updates")

          testCase "the averaged policy acts in the environments, not the one that is being trained" (fun () ->
              use scope = torch.NewDisposeScope()
              let step = Pipeline.warm (Pipeline.start experiment)
              use _ = step.Environment :> IDisposable
              let zero (p: Params) = Params.withFlat (p.Flat.zeros_like ()) p

              let actions (state: ActorCriticState) =
                  let after = Pipeline.collect { step with State = state }
                  let newest = [| after.Memory.Count - 2; after.Memory.Count - 1 |]
                  (Replay.gather Compute.cpu newest after.Memory).Action |> Tensors.toArray

              let s = step.State
              Expect.equal (actions { s with Policy = zero s.Policy }) (actions s) "actions"
              Expect.differs (actions { s with TargetPolicy = zero s.TargetPolicy }) (actions s) "actions")

          testCase "a stage of the user's own composes with the others" (fun () ->
              use scope = torch.NewDisposeScope()
              let step = Pipeline.warm (Pipeline.start experiment)
              use _ = step.Environment :> IDisposable

              let clipRewards step =
                  Pipeline.onBatch
                      "clipRewards"
                      (fun batch ->
                          { batch with Reward = batch.Reward.clamp (Scalars.ofFloat 0.0, Scalars.ofFloat 0.5) })
                      step

              let plain = Pipeline.iterate Pipeline.sdac step

              let clipped =
                  Pipeline.iterate
                      (Pipeline.collect
                       >> clipRewards
                       >> Pipeline.evaluateQ
                       >> Pipeline.reverseSample
                       >> Pipeline.rssmUpdate)
                      step

              Expect.differs
                  (Tensors.toArray clipped.State.Critics.Q1.Flat)
                  (Tensors.toArray plain.State.Critics.Q1.Flat)
                  "parameters of the critic"

              Expect.equal
                  (Tensors.toArray clipped.State.Policy.Flat)
                  (Tensors.toArray plain.State.Policy.Flat)
                  "parameters of the policy")

          testCase "a pipeline without a batch says which stage is missing" (fun () ->
              use scope = torch.NewDisposeScope()
              let step = Pipeline.start experiment
              use _ = step.Environment :> IDisposable

              let e =
                  Expect.raises<RefusedOperationException>(fun () ->
                      Pipeline.iterate Pipeline.evaluateQ step |> ignore)

              Expect.stringContains e.Message "put `collect`" "sentence")

          testCase "evaluation plays one whole episode in each environment and repeats exactly" (fun () ->
              use scope = torch.NewDisposeScope()
              let step = Pipeline.start experiment
              use _ = step.Environment :> IDisposable
              use arena = Environment.create "InvertedPendulum-v4" Map.empty 5
              let episodes = Evaluation.run step.Agent arena (Key.ofSeed 1L) step.State
              Expect.equal episodes.Length 5 "number of episodes"
              // every step of this task pays 1
              for e in episodes do
                  Expect.equal e.Return (float e.Length) "return"

              Expect.equal (Evaluation.run step.Agent arena (Key.ofSeed 1L) step.State) episodes "episodes")

          testCase "what an episode came to is told at its end: PushT's largest coverage and reward" (fun () ->
              use environment = Environment.create "PushT" Map.empty 6
              let best = Array.zeroCreate<float> 6
              let mutable states = Environment.reset (Key.ofSeed 3L) environment
              let mutable ended = []

              while ended.Length < 6 do
                  // towards where the block is to be, which moves some of them there
                  let action = Array.init 12 (fun i -> if i % 2 = 0 then 0.0f else 0.1f)
                  let outcome = Environment.step action states environment
                  outcome.Reward |> Array.iteri (fun e reward -> best[e] <- max best[e] (float reward))
                  ended <- ended @ outcome.Ended
                  states <- outcome.States

              Expect.sequenceEqual environment.Spec.EpisodeFigures [ "max_coverage"; "max_reward" ] "names"
              Expect.equal [ for struct (e, _) in ended -> e ] [ 0..5 ] "all of one length"
              Expect.isGreaterThan (Array.distinct best).Length 3 "episodes that differ"

              for struct (e, episode) in ended do
                  // a step pays its coverage over the threshold of 0.95
                  Expect.floatClose Accuracy.medium episode.Figures[1] best[e] "largest reward"
                  Expect.floatClose Accuracy.medium episode.Figures[0] (0.95 * best[e]) "largest coverage"

              use hopper = Environment.create "Hopper-v4" Map.empty 1
              let mutable states = Environment.reset (Key.ofSeed 3L) hopper
              let mutable ended = []

              while ended.IsEmpty do
                  let outcome = Environment.step [| 1.0f; 1.0f; 1.0f |] states hopper
                  states <- outcome.States
                  ended <- outcome.Ended

              let struct (_, episode) = ended.Head
              Expect.isEmpty episode.Figures "a task that names none")

          testCase "iterations leave no tensor behind" (fun () ->
              let mutable step = Pipeline.warm (Pipeline.start experiment)
              use _ = step.Environment :> IDisposable

              let advance n =
                  for _ in 1..n do
                      step <- Pipeline.consume Pipeline.sdac step

              advance 4
              let before = liveTensors ()
              advance 30
              Expect.equal (liveTensors ()) before "live tensors") ]
