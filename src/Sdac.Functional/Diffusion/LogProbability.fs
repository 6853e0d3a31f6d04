namespace Sdac.Functional

open System
open TorchSharp

/// How the log-probability of a diffusion policy's action is estimated.
[<RequireQualifiedAccess>]
type LogProbabilityForm =
    /// Not at all.
    | Off
    /// From the errors of noise prediction (MaxEntDP): a one-sided sum over the timesteps, too low where they are few.
    | NoiseErrors
    /// Along the probability flow, with the divergence of the network.
    | Flow

/// The log-probability in the critics' targets.
type LikelihoodSettings =
    {
        /// How log π(a'|s') is estimated, of which the critics' targets lose λ times
        LogProbability: LogProbabilityForm
        /// Draws of noise per timestep, for `noiseErrors`
        LikelihoodDraws: int
        /// The clean action that the predicted noise explains is clipped to the box, as the reverse chain clips it
        LikelihoodClip: bool
        /// Random directions that the divergence is estimated from, for `flow`; 0: all of it, a backward pass for each component
        FlowProbes: int
    }

[<RequireQualifiedAccess>]
module LikelihoodSettings =
    /// No such term.
    let off: LikelihoodSettings =
        { LogProbability = LogProbabilityForm.Off
          LikelihoodDraws = 50
          LikelihoodClip = true
          FlowProbes = 0 }

    /// MaxEntDP's.
    let maxEntDp: LikelihoodSettings = { off with LogProbability = LogProbabilityForm.NoiseErrors }

    let problems (l: LikelihoodSettings) : string list =
        [ Check.atLeast (nameof l.LikelihoodDraws) 1 l.LikelihoodDraws
          Check.atLeast (nameof l.FlowProbes) 0 l.FlowProbes ]
        |> List.concat

/// What a log-probability asks of a policy's noise network, the states closed over.
[<NoComparison; NoEquality>]
type PolicyNoise =
    {
        /// ε_θ at timestep t of noised actions [B·N, A], N in a row for each state -> [B·N, A]
        Predict: int -> Tensor -> Tensor
        /// The same of one action a state, [B, A], with its pullback
        Differentiate: int -> Tensor -> Vjp<Tensor>
    }

[<RequireQualifiedAccess>]
module PolicyNoise =
    /// SDAC's network for these states. obs: [B, O].
    let ofNoiseNetwork (compute: Compute) (net: NoiseNetwork) (p: Params) (timesteps: int) (obs: Tensor) : PolicyNoise =
        { Predict = NoiseNetwork.alongShared compute net p timesteps obs
          Differentiate =
            fun t action -> NoiseNetwork.vjp compute net p obs action (Array.create (Tensors.size 0 action) t) }

    /// An action network told one number at each timestep. obs: [B, O]; times: [T].
    let ofActionNetwork
        (compute: Compute)
        (net: ActionNetwork)
        (p: Params)
        (times: float[])
        (obs: Tensor)
        : PolicyNoise =
        { Predict = ActionNetwork.along compute net p obs [ times ]
          Differentiate =
            fun t action -> ActionNetwork.vjp compute net p obs action [ Array.create (Tensors.size 0 action) times[t] ] }

/// log π(a|s) of a diffusion policy by its noise network, of the density before its last clip to the box.
[<RequireQualifiedAccess>]
module LogProbability =
    /// w_t = (ᾱ_{t-1} - ᾱ_t)/(2ᾱ_t(1-ᾱ_t)): half the step of ln(ᾱ/(1-ᾱ)), its slope taken at the noisier end.
    let weights (schedule: Schedule) : float[] =
        Array.map2
            (fun previous bar -> (previous - bar) / (2.0 * bar * (1.0 - bar)))
            schedule.AlphaBarsPrevious
            schedule.AlphaBars

    // Sums are written `x.add(y, c)` here: x + c·y in one rounding, which the figures of stored runs were made with.

    // x̂_0 of noised actions, not clipped.
    let private clean (schedule: Schedule) t (noised: Tensor) (noise: Tensor) =
        noised
            .mul(Scalars.ofFloat schedule.SqrtRecipAlphaBars[t])
            .add(noise, Scalars.ofFloat -schedule.SqrtRecipM1AlphaBars[t])

    // The mean over the draws of ‖ε̂ - ε‖² at timestep t, [B]. noise: [B, N, A].
    let private errors
        clips
        (schedule: Schedule)
        (predict: int -> Tensor -> Tensor)
        t
        (noise: Tensor)
        (action: Tensor)
        =
        Tensors.scoped List.singleton (fun () ->
            let dim = Tensors.size 2 noise
            let one = action.unsqueeze 1L

            let noised =
                one
                    .mul(Scalars.ofFloat schedule.SqrtAlphaBars[t])
                    .add(noise, Scalars.ofFloat schedule.SqrtOneMinusAlphaBars[t])

            let predicted = predict t (Tensors.reshape [ -1; dim ] noised) |> Tensors.view (Tensors.shape noise)

            let error =
                if clips then
                    // ε̂ - ε = √ᾱ(a - x̂_0)/√(1-ᾱ)
                    one
                        .sub(clean schedule t noised predicted |> Diffusion.clip)
                        .mul(Scalars.ofFloat (1.0 / schedule.SqrtRecipM1AlphaBars[t]))
                else
                    predicted.sub noise

            error.square().sum(2L).mean([| 1L |]))

    /// log π̂(a|s) = -½A·ln(2πe) + Σ_t w_t·(ᾱ_t·A - mean over N draws of ‖ε̂(√ᾱ_t a + √(1-ᾱ_t)ε) - ε‖²) (MaxEntDP, arXiv 2502.11612,
    /// by Kong et al. 2023's integral over the signal-to-noise ratio). noise: t -> standard normal [B, N, A]; action: [B, A] -> [B].
    let noiseErrors
        (clips: bool)
        (schedule: Schedule)
        (predict: int -> Tensor -> Tensor)
        (noise: int -> Tensor)
        (action: Tensor)
        : Tensor =
        let dim = float (Tensors.size 1 action)
        let weights = weights schedule

        let start =
            action.new_zeros(action.size 0).add(Scalars.ofFloat (-0.5 * dim * log (2.0 * Math.PI * Math.E)))

        let add (sum: Tensor) t =
            let error = errors clips schedule predict t (noise t) action
            let gain = error.neg().add(Scalars.ofFloat (schedule.AlphaBars[t] * dim))
            sum.add (gain, Scalars.ofFloat weights[t])

        Seq.fold add start (seq { 0 .. schedule.Timesteps - 1 })

    // The diagonal of a Jacobian from its pullback: exact from unit directions, or the mean of v·(Jᵀv) over probes of ±1.
    let private diagonal (pullback: Tensor -> Tensor) (probes: Tensor list) (x: Tensor) : Tensor =
        let along (v: Tensor) = v.mul (pullback v)

        match probes with
        | [] ->
            let unit i =
                let v = torch.zeros_like x
                v.narrow(1L, i, 1L).fill_(Scalars.ofFloat 1.0) |> ignore
                along v

            [ 0L .. x.size 1 - 1L ] |> List.map unit |> List.reduce (fun a b -> a.add b)
        | _ ->
            (probes |> List.map along |> List.reduce (fun a b -> a.add b))
                .mul(Scalars.ofFloat (1.0 / float probes.Length))

    // The flow's velocity dx/dθ = (ε̂ - sin θ·x)/cos θ at timestep t, and its divergence, [B, A] and [B].
    let private velocity clips (schedule: Schedule) (differentiate: int -> Tensor -> Vjp<Tensor>) probes t (x: Tensor) =
        Tensors.scoped (fun struct (v, divergence) -> [ v; divergence ]) (fun () ->
            use vjp = differentiate t x
            let slope = diagonal vjp.PullbackInput probes x
            let sine, cosine = schedule.SqrtOneMinusAlphaBars[t], schedule.SqrtAlphaBars[t]

            let struct (noise, slope) =
                if clips then
                    let estimate = clean schedule t x vjp.Output
                    let outside = estimate.abs().gt(Scalars.ofFloat 1.0)

                    let held =
                        x.add(Diffusion.clip estimate, Scalars.ofFloat -cosine).mul(Scalars.ofFloat (1.0 / sine))

                    struct (torch.where (outside, held, vjp.Output),
                            torch.where (outside, torch.full_like (slope, Scalars.ofFloat (1.0 / sine)), slope))
                else
                    struct (vjp.Output, slope)

            let over = Scalars.ofFloat (1.0 / cosine)
            let v = noise.add(x, Scalars.ofFloat -sine).mul over
            struct (v, (slope.sub (Scalars.ofFloat sine)).sum(1L).mul over))

    /// log π(a|s) = log N(x_T; 0, I) + ∫ div v dθ along dx/dθ = v(x, θ) from x = a (Song et al. 2021, eq. 39), with ᾱ = cos²θ. In θ
    /// the probability flow of the variance-preserving process is v = (ε - sin θ·x)/cos θ = cos θ·ε - sin θ·x̂_0, which stays bounded
    /// at both ends. From timestep to timestep by Heun's rule, the first step from θ = 0, where there is no noise and v = 0. With the
    /// clip, what the chain cuts off at the walls lies in a layer as thin as the first timestep's noise. probes: [B, A] of ±1 each, none
    /// for the exact divergence. action: [B, A] -> [B].
    let flow
        (clips: bool)
        (schedule: Schedule)
        (differentiate: int -> Tensor -> Vjp<Tensor>)
        (probes: Tensor list)
        (action: Tensor)
        : Tensor =
        Tensors.scoped List.singleton (fun () ->
            let angle bar = atan2 (sqrt (1.0 - bar)) (sqrt bar)
            let angles = Array.map angle schedule.AlphaBars
            let at = velocity clips schedule differentiate probes
            let along (h: float) (v: Tensor) (x: Tensor) = x.add (v, Scalars.ofFloat h)
            let first = 0.5 * (angles[0] - angle schedule.AlphaBarsPrevious[0])
            let struct (v, divergence) = at 0 action

            let step struct (x: Tensor, sum: Tensor) t =
                let h = angles[t + 1] - angles[t]
                let struct (v, divergence) = at t x
                let struct (next, nextDivergence) = at (t + 1) (along h v x)
                let half = 0.5 * h
                struct (x |> along half v |> along half next, sum |> along half divergence |> along half nextDivergence)

            let start = struct (along first v action, divergence.mul (Scalars.ofFloat first))
            let struct (x, sum) = Seq.fold step start (seq { 0 .. schedule.Timesteps - 2 })
            let constant = 0.5 * float (Tensors.size 1 action) * log (2.0 * Math.PI)
            sum.add(x.square().sum(1L), Scalars.ofFloat -0.5).sub(Scalars.ofFloat constant))

    /// log π(a|s) as the settings say; None where they ask for none. Each timestep, and the probes, have a key of their own.
    /// action: [B, A] -> [B].
    let ofActions
        (settings: LikelihoodSettings)
        (compute: Compute)
        (schedule: Schedule)
        (policy: PolicyNoise)
        (key: Key)
        (action: Tensor)
        : Tensor option =
        let batch, dim = Tensors.size 0 action, Tensors.size 1 action

        match settings.LogProbability with
        | LogProbabilityForm.Off -> None
        | LogProbabilityForm.NoiseErrors ->
            let noise t = Key.normal compute [ batch; settings.LikelihoodDraws; dim ] (Key.at t key)
            Some(noiseErrors settings.LikelihoodClip schedule policy.Predict noise action)
        | LogProbabilityForm.Flow ->
            let probe i =
                let u = Key.uniform compute [ batch; dim ] (Key.at i key)
                (u.ge (Scalars.ofFloat 0.5)).``to``(torch.float32).mul(Scalars.ofFloat 2.0).sub(Scalars.ofFloat 1.0)

            let probes = List.init settings.FlowProbes probe
            Some(flow settings.LikelihoodClip schedule policy.Differentiate probes action)
