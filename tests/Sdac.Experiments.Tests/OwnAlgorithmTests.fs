/// An algorithm that is not this library's, from its registration to the report.
module Sdac.Experiments.Tests.OwnAlgorithmTests

open System
open System.IO
open Expecto
open Sdac.Functional
open Sdac.Environments
open Sdac.Experiments
open Sdac.Experiments.Tests.Runs
open Sdac.Experiments.Tests.Support
open Sdac.Testing

let private figure: FigureInfo =
    { Name = "batchReward"
      Title = "the mean reward of the batch"
      Headline = Some "reward"
      MustBeFinite = true
      Carried = false
      Plotted = Some "Mean reward of a batch" }

/// A figure that only every fourth update has.
let private now' =
    { figure with Name = "everyFourth"; Headline = None; Plotted = None; Carried = false }

/// The same, shown with its last value where there is none.
let private carried = { now' with Name = "everyFourthCarried"; Carried = true }

/// SDAC with figures of its own, which become `value` of the batch's mean reward.
let private reporting (name: string) (value: float -> float) : Algorithm<SdacConfig, ActorCriticState, Update> =
    { Sdac.algorithm with
        Name = name
        Title = "Mine"
        Figures = [ figure; now'; carried ]
        Agent =
            fun compute space horizon config ->
                let agent = Sdac.algorithm.Agent compute space horizon config

                { agent with
                    Finish =
                        fun work ->
                            let finished = agent.Finish work
                            let reward = value (Tensors.scalar (work.Batch.Reward.mean ()))
                            let rare = float work.State.Updates

                            { finished with
                                Figures =
                                    Map
                                        [ figure.Name, reward
                                          "undeclared", 1.0
                                          if work.State.Updates % 4L = 0L then
                                              now'.Name, rare
                                              carried.Name, rare ] } } }

let private mine = reporting "mine" id
let private registry = Registry.standard |> Registry.add mine
let private spec = { varied 60L with Algorithm = "mine" }

let private trained =
    lazy
        (let path = Directory.CreateTempSubdirectory("sdac-test-").FullName
         AppDomain.CurrentDomain.ProcessExit.Add(fun _ -> Directory.Delete(path, true))
         let out = Path.Combine(path, "run")

         let summary, text = captureOutput (fun () -> Runner.run registry spec { into out 1 with Quiet = false })

         struct (RunFolder.openExisting out, summary, text))

let private updates (folder: RunFolder) =
    Metrics.read folder.Metrics |> List.filter (fun line -> line["kind"] = Label "update")

[<Tests>]
let tests =
    testList
        "algorithms of one's own"
        [ testCase "metrics hold the declared figures, carried where it is said, and no others" (fun () ->
              let struct (folder, _, _) = trained.Value
              let lines = updates folder
              Expect.equal lines.Length 8 "every seventh of 60 iterations"

              for line in lines do
                  let names = set line.Keys - set [ "kind"; "iteration"; "envSteps" ]

                  match line["iteration"] with
                  | Count iteration ->
                      let update = iteration - 1L

                      let expected =
                          [ figure.Name
                            carried.Name
                            if update % 4L = 0L then
                                now'.Name ]

                      Expect.equal names (set expected) $"iteration {iteration}"
                      let last = float (update / 4L * 4L)
                      Expect.equal (Metrics.number line[carried.Name]) (Some last) "of the last update that has it"
                  | other -> failtest $"{other}")

          testCase "so do TensorBoard's file, the summary, the progress line and the table at the end" (fun () ->
              let struct (folder, summary, text) = trained.Value
              let events = Text.Encoding.Latin1.GetString(File.ReadAllBytes folder.Events)

              for info in [ figure; now'; carried ] do
                  Expect.stringContains events $"update/{info.Name}" "TensorBoard"

              Expect.stringContains events "distribution/weight" "TensorBoard's distributions"
              Expect.stringLacks events "update/q1Loss" "SDAC's own are not declared"
              Expect.stringLacks events "undeclared" "what is not declared"
              // the last update is the 60th, number 59
              Expect.equal summary.Figures[carried.Name] 56.0 "carried in the summary"
              Expect.isTrue (summary.Figures.ContainsKey figure.Name) "figures of the summary"
              Expect.isFalse (summary.Figures.ContainsKey now'.Name) "the last update has none"
              Expect.equal summary.Algorithm "mine" "algorithm"
              let shown = Number.display summary.Figures[figure.Name]

              if not (Progress.interactive ()) then
                  let line = text.Split '\n' |> Array.find _.Contains("iteration 60/60")
                  Expect.stringContains line $", reward {shown}" "progress"
                  Expect.stringLacks line "critic" "SDAC's"

              let row = text.Split '\n' |> Array.find _.Contains("last update")
              Expect.stringContains row $"reward {shown}" "table"

              Expect.stringContains (File.ReadAllText folder.Summary) $"\"{figure.Name}\": " "the summary on the disk")

          testCase "a declared figure that is no number ends the run with its title" (fun () ->
              inFolder (fun path ->
                  let broken = reporting "broken" (fun _ -> nan)

                  let attempt () =
                      Runner.run
                          (Registry.add broken registry)
                          { spec with Algorithm = "broken" }
                          (into (Path.Combine(path, "run")) 1)

                  let failure = failureOf attempt
                  Expect.isTrue failure.IsDiverged "diverged"
                  failure |> says [ "the mean reward of the batch is NaN"; "iteration 1 " ]))

          testCase "it is resumed, evaluated and reported with its registry" (fun () ->
              inFolder (fun path ->
                  let struct (whole, summary, _) = trained.Value
                  let run = Path.Combine(path, "runs", "run")
                  copy whole.Path run
                  let folder = RunFolder.openExisting run
                  File.Delete folder.Summary
                  File.Delete(Checkpoint.path folder 60L)
                  captureOutput (fun () -> Runner.resume registry run 1 true) |> ignore
                  same whole folder

                  let score, text = captureOutput (fun () -> Evaluate.run registry run None None None 1)
                  Expect.equal score.Mean summary.Final.Mean "evaluation"
                  Expect.stringContains text "Mine" "title"

                  let page, complaints =
                      captureError (fun () ->
                          Report.write registry [ Path.Combine(path, "runs") ] (Path.Combine(path, "out")))

                  Expect.equal complaints "" "complaints"
                  let html = File.ReadAllText page
                  Expect.stringContains html "Mine" "title"
                  Expect.stringContains html "Mean reward of a batch" "its figure is drawn"
                  Expect.stringLacks html "λ over" "SDAC's is not"))

          testCase "without its registry it is unknown by its name, and its run still a row of a report" (fun () ->
              inFolder (fun path ->
                  let struct (whole, _, _) = trained.Value
                  let run = Path.Combine(path, "runs", "run")
                  copy whole.Path run
                  File.Delete (RunFolder.openExisting run).Summary

                  for attempt in
                      [ fun () -> Runner.resume standard run 1 true |> ignore
                        fun () -> Evaluate.run standard run None None None 1 |> ignore ] do
                      let failure = failureOf attempt
                      failure |> says [ "unknown algorithm 'mine'"; Path.Combine(run, "spec.json") ]
                      Expect.equal failure.ExitCode (Settings "").ExitCode "exit code"

                  match RunRecord.read standard run with
                  | Ok record ->
                      Expect.equal (record.Algorithm, record.Title) ("mine", "MINE") "name"
                      Expect.isTrue (record.Figures.ContainsKey figure.Name) "figures"
                  | Error sentence -> failtest sentence))

          testCase "names are taken once, and are names" (fun () ->
              for algorithm, words in
                  [ mine, [ "'mine' is registered already"; String.Join(", ", Registry.names standard) + ", mine" ]
                    reporting "dpmd" id, [ "'dpmd' is registered already" ]
                    reporting "Mine" id, [ "'Mine'"; "lower-case" ]
                    reporting "" id, [ "''"; "lower-case" ]
                    reporting "2nd" id, [ "'2nd'"; "a letter first" ]
                    reporting "my_own" id, [ "'my_own'" ] ] do
                  let error =
                      Expect.raises<RefusedArgumentException>(fun () -> Registry.add algorithm registry |> ignore)

                  for word in words do
                      Expect.stringContains error.Message word "sentence"

              Expect.equal
                  (Registry.names registry)
                  (Registry.names standard @ [ "mine" ])
                  "in the order of their coming"

              Expect.equal
                  (Registry.names standard)
                  [ "sdac"
                    "dpmd"
                    "sac"
                    "td3"
                    "ppo"
                    "dppo"
                    "qsm"
                    "dqs"
                    "dipo"
                    "qvpo"
                    "maxentdp"
                    "idql"
                    "dacer"
                    "qipo" ]
                  "nothing else has changed") ]
