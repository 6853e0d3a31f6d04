/// The networks of a run's best evaluation.
module Sdac.Experiments.Tests.BestCheckpointTests

open System
open System.IO
open Expecto
open Sdac.Functional
open Sdac.Experiments
open Sdac.Experiments.Tests.Runs
open Sdac.Experiments.Tests.Support
open Sdac.Testing

let private spec = { varied 130L with EvaluateEvery = 10L; EvaluationEpisodes = 3 }

let private finished =
    lazy
        (let path = Directory.CreateTempSubdirectory("sdac-test-").FullName
         AppDomain.CurrentDomain.ProcessExit.Add(fun _ -> Directory.Delete(path, true))
         let folder = prepared path spec
         let summary = resumed folder
         folder, summary.Value)

let private evaluations (folder: RunFolder) =
    [ for line in Metrics.read folder.Metrics do
          match line["kind"], line["iteration"], Map.tryFind "mean" line |> Option.bind Metrics.number with
          | Label "evaluation", Count iteration, Some mean -> iteration, mean
          | _ -> () ]

let private played (folder: RunFolder) (checkpoint: string) =
    captureOutput (fun () -> Evaluate.run standard folder.Path (Some checkpoint) None None 1)

[<Tests>]
let tests =
    testList
        "best checkpoint"
        [ testCase "what is kept are the networks of the best evaluation, which they repeat" (fun () ->
              let folder, summary = finished.Value
              let all = evaluations folder
              let best, mean = List.maxBy snd all
              Expect.isLessThan best 130L "for this test, not the last one"
              Expect.isGreaterThan best 10L "nor the first"
              let metadata = Safetensors.metadata (BestCheckpoint.path folder)
              Expect.equal metadata["iteration"] (string best) "iteration"
              Expect.equal mean summary.BestMean "mean"
              let score, text = played folder (BestCheckpoint.path folder)
              Expect.equal score.Mean summary.BestMean "mean when played again"
              Expect.stringContains text "best.safetensors" "text")

          testCase "it is never taken for a numbered checkpoint" (fun () ->
              let folder, _ = finished.Value
              Expect.isTrue (File.Exists folder.Best) "it is there"
              Expect.isFalse (Checkpoint.list folder |> List.contains folder.Best) "list"
              Expect.isFalse (Checkpoint.own folder |> List.contains folder.Best) "own")

          testCase "a run that was killed after its best evaluation and before ends with the same file" (fun () ->
              let whole, _ = finished.Value
              let best = evaluations whole |> List.maxBy snd |> fst

              inFolder (fun path ->
                  let folder = prepared (Path.Combine(path, "run")) spec

                  for stop in [ best - 3L; best + 1L; best + 2L ] do
                      Expect.throws (fun () -> resumedUntil stop 1 folder |> ignore) "killed"

                  Expect.isTrue (resumed folder).IsSome "resumed"
                  same whole folder))

          testCase
              "a user's file of that name stays, and the run says so; a run that is replaced begins without one"
              (fun () ->
                  inFolder (fun path ->
                      let folder = prepared (Path.Combine(path, "run")) { spec with Iterations = 20L }
                      Files.createFolder folder.Checkpoints
                      File.WriteAllText(folder.Best, "mine")
                      let _, warnings = captureError (fun () -> resumed folder)
                      Expect.stringContains warnings folder.Best "warning"
                      Expect.stringContains warnings "another name" "warning"
                      Expect.equal (File.ReadAllText folder.Best) "mine" "content"

                      failureOf (fun () -> BestCheckpoint.path folder)
                      |> says [ folder.Path; "keeps no networks of a best evaluation"; "--best" ]

                      let whole, _ = finished.Value
                      File.Copy(whole.Best, folder.Best, true)
                      RunFolder.create folder.Path true |> ignore
                      Expect.isFalse (File.Exists folder.Best) "a new run has no best evaluation"))

          testCase "it begins another run, and an algorithm with rows beside its memory keeps one too" (fun () ->
              let folder, _ = finished.Value
              let state = CheckpointRestore.load (agentOf spec) "sdac" spec.Task folder.Best
              disposeState state
              Expect.equal (StartNetworks.mark folder.Best).Checkpoint folder.Best "mark"

              inFolder (fun path ->
                  let dipo =
                      { Spec.iterations 12L (preset "dipo" "tiny") with
                          Task = "InvertedPendulum-v4"
                          EvaluateEvery = 4L
                          EvaluationEpisodes = 1 }

                  let run = prepared (Path.Combine(path, "dipo")) dipo
                  resumed run |> ignore
                  let score, _ = played run (BestCheckpoint.path run)
                  Expect.equal score.Mean (evaluations run |> List.map snd |> List.max) "mean")) ]
