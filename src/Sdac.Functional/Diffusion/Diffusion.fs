namespace Sdac.Functional

open System
open Sdac.Kernels
open TorchSharp

/// The random numbers of one reverse sampling of P particles for each of B states.
[<RequireQualifiedAccess; NoComparison; NoEquality>]
type SamplerNoise =
    /// Drawn from a key.
    | Drawn of Key
    /// Given: x_T before its scaling [B, P, A]; step noise [T, B, P, A], entry i used at t = T-1-i; exploration [B, A].
    | Given of Initial: Tensor * Steps: Tensor * Explore: Tensor

[<RequireQualifiedAccess>]
module SamplerNoise =
    /// The keys of x_T and of the steps' noise of one sampling.
    let sampleKeys (key: Key) : struct (Key * Key) = Key.split key

    /// The key of the exploration noise.
    let exploreKey (key: Key) : Key = Key.foldIn 0L key

    /// What acting draws: the noise of the sampling, and of exploration.
    let split (noise: SamplerNoise) : struct (SamplerNoise * SamplerNoise) =
        match noise with
        | SamplerNoise.Drawn key ->
            let struct (sample, explore) = Key.split key
            struct (SamplerNoise.Drawn sample, SamplerNoise.Drawn explore)
        | given -> struct (given, given)

    /// All streams that acting with `Drawn key` draws from: x_T, step noise, exploration.
    let streams (timesteps: int) (batch: int) (particles: int) (actionDim: int) (key: Key) : (int list * Key) list =
        let struct (sample, explore) = Key.split key
        let struct (initial, steps) = sampleKeys sample
        let shape = [ batch; particles; actionDim ]
        [ shape, initial; timesteps :: shape, steps; [ batch; actionDim ], exploreKey explore ]

/// How a reverse step makes x_{t-1} of x_t and the predicted noise ε: the three forms that published diffusion policies use.
/// None of them adds noise at t = 0.
[<RequireQualifiedAccess>]
type ReverseStep =
    /// The posterior mean for x̂_0 clipped to ±1, and noise of the posterior's deviation σ_t (SDAC, DIPO, QVPO, DACER).
    | Posterior
    /// (x_t - β_t/√(1-ᾱ_t)·ε)/√α_t and noise of deviation √β_t times this, then x_{t-1} itself clipped to ±1 (QSM, IDQL).
    | ClippedState of Temperature: float
    /// As `Posterior`, with noise of deviation √β_t (MaxEntDP, flow-rl).
    | WideNoise

/// All random numbers of a chain, standard normal.
[<NoComparison; NoEquality>]
type ChainNoise =
    {
        /// x_T before its scaling, [rows, A]
        Initial: Tensor
        /// z of the chain's steps in their order, [rows, A] each
        Steps: Tensor[]
    }

[<RequireQualifiedAccess>]
module ChainNoise =
    /// The numbers of a chain of so many steps; x_T and the steps have a key each.
    let draw (compute: Compute) (steps: int) (rows: int) (actionDim: int) (key: Key) : ChainNoise =
        let struct (initialKey, stepKey) = Key.split key

        match Key.normals compute [ [ rows; actionDim ], initialKey; [ steps; rows; actionDim ], stepKey ] with
        | [ initial; steps ] -> { Initial = initial; Steps = steps.unbind 0 }
        | _ -> invalidOp "two streams give two tensors"

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
        keep * a0 + spread * noise

    /// The clean action that noise ε explains: a_t/√ᾱ_t - √(1/ᾱ_t - 1)·ε, not clipped. noisy, noise: [B, A]; t: [B].
    let clean (compute: Compute) (schedule: Schedule) (t: int[]) (noisy: Tensor) (noise: Tensor) : Tensor =
        let scale = Schedule.column compute schedule.SqrtRecipAlphaBars t
        let spread = Schedule.column compute schedule.SqrtRecipM1AlphaBars t
        scale * noisy - spread * noise

    /// Kept in [-1, 1].
    let clip (t: Tensor) : Tensor = t.clamp (Scalars.ofFloat -1.0, Scalars.ofFloat 1.0)

    /// One reverse step t -> t-1 without its noise: the posterior mean of x_{t-1} given x_t and the clipped clean
    /// estimate x̂_0 = clip(x_t/√ᾱ_t - √(1/ᾱ_t - 1)·ε, -1, 1). Any shape.
    let posteriorMean (schedule: Schedule) (t: int) (noisy: Tensor) (noise: Tensor) : Tensor =
        // x̂_0 times its coefficient at once: one pass over the actions less.
        let ofEstimate, ofNoisy = schedule.PosteriorMeanCoef1[t], schedule.PosteriorMeanCoef2[t]

        noisy
            .mul(Scalars.ofFloat (ofEstimate * schedule.SqrtRecipAlphaBars[t]))
            .add_(noise, Scalars.ofFloat (-ofEstimate * schedule.SqrtRecipM1AlphaBars[t]))
            .clamp_(Scalars.ofFloat -ofEstimate, Scalars.ofFloat ofEstimate)
            .add_(noisy, Scalars.ofFloat ofNoisy)

    /// One reverse step t -> t-1 with noise z, standard normal; none: its mean. Any shape.
    let step
        (schedule: Schedule)
        (kind: ReverseStep)
        (t: int)
        (noisy: Tensor)
        (noise: Tensor)
        (z: Tensor option)
        : Tensor =
        let spread (deviation: float) (mean: Tensor) =
            match z with
            | Some z when t > 0 -> mean.add (z, Scalars.ofFloat deviation)
            | _ -> mean

        match kind with
        | ReverseStep.Posterior -> posteriorMean schedule t noisy noise |> spread (Schedule.sigma schedule t)
        | ReverseStep.WideNoise -> posteriorMean schedule t noisy noise |> spread (sqrt schedule.Betas[t])
        | ReverseStep.ClippedState temperature ->
            let beta = schedule.Betas[t]

            noisy
                .add(noise, Scalars.ofFloat (-beta / schedule.SqrtOneMinusAlphaBars[t]))
                .mul(Scalars.ofFloat (1.0 / sqrt schedule.Alphas[t]))
            |> spread (temperature * sqrt beta)
            |> clip

    /// Reverse sampling with any noise predictor: x_T = `initial`; for t = T-1 .. 0 a step with noise `z`(i), i = T-1-t;
    /// clipped to [-1, 1].
    let reverseBy
        (kind: ReverseStep)
        (schedule: Schedule)
        (predict: int -> Tensor -> Tensor)
        (z: int -> Tensor option)
        (initial: Tensor)
        : Tensor =
        let mutable x = initial

        for t in schedule.Timesteps - 1 .. -1 .. 0 do
            x <- step schedule kind t x (predict t x) (z (schedule.Timesteps - 1 - t))

        clip x

    /// The same by the posterior. The straightforward form that the fast path is tested against.
    let reverse (schedule: Schedule) (predict: int -> Tensor -> Tensor) (z: int -> Tensor) (initial: Tensor) : Tensor =
        reverseBy ReverseStep.Posterior schedule predict (z >> Some) initial

    /// One step of Langevin dynamics of width δ along a score Ψ = ∇ log p: x + δ/2·Ψ + √δ·ξ.
    let langevinStep (width: float) (score: Tensor) (noise: Tensor) (x: Tensor) : Tensor =
        x.add(score, Scalars.ofFloat (0.5 * width)).add(noise, Scalars.ofFloat (sqrt width))

    /// N steps of Langevin dynamics of widths δ_k = 1 - k/N, k = 0 .. N-1, each clipped to [-1, 1] (the SDAC authors' QSM).
    let langevin (steps: int) (score: Tensor -> Tensor) (noise: int -> Tensor) (initial: Tensor) : Tensor =
        let next x k = langevinStep (1.0 - float k / float steps) (score x) (noise k) x |> clip

        Seq.fold next initial (seq { 0 .. steps - 1 })

    /// The schedule as the kernels take it.
    let internal coefficients (schedule: Schedule) : ReverseCoefficients =
        let single = Array.map float32

        ReverseCoefficients(
            single schedule.SqrtRecipAlphaBars,
            single schedule.SqrtRecipM1AlphaBars,
            single schedule.PosteriorMeanCoef1,
            single schedule.PosteriorMeanCoef2,
            Array.init schedule.Timesteps (fun t -> float32 (Schedule.sigma schedule t))
        )

    // initial: [B, P, A], already scaled; steps: [T, B, P, A]. Nothing inside the chain goes to the device or comes from it.
    let private sampleInLibtorch
        (compute: Compute)
        (schedule: Schedule)
        (net: NoiseNetwork)
        (policy: Params)
        (obs: Tensor)
        (initial: Tensor)
        (steps: Tensor)
        =
        let batch, particles, actionDim = Tensors.size 0 initial, Tensors.size 1 initial, net.Shape.ActionDim
        let rows = batch * particles
        let steps = (Tensors.reshape [ schedule.Timesteps; rows; actionDim ] steps).unbind 0
        let predict = NoiseNetwork.along compute net policy schedule.Timesteps obs

        reverse schedule predict (Array.get steps) (Tensors.reshape [ rows; actionDim ] initial)
        |> Tensors.view [ batch; particles; actionDim ]

    /// The whole chain in one call of the kernels, which draw the noise themselves or are given it.
    let private sampleOnKernels
        (schedule: Schedule)
        (net: NoiseNetwork)
        (policy: Params)
        (initialScale: float)
        (particles: int)
        (noise: SamplerNoise)
        (obs: Tensor)
        : Tensor =
        let batch = Tensors.size 0 obs
        let actions, obs = Tensors.empty [ batch; particles; net.Shape.ActionDim ], obs.contiguous ()

        let given =
            match noise with
            | SamplerNoise.Drawn key ->
                let struct (initialKey, stepKey) = SamplerNoise.sampleKeys key

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

                []
            | SamplerNoise.Given(initial, steps, _) ->
                let initial, steps = initial.contiguous (), steps.contiguous ()

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

                [ initial; steps ]

        Tensors.keepAlive (policy.Flat :: obs :: given)
        actions

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

        Tensors.scoped List.singleton (fun () ->
            if compute.Kernels then
                sampleOnKernels schedule net policy initialScale particles noise obs
            else
                let struct (initial, steps) =
                    match noise with
                    | SamplerNoise.Given(initial, steps, _) -> struct (initial, steps)
                    | SamplerNoise.Drawn key ->
                        let shape = [ Tensors.size 0 obs; particles; net.Shape.ActionDim ]
                        let struct (initialKey, stepKey) = SamplerNoise.sampleKeys key

                        match Key.normals compute [ shape, initialKey; schedule.Timesteps :: shape, stepKey ] with
                        | [ initial; steps ] -> struct (initial, steps)
                        | _ -> invalidOp "two streams give two tensors"

                sampleInLibtorch compute schedule net policy obs (num initialScale * initial) steps)

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
            | SamplerNoise.Drawn key -> Key.normal compute (Tensors.shape action) (SamplerNoise.exploreKey key)
            | SamplerNoise.Given(_, _, explore) -> explore

        action + num scale * z

/// Reverse chains of a noise network that brings its own time embeddings.
[<RequireQualifiedAccess>]
module ActionChain =
    /// Actions by the posterior's steps from x_T = scale·noise (sampler A of DIPO and QVPO). obs: [B, O]; the noise has P rows
    /// for each state -> [B, P, A], in [-1, 1].
    let sample
        (compute: Compute)
        (chain: ChainSettings)
        (schedule: Schedule)
        (net: ActionNetwork)
        (policy: Params)
        (noise: ChainNoise)
        (obs: Tensor)
        : Tensor =
        Tensors.scoped List.singleton (fun () ->
            let times = [ Array.init schedule.Timesteps float ]
            let predict = ActionNetwork.along compute net policy obs times

            num chain.InitialNoiseScale * noise.Initial
            |> Diffusion.reverse schedule predict (Array.get noise.Steps)
            |> Tensors.view [ Tensors.size 0 obs; -1; net.ActionDim ])
