module Sdac.Experiments.Tests.SpecTests

open Expecto
open Sdac
open Sdac.Experiments
open Sdac.Experiments.Tests.Support
open Sdac.Testing

let private quick = Presets.find "quick"

[<Tests>]
let tests =
    testList
        "specifications"
        [ testCase "every preset is valid and survives printing and parsing" (fun () ->
              for _, spec in Presets.all do
                  Expect.equal (Spec.validate spec) spec "valid specification"
                  // parsed over another preset: nothing may be taken from it
                  let other = if spec = quick then Presets.find "paper" else quick
                  Expect.equal (Spec.parse "spec.json" other (Spec.print spec)) spec "specification read back")

          testCase "the paper preset is the published configuration" (fun () ->
              let e = (Presets.find "paper").Experiment
              Expect.equal e.Config Config.published "config"
              Expect.equal e.Iterations 200_000L "iterations")

          testCase "all schedules and weights survive printing and parsing" (fun () ->
              for schedule in [ Linear 0.3; Cosine; VariancePreserving(0.1, 10.0) ] do
                  for weights in [ Raw; SelfNormalised ] do
                      let change (c: Config) = { c with BetaSchedule = schedule; Weights = weights }
                      let spec = { quick with Experiment = Experiment.configure change quick.Experiment }
                      Expect.equal (Spec.parse "spec.json" quick (Spec.print spec)) spec "specification read back")

          testCase "algorithms and options survive printing and parsing" (fun () ->
              for normalisation in [ QNormalisation.Off; QNormalisation.Running; QNormalisation.RunningAsPublished ] do
                  let change (c: Config) =
                      { c with
                          QNormalisation = normalisation
                          ReverseNoise = TruncatedNormal
                          TargetParticles = Some 1
                          EvaluationParticles = Some 32
                          CriticSteps = 2 }

                  let spec =
                      { quick with
                          Experiment =
                              quick.Experiment |> Experiment.algorithm Algorithm.Dpmd |> Experiment.configure change }

                  Expect.equal (Spec.parse "spec.json" quick (Spec.print spec)) spec "specification read back"
                  Expect.equal (Spec.parse "spec.json" spec (Spec.print quick)) quick "specification read back")

          testCase "a specification written before there were algorithms and options means what it meant" (fun () ->
              let newer =
                  set
                      [ "algorithm"
                        "behaviourParticles"
                        "targetParticles"
                        "evaluationParticles"
                        "reverseNoise"
                        "qNormalisation"
                        "qNormalisationRate"
                        "qClip"
                        "criticSteps" ]

              for _, spec in Presets.all do
                  let node = nonNull (Json.parseNode "spec.json" (Spec.print spec))
                  let experiment = nonNull node["experiment"]
                  let config = nonNull experiment["config"]

                  for name in newer do
                      Expect.isTrue (config.AsObject().Remove name) name

                  Expect.equal (Spec.parse "spec.json" quick (node.ToJsonString())) spec "specification")

          testCase "algorithms are chosen by name, in a specification and on the command line" (fun () ->
              Expect.equal (Algorithms.find "dpmd") Algorithm.Dpmd "find"
              failureOf (fun () -> Algorithms.find "dmpd") |> says [ "'dmpd'"; "--algorithm"; "'dpmd'" ]
              let chosen = Json.set (Json.set quick "algorithm" "dpmd") "targetParticles" "1"

              Expect.equal
                  (chosen.Experiment.Config.Algorithm, chosen.Experiment.Config.TargetParticles)
                  (Algorithm.Dpmd, Some 1)
                  "algorithm and target particles"

              failureOf (fun () -> Json.set quick "algorithm" "dpdm") |> says [ "'dpdm'"; "'dpmd'" ]
              // the algorithm alone leaves weights that cannot learn
              failureOf (fun () -> Spec.validate chosen) |> says [ "SelfNormalised"; "--algorithm dpmd" ])

          testCase
              "a misspelt setting is refused with the nearest valid one, in a file and on the command line"
              (fun () ->
                  failureOf (fun () -> Spec.parse "my.json" quick """{"experiment":{"config":{"partciles":4}}}""")
                  |> says [ "partciles"; "my.json"; "did you mean 'particles'?" ]

                  failureOf (fun () -> Json.set quick "bathcSize" "4") |> says [ "bathcSize"; "batchSize" ]
                  failureOf (fun () -> Presets.find "quikc") |> says [ "quikc"; "'quick'" ])

          testCase "a choice that does not exist or lacks its numbers is told how it is written" (fun () ->
              let schedule text = failureOf (fun () -> Json.set quick "betaSchedule" text)
              schedule "vp" |> says [ "'vp'"; "betaSchedule"; "one of 'linear', 'cosine', 'variancePreserving'" ]
              schedule "linear" |> says [ "betaSchedule"; """{"linear": VALUE}""" ]
              let variancePreserving = """{"variancePreserving": {"betaMin": VALUE, "betaMax": VALUE}}"""
              schedule "variancePreserving" |> says [ "betaSchedule"; variancePreserving ]
              schedule """{"variancePreserving":3}""" |> says [ variancePreserving ]
              schedule """{"variancePreserving":{"betaMin":0.1}}""" |> says [ variancePreserving ]
              schedule """{"cosine":1}""" |> says [ "write cosine as \"cosine\"" ]

              // the sentence is the user's: without the name of a parameter that .NET appends
              let failure = failureOf (fun () -> Spec.validate (Json.set quick "betaSchedule" """{"linear":2}"""))

              failure |> says [ "BetaSchedule"; "timestep" ]
              Expect.stringLacks failure.Sentence "Parameter" "sentence")

          testCase "settings are changed by their short names" (fun () ->
              let spec = Json.set (Json.set quick "particles" "3") "hidden" "[8,9]"
              Expect.equal spec.Experiment.Config.Particles 3 "particles"
              Expect.equal spec.Experiment.Config.Hidden [ 8; 9 ] "hidden")

          testCase "all impossible settings are named in one sentence" (fun () ->
              let wrong =
                  { quick with
                      LogEvery = 0L
                      CheckpointsKept = 0
                      Experiment =
                          quick.Experiment
                          |> Experiment.iterations 0L
                          |> Experiment.configure (fun c -> { c with Tau = 2.0 }) }

              failureOf (fun () -> Spec.validate wrong)
              |> says [ "logEvery is 0"; "checkpointsKept is 0"; "iterations is 0"; "Tau is 2" ])

          testCase "a specification of another version is refused" (fun () ->
              failureOf (fun () -> Spec.validate { quick with Schema = 2 }) |> says [ "schema is 2"; "reads 1" ]

              // whatever else the other version has
              failureOf (fun () -> Spec.parse "my.json" quick """{"schema":2,"novelty":1}""")
              |> says [ "my.json"; "schema 2"; "reads 1" ])

          testCase "options of the task may be plain JSON" (fun () ->
              let options text = (Spec.parse "my.json" quick text).Experiment.TaskOptions

              let given =
                  options
                      """{"experiment":{"taskOptions":{"reset_noise_scale":0.2,"healthy_z_range":[0.7,"Infinity"],"on":true,"text":"0.3"}}}"""

              let expected =
                  Map
                      [ "reset_noise_scale", "0.2"
                        "healthy_z_range", "[0.7,\"Infinity\"]"
                        "on", "true"
                        "text", "0.3" ]

              Expect.equal given expected "settings that are given")

          testCase "iterations for a number of environment steps are the fewest that take them" (fun () ->
              let iterations environments updates steps =
                  let change (c: Config) = { c with Environments = environments; UpdatesPerStep = updates }
                  (quick.Experiment |> Experiment.configure change |> Experiment.envSteps steps).Iterations

              Expect.equal (iterations 5 1 1_000_000L) 200_000L "iterations"
              Expect.equal (iterations 5 1 1L) 1L "iterations"
              Expect.equal (iterations 5 1 6L) 2L "iterations"
              Expect.equal (iterations 4 2 100_000L) 50_000L "iterations") ]
