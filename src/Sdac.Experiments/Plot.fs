namespace Sdac.Experiments

open System
open System.Diagnostics
open System.IO

/// Pictures, put together from layers: `Plot.chart "Loss" "" (Plot.axis "updates") (Plot.axis "loss") [ layer ] |> Plot.show`.
[<RequireQualifiedAccess>]
module Plot =
    /// Okabe and Ito's colours, which people with any kind of colour vision can tell apart, without their yellow, which is hard
    /// to see on white.
    let palette = [ "#0072B2"; "#D55E00"; "#009E73"; "#CC79A7"; "#E69F00"; "#56B4E9"; "#000000" ]

    /// Around the data and 0, with commas between thousands.
    let axis (title: string) : Axis =
        { Title = title; Scale = Scale.Linear; Extent = Extent.FromZero; Ticks = Ticks.Round 8 }

    /// A row for each text, from the top.
    let rows (texts: string list) : Axis = { axis "" with Scale = Scale.Rows texts }

    /// Without marks and labels.
    let bareAxis (low: float) (high: float) : Axis =
        { axis "" with Extent = Extent.Between(low, high); Ticks = Ticks.At [] }

    /// Small translucent points.
    let dots diameter opacity points = Mark.Dots(diameter, opacity, points)

    /// A line of the given width in pixels.
    let line width points = Mark.Line({ Width = width; Marker = None; Stepped = false }, points)

    /// A line with a disc at its points.
    let dottedLine width points = Mark.Line({ Width = width; Marker = Some PointShape.Disc; Stepped = false }, points)

    /// The size of a chart's area.
    let private size = 720.0, 400.0

    /// Layers over one pair of axes.
    let panel (title: string) (size: float * float) (x: Axis) (y: Axis) (layers: Layer list) : Panel =
        { Title = title; Size = size; X = x; Y = y; Layers = layers }

    /// A picture of one panel.
    let single (title: string) (subtitle: string) (panel: Panel) : Picture =
        { Title = title; Subtitle = subtitle; Panels = [ [ panel ] ]; Legend = true }

    /// A chart of layers, 720 x 400 pixels within its axes.
    let chart (title: string) (subtitle: string) (x: Axis) (y: Axis) (layers: Layer list) : Picture =
        single title subtitle (panel "" size x y layers)

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

    /// Curves with names of one's own over each other: `compare "Particles" "iterations" "critic loss" [ "4", four; "8", eight ]`.
    let compare (title: string) (x: string) (y: string) (curves: (string * (float * float) list) list) : Picture =
        [ for i, (name, points) in List.indexed curves do
              if not points.IsEmpty then
                  { Name = name
                    Colour = palette[i % palette.Length]
                    Mark = line 2.0 (List.ofArray (thin 1500 (Array.ofList points))) } ]
        |> chart title "" (axis x) (axis y)

    /// The picture under another title.
    let titled (title: string) (picture: Picture) : Picture = { picture with Title = title; Subtitle = "" }

    /// Episodes shown by the running mean of a learning curve.
    [<Literal>]
    let private Window = 20

    /// Points of a line or cloud.
    [<Literal>]
    let private Shown = 1500

    /// The learning curve of one run. `episodes`: (environment step at its end, return); `evaluations`: (environment step, mean,
    /// standard deviation).
    let learningCurve
        (title: string)
        (subtitle: string)
        (episodes: (int64 * float)[])
        (evaluations: (int64 * float * float)[])
        : Picture =
        let points (values: (int64 * float)[]) = [ for step, value in thin Shown values -> float step, value ]
        let mean = Array.zip (Array.map fst episodes) (runningMean Window (Array.map snd episodes))

        let evaluated = [ for step, value, deviation in evaluations -> float step, value, deviation ]

        let evaluation mark = { Name = "evaluation: mean ± deviation of its episodes"; Colour = "#D55E00"; Mark = mark }

        [ if evaluations.Length > 0 then
              evaluation (
                  Mark.Band [ for step, value, deviation in evaluated -> step, value - deviation, value + deviation ]
              )

          if episodes.Length > 0 then
              { Name = "a training episode"; Colour = "#56B4E9"; Mark = dots 4.5 0.6 (points episodes) }

          if episodes.Length > 0 then
              { Name = $"mean of the last {Window} training episodes"
                Colour = "#0072B2"
                Mark = line 2.0 (points mean) }

          if evaluations.Length > 0 then
              evaluation (dottedLine 2.0 [ for step, value, _ in evaluated -> step, value ]) ]
        |> chart title subtitle (axis "Environment steps") (axis "Return per episode (undiscounted)")

    /// The picture with a panel more below it.
    let above (panel: Panel) (picture: Picture) : Picture = { picture with Panels = picture.Panels @ [ [ panel ] ] }

    /// A panel below a learning curve: a figure of whole episodes, its mean in each evaluation.
    let episodeFigure (name: string) (evaluations: (int64 * float)[]) : Panel =
        let points = [ for step, value in evaluations -> float step, value ]

        let layer: Layer =
            { Name = "mean of an evaluation's episodes"; Colour = "#009E73"; Mark = dottedLine 2.0 points }

        panel "" (fst size, 200.0) (axis "Environment steps") (axis name) [ layer ]

    /// The PNG that is written beside an SVG.
    let pngBeside (svg: string) : string =
        (if svg.EndsWith(".svg", StringComparison.Ordinal) then
             svg[.. svg.Length - 5]
         else
             svg)
        + ".png"

    /// Writes a picture as SVG and, beside it, as PNG. Error says in a sentence why there is no picture.
    let save (svg: string) (picture: Picture) : Result<unit, string> =
        let write (path: string) (bytes: byte[]) =
            try
                Files.writeAtomic path (fun stream -> stream.Write(ReadOnlySpan bytes))
                Ok()
            with :? UserError as error ->
                Error error.Message

        ScottPlotRenderer.svg picture
        |> Result.bind (Text.Encoding.UTF8.GetBytes >> write svg)
        |> Result.bind (fun () -> ScottPlotRenderer.png picture)
        |> Result.bind (write (pngBeside svg))

    /// Opens a file with the desktop's viewer, where there is a desktop.
    let private view (path: string) =
        let desktop name = not (String.IsNullOrEmpty(Environment.GetEnvironmentVariable name))

        if desktop "DISPLAY" || desktop "WAYLAND_DISPLAY" then
            try
                (Process.Start(ProcessStartInfo("xdg-open", [ path ])) |> Option.ofObj) |> Option.iter _.Dispose()
            with :? ComponentModel.Win32Exception ->
                ()

    /// For a session: draws a picture to a new file in the temporary folder, opens it where there is a desktop, and says where
    /// it lies.
    let show (picture: Picture) : unit =
        let path = Path.Combine(Directory.CreateTempSubdirectory("sdac-plot-").FullName, "plot.svg")

        match save path picture with
        | Ok() ->
            printfn $"picture: {path}"
            view path
        | Error sentence -> printfn $"no picture: {sentence}"
