/// What a learning curve's specification holds.
module Sdac.Experiments.Tests.LearningCurveTests

open System.Text.Json
open Sdac.Experiments
open Xunit

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

[<Fact>]
let ``a learning curve shows every episode, their running mean, and the evaluations with their deviation`` () =
    match layers (Plot.learningCurve "SDAC" "one seed" episodes evaluations) with
    | [| points; band; mean; evaluated |] ->
        let kinds = [ for name, mark, _ in [ points; band; mean; evaluated ] -> name.Split(' ')[0], mark ]

        Assert.Equal<(string * string) list>(
            [ "training", "point"; "evaluation", "area"; "their", "line"; "evaluation", "line" ],
            kinds
        )

        let rows (_, _, rows) = rows
        Assert.Equal<float[]>(Array.map (fst >> float) episodes, column "step" (rows points))
        Assert.Equal<float[]>(Array.map snd episodes, column "value" (rows points))
        Assert.Equal<float[]>(Array.map (fst >> float) episodes, column "step" (rows mean))
        Assert.Equal<float[]>(Plot.runningMean 20 (Array.map snd episodes), column "value" (rows mean))
        Assert.Equal<float[]>([| 4.0; 21.0 |], column "low" (rows band))
        Assert.Equal<float[]>([| 6.0; 29.0 |], column "high" (rows band))
        Assert.Equal<float[]>([| 100.0; 200.0 |], column "step" (rows evaluated))
        Assert.Equal<float[]>([| 5.0; 25.0 |], column "value" (rows evaluated))
    | other -> failwith $"{other.Length} layers"

[<Fact>]
let ``title and subtitle are in the specification`` () =
    let title =
        (specification (Plot.learningCurve "SDAC \"1\"" "λ = 1" episodes evaluations)).GetProperty "title"

    Assert.Equal("SDAC \"1\"", title.GetProperty("text").GetString())
    Assert.Equal("λ = 1", title.GetProperty("subtitle").GetString())

[<Fact>]
let ``a long subtitle is broken into lines, word by word, that keep the picture's width`` () =
    let words = [ for i in 1..40 -> $"word{i}" ]
    let subtitle = String.concat " " words

    let lines =
        ((specification (Plot.learningCurve "" subtitle episodes evaluations)).GetProperty "title").GetProperty
            "subtitle"
        |> items
        |> Array.map string

    Assert.Equal(subtitle, String.concat " " lines)
    Assert.All(lines, fun line -> Assert.InRange(line.Length, 1, 75))
    Assert.Equal(4, lines.Length)

[<Fact>]
let ``what has no data has no layer`` () =
    let names chart = layers chart |> Array.map (fun (name, _, _) -> name)
    Assert.Empty(layers (Plot.learningCurve "" "" [||] [||]))
    Assert.DoesNotContain(names (Plot.learningCurve "" "" episodes [||]), (fun name -> name.StartsWith "evaluation"))
    Assert.All(names (Plot.learningCurve "" "" [||] evaluations), (fun name -> Assert.StartsWith("evaluation", name)))

[<Fact>]
let ``long runs are thinned evenly, and the last episode is kept`` () =
    let many = [| for i in 1..20_000 -> int64 i, float i |]
    let _, _, rows = (layers (Plot.learningCurve "" "" many [||]))[0]
    let steps = column "step" rows
    Assert.Equal(1500, steps.Length)
    Assert.Equal(20_000.0, Array.last steps)
    let gaps = Array.pairwise steps |> Array.map (fun (a, b) -> b - a)
    Assert.All(gaps, (fun gap -> Assert.InRange(gap, 13.0, 14.0)))
