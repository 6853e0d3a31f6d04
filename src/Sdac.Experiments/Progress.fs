namespace Sdac.Experiments

open System
open System.Diagnostics
open System.Globalization
open Spectre.Console

/// What a training run is at.
[<RequireQualifiedAccess>]
type Activity =
    | Updates
    /// Random transitions before the first update: so many of so many
    | WarmUp of Done: int64 * Total: int64
    | Evaluating of Episodes: int

/// What a training run shows of itself.
type TrainingProgress =
    {
        Activity: Activity
        Iteration: int64
        EnvSteps: int64
        /// NaN before the first update
        StepsPerSecond: float
        /// Mean return of the last episodes; NaN before the first one has ended.
        RecentReturn: float
        /// The algorithm's figures that matter most, by their short labels
        Headlines: (string * float) list
    }

/// How fast a stage goes, told from what was seen of it.
[<Struct>]
type Pace =
    {
        Stage: int
        /// When the stage was first seen, in seconds
        Began: float
        /// How much was finished then
        First: int64
        /// Seconds left; NaN where they cannot be told yet
        Left: float
    }

    /// What is known when at `now` seconds a stage has `finished` of `total`.
    static member after (known: Pace option) (stage: int) (struct (finished: int64, total: int64)) (now: float) : Pace =
        let pace =
            match known with
            | Some pace when pace.Stage = stage -> pace
            | _ -> { Stage = stage; Began = now; First = finished; Left = nan }

        let elapsed = now - pace.Began

        // the first moment's speed is none
        if finished <= pace.First || elapsed < 0.5 then
            { pace with Left = nan }
        else
            { pace with Left = elapsed / float (finished - pace.First) * float (total - finished) }

/// Progress on the console: a bar on a terminal, a plain line now and then elsewhere.
[<RequireQualifiedAccess>]
module Progress =
    /// Seconds between plain lines.
    [<Literal>]
    let private PlainInterval = 5.0

    /// Between two drawings of a bar.
    [<Literal>]
    let private DrawInterval = 0.1

    /// Columns of a table that is not shown on a terminal.
    [<Literal>]
    let private WideEnough = 400

    let internal thousands (number: int64) = number.ToString("N0", CultureInfo.InvariantCulture)

    let internal duration (seconds: float) =
        let span = TimeSpan.FromSeconds(Math.Clamp(seconds, 0.0, 359_999.0))

        if span.TotalHours >= 1.0 then
            $"%d{int span.TotalHours}h%02d{span.Minutes}m"
        else
            $"%d{span.Minutes}m%02d{span.Seconds}s"

    /// What is not known is not shown.
    let private known (value: float) (text: float -> string) = if Double.IsFinite value then [ text value ] else []

    let private left (seconds: float) = known seconds (fun seconds -> $"{duration seconds} left")

    /// The figures of a run without its place, the most telling first.
    let private figures (total: int64) (remaining: float) (progress: TrainingProgress) : string list =
        match progress.Activity with
        | Activity.WarmUp(finished, total) ->
            $"warm-up: {thousands finished}/{thousands total} random transitions" :: left remaining
        | _ ->
            [ yield! left remaining
              match progress.Activity with
              | Activity.Evaluating 1 -> "evaluating 1 episode"
              | Activity.Evaluating episodes -> $"evaluating {thousands (int64 episodes)} episodes"
              | _ -> ()
              yield! known progress.RecentReturn (fun value -> $"return {Number.display value}")
              $"iteration {thousands progress.Iteration}/{thousands total}"
              yield! known progress.StepsPerSecond (fun value -> $"{thousands (int64 (round value))} steps/s")
              $"{thousands progress.EnvSteps} env steps"
              for label, value in progress.Headlines do
                  yield! known value (fun value -> $"{label} {Number.display value}") ]

    /// Per cent of the way, 100 at its end alone.
    let private percent (finished: int64) (total: int64) =
        if total <= 0L then
            100
        else
            int (Math.Clamp(100.0 * float finished / float total, 0.0, 100.0))

    /// Where a run is on its way: so much of so much.
    let private place (total: int64) (progress: TrainingProgress) =
        match progress.Activity with
        | Activity.WarmUp(finished, all) -> struct (finished, all)
        | _ -> struct (progress.Iteration, total)

    /// One plain line; `remaining` are the seconds left, NaN where they are not known.
    let line (total: int64) (remaining: float) (progress: TrainingProgress) : string =
        let struct (finished, all) = place total progress
        String.concat ", " ($"{percent finished all} %%" :: figures total remaining progress)

    /// A bar, the per cent, and of the texts behind it as many as a terminal of so many columns has room for, from the left. The last
    /// column stays empty: some terminals go to the next line once it is written to. `unicode`: the terminal has more than ASCII.
    let barLine (unicode: bool) (columns: int) (finished: int64) (total: int64) (texts: string list) : string =
        let percent = percent finished total
        let width = Math.Clamp(columns / 6, 1, 24)
        let full = width * percent / 100
        let sign (filled: char) (ascii: char) = if unicode then filled else ascii
        let bar = String(sign '█' '#', full) + String(sign '░' '-', width - full)
        let start = $"{bar} %3d{percent} %%"
        let room = columns - 1 - start.Length

        let rec fit room separator texts =
            match texts with
            | (text: string) :: rest when text.Length + 2 <= room ->
                separator + text + fit (room - text.Length - 2) ", " rest
            | _ -> ""

        let whole = start + fit room "  " texts
        if whole.Length < columns then whole else whole[.. max 0 (columns - 2)]

    /// A run's line on a terminal.
    let terminalLine (columns: int) (total: int64) (remaining: float) (progress: TrainingProgress) : string =
        let struct (finished, all) = place total progress
        barLine true columns finished all (figures total remaining progress)

    /// What is shown of a progress of any kind.
    type private View<'s> =
        {
            /// So much of so much
            Place: 's -> struct (int64 * int64)
            /// Stages of their own speed: the time left is told from the present one
            Stage: 's -> int
            Plain: float -> 's -> string
            Texts: float -> 's -> string list
        }

    /// Tells the seconds left of the present stage.
    let private clock (view: View<'s>) : 's -> float =
        let clock = Stopwatch.StartNew()
        let mutable pace = None

        fun progress ->
            let now = Pace.after pace (view.Stage progress) (view.Place progress) clock.Elapsed.TotalSeconds
            pace <- Some now
            now.Left

    let private plain (view: View<'s>) (body: ('s -> unit) -> 'a) =
        let clock, remaining = Stopwatch.StartNew(), clock view
        let mutable next = PlainInterval

        body (fun progress ->
            let elapsed, left = clock.Elapsed.TotalSeconds, remaining progress
            let struct (finished, total) = view.Place progress

            if elapsed >= next || finished = total then
                next <- elapsed + PlainInterval
                Console.Out.WriteLine(view.Plain left progress))

    /// Removes the bar that is on the terminal, if there is one.
    let mutable private erase: unit -> unit = ignore

    /// A warning on standard error, on a line of its own whatever bar is shown.
    let internal warn (sentence: string) =
        erase ()
        eprintfn $"warning: {sentence}"

    let private bar (view: View<'s>) (body: ('s -> unit) -> 'a) =
        let clock, remaining = Stopwatch.StartNew(), clock view
        let unicode = AnsiConsole.Profile.Capabilities.Unicode
        let mutable next = 0.0
        let mutable drawn = false

        let wipe () =
            if drawn then
                Console.Out.Write "\r\u001b[K"
                drawn <- false

        erase <- wipe

        try
            body (fun progress ->
                let elapsed, left = clock.Elapsed.TotalSeconds, remaining progress
                let struct (finished, total) = view.Place progress

                if elapsed >= next || finished = total then
                    next <- elapsed + DrawInterval
                    // the window may have been made wider or narrower
                    let text = barLine unicode AnsiConsole.Profile.Width finished total (view.Texts left progress)
                    Console.Out.Write("\r" + text + "\u001b[K")
                    drawn <- true)
        finally
            erase <- ignore

            if drawn then
                Console.Out.WriteLine()

    /// True when standard output is a terminal that can move its cursor.
    let interactive () = not Console.IsOutputRedirected && AnsiConsole.Profile.Capabilities.Ansi

    let private show (view: View<'s>) (body: ('s -> unit) -> 'a) : 'a =
        if interactive () then bar view body else plain view body

    /// The stages of a training run, as they are seen one after the other: warm-up; the evaluation that a resumed run may begin with,
    /// whose seconds are not its updates'; all that is behind the first update.
    let stages () : TrainingProgress -> int =
        let mutable trains = false

        fun progress ->
            trains <- trains || progress.Activity.IsUpdates

            if progress.Activity.IsWarmUp then 0
            elif trains then 2
            else 1

    /// Runs `body`, which reports its progress as often as it likes, to the last of `total` iterations.
    let run (quiet: bool) (total: int64) (body: (TrainingProgress -> unit) -> 'a) : 'a =
        let view = { Place = place total; Stage = stages (); Plain = line total; Texts = figures total }

        if quiet then body ignore else show view body

    /// Runs `body`, which reports how many steps of episodes that are played side by side are made, of at most `limit`, and how many
    /// of the episodes are over.
    let playing (limit: int) (episodes: int) (body: (int * int -> unit) -> 'a) : 'a =
        let texts remaining (steps: int, over: int) =
            [ yield! known remaining (fun seconds -> $"at most {duration seconds} left")
              $"step {thousands (int64 steps)} of at most {thousands (int64 limit)}"
              $"{over}/{episodes} episodes over" ]

        let view =
            { // the end of the last episode is no news
              Place = fun (steps, _) -> struct (int64 steps, int64 limit + 1L)
              Stage = fun _ -> 0
              Plain = fun remaining progress -> String.concat ", " (texts remaining progress)
              Texts = texts }

        show view body

    /// Runs `body`, which reports as often as it likes how many of `total` tasks are over and what is under way.
    let tasks (total: int) (body: (int * string -> unit) -> 'a) : 'a =
        let texts remaining (finished: int, doing: string) =
            left remaining
            @ [ $"{finished}/{total}"
                if doing <> "" then
                    doing ]

        let view =
            { Place = fun (finished, _) -> struct (int64 finished, int64 total)
              Stage = fun _ -> 0
              Plain = fun remaining progress -> String.concat ", " (texts remaining progress)
              Texts = texts }

        show view body

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
