/// Finished runs that train further, checkpoints that stay, and runs that begin with the networks of others.
module Sdac.Experiments.Tests.GoOnTests

open System
open System.IO
open Expecto
open Sdac.Functional
open Sdac.Experiments
open Sdac.Experiments.Tests.Runs
open Sdac.Experiments.Tests.Support
open Sdac.Testing

let private extended (count: int64) (folder: RunFolder) =
    captureOutput (fun () -> Runner.goOn standard (into folder.Path 1) (Some count)) |> fst

/// A finished run of a specification.
let private finished (path: string) (spec: Spec) : RunFolder =
    let folder = prepared path spec
    resumed folder |> ignore
    folder

/// The lines, the last checkpoint and the summary of two runs are the same.
let private sameEnd (expected: RunFolder) (actual: RunFolder) =
    let bytes (path: RunFolder -> string) =
        Expect.equal (File.ReadAllBytes(path actual)) (File.ReadAllBytes(path expected)) (path actual)

    bytes _.Metrics
    bytes _.Events
    bytes (Checkpoint.list >> List.head)
    bytes _.Spec
    let iterations (folder: RunFolder) = RunFolder.checkpoints folder |> List.map fst
    Expect.equal (iterations actual) (iterations expected) "checkpoints"

/// A run with the settings of a preset, small in all that costs time.
let private small (algorithm: string) (iterations: int64) : Spec =
    { Spec.iterations iterations (preset algorithm "tiny") with
        Task = "InvertedPendulum-v4"
        EvaluateEvery = iterations / 3L
        EvaluationEpisodes = 2
        CheckpointEvery = iterations / 4L
        LogEvery = 1L }

/// The parameters and moments of a checkpoint, by name.
let private tensors (path: string) : Map<string, byte[]> =
    (Safetensors.read path).Tensors |> Map.map (fun _ tensor -> tensor.Data)

let private networks (path: string) =
    tensors path |> Map.filter (fun name _ -> name.Contains ".layer" && not (name.Contains ".adam."))

[<Tests>]
let tests =
    testList
        "runs that go on"
        [ testCase "a finished run trains further as a run would that was to go so far with the same horizon" (fun () ->
              inFolder (fun path ->
                  let longer = { varied 230L with Horizon = 130L }
                  let expected = finished (Path.Combine(path, "longer")) longer
                  let folder = finished (Path.Combine(path, "run")) (varied 130L)
                  Expect.isTrue (extended 230L folder).IsSome "it has gone on"
                  sameEnd expected folder
                  // the same command again finds it finished
                  Expect.isTrue (extended 230L folder).IsNone "finished"
                  Expect.equal (SpecFile.ofRun standard folder).Horizon 130L "the horizon"
                  let windows = { Verify.usual with Windows = 2; Length = Some 4L; Threads = 1 }

                  captureOutput (fun () -> Verify.run standard folder.Path windows)
                  |> fst
                  |> List.iter (fun window -> Expect.isNone window.Difference "it is what its specification makes")))

          testCase "a finished run that cannot go on stays as it was" (fun () ->
              inFolder (fun path ->
                  let folder = finished (Path.Combine(path, "run")) (varied 60L)
                  let further threads = Runner.goOn standard (into folder.Path threads) (Some 90L) |> ignore

                  let refused words threads =
                      let before = content folder.Path
                      failureOf (fun () -> captureOutput (fun () -> further threads)) |> says words
                      let after = content folder.Path
                      Expect.sequenceEqual after.Keys before.Keys "files"

                      for KeyValue(name, bytes) in before do
                          Expect.isTrue (after[name].AsSpan().SequenceEqual(ReadOnlySpan bytes)) name

                  refused [ "--threads is -3" ] -3
                  // as its README allows; then the newest checkpoint can be acted with, and not be gone on from
                  Directory.Delete(folder.Memory, true)
                  refused [ "no checkpoint"; "replay memory" ] 1
                  let _, played = captureOutput (fun () -> Evaluate.run standard folder.Path None None None 1)
                  Expect.stringContains played "over 2 episodes" "it is played"))

          testCase
              "a run of PPO that ended in the middle of a round, its rate at the end of its schedule, trains further"
              (fun () ->
                  inFolder (fun path ->
                      let rounds =
                          (preset "ppo" "tiny" |> Spec.experiment Environment.suite Ppo.algorithm |> Experiment.rhythm)
                              .Updates
                          |> int64

                      let short, long = 6L * rounds + rounds / 2L, 9L * rounds
                      Expect.isGreaterThan rounds 2L "updates in a round"

                      let spec = small "ppo" short

                      Expect.isTrue
                          (Spec.experiment Environment.suite Ppo.algorithm spec).Config.AnnealLearningRate
                          "a falling rate"

                      let expected = finished (Path.Combine(path, "longer")) { spec with Iterations = long }
                      let folder = finished (Path.Combine(path, "run")) spec
                      Expect.isTrue (extended long folder).IsSome "it has gone on"
                      sameEnd expected folder))

          testCase "a run that was killed after it was extended goes on by either command" (fun () ->
              inFolder (fun path ->
                  let expected = finished (Path.Combine(path, "longer")) { varied 230L with Horizon = 130L }

                  for again in [ resumed; extended 230L ] do
                      let folder = finished (Path.Combine(path, Guid.NewGuid().ToString "N")) (varied 130L)

                      Expect.throws
                          (fun () ->
                              Runner.goOnComposed (stoppingAt 171L) Sdac.algorithm (into folder.Path 1) (Some 230L)
                              |> ignore)
                          "killed"

                      Expect.isTrue (again folder).IsSome "it has gone on"
                      sameEnd expected folder))

          testCase "a run is not cut, and one that is not whole is not extended" (fun () ->
              inFolder (fun path ->
                  let folder = finished (Path.Combine(path, "run")) (varied 40L)
                  let before = content folder.Path |> Map.remove ".lock"
                  failureOf (fun () -> extended 39L folder) |> says [ "--iterations is 39"; "40"; folder.Spec ]
                  Expect.isTrue (extended 40L folder).IsNone "as far as it has gone"
                  Expect.equal (content folder.Path |> Map.remove ".lock") before "nothing has changed"
                  File.AppendAllText(folder.Metrics, "{}\n")
                  failureOf (fun () -> extended 50L folder) |> says [ folder.Metrics; "instead of" ]
                  Expect.isTrue (File.Exists folder.Summary) "the summary"))

          testCase "every so many-th of the planned checkpoints stays for good" (fun () ->
              inFolder (fun path ->
                  let kept (keep: int64) =
                      let spec = { varied 130L with KeepEvery = keep; CheckpointsKept = 1 }
                      let folder = finished (Path.Combine(path, $"every {keep}")) spec
                      RunFolder.checkpoints folder |> List.map fst

                  Expect.equal (kept 2L) [ 130L; 120L; 80L; 40L ] "every second one"
                  Expect.equal (kept 3L) [ 130L; 120L; 60L ] "every third one"
                  Expect.equal (kept 0L) [ 130L ] "none"
                  // of twenty that come by default between two evaluations, and each of them can be gone on from
                  Expect.equal (quick.CheckpointEvery, quick.KeepEvery) (quick.Iterations / 100L, 10L) "by default"))

          testCase "a checkpoint that stays keeps its part of the replay memory: the run goes on from it" (fun () ->
              inFolder (fun path ->
                  let spec = { varied 230L with KeepEvery = 2L; CheckpointsKept = 1 }
                  let folder = finished (Path.Combine(path, "run")) spec
                  let before = results folder
                  File.Delete folder.Summary

                  for checkpoint in Checkpoint.list folder do
                      if String.CompareOrdinal(checkpoint, Checkpoint.path folder 40L) > 0 then
                          File.Delete checkpoint

                  Expect.isTrue (resumed folder).IsSome "resumed"
                  Expect.equal (results folder) before "the same files"))

          testCase "a specification from before checkpoints stayed is as it was, and resumes" (fun () ->
              inFolder (fun path ->
                  let folder = prepared (Path.Combine(path, "run")) (varied 20L)
                  let text = File.ReadAllText folder.Spec

                  let older =
                      text.Split('\n')
                      |> Array.filter (fun line -> not (line.Contains "\"keepEvery\"" || line.Contains "\"from\""))
                      |> String.concat "\n"

                  Expect.isLessThan older.Length text.Length "the text"
                  File.WriteAllText(folder.Spec, older)
                  Expect.equal (SpecFile.ofRun standard folder) (withOwnStages (varied 20L)) "specification"
                  Expect.isTrue (resumed folder).IsSome "resumed"))

          testCase "a run begins with the networks of another and all else of its own, and resumes exactly" (fun () ->
              inFolder (fun path ->
                  let source = finished (Path.Combine(path, "source")) (varied 60L)
                  let from = Checkpoint.list source |> List.head
                  let spec = { varied 50L with Seed = 9L; From = Some(StartNetworks.mark from); CheckpointEvery = 2L }
                  let frozen = spec |> configured (fun c -> { c with Adam.LearningRate = 1e-30; Critics.Tau = 1e-30 })
                  let still = finished (Path.Combine(path, "still")) { frozen with Iterations = 2L }
                  let begun = Checkpoint.path still 2L

                  // with learning rates next to nought they stay what they were at the beginning
                  let theirs = networks from
                  Expect.isGreaterThan theirs.Count 6 "networks"

                  for KeyValue(name, bytes) in networks begun do
                      Expect.isTrue (bytes = theirs[name]) $"{name} is the other run's"

                  let count (path: string) = BitConverter.ToInt64((tensors path)["q1.adam.count"], 0)
                  Expect.equal (count begun) 2L "the optimiser begins anew"

                  let expected = finished (Path.Combine(path, "whole")) spec

                  for stop in [ 1L; 31L ] do
                      let folder = prepared (Path.Combine(path, $"stopped at {stop}")) spec
                      Expect.throws (fun () -> resumedUntil stop 1 folder |> ignore) "killed"
                      Expect.isTrue (resumed folder).IsSome "resumed"
                      same expected folder

                  let fresh = finished (Path.Combine(path, "fresh")) { spec with From = None }
                  Expect.notEqual (File.ReadAllBytes fresh.Metrics) (File.ReadAllBytes expected.Metrics) "metrics"))

          testCase
              "networks of another algorithm, task or size, or another file than was marked, are refused"
              (fun () ->
                  inFolder (fun path ->
                      let source = finished (Path.Combine(path, "source")) (varied 20L)
                      let from = Checkpoint.path source 20L
                      let spec = { varied 20L with From = Some(StartNetworks.mark from) }
                      let out = Path.Combine(path, "run")
                      let refused spec words = failureOf (fun () -> runInto out spec) |> says (from :: words)
                      refused (asDpmd spec) [ "algorithm sdac"; "dpmd" ]
                      refused { spec with Task = "Walker2d-v4" } [ "Hopper-v4"; "Walker2d-v4" ]
                      refused (configured (fun c -> { c with Hidden = [ 8; 8 ] }) spec) [ "layer0.weight"; "shape" ]
                      let other = { spec.From.Value with Sha256 = String('0', 64) }
                      refused { spec with From = Some other } [ "not the checkpoint that this run began with" ]
                      Expect.isFalse (Directory.Exists out) "no folder was made"

                      failureOf (fun () -> Runner.run standard spec { into source.Path 1 with Overwrite = true })
                      |> says [ from; "--overwrite empties first" ]

                      File.Delete from
                      failureOf (fun () -> runInto out spec) |> says [ from; "no such file" ])) ]
