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

    /// ∇ log of the noised density at the noised actions, estimated from K clean ones around each: the score, [B, A].
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
        let c, compute = model.Config, model.Compute
        let batch = Tensors.size 0 noised
        let per values = column compute [ batch; 1; 1 ] values
        let scale = rows.Keep |> Array.map (fun keep -> 1.0 / keep)
        let spread = Array.map2 (/) rows.Deviation rows.Keep

        let noise =
            match c.Draws with
            | DqsDraws.Truncated ->
                let struct (noise, _) = Rssm.truncatedAround compute scale spread noised draws
                noise
            | DqsDraws.Free
            | DqsDraws.Clipped -> draws

        let free = per scale * noised.unsqueeze 1L - per spread * noise

        let x =
            match c.Draws with
            | DqsDraws.Free -> free
            | DqsDraws.Clipped
            | DqsDraws.Truncated -> Diffusion.clip free

        let action = if c.Box = DqsBox.TanhDensity then x.tanh () else x

        // ln (1 - tanh²x), summed over the action's components
        let logSlope () = (SquashedGaussian.logOneLessTanhSquared x).sum 2L

        // Q/τ, and its slopes where they are asked for
        let struct (energy, slope) =
            if c.Estimator = DqsEstimator.Noise && not c.NormaliseGradient then
                struct (num (1.0 / tau) * value.Values obs action, None)
            else
                let struct (q, slope) = value.WithSlopes obs action

                let size =
                    if c.NormaliseGradient then
                        slope.abs().mean() + num 1e-6
                    else
                        torch.ones_like (slope.mean ())

                let share = num (1.0 / tau) * size.reciprocal ()
                struct (q * share, Some(slope * share))

        let energy = if c.Box = DqsBox.TanhDensity then energy + logSlope () else energy
        let weights = (energy.softmax 1L).unsqueeze 2L

        // ∇ log mean exp
        let byGradient (slope: Tensor) =
            let slope =
                match c.Box, c.Draws with
                | DqsBox.TanhDensity, _ -> slope * (-action.square() + num 1.0) - num 2.0 * action
                | _, DqsDraws.Clipped -> slope * free.abs().le(num 1.0).``to`` torch.float32
                | _ -> slope

            (slope * weights).sum 1L * column compute [ batch; 1 ] scale

        let byNoise () =
            let share = rows.Deviation |> Array.map (fun deviation -> -1.0 / deviation)
            (noise * weights).sum 1L * column compute [ batch; 1 ] share

        match c.Estimator, slope with
        | DqsEstimator.Gradient, Some slope -> byGradient slope
        | DqsEstimator.Blended v, Some slope ->
            let share = spread |> Array.map (fun s -> v / (s * s + v))
            let column = column compute [ batch; 1 ]
            let noises = share |> Array.map (fun share -> 1.0 - share)
            byGradient slope * column share + byNoise () * column noises
        | _ -> byNoise ()
