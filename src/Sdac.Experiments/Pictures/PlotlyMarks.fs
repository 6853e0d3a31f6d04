namespace Sdac.Experiments

open Plotly.NET
open Plotly.NET.LayoutObjects
open Plotly.NET.TraceObjects

/// The layers of pictures as traces of plotly.js. A name's traces are one group: hiding the line hides its band.
module internal PlotlyMarks =
    /// A text that plotly.js would otherwise read as markup.
    let escaped (text: string) = text.Replace("&", "&amp;").Replace("<", "&lt;").Replace(">", "&gt;")

    let colour (hex: string) = Color.fromHex hex

    let private translucent (opacity: float) (hex: string) =
        let part (at: int) = System.Convert.ToInt32(hex.Substring(at, 2), 16)
        Color.fromARGB (int (System.Math.Round(255.0 * opacity))) (part 1) (part 3) (part 5)

    // Hover labels: numbers with commas and up to six digits.

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

    let guide (upright: bool) (at: float) : Shape =
        let line = Line.init (Color = colour "#999999", Width = 1.0, Dash = StyleParam.DrawingStyle.Dash)

        let shape =
            Shape.init (ShapeType = StyleParam.ShapeType.Line, Line = line, Layer = StyleParam.Layer.Below)

        let along, across = if upright then "y", "x" else "x", "y"

        for name, value in [ $"{across}0", at; $"{across}1", at; $"{along}0", 0.0; $"{along}1", 1.0 ] do
            shape.SetProperty(name, value)

        shape.SetProperty($"{along}ref", "paper")
        shape

    let rowsOf (axis: Axis) =
        match axis.Scale with
        | Scale.Rows rows -> rows
        | _ -> []

    let traces (picture: Picture) (panel: Panel) : Trace list =
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
