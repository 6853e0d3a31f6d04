/// Checkpoints and evaluations lie between rounds, whatever the numbers say.
module Sdac.Experiments.Tests.RoundEndTests

open System.IO
open Expecto
open Sdac.Functional
open Sdac.Experiments
open Sdac.Experiments.Tests.Runs
open Sdac.Experiments.Tests.Support

/// Three updates a round, which neither the checkpoints, the evaluations, the log nor the run's end keep to.
let private spec =
    { configured (fun c -> { c with Data.UpdatesPerStep = 3 }) (varied 31L) with
        CheckpointEvery = 4L
        EvaluateEvery = 5L
        CheckpointsKept = 100 }

let private iterations (kind: string) (folder: RunFolder) =
    [ for line in Metrics.read folder.Metrics do
          match line["kind"], line["iteration"] with
          | Label found, Count iteration when found = kind -> iteration
          | _ -> () ]

let private checkpoints (folder: RunFolder) = RunFolder.checkpoints folder |> List.map fst |> List.rev

[<Tests>]
let tests =
    testList
        "ends of rounds"
        [ testCase
              "what is due in the middle of a round comes at its end, and the resumed run gives the same bytes"
              (fun () ->
                  inFolder (fun path ->
                      let whole = prepared (Path.Combine(path, "whole")) spec
                      resumed whole |> ignore
                      // 4, 8, 12, 16, 20, 24, 28, and the run's end
                      Expect.equal (checkpoints whole) [ 6L; 9L; 12L; 18L; 21L; 24L; 30L; 31L ] "checkpoints"
                      // 5, 10, 15, 20, 25, 30, and the run's end
                      Expect.equal (iterations "evaluation" whole) [ 6L; 12L; 15L; 21L; 27L; 30L; 31L ] "evaluations"
                      Expect.equal (iterations "update" whole) [ 7L; 14L; 21L; 28L ] "the log does not wait"

                      // killed in the middle of a round, at its end, and before and after a checkpoint
                      for stops in [ [ 5L ]; [ 6L ]; [ 7L; 8L ]; [ 13L; 17L; 18L; 19L ]; [ 30L ]; [ 10L; 20L ] ] do
                          let folder = prepared (Path.Combine(path, $"killed at %A{stops}")) spec

                          for stop in stops do
                              Expect.throws (fun () -> resumedUntil stop 1 folder |> ignore) "killed"

                          Expect.isTrue (resumed folder).IsSome "resumed"
                          same whole folder

                      // killed in the middle of the last round, after the last checkpoint
                      File.Delete whole.Summary
                      let before = results whole
                      Expect.isTrue (resumed whole).IsSome "resumed"
                      Expect.equal (results whole) before "the same files"))

          testCase "a checkpoint that is due at every iteration comes with every round" (fun () ->
              inFolder (fun path ->
                  let spec = { spec with Iterations = 12L; Horizon = 12L; CheckpointEvery = 1L; EvaluateEvery = 0L }
                  let folder = prepared (Path.Combine(path, "run")) spec
                  resumed folder |> ignore
                  Expect.equal (checkpoints folder) [ 3L; 6L; 9L; 12L ] "checkpoints"
                  Expect.equal (iterations "evaluation" folder) [ 12L ] "the evaluation at the end")) ]
