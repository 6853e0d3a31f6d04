namespace Sdac.Functional

open System
open Sdac.Kernels

/// How a Gaussian mixture is fitted to samples.
type MixtureSettings =
    {
        /// Actions per state that a mixture is fitted to
        MixtureSamples: int
        /// Gaussians of a mixture
        MixtureComponents: int
        /// The fit ends when a round raises the mean log-likelihood by less than this
        MixtureTolerance: float
        /// Rounds after which it ends in any case
        MixtureRounds: int
        /// Added to the diagonal of every covariance, whose determinant is zero where actions coincide
        MixtureRegularisation: float
    }

[<RequireQualifiedAccess>]
module MixtureSettings =
    /// DACER's: three components fitted to 200 actions.
    let usual: MixtureSettings =
        { MixtureSamples = 200
          MixtureComponents = 3
          MixtureTolerance = 1e-3
          MixtureRounds = 100
          MixtureRegularisation = 1e-6 }

    let problems (m: MixtureSettings) : string list =
        [ Check.atLeast (nameof m.MixtureComponents) 1 m.MixtureComponents
          Check.positive (nameof m.MixtureTolerance) m.MixtureTolerance
          Check.atLeast (nameof m.MixtureRounds) 1 m.MixtureRounds
          Check.positive (nameof m.MixtureRegularisation) m.MixtureRegularisation
          [ if m.MixtureSamples < 2 * m.MixtureComponents then
                $"mixtureSamples is %d{m.MixtureSamples}; {m.MixtureComponents} components need at least {2 * m.MixtureComponents} samples" ] ]
        |> List.concat

/// Σ_c w_c·N(μ_c, Σ_c) in d dimensions.
[<NoComparison>]
type GaussianMixture =
    {
        /// w, positive, of sum 1
        Weights: float[]
        /// μ, [d] each
        Means: float[][]
        /// Σ, [d, d] each
        Covariances: float[,][]
    }

/// Gaussian mixtures in double precision: the fit by expectation and maximisation (Dempster, Laird, Rubin 1977), and what the
/// fit says about entropy. Pure: the random start comes from a key.
[<RequireQualifiedAccess>]
module GaussianMixture =
    /// The lower factor L of a positive definite matrix, L·Lᵀ. Raises ArgumentException where it is not positive definite.
    let private cholesky (a: float[,]) : float[,] =
        let d = Array2D.length1 a
        let l = Array2D.zeroCreate d d

        for i in 0 .. d - 1 do
            for j in 0..i do
                let mutable rest = a[i, j]

                for k in 0 .. j - 1 do
                    rest <- rest - l[i, k] * l[j, k]

                if i <> j then
                    l[i, j] <- rest / l[j, j]
                elif rest > 0.0 then
                    l[i, i] <- sqrt rest
                else
                    invalidArg (nameof a) $"a covariance is not positive definite (pivot {i} is {string rest})"

        l

    /// ½·ln det of L·Lᵀ.
    let private halfLogDet (l: float[,]) = Seq.sum (seq { for i in 0 .. Array2D.length1 l - 1 -> log l[i, i] })

    /// ½|L⁻¹(x - μ)|².
    let private halfDistance (l: float[,]) (mean: float[]) (x: float[]) (solved: float[]) =
        let mutable sum = 0.0

        for i in 0 .. mean.Length - 1 do
            let mutable rest = x[i] - mean[i]

            for k in 0 .. i - 1 do
                rest <- rest - l[i, k] * solved[k]

            solved[i] <- rest / l[i, i]
            sum <- sum + solved[i] * solved[i]

        0.5 * sum

    /// The bound Σ_c w_c·(½d(1 + ln 2π) + ½ ln det Σ_c) - Σ_c w_c ln w_c of the mixture's entropy from above, exact where no two
    /// components overlap. In nats.
    let entropyBound (m: GaussianMixture) : float =
        let d = float m.Means[0].Length

        Array.map2
            (fun w covariance ->
                if w > 0.0 then
                    w * (0.5 * d * (1.0 + log (2.0 * Math.PI)) + halfLogDet (cholesky covariance) - log w)
                else
                    0.0)
            m.Weights
            m.Covariances
        |> Array.sum

    let private squaredDistance (a: float[]) (b: float[]) =
        let mutable sum = 0.0

        for i in 0 .. a.Length - 1 do
            sum <- sum + (a[i] - b[i]) * (a[i] - b[i])

        sum

    let private nearest (centres: float[][]) (x: float[]) =
        let mutable best = 0

        for c in 1 .. centres.Length - 1 do
            if squaredDistance centres[c] x < squaredDistance centres[best] x then
                best <- c

        best

    // Candidates for each centre after the first one, as many as scikit-learn's k-means draws for three.
    [<Literal>]
    let private Candidates = 3

    /// Centres chosen among the points: of some candidates, drawn with a probability in proportion to the squared distance from
    /// the centres before, the one that leaves the points nearest (k-means++ with greedy choice, Arthur & Vassilvitskii 2007).
    let private seeds (components: int) (key: Key) (points: float[][]) : float[][] =
        let u = Array.zeroCreate<float32>(1 + (components - 1) * Candidates)
        Philox.Uniform(key.Philox, 0L, Span u)
        let first = points[min (points.Length - 1) (int (float u[0] * float points.Length))]

        let next (centres: float[][], far: float[]) (u: float32[]) =
            let sums = Array.scan (+) 0.0 far

            let candidate (u: float32) =
                // the last point whose predecessors sum to no more; where all points are centres, any
                let wanted = float u * Array.last sums
                let at = Array.FindLastIndex(sums[.. points.Length - 1], (fun sum -> sum <= wanted))
                points[at], Array.map2 (fun x before -> min before (squaredDistance points[at] x)) points far

            let chosen, far = u |> Array.map candidate |> Array.minBy (fun (_, far) -> Array.sum far)
            Array.append centres [| chosen |], far

        u[1..]
        |> Array.chunkBySize Candidates
        |> Array.fold next ([| first |], points |> Array.map (squaredDistance first))
        |> fst

    let private mean (points: float[][]) =
        Array.init points[0].Length (fun i -> points |> Array.averageBy (fun x -> x[i]))

    /// The index of each point's cluster by k-means (Lloyd 1982).
    let private clusters (rounds: int) (components: int) (key: Key) (points: float[][]) : int[] =
        let assign centres = points |> Array.map (nearest centres)

        let rec improved round (centres: float[][]) (assigned: int[]) =
            let centres =
                centres
                |> Array.mapi (fun c centre ->
                    match Array.zip assigned points |> Array.filter (fun (at, _) -> at = c) with
                    | [||] -> centre
                    | own -> mean (Array.map snd own))

            let next = assign centres

            if next = assigned || round >= rounds then
                next
            else
                improved (round + 1) centres next

        let centres = seeds components key points
        improved 1 centres (assign centres)

    /// The mixture that responsibilities [points, components] make most likely.
    let private maximised (regularisation: float) (points: float[][]) (r: float[,]) : GaussianMixture =
        let n, components, d = points.Length, Array2D.length2 r, points[0].Length

        let total c =
            // a component that lost all its points keeps a weight of which a logarithm can be taken
            let mutable sum = 1e-14

            for i in 0 .. n - 1 do
                sum <- sum + r[i, c]

            sum

        let counts = Array.init components total

        let means =
            Array.init components (fun c ->
                let m = Array.zeroCreate d

                for i in 0 .. n - 1 do
                    for j in 0 .. d - 1 do
                        m[j] <- m[j] + r[i, c] * points[i][j] / counts[c]

                m)

        let covariance c =
            let s = Array2D.zeroCreate d d

            for i in 0 .. n - 1 do
                let share = r[i, c] / counts[c]

                for j in 0 .. d - 1 do
                    let apart = share * (points[i][j] - means[c][j])

                    for k in 0..j do
                        s[j, k] <- s[j, k] + apart * (points[i][k] - means[c][k])

            Array2D.init d d (fun j k ->
                (if k <= j then s[j, k] else s[k, j]) + (if j = k then regularisation else 0.0))

        { Weights = counts |> Array.map (fun count -> count / float n)
          Means = means
          Covariances = Array.init components covariance }

    /// Responsibilities of the components for the points, and the mean log-likelihood.
    let private expected (m: GaussianMixture) (points: float[][]) : struct (float[,] * float) =
        let d, components = points[0].Length, m.Weights.Length
        let factors = m.Covariances |> Array.map cholesky

        let constants =
            Array.init components (fun c ->
                log m.Weights[c] - halfLogDet factors[c] - 0.5 * float d * log (2.0 * Math.PI))

        let r, logs, solved =
            Array2D.zeroCreate points.Length components, Array.zeroCreate components, Array.zeroCreate d

        let mutable sum = 0.0

        for i in 0 .. points.Length - 1 do
            for c in 0 .. components - 1 do
                logs[c] <- constants[c] - halfDistance factors[c] m.Means[c] points[i] solved

            let largest = Array.max logs
            let likelihood = largest + log (logs |> Array.sumBy (fun l -> exp (l - largest)))
            sum <- sum + likelihood

            for c in 0 .. components - 1 do
                r[i, c] <- exp (logs[c] - likelihood)

        struct (r, sum / float points.Length)

    /// The mixture fitted to points [d]: clusters by k-means first, then rounds of expectation and maximisation until the mean
    /// log-likelihood rises by less than the tolerance. Raises ArgumentException for fewer points than components, or where a
    /// number is not finite.
    let fit (settings: MixtureSettings) (key: Key) (points: float[][]) : GaussianMixture =
        let components = settings.MixtureComponents

        if points.Length < components then
            invalidArg (nameof points) $"{points.Length} points are too few for a mixture of {components} components"

        if points |> Array.exists (Array.exists (Double.IsFinite >> not)) then
            invalidArg (nameof points) "the points of a mixture must be numbers, but one of them is not finite"

        let cluster = clusters settings.MixtureRounds components key points

        let start =
            Array2D.init points.Length components (fun i c -> if cluster[i] = c then 1.0 else 0.0)
            |> maximised settings.MixtureRegularisation points

        let rec improved round (m: GaussianMixture) (before: float) =
            let struct (r, likelihood) = expected m points
            let next = maximised settings.MixtureRegularisation points r

            if round >= settings.MixtureRounds || abs (likelihood - before) < settings.MixtureTolerance then
                next
            else
                improved (round + 1) next likelihood

        improved 1 start Double.NegativeInfinity

    /// The mean over states of `entropyBound` of the mixtures fitted to their samples. samples: [states · n, d] row-major, those
    /// of a state in a row; every state's fit starts from a key of its own.
    let meanEntropy (settings: MixtureSettings) (key: Key) (states: int) (d: int) (samples: float32[]) : float =
        let n = samples.Length / (states * d)

        Seq.init states (fun s ->
            Array.init n (fun i -> Array.init d (fun j -> float samples[(s * n + i) * d + j]))
            |> fit settings (Key.foldIn (int64 s) key)
            |> entropyBound)
        |> Seq.average
