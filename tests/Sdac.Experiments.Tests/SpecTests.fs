module Sdac.Experiments.Tests.SpecTests

open Sdac
open Sdac.Experiments
open Sdac.Experiments.Tests.Support
open Xunit

let private quick = Presets.find "quick"

[<Fact>]
let ``every preset is valid and survives printing and parsing`` () =
    for _, spec in Presets.all do
        Assert.Equal(spec, Spec.validate spec)
        // parsed over another preset: nothing may be taken from it
        let other = if spec = quick then Presets.find "paper" else quick
        Assert.Equal(spec, Spec.parse "spec.json" other (Spec.print spec))

[<Fact>]
let ``the paper preset is the published configuration`` () =
    let e = (Presets.find "paper").Experiment
    Assert.Equal(Config.published, e.Config)
    Assert.Equal(200_000L, e.Iterations)

[<Fact>]
let ``all schedules and weights survive printing and parsing`` () =
    for schedule in [ Linear 0.3; Cosine; VariancePreserving(0.1, 10.0) ] do
        for weights in [ Raw; SelfNormalised ] do
            let change (c: Config) = { c with BetaSchedule = schedule; Weights = weights }
            let spec = { quick with Experiment = Experiment.configure change quick.Experiment }
            Assert.Equal(spec, Spec.parse "spec.json" quick (Spec.print spec))

[<Fact>]
let ``algorithms and options survive printing and parsing`` () =
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
                Experiment = quick.Experiment |> Experiment.algorithm Algorithm.Dpmd |> Experiment.configure change }

        Assert.Equal(spec, Spec.parse "spec.json" quick (Spec.print spec))
        Assert.Equal(quick, Spec.parse "spec.json" spec (Spec.print quick))

[<Fact>]
let ``a specification written before there were algorithms and options means what it meant`` () =
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
        Assert.All(newer, fun name -> Assert.True(config.AsObject().Remove name, name))
        Assert.Equal(spec, Spec.parse "spec.json" quick (node.ToJsonString()))

[<Fact>]
let ``algorithms are chosen by name, in a specification and on the command line`` () =
    Assert.Equal(Algorithm.Dpmd, Algorithms.find "dpmd")
    failureOf (fun () -> Algorithms.find "dmpd") |> says [ "'dmpd'"; "--algorithm"; "'dpmd'" ]
    let chosen = Json.set (Json.set quick "algorithm" "dpmd") "targetParticles" "1"

    Assert.Equal(
        (Algorithm.Dpmd, Some 1),
        (chosen.Experiment.Config.Algorithm, chosen.Experiment.Config.TargetParticles)
    )

    failureOf (fun () -> Json.set quick "algorithm" "dpdm") |> says [ "'dpdm'"; "'dpmd'" ]
    // the algorithm alone leaves weights that cannot learn
    failureOf (fun () -> Spec.validate chosen) |> says [ "SelfNormalised"; "--algorithm dpmd" ]

[<Fact>]
let ``a misspelt setting is refused with the nearest valid one, in a file and on the command line`` () =
    failureOf (fun () -> Spec.parse "my.json" quick """{"experiment":{"config":{"partciles":4}}}""")
    |> says [ "partciles"; "my.json"; "did you mean 'particles'?" ]

    failureOf (fun () -> Json.set quick "bathcSize" "4") |> says [ "bathcSize"; "batchSize" ]
    failureOf (fun () -> Presets.find "quikc") |> says [ "quikc"; "'quick'" ]

[<Fact>]
let ``a choice that does not exist or lacks its numbers is told how it is written`` () =
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
    Assert.DoesNotContain("Parameter", failure.Sentence)

[<Fact>]
let ``settings are changed by their short names`` () =
    let spec = Json.set (Json.set quick "particles" "3") "hidden" "[8,9]"
    Assert.Equal(3, spec.Experiment.Config.Particles)
    Assert.Equal<int list>([ 8; 9 ], spec.Experiment.Config.Hidden)

[<Fact>]
let ``all impossible settings are named in one sentence`` () =
    let wrong =
        { quick with
            LogEvery = 0L
            CheckpointsKept = 0
            Experiment =
                quick.Experiment |> Experiment.iterations 0L |> Experiment.configure (fun c -> { c with Tau = 2.0 }) }

    failureOf (fun () -> Spec.validate wrong)
    |> says [ "logEvery is 0"; "checkpointsKept is 0"; "iterations is 0"; "Tau is 2" ]

[<Fact>]
let ``a specification of another version is refused`` () =
    failureOf (fun () -> Spec.validate { quick with Schema = 2 }) |> says [ "schema is 2"; "reads 1" ]

    // whatever else the other version has
    failureOf (fun () -> Spec.parse "my.json" quick """{"schema":2,"novelty":1}""")
    |> says [ "my.json"; "schema 2"; "reads 1" ]

[<Fact>]
let ``options of the task may be plain JSON`` () =
    let options text = (Spec.parse "my.json" quick text).Experiment.TaskOptions

    let given =
        options
            """{"experiment":{"taskOptions":{"reset_noise_scale":0.2,"healthy_z_range":[0.7,"Infinity"],"on":true,"text":"0.3"}}}"""

    let expected =
        Map [ "reset_noise_scale", "0.2"; "healthy_z_range", "[0.7,\"Infinity\"]"; "on", "true"; "text", "0.3" ]

    Assert.Equal<Map<string, string>>(expected, given)

[<Fact>]
let ``iterations for a number of environment steps are the fewest that take them`` () =
    let iterations environments updates steps =
        let change (c: Config) = { c with Environments = environments; UpdatesPerStep = updates }
        (quick.Experiment |> Experiment.configure change |> Experiment.envSteps steps).Iterations

    Assert.Equal(200_000L, iterations 5 1 1_000_000L)
    Assert.Equal(1L, iterations 5 1 1L)
    Assert.Equal(2L, iterations 5 1 6L)
    Assert.Equal(50_000L, iterations 4 2 100_000L)
