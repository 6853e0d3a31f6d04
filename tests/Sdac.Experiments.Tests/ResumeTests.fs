module Sdac.Experiments.Tests.ResumeTests

open System
open System.IO
open Expecto
open Sdac.Functional
open Sdac.Experiments
open Sdac.Experiments.Tests.Runs
open Sdac.Experiments.Tests.Support
open Sdac.Testing

/// One uninterrupted run that keeps all its checkpoints, for all tests here.
let private whole =
    lazy
        (let path = Directory.CreateTempSubdirectory("sdac-test-").FullName
         AppDomain.CurrentDomain.ProcessExit.Add(fun _ -> Directory.Delete(path, true))
         let folder = prepared path { varied 130L with CheckpointsKept = 100 }
         resumed folder |> ignore
         folder)

/// The run as it stood on disk after the checkpoint of `iteration` (0: none) and some more work, then was killed.
let private killedAfter (iteration: int64) (path: string) =
    copy whole.Value.Path path
    let folder = RunFolder.openExisting path
    File.Delete folder.Summary
    File.Delete folder.Curve

    for checkpoint in Checkpoint.list folder do
        if String.CompareOrdinal(checkpoint, Checkpoint.path folder iteration) > 0 then
            File.Delete checkpoint

    File.WriteAllText(Path.Combine(folder.Checkpoints, ".000000020.safetensors.77.tmp"), "half a check")
    folder

let private inCopy iteration (test: RunFolder -> unit) =
    inFolder (fun path -> test (killedAfter iteration (Path.Combine(path, "run"))))

/// Resumes where something is wrong with the newest checkpoint: the warnings, and the result equals the whole run's.
let private resumedWithWarning (folder: RunFolder) =
    let summary, warnings = captureError (fun () -> resumed folder)
    Expect.isTrue summary.IsSome "summary"
    same whole.Value folder
    warnings

/// Checks that a resume is refused with these words and changes nothing but the lock.
let private refused (folder: RunFolder) (words: string list) =
    let content () = content folder.Path |> Map.remove ".lock"
    // what was left half written may go
    Files.removeUnfinished folder.Checkpoints
    let before = content ()
    failureOf (fun () -> Runner.resume standard folder.Path 1 true) |> says words
    let after = content ()
    Expect.sequenceEqual after.Keys before.Keys "keys"

    for pair in before do
        Expect.equal (after[pair.Key]) pair.Value "after"

[<Tests>]
let tests =
    testList
        "resumed runs"
        [ testCase "a run resumed from any of its checkpoints equals the uninterrupted one, byte for byte" (fun () ->
              // 0: killed before the first checkpoint; 130: killed after the last one
              for iteration in [ 0L; 20L; 60L; 80L; 120L; 130L ] do
                  inCopy iteration (fun folder ->
                      Expect.isTrue ((resumed folder).IsSome) "resumed"
                      same whole.Value folder
                      Expect.isEmpty (Directory.GetFiles(folder.Checkpoints, ".*")) "checkpoints"
                      let timings = Metrics.read folder.Timings |> List.map (fun line -> line["iteration"])
                      Expect.equal timings [ for i in 7L..7L..126L -> Count i ] "timings"))

          testCase
              "a run stopped again and again equals the uninterrupted one, with the checkpoints that it is to keep"
              (fun () ->
                  inFolder (fun path ->
                      let spec = { varied 130L with CheckpointsKept = 2 }
                      let expected = prepared (Path.Combine(path, "whole")) spec
                      resumed expected |> ignore
                      Expect.equal ((Checkpoint.list expected).Length) 2 "number of list"
                      let folder = prepared (Path.Combine(path, "stopped")) spec

                      for stop in [ 10L; 33L; 61L; 62L; 119L ] do
                          Expect.raisesAny<Exception>(fun () -> resumedUntil stop 2 folder |> ignore) |> ignore

                      Expect.isTrue ((resumed folder).IsSome) "resumed"
                      same expected folder
                      // 160 transitions in parts of 10: what the checkpoints no longer name is gone
                      Expect.inRange (Directory.GetFiles(folder.Memory).Length) (14, 20) "number of memory"))

          testCase "a run of DPMD, whose running averages of Q are part of a checkpoint, resumes exactly" (fun () ->
              inFolder (fun path ->
                  let spec = asDpmd (varied 50L)
                  let expected = prepared (Path.Combine(path, "whole")) spec
                  resumed expected |> ignore
                  let folder = prepared (Path.Combine(path, "stopped")) spec

                  Expect.raisesAny<Exception>(fun () ->
                      Runner.resumeComposed (stoppingAt 30L) Dpmd.algorithm folder.Path 1 true |> ignore)
                  |> ignore

                  Expect.isTrue ((resumed folder).IsSome) "resumed"
                  same expected folder))

          testCase "a run on PushT, whose states are pasts, resumes exactly" (fun () ->
              inFolder (fun path ->
                  let options = Map [ "obs_type", "scaled"; "success", "holds" ]
                  let spec = { varied 50L with Task = "PushT"; TaskOptions = options }
                  let expected = prepared (Path.Combine(path, "whole")) spec
                  resumed expected |> ignore
                  let folder = prepared (Path.Combine(path, "stopped")) spec
                  Expect.raisesAny<Exception>(fun () -> resumedUntil 30L 2 folder |> ignore) |> ignore
                  Expect.isTrue ((resumed folder).IsSome) "resumed"
                  same expected folder))

          testCase "a finished run is left alone" (fun () ->
              inFolder (fun path ->
                  copy whole.Value.Path path
                  let before = content path
                  Expect.isTrue ((Runner.resume standard path 1 true).IsNone) "resume"
                  let after = content path
                  Expect.sequenceEqual after.Keys before.Keys "keys"

                  for pair in before do
                      Expect.equal (after[pair.Key]) pair.Value "after"))

          testCase "a damaged newest checkpoint is named and the one before it used" (fun () ->
              inCopy 60L (fun folder ->
                  spoil (Checkpoint.path folder 60L)
                  let warnings = resumedWithWarning folder
                  Expect.stringContains warnings "000000060.safetensors is damaged" "warnings"
                  Expect.stringContains warnings "an older checkpoint is used" "warnings"))

          testCase
              "a checkpoint whose part of the replay memory is missing, damaged or another one is not used"
              (fun () ->
                  let exchange (part: string) =
                      let another = Directory.GetFiles(string (Path.GetDirectoryName part)) |> Array.find ((<>) part)
                      File.Copy(another, part, true)

                  for harm in [ File.Delete; spoil; exchange ] do
                      inCopy 60L (fun folder ->
                          let parts path =
                              Json.parseOver path ([]: MemoryPart list) (Safetensors.metadata(path)["memory"])

                          let older = parts (Checkpoint.path folder 40L)
                          let newest = parts (Checkpoint.path folder 60L) |> List.except older |> List.last
                          harm (Path.Combine(folder.Memory, $"{newest.First:D12}.safetensors"))

                          Expect.stringContains
                              (resumedWithWarning folder)
                              $"{newest.First:D12}.safetensors"
                              "resumed with warning"))

          testCase "a log that is gone is named once, however many checkpoints count on it" (fun () ->
              inFolder (fun path ->
                  let folder = prepared (Path.Combine(path, "run")) (varied 60L)
                  resumed folder |> ignore
                  File.Delete folder.Summary
                  File.Delete folder.Events

                  failureOf (fun () -> resumed folder)
                  |> says
                      [ $"no checkpoint of {folder.Path} can be used: {folder.Events} is missing or ends after 0 bytes"
                        "put the whole file back" ]))

          testCase "a checkpoint that counts on metrics which are not there is not used" (fun () ->
              inCopy 60L (fun folder ->
                  let journal: Journal =
                      Json.parseOver "" Journal.empty (Safetensors.metadata(Checkpoint.path folder 60L)["journal"])

                  using (new FileStream(folder.Metrics, FileMode.Open)) (fun stream ->
                      stream.SetLength(journal.MetricsBytes - 1L))

                  Expect.stringContains (resumedWithWarning folder) "metrics.jsonl is missing or ends after" "warning"))

          testCase "where no checkpoint can be used nothing is overwritten" (fun () ->
              inCopy 60L (fun folder ->
                  Checkpoint.list folder |> List.iter spoil

                  refused
                      folder
                      [ "no checkpoint that can be used"; "000000020.safetensors"; "000000060.safetensors" ]))

          testCase "a specification that was changed since is refused by the setting's name" (fun () ->
              inCopy 60L (fun folder ->
                  let changed =
                      SpecFile.ofRun standard folder |> configured (fun c -> { c with Critics.Discount = 0.5 })

                  File.WriteAllText(folder.Spec, Spec.print changed)
                  refused folder [ "config.critics.discount = 0.5"; "0.99"; "000000060.safetensors" ]))

          testCase "a checkpoint of another task or of other sizes is refused" (fun () ->
              let checkpointOf (spec: Spec) (folder: RunFolder) =
                  inFolder (fun path ->
                      let other = prepared (Path.Combine(path, "other")) spec
                      resumed other |> ignore
                      File.Copy(Checkpoint.path other 20L, Checkpoint.path folder 80L))

              let spec = SpecFile.ofRun standard whole.Value

              inCopy 60L (fun folder ->
                  checkpointOf { spec with Task = "Walker2d-v4" } folder
                  refused folder [ "000000080.safetensors"; "Walker2d-v4"; "Hopper-v4" ])

              inCopy 60L (fun folder ->
                  checkpointOf (configured (fun c -> { c with Hidden = [ 8; 16 ] }) spec) folder
                  refused folder [ "000000080.safetensors"; "hidden"; "[8,16]" ]))

          testCase "a second process on the folder is told so, with an exit code of its own" (fun () ->
              inCopy 60L (fun folder ->
                  use _ = RunFolder.lock folder
                  let failure = failureOf (fun () -> Runner.resume standard folder.Path 1 true)
                  failure |> says [ "another process"; $"pid {Environment.ProcessId}"; folder.Path ]
                  Expect.equal failure.ExitCode 9 "exit code"))

          testCase "the machine that resumes is recorded where it differs" (fun () ->
              inCopy 60L (fun folder ->
                  let machine: Machine =
                      Json.parseOver folder.Machine (Machine.describe ()) (File.ReadAllText folder.Machine)

                  for s in [ machine.Program; machine.Libtorch; machine.Mujoco; machine.Processor ] do
                      Expect.notEqual s "" "a description of the machine"

                  File.WriteAllText(folder.Machine, Json.print { machine with Libtorch = "0.4"; Threads = 77 })
                  let _, warnings = captureError (fun () -> resumed folder)
                  Expect.stringContains warnings ("libtorch \"0.4\"") "warnings"
                  Expect.stringLacks warnings "77" "warnings"

                  Expect.stringContains
                      (File.ReadAllText(folder.MachineAt 60L))
                      machine.Libtorch
                      "content of machine at"

                  same whole.Value folder)) ]
