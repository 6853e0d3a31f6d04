namespace Sdac.Experiments

open System
open System.Globalization
open System.Net
open System.Text.RegularExpressions
open Sdac.Functional

/// A cell: what people read, and what a CSV file holds.
type Cell =
    {
        Shown: string
        Raw: string
        Strong: bool
        /// Words, which may be broken anywhere, and no figures
        Words: bool
    }

/// A table that can be written in several forms.
type Table =
    {
        /// File name without its ending
        Name: string
        Caption: string
        Columns: string list
        Rows: Cell list list
    }

[<RequireQualifiedAccess>]
module Cell =
    let text (text: string) = { Shown = text; Raw = text; Strong = false; Words = true }

    /// Figures put together as a text.
    let figures (text: string) = { Shown = text; Raw = text; Strong = false; Words = false }

    let count (count: int64) =
        { Shown = count.ToString("N0", CultureInfo.InvariantCulture)
          Raw = string count
          Strong = false
          Words = false }

    let private raw (value: float) =
        if Double.IsFinite value then
            value.ToString("R", CultureInfo.InvariantCulture)
        else
            ""

    /// A number for people: four digits, more where it is large; a dash where there is none.
    let show (value: float) =
        if not (Double.IsFinite value) then "–"
        elif abs value >= 1000.0 then value.ToString("N0", CultureInfo.InvariantCulture)
        else Number.display value

    let number (value: float) = { Shown = show value; Raw = raw value; Strong = false; Words = false }

    /// A number to so many places behind its point, with commas; to tens and hundreds where there are fewer than none.
    let private toPlaces (places: int) (value: float) =
        let unit = 10.0 ** float (max 0 -places)
        let rounded = if places < 0 then Math.Round(value / unit) * unit else value
        // no "-0.00"
        let text = rounded.ToString($"N{max 0 places}", CultureInfo.InvariantCulture)

        if text.StartsWith '-' && text |> Seq.forall (fun c -> not (c >= '1' && c <= '9')) then
            text[1..]
        else
            text

    /// An estimate with its interval, "3,460 [3,210, 3,700]": as many digits as half the interval's width supports, two of it.
    /// Without an interval the value alone.
    let showEstimate (e: Estimate) : string =
        if not (Double.IsFinite e.Low && Double.IsFinite e.High) then
            show e.Value
        elif e.High > e.Low then
            let places = min 9 (1 - int (floor (log10 ((e.High - e.Low) / 2.0))))
            $"{toPlaces places e.Value} [{toPlaces places e.Low}, {toPlaces places e.High}]"
        else
            $"{show e.Value} [{show e.Low}, {show e.High}]"

    let estimate (e: Estimate) : Cell =
        { figures (showEstimate e) with
            Raw =
                if Double.IsFinite e.Low then
                    $"{raw e.Value} [{raw e.Low}; {raw e.High}]"
                else
                    raw e.Value }

    let strong (cell: Cell) = { cell with Strong = true }

/// Writing tables.
[<RequireQualifiedAccess>]
module Table =
    let private quoted (text: string) =
        if text |> Seq.exists (fun c -> c = ',' || c = '"' || c = '\n' || c = '\r') then
            "\"" + text.Replace("\"", "\"\"") + "\""
        else
            text

    let private line (separator: string) (parts: string list) = String.concat separator parts + "\n"

    /// Comma-separated values (RFC 4180, but with plain line feeds), numbers in full.
    let csv (table: Table) : string =
        String.concat
            ""
            [ line "," (List.map quoted table.Columns)
              for row in table.Rows do
                  line "," [ for cell in row -> quoted cell.Raw ] ]

    let private piped (text: string) = text.Replace("|", "\\|").Replace("\n", " ")

    let markdown (table: Table) : string =
        let row (cells: string list) = "| " + String.concat " | " cells + " |\n"
        let strong (cell: Cell) = if cell.Strong then $"**{piped cell.Shown}**" else piped cell.Shown

        String.concat
            ""
            [ row (List.map piped table.Columns)
              row [ for _ in table.Columns -> "---" ]
              for cells in table.Rows do
                  row (List.map strong cells) ]

    /// An HTML table; the first column heads its rows.
    let html (table: Table) : string =
        let encode (text: string) = string (WebUtility.HtmlEncode text)

        // a break inside an interval would tear it apart
        let whole (text: string) = Regex.Replace(text, @"(?<=\[[^\]]*), ", ",\u00a0")

        let cell i (column: string) (cell: Cell) =
            let text = encode (if cell.Words then cell.Shown else whole cell.Shown)
            let shown = if cell.Strong then $"<strong>{text}</strong>" else text
            let kind = if cell.Words then " class=\"words\"" else ""

            if i = 0 then
                $"<th scope=\"row\">{shown}</th>"
            else
                // narrow windows show a row as a list, in which each figure needs its name
                $"<td{kind} data-name=\"{encode column}\">{shown}</td>"

        // over words a head begins where they do
        let headKind i =
            match table.Rows with
            | first :: _ when (List.item i first).Words -> " class=\"words\""
            | _ -> ""

        let head =
            table.Columns
            |> List.mapi (fun i column -> $"<th scope=\"col\"{headKind i}>{encode column}</th>")
            |> String.concat ""

        let row (cells: Cell list) =
            List.zip table.Columns cells
            |> List.mapi (fun i (column, content) -> cell i column content)
            |> String.concat ""

        let body = table.Rows |> List.map (fun cells -> $"<tr>{row cells}</tr>\n") |> String.concat ""

        $"<table>\n<caption>{encode table.Caption}</caption>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>\n"
