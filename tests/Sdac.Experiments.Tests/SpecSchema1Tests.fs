/// Specifications of schema 1, whose config was flat and the same for all algorithms.
module Sdac.Experiments.Tests.SpecSchema1Tests

open System
open System.IO
open System.Text.Json.Nodes
open Expecto
open Sdac.Functional
open Sdac.Experiments
open Sdac.Experiments.Tests.Support
open Sdac.Testing

let private node (text: string) : JsonNode = nonNull (Json.parseNode "text" text)

/// The flat config of a text of schema 1: names and values.
let private flatConfig (text: string) =
    match jsonAt "experiment.config" (node text) with
    | :? JsonObject as config -> [ for pair in config -> pair.Key, pair.Value ]
    | _ -> []

let private texts = [ "sdac", Schema1.sdac; "dpmd", Schema1.dpmd ]

[<Tests>]
let tests =
    testList
        "specifications of schema 1"
        [ testCase "every setting of both algorithms lands where it belongs" (fun () ->
              for algorithm, text in texts do
                  let spec = SpecFile.parseWhole standard "spec.json" text
                  let read, published = node (Spec.print spec), node (Spec.print (preset algorithm "published"))
                  let given = flatConfig text |> List.filter (fst >> (<>) "algorithm")
                  Expect.equal (set (List.map fst given)) (Set.ofSeq Schema1.places.Keys) "the settings of schema 1"
                  Expect.equal spec.Algorithm algorithm "algorithm"

                  let kept =
                      given
                      |> List.filter (fun (name, _) -> algorithm = "sdac" || not (Schema1.sdacAlone.Contains name))

                  for name, value in kept do
                      let path = $"config.{Schema1.places[name]}"
                      Expect.isTrue (JsonNode.DeepEquals(jsonAt path read, value)) $"{algorithm}: {name} at {path}"

                      // a setting that is lost would be the published one
                      if name <> "qNormalisation" || algorithm = "sdac" then
                          Expect.isFalse
                              (JsonNode.DeepEquals(jsonAt path published, value))
                              $"{algorithm}: {name} is told apart"

                  let expected = kept |> List.map (fun (name, _) -> Schema1.places[name])
                  let leaves = set (Json.leaves (configType algorithm))

                  let isNewer (path: string) =
                      Schema1.newer |> List.exists (fun part -> path = part || path.StartsWith $"{part}.")

                  Expect.equal (Set.filter (isNewer >> not) leaves) (set expected) "settings that were there then"

                  for path in Set.filter isNewer leaves do
                      let now, usual = jsonAt $"config.{path}" read, jsonAt $"config.{path}" published
                      Expect.isTrue (JsonNode.DeepEquals(now, usual)) $"{algorithm}: {path} as it was always done")

          testCase "all else of a specification stays" (fun () ->
              for (algorithm, text), (task, options, seed) in
                  List.zip texts [ "Hopper-v4", [ "reset_noise_scale", "0.02" ], -11L; "InvertedPendulum-v4", [], 12L ] do
                  let spec = SpecFile.parseWhole standard "spec.json" text

                  Expect.equal
                      { spec with Config = (preset algorithm "quick").Config }
                      { preset algorithm "quick" with
                          Task = task
                          TaskOptions = Map options
                          Seed = seed
                          Iterations = 90L
                          Horizon = 90L
                          EvaluateEvery = 30L
                          EvaluationEpisodes = 2
                          CheckpointEvery = 45L
                          CheckpointsKept = 100
                          LogEvery = 7L }
                      algorithm)

          testCase "DPMD's drops what had no effect on it" (fun () ->
              for name in Schema1.sdacAlone do
                  Expect.stringContains Schema1.dpmd $"\"{name}\"" "the text has it"

                  Expect.stringLacks
                      (Spec.print (SpecFile.parseWhole standard "spec.json" Schema1.dpmd))
                      $"\"{name}\""
                      "the specification has not")

          testCase "every preset survives being written in schema 1, with and without its number" (fun () ->
              for algorithm, name, spec in Schema1.presets do
                  let text = Schema1.ofSpec spec
                  Expect.equal (SpecFile.parseWhole standard "spec.json" text) spec $"{algorithm} {name}"
                  let plain = node text
                  plain.AsObject().Remove "schema" |> ignore

                  Expect.equal
                      (SpecFile.parseWhole standard "spec.json" (plain.ToJsonString()))
                      spec
                      "without its number")

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

              for algorithm, _, spec in Schema1.presets do
                  if algorithm = "sdac" then
                      let whole = node (Schema1.ofSpec spec)

                      match jsonAt "experiment.config" whole with
                      | :? JsonObject as config ->
                          for name in newer do
                              Expect.isTrue (config.Remove name) name
                      | _ -> failtest "no config"

                      Expect.equal (parseSpec "spec.json" (whole.ToJsonString())) spec "specification")

          testCase "what it leaves out is the preset's of its algorithm" (fun () ->
              let text = """{"experiment":{"iterations":500,"config":{"tau":0.5,"algorithm":"dpmd"}},"logEvery":7}"""

              Expect.equal
                  (parseSpec "my.json" text)
                  { setTo (preset "dpmd" "quick") "tau" "0.5" with Iterations = 500L; Horizon = 500L; LogEvery = 7L }
                  "DPMD's quick preset")

          testCase "unknown names are refused by name, and what stands no longer there too" (fun () ->
              for text, words in
                  [ """{"schema":1,"experiment":{"config":{"partciles":4}}}""", [ "'partciles'"; "'particles'" ]
                    """{"experiment":{"config":{"algorithm":"dpmd","tua":4}}}""", [ "'tua'"; "'tau'" ]
                    """{"schema":1,"experiment":{"sead":4}}""", [ "'sead'"; "'seed'" ]
                    """{"schema":1,"logEvry":4}""", [ "'logEvry'"; "'logEvery'" ]
                    """{"schema":1,"experiment":{"config":{"algorithm":"dmpd"}}}""", [ "algorithm 'dmpd'"; "'dpmd'" ] ] do
                  let failure = failureOf (fun () -> parseSpec "my.json" text)
                  failure |> says ("my.json" :: words)
                  Expect.equal failure.ExitCode (Settings "").ExitCode "exit code")

          testCase "what a run's specification lacks is named, as today's" (fun () ->
              let without = (node Schema1.sdac)

              for path, name in [ "experiment.config", "tau"; "experiment", "seed" ] do
                  match jsonAt path without with
                  | :? JsonObject as inner -> inner.Remove name |> ignore
                  | _ -> failtest path

              inFolder (fun path ->
                  let folder = RunFolder.create (Path.Combine(path, "run")) false
                  File.WriteAllText(folder.Spec, without.ToJsonString())

                  failureOf (fun () -> Runner.resume standard folder.Path 1 true)
                  |> says [ folder.Spec; "config.critics.tau (published: 0.005)"; "seed"; "put back" ]

                  let struct (spec, said) = SpecFile.ofRunOrPublished standard folder
                  Expect.equal (experimentOf spec).Config.Critics.Tau 0.005 "as published"
                  Expect.equal said.Length 2 "each is said"))

          testCase "a report shows runs of both schemas together" (fun () ->
              match RunRecord.read standard (Schema1.recorded "dpmd") with
              | Error sentence -> failtest sentence
              | Ok run ->
                  Expect.equal (run.Algorithm, run.Title, run.Seed) ("dpmd", "DPMD", 12L) "algorithm, title and seed"
                  Expect.equal run.Settings["config.critics.tau"] "0.03" "a setting"
                  Expect.equal run.Settings["config.diffusion.betaSchedule"] "cosine" "another"
                  Expect.isFalse (run.Settings.ContainsKey "config.draws.weights") "none of SDAC's"
                  Expect.isGreaterThan run.Figures["policyLoss"].Length 5 "figures"
                  Expect.isGreaterThan run.Weights.Length 5 "weights"

                  inFolder (fun path ->
                      // the same run, begun by the program of today with another seed
                      let spec = { SpecFile.parseWhole standard "spec.json" Schema1.dpmd with Seed = 13L }
                      let now: RunFolder = { Path = Path.Combine(path, "now") }
                      Files.createFolder now.Path
                      File.WriteAllText(now.Spec, Spec.print (withOwnStages spec))
                      File.Copy(({ Path = Schema1.recorded "dpmd" }: RunFolder).Metrics, now.Metrics)

                      match RunRecord.read standard now.Path with
                      | Error sentence -> failtest sentence
                      | Ok other ->
                          let groups, _ = Comparison.group [ run; other ]
                          Expect.equal [ for g in groups -> g.Name, g.Runs.Length ] [ "DPMD", 2 ] "one group")) ]
