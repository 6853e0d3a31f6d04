namespace Sdac.Functional

/// The noising process of DQS, and with it the policy's network and chain.
[<RequireQualifiedAccess>]
type DqsProcess =
    /// a_u = a + √h(u)·ε; the network gives the score, told u and the temperature (the authors').
    | Exploding of SigmaMin: float * SigmaMax: float
    /// a_t = √ᾱ_t·a + √(1-ᾱ_t)·ε; the network gives the noise, told t (iDEM as the SDAC authors and flow-rl have it).
    | Preserving of BetaSchedule

/// The K clean actions around a noised one, at which Q is asked.
[<RequireQualifiedAccess>]
type DqsDraws =
    /// Gaussian, outside [-1, 1] as well (the authors').
    | Free
    /// Gaussian, then clipped to the box: a clipped coordinate passes no gradient (the SDAC authors).
    | Clipped
    /// Gaussian restricted to the box; the gradient takes the draws for held (MaxEntDP, flow-rl).
    | Truncated

/// How the score of the noised density is estimated from the draws, whose weights w are softmax(Q/τ).
[<RequireQualifiedAccess>]
type DqsEstimator =
    /// ∇ log mean exp: Σ w_k·∇Q(x_k)/τ times the slope of x_k. Misses what the box's walls contribute.
    | Gradient
    /// The noise that explains the draws, Σ w_k·ε_k: no gradient, right at walls with truncated draws.
    | Noise
    /// Both: the gradient's share is v/(h + v), the noise's h/(h + v), h the variance of the draws. A few draws estimate the one
    /// badly where noise is large, the other where it is small. Where exp(Q/τ) is Gaussian with variance v any draws give the
    /// score itself (target score matching, De Bortoli et al. 2024, arXiv 2402.08667).
    | Blended of Variance: float

/// How an action of the exploding process comes into the box.
[<RequireQualifiedAccess>]
type DqsBox =
    /// tanh x, while the score is trained on Q(s, x) at noised actions (the authors'): not the density of what is done.
    | Tanh
    /// Clipped to the box.
    | Clip
    /// tanh x, and the score is that of Q(s, tanh x)/τ + log |d tanh/dx|, noised from atanh of the action.
    | TanhDensity

/// Where the noised actions come from.
[<RequireQualifiedAccess>]
type DqsAnchor =
    | Replay
    /// New actions of the policy (the SDAC authors).
    | Policy

/// Every setting of DQS.
type DqsConfig =
    {
        /// Widths of the policy's hidden layers. With the exploding process all are the first one: a layer, and a residual block
        /// for each further entry
        Hidden: int list
        /// Widths of the critics' hidden layers
        CriticHidden: int list
        Networks: NetworkSettings
        /// What follows the linear maps of the policy's hidden layers; `Networks` has the critics'
        PolicyActivation: HiddenActivation
        Data: DataSettings
        /// The noising process
        Process: DqsProcess
        /// Steps of the chain
        Timesteps: int
        /// ζ: how much noise the exploding chain's steps add; 1 is the process's own, 0 none
        DiffusionScale: float
        /// Deviation of the preserving chain's x_T
        InitialNoiseScale: float
        /// How an action of the exploding process comes into the box
        Box: DqsBox
        /// K, clean actions per state at which Q is asked
        MonteCarloDraws: int
        /// Whether these keep to the box [-1, 1]^A
        Draws: DqsDraws
        /// How the score of the noised density is estimated from them
        Estimator: DqsEstimator
        /// Where the noised actions come from
        Anchor: DqsAnchor
        /// τ at the start
        Temperature: float
        /// τ at the end of its schedule, which is linear in ln τ
        TemperatureEnd: float
        /// Updates that the schedule takes
        TemperatureUpdates: int64
        /// Q is divided by the draws' mean |∂Q/∂a| + 1e-6, so that τ needs no scale of its own (flow-rl)
        NormaliseGradient: bool
        /// The draws are weighted by the critics after their step; otherwise before it
        SteppedCritics: bool
        BestOf: BestOfSettings
        /// The policy's moving average acts and is evaluated; otherwise the policy itself
        AverageActs: bool
        Critics: CriticSettings
        TargetNoise: TargetNoiseSettings
        Adam: AdamSettings
        /// The policy's learning rate over its updates
        PolicyRate: LearningRate
        /// The policy and the moving averages move on every such-th update
        PolicyDelay: int
        /// Exploration noise is N(0, (λ · this)²) per component; 0: none
        NoiseScale: float
        /// λ of the exploration noise
        Exploration: TemperatureSettings
        /// Time limits count as terminations: no bootstrap behind them
        TimeLimitsTerminate: bool
    }

[<RequireQualifiedAccess>]
module DqsConfig =
    /// The authors' settings where they are known (they report on the DeepMind Control Suite): 20 steps of the chain are their
    /// followers'.
    let published: DqsConfig =
        { Hidden = [ 256; 256; 256 ]
          CriticHidden = [ 256; 256 ]
          Networks =
            { NetworkSettings.mish with
                Activation = HiddenActivation.Relu
                InitialWeights = InitialWeights.Orthogonal }
          PolicyActivation = HiddenActivation.Gelu
          Data = DataSettings.usual
          Process = DqsProcess.Exploding(1e-5, 1.0)
          Timesteps = 20
          DiffusionScale = 1.0
          InitialNoiseScale = 1.0
          Box = DqsBox.Tanh
          MonteCarloDraws = 1_000
          Draws = DqsDraws.Free
          Estimator = DqsEstimator.Gradient
          Anchor = DqsAnchor.Replay
          Temperature = 0.05
          TemperatureEnd = 0.05
          TemperatureUpdates = 1L
          NormaliseGradient = false
          SteppedCritics = true
          BestOf = BestOfSettings.off
          AverageActs = false
          Critics = CriticSettings.usual
          TargetNoise = TargetNoiseSettings.off
          Adam = AdamSettings.usual 1e-3
          PolicyRate = LearningRate.Constant 3e-4
          PolicyDelay = 1
          NoiseScale = 0.0
          Exploration =
            { InitialTemperature = 1.0
              TemperatureLearningRate = 0.0
              TemperatureDelay = 1
              TargetEntropyPerDim = -0.9 }
          TimeLimitsTerminate = false }

    /// As the SDAC paper's comparison ran it: iDEM's loss for SDAC's policy, all else SDAC's.
    let sdacPaper: DqsConfig =
        { published with
            CriticHidden = [ 256; 256; 256 ]
            Networks.Activation = HiddenActivation.Mish
            Networks.InitialWeights = InitialWeights.CutNormal
            PolicyActivation = HiddenActivation.Mish
            Data = DataSettings.sdacPaper
            Process = DqsProcess.Preserving(BetaSchedule.Linear 0.8)
            InitialNoiseScale = 0.5
            MonteCarloDraws = 64
            Draws = DqsDraws.Clipped
            Anchor = DqsAnchor.Policy
            Temperature = 1.0
            TemperatureEnd = 1.0
            SteppedCritics = false
            BestOf = { BehaviourParticles = 32; TargetParticles = 32; EvaluationParticles = 32 }
            AverageActs = true
            Critics.RewardScale = 0.2
            Adam.LearningRate = 3e-4
            PolicyRate = LearningRate.LinearDecay(3e-4, 3e-5, 25_000L, 50_000L)
            PolicyDelay = 2
            NoiseScale = 0.1
            Exploration =
                { InitialTemperature = 5.0
                  TemperatureLearningRate = 7e-3
                  TemperatureDelay = 250
                  TargetEntropyPerDim = -0.9 } }

    /// InvertedPendulum-v4 in a minute or two: clipped actions, draws that keep to the box, and hardly any gradient, which a few
    /// draws estimate badly; τ falls; the policy's average acts, and comes to rest before a burst of the critics can carry it away.
    let quick: DqsConfig =
        { published with
            Hidden = [ 64; 64 ]
            CriticHidden = [ 64; 64 ]
            Data = DataSettings.quick
            Process = DqsProcess.Exploding(0.03, 1.0)
            Timesteps = 10
            Box = DqsBox.Clip
            MonteCarloDraws = 16
            Draws = DqsDraws.Truncated
            Estimator = DqsEstimator.Blended 0.001
            Temperature = 0.3
            TemperatureEnd = 0.1
            TemperatureUpdates = 10_000L
            AverageActs = true
            Critics.Tau = 0.02
            Adam.LearningRate = 5e-4
            PolicyRate = LearningRate.LinearDecay(1e-3, 1e-5, 7_000L, 6_000L) }

    /// Learns the contract's task in seconds: the density of the action itself, half of the process's noise.
    let tiny: DqsConfig =
        { quick with
            Hidden = [ 32; 32 ]
            CriticHidden = [ 32; 32 ]
            Data = DataSettings.tiny
            Process = DqsProcess.Exploding(0.01, 1.0)
            Box = DqsBox.TanhDensity
            DiffusionScale = 0.5
            MonteCarloDraws = 8
            Draws = DqsDraws.Free
            Estimator = DqsEstimator.Gradient
            Temperature = 0.1
            TemperatureEnd = 0.1
            AverageActs = false
            Adam.LearningRate = 3e-3
            PolicyRate = LearningRate.LinearDecay(3e-3, 3e-4, 300L, 300L) }

    /// HalfCheetah-v4 on two cores: 100,000 environment steps at two updates per step of four environments.
    let laptop: DqsConfig =
        { published with
            Hidden = [ 128; 128; 128 ]
            CriticHidden = [ 128; 128 ]
            Data = DataSettings.laptop
            Process = DqsProcess.Exploding(0.03, 1.0)
            Timesteps = 10
            Box = DqsBox.Clip
            MonteCarloDraws = 16
            Draws = DqsDraws.Truncated
            Estimator = DqsEstimator.Noise
            Temperature = 0.3
            TemperatureEnd = 0.1
            TemperatureUpdates = 50_000L
            AverageActs = true
            Critics.Tau = 0.01
            PolicyRate = LearningRate.Constant 1e-3 }

    /// What is impossible in these settings, one sentence each; empty when they can be used.
    let problems (c: DqsConfig) : string list =
        [ Check.widths (nameof c.Hidden) c.Hidden
          Check.widths (nameof c.CriticHidden) c.CriticHidden
          NetworkSettings.problems c.Networks
          DataSettings.problems c.Data
          Check.atLeast (nameof c.Timesteps) 1 c.Timesteps
          match c.Process with
          | DqsProcess.Exploding(low, high) ->
              VarianceExploding.problems { SigmaMin = low; SigmaMax = high }
              @ [ if c.Hidden = [] then
                      "hidden is empty; the exploding process's network has at least one hidden layer" ]
          | DqsProcess.Preserving schedule ->
              [ if c.Timesteps >= 1 then
                    match Schedule.problem schedule c.Timesteps with
                    | Some problem -> $"process: {problem}"
                    | None -> () ]
              @ [ if c.Box = DqsBox.TanhDensity then
                      "box is tanhDensity, but the preserving process keeps its actions in the box itself: take tanh or clip" ]
          Check.within (nameof c.DiffusionScale) 0.0 1e6 c.DiffusionScale
          Check.within (nameof c.InitialNoiseScale) 0.0 1e6 c.InitialNoiseScale
          [ if c.MonteCarloDraws < 2 then
                $"monteCarloDraws is %d{c.MonteCarloDraws}; it must be at least 2: the weights of one draw are 1 whatever Q says" ]
          [ if c.Box = DqsBox.TanhDensity && c.Draws <> DqsDraws.Free then
                "draws keep to the box but box is tanhDensity, whose x has none: take free draws" ]
          match c.Estimator with
          | DqsEstimator.Blended v -> Check.positive "Estimator's variance" v
          | DqsEstimator.Gradient
          | DqsEstimator.Noise -> []
          Check.positive (nameof c.Temperature) c.Temperature
          Check.positive (nameof c.TemperatureEnd) c.TemperatureEnd
          Check.atLeast (nameof c.TemperatureUpdates) 1L c.TemperatureUpdates
          BestOfSettings.problems c.BestOf
          CriticSettings.problems c.Critics
          TargetNoiseSettings.problems c.TargetNoise
          AdamSettings.problems c.Adam
          LearningRate.problems (nameof c.PolicyRate) c.PolicyRate
          Check.atLeast (nameof c.PolicyDelay) 1 c.PolicyDelay
          Check.within (nameof c.NoiseScale) 0.0 1e6 c.NoiseScale
          TemperatureSettings.problems c.Exploration ]
        |> List.concat

/// The noising of rows at their times: a noised action is Keep·a + Deviation·ε, so the clean ones that it may come from are
/// (noised - Deviation·ε)/Keep.
[<NoComparison; NoEquality>]
type DqsRows =
    {
        /// What the network is told, one number a row for each of its times
        Times: float[] list
        /// √ᾱ, or 1: the share of the clean action in the noised one
        Keep: float[]
        /// √(1-ᾱ), or √h: the deviation of the noise in it
        Deviation: float[]
        /// The loss's weight of each row
        Weight: float[]
    }
