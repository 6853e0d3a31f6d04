namespace Sdac.Functional

/// What the chosen action of a state counts for in the policy's loss. Its value q* is the largest of its K actions'.
[<RequireQualifiedAccess>]
type QvpoWeights =
    /// max(q* - v, 0), v the mean value of the K actions: the advantage (the authors').
    | Qadv
    /// max(q*, 0): actions worth less than nothing are not learned.
    | Qrelu
    /// max(q*, 1): all are, the least ones alike.
    | Qcut
    /// q* where it is above 1, else 0 (the SDAC authors).
    | Qgate

/// Every setting of QVPO.
type QvpoConfig =
    {
        /// Widths of the hidden layers of all networks; none: linear networks
        Hidden: int list
        Networks: NetworkSettings
        /// How the policy is told t
        TimeEmbedding: TimeEmbedding
        Data: DataSettings
        Chain: ChainSettings
        /// K, actions drawn per state of which the policy learns the one with the largest Q
        TrainingParticles: int
        /// What it counts for in the policy's loss
        Weights: QvpoWeights
        /// Uniform actions per state that the policy learns beside it, with ω times its weight; 0: none
        EntropyActions: int
        /// ω at the start
        EntropyWeight: float
        /// The least ω: it falls in proportion to what is left of the run, down to this
        EntropyWeightEnd: float
        /// The warm-up's steps count as steps of the run, for ω (the authors)
        EntropyCountsWarmUp: bool
        BestOf: BestOfSettings
        /// The policy's moving average acts and is evaluated; otherwise the policy itself
        AverageActs: bool
        /// Targets' actions come from the policy's moving average and are chosen by the critics'; otherwise from the policy, chosen
        /// by the critics themselves
        AverageTargets: bool
        Critics: CriticSettings
        Adam: AdamSettings
        /// The policy's learning rate over its updates
        PolicyRate: LearningRate
        /// The policy and the moving averages move on every such-th update
        PolicyDelay: int
        /// Largest norm of the policy's gradient, and of the critics'; none: as they are
        GradientClip: float option
        /// The critics' gradients are bounded together, as those of one module; otherwise each on its own
        ClipCriticsTogether: bool
        /// Time limits count as terminations: no bootstrap behind them (the authors')
        TimeLimitsTerminate: bool
    }

[<RequireQualifiedAccess>]
module QvpoConfig =
    /// The authors' settings as their code has them by default; time limits bootstrap here.
    let published: QvpoConfig =
        { Hidden = [ 256; 256; 256 ]
          Networks = { NetworkSettings.mish with InitialWeights = InitialWeights.HalfNormal }
          TimeEmbedding = TimeEmbedding.Dipo
          Data = DataSettings.usual
          Chain = { Timesteps = 20; BetaSchedule = BetaSchedule.Cosine; InitialNoiseScale = 1.0 }
          TrainingParticles = 64
          Weights = QvpoWeights.Qadv
          EntropyActions = 10
          EntropyWeight = 0.02
          EntropyWeightEnd = 0.002
          EntropyCountsWarmUp = true
          BestOf = { BehaviourParticles = 4; TargetParticles = 4; EvaluationParticles = 32 }
          AverageActs = false
          AverageTargets = true
          Critics = CriticSettings.usual
          Adam = { AdamSettings.usual 3e-4 with AdamEpsilon = 1e-5 }
          PolicyRate = LearningRate.Constant 1e-4
          PolicyDelay = 1
          GradientClip = Some 2.0
          ClipCriticsTogether = true
          TimeLimitsTerminate = false }

    /// As the SDAC paper's comparison ran it, without its slips: weights are constants, uniform actions belong to states that
    /// there are, and ω begins at 0.02.
    let sdacPaper: QvpoConfig =
        { published with
            Networks.InitialWeights = InitialWeights.CutNormal
            TimeEmbedding = TimeEmbedding.Dacer
            Data = DataSettings.sdacPaper
            Chain = { Timesteps = 20; BetaSchedule = BetaSchedule.Linear 0.3; InitialNoiseScale = 0.5 }
            TrainingParticles = 32
            Weights = QvpoWeights.Qgate
            EntropyCountsWarmUp = false
            BestOf = { BehaviourParticles = 32; TargetParticles = 32; EvaluationParticles = 32 }
            AverageActs = true
            AverageTargets = false
            Critics.RewardScale = 0.2
            Critics.CriticSteps = 2
            Adam = AdamSettings.usual 3e-4
            PolicyRate = LearningRate.LinearDecay(3e-4, 5e-5, 25_000L, 50_000L)
            PolicyDelay = 2
            GradientClip = None
            ClipCriticsTogether = false }

    /// InvertedPendulum-v4 in a minute or two.
    let quick: QvpoConfig =
        { published with
            Hidden = [ 64; 64 ]
            TimeEmbedding = TimeEmbedding.Dacer
            Data = DataSettings.quick
            Chain.Timesteps = 10
            TrainingParticles = 8
            EntropyActions = 5
            BestOf = { BehaviourParticles = 4; TargetParticles = 2; EvaluationParticles = 8 }
            Critics.Tau = 0.02
            Adam.LearningRate = 1e-3
            PolicyRate = LearningRate.Constant 1e-3 }

    /// Learns the contract's task in seconds.
    let tiny: QvpoConfig =
        { quick with
            Hidden = [ 32; 32 ]
            Data = DataSettings.tiny
            Chain.Timesteps = 5
            EntropyActions = 4
            Adam.LearningRate = 3e-3
            PolicyRate = LearningRate.Constant 3e-3 }

    /// HalfCheetah-v4 on two cores: 100,000 environment steps at two updates per step of four environments.
    let laptop: QvpoConfig =
        { published with
            Hidden = [ 128; 128 ]
            Data = DataSettings.laptop
            Chain.Timesteps = 10
            TrainingParticles = 16
            Critics.Tau = 0.01
            Adam.LearningRate = 1e-3
            PolicyRate = LearningRate.Constant 1e-3 }

    /// What is impossible in these settings, one sentence each; empty when they can be used.
    let problems (c: QvpoConfig) : string list =
        [ Check.widths (nameof c.Hidden) c.Hidden
          NetworkSettings.problems c.Networks
          DataSettings.problems c.Data
          ChainSettings.problems c.Chain
          Check.atLeast (nameof c.TrainingParticles) 1 c.TrainingParticles
          [ if c.TrainingParticles = 1 && c.Weights = QvpoWeights.Qadv then
                "trainingParticles is 1 with weights = qadv: the one action's advantage over itself is 0 and nothing would be learned; take at least 2 actions, or other weights" ]
          Check.atLeast (nameof c.EntropyActions) 0 c.EntropyActions
          Check.within (nameof c.EntropyWeight) 0.0 1e6 c.EntropyWeight
          Check.within (nameof c.EntropyWeightEnd) 0.0 1e6 c.EntropyWeightEnd
          [ if c.EntropyWeightEnd > c.EntropyWeight then
                $"entropyWeightEnd is {string c.EntropyWeightEnd}, above entropyWeight, {string c.EntropyWeight}: ω falls over the run; take the same number for a constant ω" ]
          BestOfSettings.problems c.BestOf
          CriticSettings.problems c.Critics
          AdamSettings.problems c.Adam
          LearningRate.problems (nameof c.PolicyRate) c.PolicyRate
          Check.atLeast (nameof c.PolicyDelay) 1 c.PolicyDelay
          Check.positive (nameof c.GradientClip) (defaultArg c.GradientClip 1.0) ]
        |> List.concat
