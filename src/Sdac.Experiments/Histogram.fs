namespace Sdac.Experiments

open System
open Sdac

/// How often numbers fell between edges: Counts[i] of them in [Edges[i], Edges[i + 1]).
type Histogram = { Edges: float list; Counts: int64 list }

/// The distributions that a run records beside its scalars.
[<RequireQualifiedAccess>]
module Histogram =
    /// Relative weights below 2^Lowest, and those from 2^Highest on, share a bucket.
    [<Literal>]
    let private Lowest = -6

    [<Literal>]
    let private Highest = 6

    // Four buckets an octave: a float32's exponent and the first two bits of its mantissa, which are one number.
    let private octaveQuarter (value: float32) = (BitConverter.SingleToInt32Bits value >>> 21) - ((127 + Lowest) <<< 2)

    /// Buckets of relative weights: below, four an octave, above.
    let weightBuckets = 4 * (Highest - Lowest) + 2

    /// Adds the weights of one update, [B, K] row-major, each over its row's mean, to `counts`: 1 is what a draw weighs where
    /// all draws weigh the same.
    let addWeights (draws: int) (weights: float32[]) (counts: int64[]) =
        for row in 0 .. weights.Length / draws - 1 do
            let row = weights.AsSpan(row * draws, draws)
            let mutable sum = 0.0f

            for weight in row do
                sum <- sum + weight

            let scale = float32 draws / sum

            for weight in row do
                let bucket = Math.Clamp(octaveQuarter (weight * scale) + 1, 0, counts.Length - 1)
                counts[bucket] <- counts[bucket] + 1L

    /// Adds the timesteps of one update to `counts`, one bucket each.
    let addTimesteps (timesteps: int[]) (counts: int64[]) =
        for t in timesteps do
            counts[t] <- counts[t] + 1L

    /// Relative weights by `addWeights`, without the empty buckets at either end. With K draws none is larger than K.
    let ofWeights (draws: int) (counts: int64[]) : Histogram option =
        let edge i =
            if i = 0 then
                0.0
            elif i = weightBuckets then
                max (float draws) (2.0 ** float (Highest + 1))
            else
                let quarters = i - 1
                2.0 ** float (Lowest + quarters / 4) * (1.0 + float (quarters % 4) / 4.0)

        match Array.tryFindIndex ((<>) 0L) counts, Array.tryFindIndexBack ((<>) 0L) counts with
        | Some first, Some last ->
            Some { Edges = [ for i in first .. last + 1 -> edge i ]; Counts = List.ofArray counts[first..last] }
        | _ -> None

    /// Timesteps by `addTimesteps`: bucket t is [t, t + 1).
    let ofTimesteps (counts: int64[]) : Histogram option =
        if Array.forall ((=) 0L) counts then
            None
        else
            Some { Edges = [ for t in 0 .. counts.Length -> float t ]; Counts = List.ofArray counts }
