namespace Sdac.Functional

/// Every setting of SDAC.
type SdacConfig =
    {
        /// Widths of the hidden layers of all networks; none: linear networks
        Hidden: int list
        /// Widths of the critics' hidden layers; none: `Hidden`
        CriticHidden: int list option
        Networks: NetworkSettings
        /// What follows the linear maps of the critics' hidden layers; none: as in the policy
        CriticActivation: HiddenActivation option
        Data: DataSettings
        Diffusion: DiffusionSettings
        Particles: ParticleSettings
        Draws: DrawSettings
        Regression: RegressionSettings
        Energy: EnergySettings
        Critics: CriticSettings
        /// Soft evaluation is exact with TargetParticles 1 and NoiseScale 0: then a' is the policy's own
        Likelihood: LikelihoodSettings
        TargetNoise: TargetNoiseSettings
        Adam: AdamSettings
        Policy: PolicySettings
        Temperature: TemperatureSettings
        /// What λ is moved towards
        Tuning: TemperatureTuning
    }

[<RequireQualifiedAccess>]
module SdacConfig =
    /// The published experiments' settings (ICML 2025).
    let published: SdacConfig =
        { Hidden = [ 256; 256; 256 ]
          CriticHidden = None
          Networks = NetworkSettings.mish
          CriticActivation = None
          Data =
            { Environments = 5
              UpdatesPerStep = 1
              WarmUp = 30_000
              BatchSize = 256
              BufferCapacity = 1_000_000 }
          Diffusion =
            { Timesteps = 20
              BetaSchedule = BetaSchedule.Linear 0.8
              InitialNoiseScale = 0.5
              WideNoise = false
              TimeDim = 16
              TimeHidden = 32 }
          Particles =
            { Particles = 32
              BehaviourParticles = None
              TargetParticles = None
              EvaluationParticles = None
              Candidates = Candidates.Chains
              NoiseScale = 0.1 }
          Draws = { MonteCarloDraws = 64; Weights = RssmWeights.SelfNormalised; ReverseNoise = ReverseNoise.Clipped }
          Regression = RegressionSettings.from Anchor.Policy
          Energy = { QScale = 5.0; QNormalisation = QNormalisation.Off; QNormalisationRate = 0.001; QClip = 3.0 }
          Critics = { CriticSettings.usual with RewardScale = 0.2 }
          Likelihood = LikelihoodSettings.off
          TargetNoise = TargetNoiseSettings.off
          Adam = AdamSettings.usual 3e-4
          Policy =
            { PolicyDelay = 2
              PolicyLearningRateEnd = 3e-5
              PolicyDecayBegin = 25_000L
              PolicyDecayLength = 50_000L
              PolicyCopies = None
              ActsBy = ActingPolicy.Target }
          Temperature =
            { InitialTemperature = 5.0
              TemperatureLearningRate = 7e-3
              TemperatureDelay = 250
              TargetEntropyPerDim = -0.9 }
          Tuning = TemperatureTuning.Entropy }

    /// InvertedPendulum-v4 in a minute or two: small networks, few particles, sharper weights (QScale 20 at λ ≈ 1), faster
    /// targets.
    let quick: SdacConfig =
        { published with
            Hidden = [ 64; 64 ]
            Data = DataSettings.quick
            Diffusion.Timesteps = 10
            Particles.Particles = 8
            Draws.MonteCarloDraws = 16
            Energy.QScale = 20.0
            Critics.Tau = 0.02
            Adam.LearningRate = 1e-3
            Policy.PolicyDelay = 1
            Policy.PolicyLearningRateEnd = 1e-4
            Policy.PolicyDecayBegin = 5_000L
            Policy.PolicyDecayLength = 5_000L
            Temperature.InitialTemperature = 1.0 }

    /// Small networks and a fixed, low temperature: learns the contract's task in seconds.
    let tiny: SdacConfig =
        { quick with
            Hidden = [ 32; 32 ]
            Data = DataSettings.tiny
            Diffusion.Timesteps = 5
            Particles.Particles = 4
            Draws.MonteCarloDraws = 8
            Energy.QScale = 1.0
            Critics.RewardScale = 1.0
            Adam.LearningRate = 3e-3
            Policy.PolicyLearningRateEnd = 1e-3
            Policy.PolicyDecayBegin = 300L
            Policy.PolicyDecayLength = 300L
            Temperature.InitialTemperature = 0.1
            Temperature.TemperatureLearningRate = 0.0 }

    /// HalfCheetah-v4 on two cores: 100,000 environment steps.
    let laptop: SdacConfig =
        { published with
            Hidden = [ 128; 128 ]
            Data = DataSettings.laptop
            Diffusion.Timesteps = 10
            Particles.Particles = 4
            Draws.MonteCarloDraws = 16
            Critics.Tau = 0.01
            Adam.LearningRate = 1e-3
            Policy.PolicyLearningRateEnd = 3e-4
            Temperature.InitialTemperature = 1.0 }

    /// As in flow-rl: one environment and an update each step, replay actions, 500 truncated draws, λ 0.05, no exploration noise.
    /// The noise network and its timesteps are those of this library: flow-rl encodes the observation first and draws times between
    /// the chain's.
    let flowRl: SdacConfig =
        { published with
            CriticHidden = Some [ 256; 256 ]
            CriticActivation = Some HiddenActivation.Relu
            Networks.InitialWeights = InitialWeights.Orthogonal
            Data.Environments = 1
            Data.WarmUp = 5_000
            Diffusion.BetaSchedule = BetaSchedule.ContinuousCosine
            Diffusion.InitialNoiseScale = 1.0
            Diffusion.WideNoise = true
            Particles.Particles = 1
            Particles.EvaluationParticles = Some 10
            Particles.NoiseScale = 0.0
            Draws.MonteCarloDraws = 500
            Draws.ReverseNoise = ReverseNoise.TruncatedNormal
            Regression.Anchor = Anchor.Replay
            Energy.QScale = 1.0
            Critics.RewardScale = 1.0
            Policy.PolicyDelay = 1
            Policy.PolicyLearningRateEnd = 3e-4
            Policy.ActsBy = ActingPolicy.Online
            Temperature.InitialTemperature = 0.05
            Temperature.TemperatureLearningRate = 0.0 }

    /// The settings that it shares with other actor-critics.
    let shared (c: SdacConfig) : ActorCriticSettings =
        { Hidden = c.Hidden
          CriticHidden = c.CriticHidden
          Networks = c.Networks
          CriticActivation = c.CriticActivation
          Data = c.Data
          Diffusion = c.Diffusion
          Particles = c.Particles
          Regression = c.Regression
          Energy = c.Energy
          Critics = c.Critics
          TargetNoise = c.TargetNoise
          Adam = c.Adam
          Policy = c.Policy
          Temperature = c.Temperature
          Tuning = c.Tuning }

    /// What is impossible in these settings, one sentence each; empty when they can be used.
    let problems (c: SdacConfig) : string list =
        ActorCriticSettings.problems c.Draws.MonteCarloDraws (shared c)
        @ DrawSettings.problems c.Draws
        @ LikelihoodSettings.problems c.Likelihood
