namespace Sdac.Experiments

open System
open ScottPlot
open SkiaSharp
open Sdac.Experiments.PictureMarks
open Sdac.Experiments.PictureText

/// The legend below a picture that ScottPlot draws.
module internal PictureLegend =
    /// An entry of the legend: its width, and how it is drawn from a place on (left, middle of the line).
    type Entry = { Width: float; Height: float; Draw: SKCanvas -> float -> float -> unit }

    [<Literal>]
    let private SymbolWidth = 24.0

    let private symbol (canvas: SKCanvas) (x: float) (y: float) (layer: Layer) =
        use paint = new SKPaint(Color = SKColor.Parse layer.Colour, IsAntialias = true)

        let rectangle left top right bottom =
            canvas.DrawRect(SKRect(float32 left, float32 top, float32 right, float32 bottom), paint)

        let middle = x + SymbolWidth / 2.0

        match layer.Mark with
        | Mark.Band _ ->
            paint.Color <- (translucent 0.18 layer.Colour).ToSKColor()
            rectangle x (y - 6.0) (x + SymbolWidth) (y + 6.0)
        | Mark.Line(stroke, _) ->
            rectangle x (y - stroke.Width / 2.0) (x + SymbolWidth) (y + stroke.Width / 2.0)

            match stroke.Marker with
            | Some marker ->
                use markerPaint = Paint.NewDisposablePaint()
                let style = MarkerStyle(shape marker, markerSize stroke, colour layer.Colour)
                style.Render(canvas, Pixel(middle, y), markerPaint)
            | None -> ()
        | Mark.Bars _
        | Mark.Intervals _
        | Mark.Tiles _ -> rectangle (middle - 6.0) (y - 6.0) (middle + 6.0) (y + 6.0)
        | Mark.Dots _
        | Mark.Strokes _ -> canvas.DrawCircle(float32 middle, float32 y, 3.5f, paint)
        | Mark.UprightGuide _
        | Mark.LevelGuide _ ->
            paint.Color <- SKColor.Parse guideColour
            rectangle x (y - 0.5) (x + SymbolWidth) (y + 0.5)

    let private named (pen: Pen) (width: float) (name: string, layers: Layer list) : Entry =
        let text = pen.Fit (width - SymbolWidth - 6.0) name

        { Width = SymbolWidth + 6.0 + pen.Width text
          Height = 22.0
          Draw =
            fun canvas x y ->
                layers |> List.iter (symbol canvas x y)
                pen.Write canvas (x + SymbolWidth + 6.0) (y + 4.3) text }

    /// What the colours of tiles mean.
    let private gradient (pen: Pen) (name: string) (full: float) : Entry =
        let length, high = 240.0, 10.0
        let label = $"{name}: 0 %%"
        let most = RoundNumbers.percent full
        let quarter = RoundNumbers.percent (full / 4.0)
        let start = pen.Width label + 8.0

        { Width = start + length + 8.0 + pen.Width most
          Height = 38.0
          Draw =
            fun canvas x y ->
                use paint = new SKPaint(IsAntialias = false)
                pen.Write canvas x (y + 4.3) label

                for i in 0 .. int length - 1 do
                    paint.Color <- viridis ((float i + 0.5) / length)

                    canvas.DrawRect(
                        float32 (x + start + float i),
                        float32 (y - high / 2.0),
                        (if i + 1 < int length then 2f else 1f),
                        float32 high,
                        paint
                    )

                // a quarter of the largest share stands in the middle
                pen.Write canvas (x + start + (length - pen.Width quarter) / 2.0) (y + 19.0) quarter
                pen.Write canvas (x + start + length + 8.0) (y + 4.3) most }

    let entries (pen: Pen) (width: float) (picture: Picture) : Entry list =
        [ for name, layers in Picture.entries picture do
              match
                  layers
                  |> List.tryPick (fun layer ->
                      match layer.Mark with
                      | Mark.Tiles(Shading.Viridis, tiles) -> Some tiles
                      | _ -> None)
              with
              | Some tiles -> gradient pen name (Picture.fullShade tiles)
              | None -> named pen width (name, layers) ]

    [<Literal>]
    let EntryGap = 20.0

    /// Entries in lines that fit.
    let legendLines (width: float) (entries: Entry list) : Entry list list =
        let add lines (entry: Entry) =
            match lines with
            | line :: above when (line |> List.sumBy (fun e -> e.Width + EntryGap)) + entry.Width <= width ->
                (line @ [ entry ]) :: above
            | _ -> [ entry ] :: lines

        entries |> List.fold add [] |> List.rev
