/// What whole episodes of an evaluation came to beside their returns, from the run's log to pictures and tables.
module Sdac.Experiments.Tests.EpisodeFigureTests

open System.IO
open Expecto
open Sdac.Functional
open Sdac.Experiments
open Sdac.Experiments.Tests.Runs
open Sdac.Experiments.Tests.Support
open Sdac.Testing

/// Two evaluations of eight episodes.
let private spec =
    let experiment =
        Experiment.on Sdac.algorithm "PushT"
        |> Experiment.iterations 4L
        |> Experiment.configure (fun (c: SdacConfig) ->
            { c with
                Hidden = [ 8 ]
                Data.BatchSize = 4
                Data.WarmUp = 8
                Data.Environments = 1
                Particles.Particles = 2
                Draws.MonteCarloDraws = 2
                Diffusion.Timesteps = 2 })

    { Spec.create experiment with EvaluateEvery = 2L; EvaluationEpisodes = 8; LogEvery = 1L }

let private run (path: string) =
    let out = Path.Combine(path, "run")

    captureOutput (fun () -> runInto out spec) |> ignore
    { Path = out }
    : RunFolder

let private read (path: string) =
    match RunRecord.read standard path with
    | Ok record -> record
    | Error sentence -> failtest sentence

[<Tests>]
let tests =
    testList
        "figures of episodes"
        [ testCase "an evaluation notes each episode's, and everything behind it shows their mean" (fun () ->
              inFolder (fun path ->
                  let folder = run path

                  let lines =
                      Metrics.read folder.Metrics |> List.filter (fun line -> line["kind"] = Label "evaluation")

                  let coverage =
                      [| for line in lines do
                             match line["episode.max_coverage"], line["envSteps"] with
                             | Values values, Count steps ->
                                 Expect.equal values.Length 8 "of each episode"
                                 steps, List.average values
                             | other -> failtest $"%A{other}" |]

                  Expect.equal (Array.map fst coverage) [| 2L; 4L |] "evaluations"
                  Expect.isGreaterThan (Array.sumBy snd coverage) 0.0 "a block that lies where it is to lie in part"

                  // the same episodes once more
                  let _, played = captureOutput (fun () -> Evaluate.run standard folder.Path None None None 1)
                  let mean = snd (Array.last coverage)
                  Expect.stringContains played $"over 8 episodes, max_coverage %.3f{mean}, max_reward" "evaluate"
                  Expect.stringContains played " steps, max_coverage 0." "evaluate, each episode"

                  let record = read folder.Path
                  Expect.equal record.EpisodeFigures["max_coverage"] coverage "the record"
                  Expect.equal (List.ofSeq record.EpisodeFigures.Keys) [ "max_coverage"; "max_reward" ] "names"
                  Expect.stringContains (File.ReadAllText folder.Curve) ">max_coverage<" "the curve's axis"

                  let returns = Path.Combine(path, "returns")
                  KeptReturns.keep standard (Path.Combine(returns, "small")) folder.Path
                  let kept = Expect.single (KeptReturns.read returns) "kept"
                  Expect.equal kept.Figures["max_coverage"] coverage "kept"

                  Expect.equal
                      (read (Path.Combine(returns, "small", "seed-0.csv"))).EpisodeFigures
                      record.EpisodeFigures
                      "of a kept run"

                  let page = Report.write standard [ returns ] (Path.Combine(path, "page"))
                  Expect.isTrue (File.Exists(Path.Combine(Files.folderOf page, "max_coverage-PushT.svg"))) "picture"))

          testCase "evaluations of a program that noted none leave a gap" (fun () ->
              inFolder (fun path ->
                  let folder = run path
                  let lines = File.ReadAllLines folder.Metrics
                  let at = lines |> Array.findIndex _.Contains("\"episode.max_coverage\"")
                  lines[at] <- lines[at].Substring(0, lines[at].IndexOf ",\"episode.") + "}"
                  File.WriteAllLines(folder.Metrics, lines)
                  let returns = Path.Combine(path, "returns")
                  KeptReturns.keep standard (Path.Combine(returns, "small")) folder.Path
                  let kept = KeptReturns.read returns |> Expect.single <| "kept"
                  Expect.equal (Array.map fst kept.Evaluations) [| 2L; 4L |] "evaluations"
                  Expect.equal (Array.map fst kept.Figures["max_coverage"]) [| 4L |] "with the figure"))

          testCase "a kept run's table with other columns is damaged" (fun () ->
              inFolder (fun path ->
                  let returns = Path.Combine(path, "returns")
                  KeptReturns.keep standard (Path.Combine(returns, "small")) (run path).Path
                  let csv = Path.Combine(returns, "small", "seed-0.csv")
                  let text = File.ReadAllText csv

                  for bad in
                      [ text.Replace("episode.max_reward", "max_reward"); text.Replace(",episode.max_reward", "") ] do
                      File.WriteAllText(csv, bad)

                      Expect.raises<UserError>(fun () -> KeptReturns.read returns |> ignore)
                      |> fun error -> Expect.stringContains error.Message "put back the committed file" "sentence")) ]
