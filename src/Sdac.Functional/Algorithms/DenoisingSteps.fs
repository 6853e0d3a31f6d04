namespace Sdac.Functional

open System

/// How the log-densities of an action's dimensions become one of a denoising step.
[<RequireQualifiedAccess>]
type StepLikelihood =
    /// Their mean (DPPO's authors): the ratio of d dimensions is the d-th root of the joint one
    | Mean
    /// Their sum, the log-density of the step itself
    | Sum

/// A reverse chain's steps as Gaussian actions.
type DenoisingSettings =
    {
        /// The steps' deviations σ_t are at least this in training, the last step's too, which has none of its own
        DeviationFloor: float
        /// The same in evaluations, but for the last step, which has none
        EvaluationFloor: float
        /// The steps' noise is kept within so many deviations
        NoiseClip: float
        /// What the dimensions' log-densities become
        Likelihood: StepLikelihood
        /// A dimension's log-density counts as at least this
        LogDensityLow: float
        /// A dimension's log-density counts as at most this
        LogDensityHigh: float
    }

/// Denoising steps as actions of an inner decision process: x_{t-1} ~ N(μ_t(x_t, ε), σ_t²) (Ren et al. 2025, arXiv 2409.00588,
/// section 4).
[<RequireQualifiedAccess>]
module DenoisingSteps =
    let private halfLogTwoPi = 0.5 * log (2.0 * Math.PI)

    /// ln N(x; μ, σ).
    let logDensity (deviation: float) (mean: float) (x: float) : float =
        let z = (x - mean) / deviation
        -0.5 * z * z - log deviation - halfLogTwoPi

    let problems (d: DenoisingSettings) : string list =
        let highest = logDensity d.DeviationFloor 0.0 0.0

        [ Check.positive (nameof d.DeviationFloor) d.DeviationFloor
          Check.within (nameof d.EvaluationFloor) 0.0 1e6 d.EvaluationFloor
          Check.positive (nameof d.NoiseClip) d.NoiseClip
          Check.finite (nameof d.LogDensityLow) d.LogDensityLow
          Check.finite (nameof d.LogDensityHigh) d.LogDensityHigh
          [ if d.LogDensityLow >= d.LogDensityHigh then
                $"logDensityLow is {string d.LogDensityLow}; it must be less than logDensityHigh ({string d.LogDensityHigh})"
            elif d.DeviationFloor > 0.0 && highest > d.LogDensityHigh then
                $"logDensityHigh is {string d.LogDensityHigh}, less than the log-density {string (Math.Round(highest, 3))} of a step at its mean with deviation {string d.DeviationFloor}: the likeliest steps would teach nothing; take more, or a larger deviationFloor" ] ]
        |> List.concat

    /// max(σ_t, floor) for t = 0 .. T-1.
    let deviations (schedule: Schedule) (floor: float) : float[] =
        Array.init schedule.Timesteps (fun t -> max (Schedule.sigma schedule t) floor)

    /// The deviations of evaluations: the last step, t = 0, is its mean.
    let evaluationDeviations (schedule: Schedule) (floor: float) : float[] =
        deviations schedule floor |> Array.mapi (fun t deviation -> if t = 0 then 0.0 else deviation)

    let private clean (schedule: Schedule) t x noise =
        schedule.SqrtRecipAlphaBars[t] * x - schedule.SqrtRecipM1AlphaBars[t] * noise

    /// μ_t(x_t, ε), the posterior mean for x̂_0 clipped to ±1.
    let mean (schedule: Schedule) (t: int) (x: float) (noise: float) : float =
        schedule.PosteriorMeanCoef1[t] * Math.Clamp(clean schedule t x noise, -1.0, 1.0)
        + schedule.PosteriorMeanCoef2[t] * x

    /// dμ_t/dε: none where x̂_0 is clipped.
    let private meanSlope (schedule: Schedule) t x noise =
        if abs (clean schedule t x noise) < 1.0 then
            -schedule.PosteriorMeanCoef1[t] * schedule.SqrtRecipM1AlphaBars[t]
        else
            0.0

    /// x_{t-1} = μ_t + σ_t·clip(z, ±c), entry by entry. x: x_t, noise: ε.
    let step
        (schedule: Schedule)
        (deviations: float[])
        (clip: float)
        (t: int)
        (x: float32[])
        (noise: float32[])
        (z: float32[])
        : float32[] =
        Array.init x.Length (fun j ->
            let spread = deviations[t] * Math.Clamp(float z[j], -clip, clip)
            float32 (mean schedule t (float x[j]) (float noise[j]) + spread))

    /// ln π of steps that were made, and its slope with respect to the predicted noise. t: [rows]; x: x_t, reached: x_{t-1},
    /// noise: ε, [rows, A] -> [rows] and [rows, A]. Where a log-density is limited it moves nothing.
    let likelihood
        (schedule: Schedule)
        (d: DenoisingSettings)
        (deviations: float[])
        (t: int[])
        (x: float32[])
        (reached: float32[])
        (noise: float32[])
        : struct (float[] * float[]) =
        let dim = x.Length / max 1 t.Length
        let share = if d.Likelihood = StepLikelihood.Mean then 1.0 / float dim else 1.0
        let logs, slopes = Array.zeroCreate<float> t.Length, Array.zeroCreate<float> x.Length

        for j in 0 .. x.Length - 1 do
            let t, from, predicted = t[j / dim], float x[j], float noise[j]
            let deviation, mean = deviations[t], mean schedule t from predicted
            let each = logDensity deviation mean (float reached[j])
            logs[j / dim] <- logs[j / dim] + share * Math.Clamp(each, d.LogDensityLow, d.LogDensityHigh)

            if each >= d.LogDensityLow && each <= d.LogDensityHigh then
                let toMean = (float reached[j] - mean) / (deviation * deviation)
                slopes[j] <- share * toMean * meanSlope schedule t from predicted

        struct (logs, slopes)
