namespace Sdac.Experiments

open Sdac.Functional
open Sdac.Sampling

/// Bias and spread of the estimates that policies learn from, against the number of draws: a picture.
[<RequireQualifiedAccess>]
module EstimatorPicture =
    /// ᾱ of the timesteps that are shown.
    let private bars = [ 0.9; 0.5 ]

    let private colours = [ "#000000"; "#0072B2"; "#56B4E9"; "#D55E00" ]

    let private logarithmic (title: string) (scale: float) (low: float, high: float) (ticks: float list) : Axis =
        { Plot.axis title with
            Scale = Scale.Log scale
            Extent = Extent.Between(low, high)
            Ticks = Ticks.At [ for tick in ticks -> tick, string tick ] }

    let private draws = logarithmic "draws K of a point" 2.0 (1.0, 512.0) [ 1.0; 4.0; 16.0; 64.0; 256.0 ]

    // Below the axis there is nothing to tell from 0.
    let private errors (title: string) =
        logarithmic title 10.0 (1e-4, 100.0) [ 1e-4; 1e-3; 1e-2; 0.1; 1.0; 10.0; 100.0 ]

    let private lines (found: (string * EstimateErrors list) list) (value: EstimateErrors -> float) : Layer list =
        List.map2
            (fun (name, errors: EstimateErrors list) colour ->
                { Name = name
                  Colour = colour
                  Mark = Plot.dottedLine 1.6 [ for e in errors -> float e.Draws, max 1e-4 (value e) ] })
            found
            colours

    /// Below this line a bias is not told from 0: the standard error of the raw weights' mean, largest of all.
    let private unresolved (found: (string * EstimateErrors list) list) : Layer =
        let raw = snd (List.head found)

        { Name = "standard error of the raw weights' mean"
          Colour = "#BBBBBB"
          Mark = Mark.Band [ for e in raw -> float e.Draws, 1e-4, e.StandardError ] }

    let private row (key: Key) (target: OneStateTarget) (bar: float) : Panel list =
        let found =
            EstimatorBias.estimators
            |> List.map (fun (name, estimator) -> name, EstimatorBias.errors target bar estimator key)

        let panel title axis layers =
            Plot.panel $"{target.Name}, ᾱ {string bar}: {title}" (330.0, 190.0) draws axis layers

        [ panel "bias" (errors "") (unresolved found :: lines found _.Bias)
          panel "deviation of one estimate" (errors "") (lines found _.Deviation) ]

    /// A row for each target and timestep: bias beside the deviation of a single estimate.
    let create (key: Key) : Picture =
        { Title = "What K draws tell of the optimal noise"
          Subtitle = "root mean squares over nine points a_t, beside the value by quadrature"
          Panels =
            [ for target in OneState.targets do
                  for bar in bars -> row key target bar ]
          Legend = true }
