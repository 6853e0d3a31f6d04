/// What a learning curve shows.
module Sdac.Experiments.Tests.LearningCurveTests

open Expecto
open Sdac.Experiments
open Sdac.Testing

let private layers (picture: Picture) = Picture.layers picture |> List.map (fun layer -> layer.Name, layer.Mark)

let private episodes = [| for i in 1..30 -> int64 (10 * i), float (i * i) |]

let private evaluations = [| 100L, 5.0, 1.0; 200L, 25.0, 4.0 |]

[<Tests>]
let tests =
    testList
        "learning curves"
        [ testCase
              "a learning curve shows every episode, their running mean, and the evaluations with their deviation"
              (fun () ->
                  match layers (Plot.learningCurve "SDAC" "one seed" episodes evaluations) with
                  | [ band, Mark.Band between
                      episode, Mark.Dots(_, _, dots)
                      mean, Mark.Line({ Marker = None }, means)
                      evaluation, Mark.Line({ Marker = Some _ }, evaluated) ] ->
                      Expect.equal band evaluation "the band belongs to the evaluations"
                      Expect.equal evaluation "evaluation: mean ± deviation of its episodes" "whose mean it is"
                      Expect.equal episode "a training episode" "single ones"
                      Expect.equal mean "mean of the last 20 training episodes" "whose mean it is"
                      Expect.equal dots [ for step, value in episodes -> float step, value ] "every episode"
                      let running = Plot.runningMean 20 (Array.map snd episodes)

                      Expect.equal
                          means
                          [ for (step, _), mean in Array.zip episodes running -> float step, mean ]
                          "means"

                      Expect.equal between [ 100.0, 4.0, 6.0; 200.0, 21.0, 29.0 ] "deviations"
                      Expect.equal evaluated [ 100.0, 5.0; 200.0, 25.0 ] "evaluations"
                  | other -> failtest $"%A{other}")

          testCase "title, subtitle and axes are named" (fun () ->
              let picture = Plot.learningCurve "SDAC \"1\"" "λ = 1" episodes evaluations
              Expect.equal (picture.Title, picture.Subtitle) ("SDAC \"1\"", "λ = 1") "title and subtitle"
              let panel = picture.Panels.Head.Head
              Expect.equal panel.X.Title "Environment steps" "x"
              Expect.equal panel.Y.Title "Return per episode (undiscounted)" "y")

          testCase "single episodes can be seen: not faint, not under the band" (fun () ->
              let layers = layers (Plot.learningCurve "" "" episodes evaluations)
              let place is = List.findIndex (snd >> is) layers

              match layers |> List.map snd |> List.find _.IsDots with
              | Mark.Dots(diameter, opacity, _) ->
                  Expect.isTrue (diameter >= 4.0 && opacity >= 0.5) $"{diameter} wide, {opacity}"
              | other -> failtest $"{other}"

              Expect.isLessThan (place _.IsBand) (place _.IsDots) "over the band")

          testCase "what has no data has no layer" (fun () ->
              let names picture = layers picture |> List.map fst
              Expect.isEmpty (layers (Plot.learningCurve "" "" [||] [||])) "layers"
              let trained = names (Plot.learningCurve "" "" episodes [||])
              Expect.isFalse (trained |> List.exists _.StartsWith("evaluation")) "no evaluation"
              Expect.equal trained.Length 2 "episodes and their mean"

              for name in names (Plot.learningCurve "" "" [||] evaluations) do
                  Expect.stringStarts name "evaluation" "name")

          testCase "long runs are thinned evenly, and the last episode is kept" (fun () ->
              let many = [| for i in 1..20_000 -> int64 i, float i |]

              for _, mark in layers (Plot.learningCurve "" "" many [||]) do
                  match mark with
                  | Mark.Dots(_, _, points)
                  | Mark.Line(_, points) ->
                      Expect.equal points.Length 1500 "number of points"
                      Expect.equal (fst (List.last points)) 20_000.0 "the last one"

                      for (a, _), (b, _) in List.pairwise points do
                          Expect.inRange (b - a) (13.0, 14.0) "gap"
                  | other -> failtest $"{other}") ]
