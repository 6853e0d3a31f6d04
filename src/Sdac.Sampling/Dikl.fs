namespace Sdac.Sampling

open System
open Sdac.Functional
open Sdac.Kernels
open TorchSharp

/// Every setting of DiKL (He et al. 2024), in box coordinates.
type DiklConfig =
    {
        /// Noise levels at which the model is compared with the target
        Timesteps: int
        /// σ_t grows geometrically from the first to the last of these.
        Noise: float * float
        /// Hidden widths of the sampler x = g_θ(z)
        Sampler: int list
        /// Hidden widths of the network of its noised score
        Hidden: int list
        /// Factor on the score network's initial first weights: above 1 where detail is small beside the box, be it the target's or
        /// folds of the sampler, which a blunt network would not see
        Sharpness: float
        /// The same of the sampler: above 1 for targets of several modes, between which the map must be steep
        SamplerSharpness: float
        TimeDim: int
        TimeHidden: int
        /// Updates of the sampler
        Updates: int
        /// Updates of the score network before each of them
        ScoreUpdates: int
        /// Samples of g_θ per update of either network
        Batch: int
        /// K, posterior draws per noised sample
        Draws: int
        /// Densities between the reverse sampling distribution and the posterior; none: importance sampling
        Levels: int
        /// Langevin steps, accepted or not (MALA), at each of them and at the posterior
        Steps: int
        /// Share of these steps that should be accepted
        Acceptance: float
        /// ρ, the width of the target's detail: below it, the score is estimated by slopes of ln p, above it by the draws themselves
        Width: float
        /// The density sampled is exp(ln p / Temperature)
        Temperature: float
        /// Of the sampler; falls linearly to a hundredth of itself over the second half of training
        LearningRate: float
        /// The same of the score network
        ScoreRate: float
        /// ε of the sampler's Adam: parameters with gradients well below it move in proportion to them, others by the rate. Without it
        /// they all move by the rate at first, and the map folds
        Damping: float
        /// Rate of the moving average of the sampler's parameters, which is what samples
        Averaging: float
    }

[<RequireQualifiedAccess>]
module DiklConfig =
    /// Settings that suit the two-dimensional targets of several modes at a minute's training. The authors' noise levels, networks
    /// and annealed chains are larger, and their score network takes more updates between two of the sampler.
    let standard =
        { Timesteps = 64
          Noise = 0.02, 1.5
          Sampler = [ 64; 64 ]
          Hidden = [ 128; 128 ]
          Sharpness = 4.0
          SamplerSharpness = 4.0
          TimeDim = 8
          TimeHidden = 64
          Updates = 2000
          ScoreUpdates = 6
          Batch = 128
          Draws = 16
          Levels = 1
          Steps = 1
          Acceptance = 0.6
          Width = 0.1
          Temperature = 1.0
          LearningRate = 1e-3
          ScoreRate = 5e-3
          Damping = 0.01
          Averaging = 0.005 }

    /// What is impossible in these settings, one sentence each.
    let problems (c: DiklConfig) : string list =
        let first, last = c.Noise

        [ Check.atLeast "Timesteps" 1 c.Timesteps
          Check.positive "the first noise level" first
          Check.positive "the last noise level" last
          [ if first > last then
                $"the noise goes from {string first} to {string last}; it must not fall" ]
          Check.widths "Sampler" c.Sampler
          Check.widths "Hidden" c.Hidden
          Check.positive "Sharpness" c.Sharpness
          Check.positive "SamplerSharpness" c.SamplerSharpness
          Check.atLeast "Updates" 1 c.Updates
          Check.atLeast "ScoreUpdates" 1 c.ScoreUpdates
          Check.atLeast "Batch" 1 c.Batch
          Check.atLeast "Draws (K)" 1 c.Draws
          Check.atLeast "Levels" 0 c.Levels
          Check.atLeast "Steps" 0 c.Steps
          [ if c.Levels > 0 && c.Steps = 0 then
                $"levels is %d{c.Levels} with steps 0: draws that do not move weigh the same with levels as without; take at least 1 step, or levels = 0"
            if c.Draws = 1 && c.Steps = 0 then
                "draws (K) is 1 with steps 0: the only draw knows nothing of the target; take at least 2 draws or 1 step" ]
          [ if not (c.Acceptance > 0.0 && c.Acceptance < 1.0) then
                $"acceptance is {string c.Acceptance}; it must lie between 0 and 1" ]
          Check.positive "Width" c.Width
          Check.positive "Temperature" c.Temperature
          Check.positive "LearningRate" c.LearningRate
          Check.positive "ScoreRate" c.ScoreRate
          Check.positive "Damping" c.Damping
          Check.share "Averaging" c.Averaging ]
        |> List.concat

/// Draws of the posterior of clean points given noised ones.
[<NoComparison; NoEquality>]
type PosteriorDraws =
    {
        /// [B·K, D], a state's K draws in a row
        Points: Tensor
        /// ∇ ln p there, temperature included, [B·K, D]
        Slopes: Tensor
        /// Importance weights of each state's draws, which sum to one, [B, K]
        Weights: Tensor
        /// Of the Langevin steps, the share accepted; NaN without any
        Accepted: float
    }

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

/// A target, settings and the networks they call for.
[<NoComparison; NoEquality>]
type DiklModel =
    { Compute: Compute
      Config: DiklConfig
      Target: Target
      Schedule: Schedule
      Sampler: MlpShape
      Noise: NoiseNetwork }

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
    let private shifted (z: Tensor) (output: Tensor) : Tensor = output.add (z.mul (Scalars.ofFloat Spread))

    /// n samples [n, D] in box coordinates: g_θ of normal numbers.
    let sampleBox (model: DiklModel) (sampler: Params) (n: int) (key: Key) : Tensor =
        Checks.samples n
        let z = latent model n key
        shifted z (Mlp.forward model.Compute model.Sampler sampler.Flat z)

    /// n samples [n, D] of the target from the averaged sampler.
    let sample (model: DiklModel) (state: DiklState) (n: int) (key: Key) : Tensor =
        Tensors.scoped List.singleton (fun () ->
            (sampleBox model state.Average n key).mul(Scalars.ofFloat model.Target.HalfWidth))

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

    // ---- draws of the posterior

    /// A cloud of points on the way from the reverse sampling distribution to the posterior.
    [<NoComparison; NoEquality>]
    type private Cloud =
        {
            /// [N, D]
            Points: Tensor
            /// ln p / temperature, [N, 1]
            Energy: Tensor
            /// Its gradient, [N, D]
            Slopes: Tensor
        }

    /// ln p and its gradient at points of the box. Raises ArgumentException where either is not finite, with the timestep.
    let private cloud (model: DiklModel) (t: int[]) (points: Tensor) : Cloud =
        let rows, dim = Tensors.size 0 points, model.Target.Dim
        let perState = rows / t.Length
        let check what = Checks.finite what (fun row -> $"timestep {t[row / perState]}") model.Target points
        let energy = Target.boxEnergy model.Config.Temperature model.Target points
        check "energy" [ rows ] energy
        let gradient = Target.boxGradient model.Target points
        check "gradient" [ rows; dim ] gradient

        { Points = points
          Energy = energy.unsqueeze 1L
          Slopes = gradient.div (Scalars.ofFloat model.Config.Temperature) }

    /// The posterior's other factor, N(x; centre, σ²·I), by rows.
    [<NoComparison; NoEquality>]
    type private Likelihood =
        {
            /// x_t/√ᾱ_t, [N, D]
            Centre: Tensor
            /// 1/σ_t², [N, 1]
            Precision: Tensor
        }

    /// ln of the density at β, without constants [N, 1], and its gradient [N, D]: p to the power β times the likelihood.
    let private at (likelihood: Likelihood) (beta: float) (c: Cloud) =
        let away = c.Points.sub likelihood.Centre
        let pull = away.mul likelihood.Precision

        struct (c.Energy.mul(Scalars.ofFloat beta).sub(away.mul(pull).sum(1L, true).mul(Scalars.ofFloat 0.5)),
                c.Slopes.mul(Scalars.ofFloat beta).sub pull)

    /// A proposal's mean: half its variance along the gradient, but no coordinate further than two deviations, so that a steep slope
    /// far out does not throw it to the other side. It depends on the point alone: the acceptance makes up for it.
    let private mean (deviation: Tensor) (points: Tensor) (gradient: Tensor) : Tensor =
        let limit = deviation.mul (Scalars.ofFloat 2.0)
        let step = gradient.mul(deviation.square ()).mul(Scalars.ofFloat 0.5)
        points.add (step.minimum(limit).maximum(limit.neg ()))

    /// One Metropolis-adjusted Langevin step on the density at β within the box, deviation [N, 1]; and the share accepted.
    let private langevin model t likelihood beta (deviation: Tensor) key (here: Cloud) : struct (Cloud * float) =
        let rows, dim = Tensors.size 0 here.Points, Tensors.size 1 here.Points
        let struct (noiseKey, acceptKey) = Key.split key
        let struct (logHere, gradientHere) = at likelihood beta here
        let meanHere = mean deviation here.Points gradientHere
        let proposal = meanHere.add ((Key.normal model.Compute [ rows; dim ] noiseKey).mul deviation)
        let inside = (proposal.abs().amax([| 1L |], true)).le(Scalars.ofFloat 1.0)
        let there = cloud model t (Diffusion.clip proposal)
        let struct (logThere, gradientThere) = at likelihood beta there
        let meanThere = mean deviation there.Points gradientThere

        let logMove (from: Tensor) (towards: Tensor) : Tensor =
            (towards.sub(from).div(deviation).square().sum(1L, true)).mul(Scalars.ofFloat -0.5)

        let ratio = logThere.add(logMove meanThere here.Points).sub(logHere).sub(logMove meanHere proposal)

        let chance = (Key.uniform model.Compute [ rows; 1 ] acceptKey).log()
        let accept = (chance.lt ratio).logical_and inside
        let pick (fresh: Tensor) (old: Tensor) = torch.where (accept, fresh, old)

        struct ({ Points = pick there.Points here.Points
                  Energy = pick there.Energy here.Energy
                  Slopes = pick there.Slopes here.Slopes },
                Tensors.scalar (accept.``to``(torch.float32).mean()))

    /// β of the levels and of the posterior, which is the last: the first are close, since far from the density little of p is much.
    let private betas (levels: int) = [ for level in 1 .. levels + 1 -> (float level / float (levels + 1)) ** 2.0 ]

    /// K draws of p(x | x_t) for each noised sample [B, D] at timesteps t [B], with weights: annealed importance sampling (Neal 2001)
    /// from the reverse sampling distribution N(x_t/√ᾱ_t, σ_t²·I) within the box, with Langevin proposals of `size` times the
    /// posterior's own deviation where the target is as wide as `Width`. Raises ArgumentException on an energy or gradient of a
    /// wrong shape, or not finite, with its value and timestep.
    let posterior (model: DiklModel) (size: float) (t: int[]) (noisy: Tensor) (key: Key) : PosteriorDraws =
        let c, compute, schedule = model.Config, model.Compute, model.Schedule
        let batch, dim, draws = t.Length, model.Target.Dim, c.Draws
        let struct (startKey, stepKey) = Key.split key
        let uniform = Key.uniform compute [ batch; draws; dim ] startKey
        let struct (noise, _) = Rssm.truncatedNoise compute schedule t noisy uniform

        let start =
            Rssm.cleanDraws ReverseNoise.Clipped compute schedule t noisy noise
            |> Tensors.reshape [ batch * draws; dim ]

        let times = t |> Array.collect (Array.replicate draws)
        let sigma = Schedule.column compute schedule.SqrtRecipM1AlphaBars times

        let likelihood =
            { Centre =
                (noisy.mul (Schedule.column compute schedule.SqrtRecipAlphaBars t)).repeat_interleave(int64 draws, 0L)
              Precision = sigma.square().reciprocal() }

        let mutable here = cloud model t start
        let mutable logWeights = here.Energy.zeros_like ()
        let mutable before = 0.0
        let shares = ResizeArray()

        for level, beta in List.indexed (betas c.Levels) do
            logWeights <- logWeights.add (here.Energy.mul (Scalars.ofFloat (beta - before)))
            before <- beta

            let deviation =
                likelihood.Precision.add(Scalars.ofFloat (beta / (c.Width * c.Width))).rsqrt().mul(Scalars.ofFloat size)

            for step in 0 .. c.Steps - 1 do
                let key = Key.foldIn (int64 (level * c.Steps + step)) stepKey
                let struct (next, share) = langevin model t likelihood beta deviation key here
                here <- next
                shares.Add share

        { Points = here.Points
          Slopes = here.Slopes
          Weights = (Tensors.view [ batch; draws ] logWeights).softmax 1L
          Accepted = if shares.Count = 0 then nan else Seq.average shares }

    /// The target's denoiser E[x | x_t] by such draws, [B, D]. Two means of a posterior are equal to it: that of x, and that of
    /// x_t/√ᾱ_t + σ_t²·∇ ln p(x) (integration by parts). Any blend is as well; with the share σ_t²/(ρ² + σ_t²) of the first one it
    /// has no variance where the target is normal of deviation ρ (He et al., section 3.2, where ρ = 1).
    let denoised (model: DiklModel) (t: int[]) (noisy: Tensor) (draws: PosteriorDraws) : Tensor =
        let compute, schedule, width = model.Compute, model.Schedule, model.Config.Width
        let shape = [ t.Length; model.Config.Draws; model.Target.Dim ]

        let mean (quantity: Tensor) = (Tensors.view shape quantity).mul(draws.Weights.unsqueeze 2L).sum(1L)

        let sigma2 = schedule.SqrtRecipM1AlphaBars |> Array.map (fun s -> s * s)
        let ofPoints = sigma2 |> Array.map (fun s -> s / (width * width + s))
        let ofSlopes = sigma2 |> Array.map (fun s -> s * width * width / (width * width + s))
        let column coefficients = Schedule.column compute coefficients t
        let centre = noisy.mul (column schedule.SqrtRecipAlphaBars)

        (mean draws.Points).sub(centre).mul(column ofPoints).add(centre).add((mean draws.Slopes).mul(column ofSlopes))

    /// The estimated score ∇ ln p_t of the noised target at x_t [B, D], from its denoiser: (√ᾱ_t·D - x_t)/(1-ᾱ_t).
    let score (model: DiklModel) (t: int[]) (noisy: Tensor) (draws: PosteriorDraws) : Tensor =
        let s = model.Schedule
        let column coefficients = Schedule.column model.Compute coefficients t

        (denoised model t noisy draws)
            .mul(column s.SqrtAlphaBars)
            .sub(noisy)
            .div(column (s.AlphaBars |> Array.map (fun a -> 1.0 - a)))

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

        noisy
            .mul(Schedule.column model.Compute s.SqrtRecipAlphaBars t)
            .mul(Schedule.column model.Compute (Array.map share s.SqrtRecipM1AlphaBars) t)
            .add(output.mul (outputScale model t))

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
            let difference = ((ownDenoised model t noisy output).sub clean).div(outputScale model t)
            struct (difference.square().mean(), difference.mul (Scalars.ofFloat (2.0 / float (difference.numel ()))))

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
        let draws = posterior model state.StepSize t noisy drawKey
        let difference = own.sub (denoised model t noisy draws)
        struct (difference.div (outputScale model t), draws.Accepted)

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
            let gradient = vjp.PullbackParameters(difference.mul (Scalars.ofFloat (1.0 / float c.Batch)))
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

            (ownDenoised model times y output)
                .mul(Scalars.ofFloat model.Schedule.SqrtAlphaBars[t])
                .sub(y)
                .div(Scalars.ofFloat (1.0 - model.Schedule.AlphaBars[t])))
