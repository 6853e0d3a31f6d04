namespace Sdac.Experiments

open System
open System.IO
open System.Net
open System.Text
open ScottPlot
open SkiaSharp
open Sdac.Experiments.PictureLegend
open Sdac.Experiments.PictureMarks
open Sdac.Experiments.PicturePanels
open Sdac.Experiments.PictureText


/// Draws pictures by ScottPlot: axes, grids and marks are its own; title, subtitle and legend are written around them on the
/// same Skia canvas, because ScottPlot centres titles, has no subtitles and puts legends over the data.
[<RequireQualifiedAccess>]
module ScottPlotRenderer =
    [<Literal>]
    let private Margin = 16.0

    /// Between the panels of a grid.
    [<Literal>]
    let private Gap = 12.0

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
                $"""SkiaSharp's native library libSkiaSharp.so, or one that it needs, cannot be loaded: run `{Entrance.ofBuild "build"}`"""
        | error -> Error $"the picture '{title}' could not be drawn: {error.Message.Split('\n')[0]}"

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

            SkiaSvg.finish (Encoding.UTF8.GetString(stream.ToArray())))

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
