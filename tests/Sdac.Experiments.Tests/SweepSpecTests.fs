module Sdac.Experiments.Tests.SweepSpecTests

open Expecto
open Sdac
open Sdac.Experiments
open Sdac.Experiments.Tests.Support
open Sdac.Testing

let private whole =
    """{
      "schema": 1, "name": "whole", "preset": "laptop",
      "base": { "iterations": 100, "hidden": [8, 8] },
      "algorithms": { "sdac": {}, "raw": { "weights": "raw" } },
      "tasks": ["Hopper-v4", "InvertedPendulum-v4"],
      "seeds": [0, 1],
      "settings": {
        "list": [{ "betaSchedule": { "linear": 0.5 } }, { "betaSchedule": "cosine" }],
        "grid": { "particles": [2, 4] },
        "random": {
          "count": 2, "seed": 5,
          "ranges": {
            "tau": { "uniform": { "low": 0.001, "high": 0.1 } },
            "learningRate": { "logUniform": { "low": 1e-4, "high": 1e-2 } },
            "monteCarloDraws": { "integers": { "low": 2, "high": 64 } },
            "taskOptions": { "choice": [{ "reset_noise_scale": 0.1 }, {}] } } } } }"""

[<Tests>]
let tests =
    testList
        "sweep specifications"
        [ testCase "a sweep survives printing and parsing" (fun () ->
              let sweep = SweepSpec.parse "sweep.json" whole
              Expect.equal (SweepSpec.parse "printed" (SweepSpec.print sweep)) sweep "sweep read back"
              Expect.equal ((SweepSpec.plan sweep).Length) (2 * 2 * 2 * 2 * 2 * 2) "number of plan")

          testCase "a run's specification is the preset with base, algorithm, variation, task and seed" (fun () ->
              let sweep = SweepSpec.parse "sweep.json" whole

              for run, spec in SweepSpec.plan sweep do
                  let e = spec.Experiment
                  Expect.equal (e.Task, e.Seed, e.Iterations) (run.Task, run.Seed, 100L) "task, seed and iterations"
                  Expect.equal e.Config.Hidden [ 8; 8 ] "hidden"
                  Expect.equal e.Config.Weights (if run.Name.Contains "_raw_" then Raw else SelfNormalised) "weights"
                  Expect.stringContains run.Name $"particles={e.Config.Particles}" "name of run"
                  Expect.equal (e.Config.BetaSchedule = Cosine) (run.Name.Contains "cosine") "beta schedule"
                  Expect.inRange e.Config.Tau (0.001, 0.1) "tau"
                  // what the sweep does not name is the preset's
                  Expect.equal e.Config.Environments 4 "environments"
                  // the schedules keep their share of the iterations
                  Expect.equal
                      (spec.EvaluateEvery, spec.CheckpointEvery)
                      (5L, 10L)
                      "evaluate every and checkpoint every")

          testCase "what is set beside the iterations stands, whatever the order" (fun () ->
              let sweep =
                  SweepSpec.parse
                      "s"
                      """{"name":"s","base":{"iterations":100,"evaluateEvery":7,"checkpointEvery":9}}"""

              let _, spec = List.exactlyOne (SweepSpec.plan sweep)

              Expect.equal
                  (spec.EvaluateEvery, spec.CheckpointEvery, spec.LogEvery)
                  (7L, 9L, 1L)
                  "evaluate every, checkpoint every and log every")

          testCase "an algorithm brings along what was published with it, and what is set beside it stands" (fun () ->
              let configs text =
                  [ for run, spec in SweepSpec.parse "s" text |> SweepSpec.plan -> run.Name, spec.Experiment.Config ]

              let preset = (Presets.find "quick").Experiment.Config
              let dpmd = Config.withAlgorithm Algorithm.Dpmd preset

              Expect.equal
                  (configs """{"name":"s","algorithms":{"sdac":{},"dpmd":{"algorithm":"dpmd","qScale":2}}}""")
                  [ "InvertedPendulum-v4_dpmd_seed0", { dpmd with QScale = 2.0 }
                    "InvertedPendulum-v4_sdac_seed0", preset ]
                  "configs"

              // also where it is an axis like others, whatever the order
              Expect.equal
                  (configs """{"name":"s","base":{"tau":0.01},"settings":{"grid":{"algorithm":["sdac","dpmd"]}}}""")
                  [ "InvertedPendulum-v4_algorithm=sdac_seed0", { preset with Tau = 0.01 }
                    "InvertedPendulum-v4_algorithm=dpmd_seed0", { dpmd with Tau = 0.01 } ]
                  "configs"

              failureOf (fun () -> configs """{"name":"s","settings":{"grid":{"algorithm":["dpdm"]}}}""")
              |> says [ "'dpdm'"; "'dpmd'"; "sweep 's'" ])

          testCase "the smallest sweep is one run of the preset" (fun () ->
              let run, spec =
                  SweepSpec.parse "s" """{"name":"s","preset":"laptop"}""" |> SweepSpec.plan |> List.exactlyOne

              Expect.equal (run.Name, spec) ("HalfCheetah-v4_seed0", Presets.find "laptop") "name of run and spec")

          testCase "unknown names are refused with the nearest valid one" (fun () ->
              let refused text = failureOf (fun () -> SweepSpec.parse "my.json" text |> SweepSpec.plan)
              refused """{"name":"s","sedes":[1]}""" |> says [ "'sedes'"; "my.json"; "'seeds'" ]
              refused """{"name":"s","preset":"quikc"}""" |> says [ "'quikc'"; "'quick'" ]

              refused """{"name":"s","base":{"partciles":4}}"""
              |> says [ "'partciles'"; "sweep 's'"; "'particles'" ]

              refused """{"name":"s","settings":{"grid":{"tua":[1]}}}""" |> says [ "'tua'"; "'tau'" ]
              refused """{"name":"s","settings":{"gird":{}}}""" |> says [ "'gird'"; "'grid'" ]

              refused
                  """{"name":"s","settings":{"random":{"count":1,"ranges":{"tau":{"unifrom":{"low":0,"high":1}}}}}}"""
              |> says [ "'unifrom'"; "'uniform'" ]

              refused
                  """{"name":"s","settings":{"random":{"count":1,"ranges":{"tau":{"uniform":{"lo":0,"high":1}}}}}}"""
              |> says [ "'lo'"; "'low'" ]

              refused """{"seeds":[1]}""" |> says [ "my.json"; "name" ]

              let error =
                  Expect.raises<System.ArgumentException>(fun () ->
                      SweepSpec.parse "my.json" """{"name":"s","tasks":["Hoper-v4"]}""" |> SweepSpec.plan |> ignore)

              Expect.stringContains error.Message "Hopper-v4" "sentence")

          testCase "the same run under two names is refused" (fun () ->
              let text = """{"name":"s","settings":{"list":[{"tau":0.01},{"tau":1e-2}]}}"""

              failureOf (fun () -> SweepSpec.parse "s" text |> SweepSpec.plan)
              |> says [ "InvertedPendulum-v4_tau=0.01_seed0"; "InvertedPendulum-v4_tau=1e-2_seed0" ])

          testCase
              "one impossible run among others is left to fail by itself, a sweep of nothing else is refused"
              (fun () ->
                  let plan text = SweepSpec.parse "s" text |> SweepSpec.plan

                  Expect.equal
                      ((plan """{"name":"s","settings":{"grid":{"tau":[0.01,2]}}}""").Length)
                      2
                      "number of plan"

                  failureOf (fun () -> plan """{"name":"s","settings":{"grid":{"tau":[2,3]}}}""")
                  |> says [ "Tau is 2" ]) ]
