module Sdac.Experiments.Tests.RunnerTests

open System
open System.IO
open Expecto
open Sdac.Functional
open Sdac.Environments
open Sdac.Experiments
open Sdac.Experiments.Tests.Runs
open Sdac.Experiments.Tests.Support
open TorchSharp
open Sdac.Testing

/// A run of a second or two.
let private tiny =
    let change (c: SdacConfig) =
        { c with
            Hidden = [ 16; 16 ]
            Data.BatchSize = 16
            Particles.Particles = 3
            Draws.MonteCarloDraws = 4
            Diffusion.Timesteps = 5
            Data.WarmUp = 60
            Data.Environments = 2 }

    { configured change quick with
        Iterations = 40L
        Horizon = 40L
        EvaluateEvery = 15L
        EvaluationEpisodes = 3
        CheckpointEvery = 8L
        CheckpointsKept = 3
        LogEvery = 1L }

let private runIn folder name spec threads =
    let out = Path.Combine(folder, name)
    let summary, _ = captureOutput (fun () -> Runner.run standard spec (into out threads))
    out, summary

let private withTask task (spec: Spec) = { spec with Task = task }

/// What the user is told of a run that is refused, which must be one line; no folder is made for it.
let private complaint (spec: Spec) =
    inFolder (fun folder ->
        let out = Path.Combine(folder, "run")

        let code, text =
            captureError (fun () ->
                Script.run "train.fsx" (fun () ->
                    runInto out spec |> ignore
                    0))

        Expect.notEqual code 0 "exit code"
        Expect.equal (text.Trim().Split('\n').Length) 1 "number of lines"
        Expect.isFalse (Directory.Exists out) "a folder was made"
        text)

[<Tests>]
let tests =
    testList
        "runner"
        [ testCase
              "two runs of one specification write the same metrics and checkpoints, on one thread and on two"
              (fun () ->
                  inFolder (fun folder ->
                      for task in [ "InvertedPendulum-v4"; "Hopper-v4" ] do
                          let spec = withTask task tiny
                          let one, _ = runIn folder $"{task}-1" spec 1
                          let again, _ = runIn folder $"{task}-again" spec 1
                          let two, _ = runIn folder $"{task}-2" spec 2
                          let bytes run (file: string) = File.ReadAllBytes(Path.Combine(run, file))

                          for file in [ "metrics.jsonl"; "spec.json"; "checkpoints/000000040.safetensors" ] do
                              Expect.equal (bytes again file) (bytes one file) "bytes"
                              Expect.equal (bytes two file) (bytes one file) "bytes"))

          testCase "another seed gives other metrics" (fun () ->
              inFolder (fun folder ->
                  let other = { tiny with Seed = 1L }
                  let a, _ = runIn folder "a" tiny 1
                  let b, _ = runIn folder "b" other 1
                  let metrics run = File.ReadAllText(Path.Combine(run, "metrics.jsonl"))
                  Expect.notEqual (metrics b) (metrics a) "metrics"))

          testCase "a run folder holds what it promises" (fun () ->
              inFolder (fun folder ->
                  let out, summary = runIn folder "run" tiny 1
                  let there = RunFolder.openExisting out

                  Expect.equal
                      (SpecFile.parse standard "spec.json" None "published" (File.ReadAllText there.Spec))
                      (withOwnStages tiny)
                      "parse"

                  Expect.equal
                      (SpecFile.ofRun standard there).Stages
                      [ "collect"; "evaluateQ"; "reverseSample"; "rssmUpdate" ]
                      "the trail"

                  let lines = Metrics.read there.Metrics
                  let count kind = lines |> List.filter (fun l -> l["kind"] = Label kind) |> List.length
                  Expect.equal (count "update") 40 "count"
                  // after 15 and 30 iterations and at the end
                  Expect.equal (count "evaluation") 3 "count"

                  Expect.equal
                      ((lines |> List.findBack (fun l -> l["kind"] = Label "evaluation"))["mean"]
                       |> Metrics.number
                       |> Option.get)
                      summary.Final.Mean
                      "value"

                  Expect.equal summary.EnvSteps 80L "env steps"
                  let timings = Metrics.read there.Timings
                  Expect.equal timings.Length 40 "number of timings"

                  let seconds phase =
                      timings
                      |> List.sumBy (fun line ->
                          Map.tryFind phase line |> Option.bind Metrics.number |> Option.defaultValue 0.0)

                  let phases =
                      [ "collect"; "evaluateQ"; "reverseSample"; "rssmUpdate"; "evaluation"; "checkpoint" ]
                      |> List.map seconds

                  for spent in phases do
                      Expect.isTrue (spent > 0.0) "spent"

                  let whole = timings |> List.last |> Map.find "seconds" |> Metrics.number |> Option.get
                  Expect.isTrue (List.sum phases <= whole) $"the phases take {phases} of {whole} s"
                  // after 8, 16, 24, 32 iterations and at the end, the newest three kept
                  Expect.equal
                      (Checkpoint.list there |> List.map Path.GetFileNameWithoutExtension |> List.map string)
                      [ "000000040"; "000000032"; "000000024" ]
                      "list"

                  Expect.isTrue
                      (File.Exists there.Summary
                       && File.Exists there.Curve
                       && File.Exists there.CurvePng
                       && File.Exists there.Machine)
                      "summary"))

          testCase "every logged line has policy figures, also where the policy moves on other iterations" (fun () ->
              inFolder (fun folder ->
                  let delayed = configured (fun c -> { c with Policy.PolicyDelay = 2 }) tiny
                  // the logged iterations 2, 4, ... end with updates 1, 3, ..., none of which moves the policy
                  let out, _ = runIn folder "run" { delayed with LogEvery = 2L } 1

                  let updates =
                      Metrics.read (RunFolder.openExisting out).Metrics
                      |> List.filter (fun l -> l["kind"] = Label "update")

                  Expect.equal updates.Length 20 "number of updates"

                  for l in updates do
                      Expect.isTrue
                          (Map.containsKey "policyLoss" l && Map.containsKey "weightConcentration" l)
                          "contains key"))

          testCase "evaluating the newest checkpoint repeats the run's final evaluation" (fun () ->
              inFolder (fun folder ->
                  let out, summary = runIn folder "run" tiny 1
                  let _, text = captureOutput (fun () -> Evaluate.run standard out None None None 2)

                  Expect.stringContains
                      text
                      $"mean %.2f{summary.Final.Mean}, deviation %.2f{summary.Final.Deviation}"
                      "text"

                  Expect.stringContains text "over 3 episodes" "text"
                  Expect.stringContains text "episode   3:" "text"))

          testCase "a checkpoint restores every number of the training state" (fun () ->
              inFolder (fun folder ->
                  let mutable step = Pipeline.warm (Pipeline.start (experimentOf tiny))
                  use _ = step.Environment :> IDisposable

                  for _ in 1..5 do
                      step <- Pipeline.consume Pipeline.sdac step

                  let run = RunFolder.create (Path.Combine(folder, "run")) false
                  let struct (path, _) = Checkpoint.save run tiny [] Journal.empty step
                  let restored = CheckpointRestore.load step.Agent "sdac" step.Environment.Task path
                  let numbers s = [ for t in Parts.tensors ActorCriticState.parts s -> Tensors.toArray t ]
                  Expect.equal (numbers restored) (numbers step.State) "numbers"
                  Expect.equal restored.Temperature step.State.Temperature "temperature"
                  Expect.equal restored.Updates step.State.Updates "updates"

                  Expect.equal
                      (restored.PolicyAdam.Count, restored.Critics.Q1Adam.Count)
                      (step.State.PolicyAdam.Count, step.State.Critics.Q1Adam.Count)
                      "number of policy adam and number of Q1 adam"

                  Expect.equal restored.Values step.State.Values "running averages of Q"
                  Expect.equal restored.EnergyShift step.State.EnergyShift "energy shift"
                  disposeState step.State
                  disposeState restored))

          testCase "a damaged newest checkpoint is refused by name and the one before it is used" (fun () ->
              inFolder (fun folder ->
                  let out, _ = runIn folder "run" tiny 1
                  let there = RunFolder.openExisting out
                  let newest = List.head (Checkpoint.list there)
                  let bytes = File.ReadAllBytes newest
                  bytes[bytes.Length / 2] <- bytes[bytes.Length / 2] ^^^ 1uy
                  File.WriteAllBytes(newest, bytes)
                  let agent = agentOf tiny
                  failureOf (fun () -> CheckpointRestore.load agent "sdac" tiny.Task newest) |> says [ newest ]
                  let struct (used, state, complaints) = CheckpointRestore.newest agent "sdac" tiny.Task there
                  Expect.stringEnds used "000000032.safetensors" "used"
                  Expect.stringContains (Expect.single complaints "complaints") newest "complaints"
                  Expect.equal state.Updates 32L "updates"
                  disposeState state

                  // cut off, all of them: nothing is left to use
                  for path in Checkpoint.list there do
                      File.WriteAllBytes(path, (File.ReadAllBytes path)[..999])

                  failureOf (fun () -> CheckpointRestore.newest agent "sdac" tiny.Task there)
                  |> says [ "no checkpoint that can be used"; "000000024" ]))

          testCase "a checkpoint of another task or of other sizes is refused" (fun () ->
              inFolder (fun folder ->
                  let out, _ = runIn folder "run" tiny 1
                  let newest = List.head (Checkpoint.list (RunFolder.openExisting out))

                  failureOf (fun () -> CheckpointRestore.load (agentOf tiny) "sdac" "Hopper-v4" newest)
                  |> says [ "InvertedPendulum-v4"; "Hopper-v4" ]

                  let wider = agentOf (configured (fun c -> { c with Hidden = [ 17; 16 ] }) tiny)

                  failureOf (fun () -> CheckpointRestore.load wider "sdac" tiny.Task newest)
                  |> says [ "policy.layer0.weight"; newest ]))

          testCase
              "a loss that is not a number stops the run with its name, the iteration and the last good checkpoint"
              (fun () ->
                  inFolder (fun folder ->
                      let spoil (batch: Batch) = { batch with Reward = batch.Reward.mul (Scalars.ofFloat nan) }

                      let poison: Stage<ActorCriticState, Update> =
                          fun step -> if step.Iteration < 10L then step else Pipeline.onBatch "poison" spoil step

                      let stages =
                          Pipeline.collect
                          >> poison
                          >> Pipeline.evaluateQ
                          >> Pipeline.reverseSample
                          >> Pipeline.rssmUpdate

                      let out = Path.Combine(folder, "run")

                      failureOf (fun () -> Runner.compose stages Sdac.algorithm tiny (into out 1))
                      |> says [ "the loss of critic 1 is NaN"; "iteration 11"; "000000008.safetensors" ]

                      // what had been written is still there and good
                      let struct (used, state, _) =
                          CheckpointRestore.newest (agentOf tiny) "sdac" tiny.Task (RunFolder.openExisting out)

                      Expect.stringEnds used "000000008.safetensors" "used"

                      Expect.equal
                          (Parts.tensors ActorCriticState.parts state
                           |> List.sumBy (fun t -> float (t.isfinite().logical_not().sum().item<int64>())))
                          0.0
                          "tensors"

                      disposeState state))

          testCase "a run that ends before its first episode shows no NaN" (fun () ->
              inFolder (fun path ->
                  let spec =
                      { Spec.iterations 2L (preset "sdac" "tiny") with
                          Task = "HalfCheetah-v4"
                          EvaluationEpisodes = 1 }

                  let options = { into (Path.Combine(path, "run")) 1 with Quiet = true }
                  // its episodes take 1,000 steps
                  let spec = setTo spec "warmUp" "100"
                  let summary, shown = captureOutput (fun () -> Runner.run standard spec options)
                  Expect.isTrue (Double.IsNaN summary.RecentTrainingReturn) "no episode"
                  Expect.stringContains shown "no episode has ended" "said"
                  Expect.stringLacks shown "NaN" "figures"))

          testCase "an existing run is not touched unless it may be replaced" (fun () ->
              inFolder (fun folder ->
                  let out, _ = runIn folder "run" tiny 1
                  let metrics = File.ReadAllBytes(Path.Combine(out, "metrics.jsonl"))
                  failureOf (fun () -> runInto out tiny) |> says [ out; "--overwrite" ]
                  Expect.equal (File.ReadAllBytes(Path.Combine(out, "metrics.jsonl"))) metrics "content of out"
                  // settings that are refused leave the old run alone even with --overwrite
                  let unknown = withTask "Hoper-v4" tiny

                  let error =
                      Expect.raises<RefusedArgumentException>(fun () ->
                          Runner.run standard unknown { into out 1 with Overwrite = true } |> ignore)

                  Expect.stringContains error.Message "Hopper-v4" "sentence"
                  Expect.equal (File.ReadAllBytes(Path.Combine(out, "metrics.jsonl"))) metrics "content of out"
                  captureOutput (fun () -> Runner.run standard tiny { into out 1 with Overwrite = true }) |> ignore
                  Expect.equal (File.ReadAllBytes(Path.Combine(out, "metrics.jsonl"))) metrics "content of out"))

          testCase "what the layers below refuse reaches the user as one sentence and an exit code" (fun () ->
              let hopper = withTask "Hopper-v4" tiny
              let option = { hopper with TaskOptions = Map [ "reset_noise_scal", "0.1" ] }
              Expect.stringContains (complaint (withTask "Hoper-v4" tiny)) "Hopper-v4" "unknown task"
              Expect.stringContains (complaint option) "reset_noise_scale" "unknown option"
              let few = configured (fun c -> { c with Data.BufferCapacity = 1 }) tiny
              Expect.stringContains (complaint few) "bufferCapacity is 1" "too small a memory"
              let none = configured (fun c -> { c with Data.BatchSize = 0 }) tiny
              Expect.stringContains (complaint none) "batchSize is 0" "empty batches")

          testCase "a GPU that is not there reaches the user as one sentence and an exit code" (fun () ->
              if torch.cuda.is_available () then
                  skiptest "there is a CUDA GPU"

              let cuda = { tiny with Device = "cuda" }
              Expect.stringContains (complaint cuda) "--device cpu" "missing GPU")

          testCase "a folder that cannot be made is refused by name" (fun () ->
              // root may write anywhere but there
              if not (Directory.Exists "/proc") then
                  skiptest "there is no /proc, where the system lets nobody make a folder"

              failureOf (fun () -> runInto "/proc/sdac-run" tiny) |> says [ "/proc/sdac-run" ])

          testCase "the default folder is numbered on where it is taken" (fun () ->
              inFolder (fun folder ->
                  let wanted = Path.Combine(folder, "run")
                  Expect.equal (RunFolder.unused wanted) wanted "unused folder"
                  Directory.CreateDirectory wanted |> ignore
                  Directory.CreateDirectory(wanted + "-2") |> ignore
                  Expect.equal (RunFolder.unused wanted) (wanted + "-3") "wanted")) ]
