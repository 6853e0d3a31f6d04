namespace Sdac.Experiments

open Sdac.Functional
open Sdac.Sampling

/// Samples over the density.
[<RequireQualifiedAccess>]
module ToyPicture =
    /// Of a panel, in pixels.
    [<Literal>]
    let private Side = 180.0

    /// Panels side by side.
    [<Literal>]
    let private Columns = 5

    /// What the numbers of the plane are.
    let axes (target: Target) : string * string =
        match target.View with
        | Some view -> view.Axes
        | None -> "first coordinate", "second coordinate"

    /// The target's density over its frame.
    let private density (target: Target) : Tile list =
        let p = Measures.cells target
        let struct (across, upwards) = Target.frame target
        let edge (low, high) i = low + (high - low) * float i / float Measures.Side

        [ for i, share in Array.indexed p ->
              let column, row = i % Measures.Side, i / Measures.Side

              { X = (edge across column, edge across (column + 1))
                Y = (edge upwards row, edge upwards (row + 1))
                Value = share } ]

    let private samples limit (cell: ToyCell) =
        let samples = ToyCell.points cell
        [ for i in 0 .. min limit (samples.Length / 2) - 1 -> float samples[2 * i], float samples[2 * i + 1] ]

    let private layers limit (density: Tile list) (cell: ToyCell) : Layer list =
        [ { Name = ""; Colour = "#85BCDF"; Mark = Mark.Tiles(Shading.Fading, density) }
          { Name = ""; Colour = "#a63603"; Mark = Plot.dots 1.6 0.5 (samples limit cell) } ]

    let private first (cells: ToyCell list) = cells |> List.distinctBy (fun cell -> cell.Target, cell.Method)

    /// Rows of panels, one per method, for each target, of each one's first seed, with at most `limit` points in each panel.
    let picture (limit: int) (targets: Target list) (cells: ToyCell list) : Picture =
        let rows (name: string, cells: ToyCell list) =
            let target = targets |> List.find (fun target -> target.Name = name)
            let struct (across, upwards) = Target.frame target
            let density = density target

            let panel (cell: ToyCell) =
                layers limit density cell
                |> Plot.panel
                    $"{target.Name}: {cell.Method}"
                    (Side, Side)
                    (Plot.bareAxis (fst across) (snd across))
                    (Plot.bareAxis (fst upwards) (snd upwards))

            cells |> List.map panel |> List.chunkBySize Columns

        { Title = ""
          Subtitle = ""
          Panels = first cells |> List.groupBy _.Target |> List.collect rows
          Legend = false }

    /// The same panels for a page that wraps them, each a picture with axes of its own, with their methods' names.
    let thumbnails (limit: int) (target: Target) (cells: ToyCell list) : (string * Picture) list =
        let struct (across, upwards) = Target.frame target
        let density = density target
        let axis (low, high) = { Plot.axis "" with Extent = Extent.Between(low, high); Ticks = Ticks.Round 4 }

        [ for cell in first cells do
              if cell.Target = target.Name then
                  cell.Method,
                  layers limit density cell
                  |> Plot.panel "" (Side, Side) (axis across) (axis upwards)
                  |> Plot.single "" ""
                  |> fun picture -> { picture with Legend = false } ]
