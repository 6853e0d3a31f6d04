namespace Sdac.Experiments

open System
open System.Globalization

/// Round numbers along an axis, and numbers as texts: the same under every culture.
[<RequireQualifiedAccess>]
module RoundNumbers =
    /// The step, 1, 2 or 5 times a power of ten, that cuts a range into about `count` parts.
    let step (count: int) (range: float) : float =
        let rough = range / float (max 1 count)
        let power = 10.0 ** floor (log10 rough)
        let error = rough / power

        if error >= sqrt 50.0 then 10.0 * power
        elif error >= sqrt 10.0 then 5.0 * power
        elif error >= sqrt 2.0 then 2.0 * power
        else power

    /// The multiple of a step, without the dust of its product.
    let private times (step: float) (n: float) = if step < 1.0 then n / Math.Round(1.0 / step, 6) else n * step

    /// The range that round numbers span around a range.
    let around (count: int) (low: float) (high: float) : float * float =
        let step = step count (high - low)
        times step (floor (low / step + 1e-9)), times step (ceil (high / step - 1e-9))

    /// The round numbers in a range.
    let between (count: int) (low: float) (high: float) : float list =
        let step = step count (high - low)
        [ for n in ceil (low / step - 1e-9) .. floor (high / step + 1e-9) -> times step n + 0.0 ]

    let private digits (value: float) =
        let invariant = CultureInfo.InvariantCulture

        if value = 0.0 then
            "0"
        elif abs value >= 1e15 || abs value < 1e-6 then
            value.ToString("0.###e0", invariant)
        else
            let digits = Math.Clamp(8 - int (floor (log10 (abs value))), 0, 15)
            Math.Round(value, digits).ToString("#,##0.###############", invariant)

    /// A number with commas between thousands, as many decimals as it has, up to nine significant digits, and a true minus.
    let text (value: float) : string = (digits value).Replace('-', '−')
