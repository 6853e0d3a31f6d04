namespace Sdac.Experiments

open System.IO
open System.Net
open Plotly.NET
open Plotly.NET.LayoutObjects
open Sdac.Experiments.PlotlyMarks

/// Pictures as figures of plotly.js, by Plotly.NET: with hovering, zooming and hiding.
[<RequireQualifiedAccess>]
module PlotlyRenderer =
    [<Literal>]
    let private LabelLine = 28

    /// A label in short lines: beside a narrow panel it would otherwise take all the room.
    let private broken (text: string) =
        let add lines (word: string) =
            match lines with
            | (line: string) :: above when line.Length + 1 + word.Length <= LabelLine -> $"{line} {word}" :: above
            | _ -> word :: lines

        text.Split ' ' |> Array.fold add [] |> List.rev |> List.map escaped |> String.concat "<br>"

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

    /// Pixels of the narrowest figure on a page, beside a neighbour or in a narrow window.
    [<Literal>]
    let private Narrowest = 440

    /// Pixels of a line of the legend.
    [<Literal>]
    let private LegendLine = 29

    /// Lines that the legend takes, by the length of its entries. It is as wide as the panel, beside which the rows' labels stand.
    let private legendLines (picture: Picture) (panel: Panel) =
        let longest =
            rowsOf panel.Y
            |> List.collect (fun row -> List.ofArray ((broken row).Split "<br>"))
            |> List.fold (fun longest line -> max longest line.Length) 0

        let whole = Narrowest - 7 * longest

        let add (lines, room) (name: string, _) =
            let width = 50 + 7 * name.Length
            if width <= room then lines, room - width else lines + 1, whole - width

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

        // a legend that is higher than the panel would have to be scrolled
        let legend = LegendLine * legendLines picture panel
        max (int own) legend + 90 + legend

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
        | null -> Errors.fail (Missing $"""plotly.js is missing in Plotly.NET.dll: run `{Entrance.ofBuild "build"}`""")
        | stream ->
            use reader = new StreamReader(stream)
            reader.ReadToEnd()
