module Sdac.Experiments.Tests.SweepSpecTests

open Sdac
open Sdac.Experiments
open Sdac.Experiments.Tests.Support
open Xunit

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

[<Fact>]
let ``a sweep survives printing and parsing`` () =
    let sweep = SweepSpec.parse "sweep.json" whole
    Assert.Equal(sweep, SweepSpec.parse "printed" (SweepSpec.print sweep))
    Assert.Equal(2 * 2 * 2 * 2 * 2 * 2, (SweepSpec.plan sweep).Length)

[<Fact>]
let ``a run's specification is the preset with base, algorithm, variation, task and seed`` () =
    let sweep = SweepSpec.parse "sweep.json" whole

    for run, spec in SweepSpec.plan sweep do
        let e = spec.Experiment
        Assert.Equal((run.Task, run.Seed, 100L), (e.Task, e.Seed, e.Iterations))
        Assert.Equal<int list>([ 8; 8 ], e.Config.Hidden)
        Assert.Equal((if run.Name.Contains "_raw_" then Raw else SelfNormalised), e.Config.Weights)
        Assert.Contains($"particles={e.Config.Particles}", run.Name)
        Assert.Equal(run.Name.Contains "cosine", (e.Config.BetaSchedule = Cosine))
        Assert.InRange(e.Config.Tau, 0.001, 0.1)
        // what the sweep does not name is the preset's
        Assert.Equal(4, e.Config.Environments)
        // the schedules keep their share of the iterations
        Assert.Equal((5L, 10L), (spec.EvaluateEvery, spec.CheckpointEvery))

[<Fact>]
let ``what is set beside the iterations stands, whatever the order`` () =
    let sweep =
        SweepSpec.parse "s" """{"name":"s","base":{"iterations":100,"evaluateEvery":7,"checkpointEvery":9}}"""

    let _, spec = List.exactlyOne (SweepSpec.plan sweep)
    Assert.Equal((7L, 9L, 1L), (spec.EvaluateEvery, spec.CheckpointEvery, spec.LogEvery))

[<Fact>]
let ``an algorithm brings along what was published with it, and what is set beside it stands`` () =
    let configs text =
        [ for run, spec in SweepSpec.parse "s" text |> SweepSpec.plan -> run.Name, spec.Experiment.Config ]

    let preset = (Presets.find "quick").Experiment.Config
    let dpmd = Config.withAlgorithm Algorithm.Dpmd preset

    Assert.Equal<(string * Config) list>(
        [ "InvertedPendulum-v4_dpmd_seed0", { dpmd with QScale = 2.0 }
          "InvertedPendulum-v4_sdac_seed0", preset ],
        configs """{"name":"s","algorithms":{"sdac":{},"dpmd":{"algorithm":"dpmd","qScale":2}}}"""
    )

    // also where it is an axis like others, whatever the order
    Assert.Equal<(string * Config) list>(
        [ "InvertedPendulum-v4_algorithm=sdac_seed0", { preset with Tau = 0.01 }
          "InvertedPendulum-v4_algorithm=dpmd_seed0", { dpmd with Tau = 0.01 } ],
        configs """{"name":"s","base":{"tau":0.01},"settings":{"grid":{"algorithm":["sdac","dpmd"]}}}"""
    )

    failureOf (fun () -> configs """{"name":"s","settings":{"grid":{"algorithm":["dpdm"]}}}""")
    |> says [ "'dpdm'"; "'dpmd'"; "sweep 's'" ]

[<Fact>]
let ``the smallest sweep is one run of the preset`` () =
    let run, spec =
        SweepSpec.parse "s" """{"name":"s","preset":"laptop"}""" |> SweepSpec.plan |> List.exactlyOne

    Assert.Equal(("HalfCheetah-v4_seed0", Presets.find "laptop"), (run.Name, spec))

[<Fact>]
let ``unknown names are refused with the nearest valid one`` () =
    let refused text = failureOf (fun () -> SweepSpec.parse "my.json" text |> SweepSpec.plan)
    refused """{"name":"s","sedes":[1]}""" |> says [ "'sedes'"; "my.json"; "'seeds'" ]
    refused """{"name":"s","preset":"quikc"}""" |> says [ "'quikc'"; "'quick'" ]

    refused """{"name":"s","base":{"partciles":4}}"""
    |> says [ "'partciles'"; "sweep 's'"; "'particles'" ]

    refused """{"name":"s","settings":{"grid":{"tua":[1]}}}""" |> says [ "'tua'"; "'tau'" ]
    refused """{"name":"s","settings":{"gird":{}}}""" |> says [ "'gird'"; "'grid'" ]

    refused """{"name":"s","settings":{"random":{"count":1,"ranges":{"tau":{"unifrom":{"low":0,"high":1}}}}}}"""
    |> says [ "'unifrom'"; "'uniform'" ]

    refused """{"name":"s","settings":{"random":{"count":1,"ranges":{"tau":{"uniform":{"lo":0,"high":1}}}}}}"""
    |> says [ "'lo'"; "'low'" ]

    refused """{"seeds":[1]}""" |> says [ "my.json"; "name" ]

    let error =
        Assert.Throws<System.ArgumentException>(fun () ->
            SweepSpec.parse "my.json" """{"name":"s","tasks":["Hoper-v4"]}""" |> SweepSpec.plan |> ignore)

    Assert.Contains("Hopper-v4", error.Message)

[<Fact>]
let ``the same run under two names is refused`` () =
    let text = """{"name":"s","settings":{"list":[{"tau":0.01},{"tau":1e-2}]}}"""

    failureOf (fun () -> SweepSpec.parse "s" text |> SweepSpec.plan)
    |> says [ "InvertedPendulum-v4_tau=0.01_seed0"; "InvertedPendulum-v4_tau=1e-2_seed0" ]

[<Fact>]
let ``one impossible run among others is left to fail by itself, a sweep of nothing else is refused`` () =
    let plan text = SweepSpec.parse "s" text |> SweepSpec.plan
    Assert.Equal(2, (plan """{"name":"s","settings":{"grid":{"tau":[0.01,2]}}}""").Length)

    failureOf (fun () -> plan """{"name":"s","settings":{"grid":{"tau":[2,3]}}}""")
    |> says [ "Tau is 2" ]
