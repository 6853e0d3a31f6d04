namespace Sdac.Experiments

open Sdac

/// Samples over the density.
[<RequireQualifiedAccess>]
module ToyPicture =
    let private side = 180.0

    /// Shades of the density; neighbouring cells of one shade are one rectangle.
    [<Literal>]
    let private Shades = 8.0

    /// The target's density as tiles, by rows of its box.
    let private density (target: Target) : Tile list =
        let p = Measures.cells target
        let cells = int (sqrt (float p.Length))
        let top = Array.max p
        let edge i = target.HalfWidth * (2.0 * float i / float cells - 1.0)
        let shade row column = round (Shades * sqrt (p[row * cells + column] / top))

        [ for row in 0 .. cells - 1 do
              let mutable column = 0

              while column < cells do
                  let here = shade row column
                  let mutable past = column + 1

                  while past < cells && shade row past = here do
                      past <- past + 1

                  if here > 0.0 then
                      { X = (edge column, edge past); Y = (edge row, edge (row + 1)); Value = here * here }

                  column <- past ]

    let private samples limit (cell: ToyCell) =
        let samples = ToyCell.points cell
        [ for i in 0 .. min limit (samples.Length / 2) - 1 -> float samples[2 * i], float samples[2 * i + 1] ]

    let private panel limit (target: Target) (density: Tile list) (cell: ToyCell) : Panel =
        let axis = Plot.bareAxis -target.HalfWidth target.HalfWidth

        [ { Name = ""; Colour = "#85BCDF"; Mark = Mark.Tiles(Shading.Fading, density) }
          { Name = ""; Colour = "#a63603"; Mark = Plot.dots 1.6 0.5 (samples limit cell) } ]
        |> Plot.panel $"{target.Name}: {cell.Method}" (side, side) axis axis

    /// A row per target, a column per method, of each one's first seed, with at most `limit` points in each panel.
    let picture (limit: int) (targets: Target list) (cells: ToyCell list) : Picture =
        let row (name: string, cells: ToyCell list) =
            let target = targets |> List.find (fun target -> target.Name = name)
            let density = density target
            cells |> List.map (panel limit target density)

        let first = cells |> List.distinctBy (fun cell -> cell.Target, cell.Method)

        { Title = ""
          Subtitle = ""
          Panels = first |> List.groupBy _.Target |> List.map row
          Legend = false }
