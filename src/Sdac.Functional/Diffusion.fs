namespace Sdac

open System
open Sdac.Kernels
open TorchSharp

/// The random numbers of one reverse sampling of P particles for each of B states.
[<NoComparison; NoEquality>]
type SamplerNoise =
    /// Drawn from a key.
    | Drawn of Key
    /// Given: x_T before its scaling [B, P, A]; step noise [T, B, P, A], entry i used at t = T-1-i; exploration [B, A].
    | Given of Initial: Tensor * Steps: Tensor * Explore: Tensor

/// Actions chosen by best of N, and what they were chosen from.
[<NoComparison; NoEquality>]
type Chosen =
    {
        /// [B, A], in [-1, 1]
        Action: Tensor
        /// min(Q1, Q2) of the chosen particle, [B]
        Value: Tensor
        /// Index of the chosen particle, [B] (int64)
        Index: Tensor
    }

/// The forward and reverse diffusion of actions (design of the paper's section 3; Ho et al. 2020).
[<RequireQualifiedAccess>]
module Diffusion =
    /// Forward noising a_t = √ᾱ_t·a_0 + √(1-ᾱ_t)·z. a0, noise: [B, A]; t: [B].
    let noised (compute: Compute) (schedule: Schedule) (t: int[]) (a0: Tensor) (noise: Tensor) : Tensor =
        let keep = Schedule.column compute schedule.SqrtAlphaBars t
        let spread = Schedule.column compute schedule.SqrtOneMinusAlphaBars t
        keep.mul(a0).add(spread.mul noise)

    /// The clean action that noise ε explains: a_t/√ᾱ_t - √(1/ᾱ_t - 1)·ε, not clipped. noisy, noise: [B, A]; t: [B].
    let clean (compute: Compute) (schedule: Schedule) (t: int[]) (noisy: Tensor) (noise: Tensor) : Tensor =
        let scale = Schedule.column compute schedule.SqrtRecipAlphaBars t
        let spread = Schedule.column compute schedule.SqrtRecipM1AlphaBars t
        scale.mul(noisy).sub(spread.mul noise)

    let private clip (t: Tensor) = t.clamp (Scalars.ofFloat -1.0, Scalars.ofFloat 1.0)

    /// One reverse step t -> t-1 without its noise: the posterior mean of x_{t-1} given x_t and the clipped clean
    /// estimate x̂_0 = clip(x_t/√ᾱ_t - √(1/ᾱ_t - 1)·ε, -1, 1). Any shape.
    let posteriorMean (schedule: Schedule) (t: int) (noisy: Tensor) (noise: Tensor) : Tensor =
        let estimate =
            noisy
                .mul(Scalars.ofFloat schedule.SqrtRecipAlphaBars[t])
                .sub(noise.mul (Scalars.ofFloat schedule.SqrtRecipM1AlphaBars[t]))

        (clip estimate)
            .mul(Scalars.ofFloat schedule.PosteriorMeanCoef1[t])
            .add(noisy.mul (Scalars.ofFloat schedule.PosteriorMeanCoef2[t]))

    /// Reverse sampling with any noise predictor: x_T = `initial`; for t = T-1 .. 0 the posterior mean plus
    /// σ_t·`step`(i), i = T-1-t; clipped to [-1, 1]. The straightforward form that the fast path is tested against.
    let reverse
        (schedule: Schedule)
        (predict: int -> Tensor -> Tensor)
        (step: int -> Tensor)
        (initial: Tensor)
        : Tensor =
        let mutable x = initial

        for t in schedule.Timesteps - 1 .. -1 .. 0 do
            let mean = posteriorMean schedule t x (predict t x)
            let sigma = Schedule.sigma schedule t

            x <-
                if t = 0 then
                    mean
                else
                    mean.add ((step (schedule.Timesteps - 1 - t)).mul(Scalars.ofFloat sigma))

        clip x

    let private coefficients (schedule: Schedule) =
        let single = Array.map float32

        ReverseCoefficients(
            single schedule.SqrtRecipAlphaBars,
            single schedule.SqrtRecipM1AlphaBars,
            single schedule.PosteriorMeanCoef1,
            single schedule.PosteriorMeanCoef2,
            Array.init schedule.Timesteps (fun t -> float32 (Schedule.sigma schedule t))
        )

    let private sampleInLibtorch compute schedule (net: NoiseNetwork) (policy: Params) obs particles initial steps =
        let batch, actionDim = Tensors.size 0 obs, net.Shape.ActionDim
        let rows = batch * particles
        let repeated = (obs: Tensor).repeat_interleave(int64 particles, 0L)

        let predict t x = NoiseNetwork.forward compute net policy repeated x (Array.create rows t)

        let flat = Tensors.reshape [ rows; actionDim ]

        reverse schedule predict (steps >> flat) (flat initial)
        |> Tensors.view [ batch; particles; actionDim ]

    /// Draws `particles` actions per state by reverse sampling: obs [B, O] -> [B, P, A] in [-1, 1].
    /// `initialScale` is the deviation of x_T. The exploration part of the noise is not used here.
    let sample
        (compute: Compute)
        (schedule: Schedule)
        (net: NoiseNetwork)
        (policy: Params)
        (initialScale: float)
        (particles: int)
        (noise: SamplerNoise)
        (obs: Tensor)
        : Tensor =
        Tensors.check "obs" [ -1; net.Shape.ObsDim ] obs
        let batch, actionDim = Tensors.size 0 obs, net.Shape.ActionDim
        let shape = [ batch; particles; actionDim ]

        Tensors.scoped List.singleton (fun () ->
            match noise, compute.Kernels with
            | Drawn key, true ->
                let struct (initialKey, stepKey) = Key.split key
                let actions = Tensors.empty shape
                let obs = obs.contiguous ()

                ReverseSampler.Sample(
                    net.Shape,
                    Tensors.span policy.Flat,
                    coefficients schedule,
                    Tensors.span obs,
                    batch,
                    particles,
                    float32 initialScale,
                    initialKey.Philox,
                    stepKey.Philox,
                    Tensors.span actions
                )

                Tensors.keepAlive [ policy.Flat; obs ]
                actions
            | Given(initial, steps, _), true ->
                let actions = Tensors.empty shape
                let obs, initial, steps = obs.contiguous (), initial.contiguous (), steps.contiguous ()

                ReverseSampler.SampleWithNoise(
                    net.Shape,
                    Tensors.span policy.Flat,
                    coefficients schedule,
                    Tensors.span obs,
                    batch,
                    particles,
                    float32 initialScale,
                    Tensors.span initial,
                    Tensors.span steps,
                    Tensors.span actions
                )

                Tensors.keepAlive [ policy.Flat; obs; initial; steps ]
                actions
            | Drawn key, false ->
                let struct (initialKey, stepKey) = Key.split key
                let initial = (Key.normal compute shape initialKey).mul(Scalars.ofFloat initialScale)
                let steps = Key.normal compute (schedule.Timesteps :: shape) stepKey

                sampleInLibtorch compute schedule net policy obs particles initial (fun i ->
                    steps.select (0L, int64 i))
            | Given(initial, steps, _), false ->
                let initial = initial.mul (Scalars.ofFloat initialScale)

                sampleInLibtorch compute schedule net policy obs particles initial (fun i ->
                    steps.select (0L, int64 i)))

    /// The particle with the largest value for each state. actions: [B, P, A], values: [B, P].
    let bestOf (actions: Tensor) (values: Tensor) : Chosen =
        let batch, actionDim = Tensors.size 0 actions, Tensors.size 2 actions
        let index = values.argmax 1L
        let atAction = index.view(int64 batch, 1L, 1L).expand(int64 batch, 1L, int64 actionDim)

        { Action = actions.gather(1L, atAction).squeeze(Nullable 1L)
          Value = values.gather(1L, index.unsqueeze 1L).squeeze(Nullable 1L)
          Index = index }

    /// Exploration: action + N(0, I)·λ·noiseScale, not clipped again (the environment clamps). action: [B, A].
    let explore (compute: Compute) (scale: float) (noise: SamplerNoise) (action: Tensor) : Tensor =
        let z =
            match noise with
            | Drawn key -> Key.normal compute (Tensors.shape action) (Key.foldIn 0L key)
            | Given(_, _, explore) -> explore

        action.add (z.mul (Scalars.ofFloat scale))
