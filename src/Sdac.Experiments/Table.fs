namespace Sdac.Experiments

open System
open System.Globalization
open System.Net

/// A cell: what people read, and what a CSV file holds.
type Cell = { Shown: string; Raw: string; Strong: bool }

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
    let text (text: string) = { Shown = text; Raw = text; Strong = false }

    let count (count: int64) =
        { Shown = count.ToString("N0", CultureInfo.InvariantCulture); Raw = string count; Strong = false }

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

    let number (value: float) = { Shown = show value; Raw = raw value; Strong = false }

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

        let cell i (cell: Cell) =
            let shown =
                if cell.Strong then
                    $"<strong>{encode cell.Shown}</strong>"
                else
                    encode cell.Shown

            if i = 0 then $"<th scope=\"row\">{shown}</th>" else $"<td>{shown}</td>"

        let head = table.Columns |> List.map (fun c -> $"<th scope=\"col\">{encode c}</th>") |> String.concat ""

        let body =
            table.Rows
            |> List.map (fun row -> "<tr>" + String.concat "" (List.mapi cell row) + "</tr>\n")
            |> String.concat ""

        $"<table>\n<caption>{encode table.Caption}</caption>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>\n"
