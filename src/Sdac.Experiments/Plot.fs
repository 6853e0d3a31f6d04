namespace Sdac.Experiments

open System
open System.Diagnostics
open System.IO
open System.Text.Json.Nodes

/// A value in a Vega-Lite specification.
type Vega =
    | Text of string
    | Number of float
    | Flag of bool
    | Items of Vega list
    | Fields of (string * Vega) list

    /// The specification as a JSON tree. Numbers that are not finite become null, which Vega-Lite leaves out.
    member value.Json: JsonNode | null =
        match value with
        | Text text -> JsonValue.Create text
        | Number number when Double.IsFinite number -> JsonValue.Create number
        | Number _ -> null
        | Flag flag -> JsonValue.Create flag
        | Items items -> JsonArray([| for item in items -> item.Json |])
        | Fields fields ->
            let result = JsonObject()

            for name, field in fields do
                result[name] <- field.Json

            result

/// A picture's part: rows of data and how they are drawn.
type Layer =
    {
        /// Name in the legend.
        Name: string
        Colour: string
        Rows: (string * float) list list
        Mark: Vega
        /// Channels beside x and the colour.
        Channels: (string * Vega) list
    }

/// Pictures: Vega-Lite specifications built here, rendered to SVG by vega (Node).
[<RequireQualifiedAccess>]
module Plot =
    let private font = Text "Helvetica, Arial, 'DejaVu Sans', sans-serif"

    /// An axis or channel that shows a number.
    let quantitative field title =
        Fields
            [ "field", Text field
              "type", Text "quantitative"
              "title", Text title
              "axis", Fields [ "format", Text ",~f"; "tickCount", Number 8.0 ] ]

    /// Small translucent points.
    let points opacity size =
        Fields [ "type", Text "point"; "filled", Flag true; "opacity", Number opacity; "size", Number size ]

    /// A line of the given width in pixels.
    let line width = Fields [ "type", Text "line"; "strokeWidth", Number width; "strokeJoin", Text "round" ]

    /// A line with a dot at every row.
    let dottedLine width =
        Fields
            [ "type", Text "line"
              "strokeWidth", Number width
              "point", Fields [ "filled", Flag true; "size", Number 36.0 ] ]

    /// The area between two fields.
    let band = Fields [ "type", Text "area"; "opacity", Number 0.18; "line", Flag false ]

    [<Literal>]
    let private SubtitleSize = 12.0

    let private configuration =
        Fields
            [ "font", font
              "view", Fields [ "stroke", Text "transparent" ]
              "axis",
              Fields
                  [ "labelFontSize", Number 12.0
                    "titleFontSize", Number 13.0
                    "titleFontWeight", Text "normal"
                    "titlePadding", Number 10.0
                    "labelColor", Text "#444444"
                    "titleColor", Text "#222222"
                    "gridColor", Text "#e8e8e8"
                    "domainColor", Text "#999999"
                    "tickColor", Text "#999999" ]
              // room for most labels: pictures side by side are then of one size
              "axisY", Fields [ "minExtent", Number 44.0 ]
              "title",
              Fields
                  [ "anchor", Text "start"
                    "fontSize", Number 16.0
                    "subtitleFontSize", Number SubtitleSize
                    "subtitleColor", Text "#666666"
                    "offset", Number 14.0 ]
              "legend",
              Fields
                  [ "labelFontSize", Number 12.0
                    "labelLimit", Number 400.0
                    "columnPadding", Number 12.0
                    "orient", Text "bottom"
                    "direction", Text "horizontal"
                    "symbolOpacity", Number 1.0
                    "symbolType", Text "stroke"
                    "symbolStrokeWidth", Number 3.0 ] ]

    let private colours (layers: Layer list) =
        let distinct = layers |> List.distinctBy _.Name

        Fields
            [ "domain", Items(distinct |> List.map (fun layer -> Text layer.Name))
              "range", Items(distinct |> List.map (fun layer -> Text layer.Colour)) ]

    let private layerOf scale (x: Vega) (layer: Layer) =
        let rows =
            layer.Rows
            |> List.map (fun row -> Fields(row |> List.map (fun (name, value) -> name, Number value)))

        let colour =
            Fields
                [ "datum", Text layer.Name
                  "type", Text "nominal"
                  "scale", scale
                  "legend", Fields [ "title", Text "" ] ]

        Fields
            [ "data", Fields [ "values", Items rows ]
              "mark", layer.Mark
              "encoding", Fields([ "x", x; "color", colour ] @ layer.Channels) ]

    /// A text in lines that the renderer takes to fit into `width` pixels: without a font it counts 0.8 em a character, and a
    /// longer subtitle would widen the picture.
    let private lines (width: float) (text: string) : Vega =
        let most = int (width / (0.8 * SubtitleSize))

        let add (lines: string list) (word: string) =
            match lines with
            | line :: above when line.Length + 1 + word.Length <= most -> $"{line} {word}" :: above
            | _ -> word :: lines

        match text.Split ' ' |> Array.fold add [] |> List.rev with
        | [ line ] -> Text line
        | lines -> Items(List.map Text lines)

    /// A picture on white: title, size in pixels, and what a specification says beside those.
    let frame (title: string) (subtitle: string) (width: float) (height: float) (body: (string * Vega) list) =
        Fields(
            [ "$schema", Text "https://vega.github.io/schema/vega-lite/v6.json"
              "background", Text "white"
              "padding", Number 16.0
              "width", Number width
              "height", Number height
              "title", Fields [ "text", Text title; "subtitle", lines width subtitle ] ]
            @ body
            @ [ "config", configuration ]
        )

    /// A chart of layers that share their x axis, 720 x 400 pixels on white.
    let chart (title: string) (subtitle: string) (x: Vega) (layers: Layer list) =
        frame title subtitle 720.0 400.0 [ "layer", Items(layers |> List.map (layerOf (colours layers) x)) ]

    /// At most `limit` rows, evenly taken, the last one among them.
    let thin limit (rows: 'a[]) =
        if rows.Length <= limit then
            rows
        else
            Array.init limit (fun i -> rows[int (int64 (i + 1) * int64 rows.Length / int64 limit) - 1])

    /// Mean of each value and the up to `window - 1` before it.
    let runningMean window (values: float[]) =
        let mutable sum = 0.0

        Array.init values.Length (fun i ->
            sum <- sum + values[i]

            if i >= window then
                sum <- sum - values[i - window]

            sum / float (min (i + 1) window))

    /// Episodes shown by the running mean of a learning curve.
    [<Literal>]
    let private Window = 20

    /// The learning curve of one run. `episodes`: (environment step at its end, return); `evaluations`: (environment step, mean,
    /// standard deviation).
    let learningCurve
        (title: string)
        (subtitle: string)
        (episodes: (int64 * float)[])
        (evaluations: (int64 * float * float)[])
        =
        let returns = quantitative "value" "Return per episode (undiscounted)"
        let mean = Array.zip (Array.map fst episodes) (runningMean Window (Array.map snd episodes))
        let rows values = [ for step, value in thin 1500 values -> [ "step", float (step: int64); "value", value ] ]

        let evaluated =
            [ for step, value, deviation in evaluations ->
                  [ "step", float step; "value", value; "low", value - deviation; "high", value + deviation ] ]

        let evaluation =
            { Name = "evaluation (mean ± deviation)"
              Colour = "#d94801"
              Rows = evaluated
              Mark = band
              Channels = [] }

        let layers =
            [ { Name = "training episodes"
                Colour = "#9ecae1"
                Rows = rows episodes
                Mark = points 0.35 14.0
                Channels = [ "y", returns ] }
              { evaluation with
                  Channels =
                      [ "y", quantitative "low" "Return per episode (undiscounted)"
                        "y2", Fields [ "field", Text "high" ] ] }
              { Name = $"their running mean over {Window}"
                Colour = "#2171b5"
                Rows = rows mean
                Mark = line 2.0
                Channels = [ "y", returns ] }
              { evaluation with Mark = dottedLine 2.0; Channels = [ "y", returns ] } ]
            |> List.filter (fun layer -> not layer.Rows.IsEmpty)

        chart title subtitle (quantitative "step" "Environment steps") layers

    /// The folder of render.mjs: SDAC_PLOTS, or found from the library's own place upwards.
    let private scripts () =
        let rec upwards (folder: DirectoryInfo | null) =
            match folder with
            | null -> None
            | folder ->
                let candidate = Path.Combine(folder.FullName, "src", "Sdac.Experiments", "plots")

                if File.Exists(Path.Combine(candidate, "render.mjs")) then
                    Some candidate
                else
                    upwards folder.Parent

        match Environment.GetEnvironmentVariable "SDAC_PLOTS" with
        | null
        | "" -> upwards (Directory.GetParent(typeof<Layer>.Assembly.Location))
        | folder -> Some folder

    let private start (folder: string) (specifications: string list) =
        let info =
            ProcessStartInfo("node", Path.Combine(folder, "render.mjs") :: List.map Path.GetFullPath specifications)

        info.RedirectStandardOutput <- true
        info.RedirectStandardError <- true

        try
            Process.Start info |> Option.ofObj
        with :? ComponentModel.Win32Exception ->
            None

    /// The pictures that render.mjs writes, each ended by a zero.
    let private pictures (output: string) = output.Split('\000', StringSplitOptions.RemoveEmptyEntries) |> List.ofArray

    /// Renders specification files to SVG texts, in one process; Error is one sentence with the mend.
    let renderAll (specifications: string list) : Result<string list, string> =
        match scripts () with
        | _ when specifications.IsEmpty -> Ok []
        | None ->
            Error "render.mjs was not found: set SDAC_PLOTS to the folder src/Sdac.Experiments/plots of the repository"
        | Some folder when not (Directory.Exists(Path.Combine(folder, "node_modules"))) ->
            Error $"vega is not installed in {folder}: run `./build.sh setup`"
        | Some folder ->
            match start folder specifications with
            | None -> Error "node was not found: install Node.js 18 or newer (`./build.sh setup`)"
            | Some renderer ->
                use renderer = renderer
                let complaints = renderer.StandardError.ReadToEndAsync()
                let drawn = pictures (renderer.StandardOutput.ReadToEnd())
                renderer.WaitForExit()

                if renderer.ExitCode = 0 && drawn.Length = specifications.Length then
                    Ok drawn
                else
                    let last =
                        complaints.Result.Split('\n', StringSplitOptions.RemoveEmptyEntries)
                        |> Array.tryFind (fun line -> line.Contains "Error")

                    let text = Option.defaultValue "no message" last
                    let which = specifications[min drawn.Length (specifications.Length - 1)]
                    Error $"node could not render {which} ({text.Trim()}): run `./build.sh setup`"

    /// Renders a specification file to SVG text; Error is one sentence with the mend.
    let render (specification: string) : Result<string, string> = renderAll [ specification ] |> Result.map List.head

    /// Writes a chart's specification.
    let saveSpecification (path: string) (chart: Vega) =
        let text =
            match chart.Json with
            | null -> "{}"
            | json -> json.ToJsonString()

        Files.writeText path (text + "\n")

    /// Writes a chart's specification and, where node and vega are there, its picture. Error says why there is no picture.
    let save (specification: string) (picture: string) (chart: Vega) : Result<unit, string> =
        saveSpecification specification chart
        render specification |> Result.map (Files.writeText picture)

    /// Opens a file with the desktop's viewer, where there is a desktop.
    let private view (path: string) =
        let desktop name = not (String.IsNullOrEmpty(Environment.GetEnvironmentVariable name))

        if desktop "DISPLAY" || desktop "WAYLAND_DISPLAY" then
            try
                (Process.Start(ProcessStartInfo("xdg-open", [ path ])) |> Option.ofObj) |> Option.iter _.Dispose()
            with :? ComponentModel.Win32Exception ->
                ()

    /// For a session: draws a chart to a new file in the temporary folder, opens it where there is a desktop, and says where
    /// it lies.
    let show (chart: Vega) : unit =
        let folder = Directory.CreateTempSubdirectory("sdac-plot-").FullName
        let specification, picture = Path.Combine(folder, "plot.vl.json"), Path.Combine(folder, "plot.svg")

        match save specification picture chart with
        | Ok() ->
            printfn $"picture: {picture}"
            view picture
        | Error sentence -> printfn $"no picture, only its specification {specification}: {sentence}"
