module Sdac.Experiments.Tests.PlotTests

open System
open System.IO
open System.Text.Json
open System.Xml.Linq
open Expecto
open FsCheck
open FsCheck.FSharp
open Sdac.Experiments
open Sdac.Experiments.Tests.Support
open Sdac.Testing

let private plots = Path.Combine(repository, "src", "Sdac.Experiments", "plots")

let private curve =
    Plot.learningCurve
        "Hopper-v4"
        "seed 1"
        [| for i in 1L .. 5000L -> 10L * i, float (i % 7L) |]
        [| 10_000L, 3.0, 1.0; 50_000L, 4.0, 0.5 |]

let private parsed (chart: Vega) =
    match chart.Json with
    | null -> failwith "no specification"
    | json -> JsonDocument.Parse(json.ToJsonString()).RootElement

[<Tests>]
let tests =
    testList
        "plots"
        [ testPropertyWithConfig
              seeded
              "a running mean is the mean of the last values"
              (Prop.forAll
                  (Arb.fromGen (Gen.zip (Gen.choose (1, 10)) (Gen.listOf (Gen.choose (-100, 100) |> Gen.map float))))
                  (fun (window, values) ->
                      let values = Array.ofList values
                      let expected i = Array.average values[max 0 (i - window + 1) .. i]
                      let means = Plot.runningMean window values

                      means.Length = values.Length
                      && Array.forall (fun i -> abs (means[i] - expected i) < 1e-9) [| 0 .. values.Length - 1 |]))

          testCase "numbers that are not finite are left out of a specification" (fun () ->
              let root = parsed (Fields [ "a", Number nan; "b", Number 1.5 ])
              Expect.equal ((root.GetProperty "a").ValueKind) JsonValueKind.Null "value kind"
              Expect.equal ((root.GetProperty "b").GetDouble()) 1.5 "property")

          testCase "thousands of episodes are thinned, the last one kept" (fun () ->
              let layers = (parsed curve).GetProperty "layer"

              let rows (layer: int) =
                  [ for row in ((layers[layer].GetProperty "data").GetProperty "values").EnumerateArray() -> row ]

              let number (name: string) (row: JsonElement) = (row.GetProperty name).GetDouble()

              for layer in [ 0; 2 ] do
                  Expect.equal ((rows layer).Length) 1500 "number of rows"
                  Expect.equal (rows layer |> List.last |> number "step") 50_000.0 "rows"

              Expect.equal
                  (rows 1 |> List.head |> number "low", rows 1 |> List.head |> number "high")
                  (2.0, 4.0)
                  "rows")

          testCase
              "a learning curve becomes a picture with title, axes and legend, or a sentence with the mend"
              (fun () ->
                  inFolder (fun folder ->
                      let specification, picture =
                          Path.Combine(folder, "curve.vl.json"), Path.Combine(folder, "curve.svg")

                      match Plot.save specification picture curve with
                      | Error sentence ->
                          Expect.isFalse (Directory.Exists(Path.Combine(plots, "node_modules"))) sentence
                          Expect.stringContains sentence "./build.sh setup" "sentence"
                      | Ok() ->
                          let texts =
                              (XDocument.Load picture).Descendants(XName.Get("text", "http://www.w3.org/2000/svg"))
                              |> Seq.map _.Value
                              |> List.ofSeq

                          for expected in
                              [ "Hopper-v4"
                                "seed 1"
                                "Environment steps"
                                "Return per episode (undiscounted)"
                                "training episodes"
                                "their running mean over 20"
                                "evaluation (mean ± deviation)"
                                "50,000" ] do
                              Expect.contains texts expected "texts"

                      Expect.isTrue (File.Exists specification) "specification"))

          testCase "without node or vega the specification is written and one sentence names the mend" (fun () ->
              inFolder (fun folder ->
                  let specification, picture =
                      Path.Combine(folder, "curve.vl.json"), Path.Combine(folder, "curve.svg")

                  let complaint variable value =
                      match withVariable variable value (fun () -> Plot.save specification picture curve) with
                      | Ok() -> failwith "a picture was drawn"
                      | Error sentence ->
                          Expect.stringLacks sentence "\n" "sentence"
                          Expect.stringContains sentence "./build.sh setup" "sentence"
                          Expect.isTrue (File.Exists specification) "specification"
                          Expect.isFalse (File.Exists picture) "picture"

                  let bare = Directory.CreateDirectory(Path.Combine(folder, "bare")).FullName
                  File.Copy(Path.Combine(plots, "render.mjs"), Path.Combine(bare, "render.mjs"))
                  complaint "SDAC_PLOTS" bare
                  Directory.CreateDirectory(Path.Combine(bare, "node_modules")) |> ignore
                  // modules that are not there: node ends with an error
                  complaint "SDAC_PLOTS" bare
                  withVariable "SDAC_PLOTS" bare (fun () -> complaint "PATH" folder)))

          testCase "the lock file names no registry" (fun () ->
              Expect.stringLacks
                  (File.ReadAllText(Path.Combine(plots, "package-lock.json")))
                  ("\"resolved\"")
                  "content of plots") ]
