namespace Sdac.Sampling

open System
open Sdac.Functional
open Sdac.Kernels
open TorchSharp

/// A DiKL trainer between two updates. Immutable; `Dikl.dispose` frees it.
[<NoComparison; NoEquality>]
type DiklState =
    {
        Sampler: Params
        /// Moving average of the sampler
        Average: Params
        Adam: AdamState
        /// The network of the sampler's noised score
        Score: Params
        /// Moving average of that network
        ScoreAverage: Params
        ScoreAdam: AdamState
        /// Deviation of the Langevin proposals, in those of the posterior
        StepSize: float
        /// Updates of the sampler
        Updates: int
        /// Mean squared difference of both denoisers at the last update, in units of the score network's output: what is left of it
        /// in the end is the estimate's variance
        Loss: float
    }

/// Reverse diffusive KL (He et al. 2024, arXiv 2410.12456): a network x = g_θ(z) that samples in one step minimises
/// ∫ w(t)·KL(q_t‖p_t) dt, where q_t and p_t are the noised densities of its samples and of the target. Along the noise
/// x_t = √ᾱ_t·x + √(1-ᾱ_t)·ε of a sample the gradient is that of
///
///     E[w(t)·√ᾱ_t·(∇ ln q_t(x_t) - ∇ ln p_t(x_t))·∂g_θ/∂θ].
///
/// For w(t) = (1-ᾱ_t)/ᾱ_t the factor is D_q - D_p, the difference of both denoisers D(x_t) = E[x | x_t] (Tweedie's formula): a
/// sample moves by what the target's posterior mean is away from the model's own. Here it is that difference in units of the
/// network's output, whose errors are alike at all noise levels, which gives the lower ones more weight. D_q comes of a network that is
/// trained on the model's samples as any diffusion model is; D_p is estimated from draws of p(x | x_t).
[<RequireQualifiedAccess>]
module Dikl =
    /// Checks the settings. Raises ArgumentException with all that is impossible in them.
    let create (compute: Compute) (config: DiklConfig) (target: Target) : DiklModel =
        let config = Settings.validate DiklConfig.problems config

        { Compute = compute
          Config = config
          Target = target
          Schedule = Schedule.create (BetaSchedule.Geometric config.Noise) config.Timesteps
          Sampler = HiddenLayers.shape target.Dim (HiddenLayers.mish config.Sampler) target.Dim
          Noise = NoiseNetwork.create 1 target.Dim config.TimeDim config.TimeHidden config.Hidden }

    let private kept (s: DiklState) =
        [ for p in [ s.Sampler; s.Average; s.Score; s.ScoreAverage ] do
              p.Flat
          for moments in [ s.Adam; s.ScoreAdam ] do
              moments.M
              moments.V ]

    /// Frees a state's tensors.
    let dispose (s: DiklState) =
        for t in kept s do
            t.Dispose()

    /// The deviation of the untrained sampler's points in box coordinates, and of those that the score network is scaled for.
    [<Literal>]
    let private Spread = 0.5

    let private latent (model: DiklModel) (n: int) (key: Key) : Tensor =
        Key.normal model.Compute [ n; model.Target.Dim ] key

    /// g_θ(z) = Spread·z + the network's output, which is zero at first: a network alone would begin as a folded map, whose folds
    /// training does not smooth.
    let private shifted (z: Tensor) (output: Tensor) : Tensor = num Spread * z + output

    /// n samples [n, D] in box coordinates: g_θ of normal numbers.
    let sampleBox (model: DiklModel) (sampler: Params) (n: int) (key: Key) : Tensor =
        Checks.samples n
        let z = latent model n key
        shifted z (Mlp.forward model.Compute model.Sampler sampler.Flat z)

    /// n samples [n, D] of the target from the averaged sampler.
    let sample (model: DiklModel) (state: DiklState) (n: int) (key: Key) : Tensor =
        Tensors.scoped List.singleton (fun () -> num model.Target.HalfWidth * sampleBox model state.Average n key)

    let private initSampler (model: DiklModel) (key: Key) : Params =
        let values = InitialWeights.draw InitialWeights.LecunUniform model.Sampler key
        let first = model.Sampler.WeightOffset 0

        for i in first .. first + model.Target.Dim * model.Sampler.Widths[1] - 1 do
            values[i] <- float32 model.Config.SamplerSharpness * values[i]

        let last = model.Sampler.WeightOffset(model.Sampler.LayerCount - 1)
        Array.fill values last (values.Length - last) 0.0f

        Mlp.parameters model.Compute model.Sampler values

    /// Where the score network's last layer begins in its parameters.
    let private lastLayer (model: DiklModel) : int =
        let main = model.Noise.Shape.Main
        model.Noise.Shape.Time.ParameterCount + main.WeightOffset(main.LayerCount - 1)

    /// The state before the first update.
    let init (model: DiklModel) (key: Key) : DiklState =
        Tensors.owning kept (fun () ->
            let struct (samplerKey, scoreKey) = Key.split key
            let sampler = initSampler model samplerKey
            let score = NoiseNetwork.initSharper model.Compute model.Noise model.Config.Sharpness scoreKey
            // without output it is right: the untrained sampler is normal of deviation Spread
            let last = int64 (lastLayer model)
            score.Flat.narrow(0L, last, score.Flat.size 0 - last).zero_() |> ignore

            { Sampler = sampler
              Average = Params.copy sampler
              Adam = Adam.init sampler
              Score = score
              ScoreAverage = Params.copy score
              ScoreAdam = Adam.init score
              StepSize = 1.0
              Updates = 0
              Loss = nan })

    // ---- the model's own denoiser

    /// The network's output F that stands for a denoiser's value D at x_t, after Karras et al. (2022), section 5: with s = Spread and
    /// x = x_t/√ᾱ_t, D = s²/(s² + σ²)·x + σ·s/√(s² + σ²)·F. F is of order one at every noise level, and its error reaches D by s at
    /// most: that of a predicted noise would be multiplied by σ. These are the factors of F.
    let private outputScale (model: DiklModel) (t: int[]) : Tensor =
        let scale (sigma: float) = sigma * Spread / sqrt (Spread * Spread + sigma * sigma)
        Schedule.column model.Compute (Array.map scale model.Schedule.SqrtRecipM1AlphaBars) t

    /// D_q of the network's output F.
    let private ownDenoised (model: DiklModel) (t: int[]) (noisy: Tensor) (output: Tensor) : Tensor =
        let s = model.Schedule
        let share (sigma: float) = Spread * Spread / (Spread * Spread + sigma * sigma)

        let column coefficients = Schedule.column model.Compute coefficients t
        let clean = column s.SqrtRecipAlphaBars * noisy
        column (Array.map share s.SqrtRecipM1AlphaBars) * clean + outputScale model t * output

    // ---- training

    let private timesAndNoise (model: DiklModel) (key: Key) =
        let c = model.Config
        let struct (timeKey, noiseKey) = Key.split key

        struct (Key.integers c.Timesteps c.Batch timeKey,
                Key.normal model.Compute [ c.Batch; model.Target.Dim ] noiseKey)

    /// One update of the score network by denoising score matching on fresh samples.
    let private learnScore (model: DiklModel) key (state: DiklState) : DiklState =
        let c = model.Config
        let struct (sampleKey, noiseKey) = Key.split key
        let clean = sampleBox model state.Sampler c.Batch sampleKey
        let struct (t, noise) = timesAndNoise model noiseKey
        let noisy = Diffusion.noised model.Compute model.Schedule t clean noise

        // ‖D_q - x‖² in units of F
        let loss (output: Tensor) =
            let difference = (ownDenoised model t noisy output - clean) / outputScale model t
            struct (difference.square().mean(), num (2.0 / float (difference.numel ())) * difference)

        let pace: Pace =
            { LearningRate = c.ScoreRate; Averaging = c.Averaging; Updates = c.Updates * c.ScoreUpdates }

        let before = state.Score, state.ScoreAverage, state.ScoreAdam

        let struct (score, average, moments, _) =
            Training.regress model.Compute model.Noise model.Target pace (int state.ScoreAdam.Count) before noisy t loss

        { state with Score = score; ScoreAverage = average; ScoreAdam = moments }

    /// D_q - D_p in units of F [B, D] at the noise of samples [B, D], and the share of Langevin steps accepted.
    let private difference (model: DiklModel) (state: DiklState) (clean: Tensor) key =
        let struct (noiseKey, drawKey) = Key.split key
        let struct (t, noise) = timesAndNoise model noiseKey
        let noisy = Diffusion.noised model.Compute model.Schedule t clean noise

        let predicted =
            NoiseNetwork.forward model.Compute model.Noise state.Score (Training.obs model.Compute t.Length) noisy t

        let own = ownDenoised model t noisy predicted
        let draws = DiklPosterior.draw model state.StepSize t noisy drawKey
        let difference = own - DiklPosterior.denoised model t noisy draws
        struct (difference / outputScale model t, draws.Accepted)

    /// Robbins–Monro on ln(size) towards the wanted acceptance.
    let private adapted (c: DiklConfig) size share =
        if Double.IsNaN share then
            size
        else
            Math.Clamp(size * exp (0.1 * (share - c.Acceptance)), 1e-3, 3.0)

    /// One update of the sampler, after those of the score network. The key belongs to the whole training: the update's own is
    /// derived from it.
    let step (model: DiklModel) (key: Key) (state: DiklState) : DiklState =
        Tensors.owning kept (fun () ->
            let c, compute = model.Config, model.Compute
            let keys = Key.splitMany 3 (Key.foldIn (int64 state.Updates) key)

            let state =
                (state, [ 0 .. c.ScoreUpdates - 1 ])
                ||> List.fold (fun state i -> learnScore model (Key.foldIn (int64 i) keys[0]) state)

            let z = latent model c.Batch keys[1]
            use vjp = Mlp.vjp compute model.Sampler state.Sampler.Flat z
            let struct (difference, share) = difference model state (shifted z vjp.Output) keys[2]
            let loss = Tensors.scalar (difference.square().mean())
            Training.finite model.Target $"update {state.Updates + 1}" loss
            let gradient = vjp.PullbackParameters(num (1.0 / float c.Batch) * difference)
            let rate = Training.learningRate c.LearningRate c.Updates (int64 state.Updates)
            let tau = Training.averaging c.Averaging (int64 state.Updates)

            let adam = { Beta1 = 0.9; Beta2 = 0.999; Epsilon = c.Damping }
            let struct (sampler, moments) = Adam.step compute adam rate gradient state.Sampler state.Adam
            let average = Polyak.step compute tau state.Average sampler

            { state with
                Sampler = sampler
                Average = average
                Adam = moments
                StepSize = adapted c state.StepSize share
                Updates = state.Updates + 1
                Loss = loss })

    /// Trains to the end. `observe` is shown every state and must not keep its tensors.
    let train (model: DiklModel) (key: Key) (observe: DiklState -> unit) : DiklState =
        Training.run (init model) (step model) dispose model.Config.Updates key observe

    /// The score of the model's own noised samples that the averaged network has learned, at points [N, D] in box coordinates.
    let learnedScore (model: DiklModel) (state: DiklState) (t: int) (y: Tensor) : Tensor =
        Tensors.scoped List.singleton (fun () ->
            let times = Array.create (Tensors.size 0 y) t
            let obs = Training.obs model.Compute times.Length
            let output = NoiseNetwork.forward model.Compute model.Noise state.ScoreAverage obs y times

            let clean = ownDenoised model times y output
            (num model.Schedule.SqrtAlphaBars[t] * clean - y) / num (1.0 - model.Schedule.AlphaBars[t]))
