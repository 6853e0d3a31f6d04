namespace Sdac.Sampling

open System
open Sdac.Functional

/// Independent copies of a double well in two dimensions, the benchmark of Midgley et al. (2023, arXiv 2208.01893):
/// ln p = Σ_i f(x_{i,1}) - ½·x_{i,2}², f(u) = -u⁴ + 6·u² + ½·u, with the pairs x_i in a row. The well at positive u is the
/// heavier; pairs choose theirs independently, so that n pairs have 2ⁿ modes whose weights are products.
[<RequireQualifiedAccess>]
module ManyWell =
    /// f of one pair's first coordinate.
    let private height (u: float) = u * u * (6.0 - u * u) + 0.5 * u

    /// f'
    let private slope (u: float) = u * (12.0 - 4.0 * u * u) + 0.5

    /// f'' of the wells' bottoms is nearly -24: a node of the sums below is a hundredth of their deviation.
    [<Literal>]
    let private Step = 0.002

    /// exp(f) is below 1e-69 there.
    [<Literal>]
    let private Reach = 4.0

    let private nodes = Array.init (int (2.0 * Reach / Step) + 1) (fun i -> float i * Step - Reach)
    let private masses = nodes |> Array.map (fun u -> Step * exp (height u))

    /// ln ∫ exp(f), by the trapezoidal rule, which for a function that vanishes with all its slopes at both ends is as exact
    /// as the arithmetic.
    let private logMass = log (Array.sum masses)

    /// ln of the integral of one pair's density.
    let private logPair = logMass + 0.5 * log (2.0 * Math.PI)

    /// The bottom of the well near u, by Newton's method.
    let private bottom (u: float) = Seq.init 20 id |> Seq.fold (fun u _ -> u - slope u / (12.0 - 12.0 * u * u)) u

    let private left, right = bottom -(sqrt 3.0), bottom (sqrt 3.0)

    /// The share of the mass on the right of the middle between both wells, where hardly any lies. Half of a node's belongs to
    /// either side of it.
    let private rightWeight =
        let middle = 0.5 * (left + right)
        let share u = Math.Clamp((u - middle) / Step + 0.5, 0.0, 1.0)
        Array.sum (Array.map2 (fun u mass -> mass * share u) nodes masses) / Array.sum masses

    /// The distribution function at the nodes.
    let private sums =
        let between = masses |> Array.pairwise |> Array.map (fun (a, b) -> 0.5 * (a + b))
        let sums = between |> Array.scan (+) 0.0
        sums |> Array.map (fun s -> s / Array.last sums)

    /// The first coordinate below which the share s of the mass lies.
    let private quantile (s: float) =
        let found = Array.BinarySearch(sums, s)

        if found >= 0 then
            nodes[found]
        else
            let next = min (sums.Length - 1) ~~~found
            let before = next - 1
            nodes[before] + Step * (s - sums[before]) / (sums[next] - sums[before])

    let private sample (pairs: int) (n: int) (key: Key) : Tensor =
        let struct (wellKey, normalKey) = Key.split key
        let u = Key.uniformArray (n * pairs) wellKey
        let z = Key.normalArray (n * pairs) normalKey
        let value i = if i % 2 = 0 then quantile u[i / 2] else z[i / 2]
        Tensors.ofArray Compute.cpu [ n; 2 * pairs ] (Array.init (2 * n * pairs) (fun i -> float32 (value i)))

    let private logDensity (x: Tensor) : Tensor =
        let dim = Tensors.size 1 x

        Rows.map
            (fun v start ->
                let mutable sum = 0.0

                for at in start..2 .. start + dim - 1 do
                    sum <- sum + height (float v[at]) - 0.5 * float v[at + 1] * float v[at + 1]

                sum)
            x

    let private gradient (x: Tensor) : Tensor =
        let dim = Tensors.size 1 x

        Rows.mapVector
            (fun v start result ->
                for at in start..2 .. start + dim - 1 do
                    result[at] <- float32 (slope (float v[at]))
                    result[at + 1] <- -v[at + 1])
            x

    /// ∇ ln p_t of y = √ᾱ·x/halfWidth + √(1-ᾱ)·z: of a second coordinate, which is normal, in closed form; of a first one as the
    /// mean of -(y - √ᾱ·u/halfWidth)/(1-ᾱ) over u given y, by the trapezoidal rule.
    let private noisedScore (halfWidth: float) (alphaBar: float) (y: Tensor) : Tensor =
        let keep, variance = sqrt alphaBar / halfWidth, 1.0 - alphaBar
        // four nodes in a deviation of what is narrower, the well or the noise
        let step = 0.25 * min 0.2 (sqrt variance / keep)
        let count = int (ceil (2.0 * Reach / step))
        let node i = float i * 2.0 * Reach / float count - Reach
        let heights = Array.init (count + 1) (node >> height)

        let first (y: float) =
            let exponent i = heights[i] - (y - keep * node i) ** 2.0 / (2.0 * variance)
            let mutable top = Double.NegativeInfinity

            for i in 0..count do
                top <- max top (exponent i)

            let mutable total, mean = 0.0, 0.0

            for i in 0..count do
                let weight = exp (exponent i - top)
                total <- total + weight
                mean <- mean + weight * node i

            (keep * mean / total - y) / variance

        let dim = Tensors.size 1 y

        Rows.mapVector
            (fun v start result ->
                for at in start..2 .. start + dim - 1 do
                    result[at] <- float32 (first (float v[at]))
                    result[at + 1] <- float32 (-(float v[at + 1]) / (keep * keep + variance)))
            y

    let private view: View =
        let across, upwards = (-3.0, 3.0), (-4.5, 4.5)

        { Axes = "first coordinate of each pair", "second coordinate"
          Across = across
          Upwards = upwards
          Project = fun x -> x |> Tensors.reshape [ Tensors.size 0 x * Tensors.size 1 x / 2; 2 ]
          Shares = Target.shares logDensity across upwards }

    /// So many pairs, 2·pairs dimensions. Raises ArgumentException when pairs < 1.
    let target (name: string) (pairs: int) : Target =
        if pairs < 1 then
            invalidArg (nameof pairs) $"target '{name}' has %d{pairs} pairs; it needs at least 1"

        let halfWidth = 5.0
        let well centre weight = { Centre = [| centre; 0.0 |]; Weight = weight; Radius = 3.0 }

        { Target.create name (2 * pairs) halfWidth logDensity with
            Gradient = gradient
            LogNormaliser = Some(float pairs * logPair)
            Sample = Some(sample pairs)
            NoisedScore = Some(noisedScore halfWidth)
            Modes = [ well left (1.0 - rightWeight); well right rightWeight ]
            View = Some view
            About =
                $"%d{pairs} independent double wells in %d{2 * pairs} dimensions; each well lies in two of them, and the panels show all of them over one another" }
