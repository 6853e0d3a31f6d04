namespace Sdac.Experiments

open System
open System.Diagnostics
open System.Globalization
open Spectre.Console

/// What a training run shows of itself.
type TrainingProgress =
    {
        Iteration: int64
        EnvSteps: int64
        StepsPerSecond: float
        /// Mean return of the last episodes; NaN before the first one has ended.
        RecentReturn: float
        /// The algorithm's figures that matter most, by their short labels
        Headlines: (string * float) list
    }

/// Progress on the console: a bar on a terminal, a plain line now and then elsewhere.
[<RequireQualifiedAccess>]
module Progress =
    /// Seconds between plain lines.
    [<Literal>]
    let private PlainInterval = 5.0

    /// Columns of a table that is not shown on a terminal.
    [<Literal>]
    let private WideEnough = 400

    let internal thousands (number: int64) = number.ToString("N0", CultureInfo.InvariantCulture)

    let private duration (seconds: float) =
        if Double.IsFinite seconds then
            let span = TimeSpan.FromSeconds(Math.Clamp(seconds, 0.0, 359_999.0))

            if span.TotalHours >= 1.0 then
                $"%d{int span.TotalHours}h%02d{span.Minutes}m"
            else
                $"%d{span.Minutes}m%02d{span.Seconds}s"
        else
            "?"

    let private figures (progress: TrainingProgress) =
        let show (value: float) = if Double.IsNaN value then "-" else Number.display value

        [ $"{thousands progress.EnvSteps} env steps, %.0f{progress.StepsPerSecond}/s, return {show progress.RecentReturn}"
          for label, value in progress.Headlines do
              $"{label} {show value}" ]
        |> String.concat ", "

    /// One plain line.
    let line (total: int64) (remaining: float) (progress: TrainingProgress) =
        $"iteration {thousands progress.Iteration}/{thousands total}, {figures progress}, {duration remaining} left"

    /// Seconds left, from the share done since `first` in `elapsed` seconds.
    let private remaining (total: int64) (first: int64) (elapsed: float) (position: int64) =
        let finished = position - first

        if finished <= 0L then
            nan
        else
            elapsed / float finished * float (total - position)

    /// What is shown of a progress of any kind: where it is, its plain line with the seconds left, its text beside the bar.
    type private View<'s> = { Position: 's -> int64; Line: float -> 's -> string; Text: 's -> string }

    let private plain (view: View<'s>) (total: int64) (first: int64) (body: ('s -> unit) -> 'a) =
        let clock = Stopwatch.StartNew()
        let mutable next = PlainInterval

        body (fun progress ->
            let elapsed, position = clock.Elapsed.TotalSeconds, view.Position progress

            if elapsed >= next || position = total then
                next <- elapsed + PlainInterval
                Console.Out.WriteLine(view.Line (remaining total first elapsed position) progress))

    let private bar (view: View<'s>) (total: int64) (first: int64) (body: ('s -> unit) -> 'a) =
        let columns: ProgressColumn[] =
            [| ProgressBarColumn()
               PercentageColumn()
               RemainingTimeColumn()
               TaskDescriptionColumn(Alignment = Justify.Left) |]

        AnsiConsole
            .Progress()
            .Columns(columns)
            .Start(fun context ->
                let task = context.AddTask("starting", true, float total)
                task.Value <- float first
                let clock = Stopwatch.StartNew()
                let mutable next = 0.0

                body (fun progress ->
                    let elapsed, position = clock.Elapsed.TotalSeconds, view.Position progress

                    if elapsed >= next || position = total then
                        next <- elapsed + 0.1
                        task.Value <- float position
                        task.Description <- Markup.Escape(view.Text progress)))

    /// True when standard output is a terminal that can move its cursor.
    let interactive () = not Console.IsOutputRedirected && AnsiConsole.Profile.Capabilities.Ansi

    let private show (view: View<'s>) (total: int64) (first: int64) (body: ('s -> unit) -> 'a) : 'a =
        if interactive () then
            bar view total first body
        else
            plain view total first body

    /// Runs `body`, which reports its progress as often as it likes; iterations go from `first` to `total`.
    let run (quiet: bool) (total: int64) (first: int64) (body: (TrainingProgress -> unit) -> 'a) : 'a =
        let view =
            { Position = _.Iteration
              Line = line total
              Text = fun progress -> $"{thousands progress.Iteration}/{thousands total}, {figures progress}" }

        if quiet then body ignore else show view total first body

    /// Runs `body`, which reports as often as it likes how many of `total` tasks are over and what is under way.
    let tasks (total: int) (body: (int * string -> unit) -> 'a) : 'a =
        let text (finished, doing) = $"{finished}/{total} {doing}"

        let view =
            { Position = fst >> int64
              Line = fun left progress -> $"{text progress}, {duration left} left"
              Text = text }

        show view (int64 total) 0L body

    /// Prints to standard output, without colours where that is no terminal.
    let internal write (item: Rendering.IRenderable) =
        let ansi = if interactive () then AnsiSupport.Yes else AnsiSupport.No
        let console = AnsiConsole.Create(AnsiConsoleSettings(Ansi = ansi, Out = AnsiConsoleOutput Console.Out))

        if not (interactive ()) then
            // a file or a pipe has no width to keep to
            console.Profile.Width <- max console.Profile.Width WideEnough

        console.Write item

    /// Prints a table with headers.
    let table (title: string) (headers: string list) (rows: string list list) =
        let table = Table(Border = TableBorder.Rounded, Title = TableTitle(Markup.Escape title))
        headers |> List.iter (fun header -> table.AddColumn(Markup.Escape header) |> ignore)

        for row in rows do
            table.AddRow(row |> List.map Markup.Escape |> List.toArray) |> ignore

        write table

    /// Prints a table of names and values.
    let summaryTable (title: string) (rows: (string * string) list) =
        let table =
            Table(Border = TableBorder.Rounded, ShowHeaders = false, Title = TableTitle(Markup.Escape title))

        table.AddColumn("").AddColumn("") |> ignore

        for name, value in rows do
            table.AddRow(Markup.Escape name, Markup.Escape value) |> ignore

        write table
