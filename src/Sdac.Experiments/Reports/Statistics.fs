namespace Sdac.Experiments

open System
open Sdac.Functional

/// An estimate with the ends of its confidence interval; the ends are NaN where there are too few runs for one.
[<Struct>]
type Estimate = { Value: float; Low: float; High: float }

/// Statistics over a few runs, as Agarwal et al. propose for reinforcement learning ("Deep Reinforcement Learning at the
/// Edge of the Statistical Precipice", NeurIPS 2021). Scores are given as strata: one array of runs per task.
[<RequireQualifiedAccess>]
module Statistics =
    /// The q-quantile (0 to 1) of sorted values, between neighbours by linear interpolation; NaN of none.
    let quantileSorted (q: float) (sorted: float[]) : float =
        if sorted.Length = 0 then
            nan
        else
            let place = Math.Clamp(q, 0.0, 1.0) * float (sorted.Length - 1)
            let below = int (floor place)
            let above = min (below + 1) (sorted.Length - 1)
            let share = place - float below

            // without this, infinity - infinity
            if share = 0.0 || sorted[below] = sorted[above] then
                sorted[below]
            else
                sorted[below] + share * (sorted[above] - sorted[below])

    /// The q-quantile (0 to 1) of values in any order.
    let quantile (q: float) (values: float[]) : float = quantileSorted q (Array.sort values)

    /// Arithmetic mean; NaN of none.
    let mean (values: float[]) : float = if values.Length = 0 then nan else Array.sum values / float values.Length

    /// Interquartile mean: the mean without the floor(n/4) smallest and as many largest values, the trimmed mean that the
    /// field's tools use. Of fewer than four values it is the mean; of none NaN.
    let iqm (values: float[]) : float =
        let cut = values.Length / 4
        let sorted = Array.sort values
        mean sorted[cut .. sorted.Length - 1 - cut]

    /// A statistic of all runs of all strata together.
    let pooled (statistic: float[] -> float) (strata: float[][]) : float = statistic (Array.concat strata)

    /// The mean over strata of a statistic of each: every task counts the same however many runs it has.
    let perStratum (statistic: float[] -> float) (strata: float[][]) : float = mean (Array.map statistic strata)

    /// The share of runs that score more than `threshold`, averaged over strata: a point of the performance profile.
    let profileAt (threshold: float) (strata: float[][]) : float =
        strata
        |> perStratum (fun runs -> mean (runs |> Array.map (fun score -> if score > threshold then 1.0 else 0.0)))

    /// The probability that a run of `x` scores more than one of `y` on the same task, ties counting half: the Mann-Whitney
    /// statistic over the number of pairs; NaN where there are none.
    let improvement (x: float[]) (y: float[]) : float =
        let mutable won = 0.0

        for a in x do
            for b in y do
                if a > b then
                    won <- won + 1.0
                elif a = b then
                    won <- won + 0.5

        won / (float x.Length * float y.Length)

    /// `improvement` averaged over tasks.
    let meanImprovement (x: float[][]) (y: float[][]) : float = mean (Array.map2 improvement x y)

    /// Which runs each of `resamples` bootstrap samples takes from strata of the given sizes: [resample][stratum][run]. Each
    /// stratum is drawn from itself, with replacement, at its own size; the same key gives the same draws.
    let resamples (count: int) (sizes: int[]) (key: Key) : int[][][] =
        let drawn =
            sizes
            |> Array.mapi (fun stratum size ->
                if size = 0 then
                    [||]
                else
                    Key.integers size (count * size) (Key.foldIn (int64 stratum) key))

        Array.init count (fun i ->
            Array.init sizes.Length (fun stratum ->
                let size = sizes[stratum]
                drawn[stratum][i * size .. (i + 1) * size - 1]))

    /// The strata that one resample makes.
    let take (strata: float[][]) (resample: int[][]) : float[][] =
        Array.map2 (fun (runs: float[]) (draw: int[]) -> Array.map (fun i -> runs[i]) draw) strata resample

    /// The central interval of the given level (0.95) of bootstrap values.
    let percentileInterval (level: float) (values: float[]) : struct (float * float) =
        let sorted = Array.sort values
        let tail = (1.0 - level) / 2.0
        struct (quantileSorted tail sorted, quantileSorted (1.0 - tail) sorted)

    /// An interval needs some stratum with two runs or more: otherwise every resample is the sample.
    let private hasSpread (strata: float[][]) = strata |> Array.exists (fun runs -> runs.Length > 1)

    /// A statistic of the strata with its stratified bootstrap interval (percentile method) from `count` resamples.
    let bootstrap
        (level: float)
        (count: int)
        (key: Key)
        (statistic: float[][] -> float)
        (strata: float[][])
        : Estimate =
        let value = statistic strata

        if hasSpread strata then
            let struct (low, high) =
                resamples count (Array.map Array.length strata) key
                |> Array.map (take strata >> statistic)
                |> percentileInterval level

            { Value = value; Low = low; High = high }
        else
            { Value = value; Low = nan; High = nan }

    /// The probability of improvement of x over y with its bootstrap interval, both sides resampled. x and y hold the same
    /// tasks in the same order.
    let bootstrapImprovement (level: float) (count: int) (key: Key) (x: float[][]) (y: float[][]) : Estimate =
        let tasks = x.Length

        bootstrap level count key (fun both -> meanImprovement both[.. tasks - 1] both[tasks..]) (Array.append x y)

    /// The mean of x - y over pairs (the same seed, the same start), with its bootstrap interval: pairs are resampled as such, so that
    /// what both sides owe to the seed does not widen it. x and y are of one length.
    let pairedDifference (level: float) (count: int) (key: Key) (x: float[]) (y: float[]) : Estimate =
        bootstrap level count key (pooled mean) [| Array.map2 (-) x y |]

    /// How likely one side scores more than the other in every pair of runs of every task where both sides draw from the same
    /// distribution: 2 over the product of C(n + m, n). It is the smallest two-sided p-value that a rank test can give for so many
    /// runs, so where it exceeds a test's level no outcome of these runs tells the sides apart. `sizes`: runs of both sides by task.
    let chanceOfSeparation (sizes: (int * int) seq) : float =
        let ways (n: int, m: int) = Seq.fold (fun ways i -> ways * float (m + i) / float i) 1.0 (seq { 1..n })
        min 1.0 (2.0 / Seq.fold (fun all pair -> all * ways pair) 1.0 sizes)

    /// Scores of one task on a scale where `worst` is 0 and `best` is 1; all 1 where the two are equal.
    let normalise (worst: float) (best: float) (scores: float[]) : float[] =
        scores |> Array.map (fun score -> if best > worst then (score - worst) / (best - worst) else 1.0)
