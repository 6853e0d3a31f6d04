/// Names: of settings by what people call them, of choices, of run folders.
module Sdac.Experiments.Tests.NamesTests

open System
open System.IO
open Expecto
open FsCheck
open Sdac.Functional
open Sdac.Experiments
open Sdac.Experiments.Tests.Support
open Sdac.Testing

let private preset (name: string) : Spec = Spec.algorithm standard "" "sdac" |> Spec.preset "" name

let private setTo (name: string) (value: string) (spec: Spec) = Spec.set standard "--set" spec name value

let private refused (name: string) (value: string) = failureOf (fun () -> preset "quick" |> setTo name value)

/// The last names of all settings of all algorithms, and of a run.
let private allSettings =
    lazy
        (set
            [ for algorithm in Registry.all standard do
                  yield!
                      algorithm.Open
                          { new IOpen<string list> with
                              member _.Open(_: Algorithm<'c, 's, 'w>) = Json.leaves typeof<Spec<'c>> }
                      |> List.map (fun path -> path.Substring(path.LastIndexOf '.' + 1)) ])

[<Tests>]
let tests =
    testList
        "names"
        [ testCase "settings are found by what other libraries call them" (fun () ->
              for theirs, ours in
                  [ "lr", "learningRate"
                    "gamma", "discount"
                    "n_envs", "environments"
                    "hidden_size", "hidden"
                    "buffer_size", "bufferCapacity"
                    "batch_size", "batchSize"
                    "learning_starts", "warmUp"
                    "polyak", "tau"
                    "config.critics.gamma", "discount" ] do
                  let failure = refused theirs "1"
                  says [ $"unknown setting '{theirs}'"; "did you mean '" ] failure
                  Expect.isMatch failure.Sentence $@"did you mean '([a-z]+\.)*{ours}'" theirs)

          testCase "what another library's name stands for is a setting of some algorithm" (fun () ->
              for ours in Synonyms.ours do
                  Expect.isTrue (allSettings.Value.Contains ours) ours)

          testCase "nothing is suggested that is not near" (fun () ->
              Expect.equal (Errors.nearest "zebra" [ "sdac"; "dpmd"; "sac" ]) None "algorithm"
              Expect.equal (Errors.nearest "xyzzy" allSettings.Value) None "setting"
              Expect.stringLacks (refused "zebraCrossing" "1").Sentence "did you mean" "a setting"
              Expect.equal (Errors.nearest "trian" [ "train"; "trace" ]) (Some "train") "swapped letters"
              Expect.equal (Errors.nearest "Particle" [ "particles"; "practical" ]) (Some "particles") "case")

          testPropertyWithConfig
              seeded
              "one wrong letter is forgiven in every name, wherever it is"
              (fun (place: byte) (letter: byte) ->
                  allSettings.Value
                  |> Seq.filter (fun name -> name.Length > 3)
                  |> Seq.forall (fun name ->
                      let at = int place % name.Length
                      let wrong = name.Remove(at, 1).Insert(at, string (char (97 + int letter % 26)))
                      // another setting may be as near
                      (Errors.nearest wrong allSettings.Value).IsSome))

          testCase "few valid names are all told, many are not" (fun () ->
              let few = [ "quick"; "laptop"; "published" ]

              Expect.equal
                  (Errors.unknown "preset" "quik" "--preset" few)
                  "unknown preset 'quik' in --preset: did you mean 'quick'? It can be quick, laptop, published"
                  "near"

              Expect.equal
                  (Errors.unknown "preset" "mine" "" few)
                  "unknown preset 'mine': it can be quick, laptop, published"
                  "not near"

              // somebody who tries another library's algorithm sees what there is
              let algorithms = [ for algorithm in Registry.all standard -> algorithm.Name ]

              for algorithm in algorithms do
                  Expect.stringContains
                      (Errors.unknown "algorithm" "a2c" "--algorithm" algorithms)
                      algorithm
                      "algorithms"

              let many = [ for i in 1..50 -> $"setting{i}" ]
              Expect.stringLacks (Errors.unknown "setting" "foo" "" many) "setting7" "many")

          testCase "a value of the wrong kind is answered with the right one" (fun () ->
              refused "hidden" "64"
              |> says [ "--set hidden=64"; "hidden is a list of whole numbers, such as [64,64], and not 64" ]

              refused "particles" "4.5" |> says [ "particles is a whole number, such as 64, and not 4.5" ]
              refused "tau" "small" |> says [ "tau is a number, such as 0.5, and not \"small\"" ]
              refused "hidden" "[64,\"wide\"]" |> says [ "hidden is a list of whole numbers" ]
              refused "kernels" "1" |> says [ "kernels is true or false, such as true, and not 1" ])

          testCase "a run folder's name tells what is not the preset's" (fun () ->
              let name algorithm spec = RunName.create standard "quick" algorithm spec
              let spec = preset "quick"
              Expect.equal (name None spec) "InvertedPendulum-v4-quick-seed0" "nothing changed"

              Expect.equal
                  (name (Some "sdac") ({ spec with Task = "dmc/walker-walk"; Seed = 3L } |> setTo "particles" "4"))
                  "dmc-walker-walk-quick-sdac-particles=4-seed3"
                  "a setting"

              Expect.equal
                  (name None (spec |> setTo "config.particles.particles" "4" |> setTo "hidden" "[16,16]"))
                  (name None (spec |> setTo "hidden" "[16,16]" |> setTo "particles" "4"))
                  "whatever the order and the spelling"

              Expect.equal
                  (name None (Spec.iterations 200L spec |> Spec.lessEvaluation))
                  "InvertedPendulum-v4-quick-iterations=200-seed0"
                  "schedules follow the iterations"

              let long count =
                  name None (spec |> setTo "hidden" ("[" + String.Join(",", List.replicate count 16) + "]"))

              Expect.isLessThan (long 90).Length 200 "a long one is cut"
              Expect.notEqual (long 90) (long 91) "and kept apart")

          testCase "a task that there is not is refused with the file that names it" (fun () ->
              inFolder (fun path ->
                  let folder: RunFolder = { Path = Path.Combine(path, "run") }
                  Files.createFolder folder.Path
                  let spec = preset "quick" |> withOwnStages
                  let write (spec: Spec) = Files.writeText folder.Spec (Spec.print spec)

                  let looks: (string * (unit -> unit)) list =
                      [ "evaluate", (fun () -> Evaluate.run standard folder.Path None None None 1 |> ignore)
                        "resume", (fun () -> Runner.resume standard folder.Path 1 true |> ignore)
                        "load", (fun () -> Policy.load folder.Path |> ignore) ]

                  let refused (words: string list) =
                      for name, look in looks do
                          let failure = failureOf look
                          failure |> says (folder.Spec :: words)
                          Expect.isTrue failure.IsSettings name

                  write { spec with Task = "Hoper-v4" }
                  refused [ "There is no task Hoper-v4; the nearest is Hopper-v4" ]
                  write { spec with Task = "Hopper-v4"; TaskOptions = Map [ "reset_noise", "0" ] }
                  refused [ "Hopper-v4 has no option reset_noise" ]
                  let mark = Some { File = "rail.fsx"; Sha256 = String('0', 64) }
                  write { spec with Task = "rail"; Script = mark }
                  refused [ "the task rail"; "the script rail.fsx brought" ]

                  // what --config says is said of its file, what the command line says is not
                  let file = Path.Combine(path, "mine.json")
                  File.WriteAllText(file, "{\"task\": \"Hoper-v4\"}")

                  let train (arguments: string list) =
                      captureError (fun () ->
                          Main.program (
                              Array.ofList (
                                  [ "train"; "--out"; Path.Combine(path, "out"); "--config"; file ] @ arguments
                              )
                          ))

                  let code, text = train []
                  Expect.equal code (Settings "").ExitCode text
                  Expect.stringContains text $"{file}: There is no task Hoper-v4" "the file"
                  let code, text = train [ "--task"; "Hoppr-v4" ]
                  Expect.equal code (Settings "").ExitCode text
                  Expect.stringContains text "train: There is no task Hoppr-v4" "the command line"))

          testCase "a short trial evaluates itself little" (fun () ->
              let trial count = preset "quick" |> Spec.iterations count |> Spec.lessEvaluation
              let looks (spec: Spec) = spec.EvaluateEvery, spec.EvaluationEpisodes
              Expect.equal (looks (trial 200L)) (200L, 5) "once, at the end"
              Expect.equal (looks (trial 5_000L)) (500L, 20) "ten times"
              Expect.equal (looks (trial 20_000L)) (looks (preset "quick")) "the preset's own length"
              Expect.equal (looks { trial 200L with EvaluateEvery = 0L } |> fst) 0L "never in between")

          testCase "every run of a sweep is looked at before one starts" (fun () ->
              let told = ResizeArray()

              let sweep =
                  SweepSpec.parse
                      standard
                      "s"
                      """{"name":"s","base":{"iterations":10},"settings":{"grid":{"tau":[0.1,2,0.2]}}}"""

              let plan = SweepSpec.planWith told.Add standard sweep
              Expect.equal plan.Length 3 "runs"
              let sentence = Expect.single told "sentences"

              Expect.stringContains
                  sentence
                  "the run InvertedPendulum-v4_tau=2_seed0 will fail: impossible settings"
                  "the sentence") ]
