namespace Sdac.Experiments

open System
open System
open System.Diagnostics
open Spectre.Console

/// Sweeps on the console: a live table on a terminal, a line per event elsewhere, a table at the end.
[<RequireQualifiedAccess>]
module SweepTable =
    /// Seconds between plain lines that say how far the sweep is.
    [<Literal>]
    let private PlainInterval = 30.0

    let private word (state: RunState) =
        match state with
        | Waiting -> "waiting"
        | Running -> "running"
        | Held -> "running elsewhere"
        | Finished -> "finished"
        | Failed _ -> "failed"
        | Stopped -> "stopped"

    let private colour (state: RunState) =
        match state with
        | Waiting -> "grey"
        | Running -> "blue"
        | Held -> "aqua"
        | Finished -> "green"
        | Failed _ -> "red"
        | Stopped -> "yellow"

    let private figure (value: float) = if Double.IsNaN value then "-" else Number.display value

    /// The cells of one run: name, state, iteration/total, environment steps, return, steps a second, tries.
    let row (run: RunStatus) : string list =
        [ run.Name
          word run.State
          $"{Progress.thousands run.Iteration}/{Progress.thousands run.Total}"
          Progress.thousands run.EnvSteps
          figure run.Return
          (if Double.IsNaN run.Speed then "-" else $"%.0f{run.Speed}")
          string run.Tries ]

    /// How many runs are in which state: "2 of 6 finished, 1 failed, 3 running".
    let counts (runs: RunStatus list) : string =
        let others =
            runs
            |> List.countBy (fun run -> word run.State)
            |> List.filter (fun (state, _) -> state <> word Finished)
            |> List.sort
            |> List.map (fun (state, count) -> $", {count} {state}")

        let finished = runs |> List.filter (fun run -> run.State = Finished)
        $"{finished.Length} of {runs.Length} finished" + String.Concat others

    let private columns = [ "run"; "state"; "iteration"; "env steps"; "return"; "steps/s"; "tries" ]

    /// Columns that are always shown: name, state and iteration.
    [<Literal>]
    let private FewestColumns = 3

    /// How many columns a terminal of so many characters shows, figures dropped from the right, and how many lines the longest name
    /// takes then.
    let fitting (width: int) (runs: RunStatus list) : struct (int * int) =
        let widths =
            columns :: List.map row runs |> List.transpose |> List.map (List.map String.length >> List.max)

        // a border and two blanks around each cell
        let beside count = List.sum (List.take count widths |> List.tail) + 3 * count + 1
        let name = List.head widths

        let count =
            [ columns.Length .. -1 .. FewestColumns ]
            |> List.tryFind (fun count -> name + beside count <= width)
            |> Option.defaultValue FewestColumns

        let room = max 1 (width - beside count)
        struct (count, (name + room - 1) / room)

    let private table (width: int) (caption: string) (runs: RunStatus list) : Table =
        let table = Table(Border = TableBorder.Rounded, Caption = TableTitle(Markup.Escape caption))
        let struct (count, _) = fitting width runs

        for i, column in List.indexed (List.take count columns) do
            let alignment = if i < 2 then Justify.Left else Justify.Right
            table.AddColumn(TableColumn(column, Alignment = alignment, NoWrap = (i > 0))) |> ignore

        for run in runs do
            let cells = row run |> List.map Markup.Escape
            let cells = List.updateAt 1 $"[{colour run.State}]{cells[1]}[/]" cells
            table.AddRow(List.toArray (List.take count cells)) |> ignore

        table

    /// Prints the table of all runs.
    let print (caption: string) (runs: RunStatus list) =
        let width = if Progress.interactive () then AnsiConsole.Profile.Width else Int32.MaxValue
        Progress.write (table width caption runs)

    // A terminal shows so many rows: first what moves, then what failed, then what waits.
    let private foremost (rows: int) (runs: RunStatus list) =
        let rank (run: RunStatus) =
            match run.State with
            | Running -> 0
            | Held -> 1
            | Failed _ -> 2
            | Stopped -> 3
            | Waiting -> 4
            | Finished -> 5

        if runs.Length <= rows then
            runs
        else
            let shown = runs |> List.sortBy rank |> List.truncate rows |> List.map _.Name |> Set.ofList
            runs |> List.filter (fun run -> shown.Contains run.Name)

    let private live (body: (string -> RunStatus list -> unit) -> 'a) : 'a =
        let view (note: string) runs =
            let width = AnsiConsole.Profile.Width
            let struct (_, lines) = fitting width runs
            // borders, header and caption take seven lines
            let shown = foremost (max 3 ((AnsiConsole.Profile.Height - 7) / lines)) runs
            let hidden = List.length runs - shown.Length
            let more = if hidden = 0 then "" else $"; {hidden} more runs"
            let note = if note = "" then "" else $"; {note}"
            table width $"{counts runs}{more}{note}" shown

        let mutable result = Unchecked.defaultof<'a>

        AnsiConsole
            .Live(table AnsiConsole.Profile.Width "" [])
            .AutoClear(true)
            .Start(fun context ->
                result <-
                    body (fun note runs ->
                        context.UpdateTarget(view note runs)
                        context.Refresh()))

        result

    /// One line: what a run has come to.
    let event (run: RunStatus) : string =
        let line = $"{run.Name}: {word run.State}"

        match run.State with
        | Running when run.Tries > 1 -> $"{line} (try {run.Tries})"
        | Finished -> $"{line}, {Progress.thousands run.EnvSteps} env steps, return {figure run.Return}"
        | Failed sentence -> $"{line}: {sentence}"
        | _ -> line

    let private plain (body: (string -> RunStatus list -> unit) -> 'a) : 'a =
        let clock = Stopwatch.StartNew()
        let mutable next = PlainInterval
        let mutable told = Map.empty
        let mutable noted = ""

        body (fun note runs ->
            for run in runs do
                let known = Map.tryFind run.Name told
                // a try is in the log a moment after its process has started
                let now = run.State, max 1 run.Tries

                if known <> Some now && not (known.IsNone && run.State = Waiting) then
                    Console.Out.WriteLine(event run)

                told <- Map.add run.Name now told

            if note <> noted && note <> "" then
                Console.Out.WriteLine note

            noted <- note

            if clock.Elapsed.TotalSeconds >= next then
                next <- clock.Elapsed.TotalSeconds + PlainInterval
                Console.Out.WriteLine(counts runs))

    /// Runs `body`, which shows the status of the runs, with a remark beside them ("" for none), as often as it likes.
    let watch (body: (string -> RunStatus list -> unit) -> 'a) : 'a =
        if Progress.interactive () then live body else plain body
