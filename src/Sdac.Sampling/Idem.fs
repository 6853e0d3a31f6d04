namespace Sdac.Sampling

open System
open Sdac.Functional
open TorchSharp

/// Every setting of iDEM (Akhound-Sadegh et al. 2024), in box coordinates.
type IdemConfig =
    {
        /// Steps of the reverse SDE, and as many noise levels
        Timesteps: int
        /// σ_t grows geometrically from the first to the last of these.
        Noise: float * float
        Hidden: int list
        /// Factor on the first layer's initial weights: above 1 for targets whose detail is small beside their box
        Sharpness: float
        TimeDim: int
        TimeHidden: int
        /// Updates of the network
        Updates: int
        /// Noised buffer rows per update
        Batch: int
        /// K, draws from N(x, σ_t²) per row
        Draws: int
        /// ρ of the loss's weight σ_t²/(1 + (σ_t/ρ)²) on the score; infinity is iDEM's own weight σ_t²
        Knee: float
        /// Largest norm of an estimated score
        ScoreClip: float
        /// Samples that the buffer holds; the oldest go first
        Buffer: int
        /// Samples of the reverse SDE that join the buffer at a time
        Fresh: int
        /// Updates between two additions to the buffer
        Refresh: int
        /// The density sampled is exp(ln p / Temperature)
        Temperature: float
        /// Falls linearly to a hundredth of itself over the second half of training
        LearningRate: float
        /// Rate of the moving average of the parameters, which is what samples
        Averaging: float
    }

[<RequireQualifiedAccess>]
module IdemConfig =
    /// Settings that suit the two-dimensional targets at a minute's training. K, the clip and the buffer are those published
    /// for the forty modes; what is not: noise 3e-3 to 2 instead of 1e-5 to 1 and 128 steps instead of 1,000 (this box and this
    /// network), rate 5e-3 instead of 5e-4, and the knee: where σ_t is large, few of K draws meet the density and S_K varies
    /// several times as much as the score is long, which drowns the lower noise levels that the samples depend on.
    let standard =
        { Timesteps = 128
          Noise = 3e-3, 2.0
          Hidden = [ 128; 128; 128 ]
          Sharpness = 1.0
          TimeDim = 8
          TimeHidden = 64
          Updates = 1500
          Batch = 128
          Draws = 500
          Knee = 0.03
          ScoreClip = 70.0
          Buffer = 10_000
          Fresh = 1024
          Refresh = 100
          Temperature = 1.0
          LearningRate = 5e-3
          Averaging = 0.005 }

    /// What is impossible in these settings, one sentence each.
    let problems (c: IdemConfig) : string list =
        let first, last = c.Noise

        [ Check.atLeast "Timesteps" 1 c.Timesteps
          Check.atLeast "Updates" 1 c.Updates
          Check.atLeast "Batch" 1 c.Batch
          Check.atLeast "Draws (K)" 1 c.Draws
          Check.atLeast "Buffer" 1 c.Buffer
          Check.atLeast "Fresh" 1 c.Fresh
          Check.atLeast "Refresh" 1 c.Refresh
          Check.positive "the first noise level" first
          Check.positive "the last noise level" last
          [ if first > last then
                $"the noise goes from {string first} to {string last}; it must not fall" ]
          Check.positive "Sharpness" c.Sharpness
          [ if not (c.Knee > 0.0) then
                $"knee is {string c.Knee}; it must be a positive number or infinity" ]
          Check.positive "ScoreClip" c.ScoreClip
          Check.positive "Temperature" c.Temperature
          Check.positive "LearningRate" c.LearningRate
          Check.share "Averaging" c.Averaging ]
        |> List.concat

/// An iDEM trainer between two updates. Immutable; `Idem.dispose` frees it.
[<NoComparison; NoEquality>]
type IdemState =
    {
        Network: Params
        /// Moving average of the network
        Average: Params
        Adam: AdamState
        /// The model's own samples [n, D] in box coordinates, the latest last
        Buffer: Tensor
        Updates: int
        /// Of the last update
        Loss: float
    }

/// A target, settings and the network they call for.
[<NoComparison; NoEquality>]
type IdemModel = { Compute: Compute; Config: IdemConfig; Target: Target; Schedule: Schedule; Noise: NoiseNetwork }

/// Iterated denoising energy matching: a network is regressed on a Monte-Carlo estimate of the noised score made from
/// the energy and its gradient, at noised samples of its own reverse SDE.
///
/// The process is the variance-exploding x = x_0 + σ_t·z. Networks see it shrunk by √ᾱ_t, ᾱ_t = 1/(1 + σ_t²), which
/// is RSSM's forward process: both peers share the network, the sampler and its clip to the box, and differ in what is
/// regressed on what. The network gives ε = -σ_t·s, so that its plain squared error is iDEM's weight σ_t² on the score's;
/// `Knee` lowers it further where the estimate is noisiest.
[<RequireQualifiedAccess>]
module Idem =
    /// Checks the settings. Raises ArgumentException with all that is impossible in them.
    let create (compute: Compute) (config: IdemConfig) (target: Target) : IdemModel =
        let config = Settings.validate IdemConfig.problems config

        { Compute = compute
          Config = config
          Target = target
          Schedule = Schedule.create (BetaSchedule.Geometric config.Noise) config.Timesteps
          Noise = NoiseNetwork.create 1 target.Dim config.TimeDim config.TimeHidden config.Hidden }

    let private kept (s: IdemState) = [ s.Network.Flat; s.Average.Flat; s.Adam.M; s.Adam.V; s.Buffer ]

    /// Frees a state's tensors.
    let dispose (s: IdemState) =
        for t in kept s do
            t.Dispose()

    /// n samples [n, D] in box coordinates by the reverse SDE from N(0, σ_T²).
    let sampleBox (model: IdemModel) (network: Params) (n: int) (key: Key) : Tensor =
        Checks.samples n

        Tensors.scoped List.singleton (fun () ->
            let s = model.Schedule
            let start = s.SqrtOneMinusAlphaBars[s.Timesteps - 1]

            Diffusion.sample
                model.Compute
                s
                model.Noise
                network
                start
                n
                (SamplerNoise.Drawn key)
                (Training.obs model.Compute 1)
            |> Tensors.view [ n; model.Target.Dim ])

    /// n samples [n, D] of the target from the averaged network.
    let sample (model: IdemModel) (state: IdemState) (n: int) (key: Key) : Tensor =
        Tensors.scoped List.singleton (fun () -> num model.Target.HalfWidth * sampleBox model state.Average n key)

    /// The state before the first update.
    let init (model: IdemModel) (key: Key) : IdemState =
        Tensors.owning kept (fun () ->
            let struct (networkKey, bufferKey) = Key.split key
            let network = NoiseNetwork.initSharper model.Compute model.Noise model.Config.Sharpness networkKey

            { Network = network
              Average = Params.copy network
              Adam = Adam.init network
              Buffer = sampleBox model network (min model.Config.Fresh model.Config.Buffer) bufferKey
              Updates = 0
              Loss = nan })

    /// S_K(x, t) = ∇ ln (1/K) Σ_k p(x + σ_t·z_k) = Σ_k softmax_k(ln p)·∇ ln p(x + σ_t·z_k) (eq. 8), for x [B, D] in box
    /// coordinates at timesteps t [B] and normal numbers z [B, K, D]; not clipped. Raises ArgumentException on an
    /// energy or gradient of a wrong shape, or not finite, with its value and timestep.
    let score (model: IdemModel) (t: int[]) (x: Tensor) (z: Tensor) : Tensor =
        let batch, k, dim = Tensors.size 0 z, Tensors.size 1 z, Tensors.size 2 z
        let sigma = Schedule.column model.Compute model.Schedule.SqrtRecipM1AlphaBars t
        let draws = x.unsqueeze 1L + sigma.unsqueeze 2L * z |> Tensors.reshape [ batch * k; dim ]
        let check what = Checks.finite what (fun row -> $"timestep {t[row / k]}") model.Target draws
        let energy = Target.boxEnergy model.Config.Temperature model.Target draws
        check "energy" [ batch * k ] energy
        let gradient = Target.boxGradient model.Target draws
        check "gradient" [ batch * k; dim ] gradient
        let weights = (Tensors.view [ batch; k ] energy).softmax 1L

        (weights.unsqueeze 2L * Tensors.view [ batch; k; dim ] gradient).sum 1L
        / num model.Config.Temperature

    /// Scores [B, D] in their directions, none longer than `longest`.
    let clipped (longest: float) (score: Tensor) : Tensor =
        let norm = score.square().sum(1L, true).sqrt()
        score / (norm / num longest).clamp_min(num 1.0)

    /// Noised buffer rows √ᾱ_t·(x_0 + σ_t·z) [B, D] and the noise ε = -σ_t·S_K that the network should give there.
    let private regression (model: IdemModel) (buffer: Tensor) (t: int[]) (key: Key) =
        let c, compute, schedule = model.Config, model.Compute, model.Schedule
        let dim = model.Target.Dim
        let keys = Key.splitMany 3 key
        let rows = Key.integers (Tensors.size 0 buffer) c.Batch keys[0]
        let index = torch.tensor (Array.map int64 rows, device = compute.Device)
        let clean = buffer.index_select (0L, index)
        let noisy = Diffusion.noised compute schedule t clean (Key.normal compute [ c.Batch; dim ] keys[1])
        let x = Schedule.column compute schedule.SqrtRecipAlphaBars t * noisy

        let estimate =
            clipped c.ScoreClip (score model t x (Key.normal compute [ c.Batch; c.Draws; dim ] keys[2]))

        let sigma = Schedule.column compute schedule.SqrtRecipM1AlphaBars t
        struct (noisy, -(sigma * estimate))

    /// What the squared error of ε counts at every timestep.
    let private lossWeights (model: IdemModel) =
        model.Schedule.SqrtRecipM1AlphaBars
        |> Array.map (fun sigma -> 1.0 / (1.0 + (sigma / model.Config.Knee) ** 2.0))

    /// The buffer with fresh samples, no longer than it may be.
    let private refreshed (model: IdemModel) network (buffer: Tensor) key : Tensor =
        let c = model.Config
        let joined = Tensors.cat 0 [ buffer; sampleBox model network c.Fresh key ]
        let excess = max 0 (Tensors.size 0 joined - c.Buffer)
        joined.narrow(0L, int64 excess, int64 (Tensors.size 0 joined - excess)).clone()

    let private pace (c: IdemConfig) : Pace =
        { LearningRate = c.LearningRate; Averaging = c.Averaging; Updates = c.Updates }

    /// One update. The key belongs to the whole training: the update's own is derived from it.
    let step (model: IdemModel) (key: Key) (state: IdemState) : IdemState =
        Tensors.owning kept (fun () ->
            let c, compute = model.Config, model.Compute
            let keys = Key.splitMany 3 (Key.foldIn (int64 state.Updates) key)
            let t = Key.integers c.Timesteps c.Batch keys[0]
            let struct (noisy, wanted) = regression model state.Buffer t keys[1]

            let weights = Schedule.column compute (lossWeights model) t

            let loss (output: Tensor) =
                let difference = output - wanted
                let slope = num (2.0 / float (difference.numel ())) * (weights * difference)
                struct ((weights * difference.square ()).mean(), slope)

            let before = state.Network, state.Average, state.Adam

            let struct (network, average, moments, loss) =
                Training.regress compute model.Noise model.Target (pace c) state.Updates before noisy t loss

            let buffer =
                if (state.Updates + 1) % c.Refresh = 0 then
                    refreshed model average state.Buffer keys[2]
                else
                    state.Buffer.clone ()

            { Network = network
              Average = average
              Adam = moments
              Buffer = buffer
              Updates = state.Updates + 1
              Loss = loss })

    /// Trains to the end. `observe` is shown every state and must not keep its tensors.
    let train (model: IdemModel) (key: Key) (observe: IdemState -> unit) : IdemState =
        Training.run (init model) (step model) dispose model.Config.Updates key observe

    /// The score that the averaged network has learned, s = -ε_θ/√(1-ᾱ_t), at points [N, D] in RSSM's box coordinates.
    let learnedScore (model: IdemModel) (state: IdemState) (t: int) (y: Tensor) : Tensor =
        Training.score model.Compute model.Schedule model.Noise state.Average t y
