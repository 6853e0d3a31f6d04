/// `--status`, which is to change nothing.
module Sdac.Experiments.Tests.StatusTests

open System
open System.IO
open Expecto
open Sdac.Experiments
open Sdac.Experiments.Tests.Processes
open Sdac.Experiments.Tests.Support
open Sdac.Experiments.Tests.SweepSupport
open Sdac.Testing

/// Every file and folder with its time and its content.
let private state (path: string) =
    [ for entry in Directory.GetFileSystemEntries(path, "*", SearchOption.AllDirectories) |> Array.sort ->
          entry,
          File.GetLastWriteTimeUtc entry,
          // not File.ReadAllText, which would ask for the lock
          (if File.Exists entry then Files.peek entry else "") ]

let private status (folder: SweepFolder) (sweep: Sweep) =
    let before = state folder.Path
    let options = Local { Jobs = 1; Threads = 1; Retries = 0 }
    let _, text = captureOutput (fun () -> Sweeps.status standard folder sweep options)
    Expect.equal (state folder.Path) before "nothing has changed"
    text

/// A process of this assembly's program that has said it holds its lock.
let private held (arguments: string list) =
    let running = startWith [] (host arguments)
    Expect.equal (string (running.StandardOutput.ReadLine())) "held" "the other process"
    running

[<Tests>]
let tests =
    testList
        "status of a sweep"
        [ testCase "it tells whether somebody works on a run, takes no lock and writes nothing" (fun () ->
              inFolder (fun path ->
                  let sweep = sweepOf "test" 20 "{}"
                  let folder, runs = prepared path sweep worker
                  let run = folder.Run(fst runs[0])
                  Expect.stringContains (status folder sweep) "1 waiting" "no folder"
                  Files.createFolder run.Path
                  File.Copy(folder.Spec(fst runs[0]), run.Spec)
                  Expect.stringContains (status folder sweep) "1 stopped" "no lock"

                  using (RunFolder.lock run) (fun _ ->
                      Expect.stringContains (status folder sweep) "1 running" "locked by this process")

                  Expect.stringContains (status folder sweep) "1 stopped" "given back"
                  // through a link, and by another process
                  let linked = path + "-linked"
                  Directory.CreateSymbolicLink(linked, path) |> ignore

                  try
                      let byOther = held [ "--hold"; Path.Combine(linked, "runs", fst runs[0]) ]

                      try
                          Expect.stringContains (status folder sweep) "1 running" "locked by another"
                          Expect.stringContains (status (SweepFolder.at linked) sweep) "1 running" "through the link"
                      finally
                          byOther.Kill()
                          byOther.WaitForExit()

                      Expect.stringContains (status folder sweep) "1 stopped" "killed"
                  finally
                      File.Delete linked

                  // what another process has that number by now
                  File.WriteAllText(run.Lock, $"pid {Environment.ProcessId} on {Environment.MachineName}\n")
                  Expect.stringContains (status folder sweep) "1 stopped" "an old lock"
                  File.WriteAllText(run.Lock, "pid 1 on another-machine\n")
                  Expect.stringContains (status folder sweep) "1 stopped" "another machine"
                  let elsewhere = held [ "--hold-record"; run.Path ]

                  try
                      Expect.stringContains (status folder sweep) "1 running" "on a network file system"
                  finally
                      elsewhere.Kill()
                      elsewhere.WaitForExit()))

          testCase "a damaged summary is named in the table's line, not instead of the table" (fun () ->
              inFolder (fun path ->
                  let sweep = sweepOf "test" 20 """{ "grid": { "particles": [2, 3] } }"""
                  let folder, runs = prepared path sweep worker
                  let run = folder.Run(fst runs[0])

                  for text in [ ""; "[]"; "{ \"iterations\": 1.5 }"; "{ \"iterations\": 1, \"iterations\": 2 }" ] do
                      Files.createFolder run.Path
                      File.WriteAllText(run.Summary, text)
                      Expect.stringContains (status folder sweep) "1 failed, 1 waiting" text)) ]
