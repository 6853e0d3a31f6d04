/// Pictures as SVG and PNG.
module Sdac.Experiments.Tests.ScottPlotTests

open System
open System.Buffers.Binary
open System.Globalization
open System.IO
open System.Text.RegularExpressions
open System.Xml.Linq
open Expecto
open FsCheck.FSharp
open SkiaSharp
open Sdac.Experiments
open Sdac.Experiments.Tests.Support
open Sdac.Testing

let private drawn (result: Result<'a, string>) : 'a =
    match result with
    | Ok picture -> picture
    | Error sentence -> failtest sentence

let private svg picture = drawn (ScottPlotRenderer.svg picture)
let private xml (text: string) = nonNull (XDocument.Parse(text).Root)

/// The texts of an SVG in the order in which they are drawn.
let private texts (text: string) =
    [ for element in (xml text).Descendants() do
          if element.Name.LocalName = "text" then
              element.Value ]

let private attribute (name: string) (element: XElement) =
    match element.Attribute(XName.Get name) with
    | null -> ""
    | found -> found.Value

/// The first elements of a kind in a colour.
let private inColour kind (colour: string) (text: string) =
    [ for element in (xml text).Descendants() do
          if
              element.Name.LocalName = kind
              && (attribute "stroke" element = colour || attribute "fill" element = colour)
          then
              element ]

/// The corners of a path of straight lines.
let private corners (path: XElement) =
    [ for m in Regex.Matches(attribute "d" path, @"[ML]([0-9.]+) ([0-9.]+)") ->
          float m.Groups[1].Value, float m.Groups[2].Value ]

let private size (text: string) = int (attribute "width" (xml text)), int (attribute "height" (xml text))

let private sample =
    Plot.learningCurve
        "Hopper-v4"
        "seed 1"
        [| for i in 1L .. 5000L -> 10L * i, float (i % 7L) |]
        [| 10_000L, 3.0, 1.0; 50_000L, 4.0, 0.5 |]

let private colour = "#0072B2"
let private layer mark = { Name = "a"; Colour = colour; Mark = mark }

let private ten = { Plot.axis "" with Extent = Extent.Between(0.0, 10.0) }

let private charted layers = Plot.chart "" "" ten ten layers

/// Cultures that write 1.234,5; the tests run without those of the system.
let private abroad (action: unit -> 'a) : 'a =
    let culture = CultureInfo.InvariantCulture.Clone() :?> CultureInfo
    culture.NumberFormat.NumberDecimalSeparator <- ","
    culture.NumberFormat.NumberGroupSeparator <- "."
    let before = CultureInfo.CurrentCulture

    try
        CultureInfo.CurrentCulture <- culture
        action ()
    finally
        CultureInfo.CurrentCulture <- before

[<Tests>]
let tests =
    testList
        "ScottPlot's pictures"
        [ testCase
              "an SVG is well-formed and has its texts: title, subtitle, axes, ticks, whose mean each line is"
              (fun () ->
                  let texts = texts (svg sample)

                  for expected in
                      [ "Hopper-v4"
                        "seed 1"
                        "Environment steps"
                        "Return per episode (undiscounted)"
                        "a training episode"
                        "mean of the last 20 training episodes"
                        "evaluation: mean ± deviation of its episodes"
                        "50,000" ] do
                      Expect.equal (texts |> List.filter ((=) expected) |> List.length) 1 expected)

          testCase "the font is named with others for machines without it, and no text is bold" (fun () ->
              let text = svg sample
              Expect.stringContains text "font-family=\"DejaVu Sans, Verdana, sans-serif\"" "font"
              Expect.stringLacks text "font-weight" "weight")

          testCase "a picture is the same each time, and under another culture" (fun () ->
              let first, bitmap = svg sample, drawn (ScottPlotRenderer.png sample)
              svg (charted [ layer (Plot.line 1.0 [ 0.0, 0.0; 1.0, 1.0 ]) ]) |> ignore
              Expect.equal (svg sample) first "SVG"
              Expect.isTrue (bitmap.AsSpan().SequenceEqual(drawn (ScottPlotRenderer.png sample))) "PNG"
              Expect.equal (abroad (fun () -> svg sample)) first "SVG abroad"

              Expect.isTrue
                  (bitmap.AsSpan().SequenceEqual(abroad (fun () -> drawn (ScottPlotRenderer.png sample))))
                  "PNG abroad")

          testCase "a PNG is twice as large as its SVG, and shows what it is to show" (fun () ->
              let width, height = size (svg sample)
              use bitmap = SKBitmap.Decode(drawn (ScottPlotRenderer.png sample))
              Expect.equal (bitmap.Width, bitmap.Height) (2 * width, 2 * height) "size"
              let count wanted = bitmap.Pixels |> Array.filter ((=) wanted) |> Array.length
              Expect.isGreaterThan (count (SKColor.Parse "#0072B2")) 1000 "the running mean"
              Expect.isGreaterThan (count (SKColor.Parse "#D55E00")) 1000 "the evaluations"
              Expect.isGreaterThan (count SKColors.White) (bitmap.Pixels.Length / 2) "the ground"
              // dark letters
              Expect.isGreaterThan
                  (bitmap.Pixels |> Array.filter (fun p -> p.Red < 60uy) |> Array.length)
                  1000
                  "letters")

          testCase "points of a line lie where the axes say" (fun () ->
              let text = svg (charted [ layer (Plot.line 2.0 [ 0.0, 0.0; 5.0, 10.0; 10.0, 5.0 ]) ])

              match inColour "path" colour text |> List.map corners with
              | [ [ x0, y0; x1, y1; x2, y2 ] ] ->
                  Expect.floatClose (within 0.05) (x1 - x0) 360.0 "right"
                  Expect.floatClose (within 0.05) (x2 - x0) 720.0 "right"
                  Expect.floatClose (within 0.05) (y0 - y1) 400.0 "up"
                  Expect.floatClose (within 0.05) (y0 - y2) 200.0 "up"
              | other -> failtest $"%A{other}")

          testCase "a stepped line holds its values" (fun () ->
              let stroke = { Width = 2.0; Marker = None; Stepped = true }
              let text = svg (charted [ layer (Mark.Line(stroke, [ 0.0, 0.0; 5.0, 10.0 ])) ])

              match inColour "path" colour text |> List.map corners with
              | [ [ _, y0; x1, y1; x2, _ ] ] ->
                  Expect.equal y1 y0 "level first"
                  Expect.equal x2 x1 "then up"
              | other -> failtest $"%A{other}")

          testCase "a band lies between its edges, and the legend has one entry for it and its line" (fun () ->
              let text =
                  svg (
                      charted
                          [ layer (Mark.Band [ 0.0, 2.0, 4.0; 10.0, 4.0, 8.0 ])
                            layer (Plot.line 2.0 [ 0.0, 3.0; 10.0, 6.0 ]) ]
                  )

              let band = inColour "path" colour text |> List.find (fun p -> attribute "fill-opacity" p <> "")

              match corners band with
              | (_, low0) :: (_, low1) :: (_, high1) :: (_, high0) :: _ ->
                  Expect.floatClose (within 0.05) (low0 - high0) 80.0 "two of ten at the left"
                  Expect.floatClose (within 0.05) (low1 - high1) 160.0 "four of ten at the right"
              | other -> failtest $"%A{other}"

              Expect.equal (texts text |> List.filter ((=) "a") |> List.length) 1 "entries")

          testCase "every single dot is drawn" (fun () ->
              let points = [ for i in 1..237 -> float i / 24.0, float (i % 10) ]
              let text = svg (charted [ layer (Plot.dots 4.0 0.5 points) ])
              let paths = inColour "path" colour text
              Expect.equal (paths |> List.sumBy (fun p -> Regex.Count(attribute "d" p, "h0"))) 237 "dots"
              Expect.isGreaterThan paths.Length 10 "many paths: dots that overlap look darker")

          testCase "a line has at most thirty markers, of its own shape" (fun () ->
              let marked marker count =
                  let stroke = { Width = 2.0; Marker = Some marker; Stepped = false }
                  let points = [ for i in 0 .. count - 1 -> float i / 100.0, 5.0 ]
                  svg { charted [ layer (Mark.Line(stroke, points)) ] with Legend = false }

              Expect.equal (inColour "ellipse" colour (marked PointShape.Disc 12)).Length 12 "all of few"
              Expect.equal (inColour "ellipse" colour (marked PointShape.Disc 900)).Length 30 "some of many"
              Expect.equal (inColour "rect" colour (marked PointShape.Square 900)).Length 30 "squares"
              Expect.isEmpty (inColour "ellipse" colour (marked PointShape.Triangle 12)) "triangles are no discs")

          testCase "the first row is on top, and bars begin and end where they are to" (fun () ->
              let bars = [ 0.0, 0.0, 5.0; 1.0, 5.0, 10.0 ]

              let panel =
                  Plot.panel "" (400.0, 100.0) ten (Plot.rows [ "first"; "second" ]) [ layer (Mark.Bars(20.0, bars)) ]

              let text = svg { Plot.single "" "" panel with Legend = false }

              match inColour "rect" colour text with
              | [ first; second ] ->
                  let number name element = float (attribute name element)
                  Expect.floatClose (within 0.05) (number "width" first) 200.0 "width"
                  Expect.floatClose (within 0.05) (number "height" first) 20.0 "height"
                  Expect.floatClose (within 0.05) (number "x" second - number "x" first) 200.0 "begin"
                  Expect.floatClose (within 0.05) (number "y" second - number "y" first) 50.0 "rows"
              | other -> failtest $"{other.Length} bars")

          testCase "tiles are shaded by the root of their share, on logarithmic axes too" (fun () ->
              let log = { Plot.axis "" with Scale = Scale.Log 2.0; Extent = Extent.Between(1.0, 4.0) }

              let tiles =
                  [ { X = (0.0, 5.0); Y = (1.0, 2.0); Value = 0.0 }
                    { X = (5.0, 10.0); Y = (2.0, 4.0); Value = 0.5 } ]

              let panel = Plot.panel "" (400.0, 100.0) ten log [ layer (Mark.Tiles(Shading.Viridis, tiles)) ]
              let text = svg { Plot.single "" "" panel with Legend = false }
              let height = attribute "height" (List.head (inColour "rect" "#440154" text)) |> float
              Expect.inRange height (50.0, 52.0) "an octave is half of two"
              Expect.equal (inColour "rect" "#FDE725" text).Length 1 "the largest has the full shade")

          testCase "a grid of panels has all of their titles, and fading tiles the layer's colour" (fun () ->
              let bare = Plot.bareAxis 0.0 10.0
              let tile = { X = (0.0, 5.0); Y = (0.0, 5.0); Value = 2.0 }

              let panel title =
                  Plot.panel
                      title
                      (100.0, 100.0)
                      bare
                      bare
                      [ { layer (Mark.Tiles(Shading.Fading, [ tile ])) with Name = "" } ]

              let text =
                  svg
                      { Title = ""
                        Subtitle = ""
                        Panels = [ [ panel "a"; panel "b" ]; [ panel "c" ] ]
                        Legend = false }

              Expect.equal (texts text) [ "a"; "b"; "c" ] "titles alone: bare axes have no numbers"
              Expect.equal (inColour "path" colour text).Length 3 "a tile in each")

          testCase
              "long titles and subtitles are broken into lines, long names cut: the picture keeps its width"
              (fun () ->
                  let words = String.concat " " [ for i in 1..60 -> $"word{i}" ]
                  let points = [ 0.0, 1.0; 1.0, 2.0 ]

                  let picture title subtitle name =
                      Plot.chart title subtitle ten ten [ { layer (Plot.line 1.0 points) with Name = name } ]

                  let plain, long = svg (picture "a" "b" "c"), svg (picture words words (String('n', 400)))
                  Expect.equal (fst (size long)) (fst (size plain)) "width"
                  Expect.isGreaterThan (snd (size long)) (snd (size plain)) "height"
                  let lines = texts long |> List.filter _.StartsWith("word")
                  Expect.equal (String.concat " " lines) $"{words} {words}" "every word is there"
                  let name = texts long |> List.find _.StartsWith("nnn")
                  Expect.stringEnds name "…" "the name is cut")

          testForAllWith
              (fixedSeed 20260102UL 60)
              "whatever the numbers are, there is a picture"
              (Gen.listOf (
                  Gen.zip (Gen.elements [ 0.0; 1.0; -3.5; 1e-9; 1e9; 1e300; -1e300; nan; infinity ]) (between -1e5 1e5)
              ))
              (fun points ->
                  let swapped = [ for x, y in points -> y, x ]
                  let marks = [ Plot.dottedLine 2.0 points; Plot.dots 3.0 0.5 swapped; Mark.Strokes(3.0, points) ]
                  let picture = Plot.chart "" "" (Plot.axis "x") (Plot.axis "y") (List.map layer marks)
                  svg picture |> xml |> ignore)

          testCase "a picture is written as SVG and PNG" (fun () ->
              inFolder (fun folder ->
                  let path = Path.Combine(folder, "a.svg")
                  drawn (Plot.save path sample)
                  Expect.equal (File.ReadAllText path) (svg sample) "SVG"
                  let bytes = File.ReadAllBytes(Path.Combine(folder, "a.png"))

                  Expect.equal
                      (BinaryPrimitives.ReadInt32BigEndian(bytes.AsSpan(16, 4)))
                      (2 * fst (size (svg sample)))
                      "PNG")) ]
