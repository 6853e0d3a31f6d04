namespace Sdac.Functional

/// Every setting of QIPO.
type QipoConfig =
    {
        /// Widths of the hidden layers of all networks; none: linear networks
        Hidden: int list
        Networks: NetworkSettings
        /// How the policy is told t
        TimeEmbedding: TimeEmbedding
        Data: DataSettings
        Chain: ChainSettings
        /// M, actions of the policy in the support of a state, and behind its critics' targets
        SupportActions: int
        /// The support holds the replay memory's action too (the paper's). Without it, and renewed on every update, this is DPMD
        /// with a softmax over the particles of a state
        ReplayAction: bool
        /// β of the policy's weights, softmax(β·Q) over a state's support
        Beta: float
        /// β of the critics' targets, Σ softmax(β·Q̄)·Q̄
        TargetBeta: float
        /// K_renew: the support's actions are drawn from the policy as it was on every such-th update; 1: from the policy itself.
        /// Each renewal adds a β to what the policy has learned of Q
        RenewEvery: int
        /// Updates at the start in which the policy learns the replay memory's actions as they are (the paper's warm-up)
        CloneUpdates: int
        /// The policy's moving average acts and is evaluated; otherwise the policy itself
        AverageActs: bool
        Critics: CriticSettings
        Adam: AdamSettings
        /// The policy's learning rate over its updates
        PolicyRate: LearningRate
        /// Time limits count as terminations: no bootstrap behind them
        TimeLimitsTerminate: bool
    }

[<RequireQualifiedAccess>]
module QipoConfig =
    /// The authors report offline runs, and their M, β and T for a task are not known: sizes, M and β are those of an
    /// implementation by others, the chain and the rhythm this library's.
    let published: QipoConfig =
        { Hidden = [ 512; 512; 512; 512 ]
          Networks = { NetworkSettings.mish with CriticLayerNorm = Some 1e-5 }
          TimeEmbedding = TimeEmbedding.Dacer
          Data = DataSettings.usual
          Chain = { Timesteps = 20; BetaSchedule = BetaSchedule.Cosine; InitialNoiseScale = 1.0 }
          SupportActions = 4
          ReplayAction = true
          Beta = 1.0
          TargetBeta = 1.0
          RenewEvery = 1
          CloneUpdates = 0
          AverageActs = false
          Critics = { CriticSettings.usual with QReduction = QReduction.Mean }
          Adam = AdamSettings.usual 3e-4
          PolicyRate = LearningRate.Constant 3e-4
          TimeLimitsTerminate = false }

    /// InvertedPendulum-v4 in a minute or two.
    let quick: QipoConfig =
        { published with
            Hidden = [ 64; 64 ]
            Networks.CriticLayerNorm = None
            Data = DataSettings.quick
            Chain.Timesteps = 10
            SupportActions = 8
            Beta = 50.0
            Critics.QReduction = QReduction.Minimum
            Critics.Tau = 0.02
            Adam.LearningRate = 1e-3
            PolicyRate = LearningRate.LinearDecay(1e-3, 1e-5, 10_000L, 8_000L)
            AverageActs = true }

    /// Learns the contract's task in seconds.
    let tiny: QipoConfig =
        { quick with
            Hidden = [ 32; 32 ]
            Data = DataSettings.tiny
            Chain.Timesteps = 5
            Beta = 10.0
            AverageActs = false
            Adam.LearningRate = 3e-3
            PolicyRate = LearningRate.Constant 3e-3 }

    /// HalfCheetah-v4 on two cores: 100,000 environment steps at two updates per step of four environments.
    let laptop: QipoConfig =
        { published with
            Hidden = [ 128; 128 ]
            Data = DataSettings.laptop
            Chain.Timesteps = 10
            SupportActions = 8
            Critics.Tau = 0.01
            Adam.LearningRate = 1e-3
            PolicyRate = LearningRate.Constant 1e-3 }

    /// What is impossible in these settings, one sentence each; empty when they can be used.
    let problems (c: QipoConfig) : string list =
        [ Check.widths (nameof c.Hidden) c.Hidden
          NetworkSettings.problems c.Networks
          DataSettings.problems c.Data
          ChainSettings.problems c.Chain
          Check.atLeast (nameof c.SupportActions) 1 c.SupportActions
          [ if c.SupportActions = 1 && not c.ReplayAction then
                "supportActions is 1 without the replay memory's action: its weight would be 1 whatever Q says and nothing would be learned; take at least 2, or replayAction = true" ]
          Check.within (nameof c.Beta) 0.0 1e6 c.Beta
          Check.within (nameof c.TargetBeta) 0.0 1e6 c.TargetBeta
          Check.atLeast (nameof c.RenewEvery) 1 c.RenewEvery
          Check.atLeast (nameof c.CloneUpdates) 0 c.CloneUpdates
          CriticSettings.problems c.Critics
          AdamSettings.problems c.Adam
          LearningRate.problems (nameof c.PolicyRate) c.PolicyRate ]
        |> List.concat
