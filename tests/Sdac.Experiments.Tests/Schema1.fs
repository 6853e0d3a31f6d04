/// What schema 1 of specifications was: written down here once more, beside the program's own mapping.
module Sdac.Experiments.Tests.Schema1

open System
open System.IO
open System.Text.Json.Nodes
open Sdac.Functional
open Sdac.Experiments
open Sdac.Experiments.Tests.Support

/// A run folder that the last program of schema 1 left, without what is not needed to go on: of SDAC on Hopper-v4, and of
/// DPMD on InvertedPendulum-v4. Every setting has another value than the published one. The checkpoint is that of iteration
/// 45, "final.safetensors" that of the last iteration, 90, and metrics.jsonl that of the whole, uninterrupted run.
let recorded (algorithm: string) = Path.Combine(AppContext.BaseDirectory, "recorded", $"format2-{algorithm}")

let private specOf algorithm = File.ReadAllText(Path.Combine(recorded algorithm, "spec.json"))

/// Whole specifications as that program wrote them.
let sdac, dpmd = specOf "sdac", specOf "dpmd"

/// Of SDAC alone; DPMD's specifications held them too, without effect.
let sdacAlone = set [ "monteCarloDraws"; "weights"; "reverseNoise" ]

/// The presets that there were, of the algorithms that there were.
let presets =
    Support.presets
    |> List.filter (fun (algorithm, name, _) -> List.contains algorithm [ "sdac"; "dpmd" ] && name <> "flow-rl")

/// Settings, and groups of settings, that came later: the published values are what was always done.
let newer =
    [ "networks"
      "critics.qReduction"
      "critics.huberThreshold"
      "targetNoise"
      "criticHidden"
      "criticActivation"
      "diffusion.wideNoise"
      "particles.candidates"
      "regression"
      "policy.policyCopies"
      "policy.actsBy"
      "tuning"
      "mirror"
      "likelihood" ]

/// Where each setting of its flat config lies today.
let places: Map<string, string> =
    Map
        [ "hidden", "hidden"
          "environments", "data.environments"
          "updatesPerStep", "data.updatesPerStep"
          "warmUp", "data.warmUp"
          "batchSize", "data.batchSize"
          "bufferCapacity", "data.bufferCapacity"
          "timesteps", "diffusion.timesteps"
          "betaSchedule", "diffusion.betaSchedule"
          "initialNoiseScale", "diffusion.initialNoiseScale"
          "timeDim", "diffusion.timeDim"
          "timeHidden", "diffusion.timeHidden"
          "particles", "particles.particles"
          "behaviourParticles", "particles.behaviourParticles"
          "targetParticles", "particles.targetParticles"
          "evaluationParticles", "particles.evaluationParticles"
          "noiseScale", "particles.noiseScale"
          "monteCarloDraws", "draws.monteCarloDraws"
          "weights", "draws.weights"
          "reverseNoise", "draws.reverseNoise"
          "qScale", "energy.qScale"
          "qNormalisation", "energy.qNormalisation"
          "qNormalisationRate", "energy.qNormalisationRate"
          "qClip", "energy.qClip"
          "discount", "critics.discount"
          "rewardScale", "critics.rewardScale"
          "criticSteps", "critics.criticSteps"
          "tau", "critics.tau"
          "learningRate", "adam.learningRate"
          "adamBeta1", "adam.adamBeta1"
          "adamBeta2", "adam.adamBeta2"
          "adamEpsilon", "adam.adamEpsilon"
          "policyDelay", "policy.policyDelay"
          "policyLearningRateEnd", "policy.policyLearningRateEnd"
          "policyDecayBegin", "policy.policyDecayBegin"
          "policyDecayLength", "policy.policyDecayLength"
          "initialTemperature", "temperature.initialTemperature"
          "temperatureLearningRate", "temperature.temperatureLearningRate"
          "temperatureDelay", "temperature.temperatureDelay"
          "targetEntropyPerDim", "temperature.targetEntropyPerDim" ]

/// A specification of today as that program would have written it.
let ofSpec (spec: Spec) : string =
    let now = Json.parseNode "spec" (Spec.print spec)

    let copy (path: string) : JsonNode | null =
        match jsonAt path now with
        | null -> null
        | node -> node.DeepClone()

    let config = JsonObject()
    config["algorithm"] <- JsonValue.Create spec.Algorithm

    for KeyValue(name, path) in places do
        if spec.Algorithm = "dpmd" && sdacAlone.Contains name then
            config[name] <- JsonValue.Create "without effect"
        else
            config[name] <- copy $"config.{path}"

    let experiment, whole = JsonObject(), JsonObject()
    whole["schema"] <- JsonValue.Create 1

    for name in [ "task"; "taskOptions"; "seed"; "iterations"; "device"; "kernels" ] do
        experiment[name] <- copy name

    experiment["config"] <- config
    whole["experiment"] <- experiment

    for name in [ "evaluateEvery"; "evaluationEpisodes"; "checkpointEvery"; "checkpointsKept"; "logEvery" ] do
        whole[name] <- copy name

    whole.ToJsonString()
