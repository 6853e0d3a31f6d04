namespace Sdac.Functional

/// Every setting of DACER.
type DacerConfig =
    {
        /// Widths of the hidden layers of all networks; none: linear networks
        Hidden: int list
        Networks: NetworkSettings
        Data: DataSettings
        Diffusion: DiffusionSettings
        /// What the chain keeps for its gradient: the activations of all steps, or nothing, which costs a third more arithmetic
        ChainActivations: ChainActivations
        Critics: DistributionalSettings
        Adam: AdamSettings
        /// The policy's learning rate over its updates
        PolicyRate: LearningRate
        /// The policy and the critics' moving averages move on every such-th update
        PolicyDelay: int
        /// c: the noise on actions is N(0, (c·α)²) per component, in training, in targets and in the policy's step
        NoiseScale: float
        /// α, by the entropy of actions with their noise
        Temperature: TemperatureSettings
        /// How the entropy of a state's actions is estimated
        Entropy: MixtureSettings
    }

[<RequireQualifiedAccess>]
module DacerConfig =
    /// The authors' settings for HalfCheetah and Humanoid (elsewhere 30,000 random transitions and c = 0.1).
    let published: DacerConfig =
        { Hidden = [ 256; 256; 256 ]
          Networks = { NetworkSettings.mish with InitialWeights = InitialWeights.CutNormal }
          Data =
            { Environments = 20
              UpdatesPerStep = 1
              WarmUp = 200_000
              BatchSize = 256
              BufferCapacity = 1_000_000 }
          Diffusion =
            { Timesteps = 20
              BetaSchedule = BetaSchedule.VariancePreserving(0.1, 10.0)
              InitialNoiseScale = 1.0
              WideNoise = false
              TimeDim = 16
              TimeHidden = 32 }
          ChainActivations = ChainActivations.Recorded
          Critics = DistributionalSettings.usual
          Adam = AdamSettings.usual 1e-4
          PolicyRate = LearningRate.Constant 1e-4
          PolicyDelay = 2
          NoiseScale = 0.15
          Temperature =
            { InitialTemperature = 3.0
              TemperatureLearningRate = 3e-2
              TemperatureDelay = 10_000
              TargetEntropyPerDim = -0.9 }
          Entropy = MixtureSettings.usual }

    /// As the SDAC paper's comparison ran it. α moves twenty times in its 200,000 updates: it stays above 1.6.
    let sdacPaper: DacerConfig =
        { published with
            Data = DataSettings.sdacPaper
            Diffusion.BetaSchedule = BetaSchedule.Linear 0.3
            Diffusion.InitialNoiseScale = 0.5
            Adam.LearningRate = 3e-4
            PolicyRate = LearningRate.LinearDecay(3e-4, 3e-5, 25_000L, 50_000L) }

    /// InvertedPendulum-v4 in a minute or two: five steps, and α that moves often enough to fall within the run.
    let quick: DacerConfig =
        { published with
            Hidden = [ 64; 64 ]
            Data = DataSettings.quick
            Diffusion.Timesteps = 5
            Critics.Tau = 0.02
            Adam.LearningRate = 1e-3
            PolicyRate = LearningRate.LinearDecay(1e-3, 1e-5, 3_500L, 3_000L)
            NoiseScale = 0.1
            Temperature.TemperatureDelay = 100
            Entropy.MixtureSamples = 50 }

    /// Learns the contract's task in seconds.
    let tiny: DacerConfig =
        { quick with
            Hidden = [ 32; 32 ]
            Data = DataSettings.tiny
            Adam.LearningRate = 3e-3
            PolicyRate = LearningRate.LinearDecay(3e-3, 3e-4, 150L, 150L)
            Temperature.InitialTemperature = 2.0
            Entropy.MixtureSamples = 20 }

    /// HalfCheetah-v4 on two cores: 100,000 environment steps at two updates per step of four environments.
    let laptop: DacerConfig =
        { published with
            Hidden = [ 128; 128; 128 ]
            Data = DataSettings.laptop
            Diffusion.Timesteps = 10
            Critics.Tau = 0.01
            Adam.LearningRate = 5e-4
            PolicyRate = LearningRate.Constant 5e-4
            Temperature.TemperatureDelay = 1_000 }

    /// What is impossible in these settings, one sentence each; empty when they can be used.
    let problems (c: DacerConfig) : string list =
        [ Check.widths (nameof c.Hidden) c.Hidden
          NetworkSettings.problems c.Networks
          DataSettings.problems c.Data
          DiffusionSettings.problems c.Diffusion
          DistributionalSettings.problems c.Critics
          AdamSettings.problems c.Adam
          LearningRate.problems (nameof c.PolicyRate) c.PolicyRate
          Check.atLeast (nameof c.PolicyDelay) 1 c.PolicyDelay
          Check.within (nameof c.NoiseScale) 0.0 1e6 c.NoiseScale
          TemperatureSettings.problems c.Temperature
          MixtureSettings.problems c.Entropy ]
        |> List.concat
