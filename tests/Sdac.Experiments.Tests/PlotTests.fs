/// The language of pictures, apart from how they are drawn.
module Sdac.Experiments.Tests.PlotTests

open System
open System.Globalization
open System.IO
open Expecto
open FsCheck
open FsCheck.FSharp
open Sdac.Experiments
open Sdac.Experiments.Tests.Support
open Sdac.Testing

let private layer mark = { Name = "a"; Colour = Plot.palette.Head; Mark = mark }

let private chart (x: Axis) (y: Axis) points = Plot.chart "" "" x y [ layer (Plot.line 1.0 points) ]

let private extents (picture: Picture) = Picture.extents picture.Panels.Head.Head

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

          testForAllWith
              seeded
              "round numbers lie in the range, evenly, about as many as asked for, and the range around holds the range"
              (Gen.zip (between -1e6 1e6) (between 1e-3 1e6))
              (fun (low, range) ->
                  let high = low + range
                  let numbers = RoundNumbers.between 8 low high
                  Expect.inRange numbers.Length (4, 14) "number of ticks"
                  let dust = 1e-6 * range

                  for number in numbers do
                      Expect.inRange number (low - dust, high + dust) "a tick"

                  let step = RoundNumbers.step 8 range

                  for a, b in List.pairwise numbers do
                      Expect.floatClose (within dust) (b - a) step "the step"

                  let from, until = RoundNumbers.around 8 low high
                  Expect.isTrue (from <= low + dust && until >= high - dust) "around the range"
                  Expect.isTrue (low - from <= step + dust && until - high <= step + dust) "not far around")

          testCase "numbers have commas, no dust and a true minus, whatever the culture" (fun () ->
              let culture = CultureInfo.InvariantCulture.Clone() :?> CultureInfo
              culture.NumberFormat.NumberDecimalSeparator <- ","
              culture.NumberFormat.NumberGroupSeparator <- "."
              let before = CultureInfo.CurrentCulture

              try
                  CultureInfo.CurrentCulture <- culture

                  for value, text in
                      [ 0.0, "0"
                        -0.0, "0"
                        1234567.0, "1,234,567"
                        -1000.0, "−1,000"
                        0.1 + 0.2, "0.3"
                        0.0078125, "0.0078125"
                        2e-9, "2e−9"
                        1e20, "1e20" ] do
                      Expect.equal (RoundNumbers.text value) text $"%g{value}"
              finally
                  CultureInfo.CurrentCulture <- before)

          testCase "an axis from zero holds zero, another one only its data" (fun () ->
              let points = [ 100.0, 990.0; 200.0, 995.0 ]
              let x, y = extents (chart (Plot.axis "") (Plot.axis "") points)
              Expect.equal (fst x, fst y) (0.0, 0.0) "from zero"
              Expect.isTrue (snd x >= 200.0 && snd y >= 995.0) "to the data"
              let close = { Plot.axis "" with Extent = Extent.AroundData }
              let _, y = extents (chart (Plot.axis "") close points)
              Expect.isTrue (fst y > 980.0 && fst y <= 990.0) "around the data"
              let tight = { Plot.axis "" with Extent = Extent.OfData }
              Expect.equal (fst (extents (chart tight close points))) (100.0, 200.0) "of the data"
              let fixedOne = { Plot.axis "" with Extent = Extent.Between(-1.0, 7.0) }
              Expect.equal (fst (extents (chart fixedOne close points))) (-1.0, 7.0) "given")

          testCase "a point at the end of an axis has room there" (fun () ->
              let _, (low, high) = extents (chart (Plot.axis "") (Plot.axis "") [ 1.0, 0.0; 2.0, 1000.0 ])
              Expect.isTrue (low < 0.0 && high > 1000.0) $"from {low} to {high}")

          testCase "a logarithmic axis is told in powers of its base; rows from the top" (fun () ->
              let log = { Plot.axis "" with Scale = Scale.Log 2.0; Extent = Extent.OfData }
              let _, y = extents (chart (Plot.axis "") log [ 0.0, 0.25; 1.0, 16.0 ])
              Expect.equal y (-2.0, 4.0) "powers"

              Expect.equal
                  [ for _, text in Picture.ticks log y -> text ]
                  [ "0.25"; "0.5"; "1"; "2"; "4"; "8"; "16" ]
                  "ticks"

              Expect.equal (Picture.ticks (Plot.rows [ "a"; "b" ]) (0.0, 1.0)) [ 0.0, "a"; 1.0, "b" ] "rows")

          testCase "points that are not finite are no points" (fun () ->
              match Picture.finite (Plot.line 1.0 [ 0.0, nan; 1.0, 2.0; infinity, 0.0 ]) with
              | Mark.Line(_, points) -> Expect.equal points [ 1.0, 2.0 ] "points"
              | other -> failtest $"{other}"

              match Picture.finite (Mark.Band [ 0.0, nan, 1.0; 1.0, 2.0, 3.0 ]) with
              | Mark.Band points -> Expect.equal points [ 1.0, 2.0, 3.0 ] "band"
              | other -> failtest $"{other}")

          testCase "layers of one name have one entry in the legend, those without a name none" (fun () ->
              let band = layer (Mark.Band [ 0.0, 1.0, 2.0 ])
              let nameless = { layer (Mark.UprightGuide 0.5) with Name = "" }

              let picture =
                  Plot.chart "" "" (Plot.axis "") (Plot.axis "") [ band; nameless; layer (Plot.line 1.0 []) ]

              let name, layers = Expect.single (Picture.entries picture) "entries"
              Expect.equal (name, layers.Length) ("a", 2) "the entry"
              Expect.isEmpty (Picture.entries { picture with Legend = false }) "no legend")

          testCase "some of many points are evenly taken, the ends among them" (fun () ->
              let some = Picture.some 30 [ 0..1000 ]
              Expect.equal (some.Length, some.Head, List.last some) (30, 0, 1000) "some"

              for a, b in List.pairwise some do
                  Expect.inRange (b - a) (34, 35) "a gap"

              Expect.equal (Picture.some 30 [ 1; 2 ]) [ 1; 2 ] "few are all taken")

          testCase "a picture that cannot be written is a sentence, and nothing is left behind" (fun () ->
              inFolder (fun folder ->
                  let picture = chart (Plot.axis "") (Plot.axis "") [ 0.0, 1.0; 1.0, 2.0 ]

                  let sentence path =
                      match Plot.save path picture with
                      | Ok() -> failtest "a picture was written"
                      | Error sentence ->
                          Expect.stringLacks sentence "\n" "one line"
                          sentence

                  let nowhere = Path.Combine(folder, "nowhere", "a.svg")
                  Expect.stringContains (sentence nowhere) nowhere "the place"
                  // a folder is in the way of the PNG alone
                  Files.createFolder (Path.Combine(folder, "b.png"))
                  Expect.stringContains (sentence (Path.Combine(folder, "b.svg"))) "b.png" "the PNG"

                  Expect.isFalse
                      (Seq.exists (fun (f: string) -> f.Contains ".tmp") (Directory.GetFiles folder))
                      "remains"))

          testCase "a session's picture goes to a file of its own, and its place is printed" (fun () ->
              let show () =
                  let (), printed =
                      captureOutput (fun () ->
                          withVariable "DISPLAY" "" (fun () ->
                              withVariable "WAYLAND_DISPLAY" "" (fun () ->
                                  Plot.show (chart (Plot.axis "") (Plot.axis "") [ 0.0, 1.0 ]))))

                  printed.Trim().Replace("picture: ", "")

              let first, second = show (), show ()

              try
                  Expect.notEqual first second "two files"
                  Expect.isTrue (File.Exists first && File.Exists(Plot.pngBeside first)) first
              finally
                  for path in [ first; second ] do
                      Directory.Delete(Files.folderOf path, true)) ]
