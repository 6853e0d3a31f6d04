/// Names that are given twice in the same object of a JSON file.
module Sdac.Experiments.Tests.RepeatedNamesTests

open System.IO
open Expecto
open Sdac.Functional
open Sdac.Experiments
open Sdac.Experiments.Tests.Runs
open Sdac.Experiments.Tests.Support
open Sdac.Testing

/// Puts a line before the first that holds `text`.
let private before (text: string) (line: string) (path: string) =
    let lines = File.ReadAllLines path
    let at = lines |> Array.findIndex _.Contains(text)
    File.WriteAllLines(path, Array.insertAt at line lines)

[<Tests>]
let tests =
    testList
        "repeated names"
        [ testCase "a name given twice is refused with file, place and name, at any depth" (fun () ->
              for text, words in
                  [ """{ "schema": 1, "schema": 1 }""", [ "'schema' twice"; "line 1, column 16" ]
                    """{ "experiment": { "seed": 3, "seed": 4 } }""",
                    [ "'experiment.seed' twice"; "line 1, column 30" ]
                    "{ \"experiment\": {\n  \"seed\": 3, // the first\n  \"s\\u0065ed\": 4, } }",
                    [ "'experiment.seed' twice"; "line 3, column 3" ]
                    """{ "experiment": { "config": { "hidden": [1, { "a": 1, "a": 2 }] } } }""",
                    [ "'experiment.config.hidden[1].a' twice" ]
                    """{ "experiment": { "taskOptions": { "x": 1, "y": [[], {"z": 1, "z": 1}], "x": 1 } } }""",
                    [ "'experiment.taskOptions.y[1].z' twice" ]
                    """{ "experiment": { "seed": 3 }, "experiment": { "seed": 3 } }""", [ "'experiment' twice" ]
                    """{ "seed": 3, "seed": 4 }""", [ "'seed' twice"; "line 1, column 14" ]
                    """{ "config": { "critics": { "tau": 1, "tau": 2 } } }""", [ "'config.critics.tau' twice" ] ] do
                  let failure = failureOf (fun () -> parseSpec "my.json" text)
                  failure |> says ([ "my.json gives"; "keep one of them" ] @ words)
                  Expect.equal failure.ExitCode ((Settings "").ExitCode) "exit code"

              // one name in two objects, and names that differ in case, are not the same
              failureOf (fun () -> parseSpec "my.json" """{ "schema": 2, "Schema": 2 }""")
              |> says [ "unknown setting 'Schema'" ])

          testCase "sweeps, settings on the command line, machines and states of runs are read as strictly" (fun () ->
              let machine = Machine.describe ()

              failureOf (fun () ->
                  SweepSpec.parse
                      standard
                      "sweep.json"
                      """{ "name": "a", "settings": { "grid": { "tau": [1], "tau": [2] } } }""")
              |> says [ "sweep.json gives 'settings.grid.tau' twice" ]

              failureOf (fun () ->
                  SweepSpec.parse standard "sweep.json" """{ "name": "a", "base": { "tau": 1, "tau": 2 } }""")
              |> says [ "sweep.json gives 'base.tau' twice" ]

              failureOf (fun () -> setTo quick "taskOptions" """{ "a": 1, "a": 2 }""")
              |> says [ "--set taskOptions="; "'a' twice" ]

              failureOf (fun () -> Json.parseOver "machine.json" machine """{ "threads": 1, "threads": 2 }""")
              |> says [ "machine.json gives 'threads' twice" ]

              failureOf (fun () ->
                  Trace.parse "trace.json" """{ "env": "Hopper-v4", "options": { "a": 1, "a": 1 } }""")
              |> says [ "trace.json gives 'options.a' twice" ])

          testCase "a report goes on without the runs that give a name twice, and names file, place and name" (fun () ->
              inFolder (fun root ->
                  let runs = Path.Combine(root, "runs")

                  let run name : RunFolder = { Path = Path.Combine(runs, name) }
                  let first = prepared (run "good").Path (varied 20L)
                  resumed first |> ignore

                  for name in [ "spec"; "metrics"; "timings"; "summary"; "nested" ] do
                      copy first.Path (run name).Path

                      // without the list of files, which would tell first
                      let path = (run name).Summary
                      let text = File.ReadAllText path

                      match text.IndexOf ",\n  \"timingLines\"" with
                      | -1 -> ()
                      | at -> File.WriteAllText(path, text.Substring(0, at) + "\n}\n")

                  before "\"schema\"" "  \"schema\": 2," (run "spec").Spec
                  before "\"tau\"" "      \"tau\": 0.1," (run "nested").Spec
                  before "\"task\"" "  \"seed\": 5," (run "summary").Summary
                  before "\"iteration\"" "{\"a\":1,\"a\":2}" (run "metrics").Metrics
                  before "\"iteration\"" "{\"b\":1,\"b\":2}" (run "timings").Timings

                  let page, warnings =
                      captureError (fun () -> Report.write standard [ runs ] (Path.Combine(root, "out")))

                  for text in [ warnings; (File.ReadAllText page).Replace("&#39;", "'") ] do
                      for path, problem in
                          [ (run "spec").Spec, " gives 'schema' twice (line 3"
                            (run "nested").Spec, " gives 'config.critics.tau' twice"
                            (run "summary").Summary, " gives 'seed' twice"
                            (run "metrics").Metrics, ": line 1 gives 'a' twice"
                            (run "timings").Timings, ": line 1 gives 'b' twice" ] do
                          Expect.stringContains text (path + problem) "sentence"

                  Expect.stringContains (File.ReadAllText page) "1 run: 1 task" "the run that is left")) ]
