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
        { Plot.axis "" with
            Scale = Scale.Log 10.0
            Extent = Extent.Between(low, high)
            Ticks = Ticks.At [ 0.001, "0.1 %"; 0.01, "1 %"; 0.05, "5 %"; 0.1, "10 %"; 1.0, "100 %"; 10.0, "1,000 %" ] }

    /// Targets side by side.
    [<Literal>]
    let private Columns = 3

    let private panel (methods: string list) (target: string, cells: ToyCell list) : Panel =
        let layer (method: string) =
            let points = curve (cells |> List.filter (fun cell -> cell.Method = method))
            let place = List.findIndex ((=) method) methods

            { Name = method
              Colour = Plot.palette[place % Plot.palette.Length]
              Mark = Plot.line 1.6 [ for level, error in points -> level, Math.Clamp(error, low, high) ] }

        let present = cells |> List.map _.Method |> set

        { Name = ""; Colour = ""; Mark = Mark.LevelGuide 0.05 }
        :: (methods |> List.filter present.Contains |> List.map layer)
        |> Plot.panel target (300.0, 170.0) noise errors

    /// A panel per target, a line per method, for the cells that have score errors; None where no cell has.
    let picture (cells: ToyCell list) : Picture option =
        let scored = cells |> List.filter (fun cell -> not cell.ScoreErrors.IsEmpty)
        let methods = scored |> List.map _.Method |> List.distinct

        if scored.IsEmpty then
            None
        else
            Some
                { Title = "Error of the learned score by noise level"
                  Subtitle = "Relative L2 error under p_t, mean over seeds; the line at 5 % is a guide for the eye"
                  Panels = scored |> List.groupBy _.Target |> List.map (panel methods) |> List.chunkBySize Columns
                  Legend = true }
