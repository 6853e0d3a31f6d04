/// What a learning curve's specification holds.
module Sdac.Experiments.Tests.LearningCurveTests

open System.Text.Json
open Expecto
open Sdac.Experiments
open Sdac.Testing

let private specification (chart: Vega) =
    match chart.Json with
    | null -> failwith "the chart is empty"
    | json -> JsonSerializer.SerializeToElement json

let private items (json: JsonElement) = json.EnumerateArray() |> Seq.toArray

/// The layers of a chart: legend's name, kind of mark, rows of data.
let private layers (chart: Vega) =
    let at (name: string) (json: JsonElement) = json.GetProperty name

    (specification chart |> at "layer" |> items)
    |> Array.map (fun layer ->
        let name = layer |> at "encoding" |> at "color" |> at "datum"
        string name, layer |> at "mark" |> at "type" |> string, layer |> at "data" |> at "values" |> items)

/// A column of a layer's rows; null is NaN.
let private column (name: string) (rows: JsonElement[]) =
    rows
    |> Array.map (fun row ->
        let value = row.GetProperty name
        if value.ValueKind = JsonValueKind.Null then nan else value.GetDouble())

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
                  | [| points; band; mean; evaluated |] ->
                      let kinds =
                          [ for name, mark, _ in [ points; band; mean; evaluated ] -> name.Split(' ')[0], mark ]

                      Expect.equal
                          kinds
                          [ "training", "point"; "evaluation", "area"; "their", "line"; "evaluation", "line" ]
                          "kinds"

                      let rows (_, _, rows) = rows
                      Expect.equal (column "step" (rows points)) (Array.map (fst >> float) episodes) "column"
                      Expect.equal (column "value" (rows points)) (Array.map snd episodes) "column"
                      Expect.equal (column "step" (rows mean)) (Array.map (fst >> float) episodes) "column"
                      Expect.equal (column "value" (rows mean)) (Plot.runningMean 20 (Array.map snd episodes)) "column"
                      Expect.equal (column "low" (rows band)) [| 4.0; 21.0 |] "column"
                      Expect.equal (column "high" (rows band)) [| 6.0; 29.0 |] "column"
                      Expect.equal (column "step" (rows evaluated)) [| 100.0; 200.0 |] "column"
                      Expect.equal (column "value" (rows evaluated)) [| 5.0; 25.0 |] "column"
                  | other -> failwith $"{other.Length} layers")

          testCase "title and subtitle are in the specification" (fun () ->
              let title =
                  (specification (Plot.learningCurve "SDAC \"1\"" "λ = 1" episodes evaluations)).GetProperty "title"

              Expect.equal (title.GetProperty("text").GetString()) ("SDAC \"1\"") "property"
              Expect.equal (title.GetProperty("subtitle").GetString()) "λ = 1" "property")

          testCase "a long subtitle is broken into lines, word by word, that keep the picture's width" (fun () ->
              let words = [ for i in 1..40 -> $"word{i}" ]
              let subtitle = String.concat " " words

              let lines =
                  ((specification (Plot.learningCurve "" subtitle episodes evaluations)).GetProperty "title")
                      .GetProperty
                      "subtitle"
                  |> items
                  |> Array.map string

              Expect.equal (String.concat " " lines) subtitle "lines"

              for line in lines do
                  Expect.inRange line.Length (1, 75) "number of line"

              Expect.equal lines.Length 4 "number of lines")

          testCase "what has no data has no layer" (fun () ->
              let names chart = layers chart |> Array.map (fun (name, _, _) -> name)
              Expect.isEmpty (layers (Plot.learningCurve "" "" [||] [||])) "layers"

              Expect.isFalse
                  (Seq.exists
                      (fun (name: string) -> name.StartsWith "evaluation")
                      (names (Plot.learningCurve "" "" episodes [||])))
                  "names"

              for name in names (Plot.learningCurve "" "" [||] evaluations) do
                  Expect.stringStarts name "evaluation" "name")

          testCase "long runs are thinned evenly, and the last episode is kept" (fun () ->
              let many = [| for i in 1..20_000 -> int64 i, float i |]
              let _, _, rows = (layers (Plot.learningCurve "" "" many [||]))[0]
              let steps = column "step" rows
              Expect.equal steps.Length 1500 "number of steps"
              Expect.equal (Array.last steps) 20_000.0 "steps"
              let gaps = Array.pairwise steps |> Array.map (fun (a, b) -> b - a)

              for gap in gaps do
                  Expect.inRange gap (13.0, 14.0) "gap") ]
