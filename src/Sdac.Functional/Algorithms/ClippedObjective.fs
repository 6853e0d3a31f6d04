namespace Sdac.Functional

open System

/// How the value's error is kept near the rollout's values.
[<RequireQualifiedAccess>]
type ValueClip =
    /// Not at all: (V - R)²
    | Off
    /// By the error of the clipped value alone, (V_old + clip(V - V_old, ±ε) - R)²
    | Alone
    /// By the larger of both
    | Larger

/// The clipped objective of a minibatch: its loss, the loss's gradient with respect to the log-probabilities, and how far the
/// policy has moved.
type ClippedLoss =
    {
        Loss: float
        /// [B]
        Gradient: float[]
        /// mean((ρ - 1) - ln ρ), an estimate of the divergence from the old policy (Schulman 2020)
        Kl: float
        /// Share of the ratios beyond their 1 ± ε
        ClippedShare: float
    }

/// PPO's equations on the numbers of a minibatch.
[<RequireQualifiedAccess>]
module PpoObjective =
    /// (A - mean)/(deviation + 1e-8), the deviation with n - 1. One advantage alone stays as it is.
    let normalised (advantage: float[]) : float[] =
        let n = float advantage.Length

        if advantage.Length < 2 then
            advantage
        else
            let mean = Array.sum advantage / n
            let squares = advantage |> Array.sumBy (fun a -> (a - mean) * (a - mean))
            let deviation = sqrt (squares / (n - 1.0)) + 1e-8
            advantage |> Array.map (fun a -> (a - mean) / deviation)

    /// L = -mean min(ρ·A, clip(ρ, 1 - ε, 1 + ε)·A) with ρ = π/π_old, eq. 7 of arXiv 1707.06347, and an ε for each entry.
    /// clip: ε [B]; logRatio: ln ρ [B]; advantage: [B].
    let clippedEach (clip: float[]) (logRatio: float[]) (advantage: float[]) : ClippedLoss =
        let n = float logRatio.Length
        let gradient = Array.zeroCreate<float> logRatio.Length
        let mutable loss, kl, beyond = 0.0, 0.0, 0

        for i in 0 .. logRatio.Length - 1 do
            let ratio = exp logRatio[i]
            let free = ratio * advantage[i]
            let bounded = Math.Clamp(ratio, 1.0 - clip[i], 1.0 + clip[i]) * advantage[i]
            loss <- loss - min free bounded
            kl <- kl + (ratio - 1.0 - logRatio[i])

            // dρ/d ln π = ρ; where the clipped term is the smaller one, nothing moves
            if free <= bounded then
                gradient[i] <- -free / n

            if abs (ratio - 1.0) > clip[i] then
                beyond <- beyond + 1

        { Loss = loss / n; Gradient = gradient; Kl = kl / n; ClippedShare = float beyond / n }

    /// The same with one ε for all.
    let clipped (clip: float) (logRatio: float[]) (advantage: float[]) : ClippedLoss =
        clippedEach (Array.create logRatio.Length clip) logRatio advantage

    /// The mean error of the values and its gradient [B]. old: those of the rollout; value, returns: [B].
    let valueLoss
        (form: ValueClip)
        (range: float)
        (old: float[])
        (value: float[])
        (returns: float[])
        : struct (float * float[]) =
        let n = float value.Length
        let gradient = Array.zeroCreate<float> value.Length
        let mutable loss = 0.0

        for i in 0 .. value.Length - 1 do
            let moved = value[i] - old[i]
            let free = value[i] - returns[i]
            let bounded = old[i] + Math.Clamp(moved, -range, range) - returns[i]
            let isFree = form = ValueClip.Off || (form = ValueClip.Larger && free * free >= bounded * bounded)
            let error = if isFree then free else bounded
            loss <- loss + error * error

            if isFree || abs moved < range then
                gradient[i] <- 2.0 * error / n

        struct (loss / n, gradient)
