module Sdac.Experiments.Tests.LocalEngineTests

open System
open System.IO
open System.Threading
open Expecto
open FsCheck
open Sdac.Functional
open Sdac.Experiments
open Sdac.Experiments.Tests.Support
open Sdac.Experiments.Tests.SweepSupport

let private two = { Jobs = 2; Threads = 1; Retries = 2 }

let private never = CancellationToken.None

let private states (runs: RunStatus list) = runs |> List.map _.State

[<Tests>]
let tests =
    testList
        "local engine"
        [ testCase "a sweep gives what its runs give alone, though one is killed and another fails for good" (fun () ->
              inFolder (fun path ->
                  let sweep =
                      sweepOf "test" 300 """{ "list": [{ "particles": 2 }, { "tau": 2 }, { "particles": 4 }] }"""

                  let folder, runs = prepared (Path.Combine(path, "sweep")) sweep worker
                  let killed, failing = fst runs[0], fst runs[1]
                  let mutable atOnce = 0

                  let show (runs: RunStatus list) =
                      atOnce <- max atOnce (runs |> List.filter (fun run -> run.State = Running) |> List.length)

                  let killing = whenBegun folder killed (fun () -> killWorker folder killed)
                  let ended = LocalEngine.run folder runs two never show
                  Expect.isTrue killing.Result "nothing was killed"
                  Expect.equal atOnce 2 "at once"
                  Expect.equal [ ended[0].State; ended[2].State ] [ Finished; Finished ] "states of the other runs"
                  // the same settings would fail the same way again
                  Expect.equal (ended |> List.map _.Tries) [ 2; 1; 1 ] "tries of ended"
                  Expect.equal (ended |> List.map _.Iteration) [ 300L; 0L; 300L ] "iteration of ended"
                  Expect.isTrue (Double.IsFinite ended[0].Return) "return"

                  match (find failing ended).State with
                  | Failed sentence -> Expect.stringContains sentence "tau is 2" "sentence"
                  | other -> failtest $"{failing} is {other}"

                  Expect.stringContains (File.ReadAllText(folder.Log failing)) "tau is 2" "content of log"
                  let sentence = Sweeps.shortcomings folder ended |> Option.get

                  Expect.stringContains
                      sentence
                      $"1 of 3 runs failed: {failing} (host: impossible settings: tau is 2"
                      "sentence"

                  sameAs (alone path sweep) folder))

          testCase "stopping ends the workers, and the same call goes on" (fun () ->
              inFolder (fun path ->
                  let sweep = sweepOf "test" 300 """{ "grid": { "particles": [2, 3, 4] } }"""
                  let folder, runs = prepared (Path.Combine(path, "sweep")) sweep worker
                  use source = new CancellationTokenSource()

                  let stopping = whenBegun folder (fst runs[0]) source.Cancel
                  let stopped = LocalEngine.run folder runs two source.Token ignore
                  stopping.Wait()
                  Expect.isEmpty (processesWith folder.Path) "path"
                  Expect.contains (states stopped) Stopped "states"
                  Expect.equal ((List.last stopped).State) Waiting "state"
                  let ended = LocalEngine.run folder runs two never ignore
                  Expect.equal (states ended) [ Finished; Finished; Finished ] "states"
                  // the run that was certainly begun
                  sameAs (alone path (sweepOf "test" 300 """{ "grid": { "particles": [2] } }""")) folder
                  // nothing is left to do: no process is started
                  let written = File.GetLastWriteTimeUtc(folder.Log(fst runs[0]))

                  Expect.equal
                      (LocalEngine.run folder runs two never ignore |> states)
                      (states ended)
                      "states of a second call"

                  Expect.equal (File.GetLastWriteTimeUtc(folder.Log(fst runs[0]))) written "log"))

          testCase "a worker that is stopped writes a checkpoint first" (fun () ->
              inFolder (fun path ->
                  // its checkpoints lie a million iterations apart
                  let folder, runs = prepared path (sweepOf "test" 10_000_000 "{}") worker
                  let run = folder.Run(fst runs[0])
                  use source = new CancellationTokenSource()

                  // as soon as it has timed iterations
                  let show (_: RunStatus list) =
                      if File.Exists run.Timings && FileInfo(run.Timings).Length > 0L then
                          source.Cancel()

                  let stopped = LocalEngine.run folder runs two source.Token show
                  Expect.equal (states stopped) [ Stopped ] "state"
                  Expect.hasLength (Checkpoint.list run) 1 "the checkpoint"
                  Expect.isGreaterThan stopped[0].Iteration 0L "iterations"
                  Expect.stringContains (File.ReadAllText(folder.Log(fst runs[0]))) "stopped by SIGTERM after" "log"

                  Expect.equal
                      ((File.ReadAllText(Path.Combine(path, "logs", $"{fst runs[0]}.exit"))).Trim())
                      "143"
                      "exit"

                  Expect.isEmpty (processesWith folder.Path) "processes"))

          testCase "a run in other hands is waited for" (fun () ->
              inFolder (fun path ->
                  let folder, runs = prepared path (sweepOf "test" 20 "{}") worker
                  let name = fst runs[0]
                  Directory.CreateDirectory (folder.Run name).Path |> ignore
                  let mutable seen = []
                  let other = RunFolder.lock (folder.Run name)

                  let show (runs: RunStatus list) =
                      seen <- states runs @ seen

                      if states runs = [ Held ] then
                          other.Dispose()

                  let ended = LocalEngine.run folder runs two never show
                  Expect.contains seen Held "seen"
                  Expect.equal (states ended) [ Finished ] "states"
                  Expect.equal (ended[0].Tries) 1 "tries"))

          testCase "a failing run is tried again so many times, then named with what it said" (fun () ->
              inFolder (fun path ->
                  let sweep = sweepOf "test" 20 "{}"
                  let failing = [ "bash"; "-c"; "echo no such luck >&2; exit 1" ]
                  let folder, runs = prepared path sweep failing
                  let ended = LocalEngine.run folder runs { two with Retries = 1 } never ignore
                  Expect.equal (states ended) [ Failed "no such luck" ] "states"
                  Expect.equal (ended[0].Tries) 2 "tries"

                  let code, text =
                      captureError (fun () ->
                          Script.run "sweep.fsx" (fun () ->
                              captureOutput (fun () ->
                                  Sweeps.run standard folder sweep failing (Local { two with Retries = 0 }))
                              |> fst))

                  Expect.equal code ((Unfinished "").ExitCode) "code"
                  Expect.stringContains text "1 of 1 runs failed: InvertedPendulum-v4_seed0 (no such luck)" "text"
                  // a worker that says it succeeded must show a summary
                  let silent, runs = prepared (Path.Combine(path, "silent")) sweep [ "true" ]
                  let ended = LocalEngine.run silent runs { two with Retries = 0 } never ignore
                  Expect.equal (states ended) [ Failed "it ended without a word" ] "states"))

          testPropertyWithConfig
              seeded
              "only failures that may pass are tried again"
              (fun (retries: NonNegativeInt) (failures: NonNegativeInt) (finished: bool) (code: byte) ->
                  let code = int code

                  match LocalEngine.judge retries.Get failures.Get finished code with
                  | LocalEngine.Done -> finished
                  | LocalEngine.WaitForOther -> not finished && code = (Locked "").ExitCode
                  | LocalEngine.TryAgain ->
                      not finished && failures.Get < retries.Get && not (List.contains code [ 2; 3; 6; 7; 9 ])
                  | LocalEngine.GiveUp ->
                      not finished && code <> 9 && (failures.Get >= retries.Get || List.contains code [ 2; 3; 6; 7 ]))

          testCase "a folder keeps its runs: more may be added, none may change" (fun () ->
              inFolder (fun path ->
                  let grid = sweepOf "test" 20 """{ "grid": { "particles": [2, 3] } }"""
                  let folder, runs = prepared path grid worker
                  let before = SweepFolder.indices folder
                  let wider, _ = prepared path { grid with Seeds = [ 7L; 0L ] } worker
                  let after = SweepFolder.indices wider
                  Expect.equal after.Count 4 "number of after"

                  for (name, _) in runs do
                      Expect.equal (after[name]) (before[name]) "after"

                  failureOf (fun () ->
                      prepared path (sweepOf "test" 30 """{ "grid": { "particles": [3] } }""") worker)
                  |> says [ "InvertedPendulum-v4_particles=3_seed0"; path; "--out" ]

                  Expect.equal (SweepFolder.indices folder) after "indices"
                  use _ = SweepFolder.lock folder
                  failureOf (fun () -> SweepFolder.lock folder) |> says [ path; "another process" ]))

          testCase "impossible numbers of workers, threads or tries are refused" (fun () ->
              inFolder (fun path ->
                  let folder, runs = prepared path (sweepOf "test" 20 "{}") worker

                  for options, option in
                      [ { two with Jobs = 0 }, "--jobs is 0"
                        { two with Threads = 0 }, "--threads is 0"
                        { two with Retries = -1 }, "--retries is -1" ] do
                      failureOf (fun () -> LocalEngine.run folder runs options never ignore) |> says [ option ])) ]
