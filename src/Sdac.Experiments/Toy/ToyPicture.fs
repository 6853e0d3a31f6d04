namespace Sdac.Experiments

open System.Globalization
open System.Text
open Sdac

/// Samples over the density, as SVG.
[<RequireQualifiedAccess>]
module ToyPicture =
    let private text (value: float) = value.ToString("0.#", CultureInfo.InvariantCulture)

    [<Literal>]
    let private Panel = 180.0

    [<Literal>]
    let private Gap = 10.0

    [<Literal>]
    let private Head = 22.0

    /// Shades of the density; neighbouring cells of one shade are one rectangle.
    [<Literal>]
    let private Shades = 8.0

    let private density (target: Target) (svg: StringBuilder) =
        let p = Measures.cells target
        let side = int (sqrt (float p.Length))
        let size, top = Panel / float side, Array.max p
        let shade row column = round (Shades * sqrt (p[row * side + column] / top))

        for row in 0 .. side - 1 do
            let mutable column = 0

            while column < side do
                let here = shade row column
                let mutable past = column + 1

                while past < side && shade row past = here do
                    past <- past + 1

                if here > 0.0 then
                    let x, y = float column * size, Panel - float (row + 1) * size
                    let opacity = (0.75 * here / Shades).ToString("0.##", CultureInfo.InvariantCulture)

                    svg.Append
                        $"<rect x='{text x}' y='{text y}' width='{text (float (past - column) * size + 0.2)}' height='{text (size + 0.2)}' fill-opacity='{opacity}'/>"
                    |> ignore

                column <- past

    let private points (halfWidth: float) limit (cell: ToyCell) (svg: StringBuilder) =
        let samples = ToyCell.points cell
        let at (v: float32) = (float v / halfWidth + 1.0) / 2.0 * Panel

        svg.Append
            "<path fill='none' stroke='#a63603' stroke-width='1.5' stroke-linecap='round' stroke-opacity='0.5' d='"
        |> ignore

        for i in 0 .. min limit (samples.Length / 2) - 1 do
            svg.Append $"M{text (at samples[2 * i])} {text (Panel - at samples[2 * i + 1])}h0" |> ignore

        svg.Append "'/>" |> ignore

    /// A row per target, a column per method, of each one's first seed, with at most `limit` points in each panel.
    let draw (limit: int) (targets: Target list) (cells: ToyCell list) : string =
        let first = cells |> List.distinctBy (fun cell -> cell.Target, cell.Method)
        let rows = first |> List.groupBy _.Target
        let columns = rows |> List.map (fun (_, row) -> row.Length) |> List.fold max 1
        let width = float columns * (Panel + Gap) + Gap
        let height = float rows.Length * (Panel + Head + Gap) + Gap
        let svg = StringBuilder()

        svg.Append
            $"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {text width} {text height}' width='{text width}' height='{text height}' font-family='Helvetica, Arial, sans-serif' font-size='13'><rect width='100%%' height='100%%' fill='white'/>"
        |> ignore

        rows
        |> List.iteri (fun row (name, cells) ->
            let target = targets |> List.find (fun target -> target.Name = name)
            svg.Append $"<defs><g id='density-{name}' fill='#6baed6'>" |> ignore
            density target svg
            svg.Append "</g></defs>\n" |> ignore

            cells
            |> List.iteri (fun column cell ->
                let x, y = Gap + float column * (Panel + Gap), Gap + float row * (Panel + Head + Gap)

                svg.Append
                    $"<svg x='{text x}' y='{text y}' width='{text Panel}' height='{text (Panel + Head)}'><text x='1' y='15'>{name}: {cell.Method}</text><svg y='{text Head}' width='{text Panel}' height='{text Panel}'><rect width='100%%' height='100%%' fill='#fafafa' stroke='#cccccc'/><use href='#density-{name}'/>"
                |> ignore

                points target.HalfWidth limit cell svg
                svg.Append "</svg></svg>\n" |> ignore))

        svg.Append("</svg>\n").ToString()
