namespace Sdac.Benchmarks

open Sdac.Experiments

/// A straight line through measured costs.
type Fit =
    {
        /// Milliseconds at size 0 and per unit of size
        Intercept: float
        Slope: float
        /// Coefficient of determination
        R2: float
    }

/// The report on how the cost of an update grows with its sizes.
[<RequireQualifiedAccess>]
module LinearPlot =
    /// Least squares.
    let fit (points: (float * float)[]) : Fit =
        let meanX, meanY = points |> Array.averageBy fst, points |> Array.averageBy snd
        let sxx = points |> Array.sumBy (fun (x, _) -> (x - meanX) ** 2.0)
        let sxy = points |> Array.sumBy (fun (x, y) -> (x - meanX) * (y - meanY))
        let syy = points |> Array.sumBy (fun (_, y) -> (y - meanY) ** 2.0)
        let slope = sxy / sxx
        let rest = points |> Array.sumBy (fun (x, y) -> (y - meanY - slope * (x - meanX)) ** 2.0)

        { Intercept = meanY - slope * meanX; Slope = slope; R2 = 1.0 - rest / syy }

    /// Milliseconds per update against size (as a multiple of the smallest), one colour and marker per setting, with the fitted
    /// lines. series: name of the setting, (value, ms).
    let picture (series: (string * (float * float)[]) seq) : Picture =
        [ for i, (name, points) in Seq.indexed series do
              let smallest = points |> Array.map fst |> Array.min
              let f = fit points
              let relative rows = [ for x, y in rows -> x / smallest, y ]
              let fitted = [| for x, _ in points -> x, f.Intercept + f.Slope * x |]

              let layer mark =
                  { Name = $"{name}, from {smallest:F0} (R² {f.R2:F4})"
                    Colour = Plot.palette[i % Plot.palette.Length]
                    Mark = mark }

              layer (Plot.dots 9.0 1.0 (relative points))
              layer (Plot.line 1.5 (relative fitted)) ]
        |> Plot.chart
            "Cost of an update"
            "HalfCheetah's sizes, batch 128, 8 particles, 32 draws, 10 timesteps, one of them varied over a decade"
            (Plot.axis "size, as a multiple of the smallest")
            (Plot.axis "milliseconds per update")

    /// Draws them into an SVG and the PNG beside it.
    let save (svg: string) (series: (string * (float * float)[]) seq) : Result<unit, string> =
        picture series |> Plot.save svg
