namespace Sdac.Functional

open System

/// The standard normal distribution restricted to an interval, in double precision and accurate far out in the tails.
[<Struct; NoComparison>]
type NormalInterval =
    private
        {
            Low: float
            High: float
            /// True when the interval was mirrored so that it leans to the negative side, where Φ keeps its digits.
            Mirrored: bool
            PhiLow: float
            PhiHigh: float
        }

[<RequireQualifiedAccess>]
module NormalInterval =
    // Beyond this distance from zero Φ underflows soon; the tail is then exponential to 1e-3 of its own scale.
    [<Literal>]
    let private Tail = -30.0

    let inline private polynomial (coefficients: float[]) (x: float) =
        let mutable sum = 0.0

        for c in coefficients do
            sum <- sum * x + c

        sum

    let private upper =
        [| 3.52624965998911e-2
           0.700383064443688
           6.37396220353165
           33.912866078383
           112.079291497871
           221.213596169931
           220.206867912376 |]

    let private lower =
        [| 8.83883476483184e-2
           1.75566716318264
           16.064177579207
           86.7807322029461
           296.564248779674
           637.333633378831
           793.826512519948
           440.413735824752 |]

    /// Φ(x), the distribution function (Hart's rational approximation 5666 as West 2005 gives it): relative error below
    /// 1e-9 for x ≤ 0.
    let phi (x: float) =
        let z = abs x
        let density = exp (-0.5 * z * z)

        let tail =
            if z < 7.07106781186547 then
                density * polynomial upper z / polynomial lower z
            else
                density / (z + 1.0 / (z + 2.0 / (z + 3.0 / (z + 4.0 / (z + 0.65))))) / 2.506628274631

        if x > 0.0 then 1.0 - tail else tail

    let private centralUpper =
        [| -3.969683028665376e1
           2.209460984245205e2
           -2.759285104469687e2
           1.383577518672690e2
           -3.066479806614716e1
           2.506628277459239 |]

    let private centralLower =
        [| -5.447609879822406e1
           1.615858368580409e2
           -1.556989798598866e2
           6.680131188771972e1
           -1.328068155288572e1
           1.0 |]

    let private tailUpper =
        [| -7.784894002430293e-3
           -3.223964580411365e-1
           -2.400758277161838
           -2.549732539343734
           4.374664141464968
           2.938163982698783 |]

    let private tailLower =
        [| 7.784695709041462e-3; 3.224671290700398e-1; 2.445134137142996; 3.754408661907416; 1.0 |]

    /// Φ⁻¹(p) for 0 < p < 1 (Acklam's rational approximation): relative error below 1.2e-9.
    let inversePhi (p: float) =
        let tail q = polynomial tailUpper q / polynomial tailLower q

        if p < 0.02425 then
            tail (sqrt (-2.0 * log p))
        elif p > 1.0 - 0.02425 then
            -(tail (sqrt (-2.0 * log (1.0 - p))))
        else
            let q = p - 0.5
            q * polynomial centralUpper (q * q) / polynomial centralLower (q * q)

    /// The standard normal on [low, high]. Raises ArgumentException unless low < high.
    let create (low: float) (high: float) : NormalInterval =
        if not (low < high) then
            invalidArg
                (nameof low)
                $"a normal distribution on [{string low}, {string high}] is empty: low must be below high"

        let mirrored = low + high > 0.0
        let low, high = if mirrored then -high, -low else low, high

        { Low = low; High = high; Mirrored = mirrored; PhiLow = phi low; PhiHigh = phi high }

    // Far out the density falls off like exp(|high|·(x - high)): the share of that exponential that lies below the interval.
    let private cut (interval: NormalInterval) = exp (interval.High * (interval.High - interval.Low))

    // Far out Φ(-z) ≈ φ(z)/z, which does not underflow as a logarithm.
    let private logPhi (x: float) (phi: float) = if x < Tail then -0.5 * x * x - log -x - 0.918938533204673 else log phi

    /// ln of the share of the whole distribution that lies in the interval.
    let logShare (interval: NormalInterval) : float =
        if interval.High < Tail then
            logPhi interval.High interval.PhiHigh + log (1.0 - cut interval)
        else
            log (interval.PhiHigh - interval.PhiLow)

    /// The value below which the share u, 0 ≤ u < 1, of the restricted distribution lies.
    let quantile (u: float) (interval: NormalInterval) : float =
        let u = if interval.Mirrored then 1.0 - u else u

        let x =
            if interval.High < Tail then
                // An exponential distribution that falls away from `high` and ends at `low`.
                let cut = cut interval
                interval.High - log (cut + u * (1.0 - cut)) / interval.High
            else
                let p = interval.PhiLow + u * (interval.PhiHigh - interval.PhiLow)
                inversePhi (Math.Clamp(p, 1e-300, 1.0 - 1e-16))

        let x = Math.Clamp(x, interval.Low, interval.High)
        if interval.Mirrored then -x else x
