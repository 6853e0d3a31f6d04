namespace Sdac.Sampling

open System
open Sdac.Functional
open TorchSharp

/// How a noise network learns a target.
type Learning =
    /// RSSM: from the energy alone.
    | FromEnergy
    /// Denoising score matching on exact samples: the reference that needs them.
    | FromSamples

/// Every setting of training a diffusion sampler for a target.
type SamplerConfig =
    {
        Learning: Learning
        /// T, diffusion timesteps
        Timesteps: int
        Schedule: BetaSchedule
        Hidden: int list
        /// Factor on the first layer's initial weights: above 1 for targets whose detail is small beside their box
        Sharpness: float
        TimeDim: int
        TimeHidden: int
        /// Updates of the network
        Updates: int
        /// States a_t per update
        Batch: int
        /// K, draws from q̃_{0|t} per state
        Draws: int
        Points: DrawPoints
        Weights: RssmWeights
        /// Removes the leading bias of self-normalised weights; K must then be even
        Jackknife: bool
        ReverseNoise: ReverseNoise
        /// p̃_t
        States: NoisyStates
        /// The density sampled is exp(ln p / Temperature)
        Temperature: float
        /// Falls linearly to a hundredth of itself over the second half of training
        LearningRate: float
        /// Rate of the moving average of the parameters, which is what samples
        Averaging: float
    }

[<RequireQualifiedAccess>]
module SamplerConfig =
    /// Settings that suit the two-dimensional targets.
    let standard =
        { Learning = FromEnergy
          Timesteps = 128
          Schedule = BetaSchedule.Geometric(0.01, 20.0)
          Hidden = [ 128; 128; 128 ]
          Sharpness = 1.0
          TimeDim = 8
          TimeHidden = 64
          Updates = 4000
          Batch = 128
          Draws = 128
          Points = DrawPoints.Lattice
          Weights = RssmWeights.SelfNormalised
          Jackknife = false
          ReverseNoise = ReverseNoise.TruncatedNormal
          States = OwnSamples(500, 0.5)
          Temperature = 1.0
          LearningRate = 5e-3
          Averaging = 0.005 }

    /// What is impossible in these settings, one sentence each.
    let problems (c: SamplerConfig) : string list =
        [ Check.atLeast "Timesteps (T)" 1 c.Timesteps
          Check.atLeast "Updates" 1 c.Updates
          Check.atLeast "Batch" 1 c.Batch
          Check.atLeast "Draws (K)" 1 c.Draws
          [ if c.Learning = FromEnergy && c.Weights <> RssmWeights.Raw && c.Draws = 1 then
                "draws (K) is 1 with self-normalised weights: every weight would be 1 and nothing would be learned; take at least 2 draws, or weights = raw" ]
          [ if c.Jackknife && c.Draws % 2 <> 0 then
                $"draws (K) is %d{c.Draws}; the jackknife halves the draws, so it must be even (or jackknife = false)" ]
          [ if c.Jackknife && c.Weights = RssmWeights.Raw then
                "jackknife is on with raw weights, which have no bias to remove; take jackknife = false" ]
          Check.positive "Sharpness" c.Sharpness
          Check.positive "Temperature" c.Temperature
          Check.positive "LearningRate" c.LearningRate
          Check.share "Averaging" c.Averaging
          Option.toList (NoisyStates.problem c.States) ]
        |> List.concat

/// A trainer between two updates. Immutable; `RssmTrainer.dispose` frees it.
[<NoComparison; NoEquality>]
type SamplerState =
    {
        Policy: Params
        /// Moving average of the policy
        Average: Params
        Adam: AdamState
        /// The model's own samples, where p̃_t is made of them
        Own: Tensor
        /// The largest energy seen: raw weights are exp(energy - this), which keeps them finite. It only rises, so that
        /// their scale settles as soon as the top has been seen
        TopEnergy: float
        Updates: int
        /// Of the last update
        Loss: float
    }

/// A target, settings and the network they call for.
[<NoComparison; NoEquality>]
type SamplerModel =
    { Compute: Compute; Config: SamplerConfig; Target: Target; Schedule: Schedule; Noise: NoiseNetwork }

/// RSSM as a general trainer of samplers: the same weights, gradient, network and optimiser as SDAC, with an energy in the
/// place of Q/λ; draws on a lattice and the jackknife are options of this trainer alone. The networks see one constant observation, 1, for every point: they take at least one.
[<RequireQualifiedAccess>]
module RssmTrainer =
    // How many of its own samples the model keeps for p̃_t.
    [<Literal>]
    let private OwnCount = 4096

    /// Checks the settings. Raises ArgumentException with all that is impossible in them.
    let create (compute: Compute) (config: SamplerConfig) (target: Target) : SamplerModel =
        let config = Settings.validate SamplerConfig.problems config

        { Compute = compute
          Config = config
          Target = target
          Schedule = Schedule.create config.Schedule config.Timesteps
          Noise = NoiseNetwork.create 1 target.Dim config.TimeDim config.TimeHidden config.Hidden }

    let private kept (s: SamplerState) = [ s.Policy.Flat; s.Average.Flat; s.Adam.M; s.Adam.V; s.Own ]

    /// Frees a state's tensors.
    let dispose (s: SamplerState) =
        for t in kept s do
            t.Dispose()

    /// n samples [n, D] in box coordinates by ancestral (DDPM) sampling from x_T ~ N(0, I).
    let sampleBox (model: SamplerModel) (policy: Params) (n: int) (key: Key) : Tensor =
        Checks.samples n

        Tensors.scoped List.singleton (fun () ->
            Diffusion.sample
                model.Compute
                model.Schedule
                model.Noise
                policy
                1.0
                n
                (SamplerNoise.Drawn key)
                (Training.obs model.Compute 1)
            |> Tensors.view [ n; model.Target.Dim ])

    /// n samples [n, D] in box coordinates by the probability-flow ODE, integrated by the deterministic steps
    /// x_{t-1} = √ᾱ_{t-1}·x̂_0 + √(1-ᾱ_{t-1})·ε (Song, Meng & Ermon 2021, eq. 12 with σ = 0). x̂_0 is clipped to the box, and ε
    /// is the noise that leads from it to x_t: ε_θ wherever nothing was clipped.
    let flowBox (model: SamplerModel) (policy: Params) (n: int) (key: Key) : Tensor =
        Checks.samples n

        Tensors.scoped List.singleton (fun () ->
            let s = model.Schedule
            let obs = Training.obs model.Compute n
            let mutable x = Key.normal model.Compute [ n; model.Target.Dim ] key

            for t in s.Timesteps - 1 .. -1 .. 0 do
                x <-
                    Tensors.scoped List.singleton (fun () ->
                        let times = Array.create n t
                        let noise = NoiseNetwork.forward model.Compute model.Noise policy obs x times

                        let clean =
                            (Diffusion.clean model.Compute s times x noise)
                                .clamp(Scalars.ofFloat -1.0, Scalars.ofFloat 1.0)

                        // x_{t-1} = √ᾱ_{t-1}·x̂_0 + ratio·(x_t - √ᾱ_t·x̂_0)
                        let previous = s.AlphaBarsPrevious[t]
                        let ratio = sqrt (1.0 - previous) / s.SqrtOneMinusAlphaBars[t]

                        clean
                            .mul(Scalars.ofFloat (sqrt previous - ratio * s.SqrtAlphaBars[t]))
                            .add(x.mul (Scalars.ofFloat ratio)))

            x)

    let private toTarget (model: SamplerModel) (y: Tensor) = y.mul (Scalars.ofFloat model.Target.HalfWidth)

    /// n samples [n, D] of the target by ancestral sampling with the averaged network.
    let sample (model: SamplerModel) (state: SamplerState) (n: int) (key: Key) =
        Tensors.scoped List.singleton (fun () -> toTarget model (sampleBox model state.Average n key))

    /// n samples [n, D] of the target by the probability flow with the averaged network.
    let flow (model: SamplerModel) (state: SamplerState) (n: int) (key: Key) =
        Tensors.scoped List.singleton (fun () -> toTarget model (flowBox model state.Average n key))

    /// The state before the first update.
    let init (model: SamplerModel) (key: Key) : SamplerState =
        Tensors.owning kept (fun () ->
            let struct (networkKey, ownKey) = Key.split key
            let policy = NoiseNetwork.initSharper model.Compute model.Noise model.Config.Sharpness networkKey

            let own =
                match model.Config.States with
                | OwnSamples _ -> sampleBox model policy OwnCount ownKey
                | _ -> Tensors.zeros model.Compute [ 1; model.Target.Dim ]

            { Policy = policy
              Average = Params.copy policy
              Adam = Adam.init policy
              Own = own
              TopEnergy = Double.NegativeInfinity
              Updates = 0
              Loss = nan })

    /// Energies [B, K] of clean draws [B, K, D] at timesteps t [B]. Raises ArgumentException on a wrong shape, and on an
    /// energy that is not finite with its value and timestep.
    let energies (model: SamplerModel) (t: int[]) (draws: Tensor) : Tensor =
        let batch, k, dim = Tensors.size 0 draws, Tensors.size 1 draws, Tensors.size 2 draws
        let flat = draws |> Tensors.reshape [ batch * k; dim ]
        let energy = Target.boxEnergy model.Config.Temperature model.Target flat
        Checks.finite "energy" (fun row -> $"timestep {t[row / k]}") model.Target flat [ batch * k ] energy
        Tensors.view [ batch; k ] energy

    /// The noises ε_k [B, K, D] that explain a_t, and their weights [B, K]: what the network is regressed on.
    /// `top` is the energy that raw weights are measured from. Returned with the largest energy seen.
    let regression (model: SamplerModel) (top: float) (t: int[]) (noisy: Tensor) (key: Key) =
        let c, compute, schedule = model.Config, model.Compute, model.Schedule
        let drawn points = points compute c.Points t.Length c.Draws model.Target.Dim key

        let struct (noise, logShare) =
            match c.ReverseNoise with
            | ReverseNoise.TruncatedNormal -> Rssm.truncatedNoise compute schedule t noisy (drawn DrawPoints.uniform)
            | ReverseNoise.Clipped
            | ReverseNoise.Unbounded -> struct (drawn DrawPoints.normal, Tensors.zeros compute [ t.Length; 1 ])

        let energy =
            (energies model t (Rssm.cleanDraws c.ReverseNoise compute schedule t noisy noise)).add logShare

        let top = max top (Tensors.scalar (energy.max ()))

        let weights =
            match c.Weights with
            | RssmWeights.SelfNormalised when c.Jackknife -> Rssm.jackknifeWeights energy
            | RssmWeights.SelfNormalised
            | RssmWeights.LogSumExp -> Rssm.weights c.Weights energy
            | RssmWeights.Raw -> Rssm.weights RssmWeights.Raw (energy.sub (Scalars.ofFloat top))

        struct (noise, weights, top)

    let private batchOf (model: SamplerModel) (state: SamplerState) (t: int[]) (key: Key) =
        let c, compute, schedule = model.Config, model.Compute, model.Schedule
        let struct (first, second) = Key.split key

        match c.Learning with
        | FromEnergy ->
            let states = NoisyStates.during (float state.Updates / float c.Updates) c.States
            let noisy = NoisyStates.draw compute schedule state.Own model.Target.Dim states t first
            let struct (noise, weights, top) = regression model state.TopEnergy t noisy second
            struct (noisy, noise, weights, top)
        | FromSamples ->
            let noise = Key.normal compute [ c.Batch; model.Target.Dim ] second
            let clean = Target.boxSample c.Batch first model.Target
            let noisy = Diffusion.noised compute schedule t clean noise
            struct (noisy, noise.unsqueeze 1L, torch.ones (int64 c.Batch, 1L, torch.float32, compute.Device), nan)

    let private pace (c: SamplerConfig) : Pace =
        { LearningRate = c.LearningRate; Averaging = c.Averaging; Updates = c.Updates }

    /// One update. The key belongs to the whole training: the update's own is derived from it.
    let step (model: SamplerModel) (key: Key) (state: SamplerState) : SamplerState =
        Tensors.owning kept (fun () ->
            let c, compute = model.Config, model.Compute
            let keys = Key.splitMany 3 (Key.foldIn (int64 state.Updates) key)
            let t = Key.integers c.Timesteps c.Batch keys[0]
            let struct (noisy, noise, weights, top) = batchOf model state t keys[1]
            let loss output = struct (Rssm.loss output noise weights, Rssm.gradient output noise weights)
            let before = state.Policy, state.Average, state.Adam

            let struct (policy, average, moments, loss) =
                Training.regress compute model.Noise model.Target (pace c) state.Updates before noisy t loss

            let own =
                match c.States with
                | OwnSamples(refresh, _) when (state.Updates + 1) % refresh = 0 ->
                    sampleBox model average OwnCount keys[2]
                | _ -> state.Own.clone ()

            { Policy = policy
              Average = average
              Adam = moments
              Own = own
              TopEnergy = top
              Updates = state.Updates + 1
              Loss = loss })

    /// Trains to the end. `observe` is shown every state and must not keep its tensors.
    let train (model: SamplerModel) (key: Key) (observe: SamplerState -> unit) : SamplerState =
        Training.run (init model) (step model) dispose model.Config.Updates key observe

    /// The score that the averaged network has learned, s = -ε_θ/√(1-ᾱ_t), at points [N, D] in box coordinates.
    let score (model: SamplerModel) (state: SamplerState) (t: int) (y: Tensor) : Tensor =
        Training.score model.Compute model.Schedule model.Noise state.Average t y
