namespace Sdac.Functional

open System

/// The distributions that updates tally for the log: weights and timesteps.
[<RequireQualifiedAccess>]
module Distribution =
    /// Relative weights below 2^Lowest, and those from 2^Highest on, share a bucket.
    [<Literal>]
    let private Lowest = -6

    [<Literal>]
    let private Highest = 6

    // Four buckets an octave: a float32's exponent and the first two bits of its mantissa, which are one number.
    let private octaveQuarter (value: float32) = (BitConverter.SingleToInt32Bits value >>> 21) - ((127 + Lowest) <<< 2)

    /// Buckets of relative weights: below, four an octave, above.
    let private weightBuckets = 4 * (Highest - Lowest) + 2

    /// Weights over their row's mean: 1 is what a draw weighs where all draws weigh the same. In rows of `draws` none is larger
    /// than that.
    let weights (draws: int) : DistributionInfo =
        let edge i =
            if i = 0 then
                0.0
            elif i = weightBuckets then
                max (float draws) (2.0 ** float (Highest + 1))
            else
                let quarters = i - 1
                2.0 ** float (Lowest + quarters / 4) * (1.0 + float (quarters % 4) / 4.0)

        { Quantity = "weight"; Edges = Array.init (weightBuckets + 1) edge; Trimmed = true }

    /// Timesteps, a bucket each.
    let timesteps (timesteps: int) : DistributionInfo =
        { Quantity = "timestep"; Edges = Array.init (timesteps + 1) float; Trimmed = false }

    /// Weights, [B, K] row-major, each over its row's mean.
    let tallyWeights (draws: int) (weights: float32[]) : Tally =
        let counts = Array.zeroCreate<int64> weightBuckets

        for row in 0 .. weights.Length / draws - 1 do
            let row = weights.AsSpan(row * draws, draws)
            let mutable sum = 0.0f

            for weight in row do
                sum <- sum + weight

            let scale = float32 draws / sum

            for weight in row do
                let bucket = Math.Clamp(octaveQuarter (weight * scale) + 1, 0, counts.Length - 1)
                counts[bucket] <- counts[bucket] + 1L

        { Quantity = "weight"; Counts = counts }

    /// Timesteps below `timesteps`.
    let tallyTimesteps (timesteps: int) (drawn: int[]) : Tally =
        let counts = Array.zeroCreate<int64> timesteps

        for t in drawn do
            counts[t] <- counts[t] + 1L

        { Quantity = "timestep"; Counts = counts }
