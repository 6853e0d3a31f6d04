/// Returns of whole runs that are kept beside the scripts.
module Sdac.Experiments.Tests.KeptReturnsTests

open System.IO
open Expecto
open Sdac.Functional
open Sdac.Experiments
open Sdac.Experiments.Tests.Runs
open Sdac.Experiments.Tests.Support

let private kept (path: string) (experiment: string) (seed: int64) =
    let run = Path.Combine(path, $"run-%d{seed}")
    captureOutput (fun () -> runInto run { varied 60L with Seed = seed; EvaluateEvery = 20L }) |> ignore
    KeptReturns.keep standard (Path.Combine(path, "returns", experiment)) run
    run

let private evaluations (run: string) =
    match RunRecord.read standard run with
    | Ok record -> record.Evaluations
    | Error sentence -> failtest sentence

[<Tests>]
let tests =
    testList
        "kept returns"
        [ testCase "a kept run is read as it was: evaluations, task, seed and program" (fun () ->
              inFolder (fun path ->
                  let first, second = kept path "small" 1L, kept path "small" 2L
                  let runs = KeptReturns.read (Path.Combine(path, "returns"))
                  Expect.equal [ for run in runs -> run.Experiment, run.Seed ] [ "small", 1L; "small", 2L ] "runs"
                  Expect.equal [ for run in runs -> run.Task ] [ "Hopper-v4"; "Hopper-v4" ] "task"

                  for run, folder in List.zip runs [ first; second ] do
                      Expect.isGreaterThan run.Evaluations.Length 0 "evaluations"
                      Expect.equal run.Evaluations (evaluations folder) "as the run noted them"

                      Expect.stringContains
                          (File.ReadAllText(Path.Combine(folder, "machine.json")))
                          run.Program
                          "program"

                  // a report takes them as it takes the runs themselves
                  let found, warnings = RunSearch.find [ Path.Combine(path, "returns") ]
                  Expect.equal (found.Length, warnings) (2, []) "found"

                  for file, folder in List.zip found [ first; second ] do
                      match RunRecord.read standard file, RunRecord.read standard folder with
                      | Ok kept, Ok whole ->
                          Expect.equal kept.Evaluations whole.Evaluations "evaluations of the record"

                          Expect.equal
                              (kept.Task, kept.Algorithm, kept.Title, kept.Seed, kept.Settings, kept.Program)
                              (whole.Task, whole.Algorithm, whole.Title, whole.Seed, whole.Settings, whole.Program)
                              "what it was"

                          Expect.equal
                              (kept.Finished, kept.Iterations, kept.EnvSteps, kept.EvaluationEpisodes)
                              (whole.Finished, whole.Iterations, whole.EnvSteps, whole.EvaluationEpisodes)
                              "how far"
                      | kept, whole -> failtest $"%A{kept} %A{whole}"

                  let page, said =
                      captureError (fun () ->
                          Report.write standard [ Path.Combine(path, "returns") ] (Path.Combine(path, "page")))

                  Expect.equal said "" "nothing to warn of"
                  Expect.isTrue (File.Exists page) "the page"

                  match (KeptReturns.table runs).Rows with
                  | [ [ experiment; seeds; _; mean; _; each; _ ] ] ->
                      let finals = [ for run in runs -> run.Final ]
                      Expect.equal (experiment.Raw, seeds.Raw) ("small", "2") "experiment and seeds"
                      Expect.equal mean.Shown (Cell.show (List.average finals)) "mean over seeds"
                      Expect.equal each.Raw (finals |> List.map Cell.show |> String.concat " ") "each"
                  | rows -> failtest $"%A{rows}"

                  let layers = (KeptReturns.picture runs).Panels |> List.concat |> List.collect _.Layers
                  Expect.equal layers.Length 2 "a band and a line"

                  for layer in layers do
                      match layer.Mark with
                      | Mark.Line(_, points) ->
                          let expected =
                              List.zip (List.ofArray runs[0].Evaluations) (List.ofArray runs[1].Evaluations)
                              |> List.map (fun ((steps, a), (_, b)) -> float steps, (a + b) / 2.0)

                          Expect.equal points expected "the mean"
                      | Mark.Band points ->
                          for _, low, high in points do
                              Expect.isLessThanOrEqual low high "low and high"
                      | other -> failtest $"%A{other}"))

          testCase "what is not finished or damaged is refused in a sentence" (fun () ->
              inFolder (fun path ->
                  let run = kept path "small" 1L
                  let folder = Path.Combine(path, "returns")
                  let csv = Path.Combine(folder, "small", "seed-1.csv")
                  let whole = File.ReadAllText csv
                  File.WriteAllText(csv, whole + "1,two,3,4,5\n")
                  failureOf (fun () -> KeptReturns.read folder) |> says [ csv; "'two'"; "put back" ]
                  File.WriteAllText(csv, "")
                  failureOf (fun () -> KeptReturns.read folder) |> says [ csv; "no evaluations" ]
                  File.Delete(Path.Combine(run, "summary.json"))
                  failureOf (fun () -> KeptReturns.keep standard folder run) |> says [ run; "not finished" ]
                  let absent = Path.Combine(path, "absent")
                  failureOf (fun () -> KeptReturns.read absent) |> says [ absent ])) ]
