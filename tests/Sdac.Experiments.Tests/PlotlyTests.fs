/// Pictures as figures of plotly.js.
module Sdac.Experiments.Tests.PlotlyTests

open System.Text.Json
open System.Text.RegularExpressions
open Expecto
open Sdac.Experiments
open Sdac.Testing

let private figure (picture: Picture) =
    JsonDocument.Parse(PlotlyRenderer.json picture picture.Panels.Head.Head).RootElement

let private at (path: string) (json: JsonElement) =
    path.Split '.' |> Array.fold (fun (json: JsonElement) name -> json.GetProperty name) json

let private text path json = string (at path json)
let private items (json: JsonElement) = [ for item in json.EnumerateArray() -> item ]
let private numbers path json = [ for item in items (at path json) -> item.GetDouble() ]
let private traces (picture: Picture) = items (at "data" (figure picture))

let private layer name mark = { Name = name; Colour = "#0072B2"; Mark = mark }
let private chart layers = Plot.chart "t" "s" (Plot.axis "x") (Plot.axis "y") layers

let private banded =
    [ for name in [ "a"; "b" ] do
          layer name (Mark.Band [ 1.0, 2.0, 4.0; 2.0, 3.0, 5.0 ])
      for name in [ "a"; "b" ] do
          layer name (Plot.dottedLine 2.0 [ 1.0, 3.0; 2.0, 4.0 ]) ]

[<Tests>]
let tests =
    testList
        "Plotly's figures"
        [ testCase "a line and its band are one group with one entry in the legend" (fun () ->
              let traces = traces (chart banded)
              Expect.equal [ for t in traces -> text "legendgroup" t ] [ "a"; "b"; "a"; "b" ] "groups"
              let listed = [ for t in traces -> (at "showlegend" t).GetBoolean() ]
              Expect.equal listed [ false; false; true; true ] "bands are not in the legend"
              Expect.equal (text "hoverinfo" traces[0]) "skip" "bands do not answer the pointer")

          testCase "the data are the layer's: a band goes there and back" (fun () ->
              let traces = traces (chart banded)
              Expect.equal (numbers "x" traces[2], numbers "y" traces[2]) ([ 1.0; 2.0 ], [ 3.0; 4.0 ]) "line"
              Expect.equal (numbers "x" traces[0]) [ 1.0; 2.0; 2.0; 1.0 ] "band"
              Expect.equal (numbers "y" traces[0]) [ 2.0; 3.0; 5.0; 4.0 ] "band"
              Expect.equal (text "fill" traces[0]) "toself" "filled")

          testCase "a line's hover label tells value, interval and name" (fun () ->
              let line = (traces (chart banded))[2]

              Expect.equal
                  [ for pair in items (at "customdata" line) -> [ for n in items pair -> n.GetDouble() ] ]
                  [ [ 2.0; 4.0 ]; [ 3.0; 5.0 ] ]
                  "intervals"

              Expect.stringContains (text "hovertemplate" line) "%{customdata[0]" "template"
              Expect.stringContains (text "hovertemplate" line) "<extra>a</extra>" "name"
              let alone = (traces (chart [ layer "a" (Plot.line 2.0 [ 1.0, 3.0 ]) ])).Head
              Expect.isFalse (fst (alone.TryGetProperty "customdata")) "without a band there is none"
              Expect.equal (text "layout.hovermode" (figure (chart banded))) "x unified" "curves are compared at one x")

          testCase "layers of one name are listed once" (fun () ->
              let points = [ 1.0, 2.0; 2.0, 3.0 ]
              let traces = traces (chart [ layer "a" (Plot.dots 5.0 1.0 points); layer "a" (Plot.line 1.0 points) ])
              Expect.equal [ for t in traces -> (at "showlegend" t).GetBoolean() ] [ true; false ] "listed"

              Expect.equal
                  (text "layout.hovermode" (figure (chart [ layer "a" (Plot.dots 5.0 1.0 points) ])))
                  "closest"
                  "dots")

          testCase "axes begin and end as in the SVG, have titles and commas" (fun () ->
              let picture = chart [ layer "a" (Plot.line 1.0 [ 0.0, 0.0; 1000.0, 7.0 ]) ]
              let (low, high), _ = Picture.extents picture.Panels.Head.Head
              let axis = at "layout.xaxis" (figure picture)
              Expect.equal (numbers "range" axis) [ low; high ] "range"
              Expect.equal (text "title.text" axis) "x" "title"
              Expect.stringStarts (text "tickformat" axis) "," "commas")

          testCase "rows are labelled, the first on top; intervals tell both ends, bars their length" (fun () ->
              let panel mark =
                  Plot.panel
                      ""
                      (400.0, 100.0)
                      (Plot.axis "x")
                      (Plot.rows [ "first"; "a rather long name of a row that is broken" ])
                      [ layer "a" mark ]

              let picture mark = Plot.single "" "" (panel mark)
              let spans = [ 0.0, 1.0, 4.0; 1.0, 2.0, 8.0 ]
              let axis = at "layout.yaxis" (figure (picture (Mark.Bars(20.0, spans))))
              Expect.equal (numbers "range" axis) [ 1.5; -0.5 ] "from the bottom to the top"
              let labels = [ for label in items (at "ticktext" axis) -> string label ]
              Expect.equal labels.Head "first" "label"
              Expect.stringContains labels[1] "<br>" "long labels are broken"
              let bar = Expect.single (traces (picture (Mark.Bars(20.0, spans)))) "trace"

              Expect.equal
                  (numbers "base" bar, numbers "x" bar, numbers "y" bar)
                  ([ 1.0; 2.0 ], [ 3.0; 6.0 ], [ 0.0; 1.0 ])
                  "bars"

              Expect.equal
                  (text "layout.barmode" (figure (picture (Mark.Bars(20.0, spans)))))
                  "overlay"
                  "each at its own base"

              let interval = Expect.single (traces (picture (Mark.Intervals(20.0, spans)))) "trace"
              Expect.stringContains (text "hovertemplate" interval) "} to %{" "both ends")

          testCase "tiles are a grid of shades with gaps, explained in percent" (fun () ->
              let log = { Plot.axis "y" with Scale = Scale.Log 2.0; Extent = Extent.OfData }

              let tiles =
                  [ { X = (0.0, 1.0); Y = (1.0, 2.0); Value = 0.25 }
                    { X = (1.0, 3.0); Y = (1.0, 2.0); Value = 0.0625 }
                    { X = (1.0, 3.0); Y = (2.0, 4.0); Value = 0.0 } ]

              let panel =
                  Plot.panel
                      ""
                      (400.0, 100.0)
                      (Plot.axis "x")
                      log
                      [ layer "share" (Mark.Tiles(Shading.Viridis, tiles)) ]

              let picture = Plot.single "" "" panel
              let map = Expect.single (traces picture) "trace"
              Expect.equal (numbers "x" map, numbers "y" map) ([ 0.0; 1.0; 3.0 ], [ 1.0; 2.0; 4.0 ]) "edges"
              let rows = items (at "z" map) |> List.map items
              Expect.equal [ for cell in rows[0] -> cell.GetDouble() ] [ 1.0; 0.5 ] "roots of shares of the largest"
              Expect.equal rows[1].[0].ValueKind JsonValueKind.Null "a gap"

              Expect.equal
                  [ for label in items (at "colorbar.ticktext" map) -> string label ]
                  [ "0 %"; "1.6 %"; "6.3 %"; "14.1 %"; "25 %" ]
                  "percents"

              let axis = at "layout.yaxis" (figure picture)
              Expect.equal (text "type" axis) "log" "logarithmic"

              Expect.floatClose
                  Accuracy.high
                  (List.last (numbers "range" axis))
                  (log10 4.0)
                  "plotly.js takes powers of ten")

          testCase "guides are lines through the panel" (fun () ->
              let shape =
                  Expect.single
                      (items (at "layout.shapes" (figure (chart [ layer "" (Mark.UprightGuide 0.5) ]))))
                      "shape"

              Expect.equal (text "x0" shape, text "x1" shape, text "yref" shape) ("0.5", "0.5", "paper") "upright")

          testCase "names cannot leave the script or become markup" (fun () ->
              let evil = "</script><b>&amp"

              let picture =
                  Plot.chart evil evil (Plot.axis evil) (Plot.axis "y") [ layer evil (Plot.line 1.0 [ 0.0, 1.0 ]) ]

              let elements, script = PlotlyRenderer.figure "id" evil picture
              Expect.stringLacks (elements + script) "<b>" "markup"
              Expect.stringLacks (elements + script) "</script" "the script's end"
              Expect.equal (text "name" (traces picture).Head) "&lt;/script&gt;&lt;b&gt;&amp;amp" "shown as it is")

          testCase "a figure is filled by its own name, keeps to the page's width, and is the same each time" (fun () ->
              let elements, script = PlotlyRenderer.figure "plot-x" "what it shows" (chart banded)
              Expect.stringContains elements "id=\"plot-x-0\"" "element"
              Expect.stringContains elements "aria-label=\"what it shows\"" "alternative"
              Expect.stringContains script "Plotly.newPlot(\"plot-x-0\"" "script"
              Expect.stringContains script "\"responsive\":true" "width"
              Expect.equal (PlotlyRenderer.figure "plot-x" "what it shows" (chart banded)) (elements, script) "again")

          testCase "plotly.js comes from the library itself, whole" (fun () ->
              let library = PlotlyRenderer.library ()
              Expect.isGreaterThan library.Length 3_000_000 "length"
              Expect.isTrue (Regex.IsMatch(library[..500], @"plotly\.js v\d")) "its head"
              Expect.stringLacks library "</script" "it can stand within a page") ]
