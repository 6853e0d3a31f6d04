namespace Sdac.Functional

/// What QSM's network is trained to give, g = ∇_a Q.
[<RequireQualifiedAccess>]
type QsmForm =
    /// ε = -M·g at the noised replay action (the authors'). Its chain does not sample exp(M·Q): the target does not depend on t.
    | Scaled
    /// ε = -√(1-ᾱ_t)·g/λ at the noised replay action: the score of exp(Q/λ), as far as noise does not change it.
    | Consistent
    /// Ψ = g at the replay action itself, no time; actions by Langevin dynamics (the SDAC authors' comparison).
    | Langevin

/// Every setting of QSM.
type QsmConfig =
    {
        /// Widths of the hidden layers of all networks; none: linear networks
        Hidden: int list
        Networks: NetworkSettings
        /// What follows the linear maps of the policy's hidden layers; `Networks` has the critics'
        PolicyActivation: HiddenActivation
        Data: DataSettings
        /// The reverse chain; Langevin dynamics take `Timesteps` steps and no schedule
        Chain: ChainSettings
        BestOf: BestOfSettings
        Critics: CriticSettings
        /// Noise on the actions a' of the critics' targets
        TargetNoise: TargetNoiseSettings
        Adam: AdamSettings
        /// The policy's learning rate over its updates
        PolicyRate: LearningRate
        /// The policy moves on every such-th update
        PolicyDelay: int
        /// What the network is trained to give
        Form: QsmForm
        /// M of the form `scaled`
        GradientScale: float
        /// λ of the form `consistent`
        Temperature: float
        /// Which value's gradient: the twin critics' mean, or the smaller one's
        GradientCritic: QReduction
        /// g is divided by its batch's mean absolute value + 1e-6 (flow-rl)
        NormaliseGradient: bool
        /// Deviation of the noise added to the actions in the training environments
        ExplorationNoise: float
        /// Time limits count as terminations: no bootstrap behind them
        TimeLimitsTerminate: bool
    }

[<RequireQualifiedAccess>]
module QsmConfig =
    /// The authors' settings (they report on the DeepMind Control Suite).
    let published: QsmConfig =
        { Hidden = [ 512; 512 ]
          Networks =
            { NetworkSettings.mish with
                Activation = HiddenActivation.Relu
                InitialWeights = InitialWeights.XavierUniform }
          PolicyActivation = HiddenActivation.Mish
          Data = DataSettings.usual
          Chain =
            { Timesteps = 5
              BetaSchedule = BetaSchedule.VariancePreserving(0.1, 10.0)
              InitialNoiseScale = 1.0 }
          BestOf = BestOfSettings.off
          Critics = CriticSettings.usual
          TargetNoise = { TargetNoise = 0.1; TargetNoiseClip = 10.0 }
          Adam = AdamSettings.usual 3e-4
          PolicyRate = LearningRate.CosineDecay(3e-4, 0.0, 2_000_000L)
          PolicyDelay = 1
          Form = QsmForm.Scaled
          GradientScale = 50.0
          Temperature = 1.0
          GradientCritic = QReduction.Mean
          NormaliseGradient = false
          ExplorationNoise = 0.1
          TimeLimitsTerminate = false }

    /// As the SDAC paper's comparison ran it: Langevin dynamics, best of 32, five environments and one update a step.
    let sdacPaper: QsmConfig =
        { published with
            Hidden = [ 256; 256; 256 ]
            Networks.InitialWeights = InitialWeights.CutNormal
            PolicyActivation = HiddenActivation.Relu
            Data = DataSettings.sdacPaper
            Chain.Timesteps = 20
            BestOf = { BehaviourParticles = 32; TargetParticles = 32; EvaluationParticles = 32 }
            TargetNoise = TargetNoiseSettings.off
            PolicyRate = LearningRate.LinearDecay(3e-4, 3e-5, 25_000L, 50_000L)
            Form = QsmForm.Langevin
            GradientCritic = QReduction.Minimum
            ExplorationNoise = 0.0 }

    /// InvertedPendulum-v4 in a minute: the consistent form, and gradients of one size, since Q's slope grows with Q.
    let quick: QsmConfig =
        { published with
            Hidden = [ 64; 64 ]
            Data = DataSettings.quick
            Chain.Timesteps = 10
            Critics.Tau = 0.02
            Adam.LearningRate = 1e-3
            PolicyRate = LearningRate.LinearDecay(1e-3, 1e-4, 5_000L, 5_000L)
            Form = QsmForm.Consistent
            Temperature = 0.3
            NormaliseGradient = true }

    /// Learns the contract's task in seconds.
    let tiny: QsmConfig =
        { quick with
            Hidden = [ 32; 32 ]
            Data = DataSettings.tiny
            Chain.Timesteps = 5
            Adam.LearningRate = 3e-3
            PolicyRate = LearningRate.Constant 3e-3 }

    /// HalfCheetah-v4 on two cores: 100,000 environment steps at two updates per step of four environments.
    let laptop: QsmConfig =
        { published with
            Hidden = [ 256; 256 ]
            Data = DataSettings.laptop
            Chain.Timesteps = 10
            Critics.Tau = 0.01
            Adam.LearningRate = 1e-3
            PolicyRate = LearningRate.Constant 1e-3
            Form = QsmForm.Consistent
            Temperature = 0.3
            NormaliseGradient = true }

    /// What is impossible in these settings, one sentence each; empty when they can be used.
    let problems (c: QsmConfig) : string list =
        [ Check.widths (nameof c.Hidden) c.Hidden
          NetworkSettings.problems c.Networks
          DataSettings.problems c.Data
          ChainSettings.problems c.Chain
          BestOfSettings.problems c.BestOf
          CriticSettings.problems c.Critics
          TargetNoiseSettings.problems c.TargetNoise
          AdamSettings.problems c.Adam
          LearningRate.problems (nameof c.PolicyRate) c.PolicyRate
          Check.atLeast (nameof c.PolicyDelay) 1 c.PolicyDelay
          Check.positive (nameof c.GradientScale) c.GradientScale
          Check.positive (nameof c.Temperature) c.Temperature
          Check.within (nameof c.ExplorationNoise) 0.0 1e6 c.ExplorationNoise ]
        |> List.concat
