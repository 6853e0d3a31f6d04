namespace Sdac.Experiments

open System.IO
open System.Net
open Plotly.NET
open Plotly.NET.LayoutObjects
open Plotly.NET.TraceObjects

/// Pictures as figures of plotly.js, by Plotly.NET: with hovering, zooming and hiding.
[<RequireQualifiedAccess>]
module PlotlyRenderer =
    /// A text that plotly.js would otherwise read as markup.
    let private escaped (text: string) = text.Replace("&", "&amp;").Replace("<", "&lt;").Replace(">", "&gt;")

    [<Literal>]
    let private LabelLine = 28

    /// A label in short lines: beside a narrow panel it would otherwise take all the room.
    let private broken (text: string) =
        let add lines (word: string) =
            match lines with
            | (line: string) :: above when line.Length + 1 + word.Length <= LabelLine -> $"{line} {word}" :: above
            | _ -> word :: lines

        text.Split ' ' |> Array.fold add [] |> List.rev |> List.map escaped |> String.concat "<br>"

    let private colour (hex: string) = Color.fromHex hex

    let private translucent (opacity: float) (hex: string) =
        let part (at: int) = System.Convert.ToInt32(hex.Substring(at, 2), 16)
        Color.fromARGB (int (System.Math.Round(255.0 * opacity))) (part 1) (part 3) (part 5)

    // ---- hovering. Numbers with commas and up to six digits, steps in full.

    let private y = "%{y:,.6~r}"
    let private x = "%{x:,.6~r}"

    /// The name that a hover label ends with.
    let private ends (layer: Layer) =
        if layer.Name = "" then
            "<extra></extra>"
        else
            $"<extra>{escaped layer.Name}</extra>"

    /// The bands of the picture by the name of their layer: low and high by x.
    let private bandsOf (panel: Panel) : Map<string, Map<float, float * float>> =
        Map
            [ for layer in panel.Layers do
                  match layer.Mark with
                  | Mark.Band points -> layer.Name, Map [ for x, low, high in points -> x, (low, high) ]
                  | _ -> () ]

    // ---- marks

    let private symbol (marker: PointShape) =
        match marker with
        | PointShape.Disc -> StyleParam.MarkerSymbol.Circle
        | PointShape.Square -> StyleParam.MarkerSymbol.Square
        | PointShape.Triangle -> StyleParam.MarkerSymbol.TriangleUp
        | PointShape.Diamond -> StyleParam.MarkerSymbol.Diamond

    let private dots (layer: Layer) listed (diameter: float) opacity (points: (float * float) list) : Trace =
        Trace2D.initScatter (
            Trace2DStyle.Scatter(
                Name = escaped layer.Name,
                LegendGroup = layer.Name,
                ShowLegend = listed,
                Mode = StyleParam.Mode.Markers,
                X = List.map fst points,
                Y = List.map snd points,
                Marker =
                    Marker.init (
                        Size = int (System.Math.Round diameter),
                        Opacity = opacity,
                        Color = colour layer.Colour
                    ),
                HoverTemplate = $"{x}: {y}{ends layer}"
            )
        )

    let private line
        (layer: Layer)
        listed
        (bands: Map<float, float * float>)
        (stroke: Stroke)
        (points: (float * float) list)
        : Trace =
        let between = [ for x, _ in points -> Map.tryFind x bands ]
        let all = not between.IsEmpty && List.forall Option.isSome between

        let hover = if all then y + " [%{customdata[0]:,.6~r}, %{customdata[1]:,.6~r}]" else y

        let trace =
            Trace2D.initScatter (
                Trace2DStyle.Scatter(
                    Name = escaped layer.Name,
                    LegendGroup = layer.Name,
                    ShowLegend = listed,
                    Mode =
                        (if stroke.Marker.IsSome then
                             StyleParam.Mode.Lines_Markers
                         else
                             StyleParam.Mode.Lines),
                    X = List.map fst points,
                    Y = List.map snd points,
                    Line =
                        Line.init (
                            Color = colour layer.Colour,
                            Width = stroke.Width,
                            Shape = (if stroke.Stepped then StyleParam.Shape.Hv else StyleParam.Shape.Linear)
                        ),
                    HoverTemplate = hover + ends layer
                )
            )

        if all then
            trace.SetProperty("customdata", [ for low, high in List.choose id between -> [ low; high ] ])

        match stroke.Marker with
        | Some marker ->
            trace.SetProperty(
                "marker",
                Marker.init (
                    Color = colour layer.Colour,
                    Symbol = symbol marker,
                    Size = int (stroke.Width + 4.5),
                    MaxDisplayed = Picture.Marked
                )
            )
        | None -> ()

        trace

    /// A band belongs to the line of its name: it has no entry in the legend, and goes when the line is hidden.
    let private band (layer: Layer) (points: (float * float * float) list) : Trace =
        let back = List.rev points

        Trace2D.initScatter (
            Trace2DStyle.Scatter(
                Name = escaped layer.Name,
                LegendGroup = layer.Name,
                ShowLegend = false,
                Mode = StyleParam.Mode.Lines,
                X = [ for x, _, _ in points @ back -> x ],
                Y = [ yield! [ for _, low, _ in points -> low ]; yield! [ for _, _, high in back -> high ] ],
                Line = Line.init (Width = 0.0, Color = colour layer.Colour),
                Fill = StyleParam.Fill.ToSelf,
                FillColor = translucent 0.18 layer.Colour,
                HoverInfo = StyleParam.HoverInfo.Skip
            )
        )

    let private bars (layer: Layer) listed opacity hover (width: float) (bars: (float * float * float) list) : Trace =
        let trace =
            Trace2D.initBar (
                Trace2DStyle.Bar(
                    Name = escaped layer.Name,
                    LegendGroup = layer.Name,
                    ShowLegend = listed,
                    Orientation = StyleParam.Orientation.Horizontal,
                    X = [ for _, low, high in bars -> high - low ],
                    Y = [ for row, _, _ in bars -> row ],
                    Width = width,
                    Marker = Marker.init (Color = colour layer.Colour, Opacity = opacity),
                    HoverTemplate = hover + ends layer
                )
            )

        trace.SetProperty("base", [ for _, low, _ in bars -> low ])
        trace.SetProperty("customdata", [ for _, low, high in bars -> [ low; high; high - low ] ])
        trace

    let private strokes (layer: Layer) listed (height: float) (points: (float * float) list) : Trace =
        let trace = dots layer listed height 1.0 points

        let bar =
            Marker.init (
                Symbol = StyleParam.MarkerSymbol.Modified(StyleParam.MarkerSymbol.LineNS, StyleParam.SymbolStyle.Open)
            )

        bar.SetProperty("size", height)
        bar.SetProperty("color", colour layer.Colour)
        bar.SetProperty("line", Line.init (Width = 3.0, Color = colour layer.Colour))
        trace.SetProperty("marker", bar)
        trace

    /// Tiles that fill the cells of a grid.
    let private tiles (layer: Layer) (shading: Shading) (tiles: Tile list) : Trace =
        let edges side =
            tiles
            |> List.collect (fun tile -> [ fst (side tile); snd (side tile) ])
            |> List.distinct
            |> List.sort

        let xs, ys = edges _.X, edges _.Y
        let full = Picture.fullShade tiles
        let values = Map [ for tile in tiles -> (fst tile.X, fst tile.Y), tile.Value ]

        let grid value =
            [ for low in List.take (ys.Length - 1) ys ->
                  [ for left in List.take (xs.Length - 1) xs ->
                        match Map.tryFind (left, low) values with
                        | Some share -> System.Nullable<float>(value share)
                        | None -> System.Nullable() ] ]

        let percents = [ 0.0; 0.0625; 0.25; 0.5625; 1.0 ]

        let scale =
            match shading with
            | Shading.Viridis -> StyleParam.Colorscale.Viridis
            | Shading.Fading -> StyleParam.Colorscale.Custom [ 0.0, colour "#ffffff"; 1.0, colour layer.Colour ]

        let bar =
            ColorBar.init (
                Orientation = StyleParam.Orientation.Horizontal,
                Title = Title.init (Text = escaped layer.Name, Side = StyleParam.Side.Top),
                Thickness = 10.0,
                Len = 0.5,
                X = 0.0,
                XAnchor = StyleParam.HorizontalAlign.Left,
                Y = -0.2,
                YAnchor = StyleParam.VerticalAlign.Top,
                TickVals = List.map (fun share -> sqrt share) percents,
                TickText = [ for share in percents -> RoundNumbers.percent (share * full) ]
            )

        let trace =
            Trace2D.initHeatmap (
                Trace2DStyle.Heatmap(
                    Name = escaped layer.Name,
                    X = xs,
                    Y = ys,
                    ColorScale = scale,
                    ColorBar = bar,
                    HoverOnGaps = false,
                    HoverTemplate = "%{x:,.6~r}, %{y:,.4~r}: %{customdata:.2~%}<extra></extra>"
                )
            )

        trace.SetProperty("z", grid (Picture.shade full))
        trace.SetProperty("zmin", 0.0)
        trace.SetProperty("zmax", 1.0)
        trace.SetProperty("customdata", grid id)
        trace

    let private guide (upright: bool) (at: float) : Shape =
        let line = Line.init (Color = colour "#999999", Width = 1.0, Dash = StyleParam.DrawingStyle.Dash)

        let shape =
            Shape.init (ShapeType = StyleParam.ShapeType.Line, Line = line, Layer = StyleParam.Layer.Below)

        let along, across = if upright then "y", "x" else "x", "y"

        for name, value in [ $"{across}0", at; $"{across}1", at; $"{along}0", 0.0; $"{along}1", 1.0 ] do
            shape.SetProperty(name, value)

        shape.SetProperty($"{along}ref", "paper")
        shape

    // ---- the figure

    let private rowsOf (axis: Axis) =
        match axis.Scale with
        | Scale.Rows rows -> rows
        | _ -> []

    let private axisOf (axis: Axis) (low: float, high: float) : LinearAxis =
        let result =
            LinearAxis.init (
                Title = Title.init (Text = escaped axis.Title, Standoff = 10),
                GridColor = colour "#e8e8e8",
                LineColor = colour "#999999",
                TickColor = colour "#999999",
                ShowLine = true,
                ZeroLine = false
            )

        result.SetProperty("automargin", true)

        match axis.Scale with
        | Scale.Rows rows ->
            result.SetProperty("range", [ high; low ])
            result.SetProperty("tickvals", [ 0 .. rows.Length - 1 ])
            result.SetProperty("ticktext", List.map broken rows)
            result.SetProperty("ticks", "")
            result.SetProperty("showgrid", false)
            result.SetProperty("showline", false)
        | Scale.Log power ->
            result.SetProperty("type", "log")
            result.SetProperty("range", [ for exponent in [ low; high ] -> exponent * log10 power ])
            result.SetProperty("tickvals", [ for exponent, _ in Picture.ticks axis (low, high) -> power ** exponent ])
            result.SetProperty("ticktext", [ for _, text in Picture.ticks axis (low, high) -> text ])
            result.SetProperty("ticks", "outside")
        | Scale.Linear ->
            result.SetProperty("range", [ low; high ])
            result.SetProperty("ticks", "outside")

            match axis.Ticks with
            | Ticks.Round count ->
                result.SetProperty("nticks", count + 2)
                result.SetProperty("tickformat", ",.9~r")
                result.SetProperty("hoverformat", ",.9~r")
            | Ticks.At ticks ->
                result.SetProperty("tickvals", List.map fst ticks)
                result.SetProperty("ticktext", List.map snd ticks)

        result

    let private traces (picture: Picture) (panel: Panel) : Trace list =
        let bands = bandsOf panel
        let rows = max 1 (rowsOf panel.Y).Length
        /// A thickness in pixels as a share of a row
        let share thickness = min 0.9 (thickness / (snd panel.Size / float rows))

        // one entry a name
        let listed =
            if picture.Legend then
                panel.Layers
                |> List.indexed
                |> List.filter (fun (_, layer) -> layer.Name <> "" && not layer.Mark.IsBand)
                |> List.distinctBy (fun (_, layer) -> layer.Name)
                |> List.map fst
                |> set
            else
                Set.empty

        [ for i, layer in List.indexed panel.Layers do
              let listed = listed.Contains i

              match Picture.finite layer.Mark with
              | Mark.Dots(diameter, opacity, points) -> dots layer listed diameter opacity points
              | Mark.Line(stroke, points) ->
                  line layer listed (Map.tryFind layer.Name bands |> Option.defaultValue Map.empty) stroke points
              | Mark.Band points -> band layer points
              | Mark.Bars(thickness, at) -> bars layer listed 1.0 "%{customdata[2]:,.4~r}" (share thickness) at
              | Mark.Intervals(thickness, at) ->
                  bars layer listed 0.3 "%{customdata[0]:,.6~r} to %{customdata[1]:,.6~r}" (share thickness) at
              | Mark.Strokes(height, points) -> strokes layer listed height points
              | Mark.Tiles(_, []) -> ()
              | Mark.Tiles(shading, at) -> tiles layer shading at
              | Mark.UprightGuide _
              | Mark.LevelGuide _ -> () ]

    let private guides (panel: Panel) =
        [ for layer in panel.Layers do
              match layer.Mark with
              | Mark.UprightGuide at -> guide true at
              | Mark.LevelGuide at -> guide false at
              | _ -> () ]

    /// Figures that compare several curves tell all values at one x.
    let private hoverMode (panel: Panel) =
        let curves (layer: Layer) =
            match layer.Mark with
            | Mark.Line _
            | Mark.Band _ -> true
            | _ -> false

        if List.forall curves panel.Layers then
            StyleParam.HoverMode.XUnified
        else
            StyleParam.HoverMode.Closest

    let private layoutOf (picture: Picture) (panel: Panel) : Layout =
        let x, y = Picture.extents panel

        let layout =
            Layout.init (
                AutoSize = true,
                ShowLegend = not (Picture.entries picture).IsEmpty,
                Margin = Margin.init (Left = 10, Right = 16, Top = 32, Bottom = 10),
                Font =
                    Font.init (
                        Family = StyleParam.FontFamily.Custom "Helvetica, Arial, 'DejaVu Sans', sans-serif",
                        Size = 12.0,
                        Color = colour "#444444"
                    ),
                PaperBGColor = colour "#ffffff",
                PlotBGColor = colour "#ffffff",
                HoverMode = hoverMode panel,
                BarMode = StyleParam.BarMode.Overlay,
                Shapes = guides panel
            )

        layout.SetProperty("xaxis", axisOf panel.X x)
        layout.SetProperty("yaxis", axisOf panel.Y y)

        layout.SetProperty(
            "legend",
            Legend.init (
                Orientation = StyleParam.Orientation.Horizontal,
                X = 0.0,
                XAnchor = StyleParam.XAnchorPosition.Left,
                XRef = "container",
                Y = 0.0,
                YAnchor = StyleParam.YAnchorPosition.Bottom,
                YRef = "container"
            )
        )

        layout

    /// Settings of every figure, which Plotly.NET's JSON of a figure leaves out.
    let private config =
        """{"responsive":true,"displaylogo":false,"modeBarButtonsToRemove":["select2d","lasso2d","autoScale2d"]}"""

    /// A panel of a picture in the JSON that plotly.js takes, safe within a script element.
    let json (picture: Picture) (panel: Panel) : string =
        let chart =
            GenericChart.ofTraceObjects false (traces picture panel)
            |> GenericChart.setLayout (layoutOf picture panel)

        (GenericChart.toFigureJson chart).Replace("<", "\\u003c")

    /// Lines that the legend takes beside a neighbour on the page, by the length of its entries.
    let private legendLines (picture: Picture) =
        let add (lines, room) (name: string, _) =
            let width = 50 + 7 * name.Length
            if width <= room then lines, room - width else lines + 1, 460 - width

        Picture.entries picture |> List.fold add (0, 0) |> fst

    /// In pixels: labels of rows in several lines need room, and the legend must not take the panel's.
    let private height (picture: Picture) (panel: Panel) =
        let rows = rowsOf panel.Y
        let lines = rows |> List.map (fun row -> (broken row).Split("<br>").Length) |> List.fold max 1

        let own =
            if lines = 1 then
                snd panel.Size
            else
                max (snd panel.Size) (float (rows.Length * (16 * lines + 4)))

        int own + 90 + 26 * legendLines picture

    /// The elements that hold a picture, one for each panel, and the script that fills them once `library` has run. `id` begins
    /// the elements' names; `alternative` says what is shown to those who cannot see it.
    let figure (id: string) (alternative: string) (picture: Picture) : string * string =
        let panels =
            List.concat picture.Panels |> List.indexed |> List.map (fun (i, panel) -> $"{id}-{i}", panel)

        let label = WebUtility.HtmlEncode alternative

        let elements =
            [ for name, panel in panels ->
                  $"<div class=\"plot\" id=\"{name}\" role=\"img\" aria-label=\"{label}\" style=\"height:{height picture panel}px\"></div>\n" ]

        let calls =
            [ for name, panel in panels ->
                  $"Plotly.newPlot(\"{name}\", {{...{json picture panel}, config: {config}}});\n" ]

        String.concat "" elements, String.concat "" calls

    /// plotly.js as it comes with Plotly.NET: what a page needs once, before its figures' scripts.
    let library () : string =
        let assembly = typeof<GenericChart>.Assembly

        let name =
            assembly.GetManifestResourceNames()
            |> Array.find (fun name ->
                name.Contains "plotly" && name.EndsWith(".min.js", System.StringComparison.Ordinal))

        match assembly.GetManifestResourceStream name with
        | null -> Errors.fail (Missing "plotly.js is missing in Plotly.NET.dll: run `./build.sh build`")
        | stream ->
            use reader = new StreamReader(stream)
            reader.ReadToEnd()
