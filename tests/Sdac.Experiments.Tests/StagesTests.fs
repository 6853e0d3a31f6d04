/// Runs with stages of a user's own.
module Sdac.Experiments.Tests.StagesTests

open System
open System.IO
open Expecto
open Sdac.Functional
open Sdac.Experiments
open Sdac.Experiments.Tests.Runs
open Sdac.Experiments.Tests.Support
open TorchSharp

let private spec = { varied 50L with CheckpointsKept = 100 }

/// The critics learn from rewards that are clipped.
let private clipRewards (step: Step<'s, 'w>) : Step<'s, 'w> =
    let clip (batch: Batch) = { batch with Reward = batch.Reward.clamp (Scalars.ofFloat -0.5, Scalars.ofFloat 0.5) }

    Pipeline.onBatch "clipRewards" clip step

let private clipped: Stage<ActorCriticState, Update> =
    Pipeline.collect
    >> clipRewards
    >> Pipeline.evaluateQ
    >> Pipeline.reverseSample
    >> Pipeline.rssmUpdate

/// The same stages, the clipping behind the update, where it does nothing.
let private clippedLate: Stage<ActorCriticState, Update> = Pipeline.sdac >> clipRewards

/// Rewards over a running mean of their size, with a sum of batches that only shows that tensors are kept too.
type private Scale = { Mean: float; Batches: int64; Rewards: AdamState }

let private scaleParts: Parts<Scale> =
    fun visit s ->
        { Mean = visit.Float("mean", s.Mean)
          Batches = visit.Int("batches", s.Batches)
          Rewards = visit.Adam("rewards", s.Rewards) }

let private scaleRewards (step: Step<'s, 'w>) : Step<'s, 'w> =
    let initial () = { Mean = 1.0; Batches = 0L; Rewards = { M = torch.zeros 16L; V = torch.zeros 16L; Count = 0L } }

    let scale (own: Scale) (step: Step<'s, 'w>) =
        let mutable next = own

        let change (batch: Batch) =
            let size = Tensors.scalar (batch.Reward.abs().mean())

            next <-
                { Mean = 0.9 * own.Mean + 0.1 * size
                  Batches = own.Batches + 1L
                  Rewards =
                    { M = own.Rewards.M.add batch.Reward
                      V = own.Rewards.V.add (batch.Reward.square ())
                      Count = own.Rewards.Count + 1L } }

            { batch with Reward = batch.Reward.div (Scalars.ofFloat (own.Mean + 0.01)) }

        let step = { step with Work = Option.map (step.Agent.OnBatch change) step.Work }
        struct (next, step)

    Pipeline.withState "scaleRewards" scaleParts initial scale step

let private scaled (step: Step<ActorCriticState, Update>) : Step<ActorCriticState, Update> =
    (Pipeline.collect
     >> scaleRewards
     >> Pipeline.evaluateQ
     >> Pipeline.reverseSample
     >> Pipeline.rssmUpdate)
        step

/// Ends the process, so to say, at the beginning of an iteration.
let private killedAt (stop: int64) (stages: Stage<'s, 'w>) : Stage<'s, 'w> =
    fun step -> (if step.Iteration = stop then failwith "killed" else step) |> stages

let private composed (stages: Stage<ActorCriticState, Update>) (path: string) =
    captureOutput (fun () -> Runner.compose stages Sdac.algorithm spec (into path 1)) |> ignore
    RunFolder.openExisting path

let private resumedWith (stages: Stage<ActorCriticState, Update>) (folder: RunFolder) =
    captureOutput (fun () -> Runner.resumeComposed stages Sdac.algorithm folder.Path 1 true) |> fst

let private composedUntil (stop: int64) (stages: Stage<ActorCriticState, Update>) (path: string) =
    Expect.throws (fun () -> Runner.compose (killedAt stop stages) Sdac.algorithm spec (into path 1) |> ignore) "killed"

    RunFolder.openExisting path

let private stagesOf (folder: RunFolder) = (SpecFile.ofRun standard folder).Stages

let private clippedTrail = [ "collect"; "clipRewards"; "evaluateQ"; "reverseSample"; "rssmUpdate" ]

/// Checks that an attempt is refused with these words and changes nothing but the lock.
let private refused (folder: RunFolder) (words: string list) (attempt: unit -> unit) =
    let content () = content folder.Path |> Map.remove ".lock"
    let before = content ()
    let failure = failureOf attempt
    failure |> says words
    Expect.equal failure.ExitCode (Settings "").ExitCode "exit code"
    let after = content ()
    Expect.sequenceEqual after.Keys before.Keys "files"

    for pair in before do
        Expect.equal after[pair.Key] pair.Value pair.Key

[<Tests>]
let tests =
    testList
        "stages of one's own"
        [ testCase "a run's specification names the stages that its iterations pass" (fun () ->
              inFolder (fun path ->
                  let own = composed clipped (Path.Combine(path, "own"))
                  Expect.equal (stagesOf own) clippedTrail "the user's"
                  let late = composed clippedLate (Path.Combine(path, "late"))

                  Expect.equal
                      (stagesOf late)
                      [ "collect"; "evaluateQ"; "reverseSample"; "rssmUpdate"; "clipRewards" ]
                      "in another order"

                  let plain = Path.Combine(path, "plain")
                  captureOutput (fun () -> runInto plain spec) |> ignore
                  let plain = RunFolder.openExisting plain

                  Expect.equal
                      (stagesOf plain)
                      [ "collect"; "evaluateQ"; "reverseSample"; "rssmUpdate" ]
                      "the algorithm's"
                  // what clipping changes, and what it leaves alone where it comes too late
                  let metrics (run: RunFolder) = File.ReadAllText run.Metrics
                  Expect.notEqual (metrics own) (metrics plain) "clipped rewards"
                  Expect.equal (metrics late) (metrics plain) "clipped too late"))

          testCase "a run resumed with the same stages equals the uninterrupted one, byte for byte" (fun () ->
              inFolder (fun path ->
                  let whole = composed clipped (Path.Combine(path, "whole"))

                  // before the first checkpoint, at one, and between
                  for stop in [ 0L; 7L; 20L; 33L ] do
                      let folder = composedUntil stop clipped (Path.Combine(path, $"{stop}"))
                      Expect.isTrue (resumedWith clipped folder).IsSome "resumed"
                      same whole folder))

          testCase "a run resumed with other stages is refused, and nothing is written" (fun () ->
              inFolder (fun path ->
                  for stop in [ 7L; 33L ] do
                      let folder = composedUntil stop clipped (Path.Combine(path, $"own {stop}"))
                      let made = String.concat " >> " clippedTrail

                      for attempt, now in
                          [ (fun () -> Runner.resume standard folder.Path 1 true |> ignore),
                            "collect >> evaluateQ >> reverseSample >> rssmUpdate"
                            (fun () -> resumedWith clippedLate folder |> ignore),
                            "collect >> evaluateQ >> reverseSample >> rssmUpdate >> clipRewards"
                            (fun () -> resumedWith scaled folder |> ignore), "collect >> scaleRewards" ] do
                          refused folder [ folder.Path; made; now; "with the same stages" ] attempt

                      let plain = prepared (Path.Combine(path, $"plain {stop}")) spec
                      Expect.throws (fun () -> resumedUntil stop 1 plain |> ignore) "killed"

                      refused
                          plain
                          [ plain.Path; "collect >> evaluateQ >> reverseSample >> rssmUpdate"; made ]
                          (fun () -> resumedWith clipped plain |> ignore)))

          testCase "a run of another algorithm is not taken up" (fun () ->
              inFolder (fun path ->
                  let folder = prepared (Path.Combine(path, "run")) (asDpmd spec)

                  refused folder [ folder.Spec; "the algorithm dpmd, not of sdac" ] (fun () ->
                      resumedWith clipped folder |> ignore)))

          testCase "a run that an edited script began is refused, and nothing is written" (fun () ->
              inFolder (fun path ->
                  let folder = composedUntil 33L clipped (Path.Combine(path, "run"))
                  let mark = { File = "mine.fsx"; Sha256 = String('0', 64) }
                  let made = SpecFile.ofRun standard folder
                  Expect.isNone made.Script "these tests are no script"
                  File.WriteAllText(folder.Spec, Spec.print { made with Script = Some mark })

                  // the checkpoint has no mark: the specification was changed
                  refused folder [ "script"; "mine.fsx" ] (fun () -> resumedWith clipped folder |> ignore)

                  for checkpoint in Checkpoint.list folder do
                      File.Delete checkpoint

                  refused folder [ folder.Spec; "mine.fsx"; "edited since" ] (fun () ->
                      resumedWith clipped folder |> ignore)))

          testCase "a stage's own state is saved under its name and resumed: the same bytes" (fun () ->
              inFolder (fun path ->
                  let whole = composed scaled (Path.Combine(path, "whole"))
                  let file = Safetensors.read (Checkpoint.path whole 40L)

                  Expect.equal
                      [ for name in file.Tensors.Keys do
                            if name.StartsWith("own.", StringComparison.Ordinal) then
                                name ]
                      [ for leaf in [ "batches"; "mean"; "rewards.adam.count"; "rewards.adam.m"; "rewards.adam.v" ] ->
                            $"own.scaleRewards.{leaf}" ]
                      "its leaves"

                  Expect.equal
                      (BitConverter.ToInt64 file.Tensors["own.scaleRewards.batches"].Data)
                      40L
                      "a batch for each update"

                  Expect.equal
                      (Json.parseOver "own" ([]: string list) file.Metadata["own"])
                      [ "scaleRewards" ]
                      "its name"

                  for stop in [ 0L; 7L; 20L; 33L; 41L ] do
                      let folder = composedUntil stop scaled (Path.Combine(path, $"{stop}"))
                      Expect.isTrue (resumedWith scaled folder).IsSome "resumed"
                      same whole folder

                  // interrupted twice, the second time before the next checkpoint
                  let folder = composedUntil 22L scaled (Path.Combine(path, "twice"))
                  Expect.throws (fun () -> resumedWith (killedAt 23L scaled) folder |> ignore) "killed again"
                  Expect.isTrue (resumedWith scaled folder).IsSome "resumed"
                  same whole folder))

          testCase "what is kept for a stage must be in the checkpoint" (fun () ->
              inFolder (fun path ->
                  let folder = composedUntil 33L scaled (Path.Combine(path, "run"))
                  let newest = Checkpoint.path folder 20L
                  let file = Safetensors.read newest

                  let sources =
                      [ for KeyValue(name, t) in file.Tensors do
                            if name <> "own.scaleRewards.mean" then
                                Safetensors.ofBytes name t.Dtype t.Shape (ReadOnlyMemory t.Data) ]

                  Safetensors.write newest (Map.remove "sha256" file.Metadata) sources

                  let failure = failureOf (fun () -> resumedWith scaled folder)
                  failure |> says [ newest; "own.scaleRewards.mean" ]
                  Expect.isTrue failure.IsDamaged "damage")) ]
