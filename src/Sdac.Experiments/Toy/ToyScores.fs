namespace Sdac.Experiments

open System.Globalization
open System.Text
open Sdac

/// The error of learned scores over noise levels, as SVG.
[<RequireQualifiedAccess>]
module ToyScores =
    let private text (value: float) = value.ToString("0.#", CultureInfo.InvariantCulture)

    [<Literal>]
    let private Width = 300.0

    [<Literal>]
    let private Height = 170.0

    [<Literal>]
    let private Gap = 46.0

    /// The vertical axis is logarithmic between these.
    let private low, high = 1e-3, 10.0

    let private colours = [ "#d94801"; "#2171b5"; "#238b45"; "#6a51a3"; "#636363"; "#c51b8a" ]

    /// Mean error by noise level over a method's cells.
    let curve (cells: ToyCell list) : (float * float) list =
        cells
        |> List.collect _.ScoreErrors
        |> List.groupBy _.NoiseLevel
        |> List.map (fun (level, errors) -> level, errors |> List.averageBy _.Error)
        |> List.sortBy fst

    /// So is the horizontal one: ᾱ from 0.99 to 0.01.
    let private first, last = 0.1, 10.0

    let private x (level: float) = Width * log (level / first) / log (last / first)

    let private y (error: float) = Height * (1.0 - log (System.Math.Clamp(error, low, high) / low) / log (high / low))

    let private grid (svg: StringBuilder) =
        for error, label, style in
            [ 0.001, "0.1 %", "#e8e8e8"
              0.01, "1 %", "#e8e8e8"
              0.05, "5 %", "#999999"
              0.1, "10 %", "#e8e8e8"
              1.0, "100 %", "#e8e8e8"
              10.0, "1000 %", "#e8e8e8" ] do
            svg.Append
                $"<path d='M0 {text (y error)}h{text Width}' stroke='{style}'/><text x='-5' y='{text (y error + 4.0)}' text-anchor='end' font-size='11' fill='#444444'>{label}</text>"
            |> ignore

    let private panel (name: string) (methods: (string * ToyCell list) list) (svg: StringBuilder) =
        svg.Append $"<text x='0' y='-10'>{name}</text>" |> ignore
        grid svg
        let curves = methods |> List.map (fun (method, cells) -> method, curve cells)

        curves
        |> List.iteri (fun i (method, curve) ->
            let colour = colours[i % colours.Length]

            let path =
                curve |> List.map (fun (level, error) -> $"{text (x level)} {text (y error)}") |> String.concat "L"

            svg.Append
                $"<path d='M{path}' fill='none' stroke='{colour}' stroke-width='1.6'/><text x='{text (Width - 4.0)}' y='{text (14.0 + 15.0 * float i)}' text-anchor='end' font-size='12' fill='{colour}'>{method}</text>"
            |> ignore)

        svg.Append
            $"<text x='{text (Width / 2.0)}' y='{text (Height + 18.0)}' text-anchor='middle' font-size='11' fill='#444444'>noise-to-signal ratio √(1/ᾱ - 1), from 0.1 to 10</text>"
        |> ignore

    /// A panel per target, a line per method, for the cells that have score errors; None where no cell has.
    let draw (cells: ToyCell list) : string option =
        let panels = cells |> List.filter (fun cell -> not cell.ScoreErrors.IsEmpty) |> List.groupBy _.Target

        if panels.IsEmpty then
            None
        else
            let svg = StringBuilder()
            let width, height = float panels.Length * (Width + Gap + 14.0), Height + 60.0

            svg.Append
                $"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {text width} {text height}' width='{text width}' height='{text height}' font-family='Helvetica, Arial, sans-serif' font-size='13'>"
            |> ignore

            panels
            |> List.iteri (fun i (name, cells) ->
                svg.Append $"<g transform='translate({text (Gap + float i * (Width + Gap + 14.0))} 28)'>" |> ignore
                panel name (cells |> List.groupBy _.Method) svg
                svg.Append "</g>\n" |> ignore)

            Some(svg.Append("</svg>\n").ToString())
