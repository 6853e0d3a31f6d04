namespace Sdac.Functional

open System

/// How β_t grows with the timestep t = 0 .. T-1.
[<RequireQualifiedAccess>]
type BetaSchedule =
    /// `Scale` · linspace(1e-4, 0.999, T). SDAC uses scale 0.8, DPMD 0.3.
    | Linear of Scale: float
    /// β from the squared-cosine ᾱ of Nichol & Dhariwal (2021), eq. 17, s = 0.008, clipped at 0.999.
    | Cosine
    /// The discretised variance-preserving SDE (Song et al. 2021): 1 - exp(-βmin/T - (βmax-βmin)(2t+1)/(2T²)).
    | VariancePreserving of BetaMin: float * BetaMax: float
    /// The noise-to-signal ratio √(1/ᾱ_t - 1) grows geometrically from `First` to `Last` (Karras et al. 2022 show why
    /// equal ratios suit targets with detail on many scales).
    | Geometric of First: float * Last: float
    /// α(u) = cos(π/2·(u+s)/(1+s)) / cos(π/2·s/(1+s)), s = 0.008, ᾱ = α², on T+1 points u from 0.001 to 0.9946: step t goes
    /// from the point t+1 to the point t, so that ᾱ begins a little below 1 (MaxEntDP, flow-rl).
    | ContinuousCosine

/// Everything that the forward and reverse processes need, one entry per timestep. Computed in double: in float32
/// 1 - ᾱ_0 = 8e-5 would lose its fourth digit.
[<NoComparison>]
type Schedule =
    {
        Betas: float[]
        Alphas: float[]
        /// ᾱ_t = Π_{i≤t} α_i
        AlphaBars: float[]
        /// ᾱ_{t-1}; ᾱ_{-1} = 1, but for the continuous cosine, whose chain ends at its first point
        AlphaBarsPrevious: float[]
        SqrtAlphaBars: float[]
        SqrtOneMinusAlphaBars: float[]
        SqrtRecipAlphaBars: float[]
        /// √(1/ᾱ_t - 1)
        SqrtRecipM1AlphaBars: float[]
        PosteriorVariance: float[]
        /// ln(max(posterior variance, 1e-20)): the variance at t = 0 is zero
        PosteriorLogVarianceClipped: float[]
        /// Coefficient of x̂_0 in the posterior mean (Ho et al. 2020, eq. 7)
        PosteriorMeanCoef1: float[]
        /// Coefficient of x_t in the posterior mean
        PosteriorMeanCoef2: float[]
    }

    /// T, the number of diffusion timesteps.
    member s.Timesteps = s.Betas.Length

[<RequireQualifiedAccess>]
module Schedule =
    let private continuousCosine u =
        let angle u = Math.PI / 2.0 * (u + 0.008) / 1.008
        Math.Pow(cos (angle u) / cos (angle 0.0), 2.0)

    /// ᾱ_{-1}, where the reverse chain ends.
    let private start schedule =
        match schedule with
        | BetaSchedule.ContinuousCosine -> continuousCosine 0.001
        | _ -> 1.0

    let private betas schedule timesteps =
        let T = float timesteps

        match schedule with
        | BetaSchedule.Linear scale ->
            let step = if timesteps = 1 then 0.0 else (0.999 - 1e-4) / (T - 1.0)
            Array.init timesteps (fun t -> scale * (1e-4 + step * float t))
        | BetaSchedule.Cosine ->
            let alphaBar u = Math.Pow(cos ((u + 0.008) / 1.008 * Math.PI / 2.0), 2.0)

            Array.init timesteps (fun t -> min 0.999 (1.0 - alphaBar (float (t + 1) / T) / alphaBar (float t / T)))
        | BetaSchedule.VariancePreserving(betaMin, betaMax) ->
            Array.init timesteps (fun t ->
                1.0 - exp (-betaMin / T - (betaMax - betaMin) * float (2 * t + 1) / (2.0 * T * T)))
        | BetaSchedule.Geometric(first, last) ->
            let alphaBar t =
                if t < 0 then
                    1.0
                else
                    let ratio = first * Math.Pow(last / first, float t / max 1.0 (T - 1.0))
                    1.0 / (1.0 + ratio * ratio)

            Array.init timesteps (fun t -> 1.0 - alphaBar t / alphaBar (t - 1))
        | BetaSchedule.ContinuousCosine ->
            let alphaBar point = continuousCosine (0.001 + 0.9936 * float point / T)
            Array.init timesteps (fun t -> 1.0 - alphaBar (t + 1) / alphaBar t)

    let private alphaBars schedule (betas: float[]) =
        Array.scan (fun product b -> product * (1.0 - b)) (start schedule) betas

    /// What is impossible in a schedule of T timesteps: T < 1, a β outside (0, 1), or no signal left.
    let problem (schedule: BetaSchedule) (timesteps: int) : string option =
        if timesteps < 1 then
            Some $"a diffusion needs at least 1 timestep, not %d{timesteps}"
        else
            let betas = betas schedule timesteps
            let last = Array.last (alphaBars schedule betas)

            match betas |> Array.tryFindIndex (fun b -> not (b > 0.0 && b < 1.0)) with
            | Some t -> Some $"{schedule} gives β = {string betas[t]} at timestep {t}; it must lie in (0, 1)"
            // The networks work in float32: √(1/ᾱ_T) must not overflow there.
            | None when not (Single.IsFinite(float32 (sqrt (1.0 / last)))) ->
                Some
                    $"{schedule} over {timesteps} timesteps destroys the signal (ᾱ = {string last}); take fewer timesteps or smaller β"
            | None -> None

    /// The schedule's coefficients for T timesteps. Raises ArgumentException on what `problem` names.
    let create (schedule: BetaSchedule) (timesteps: int) : Schedule =
        problem schedule timesteps |> Option.iter (invalidArg (nameof schedule))
        let betas = betas schedule timesteps
        let alphas = betas |> Array.map (fun b -> 1.0 - b)
        let bars = alphaBars schedule betas
        let alphaBars, previous = bars[1..], bars[.. timesteps - 1]
        let variance = Array.init timesteps (fun t -> betas[t] * (1.0 - previous[t]) / (1.0 - alphaBars[t]))

        { Betas = betas
          Alphas = alphas
          AlphaBars = alphaBars
          AlphaBarsPrevious = previous
          SqrtAlphaBars = alphaBars |> Array.map sqrt
          SqrtOneMinusAlphaBars = alphaBars |> Array.map (fun a -> sqrt (1.0 - a))
          SqrtRecipAlphaBars = alphaBars |> Array.map (fun a -> sqrt (1.0 / a))
          SqrtRecipM1AlphaBars = alphaBars |> Array.map (fun a -> sqrt (1.0 / a - 1.0))
          PosteriorVariance = variance
          PosteriorLogVarianceClipped = variance |> Array.map (fun v -> log (max v 1e-20))
          PosteriorMeanCoef1 = Array.init timesteps (fun t -> betas[t] * sqrt previous[t] / (1.0 - alphaBars[t]))
          PosteriorMeanCoef2 =
            Array.init timesteps (fun t -> (1.0 - previous[t]) * sqrt alphas[t] / (1.0 - alphaBars[t])) }

    /// σ_t of the reverse step, exp(½ · clipped log variance); 0 at t = 0, where no noise is added.
    let sigma (schedule: Schedule) t = if t = 0 then 0.0 else exp (0.5 * schedule.PosteriorLogVarianceClipped[t])

    /// The same chain with noise of deviation √β_t in each reverse step instead of the posterior's (Ho et al. 2020, section 3.2, the
    /// other choice of σ_t).
    let wide (schedule: Schedule) : Schedule =
        { schedule with
            PosteriorVariance = schedule.Betas
            PosteriorLogVarianceClipped = schedule.Betas |> Array.map log }

    /// ᾱ of rows at numbers uniform on [0, 1): of the continuous cosine anywhere between its first and its last point, of the other
    /// schedules at one of their timesteps.
    let alphaBarsAt (kind: BetaSchedule) (schedule: Schedule) (uniform: float[]) : float[] =
        match kind with
        | BetaSchedule.ContinuousCosine -> uniform |> Array.map (fun u -> continuousCosine (0.001 + 0.9936 * u))
        | _ ->
            let last = schedule.Timesteps - 1
            uniform |> Array.map (fun u -> schedule.AlphaBars[min last (int (u * float schedule.Timesteps))])

    /// ln of the signal-to-noise ratio ᾱ/(1-ᾱ).
    let logSnr (alphaBar: float) : float = log alphaBar - log (1.0 - alphaBar)

    /// One coefficient per row, shape [rows, 1], for rows at timesteps `t`.
    let column (compute: Compute) (coefficients: float[]) (t: int[]) : Tensor =
        Tensors.ofArray compute [ t.Length; 1 ] (t |> Array.map (fun t -> float32 coefficients[t]))
