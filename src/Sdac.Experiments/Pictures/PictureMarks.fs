namespace Sdac.Experiments

open System
open ScottPlot
open SkiaSharp

/// The layers of pictures as ScottPlot draws them.
module internal PictureMarks =
    let colour (hex: string) = Color.FromHex hex
    let translucent (opacity: float) (hex: string) = (colour hex).WithAlpha opacity

    let private mixed (from: SKColor) (towards: SKColor) (share: float) =
        let part (a: byte) (b: byte) = byte (Math.Round(float a + (float b - float a) * share))
        SKColor(part from.Red towards.Red, part from.Green towards.Green, part from.Blue towards.Blue)

    let ground = SKColor.Parse "#ffffff"

    /// The colour of a shade from 0 to 1.
    let viridis (shade: float) : SKColor =
        let at = shade * float (Picture.viridis.Length - 1)
        let i = min (int at) (Picture.viridis.Length - 2)
        mixed (SKColor.Parse Picture.viridis[i]) (SKColor.Parse Picture.viridis[i + 1]) (at - float i)

    /// A mark of our own among ScottPlot's.
    type private Own(draw: RenderPack -> IAxes -> unit) =
        interface IPlottable with
            member val IsVisible = true with get, set
            member val Axes: IAxes = Axes() with get, set
            member _.LegendItems = Seq.empty
            member _.GetAxisLimits() = AxisLimits.NoLimits
            member own.Render(pack: RenderPack) = draw pack (own :> IPlottable).Axes

    /// Layers of dots that overlap within one path would not look darker there: paths of far points do.
    [<Literal>]
    let private DotPaths = 25

    let private dots (fill: string) diameter opacity (points: (float * float) list) =
        Own(fun pack axes ->
            use paint =
                new SKPaint(
                    Color = (translucent opacity fill).ToSKColor(),
                    IsAntialias = true,
                    Style = SKPaintStyle.Stroke,
                    StrokeWidth = float32 diameter,
                    StrokeCap = SKStrokeCap.Round
                )

            for _, points in points |> List.indexed |> List.groupBy (fun (i, _) -> i % DotPaths) do
                use path = new SKPath()

                for _, (x, y) in points do
                    let pixel = axes.GetPixel(Coordinates(x, y)).ToSKPoint()
                    path.MoveTo pixel
                    path.LineTo pixel

                pack.Canvas.DrawPath(path, paint))

    /// Tiles in the colours of viridis.
    let private viridisTiles (tiles: (Tile * float) list) =
        Own(fun pack axes ->
            use paint = new SKPaint(IsAntialias = false, Style = SKPaintStyle.Fill)

            for tile, shade in tiles do
                let left, right = axes.GetPixelX(fst tile.X), axes.GetPixelX(snd tile.X)
                let low, high = axes.GetPixelY(fst tile.Y), axes.GetPixelY(snd tile.Y)
                paint.Color <- viridis shade
                // a pixel under its right and upper neighbours, which come later: seams would show
                pack.Canvas.DrawRect(SKRect(left, high - 1f, right + 1f, low), paint))

    /// Colours of fading tiles.
    [<Literal>]
    let private Levels = 8

    /// Neighbours in a row as one tile.
    let private merged (tiles: Tile list) : Tile list =
        let add (row: Tile list) (tile: Tile) =
            match row with
            | last :: before when snd last.X = fst tile.X -> { last with X = (fst last.X, snd tile.X) } :: before
            | _ -> tile :: row

        tiles
        |> List.groupBy _.Y
        |> List.collect (snd >> List.sortBy (fun (tile: Tile) -> tile.X) >> List.fold add [])

    /// Level over level, each one shape: it has no seams.
    let private fadingTiles (hex: string) (tiles: (Tile * float) list) =
        Own(fun pack axes ->
            use paint = new SKPaint(IsAntialias = true, Style = SKPaintStyle.Fill)

            for level in 1..Levels do
                use path = new SKPath()
                let reached (shade: float) = Math.Round(float Levels * shade) >= float level

                for tile in
                    merged
                        [ for tile, shade in tiles do
                              if reached shade then
                                  tile ] do
                    let left, right = axes.GetPixelX(fst tile.X), axes.GetPixelX(snd tile.X)
                    let low, high = axes.GetPixelY(fst tile.Y), axes.GetPixelY(snd tile.Y)
                    path.AddRect(SKRect(left, high, right, low))

                paint.Color <- mixed ground (SKColor.Parse hex) (float level / float Levels)
                pack.Canvas.DrawPath(path, paint))

    let private bars (fill: string) (thickness: float) opacity (bars: (float * float * float) list) =
        Own(fun pack axes ->
            use paint = new SKPaint(Color = (translucent opacity fill).ToSKColor(), IsAntialias = true)

            for row, low, high in bars do
                let y, half = axes.GetPixelY row, float32 (thickness / 2.0)
                pack.Canvas.DrawRect(SKRect(axes.GetPixelX low, y - half, axes.GetPixelX high, y + half), paint))

    let private strokes (fill: string) (height: float) (points: (float * float) list) =
        Own(fun pack axes ->
            use paint =
                new SKPaint(
                    Color = (colour fill).ToSKColor(),
                    IsAntialias = true,
                    Style = SKPaintStyle.Stroke,
                    StrokeWidth = 3f
                )

            for x, y in points do
                let at, half = axes.GetPixel(Coordinates(x, y)), float32 (height / 2.0)
                pack.Canvas.DrawLine(at.X, at.Y - half, at.X, at.Y + half, paint))

    let shape (marker: PointShape) =
        match marker with
        | PointShape.Disc -> MarkerShape.FilledCircle
        | PointShape.Square -> MarkerShape.FilledSquare
        | PointShape.Triangle -> MarkerShape.FilledTriangleUp
        | PointShape.Diamond -> MarkerShape.FilledDiamond

    let markerSize (stroke: Stroke) = float32 (stroke.Width + 4.5)

    let private line (plot: ScottPlot.Plot) (hex: string) (stroke: Stroke) (points: (float * float) list) =
        let columns (points: (float * float) list) = [| for x, _ in points -> x |], [| for _, y in points -> y |]
        let xs, ys = columns points
        let scatter = plot.Add.ScatterLine(xs, ys, Nullable(colour hex))
        scatter.LineWidth <- float32 stroke.Width

        if stroke.Stepped then
            scatter.ConnectStyle <- ConnectStyle.StepHorizontal

        match stroke.Marker with
        | Some marker ->
            let xs, ys = columns (Picture.some Picture.Marked points)
            plot.Add.Markers(xs, ys, shape marker, markerSize stroke, Nullable(colour hex)) |> ignore
        | None -> ()

    let private band (plot: ScottPlot.Plot) (hex: string) (points: (float * float * float) list) =
        let outline =
            [| for x, low, _ in points -> Coordinates(x, low)
               for x, _, high in List.rev points -> Coordinates(x, high) |]

        let polygon = plot.Add.Polygon outline
        polygon.FillColor <- translucent 0.18 hex
        polygon.LineWidth <- 0f

    let guideColour = "#999999"

    /// Adds a layer; the marks' numbers are places on the axes.
    let add (plot: ScottPlot.Plot) (panel: Panel) (layer: Layer) =
        let x, y = Picture.place panel.X, Picture.place panel.Y
        let points = List.map (fun (a, b) -> x a, y b)
        let own (mark: Own) = plot.PlottableList.Add mark

        match Picture.finite layer.Mark with
        | Mark.Dots(diameter, opacity, at) -> own (dots layer.Colour diameter opacity (points at))
        | Mark.Line(_, []) -> ()
        | Mark.Line(stroke, at) -> line plot layer.Colour stroke (points at)
        | Mark.Band [] -> ()
        | Mark.Band at -> band plot layer.Colour [ for a, low, high in at -> x a, y low, y high ]
        | Mark.Bars(thickness, at) -> own (bars layer.Colour thickness 1.0 [ for row, a, b in at -> y row, x a, x b ])
        | Mark.Intervals(thickness, at) ->
            own (bars layer.Colour thickness 0.3 [ for row, low, high in at -> y row, x low, x high ])
        | Mark.Strokes(height, at) -> own (strokes layer.Colour height (points at))
        | Mark.UprightGuide at -> plot.Add.VerticalLine(x at, 1f, Nullable(colour guideColour)) |> ignore
        | Mark.LevelGuide at -> plot.Add.HorizontalLine(y at, 1f, Nullable(colour guideColour)) |> ignore
        | Mark.Tiles(shading, at) ->
            let full = Picture.fullShade at
            let both f (a, b) = f a, f b

            let placed =
                [ for tile in at -> { tile with X = both x tile.X; Y = both y tile.Y }, Picture.shade full tile.Value ]

            match shading with
            | Shading.Viridis -> own (viridisTiles placed)
            | Shading.Fading -> own (fadingTiles layer.Colour placed)
