namespace Sdac.Functional

open System

/// The range of log σ of a squashed Gaussian policy, and its log-probability.
type GaussianSettings =
    {
        /// Smallest log σ
        LogStdLow: float
        /// Largest log σ
        LogStdHigh: float
        /// log σ comes smoothly out of the range by tanh; otherwise it is clipped to it
        SmoothLogStd: bool
        /// The log-probability is that of a = tanh u; without it that of u, as in the SDAC authors' comparison
        TanhCorrection: bool
    }

[<RequireQualifiedAccess>]
module GaussianSettings =
    /// log σ clipped to [-20, 2], the exact log-probability.
    let usual: GaussianSettings =
        { LogStdLow = -20.0; LogStdHigh = 2.0; SmoothLogStd = false; TanhCorrection = true }

    let head (actionDim: int) (g: GaussianSettings) : SquashedGaussian =
        { ActionDim = actionDim
          LogStd =
            if g.SmoothLogStd then
                LogStd.Smooth(g.LogStdLow, g.LogStdHigh)
            else
                LogStd.Clipped(g.LogStdLow, g.LogStdHigh)
          TanhCorrection = g.TanhCorrection }

    let problems (g: GaussianSettings) : string list =
        [ Check.within (nameof g.LogStdLow) -60.0 20.0 g.LogStdLow
          Check.within (nameof g.LogStdHigh) -60.0 20.0 g.LogStdHigh
          [ if g.LogStdLow >= g.LogStdHigh then
                $"logStdLow is {string g.LogStdLow} and logStdHigh {string g.LogStdHigh}; the first must be the smaller one" ] ]
        |> List.concat

/// Every setting of SAC.
type SacConfig =
    {
        /// Widths of the hidden layers of all networks; none: linear networks
        Hidden: int list
        Networks: NetworkSettings
        Data: DataSettings
        BestOf: BestOfSettings
        Gaussian: GaussianSettings
        Critics: CriticSettings
        TargetNoise: TargetNoiseSettings
        Adam: AdamSettings
        /// α at the start
        InitialTemperature: float
        /// Adam rate of ln α; 0 keeps α at InitialTemperature
        TemperatureLearningRate: float
        /// Target entropy per action dimension
        TargetEntropyPerDim: float
    }

[<RequireQualifiedAccess>]
module SacConfig =
    /// Stable-Baselines3's settings, with the 10,000 random transitions first of its published runs: its default of 100 leaves
    /// some seeds of HalfCheetah on their back.
    let sb3: SacConfig =
        { Hidden = [ 256; 256 ]
          Networks =
            { NetworkSettings.mish with
                Activation = HiddenActivation.Relu
                InitialWeights = InitialWeights.TorchUniform }
          Data = DataSettings.usual
          BestOf = BestOfSettings.off
          Gaussian = GaussianSettings.usual
          Critics = CriticSettings.usual
          TargetNoise = TargetNoiseSettings.off
          Adam = AdamSettings.usual 3e-4
          InitialTemperature = 1.0
          TemperatureLearningRate = 3e-4
          TargetEntropyPerDim = -1.0 }

    /// As the SDAC paper's comparison ran it: five environments and one update a step, rewards times 0.2, log σ up to 0.5 and
    /// the log-probability of the unsquashed Gaussian.
    let sdacPaper: SacConfig =
        { sb3 with
            Hidden = [ 256; 256; 256 ]
            Networks.Activation = HiddenActivation.Gelu
            Networks.InitialWeights = InitialWeights.CutNormal
            Data = DataSettings.sdacPaper
            Gaussian.LogStdHigh = 0.5
            Gaussian.TanhCorrection = false
            Critics.RewardScale = 0.2
            InitialTemperature = Math.E }

    /// InvertedPendulum-v4 in a minute.
    let quick: SacConfig =
        { sb3 with
            Hidden = [ 64; 64 ]
            Data = DataSettings.quick
            Critics.Tau = 0.02
            Adam.LearningRate = 1e-3
            InitialTemperature = 0.2
            TemperatureLearningRate = 1e-3 }

    /// Learns the contract's task in seconds.
    let tiny: SacConfig =
        { quick with
            Hidden = [ 32; 32 ]
            Data = DataSettings.tiny
            Adam.LearningRate = 3e-3
            InitialTemperature = 0.05 }

    /// HalfCheetah-v4 on two cores: 100,000 environment steps at two updates per step of four environments.
    let laptop: SacConfig =
        { sb3 with Data = DataSettings.laptop; Critics.Tau = 0.01; Adam.LearningRate = 1e-3 }

    /// What is impossible in these settings, one sentence each; empty when they can be used.
    let problems (c: SacConfig) : string list =
        [ Check.widths (nameof c.Hidden) c.Hidden
          NetworkSettings.problems c.Networks
          DataSettings.problems c.Data
          BestOfSettings.problems c.BestOf
          GaussianSettings.problems c.Gaussian
          CriticSettings.problems c.Critics
          TargetNoiseSettings.problems c.TargetNoise
          AdamSettings.problems c.Adam
          Check.positive (nameof c.InitialTemperature) c.InitialTemperature
          Check.within (nameof c.TemperatureLearningRate) 0.0 1e6 c.TemperatureLearningRate
          Check.finite (nameof c.TargetEntropyPerDim) c.TargetEntropyPerDim ]
        |> List.concat
