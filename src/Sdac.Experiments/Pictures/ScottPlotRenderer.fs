namespace Sdac.Experiments

open System
open System.Collections.Generic
open System.Globalization
open System.IO
open System.Net
open System.Text
open System.Text.RegularExpressions
open ScottPlot
open SkiaSharp

/// Draws pictures by ScottPlot: axes, grids and marks are its own; title, subtitle and legend are written around them on the
/// same Skia canvas, because ScottPlot centres titles, has no subtitles and puts legends over the data.
[<RequireQualifiedAccess>]
module ScottPlotRenderer =
    // ---- text

    /// The fonts to draw with, the best first; without any of them the system's first.
    let private families = [ "DejaVu Sans"; "Liberation Sans"; "Noto Sans"; "FreeSans" ]

    /// A session may draw many pictures: what is wrong with the fonts is said once.
    let private complain =
        lazy
            (eprintfn
                "warning: the font DejaVu Sans is missing, pictures are drawn with another one: install fonts-dejavu-core")

    /// The font that there is. Where there is none at all, letters would be empty boxes: Missing.
    let private family () : string =
        let there =
            SKFontManager.Default.FontFamilies
            |> Seq.filter (String.IsNullOrWhiteSpace >> not)
            |> Seq.sort
            |> List.ofSeq

        match families |> List.tryFind (fun family -> List.contains family there), there with
        | Some family, _ ->
            if family <> families.Head then
                complain.Force()

            family
        | None, other :: _ ->
            complain.Force()
            other
        | None, [] -> Errors.fail (Missing "no font was found on this machine: install fonts-dejavu-core")

    /// Texts of one size and colour.
    type private Pen(family: string, size: float, colour: string) =
        let font =
            new SKFont(
                Fonts.GetTypeface(family, false, false),
                float32 size,
                Subpixel = true,
                Hinting = SKFontHinting.None
            )

        let paint = new SKPaint(Color = SKColor.Parse colour, IsAntialias = true)

        member _.Width(text: string) = float (font.MeasureText text)

        /// The text, cut so that it fits.
        member pen.Fit (width: float) (text: string) =
            if pen.Width text <= width then
                text
            else
                let fits length = pen.Width(text.Substring(0, length) + "…") <= width
                let length = seq { text.Length - 1 .. -1 .. 1 } |> Seq.tryFind fits |> Option.defaultValue 0
                text.Substring(0, length) + "…"

        /// The text in lines that fit, broken at spaces.
        member pen.Lines (width: float) (text: string) : string list =
            let add lines word =
                match lines with
                | line :: above when pen.Width $"{line} {word}" <= width -> $"{line} {word}" :: above
                | _ -> word :: lines

            if text = "" then
                []
            else
                text.Split ' ' |> Array.fold add [] |> List.rev |> List.map (pen.Fit width)

        member _.Write (canvas: SKCanvas) (x: float) (baseline: float) (text: string) =
            canvas.DrawText(text, float32 x, float32 baseline, SKTextAlign.Left, font, paint)

        interface IDisposable with
            member _.Dispose() =
                paint.Dispose()
                font.Dispose()

    // ---- sizes, in pixels

    [<Literal>]
    let private Margin = 16.0

    [<Literal>]
    let private TickSize = 12.0

    [<Literal>]
    let private LabelSize = 13.0

    type private Pens(family: string) =
        member _.Family = family
        member val Title = new Pen(family, 16.0, "#000000")
        member val Subtitle = new Pen(family, 12.0, "#666666")
        member val Ticks = new Pen(family, TickSize, "#444444")
        member val Panel = new Pen(family, LabelSize, "#222222")
        member val Legend = new Pen(family, 12.0, "#222222")

        interface IDisposable with
            member pens.Dispose() =
                for pen in [ pens.Title; pens.Subtitle; pens.Ticks; pens.Panel; pens.Legend ] do
                    (pen :> IDisposable).Dispose()

    /// Pictures side by side are of one size where their labels are this narrow or narrower.
    [<Literal>]
    let private LeastLabel = 46.0

    [<Literal>]
    let private WidestRow = 460.0

    /// Between the panels of a grid.
    [<Literal>]
    let private Gap = 12.0

    /// A panel and its surroundings.
    type private Place =
        {
            Panel: Panel
            /// Of the area within the axes: higher than the panel's own where labels of rows need the room
            Size: float * float
            /// Of the axes' ends
            X: float * float
            Y: float * float
            XTicks: (float * string) list
            YTicks: (float * string) list
            Left: float
            Top: float
            Right: float
            Bottom: float
        }

        member place.Width = place.Left + fst place.Size + place.Right
        member place.Height = place.Top + snd place.Size + place.Bottom

    let private isRows (axis: Axis) =
        match axis.Scale with
        | Scale.Rows _ -> true
        | _ -> false

    let private placed (ticks: Pen) (panel: Panel) : Place =
        let x, y = Picture.extents panel
        let xTicks, yTicks = Picture.ticks panel.X x, Picture.ticks panel.Y y
        let labels = yTicks |> List.map (snd >> ticks.Lines WidestRow)
        let widest = labels |> List.concat |> List.map ticks.Width |> List.fold max 0.0
        let most = labels |> List.map _.Length |> List.fold max 1
        let height = if most = 1 then 0.0 else float labels.Length * (15.0 * float most + 6.0)
        let label (axis: Axis) = if axis.Title = "" then 0.0 else 24.0

        { Panel = panel
          Size = fst panel.Size, max height (snd panel.Size)
          X = x
          Y = y
          XTicks = xTicks
          YTicks = [ for (at, _), lines in List.zip yTicks labels -> at, String.concat "\n" lines ]
          Left =
            if yTicks.IsEmpty then
                1.0
            else
                (if isRows panel.Y then widest + 10.0 else max LeastLabel (widest + 10.0)) + label panel.Y
          Top = if panel.Title = "" then 6.0 else 24.0
          // half of the last tick's text
          Right =
            if xTicks.IsEmpty then
                1.0
            else
                max 12.0 ((xTicks |> List.last |> snd |> ticks.Width) / 2.0)
          Bottom = if xTicks.IsEmpty then 1.0 else 24.0 + 0.85 * label panel.X }

    // ---- marks

    let private colour (hex: string) = Color.FromHex hex
    let private translucent (opacity: float) (hex: string) = (colour hex).WithAlpha opacity

    let private mixed (from: SKColor) (towards: SKColor) (share: float) =
        let part (a: byte) (b: byte) = byte (Math.Round(float a + (float b - float a) * share))
        SKColor(part from.Red towards.Red, part from.Green towards.Green, part from.Blue towards.Blue)

    let private ground = SKColor.Parse "#ffffff"

    /// The colour of a shade from 0 to 1.
    let private viridis (shade: float) : SKColor =
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

    let private shape (marker: PointShape) =
        match marker with
        | PointShape.Disc -> MarkerShape.FilledCircle
        | PointShape.Square -> MarkerShape.FilledSquare
        | PointShape.Triangle -> MarkerShape.FilledTriangleUp
        | PointShape.Diamond -> MarkerShape.FilledDiamond

    let private markerSize (stroke: Stroke) = float32 (stroke.Width + 4.5)

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

    let private guideColour = "#999999"

    /// Adds a layer; the marks' numbers are places on the axes.
    let private add (plot: ScottPlot.Plot) (panel: Panel) (layer: Layer) =
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

    // ---- axes

    let private style (family: string) (axis: IAxis) (from: Axis) (ticks: (float * string) list) =
        let places, texts = List.unzip ticks
        axis.TickGenerator <- TickGenerators.NumericManual(Array.ofList places, Array.ofList texts)
        axis.TickLabelStyle.FontName <- family
        axis.TickLabelStyle.FontSize <- float32 TickSize
        axis.TickLabelStyle.ForeColor <- colour "#444444"
        axis.Label.Text <- from.Title
        axis.Label.FontName <- family
        axis.Label.FontSize <- float32 LabelSize
        axis.Label.Bold <- false
        axis.Label.ForeColor <- colour "#222222"
        axis.Label.IsVisible <- from.Title <> ""
        axis.TickLabelStyle.OffsetY <- if axis :? IYAxis then 2.5f else 0f
        axis.MinorTickStyle.Length <- 0f
        axis.MajorTickStyle.Color <- colour guideColour
        axis.FrameLineStyle.Color <- colour guideColour
        axis.FrameLineStyle.Width <- 1f

        if isRows from then
            axis.MajorTickStyle.Length <- 0f
            axis.FrameLineStyle.Width <- 0f

    /// The panel as a plot of ScottPlot, with everything around its axes left out.
    let private plotOf (family: string) (place: Place) : ScottPlot.Plot =
        let panel = place.Panel
        let plot = new ScottPlot.Plot()
        plot.FigureBackground.Color <- colour "#ffffff"
        plot.DataBackground.Color <- colour "#ffffff"
        plot.RenderManager.ClearCanvasBeforeEachRender <- false
        plot.HideLegend() |> ignore

        plot.Layout.Fixed(
            PixelPadding(float32 place.Left, float32 place.Right, float32 place.Bottom, float32 place.Top)
        )

        style family plot.Axes.Bottom panel.X place.XTicks
        style family plot.Axes.Left panel.Y place.YTicks

        let framed = place.XTicks.IsEmpty && place.YTicks.IsEmpty

        for edge in [ plot.Axes.Top :> IAxis; plot.Axes.Right :> IAxis ] do
            edge.FrameLineStyle.Color <- colour "#cccccc"
            edge.FrameLineStyle.Width <- if framed then 1f else 0f

        if framed then
            for edge in [ plot.Axes.Bottom :> IAxis; plot.Axes.Left :> IAxis ] do
                edge.FrameLineStyle.Color <- colour "#cccccc"

        let grid = plot.Grid
        grid.XAxisStyle.MajorLineStyle.Color <- colour "#e8e8e8"
        grid.YAxisStyle.MajorLineStyle.Color <- colour "#e8e8e8"
        grid.YAxisStyle.IsVisible <- not (isRows panel.Y)

        for layer in panel.Layers do
            add plot panel layer

        plot.Axes.SetLimitsX(fst place.X, snd place.X)

        if isRows panel.Y then
            plot.Axes.SetLimitsY(snd place.Y, fst place.Y) // the first row on top
        else
            plot.Axes.SetLimitsY(fst place.Y, snd place.Y)

        plot

    // ---- legend

    /// An entry of the legend: its width, and how it is drawn from a place on (left, middle of the line).
    type private Entry = { Width: float; Height: float; Draw: SKCanvas -> float -> float -> unit }

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

    let private entries (pen: Pen) (width: float) (picture: Picture) : Entry list =
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
    let private EntryGap = 20.0

    /// Entries in lines that fit.
    let private legendLines (width: float) (entries: Entry list) : Entry list list =
        let add lines (entry: Entry) =
            match lines with
            | line :: above when (line |> List.sumBy (fun e -> e.Width + EntryGap)) + entry.Width <= width ->
                (line @ [ entry ]) :: above
            | _ -> [ entry ] :: lines

        entries |> List.fold add [] |> List.rev

    // ---- the whole

    /// Where everything goes; sizes in pixels.
    type private Plan =
        {
            Width: int
            Height: int
            Titles: string list
            Subtitles: string list
            Rows: Place list list
            RowHeights: float list
            /// Where the legend begins
            Indent: float
            Legend: Entry list list
        }

    [<Literal>]
    let private TitleLine = 20.0

    [<Literal>]
    let private SubtitleLine = 16.0

    let private headHeight titles subtitles =
        TitleLine * float (List.length titles)
        + SubtitleLine * float (List.length subtitles)
        + (if List.isEmpty titles then 0.0 else 10.0)

    let private lineHeight (line: Entry list) = line |> List.map _.Height |> List.max

    let private plan (pens: Pens) (picture: Picture) : Plan =
        let rows = picture.Panels |> List.map (List.map (placed pens.Ticks))
        let rowWidth (row: Place list) = (row |> List.sumBy _.Width) + Gap * float (row.Length - 1)
        let inner = rows |> List.map rowWidth |> List.fold max 0.0
        let titles, subtitles = pens.Title.Lines inner picture.Title, pens.Subtitle.Lines inner picture.Subtitle

        let indent =
            match rows with
            | (first :: _) :: _ when not (isRows first.Panel.Y) -> first.Left
            | _ -> 0.0

        let legend indent = legendLines (inner - indent) (entries pens.Legend (inner - indent) picture)
        // under the axis where there is room for it
        let indent = if (legend indent).Length > 1 then 0.0 else indent
        let legend = legend indent
        let rowHeights = [ for row in rows -> row |> List.map _.Height |> List.fold max 0.0 ]
        let body = List.sum rowHeights + Gap * float (rows.Length - 1)
        let foot = if legend.IsEmpty then 0.0 else Gap + (legend |> List.sumBy lineHeight)

        { Width = int (ceil (inner + 2.0 * Margin))
          Height = int (ceil (headHeight titles subtitles + body + foot + 2.0 * Margin))
          Titles = titles
          Subtitles = subtitles
          Rows = rows
          RowHeights = rowHeights
          Indent = indent
          Legend = legend }

    let private drawHead (pens: Pens) (plan: Plan) (canvas: SKCanvas) =
        for i, text in List.indexed plan.Titles do
            pens.Title.Write canvas Margin (Margin + 14.0 + TitleLine * float i) text

        for i, text in List.indexed plan.Subtitles do
            let top = Margin + TitleLine * float plan.Titles.Length
            pens.Subtitle.Write canvas Margin (top + 12.0 + SubtitleLine * float i) text

    let private drawPanel (pens: Pens) (plan: Plan) (canvas: SKCanvas) (left: float) (top: float) (place: Place) =
        use plot = plotOf pens.Family place
        let right, bottom = left + place.Width, top + place.Height
        let area = PixelRect(float32 left, float32 right, float32 bottom, float32 top)

        // a plot draws itself twice the first time, to settle its layout: that is not to stand in the file
        (use nowhere = new SKNoDrawCanvas(plan.Width, plan.Height)
         plot.Render(nowhere, area))

        plot.Render(canvas, area)

        if place.Panel.Title <> "" then
            let text = pens.Panel.Fit (fst place.Size) place.Panel.Title
            pens.Panel.Write canvas (left + place.Left) (top + 15.0) text

    let private draw (pens: Pens) (plan: Plan) (canvas: SKCanvas) : unit =
        (use paint = new SKPaint(Color = ground)
         canvas.DrawRect(0f, 0f, float32 plan.Width, float32 plan.Height, paint))

        drawHead pens plan canvas
        let mutable top = Margin + headHeight plan.Titles plan.Subtitles

        for row, height in List.zip plan.Rows plan.RowHeights do
            let lefts = row |> List.scan (fun left place -> left + place.Width + Gap) Margin

            for place, left in Seq.zip row lefts do
                drawPanel pens plan canvas left top place

            top <- top + height + Gap

        for line in plan.Legend do
            let lefts = line |> List.scan (fun left entry -> left + entry.Width + EntryGap) (Margin + plan.Indent)

            for entry, left in Seq.zip line lefts do
                entry.Draw canvas left (top + 11.0)

            top <- top + lineHeight line

    /// What stops a picture, as a sentence. A picture is never worth the run or page that it belongs to, so nothing passes here.
    let private sentence (title: string) (render: unit -> 'a) : Result<'a, string> =
        try
            Ok(render ())
        with
        | :? UserError as error -> Error error.Message
        | :? DllNotFoundException
        | :? TypeInitializationException ->
            Error
                "SkiaSharp's native library libSkiaSharp.so, or one that it needs, cannot be loaded: run `./build.sh build`"
        | error -> Error $"the picture '{title}' could not be drawn: {error.Message.Split('\n')[0]}"

    // ---- SVG as Skia writes it, made smaller, the same each time, and fit for viewers without the font

    /// Places with two decimals.
    let private rounded (svg: string) =
        let short (number: Match) =
            Math
                .Round(Double.Parse(number.Value, CultureInfo.InvariantCulture), 2)
                .ToString("0.##", CultureInfo.InvariantCulture)

        Regex.Replace(
            svg,
            " (d|x|y|width|height|cx|cy)=\"[^\"]*\"",
            fun attribute -> Regex.Replace(attribute.Value, @"\d+\.\d{3,}", short)
        )

    /// Skia numbers clipping areas through the whole process.
    let private renumbered (svg: string) =
        let numbers = Dictionary<string, int>()

        Regex.Replace(
            svg,
            "(?<=\"|#)cl_[0-9a-f]+",
            fun name ->
                numbers.TryAdd(name.Value, numbers.Count + 1) |> ignore
                $"clip{numbers[name.Value]}"
        )

    let private finish (svg: string) =
        let svg = Regex.Replace(svg, "\t*<path [^>]*d=\"\"/>\n", "")
        let svg = Regex.Replace(rounded (renumbered svg), "\n\t+", "\n")
        // the line ends around a text would belong to it, and a list that ends with a comma is no list for strict readers
        let svg = Regex.Replace(svg, @"(<text [^>]*>)\s+([^<]*?)\s+</text>", "$1$2</text>")
        let svg = Regex.Replace(svg, @", ""(?=[ >])", "\"")
        let svg = Regex.Replace(svg, @"M(\S+) (\S+?)L([^ L]+) \2L\3 ([^ L]+)L\1 \4L\1 \2Z", "M$1 $2H$3V$4H$1Z")
        let svg = Regex.Replace(svg, @"M(\S+ [^ML""]+)L\1(?=[M""])", "M$1h0")
        let svg = Regex.Replace(svg, "font-family=\"([^\"]*)\"", "font-family=\"$1, Verdana, sans-serif\"")

        Regex("<svg ([^>]*)width=\"([0-9]+)\" height=\"([0-9]+)\"")
            .Replace(svg, "<svg $1width=\"$2\" height=\"$3\" viewBox=\"0 0 $2 $3\"", 1)

    /// The picture as SVG; Error is one sentence with the fix.
    let svg (picture: Picture) : Result<string, string> =
        sentence picture.Title (fun () ->
            use pens = new Pens(family ())
            let plan = plan pens picture
            use stream = new MemoryStream()

            // the end is written when the canvas is disposed
            using
                (SKSvgCanvas.Create(SKRect(0f, 0f, float32 plan.Width, float32 plan.Height), stream))
                (draw pens plan)

            finish (Encoding.UTF8.GetString(stream.ToArray())))

    /// Pixels of a PNG, along each side, for one of the picture's.
    [<Literal>]
    let Sharpness = 2

    /// The picture as PNG; Error is one sentence with the fix.
    let png (picture: Picture) : Result<byte[], string> =
        sentence picture.Title (fun () ->
            use pens = new Pens(family ())
            let plan = plan pens picture
            use surface = SKSurface.Create(SKImageInfo(Sharpness * plan.Width, Sharpness * plan.Height))
            surface.Canvas.Scale(float32 Sharpness)
            draw pens plan surface.Canvas
            use image = surface.Snapshot()
            use data = image.Encode(SKEncodedImageFormat.Png, 100)
            data.ToArray())

    /// An SVG as an element of a page, as an image, since names within it would clash with those of another one. `alternative`
    /// says what it shows to those who cannot see it.
    let element (alternative: string) (svg: string) : string =
        let text = Convert.ToBase64String(Encoding.UTF8.GetBytes svg)
        $"<img alt='{WebUtility.HtmlEncode alternative}' src='data:image/svg+xml;base64,{text}'>"
