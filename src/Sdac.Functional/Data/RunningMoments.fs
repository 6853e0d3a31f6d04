namespace Sdac.Functional

/// Count, mean and population variance of vectors seen so far, component by component. A value: merging gives a new one.
type RunningMoments = { Count: float; Mean: float[]; Variance: float[] }

/// Moments of a stream, merged batch by batch without cancellation (Chan, Golub, LeVeque 1979; batches of one are Welford's).
[<RequireQualifiedAccess>]
module RunningMoments =
    /// Nothing seen yet.
    let empty (width: int) : RunningMoments =
        { Count = 0.0; Mean = Array.zeroCreate width; Variance = Array.create width 1.0 }

    /// Mean 0 and variance 1 with the weight of a ten-thousandth of a vector: the usual start of PPO's statistics.
    let start (width: int) : RunningMoments = { empty width with Count = 1e-4 }

    /// The moments of both streams together.
    let merge (a: RunningMoments) (b: RunningMoments) : RunningMoments =
        if a.Mean.Length <> b.Mean.Length then
            invalidArg (nameof b) $"moments of {b.Mean.Length} components cannot join those of {a.Mean.Length}"

        let count = a.Count + b.Count

        if count = 0.0 then
            a
        else
            let share = b.Count / count
            let apart = Array.map2 (-) b.Mean a.Mean

            let variance i =
                a.Variance[i] * (1.0 - share) + b.Variance[i] * share + apart[i] * apart[i] * share * (1.0 - share)

            { Count = count
              Mean = Array.map2 (fun mean apart -> mean + apart * share) a.Mean apart
              Variance = Array.init a.Mean.Length variance }

    /// The moments of a batch alone. rows: [n, width], row-major.
    let ofRows (width: int) (rows: float[]) : RunningMoments =
        if width < 1 || rows.Length % width <> 0 then
            invalidArg (nameof rows) $"{rows.Length} numbers are no whole number of rows of {width}"

        let n = rows.Length / width

        if n = 0 then
            empty width
        else
            let mean, variance = Array.zeroCreate<float> width, Array.zeroCreate<float> width

            for i in 0 .. width - 1 do
                let mutable sum = 0.0

                for r in 0 .. n - 1 do
                    sum <- sum + rows[r * width + i]

                mean[i] <- sum / float n
                let mutable squares = 0.0

                for r in 0 .. n - 1 do
                    let apart = rows[r * width + i] - mean[i]
                    squares <- squares + apart * apart

                variance[i] <- squares / float n

            { Count = float n; Mean = mean; Variance = variance }

    /// With a batch more. rows: [n, width].
    let observe (rows: float[]) (moments: RunningMoments) : RunningMoments =
        merge moments (ofRows moments.Mean.Length rows)

    /// (x - mean)/√(variance + 1e-8), clipped to ±limit. rows: [n, width].
    let normalise (limit: float) (moments: RunningMoments) (rows: float[]) : float[] =
        let width = moments.Mean.Length

        if rows.Length % width <> 0 then
            invalidArg (nameof rows) $"{rows.Length} numbers are no whole number of rows of {width}"

        rows
        |> Array.mapi (fun k x ->
            let i = k % width
            let standardised = (x - moments.Mean[i]) / sqrt (moments.Variance[i] + 1e-8)
            max -limit (min limit standardised))

    /// The same in place, in single precision. rows: [n, width].
    let normaliseInPlace (limit: float) (moments: RunningMoments) (rows: System.Span<float32>) =
        let width = moments.Mean.Length
        let deviations = moments.Variance |> Array.map (fun variance -> sqrt (variance + 1e-8))

        for k in 0 .. rows.Length - 1 do
            let i = k % width
            rows[k] <- float32 (max -limit (min limit ((float rows[k] - moments.Mean[i]) / deviations[i])))

    /// The same in single precision.
    let normaliseSingle (limit: float) (moments: RunningMoments) (rows: float32[]) : float32[] =
        Array.map float rows |> normalise limit moments |> Array.map float32

/// Rewards divided by the deviation of the discounted return so far: its value per environment, and its moments.
type ReturnScale = { Return: float[]; Moments: RunningMoments }

/// PPO's reward normalisation: the mean stays.
[<RequireQualifiedAccess>]
module ReturnScale =
    let start (environments: int) : ReturnScale =
        { Return = Array.zeroCreate environments; Moments = RunningMoments.start 1 }

    /// One vector step, in this order: G ← γ·G + r, the moments of G, the scaled rewards clip(r/√(var G + 1e-8), ±limit), and
    /// G ← 0 where an episode ended, terminated or truncated. reward, ended: [environments].
    let observe
        (discount: float)
        (limit: float)
        (reward: float[])
        (ended: bool[])
        (scale: ReturnScale)
        : struct (ReturnScale * float[]) =
        if reward.Length <> scale.Return.Length || ended.Length <> scale.Return.Length then
            invalidArg
                (nameof reward)
                $"{reward.Length} rewards and {ended.Length} ends do not fit {scale.Return.Length} environments"

        let returns = Array.map2 (fun g r -> discount * g + r) scale.Return reward
        let moments = RunningMoments.observe returns scale.Moments
        let deviation = sqrt (moments.Variance[0] + 1e-8)
        let scaled = reward |> Array.map (fun r -> max -limit (min limit (r / deviation)))

        let next =
            { Return = Array.map2 (fun g ended -> if ended then 0.0 else g) returns ended; Moments = moments }

        struct (next, scaled)

    /// A round of steps at once, as DPPO's authors scale: G of all steps first, their moments in one piece, then every reward by
    /// the variance with the divisor count - 1. reward, ended: [steps · environments], step by step.
    let observeRound
        (discount: float)
        (limit: float)
        (reward: float[])
        (ended: bool[])
        (scale: ReturnScale)
        : struct (ReturnScale * float[]) =
        let environments = scale.Return.Length

        if reward.Length % environments <> 0 || ended.Length <> reward.Length then
            invalidArg
                (nameof reward)
                $"{reward.Length} rewards and {ended.Length} ends are no whole number of steps of {environments} environments"

        let now = Array.copy scale.Return
        let returns = Array.zeroCreate<float> reward.Length

        for i in 0 .. reward.Length - 1 do
            let e = i % environments
            returns[i] <- discount * now[e] + reward[i]
            now[e] <- if ended[i] then 0.0 else returns[i]

        let moments = RunningMoments.observe returns scale.Moments
        let variance = moments.Variance[0] * moments.Count / (moments.Count - 1.0)
        let deviation = sqrt (variance + 1e-8)

        struct ({ Return = now; Moments = moments },
                reward |> Array.map (fun r -> max -limit (min limit (r / deviation))))
