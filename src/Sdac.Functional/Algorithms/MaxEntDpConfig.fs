namespace Sdac.Functional

/// What the policy's noise network is trained to give at a noised action a_t, from K clean actions ã_k of q̃_{0|t} around it with
/// weights w = softmax(Q̄/λ).
[<RequireQualifiedAccess>]
type MaxEntDpForm =
    /// Σ_k w_k·ε_k, the draws' own noise (the authors').
    | Noise
    /// -√(1-ᾱ_t)/√ᾱ_t·Σ_k w_k·∇Q̄(s, ã_k)/λ: the same score by the critic's gradient, but for what a wall of the box adds.
    | Gradient
    /// -√(1-ᾱ_t)·∇Q̄(s, a_t)/λ, no draws: QSM's.
    | Slope

/// Every setting of MaxEntDP.
type MaxEntDpConfig =
    {
        /// Widths of the hidden layers of all networks; none: linear networks
        Hidden: int list
        Networks: NetworkSettings
        /// What follows the linear maps of the policy's hidden layers; `Networks` has the critics'
        PolicyActivation: HiddenActivation
        Data: DataSettings
        Chain: ChainSettings
        /// The chain's noise has the deviation √β_t (the authors'); otherwise the posterior's σ_t
        WideNoise: bool
        /// By the critics' moving averages
        BestOf: BestOfSettings
        Critics: CriticSettings
        Adam: AdamSettings
        /// The policy's learning rate over its updates
        PolicyRate: LearningRate
        /// What the network is trained to give
        Form: MaxEntDpForm
        /// K, draws of ã per state
        MonteCarloDraws: int
        /// What becomes of draws that leave the box [-1, 1]^A
        ReverseNoise: ReverseNoise
        /// λ, of the policy exp(Q/λ) and of the entropy in the critics' targets
        Temperature: float
        Likelihood: LikelihoodSettings
        /// Time limits count as terminations: no bootstrap behind them
        TimeLimitsTerminate: bool
    }

[<RequireQualifiedAccess>]
module MaxEntDpConfig =
    /// The authors' settings for HalfCheetah; their other temperatures: Humanoid 0.02, Ant and Hopper 0.05, Walker2d and Swimmer 0.01.
    let published: MaxEntDpConfig =
        { Hidden = [ 256; 256 ]
          Networks =
            { NetworkSettings.mish with
                Activation = HiddenActivation.Relu
                InitialWeights = InitialWeights.XavierUniform }
          PolicyActivation = HiddenActivation.Mish
          Data = DataSettings.usual
          Chain = { Timesteps = 20; BetaSchedule = BetaSchedule.ContinuousCosine; InitialNoiseScale = 1.0 }
          WideNoise = true
          BestOf = { BestOfSettings.off with EvaluationParticles = 10 }
          Critics = CriticSettings.usual
          Adam = AdamSettings.usual 3e-4
          PolicyRate = LearningRate.CosineDecay(3e-4, 0.0, 2_000_000L)
          Form = MaxEntDpForm.Noise
          MonteCarloDraws = 500
          ReverseNoise = ReverseNoise.TruncatedNormal
          Temperature = 0.2
          Likelihood = LikelihoodSettings.maxEntDp
          TimeLimitsTerminate = false }

    /// In the frame of the SDAC paper's comparison, which does not have it: its networks, five environments and one update a step.
    let sdacPaper: MaxEntDpConfig =
        { published with
            Hidden = [ 256; 256; 256 ]
            Networks.InitialWeights = InitialWeights.CutNormal
            Data = DataSettings.sdacPaper
            PolicyRate = LearningRate.LinearDecay(3e-4, 3e-5, 25_000L, 50_000L) }

    /// InvertedPendulum-v4 in a minute or two: small networks, few draws.
    let quick: MaxEntDpConfig =
        { published with
            Hidden = [ 64; 64 ]
            Data = DataSettings.quick
            Chain.Timesteps = 10
            Critics.Tau = 0.02
            Adam.LearningRate = 1e-3
            PolicyRate = LearningRate.LinearDecay(1e-3, 1e-4, 5_000L, 5_000L)
            MonteCarloDraws = 32
            Temperature = 0.2
            Likelihood.LikelihoodDraws = 4 }

    /// Learns the contract's task in seconds.
    let tiny: MaxEntDpConfig =
        { quick with
            Hidden = [ 32; 32 ]
            Data = DataSettings.tiny
            Chain.Timesteps = 5
            Adam.LearningRate = 3e-3
            PolicyRate = LearningRate.Constant 3e-3
            MonteCarloDraws = 16
            Temperature = 0.05
            Likelihood.LikelihoodDraws = 2 }

    /// HalfCheetah-v4 on two cores: 100,000 environment steps at two updates per step of four environments.
    let laptop: MaxEntDpConfig =
        { published with
            Hidden = [ 128; 128 ]
            Data = DataSettings.laptop
            Chain.Timesteps = 10
            Critics.Tau = 0.01
            Adam.LearningRate = 1e-3
            PolicyRate = LearningRate.Constant 1e-3
            MonteCarloDraws = 32
            Likelihood.LikelihoodDraws = 4 }

    /// What is impossible in these settings, one sentence each; empty when they can be used.
    let problems (c: MaxEntDpConfig) : string list =
        [ Check.widths (nameof c.Hidden) c.Hidden
          NetworkSettings.problems c.Networks
          DataSettings.problems c.Data
          ChainSettings.problems c.Chain
          BestOfSettings.problems c.BestOf
          CriticSettings.problems c.Critics
          AdamSettings.problems c.Adam
          LearningRate.problems (nameof c.PolicyRate) c.PolicyRate
          Check.atLeast (nameof c.MonteCarloDraws) 1 c.MonteCarloDraws
          [ if c.MonteCarloDraws = 1 && c.Form <> MaxEntDpForm.Slope then
                "monteCarloDraws is 1: every weight would be 1 and the draws would tell nothing of Q; take at least 2 draws, or form = slope" ]
          Check.positive (nameof c.Temperature) c.Temperature
          LikelihoodSettings.problems c.Likelihood ]
        |> List.concat
