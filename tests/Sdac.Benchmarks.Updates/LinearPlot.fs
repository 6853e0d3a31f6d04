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

    /// Draws milliseconds per update against size (as a multiple of the smallest), one colour per setting, with the
    /// fitted lines. series: name of the setting, (value, ms).
    let save (specification: string) (picture: string) (series: (string * (float * float)[]) seq) =
        let colours = [| "#0072b2"; "#d55e00"; "#009e73"; "#cc79a7" |]

        let layers =
            [ for i, (name, points) in Seq.indexed series do
                  let smallest = points |> Array.map fst |> Array.min
                  let f = fit points

                  let layer mark rows =
                      { Name = $"{name}, from {smallest:F0} (R² {f.R2:F4})"
                        Colour = colours[i % colours.Length]
                        Rows = [ for x, y in rows -> [ "size", x / smallest; "ms", y ] ]
                        Mark = mark
                        Channels = [ "y", Plot.quantitative "ms" "milliseconds per update" ] }

                  layer (Plot.points 1.0 60.0) points
                  layer (Plot.line 1.5) [| for x, _ in points -> x, f.Intercept + f.Slope * x |] ]

        Plot.chart
            "Cost of an update"
            "HalfCheetah's sizes, batch 128, 8 particles, 32 draws, 10 timesteps, one of them varied over a decade"
            (Plot.quantitative "size" "size, as a multiple of the smallest")
            layers
        |> Plot.save specification picture
