module Sdac.Experiments.Tests.SweepSpecTests

open Expecto
open Sdac.Functional
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
              let sweep = SweepSpec.parse standard "sweep.json" whole
              Expect.equal (SweepSpec.parse standard "printed" (SweepSpec.print sweep)) sweep "sweep read back"
              Expect.equal ((SweepSpec.plan standard sweep).Length) (2 * 2 * 2 * 2 * 2 * 2) "number of plan")

          testCase "a run's specification is the preset with base, algorithm, variation, task and seed" (fun () ->
              let sweep = SweepSpec.parse standard "sweep.json" whole

              for run, spec in SweepSpec.plan standard sweep do
                  let c = (experimentOf spec).Config

                  Expect.equal
                      (spec.Task, spec.Seed, spec.Iterations, spec.Horizon)
                      (run.Task, run.Seed, 100L, 100L)
                      "task, seed, iterations and horizon"

                  Expect.equal c.Hidden [ 8; 8 ] "hidden"

                  Expect.equal
                      c.Draws.Weights
                      (if run.Name.Contains "_raw_" then
                           RssmWeights.Raw
                       else
                           RssmWeights.SelfNormalised)
                      "weights"

                  Expect.stringContains run.Name $"particles={c.Particles.Particles}" "name of run"

                  Expect.equal
                      (c.Diffusion.BetaSchedule = BetaSchedule.Cosine)
                      (run.Name.Contains "cosine")
                      "beta schedule"

                  Expect.inRange c.Critics.Tau (0.001, 0.1) "tau"
                  // what the sweep does not name is the preset's
                  Expect.equal c.Data.Environments 4 "environments"
                  // the schedules keep their share of the iterations
                  Expect.equal
                      (spec.EvaluateEvery, spec.CheckpointEvery)
                      (5L, 1L)
                      "evaluate every and checkpoint every")

          testCase "what is set beside the iterations stands, whatever the order" (fun () ->
              let sweep =
                  SweepSpec.parse
                      standard
                      "s"
                      """{"name":"s","base":{"iterations":100,"evaluateEvery":7,"checkpointEvery":9}}"""

              let _, spec = List.exactlyOne (SweepSpec.plan standard sweep)

              Expect.equal
                  (spec.EvaluateEvery, spec.CheckpointEvery, spec.LogEvery)
                  (7L, 9L, 1L)
                  "evaluate every, checkpoint every and log every")

          testCase "an algorithm brings along what was published with it, and what is set beside it stands" (fun () ->
              let specs text =
                  [ for run, spec in SweepSpec.parse standard "s" text |> SweepSpec.plan standard -> run.Name, spec ]

              let dpmd = preset "dpmd" "quick"

              Expect.equal
                  (specs """{"name":"s","algorithms":{"sdac":{},"dpmd":{"algorithm":"dpmd","qScale":2}}}""")
                  [ "InvertedPendulum-v4_dpmd_seed0", setTo dpmd "qScale" "2"
                    "InvertedPendulum-v4_sdac_seed0", quick ]
                  "specifications"

              // an entry with an algorithm's name is that algorithm; a list of names is enough
              let sac = preset "sac" "quick"

              for text in [ """{"sac":{},"sdac":{}}"""; """["sac","sdac"]""" ] do
                  Expect.equal
                      (specs $"""{{"name":"s","algorithms":{text}}}""")
                      [ "InvertedPendulum-v4_sac_seed0", sac; "InvertedPendulum-v4_sdac_seed0", quick ]
                      text

              failureOf (fun () -> specs """{"name":"s","algorithms":["sac","sac"]}""")
              |> says [ "'algorithms' in s names sac 2 times" ]

              failureOf (fun () -> specs """{"name":"s","algorithms":["sca"]}""") |> says [ "'sca'"; "'sac'" ]

              // also where it is an axis like others, whatever the order
              Expect.equal
                  (specs """{"name":"s","base":{"tau":0.01},"settings":{"grid":{"algorithm":["sdac","dpmd"]}}}""")
                  [ "InvertedPendulum-v4_algorithm=sdac_seed0", setTo quick "tau" "0.01"
                    "InvertedPendulum-v4_algorithm=dpmd_seed0", setTo dpmd "tau" "0.01" ]
                  "specifications"

              failureOf (fun () -> specs """{"name":"s","settings":{"grid":{"algorithm":["dpdm"]}}}""")
              |> says [ "'dpdm'"; "'dpmd'"; "sweep 's'" ]

              // a setting that only another algorithm has
              failureOf (fun () ->
                  specs """{"name":"s","base":{"monteCarloDraws":8},"algorithms":{"d":{"algorithm":"dpmd"}}}""")
              |> says [ "unknown setting 'monteCarloDraws'"; "sweep 's' for dpmd" ])

          testCase "a sweep whose settings stand under their paths of schema 1 means what it meant" (fun () ->
              let specs text = SweepSpec.parse standard "s" text |> SweepSpec.plan standard |> List.map snd

              Expect.equal
                  (specs
                      """{"name":"s","base":{"experiment.iterations":100,"experiment.config.tau":0.01},"algorithms":{"d":{"experiment.config.algorithm":"dpmd"}}}""")
                  [ setTo (Spec.iterations 100L (preset "dpmd" "quick")) "tau" "0.01" ]
                  "specifications")

          testCase "the smallest sweep is one run of the preset" (fun () ->
              let run, spec =
                  SweepSpec.parse standard "s" """{"name":"s","preset":"laptop"}"""
                  |> SweepSpec.plan standard
                  |> List.exactlyOne

              Expect.equal (run.Name, spec) ("HalfCheetah-v4_seed0", preset "sdac" "laptop") "name of run and spec")

          testCase "unknown names are refused with the nearest valid one" (fun () ->
              let refused text =
                  failureOf (fun () -> SweepSpec.parse standard "my.json" text |> SweepSpec.plan standard)

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

              failureOf (fun () ->
                  SweepSpec.parse standard "my.json" """{"name":"s","tasks":["Hoper-v4"]}"""
                  |> SweepSpec.plan standard)
              |> says [ "sweep 's'"; "Hopper-v4" ])

          testCase "the same run under two names is refused" (fun () ->
              let text = """{"name":"s","settings":{"list":[{"tau":0.01},{"tau":1e-2}]}}"""

              failureOf (fun () -> SweepSpec.parse standard "s" text |> SweepSpec.plan standard)
              |> says [ "InvertedPendulum-v4_tau=0.01_seed0"; "InvertedPendulum-v4_tau=1e-2_seed0" ])

          testCase
              "one impossible run among others is left to fail by itself, a sweep of nothing else is refused"
              (fun () ->
                  let plan text = SweepSpec.parse standard "s" text |> SweepSpec.plan standard

                  Expect.equal
                      ((plan """{"name":"s","settings":{"grid":{"tau":[0.01,2]}}}""").Length)
                      2
                      "number of plan"

                  failureOf (fun () -> plan """{"name":"s","settings":{"grid":{"tau":[2,3]}}}""")
                  |> says [ "tau is 2" ]) ]
