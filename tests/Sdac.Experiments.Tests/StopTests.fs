/// Runs that a signal or the clock has stopped or saved between two planned checkpoints.
module Sdac.Experiments.Tests.StopTests

open System
open System.Diagnostics
open System.IO
open Expecto
open Sdac.Functional
open Sdac.Experiments
open Sdac.Experiments.Tests.Processes
open Sdac.Experiments.Tests.Runs
open Sdac.Experiments.Tests.Support
open Sdac.Testing

let private iterations = 260L

/// One uninterrupted run for all tests here.
let private whole =
    lazy
        (let path = Directory.CreateTempSubdirectory("sdac-test-").FullName
         AppDomain.CurrentDomain.ProcessExit.Add(fun _ -> Directory.Delete(path, true))
         let folder = prepared path (varied iterations)
         resumed folder |> ignore
         folder)

/// A process, begun by these words, that works on the run and waits at iteration 70 as `kind` says.
let private startedBy (before: string list) (kind: string) (folder: RunFolder) : Process =
    let words = before @ host [ "--waiting"; kind; "70"; folder.Path ]
    let info = ProcessStartInfo(List.head words, List.tail words)
    info.RedirectStandardInput <- true
    info.RedirectStandardOutput <- true
    info.RedirectStandardError <- true

    match Process.Start info with
    | null -> failtest "no process"
    | started ->
        Expect.equal (started.StandardOutput.ReadLine()) "ready" "at iteration 70"
        started

/// The same with these dispositions of signals at its start.
let private atSeventy (kind: string) (signals: string) = startedBy [ "env"; signals ] kind

let private send (signal: string) (running: Process) =
    use kill = startWith [] [ "kill"; "-s"; signal; string running.Id ]
    Expect.equal (fst (ended kill)) 0 "kill"

let private usual = "--default-signal=INT,TERM,HUP"

let private newest (folder: RunFolder) = RunFolder.checkpoints folder |> List.head |> fst

[<Tests>]
let tests =
    testList
        "stopped runs"
        [ testCase
              "a signal writes a checkpoint at the end of the round and says how to go on, and the run ends as if nothing had been"
              (fun () ->
                  for signal, number in [ "INT", 2; "TERM", 15; "HUP", 1 ] do
                      inFolder (fun path ->
                          let folder = prepared (Path.Combine(path, "run")) (varied iterations)
                          use running = atSeventy "once" usual folder
                          send signal running
                          let code, error = ended running
                          Expect.equal code (128 + number) "the exit code that shells give"
                          Expect.equal (error.Trim().Split('\n').Length) 1 "number of lines"

                          for part in [ $"stopped by SIG{signal}"; $"go on with train --resume {folder.Path}" ] do
                              Expect.stringContains error part "sentence"

                          // two updates a round; the handler may be a round late
                          Expect.inRange (newest folder) (72L, 78L) "the checkpoint, which was not planned"
                          Expect.stringContains error $"after iteration {newest folder} of 260" "sentence"
                          Expect.isTrue (resumed folder).IsSome "resumed"
                          same whole.Value folder))

          testCase "another signal ends the process at once" (fun () ->
              inFolder (fun path ->
                  let folder = prepared (Path.Combine(path, "run")) (varied iterations)
                  use running = atSeventy "ever" usual folder
                  send "INT" running
                  Expect.equal (running.StandardOutput.ReadLine()) "asked" "the first one is handled"
                  send "INT" running
                  let code, error = ended running
                  Expect.equal code 130 "killed by SIGINT"
                  Expect.stringLacks error "go on" "it had no time"
                  Expect.equal (newest folder) 60L "the last checkpoint"))

          testCase "a signal that the process was started to ignore, as nohup does, does not stop it" (fun () ->
              for signal in [ "INT"; "HUP" ] do
                  inFolder (fun path ->
                      let folder = prepared (Path.Combine(path, "run")) (varied iterations)
                      use running = atSeventy "input" $"--ignore-signal={signal}" folder
                      send signal running
                      running.StandardInput.WriteLine "go on"
                      let code, error = ended running
                      Expect.equal (code, error) (0, "") signal
                      same whole.Value folder))

          testCase "a stop does not wait for the evaluation that is due there" (fun () ->
              inFolder (fun path ->
                  let spec = { varied iterations with EvaluateEvery = 2L; EvaluationEpisodes = 1 }
                  let folder = prepared (Path.Combine(path, "run")) spec
                  use running = atSeventy "once" usual folder
                  send "TERM" running
                  Expect.equal (fst (ended running)) 143 "exit code"

                  let evaluated =
                      [ for line in File.ReadLines folder.Metrics do
                            use document = System.Text.Json.JsonDocument.Parse line

                            if document.RootElement.GetProperty("kind").GetString() = "evaluation" then
                                document.RootElement.GetProperty("iteration").GetInt64() ]

                  // every round is followed by one, but for the last before the stop
                  Expect.equal (List.last evaluated) (newest folder - 2L) "the last evaluation"))

          testCase
              "hang-ups that come more than once, and a SIGTERM that a parent passes on, are one request"
              (fun () ->
                  inFolder (fun path ->
                      let folder = prepared (Path.Combine(path, "run")) (varied iterations)
                      use running = startedBy [ "setpriv"; "--pdeathsig"; "KILL"; "env"; usual ] "5" folder

                      for signal in [ "HUP"; "HUP"; "TERM"; "TERM"; "HUP" ] do
                          send signal running
                          Expect.equal (running.StandardOutput.ReadLine()) "asked" signal

                      let code, error = ended running
                      Expect.equal code 129 "the first signal's"
                      Expect.stringContains error "stopped by SIGHUP" "sentence"
                      Expect.inRange (newest folder) (72L, 78L) "the checkpoint"
                      Expect.isTrue (resumed folder).IsSome "resumed"
                      same whole.Value folder))

          testCase "a run that would be killed with its parent writes a checkpoint when that dies" (fun () ->
              inFolder (fun path ->
                  let folder = prepared (Path.Combine(path, "run")) (varied iterations)
                  let parent = "setpriv --pdeathsig KILL \"$@\" & wait"
                  use running = startedBy [ "env"; usual; "bash"; "-c"; parent; "bash" ] "once" folder
                  send "KILL" running
                  // its pipes end with the worker, not with bash
                  let _, error = ended running
                  Expect.stringContains error "stopped by SIGTERM" "sentence"
                  Expect.inRange (newest folder) (72L, 78L) "the checkpoint"))

          testCase "a run that is stopped in its warm-up has done nothing yet, and says so" (fun () ->
              inFolder (fun path ->
                  // a warm-up that does not end
                  let endless = varied iterations |> configured (fun c -> { c with Data.WarmUp = 2_000_000_000 })
                  let folder = prepared (Path.Combine(path, "run")) endless
                  use running = startWith [] ([ "env"; usual ] @ host [ "--resume"; folder.Path; "--loud" ])

                  Expect.stringContains
                      (string (running.StandardOutput.ReadLine()))
                      "random transitions first"
                      "ready"

                  send "TERM" running
                  let code, error = ended running
                  Expect.equal code 143 "exit code"

                  for part in [ "SIGTERM before its first iteration"; "go on with"; "--resume"; folder.Path ] do
                      Expect.stringContains error part "sentence"

                  Expect.isEmpty (Checkpoint.list folder) "checkpoints"))

          testCase "checkpoints by the clock lie between the planned ones and leave no trace in the end" (fun () ->
              inFolder (fun path ->
                  let folder = prepared (Path.Combine(path, "run")) (varied iterations)
                  let options = { into folder.Path 1 with CheckpointMinutes = 1e-9 }

                  Expect.throws
                      (fun () -> Runner.goOnComposed (stoppingAt 75L) Sdac.algorithm options None |> ignore)
                      "killed"

                  Expect.equal (RunFolder.checkpoints folder |> List.map fst) [ 74L; 60L; 40L; 20L ] "checkpoints"
                  captureOutput (fun () -> Runner.goOn standard options None) |> ignore
                  same whole.Value folder))

          testCase "a time between checkpoints that is none is refused" (fun () ->
              inFolder (fun path ->
                  for minutes in [ -1.0; nan ] do
                      let options = { into (Path.Combine(path, "run")) 1 with CheckpointMinutes = minutes }

                      failureOf (fun () -> Runner.run standard (varied 20L) options)
                      |> says [ "--checkpoint-minutes"; "at least 0" ])) ]
