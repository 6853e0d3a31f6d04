namespace Sdac.Functional

open System
open TorchSharp

/// The score of the noised density exp(Q/τ), estimated by the critic at K clean actions around each noised one.
[<RequireQualifiedAccess>]
module DqsScore =
    // Uniform numbers on [0, 1) are 0 now and then, and there the noise has no deviation to divide by.
    [<Literal>]
    let private FirstTime = 1e-4

    /// The noising of rows at these times, uniform on [0, 1).
    let rows (model: DqsModel) (tau: float) (times: float[]) : DqsRows =
        let c = model.Config

        match c.Process with
        | DqsProcess.Exploding(low, high) ->
            let times = times |> Array.map (max FirstTime)
            let h = times |> Array.map (VarianceExploding.variance { SigmaMin = low; SigmaMax = high })

            { Times = [ times; Array.create times.Length tau ]
              Keep = Array.create times.Length 1.0
              Deviation = Array.map sqrt h
              Weight = h |> Array.map (fun h -> h + 1e-3) }
        | DqsProcess.Preserving schedule ->
            let schedule = Schedule.create schedule c.Timesteps
            let t = times |> Array.map (fun u -> min (c.Timesteps - 1) (int (u * float c.Timesteps)))

            { Times = [ Array.map float t ]
              Keep = t |> Array.map (fun t -> schedule.SqrtAlphaBars[t])
              Deviation = t |> Array.map (fun t -> schedule.SqrtOneMinusAlphaBars[t])
              Weight = Array.create times.Length 1.0 }

    let column (compute: Compute) (shape: int list) (values: float[]) =
        Tensors.ofArray compute shape (values |> Array.map float32)

    /// The clean actions that K draws around each noised action explain, [B, K, A] each.
    [<NoComparison; NoEquality>]
    type private Clean =
        {
            /// ε
            Noise: Tensor
            /// x_t/k - (σ/k)·ε, wherever that is
            Free: Tensor
            /// The same as `DqsDraws` says
            Place: Tensor
            /// What is done there
            Action: Tensor
        }

    // From a noised action to a clean one: x_t/k - (σ/k)·ε.
    let private scale (rows: DqsRows) = rows.Keep |> Array.map (fun keep -> 1.0 / keep)
    let private spread (rows: DqsRows) = Array.map2 (/) rows.Deviation rows.Keep

    let private clean (model: DqsModel) (rows: DqsRows) (noised: Tensor) (draws: Tensor) : Clean =
        let c, compute = model.Config, model.Compute
        let per values = column compute [ Tensors.size 0 noised; 1; 1 ] values

        let noise =
            match c.Draws with
            | DqsDraws.Truncated ->
                let struct (noise, _) = Rssm.truncatedAround compute (scale rows) (spread rows) noised draws
                noise
            | DqsDraws.Free
            | DqsDraws.Clipped -> draws

        let free = per (scale rows) * noised.unsqueeze 1L - per (spread rows) * noise

        let place =
            match c.Draws with
            | DqsDraws.Free -> free
            | DqsDraws.Clipped
            | DqsDraws.Truncated -> Diffusion.clip free

        { Noise = noise
          Free = free
          Place = place
          Action = if c.Box = DqsBox.TanhDensity then place.tanh () else place }

    /// Q/τ of clean actions [B, K], as a density over their places, and its slopes with respect to the actions where the estimator
    /// asks for them.
    let private energies (c: DqsConfig) (value: ActionValue) (tau: float) (obs: Tensor) (clean: Clean) =
        let struct (energy, slope) =
            if c.Estimator = DqsEstimator.Noise && not c.NormaliseGradient then
                struct (num (1.0 / tau) * value.Values obs clean.Action, None)
            else
                let struct (q, slope) = value.WithSlopes obs clean.Action

                let size =
                    if c.NormaliseGradient then
                        slope.abs().mean() + num 1e-6
                    else
                        torch.ones_like (slope.mean ())

                let share = num (1.0 / tau) * size.reciprocal ()
                struct (q * share, Some(slope * share))

        if c.Box = DqsBox.TanhDensity then
            // ln (1 - tanh²x), summed over the action's components
            struct (energy + (SquashedGaussian.logOneLessTanhSquared clean.Place).sum 2L, slope)
        else
            struct (energy, slope)

    /// The energies' slopes with respect to the clean places, [B, K, A].
    let private atPlaces (c: DqsConfig) (clean: Clean) (slope: Tensor) : Tensor =
        match c.Box, c.Draws with
        | DqsBox.TanhDensity, _ -> slope * (-clean.Action.square() + num 1.0) - num 2.0 * clean.Action
        | _, DqsDraws.Clipped -> slope * clean.Free.abs().le(num 1.0).``to`` torch.float32
        | _ -> slope

    /// ∇ log of the noised density at the noised actions, estimated from K clean ones around each: the score, [B, A], by
    /// ∇ log mean exp, by the draws' noise, or by both.
    /// noised: [B, A]; draws: [B, K, A], as `DqsNoise.Draws`.
    let score
        (model: DqsModel)
        (value: ActionValue)
        (tau: float)
        (rows: DqsRows)
        (obs: Tensor)
        (noised: Tensor)
        (draws: Tensor)
        : Tensor =
        let c = model.Config
        let each values = column model.Compute [ Tensors.size 0 noised; 1 ] values
        let clean = clean model rows noised draws
        let struct (energy, slope) = energies c value tau obs clean
        let weights = (energy.softmax 1L).unsqueeze 2L
        let byGradient slope = (atPlaces c clean slope * weights).sum 1L * each (scale rows)

        let byNoise () =
            let share = rows.Deviation |> Array.map (fun deviation -> -1.0 / deviation)
            (clean.Noise * weights).sum 1L * each share

        match c.Estimator, slope with
        | DqsEstimator.Gradient, Some slope -> byGradient slope
        | DqsEstimator.Blended v, Some slope ->
            let share = spread rows |> Array.map (fun s -> v / (s * s + v))
            let noises = share |> Array.map (fun share -> 1.0 - share)
            byGradient slope * each share + byNoise () * each noises
        | _ -> byNoise ()
