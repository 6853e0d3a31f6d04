namespace Sdac.Experiments

open ScottPlot
open Sdac.Experiments.PictureMarks
open Sdac.Experiments.PictureText

/// Panels of pictures as plots of ScottPlot; sizes in pixels.
module internal PicturePanels =
    /// Pictures side by side are of one size where their labels are this narrow or narrower.
    [<Literal>]
    let private LeastLabel = 46.0

    [<Literal>]
    let private WidestRow = 460.0

    /// A panel and its surroundings.
    type Place =
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

    let isRows (axis: Axis) =
        match axis.Scale with
        | Scale.Rows _ -> true
        | _ -> false

    let placed (ticks: Pen) (panel: Panel) : Place =
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
    let plotOf (family: string) (place: Place) : ScottPlot.Plot =
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
