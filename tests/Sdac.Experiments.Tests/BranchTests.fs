/// Branches of stored runs, and runs that are verified.
module Sdac.Experiments.Tests.BranchTests

open System
open System.IO
open Expecto
open Sdac.Functional
open Sdac.Experiments
open Sdac.Experiments.Tests.Runs
open Sdac.Experiments.Tests.Support
open Sdac.Testing

let private spec = { varied 200L with KeepEvery = 2L; EvaluateEvery = 30L; EvaluationEpisodes = 4 }

/// A finished run that has kept the checkpoints of 40, 80, 120, 160, 180 and 200.
let private finished =
    lazy
        (let path = Directory.CreateTempSubdirectory("sdac-test-").FullName
         AppDomain.CurrentDomain.ProcessExit.Add(fun _ -> Directory.Delete(path, true))
         let folder = prepared path spec
         resumed folder |> ignore
         folder)

let private fork (run: string) (out: string) (change: ForkOptions -> ForkOptions) =
    let options = { At = 100L; Until = None; Changes = []; Out = out; Threads = 1; Quiet = true }

    captureOutput (fun () -> captureError (fun () -> Fork.run standard run (change options)))

let private verified (run: RunFolder) (options: VerifyOptions) =
    captureOutput (fun () -> Verify.run standard run.Path { options with Threads = 1 })

let private inCopy (test: RunFolder -> unit) =
    inFolder (fun path ->
        let folder: RunFolder = { Path = Path.Combine(path, "run") }
        copy finished.Value.Path folder.Path
        test folder)

let private tensors (path: string) = (Safetensors.read path).Tensors |> Map.map (fun _ t -> t.Data)

[<Tests>]
let tests =
    testList
        "branches"
        [ testCase "the unchanged branch is the run, byte for byte, and the run's folder is only read" (fun () ->
              inFolder (fun path ->
                  let run = finished.Value
                  let before = content run.Path
                  let out = Path.Combine(path, "fork")
                  let (branches, warnings), text = fork run.Path out id
                  Expect.isEmpty branches "no changes"
                  Expect.equal warnings "" "warnings"
                  Expect.stringContains text "from iteration 80" "the newest checkpoint up to 100"
                  Expect.stringContains text "equal to the run, byte for byte" "text"
                  let branch = RunFolder.openExisting (Path.Combine(out, "unchanged"))
                  Expect.equal (File.ReadAllBytes branch.Metrics) (File.ReadAllBytes run.Metrics) "metrics"
                  Expect.equal (File.ReadAllBytes branch.Events) (File.ReadAllBytes run.Events) "events"
                  let newest = Checkpoint.list >> List.head >> File.ReadAllBytes
                  Expect.equal (newest branch) (newest run) "the last checkpoint"
                  let after = content run.Path
                  Expect.sequenceEqual after.Keys before.Keys "files"

                  for KeyValue(name, bytes) in before do
                      Expect.isTrue (after[name].AsSpan().SequenceEqual(ReadOnlySpan bytes)) name))

          testCase "each change is a branch of its own with paired differences, and a picture shows them" (fun () ->
              inFolder (fun path ->
                  let out = Path.Combine(path, "fork")

                  let changes =
                      [ Change.Setting("particles", "1"); Change.Stream("batch", 1L); Change.Setting("tau", "0.5") ]

                  let (branches, _), text =
                      fork finished.Value.Path out (fun o -> { o with Changes = changes; Until = Some 150L })

                  Expect.equal
                      [ for b in branches -> b.Name ]
                      [ "particles=1"; "seed-of-batch=1"; "tau=0.5" ]
                      "branches"

                  let unchanged = RunFolder.openExisting (Path.Combine(out, "unchanged"))

                  for branch in branches do
                      Expect.stringContains text branch.Name "the table"
                      Expect.isTrue (File.Exists(Path.Combine(branch.Folder.Path, "metrics.jsonl"))) "its folder"
                      // behind 80 and before 150: 90, 120
                      Expect.hasLength branch.Differences 2 "evaluations"

                      Expect.isTrue
                          (branch.Differences |> List.exists (fun d -> d.Mean <> 0.0))
                          $"{branch.Name} is another run"

                      // until then it is the run
                      Expect.equal
                          (tensors (Checkpoint.path branch.Folder 80L))
                          (tensors (Checkpoint.path unchanged 80L))
                          "where it begins"

                      Expect.equal (SpecFile.ofRun standard branch.Folder).Horizon 200L "the horizon"

                  Expect.equal (SpecFile.ofRun standard branches[1].Folder).Reseeded (Map [ "batch", 1L ]) "seeds"
                  Expect.stringContains (File.ReadAllText(Path.Combine(out, "fork.svg"))) "tau=0.5" "picture"))

          testCase "a fork that was stopped goes on where it was, to what it would have come to at once" (fun () ->
              inFolder (fun path ->
                  let parts, whole = Path.Combine(path, "parts"), Path.Combine(path, "whole")
                  let changes = [ Change.Setting("particles", "1"); Change.Stream("batch", 1L) ]

                  let branched out until =
                      fork finished.Value.Path out (fun o -> { o with Changes = changes; Until = until })

                  branched parts (Some 122L) |> ignore
                  // stopped in its second branch, before the third one
                  Directory.Delete(Path.Combine(parts, "seed-of-batch=1"), true)
                  let (branches, warnings), _ = branched parts None
                  Expect.equal warnings "" "warnings"
                  let (expected, _), _ = branched whole None

                  Expect.equal
                      [ for b in branches -> b.Differences ]
                      [ for b in expected -> b.Differences ]
                      "differences"

                  for name in [ "unchanged"; "particles=1"; "seed-of-batch=1" ] do
                      let metrics folder = File.ReadAllBytes(Path.Combine(folder, name, "metrics.jsonl"))
                      Expect.equal (metrics parts) (metrics whole) name

                  // with other changes it is another fork
                  failureOf (fun () ->
                      fork finished.Value.Path parts (fun o -> { o with Changes = [ changes.Head ] }))
                  |> says [ "is not empty"; "more than branches of this fork" ]))

          testCase "a branch that diverges says where, and the others go on" (fun () ->
              inFolder (fun path ->
                  let out = Path.Combine(path, "fork")
                  let changes = [ Change.Setting("learningRate", "1e30"); Change.Setting("particles", "1") ]

                  let (branches, warnings), text =
                      fork finished.Value.Path out (fun o -> { o with Changes = changes; Until = Some 150L })

                  Expect.stringContains warnings "warning: branch learningRate=1e30: " "warning"
                  Expect.stringContains text "diverged" "the table"
                  Expect.equal [ for b in branches -> b.Diverged.IsSome ] [ true; false ] "which"
                  Expect.stringContains (Option.get branches[0].Diverged) "at iteration" "where"
                  Expect.hasLength branches[1].Differences 2 "the other's evaluations"))

          testCase "paired differences are those of episodes with equal starts" (fun () ->
              inFolder (fun path ->
                  let folder name (returns: float list) : RunFolder =
                      let folder: RunFolder = { Path = Path.Combine(path, name) }
                      Directory.CreateDirectory folder.Path |> ignore
                      let values = returns |> List.map string |> String.concat ","

                      let line iteration =
                          $"{{\"kind\":\"evaluation\",\"iteration\":{iteration},\"envSteps\":{iteration * 2},\"mean\":0,\"returns\":[{values}]}}"

                      File.WriteAllLines(folder.Metrics, [ line 10; line 20 ])
                      folder

                  let a, b = folder "a" [ 1.0; 2.0; 3.0; 4.0 ], folder "b" [ 2.0; 2.0; 5.0; 5.0 ]
                  // 1, 0, 2, 1: mean 1, variance 2/3, standard error √(2/3/4)
                  let d = Fork.differences 15L a b |> Expect.single <| "evaluations behind 15"
                  Expect.equal (d.EnvSteps, d.Mean) (40L, 1.0) "mean"
                  Expect.floatClose Accuracy.high d.Error (sqrt (1.0 / 6.0)) "standard error"))

          testCase "another seed of a stream changes that stream alone" (fun () ->
              inFolder (fun path ->
                  let step = Pipeline.warm (Pipeline.start (experimentOf spec))

                  let traced (reseeded: (string * int64) list) =
                      let next, uses =
                          match
                              KeyTrace.during (fun () ->
                                  Pipeline.iterate Pipeline.sdac { step with Reseeded = Map reseeded })
                          with
                          | struct (next, uses) -> next, uses

                      for tensor in Round.tensorsNotIn step next do
                          tensor.Dispose()

                      set
                          [ for u in uses do
                                match u with
                                | Numbers key -> string key
                                | Keys _ -> () ]

                  let own = traced []
                  Expect.equal (traced [ "prepare", 4L ]) own "a stream that SDAC does not draw from"

                  for stream in [ "act"; "batch"; "noise" ] do
                      let other = traced [ stream, 4L ]
                      Expect.notEqual other own stream
                      Expect.isNonEmpty (Set.intersect other own) $"{stream}: the others are the same"

                  let all = traced [ "act", 4L; "batch", 4L; "noise", 4L ]
                  Expect.isEmpty (Set.intersect all own) "all of them"
                  Pipeline.dispose step

                  // the environments' resets: their keys differ in the checkpoint, all else is equal
                  let out = Path.Combine(path, "fork")

                  fork finished.Value.Path out (fun o ->
                      { o with Changes = [ Change.Stream("environments", 3L) ]; Until = Some 82L })
                  |> ignore

                  let at name = tensors (Checkpoint.path { Path = Path.Combine(out, name) } 80L)
                  let a, b = at "unchanged", at "seed-of-environments=3"

                  Expect.equal
                      [ for KeyValue(name, data) in a do
                            if data <> b[name] then
                                name ]
                      [ "env.keys" ]
                      "what differs"))

          testCase
              "a fork before the first kept checkpoint names the nearest, and impossible changes are refused"
              (fun () ->
                  inFolder (fun path ->
                      let refused change words =
                          let out = Path.Combine(path, Guid.NewGuid().ToString "N")
                          failureOf (fun () -> fork finished.Value.Path out change) |> says words

                          Expect.isTrue
                              (not (Directory.Exists out) || Seq.isEmpty (Directory.EnumerateFileSystemEntries out))
                              "nothing is left"

                      refused (fun o -> { o with At = 39L }) [ "--at is 39"; "40, 80, 120" ]
                      let set name value o = { o with Changes = [ Change.Setting(name, value) ] }
                      refused (set "iterations" "300") [ "iterations=300"; "must share" ]
                      refused (set "evaluateEvery" "7") [ "must share" ]
                      refused (set "particles" "3") [ "particles=3"; "says already" ]
                      refused (set "particle" "4") [ "did you mean 'particles'" ]
                      refused (set "hidden" "[8,8]") [ "the change hidden=[8,8] cannot"; "layer0.weight"; "shape" ]
                      refused (set "environments" "4") [ "the change environments=4 cannot"; "env." ]
                      refused (set "bufferCapacity" "50") [ "the change bufferCapacity=50 cannot"; "replay memory" ]
                      refused (fun o -> { o with Changes = [ Change.Stream("bach", 1L) ] }) [ "'bach'"; "'batch'" ]
                      refused (fun o -> { o with Changes = [ Change.Stream("act", -1L) ] }) [ "seed of act is -1" ]
                      refused (fun o -> { o with Until = Some 80L }) [ "--until is 80"; "200" ]
                      refused (fun o -> { o with Until = Some 201L }) [ "--until is 201"; "200" ]
                      let twice = [ Change.Setting("tau", "0.5"); Change.Setting("tau", "0.5") ]
                      refused (fun o -> { o with Changes = twice }) [ "tau=0.5"; "2 times" ]

                      failureOf (fun () -> fork finished.Value.Path finished.Value.Path id)
                      |> says [ "not empty"; "--out" ])

                  inCopy (fun run ->
                      Directory.Delete(run.Memory, true)

                      failureOf (fun () -> fork run.Path (run.Path + "-fork") id)
                      |> says [ "is missing"; "replay memory" ]))

          testCase "a branch of a branch has both changes" (fun () ->
              inFolder (fun path ->
                  let first, second = Path.Combine(path, "first"), Path.Combine(path, "second")

                  let fork (run: string) out change =
                      fork run out (fun o -> { o with At = 80L; Until = Some 122L; Changes = [ change ] }) |> ignore

                  fork finished.Value.Path first (Change.Stream("act", 2L))
                  let branch = Path.Combine(first, "seed-of-act=2")
                  fork branch second (Change.Stream("batch", 5L))
                  let spec = SpecFile.ofRun standard { Path = Path.Combine(second, "seed-of-batch=5") }
                  Expect.equal spec.Reseeded (Map [ "act", 2L; "batch", 5L ]) "both")

          )

          testCase "a run is what its specification makes, whatever windows are drawn" (fun () ->
              let run = finished.Value

              for seed in [ 0L; 1L ] do
                  let windows, text = verified run { Verify.usual with Seed = seed }
                  Expect.hasLength windows 3 "windows"

                  for w in windows do
                      Expect.equal w.Difference None "difference"
                      Expect.equal (w.Last - w.First) 20L "between two checkpoints"
                      Expect.isGreaterThan w.Lines 1 "lines"

                  Expect.stringContains text "equal, byte for byte" "text"

              let all, _ = verified run { Verify.usual with Windows = 99 }
              Expect.equal [ for w in all -> w.First ] [ 0L; 40L; 80L; 120L; 160L; 180L ] "all that there are"
              // 160 to 180 and 180 to 200 end at kept ones
              Expect.equal [ for w in all -> w.Checkpoints ] [ 0; 0; 0; 0; 1; 1 ] "checkpoints"
              let longer, _ = verified run { Verify.usual with Windows = 99; Length = Some 50L }
              Expect.equal [ for w in longer -> w.Last ] [ 50L; 90L; 130L; 170L; 200L; 200L ] "a length of one's own")

          testCase "a run whose metrics, checkpoint or settings are not its own is found out" (fun () ->
              let refused harm words =
                  inCopy (fun run ->
                      harm run

                      failureOf (fun () -> verified run { Verify.usual with Windows = 99 })
                      |> says ([ run.Path; "not what its specification makes" ] @ words))

              // another last digit in a line
              let change (find: string[] -> int) (run: RunFolder) =
                  let lines = File.ReadAllLines run.Metrics
                  let at = find lines
                  let digit = lines[at].LastIndexOfAny("0123456789".ToCharArray())
                  let other = if lines[at][digit] = '1' then "2" else "1"
                  lines[at] <- lines[at].Remove(digit, 1).Insert(digit, other)
                  File.WriteAllLines(run.Metrics, lines)

              refused
                  (change (Array.findIndexBack _.Contains("\"update\"")))
                  [ "of metrics.jsonl"; "181 to 200"; "the machine is the same" ]

              refused (change (fun _ -> 0)) [ "line 1 of metrics.jsonl"; "1 to 20" ]

              refused
                  (fun run ->
                      let file = Safetensors.read (Checkpoint.path run 180L)

                      Safetensors.write
                          (Checkpoint.path run 180L)
                          (file.Metadata |> Map.remove "sha256")
                          [ for KeyValue(name, t) in file.Tensors ->
                                let data = if name = "q1.adam.m" then Array.zeroCreate t.Data.Length else t.Data
                                Safetensors.ofBytes name t.Dtype t.Shape (ReadOnlyMemory data) ])
                  [ "checkpoint 000000180.safetensors"; "161 to 180" ])

          testCase "what cannot be verified is said" (fun () ->
              inFolder (fun path ->
                  let empty = prepared (Path.Combine(path, "run")) spec
                  failureOf (fun () -> verified empty Verify.usual) |> says [ "no checkpoint" ]

                  failureOf (fun () -> verified finished.Value { Verify.usual with Windows = 0 })
                  |> says [ "--windows is 0" ]

                  failureOf (fun () -> verified finished.Value { Verify.usual with Length = Some 0L })
                  |> says [ "--iterations is 0" ])) ]
