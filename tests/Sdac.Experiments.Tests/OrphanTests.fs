/// kill -9 on the process that a user has started.
module Sdac.Experiments.Tests.OrphanTests

open System
open System.Diagnostics
open System.IO
open Expecto
open Sdac.Experiments
open Sdac.Experiments.Tests.Processes
open Sdac.Experiments.Tests.Support
open Sdac.Experiments.Tests.SweepSupport

let private endAll (ids: int list) =
    for id in ids do
        try
            Process.GetProcessById(id).Kill()
        with :? ArgumentException -> // it has ended
            ()

[<Tests>]
let tests =
    testList
        "orphans"
        [ testCase "a script ends with the `dotnet fsi` that was started, and only with it" (fun () ->
              inFolder (fun path ->
                  let script, ready = Path.Combine(path, "wait.fsx"), Path.Combine(path, "ready")
                  let library = Path.Combine(repository, "scripts", "sdac.fsx")

                  if
                      not (
                          File.Exists(
                              Path.Combine(repository, "src/Sdac.Experiments/bin/Release/Sdac.Experiments.dll")
                          )
                      )
                  then
                      skiptest "the scripts' libraries have not been built"

                  File.WriteAllText(
                      script,
                      $"#load \"\"\"{library}\"\"\"\nSystem.IO.File.WriteAllText(\"\"\"{ready}\"\"\", \"\")\nSystem.Threading.Thread.Sleep 600000\n"
                  )

                  // as soon as it has started, as it loads the library, and when it works
                  for moment in [ 0.3; 1.5; infinity ] do
                      File.Delete ready
                      use started = startWith [] [ dotnet; "fsi"; "--exec"; script ]
                      let mine () = processesWith script |> List.filter ((<>) started.Id)

                      try
                          if Double.IsFinite moment then
                              within moment (fun () -> false) |> ignore
                          else
                              Expect.isTrue (within 120.0 (fun () -> File.Exists ready)) "it has started"
                              // a parent's thread that ends may not end the script
                              within 3.0 (fun () -> false) |> ignore
                              Expect.hasLength (mine ()) 1 "the process that runs the script"

                          started.Kill()
                          started.WaitForExit()
                          Expect.isTrue (within 60.0 (fun () -> (mine ()).IsEmpty)) $"killed after {moment} s"
                      finally
                          endAll (mine ())))

          testCase "the workers of a sweep end with it, and the same command goes on" (fun () ->
              inFolder (fun path ->
                  if not (canRun "setpriv" [ "--pdeathsig"; "KILL"; "true" ]) then
                      skiptest "this setpriv cannot set a parent's death signal"

                  let folder = SweepFolder.at path
                  let name = "InvertedPendulum-v4_seed0"
                  let others (started: Process) = processesWith path |> List.filter ((<>) started.Id)
                  // not what the sweep starts before, which for a moment has the command line of the sweep
                  let workers () = processesWith folder.Launcher @ processesWith (folder.Run name).Path

                  for _ in 1..2 do
                      use started = startWith [] (host [ "--sweep"; path ])

                      try
                          let before = File.Exists (folder.Run name).Metrics
                          let length () = FileInfo((folder.Run name).Timings).Length

                          Expect.isTrue
                              (within 60.0 (fun () -> File.Exists (folder.Run name).Timings && length () > 0L))
                              "begun"

                          let working = within 60.0 (fun () -> started.HasExited || not (workers ()).IsEmpty)

                          if started.HasExited then
                              failtest
                                  $"the sweep ended (again: {before}): {started.StandardError.ReadToEnd()}{started.StandardOutput.ReadToEnd()}"

                          Expect.isTrue working $"workers, again: {before}"

                          started.Kill()
                          started.WaitForExit()
                          Expect.isTrue (within 10.0 (fun () -> (others started).IsEmpty)) "the workers have ended"
                          Expect.equal (SweepFolder.idleState folder name) Stopped "state"
                      finally
                          endAll (others started))) ]
