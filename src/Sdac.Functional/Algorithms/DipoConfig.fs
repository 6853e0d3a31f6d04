namespace Sdac.Functional

/// Every setting of DIPO.
type DipoConfig =
    {
        /// Widths of the hidden layers of all networks; none: linear networks
        Hidden: int list
        Networks: NetworkSettings
        /// What follows the linear maps of the policy's hidden layers; `Networks` has the critics'
        PolicyActivation: HiddenActivation
        /// How the policy is told t
        TimeEmbedding: TimeEmbedding
        Data: DataSettings
        Chain: ChainSettings
        Critics: CriticSettings
        Adam: AdamSettings
        /// Largest norm of the policy's gradient, and of the critics'
        GradientClip: float
        /// The critics' gradients are bounded together, as those of one module; otherwise each on its own
        ClipCriticsTogether: bool
        Climb: ClimbSettings
        /// Climbed actions are written back and climb further the next time (the paper); otherwise every climb starts from the
        /// action that was done (what the authors' code does)
        Persist: bool
        /// The policy's moving average moves on every such-th update
        PolicyTargetEvery: int
        /// Evaluations draw no noise along the chain, but for its start
        QuietEvaluation: bool
        /// Time limits count as terminations: no bootstrap behind them (the authors')
        TimeLimitsTerminate: bool
    }

[<RequireQualifiedAccess>]
module DipoConfig =
    /// The authors' settings for HalfCheetah. Their code loses what it writes back, and their figures are that code's; time limits
    /// bootstrap here.
    let published: DipoConfig =
        { Hidden = [ 256; 256; 256 ]
          Networks = { NetworkSettings.mish with InitialWeights = InitialWeights.HalfNormal }
          PolicyActivation = HiddenActivation.Mish
          TimeEmbedding = TimeEmbedding.Dipo
          Data = DataSettings.usual
          Chain = { Timesteps = 100; BetaSchedule = BetaSchedule.Cosine; InitialNoiseScale = 1.0 }
          Critics = CriticSettings.usual
          Adam = { AdamSettings.usual 3e-4 with AdamEpsilon = 1e-5 }
          GradientClip = 2.0
          ClipCriticsTogether = true
          Climb = { ClimbSettings.usual with ClimbSteps = 40; ClimbBound = ClimbBound.PerDimension 0.08 }
          Persist = false
          PolicyTargetEvery = 2
          QuietEvaluation = true
          TimeLimitsTerminate = false }

    /// As the SDAC paper's comparison ran it: what is climbed is written back; five environments and one update a step.
    let sdacPaper: DipoConfig =
        { published with
            Networks.InitialWeights = InitialWeights.CutNormal
            Networks.Activation = HiddenActivation.Relu
            PolicyActivation = HiddenActivation.Relu
            TimeEmbedding = TimeEmbedding.Bare
            Data = DataSettings.sdacPaper
            Chain = { Timesteps = 100; BetaSchedule = BetaSchedule.Linear 0.3; InitialNoiseScale = 0.5 }
            Adam = AdamSettings.usual 3e-4
            // their 2 for gradients of half our losses: Adam's steps are the same
            GradientClip = 4.0
            ClipCriticsTogether = false
            Climb = { ClimbSteps = 30; ClimbRate = 0.03; ClimbEpsilon = 1e-8; ClimbBound = ClimbBound.Fixed 0.16 }
            Persist = true
            PolicyTargetEvery = 2
            QuietEvaluation = false }

    /// InvertedPendulum-v4 in a minute or two.
    let quick: DipoConfig =
        { published with
            Hidden = [ 64; 64 ]
            TimeEmbedding = TimeEmbedding.Dacer
            Data = DataSettings.quick
            Chain.Timesteps = 10
            Critics.Tau = 0.02
            Adam.LearningRate = 1e-3
            Climb =
                { ClimbSettings.usual with
                    ClimbSteps = 10
                    ClimbRate = 0.1
                    ClimbBound = ClimbBound.PerDimension 1.0 }
            Persist = true
            PolicyTargetEvery = 1 }

    /// Learns the contract's task in seconds.
    let tiny: DipoConfig =
        { quick with
            Hidden = [ 32; 32 ]
            Data = DataSettings.tiny
            Chain.Timesteps = 5
            Adam.LearningRate = 3e-3 }

    /// HalfCheetah-v4 on two cores: 100,000 environment steps at two updates per step of four environments.
    let laptop: DipoConfig =
        { published with
            Hidden = [ 128; 128 ]
            Data = DataSettings.laptop
            Chain.Timesteps = 10
            Critics.Tau = 0.01
            Adam.LearningRate = 1e-3
            Climb = { ClimbSettings.usual with ClimbSteps = 10 }
            Persist = true
            PolicyTargetEvery = 1 }

    /// What is impossible in these settings, one sentence each; empty when they can be used.
    let problems (c: DipoConfig) : string list =
        [ Check.widths (nameof c.Hidden) c.Hidden
          NetworkSettings.problems c.Networks
          DataSettings.problems c.Data
          ChainSettings.problems c.Chain
          CriticSettings.problems c.Critics
          AdamSettings.problems c.Adam
          Check.positive (nameof c.GradientClip) c.GradientClip
          ClimbSettings.problems c.Climb
          Check.atLeast (nameof c.PolicyTargetEvery) 1 c.PolicyTargetEvery ]
        |> List.concat
