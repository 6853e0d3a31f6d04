namespace Sdac.Experiments

open Sdac.Functional
open Sdac.Sampling

/// Samples over the density.
[<RequireQualifiedAccess>]
module ToyPicture =
    let private side = 180.0

    /// The target's density over its box.
    let private density (target: Target) : Tile list =
        let p = Measures.cells target
        let cells = int (sqrt (float p.Length))
        let edge i = target.HalfWidth * (2.0 * float i / float cells - 1.0)

        [ for i, share in Array.indexed p ->
              let column, row = i % cells, i / cells
              { X = (edge column, edge (column + 1)); Y = (edge row, edge (row + 1)); Value = share } ]

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
