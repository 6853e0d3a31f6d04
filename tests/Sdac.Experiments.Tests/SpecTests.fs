module Sdac.Experiments.Tests.SpecTests

open Expecto
open Sdac.Functional
open Sdac.Experiments
open Sdac.Experiments.Tests.Support
open Sdac.Testing

[<Tests>]
let tests =
    testList
        "specifications"
        [ testCase "every preset is valid and survives printing and parsing" (fun () ->
              for algorithm in Registry.names standard do
                  let names =
                      [ for a, name, _ in presets do
                            if a = algorithm then
                                name ]

                  Expect.containsAll names [ "tiny"; "quick" ] $"presets of {algorithm}"

                  if List.contains algorithm [ "sdac"; "dpmd" ] then
                      Expect.hasLength names 7 $"presets of {algorithm}"

              for _, name, spec in presets do
                  Expect.equal (SpecCheck.validate standard "" spec) spec "valid specification"
                  // parsed over another preset: nothing may be taken from it
                  let other = if name = "quick" then "tiny" else "quick"
                  let read = SpecFile.parse standard "spec.json" None other (Spec.print spec)
                  Expect.equal read spec "specification read back"
                  Expect.equal (SpecFile.parseWhole standard "spec.json" (Spec.print spec)) spec "and without a preset")

          testCase "the published presets, by all their names, are the published configuration" (fun () ->
              for name in [ "published"; "paper"; "sdac-paper" ] do
                  let sdac, dpmd = experimentOf (preset "sdac" name), dpmdOf (preset "dpmd" name)
                  Expect.equal sdac.Config SdacConfig.published "config"
                  Expect.equal dpmd.Config DpmdConfig.published "config"
                  Expect.equal (sdac.Iterations, dpmd.Iterations) (200_000L, 200_000L) "iterations")

          testCase "all schedules and weights survive printing and parsing" (fun () ->
              for schedule in
                  [ BetaSchedule.Linear 0.3; BetaSchedule.Cosine; BetaSchedule.VariancePreserving(0.1, 10.0) ] do
                  for weights in [ RssmWeights.Raw; RssmWeights.SelfNormalised ] do
                      let change (c: SdacConfig) =
                          { c with Diffusion.BetaSchedule = schedule; Draws.Weights = weights }

                      let spec = configured change quick
                      Expect.notEqual spec.Config quick.Config "changed"
                      Expect.equal (experimentOf spec).Config (change (experimentOf quick).Config) "as typed settings"
                      Expect.equal (parseSpec "spec.json" (Spec.print spec)) spec "specification read back")

          testCase "algorithms and options survive printing and parsing" (fun () ->
              for normalisation in [ QNormalisation.Off; QNormalisation.Running; QNormalisation.RunningAsPublished ] do
                  let sdac (c: SdacConfig) =
                      { c with
                          Energy.QNormalisation = normalisation
                          Draws.ReverseNoise = ReverseNoise.TruncatedNormal
                          Particles.TargetParticles = Some 1
                          Particles.EvaluationParticles = Some 32
                          Critics.CriticSteps = 2 }

                  let dpmd (c: DpmdConfig) =
                      { c with
                          Energy.QNormalisation = normalisation
                          Particles.TargetParticles = Some 1
                          Particles.EvaluationParticles = Some 32
                          Critics.CriticSteps = 2 }

                  for spec in [ configured sdac quick; configuredAs Dpmd.algorithm dpmd (preset "dpmd" "quick") ] do
                      Expect.equal (parseSpec "spec.json" (Spec.print spec)) spec "specification read back")

          testCase "algorithms are chosen by name, in a specification and on the command line" (fun () ->
              Expect.equal (Spec.algorithm standard "--algorithm" "dpmd").Title "DPMD" "found"

              failureOf (fun () -> Spec.algorithm standard "--algorithm" "dmpd")
              |> says [ "algorithm 'dmpd'"; "--algorithm"; "'dpmd'" ]

              let chosen = parseSpec "my.json" """{"algorithm":"dpmd","config":{"particles":{"targetParticles":1}}}"""
              Expect.equal chosen (setTo (preset "dpmd" "quick") "targetParticles" "1") "over DPMD's own preset"

              failureOf (fun () -> parseSpec "my.json" """{"algorithm":"dpdm"}""")
              |> says [ "algorithm 'dpdm'"; "my.json"; "'dpmd'" ]

              failureOf (fun () -> parseSpec "my.json" """{"algorithm":{"dpmd":{}}}""")
              |> says [ "'algorithm' in my.json"; "in quotes" ]

              // one that the command line gives is the text's where the text has none, and otherwise must be the same
              let given algorithm text = SpecFile.parse standard "my.json" (Some algorithm) "quick" text
              Expect.equal (given "dpmd" """{"seed":3}""") { preset "dpmd" "quick" with Seed = 3L } "given"
              Expect.equal (given "dpmd" """{"algorithm":"dpmd"}""") (preset "dpmd" "quick") "the same"

              failureOf (fun () -> given "sdac" """{"algorithm":"dpmd"}""")
              |> says [ "my.json"; "the algorithm dpmd"; "--algorithm says sdac" ]

              // another algorithm would leave no settings of the one before
              failureOf (fun () -> setTo quick "algorithm" "dpmd")
              |> says [ "algorithm=dpmd"; "choose it with --algorithm" ])

          testCase "settings of another algorithm are unknown ones" (fun () ->
              let dpmd = preset "dpmd" "quick"

              for key, value in [ "monteCarloDraws", "8"; "weights", "raw"; "config.draws.monteCarloDraws", "8" ] do
                  failureOf (fun () -> setTo dpmd key value) |> says [ $"unknown setting '{key}'"; "--set" ]

              failureOf (fun () -> parseSpec "my.json" """{"algorithm":"dpmd","config":{"draws":{}}}""")
              |> says [ "unknown setting"; "draws"; "my.json" ])

          testCase
              "a misspelt setting is refused with the nearest valid one, in a file and on the command line"
              (fun () ->
                  failureOf (fun () -> parseSpec "my.json" """{"config":{"particles":{"partciles":4}}}""")
                  |> says [ "partciles"; "my.json"; "did you mean 'particles'?" ]

                  failureOf (fun () -> setTo quick "bathcSize" "4") |> says [ "bathcSize"; "batchSize" ]
                  failureOf (fun () -> preset "sdac" "quikc") |> says [ "preset of sdac 'quikc'"; "'quick'" ])

          testCase "a choice that does not exist or lacks its numbers is told how it is written" (fun () ->
              let schedule text = failureOf (fun () -> setTo quick "betaSchedule" text)
              schedule "vp" |> says [ "'vp'"; "betaSchedule"; "one of 'linear', 'cosine', 'variancePreserving'" ]
              schedule "linear" |> says [ "betaSchedule"; """{"linear": VALUE}""" ]
              let variancePreserving = """{"variancePreserving": {"betaMin": VALUE, "betaMax": VALUE}}"""
              schedule "variancePreserving" |> says [ "betaSchedule"; variancePreserving ]
              schedule """{"variancePreserving":3}""" |> says [ variancePreserving ]
              schedule """{"variancePreserving":{"betaMin":0.1}}""" |> says [ variancePreserving ]
              schedule """{"cosine":1}""" |> says [ "write cosine as \"cosine\"" ]

              // the sentence is the user's: without the name of a parameter that .NET appends
              let failure =
                  failureOf (fun () -> SpecCheck.validate standard "" (setTo quick "betaSchedule" """{"linear":2}"""))

              failure |> says [ "BetaSchedule"; "timestep" ]
              Expect.stringLacks failure.Sentence "Parameter" "sentence")

          testCase "settings are changed by their short names" (fun () ->
              // `particles` is a group and a setting in it: the setting is meant
              let config = (experimentOf (setTo (setTo quick "particles" "3") "hidden" "[8,9]")).Config
              Expect.equal config.Particles.Particles 3 "particles"
              Expect.equal config.Hidden [ 8; 9 ] "hidden"

              // each of them by its last name, in each algorithm
              for algorithm, _, spec in presets do
                  let paths = Json.leaves (configType algorithm)
                  let names = paths |> List.map (fun path -> path.Substring(path.LastIndexOf '.' + 1))
                  Expect.equal (List.distinct names) names $"last names of {algorithm}"

                  if List.contains "critics.tau" paths then
                      Expect.equal
                          (setTo spec "tau" "0.5")
                          (setTo spec "config.critics.tau" "0.5")
                          "by name and by path")

          testCase "all impossible settings are named in one sentence" (fun () ->
              let wrong =
                  { configured (fun c -> { c with Critics.Tau = 2.0 }) quick with
                      LogEvery = 0L
                      CheckpointsKept = 0
                      Iterations = 0L
                      Horizon = -1L }

              failureOf (fun () -> SpecCheck.validate standard "my.json" wrong)
              |> says
                  [ "in my.json"
                    "logEvery is 0"
                    "checkpointsKept is 0"
                    "iterations is 0"
                    "horizon is -1"
                    "tau is 2" ])

          testCase "a specification of another version is refused" (fun () ->
              for schema in [ 0; 1; 3 ] do
                  failureOf (fun () -> SpecCheck.validate standard "" { quick with Schema = schema })
                  |> says [ $"schema is {schema}"; "reads 2" ]

              // whatever else the other version has
              for reading in [ parseSpec "my.json" >> ignore; SpecFile.parseWhole standard "my.json" >> ignore ] do
                  let failure = failureOf (fun () -> reading """{"schema":3,"novelty":1}""")
                  failure |> says [ "my.json"; "schema 3"; "reads 1 and 2" ]
                  Expect.equal failure.ExitCode (Settings "").ExitCode "exit code")

          testCase "options of the task may be plain JSON" (fun () ->
              let options text = (parseSpec "my.json" text).TaskOptions

              let given =
                  options
                      """{"taskOptions":{"reset_noise_scale":0.2,"healthy_z_range":[0.7,"Infinity"],"on":true,"text":"0.3"}}"""

              let expected =
                  Map
                      [ "reset_noise_scale", "0.2"
                        "healthy_z_range", "[0.7,\"Infinity\"]"
                        "on", "true"
                        "text", "0.3" ]

              Expect.equal given expected "settings that are given")

          testCase "iterations for a number of environment steps are the fewest that take them" (fun () ->
              let iterations environments updates steps =
                  let change (c: SdacConfig) =
                      { c with Data.Environments = environments; Data.UpdatesPerStep = updates }

                  let spec = configured change quick
                  let found = Spec.envSteps standard steps spec
                  Expect.equal found.Horizon found.Iterations "the schedules' horizon"
                  Expect.equal (Experiment.envSteps steps (experimentOf spec)).Iterations found.Iterations "experiment"
                  found.Iterations

              Expect.equal (iterations 5 1 1_000_000L) 200_000L "iterations"
              Expect.equal (iterations 5 1 1L) 1L "iterations"
              Expect.equal (iterations 5 1 6L) 2L "iterations"
              Expect.equal (iterations 4 2 100_000L) 50_000L "iterations") ]
