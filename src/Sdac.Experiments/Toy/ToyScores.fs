namespace Sdac.Experiments

open System

/// The error of learned scores over noise levels.
[<RequireQualifiedAccess>]
module ToyScores =
    /// Both axes are logarithmic. Errors end here; noise levels from ᾱ = 0.99 to 0.01.
    let private low, high = 1e-3, 10.0

    /// Mean error by noise level over a method's cells.
    let curve (cells: ToyCell list) : (float * float) list =
        cells
        |> List.collect _.ScoreErrors
        |> List.groupBy _.NoiseLevel
        |> List.map (fun (level, errors) -> level, errors |> List.averageBy _.Error)
        |> List.sortBy fst

    let private noise =
        { Plot.axis "Noise-to-signal ratio √(1/ᾱ - 1)" with
            Scale = Scale.Log 10.0
            Extent = Extent.Between(0.1, 10.0)
            Ticks = Ticks.At [ 0.1, "0.1"; 1.0, "1"; 10.0, "10" ] }

    let private errors =
        { Plot.axis "Relative error" with
            Scale = Scale.Log 10.0
            Extent = Extent.Between(low, high)
            Ticks = Ticks.At [ 0.001, "0.1 %"; 0.01, "1 %"; 0.05, "5 %"; 0.1, "10 %"; 1.0, "100 %"; 10.0, "1,000 %" ] }

    /// Targets side by side.
    [<Literal>]
    let private Columns = 3

    /// Widths of the lines, from the first to those over it: one that is covered shows at both sides of the other.
    let private width place = 1.4 + 1.4 * float (max 0 (3 - place))

    /// Methods whose models are one have one curve, which bears all their names.
    let private named (cells: ToyCell list) : (string * (float * float) list) list =
        cells
        |> List.map _.Method
        |> List.distinct
        |> List.map (fun method -> method, curve (cells |> List.filter (fun cell -> cell.Method = method)))
        |> List.groupBy snd
        |> List.map (fun (points, methods) -> methods |> List.map fst |> String.concat ", ", points)

    let private panel (names: string list) (target: string, cells: ToyCell list) : Panel =
        let layer (name: string, points) =
            let place = List.findIndex ((=) name) names

            { Name = name
              Colour = Plot.palette[place % Plot.palette.Length]
              Mark = Plot.line (width place) [ for level, error in points -> level, Math.Clamp(error, low, high) ] }

        { Name = ""; Colour = ""; Mark = Mark.LevelGuide 0.05 } :: (named cells |> List.map layer)
        |> Plot.panel target (300.0, 170.0) noise errors

    let private scored (cells: ToyCell list) = cells |> List.filter (fun cell -> not cell.ScoreErrors.IsEmpty)

    let private names (scored: ToyCell list) =
        scored |> List.groupBy _.Target |> List.collect (snd >> named >> List.map fst) |> List.distinct

    /// A picture per target, for a page that wraps them.
    let pictures (cells: ToyCell list) : (string * Picture) list =
        let scored = scored cells
        let names = names scored

        [ for target, cells in scored |> List.groupBy _.Target ->
              target, Plot.single "" "" { panel names (target, cells) with Title = "" } ]

    /// A panel per target, a line per model, for the cells that have score errors; None where no cell has.
    let picture (cells: ToyCell list) : Picture option =
        let scored = scored cells

        if scored.IsEmpty then
            None
        else
            Some
                { Title = "Error of the learned score by noise level"
                  Subtitle = "Relative L2 error under p_t, mean over seeds; the line at 5 % is a guide for the eye"
                  Panels =
                    scored |> List.groupBy _.Target |> List.map (panel (names scored)) |> List.chunkBySize Columns
                  Legend = true }
