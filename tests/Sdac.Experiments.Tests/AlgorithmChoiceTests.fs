/// Choosing algorithms and their settings on the command line, and what belongs to another one.
module Sdac.Experiments.Tests.AlgorithmChoiceTests

open System
open System.IO
open Expecto
open Sdac.Functional
open Sdac.Experiments
open Sdac.Experiments.Tests.Runs
open Sdac.Experiments.Tests.Support
open Sdac.Testing

let private program name : Program =
    { Name = name; Shown = name; Registry = standard; Start = fun command -> [ command ] }

/// Exit code, standard output and standard error of a command.
let private said (command: Program -> string[] -> int) (name: string) (arguments: string list) =
    let (code, output), errors =
        captureError (fun () ->
            captureOutput (fun () -> Script.run name (fun () -> command (program name) (List.toArray arguments))))

    code, output, errors.Trim()

let private train = said Train.run "train.fsx"
let private evaluate = said EvaluateCommand.run "evaluate.fsx"

/// Checks that a command is refused in one sentence with these words, as a setting that is wrong.
let private refused (code: int) (words: string list) (found: int * string * string) =
    let foundCode, _, sentence = found
    Expect.equal foundCode code sentence
    Expect.equal (sentence.Split '\n').Length 1 "one sentence"

    for word in words do
        Expect.stringContains sentence word "sentence"

let private settings, private usage = (Settings "").ExitCode, (Usage "").ExitCode

/// Finished runs of both algorithms with the same settings.
let private runs =
    lazy
        (let path = Directory.CreateTempSubdirectory("sdac-test-").FullName
         AppDomain.CurrentDomain.ProcessExit.Add(fun _ -> Directory.Delete(path, true))

         let run (spec: Spec) =
             let folder = prepared (Path.Combine(path, spec.Algorithm)) spec
             resumed folder |> ignore
             folder

         struct (run (varied 40L), run (asDpmd (varied 40L))))

[<Tests>]
let tests =
    testList
        "choosing an algorithm"
        [ testCase "what cannot be chosen is one sentence that names it, and no folder is made" (fun () ->
              inFolder (fun path ->
                  let file (name: string) (text: string) =
                      let file = Path.Combine(path, name)
                      File.WriteAllText(file, text)
                      file

                  let out = Path.Combine(path, "run")
                  let sdac = file "sdac.json" """{"algorithm":"sdac","seed":3}"""
                  let old = file "old.json" """{"experiment":{"config":{"algorithm":"dpmd"}}}"""
                  let unknown = file "unknown.json" """{"algorithm":"cql"}"""
                  let impossible = file "impossible.json" """{"config":{"critics":{"tau":3}}}"""
                  let newer = file "newer.json" """{"schema":9,"rewards":3}"""
                  let replay = file "replay.json" """{"algorithm":"ppo","config":{"data":{"batchSize":8}}}"""
                  let draws = file "draws.json" """{"algorithm":"dpmd","config":{"draws":{"monteCarloDraws":8}}}"""

                  for arguments, code, words in
                      [ [ "--algorithm"; "dmpd" ], settings, [ "unknown algorithm 'dmpd'"; "--algorithm"; "'dpmd'" ]
                        [ "--algorithm=dpmd"; "--set"; "monteCarloDraws=8" ],
                        settings,
                        [ "unknown setting 'monteCarloDraws'"; "--set" ]
                        [ "-a"; "dpmd"; "--set=weights=raw" ], settings, [ "unknown setting 'weights'" ]
                        [ "-a"; "dpmd"; "-p"; "quikc" ], settings, [ "preset of dpmd 'quikc'"; "'quick'" ]
                        [ "--set=algorithm=dpmd" ], settings, [ "--set"; "algorithm=dpmd"; "--algorithm" ]
                        [ "--config"; sdac; "--algorithm"; "dpmd" ],
                        settings,
                        [ sdac; "the algorithm sdac"; "--algorithm says dpmd"; "leave one of them out" ]
                        [ "--config"; old; "--algorithm"; "sdac" ],
                        settings,
                        [ old; "the algorithm dpmd"; "--algorithm says sdac" ]
                        [ "--config"; unknown ], settings, [ unknown; "unknown algorithm 'cql'" ]
                        [ "--config"; impossible ], settings, [ impossible; "tau is 3" ]
                        [ "--config"; newer ], settings, [ newer; "schema 9"; "reads 1 and 2" ]
                        [ "--config"; draws ], settings, [ draws; "unknown setting"; "draws" ]
                        [ "--algorithm=ppo"; "--set"; "bufferCapacity=1000" ],
                        settings,
                        [ "'bufferCapacity' in --set"; "PPO has none"; "leave it out" ]
                        [ "--algorithm=ppo"; "--set"; "data.warmUp=10" ],
                        settings,
                        [ "'warmUp' in --set"; "replay memory" ]
                        [ "--config"; replay ], settings, [ $"'batchSize' in {replay}"; "PPO has none" ]
                        [ "--algorithm=ppo"; "--set"; "minibatches=30" ],
                        settings,
                        [ "minibatches is 30"; "1024 transitions" ]
                        [ "--algorithm=ppo"; "--set"; "clipRange=NaN" ], settings, [ "clipRange is NaN" ]
                        [ "--algorithm=ppo"; "--set"; "clipRang=0.1" ], settings, [ "'clipRang'"; "'clipRange'" ]
                        [ "--algorithm"; "sdac"; "-a"; "dpmd" ], usage, [ "--algorithm" ]
                        [ "--settings"; "sdacc" ], settings, [ "unknown algorithm 'sdacc'"; "--settings"; "'sdac'" ] ] do
                      train (arguments @ [ "--out"; out ]) |> refused code ("train.fsx: " :: words)
                      Expect.isFalse (Directory.Exists out) "no folder"))

          testCase "an algorithm is the given one, the configuration's, or the first" (fun () ->
              inFolder (fun path ->
                  let chosen name arguments =
                      let out = Path.Combine(path, name)

                      let tiny =
                          [ "--iterations"; "3"; "--envs"; "1"; "--threads"; "1"; "--quiet"; "--out"; out ]
                          @ [ for setting in
                                  [ "hidden=[4]"
                                    "batchSize=4"
                                    "particles=1"
                                    "warmUp=8"
                                    "timesteps=2"
                                    "evaluationEpisodes=1" ] do
                                  "--set"
                                  setting ]

                      let code, _, errors = train (arguments @ tiny)
                      Expect.equal (code, errors) (0, "") name
                      SpecFile.ofRun standard (RunFolder.openExisting out)

                  let file = Path.Combine(path, "dpmd.json")
                  File.WriteAllText(file, """{"algorithm":"dpmd"}""")
                  Expect.equal (chosen "first" []).Algorithm "sdac" "the first"
                  let given = chosen "given" [ "-a"; "dpmd" ]

                  Expect.equal
                      (given.Algorithm, given.Stages)
                      ("dpmd", [ "collect"; "evaluateQ"; "mirrorDescent" ])
                      "given"

                  Expect.equal (chosen "config" [ "--config"; file ]) given "the configuration's"
                  Expect.equal (chosen "both" [ "--config"; file; "-a"; "dpmd" ]) given "both"))

          testCase "a checkpoint of another algorithm is refused where it is named" (fun () ->
              let struct (sdac, dpmd) = runs.Value
              let checkpoint = Checkpoint.path sdac 40L

              evaluate [ "--run"; dpmd.Path; "--checkpoint"; checkpoint; "-n"; "1" ]
              |> refused
                  settings
                  [ "evaluate.fsx: "; checkpoint; "the algorithm sdac, not of dpmd"; "give one of a run with dpmd" ]

              // its own is played
              let code, _, errors =
                  evaluate [ "--run"; dpmd.Path; "--checkpoint"; Checkpoint.path dpmd 40L; "-n"; "1" ]

              Expect.equal (code, errors) (0, "") "its own")

          testCase "a checkpoint of another algorithm in a run's folder is refused, and nothing is written" (fun () ->
              let struct (sdac, dpmd) = runs.Value

              inFolder (fun path ->
                  copy dpmd.Path (Path.Combine(path, "run"))
                  let folder = RunFolder.openExisting (Path.Combine(path, "run"))
                  File.Delete folder.Summary
                  File.Copy(Checkpoint.path sdac 40L, Checkpoint.path folder 40L, true)
                  let content () = content folder.Path |> Map.remove ".lock"
                  let before = content ()

                  train [ "--resume"; folder.Path ]
                  |> refused
                      settings
                      [ Checkpoint.path folder 40L; "the algorithm sdac, not of dpmd"; "give one of a run with dpmd" ]

                  Expect.equal (content ()) before "files"

                  evaluate [ "--run"; folder.Path ] |> refused settings [ "the algorithm sdac, not of dpmd" ]))

          testCase "a run of an algorithm that is not known is refused by its name" (fun () ->
              let struct (sdac, _) = runs.Value

              inFolder (fun path ->
                  copy sdac.Path (Path.Combine(path, "run"))
                  let folder = RunFolder.openExisting (Path.Combine(path, "run"))
                  File.Delete folder.Summary
                  File.WriteAllText(folder.Spec, Spec.print { SpecFile.ofRun standard folder with Algorithm = "cql" })

                  for found in [ train [ "--resume"; folder.Path ]; evaluate [ "--run"; folder.Path ] ] do
                      found |> refused settings [ folder.Spec; "unknown algorithm 'cql'" ]))

          testCase
              "--help names the algorithms with their titles and presets, --settings lists their settings"
              (fun () ->
                  // who has trained before testing has some
                  let runs () =
                      if Directory.Exists "runs" then
                          Directory.GetFileSystemEntries "runs" |> Set
                      else
                          Set.empty

                  let before = runs ()
                  let code, help, errors = train [ "--help" ]
                  Expect.equal (code, errors) (0, "") "help"

                  for words in
                      [ "sdac       SDAC; presets tiny, quick"; "dpmd       DPMD; presets tiny, quick"; "--settings" ] do
                      Expect.stringContains help words "help"

                  for arguments, title, own in
                      [ [ "--settings" ], "SDAC, preset quick", true
                        [ "--settings"; "sdac"; "-p"; "laptop" ], "SDAC, preset laptop", true
                        [ "--settings"; "dpmd" ], "DPMD, preset quick", false
                        [ "--settings"; "--algorithm"; "dpmd" ], "DPMD, preset quick", false ] do
                      let code, list, errors = train arguments
                      Expect.equal (code, errors) (0, "") title
                      Expect.stringContains list title "title"
                      Expect.stringContains list "policyDelay" "a setting of both"
                      Expect.equal (list.Contains "monteCarloDraws") own "a setting of SDAC"

                  Expect.equal (runs ()) before "nothing was trained")

          testCase "a script with algorithms of its own has all commands" (fun () ->
              let mine = { Dpmd.algorithm with Name = "mine"; Title = "Mine" }
              let registry = Registry.add mine standard

              let main arguments =
                  let (code, output), errors =
                      captureError (fun () ->
                          captureOutput (fun () -> Main.run (List.toArray ("mine.fsx" :: arguments)) registry))

                  code, output, errors.Trim()

              inFolder (fun path ->
                  let out = Path.Combine(path, "run")

                  let code, _, errors =
                      main
                          [ "train"
                            "-a"
                            "mine"
                            "--iterations=3"
                            "--quiet"
                            "--set=hidden=[4]"
                            "--set=warmUp=200"
                            "--set=evaluationEpisodes=1"
                            "--out"
                            out ]

                  Expect.equal (code, errors) (0, "") "train"
                  let code, played, _ = main [ "evaluate"; "--run"; out ]
                  Expect.equal code 0 "evaluate"
                  Expect.stringContains played "Mine" "title"
                  let code, _, errors = main [ "report"; "--runs"; out; "--out"; Path.Combine(path, "page") ]
                  Expect.equal (code, errors) (0, "") "report"
                  let code, help, _ = main [ "train"; "--help" ]
                  Expect.equal code 0 "help"
                  Expect.stringContains help "mine       Mine" "it is listed"
                  let code, usage', _ = main [ "--help" ]
                  Expect.equal code 0 "help of the whole"
                  Expect.stringContains usage' "mine.fsx train|evaluate|sweep|report" "commands"
                  main [] |> refused usage [ "mine.fsx: say what to do"; "train|evaluate|sweep|report" ]
                  main [ "trian" ] |> refused usage [ "unknown command 'trian'"; "'train'" ]
                  main [ "train"; "-a"; "yours" ] |> refused settings [ "unknown algorithm 'yours'" ])) ]
