namespace Sdac.Functional

/// How one of a state's candidates becomes its action.
[<RequireQualifiedAccess>]
type IdqlChoice =
    /// The one with the largest Q, the first of equal ones.
    | Best
    /// Drawn with this weight where Q > V, with one less this elsewhere: the policy that expectile V belongs to.
    | Expectile of Tau: float

/// What the rows of noise prediction weigh, by the advantage Q̄(s, a) - V(s) of their replay actions.
[<RequireQualifiedAccess>]
type IdqlWeights =
    /// All the same: plain behaviour cloning (the authors').
    | Cloning
    /// exp(β·advantage), at most so much (theirs: 3 and 100).
    | Exponential of Beta: float * Largest: float
    /// V's expectile where the advantage is positive, one less it elsewhere.
    | Expectile
    /// One where the advantage is positive, nothing elsewhere.
    | Positive

/// The reverse chain's steps.
[<RequireQualifiedAccess>]
type IdqlSampler =
    /// Noise of deviation √β_t, each x clipped to the box (the authors').
    | ClippedState
    /// The posterior for a clipped x̂_0 (DPPO's repository).
    | Posterior

/// Every setting of IDQL.
type IdqlConfig =
    {
        /// Widths of the policy's hidden layers; none: a linear network
        Hidden: int list
        /// Widths of the critics' and the value network's hidden layers
        CriticHidden: int list
        Networks: NetworkSettings
        /// What follows the linear maps of the policy's hidden layers; `Networks` has those of critics and value
        PolicyActivation: HiddenActivation
        Data: DataSettings
        /// Steps of all environments in a round; the round's updates follow them, UpdatesPerStep for each
        RoundSteps: int
        Chain: ChainSettings
        /// The reverse chain's steps
        Sampler: IdqlSampler
        /// Least deviation of the chain's noise in the training environments, but for its last step, which has none
        ExplorationDeviation: float
        /// The same in evaluations
        EvaluationDeviation: float
        /// N, candidates per state in the training environments; 1: the clone itself
        BehaviourParticles: int
        /// The same in evaluations
        EvaluationParticles: int
        /// How a candidate is chosen in the training environments
        Exploration: IdqlChoice
        /// The same in evaluations
        Evaluation: IdqlChoice
        /// Candidates are compared by the critics' moving averages (the authors'); otherwise by the critics
        ChooseByAverages: bool
        Critics: CriticSettings
        /// τ of V, the expectile of Q̄ over the memory's actions
        ValueExpectile: float
        /// Of the critics and of V
        Adam: AdamSettings
        /// The policy's learning rate over its updates
        PolicyRate: LearningRate
        /// Decoupled weight decay of the policy: each step shrinks it by its rate times this
        WeightDecay: float
        /// What the rows of noise prediction weigh
        Weights: IdqlWeights
        /// τ of the policy's moving average, which acts
        PolicyTau: float
        /// Time limits count as terminations: no bootstrap behind them
        TimeLimitsTerminate: bool
    }

[<RequireQualifiedAccess>]
module IdqlConfig =
    /// The authors' settings, which are offline, in the online rhythm of DPPO's repository: 1,000 steps of ten environments, then
    /// 5,000 updates; candidates are drawn by the expectile while it collects.
    let published: IdqlConfig =
        { Hidden = [ 256; 256; 256 ]
          CriticHidden = [ 256; 256 ]
          Networks =
            { NetworkSettings.mish with
                Activation = HiddenActivation.Relu
                InitialWeights = InitialWeights.XavierUniform }
          PolicyActivation = HiddenActivation.Mish
          Data =
            { Environments = 10
              UpdatesPerStep = 5
              WarmUp = 10_000
              BatchSize = 256
              BufferCapacity = 1_000_000 }
          RoundSteps = 1_000
          Chain =
            { Timesteps = 5
              BetaSchedule = BetaSchedule.VariancePreserving(0.1, 10.0)
              InitialNoiseScale = 1.0 }
          Sampler = IdqlSampler.ClippedState
          ExplorationDeviation = 0.0
          EvaluationDeviation = 0.0
          BehaviourParticles = 64
          EvaluationParticles = 64
          Exploration = IdqlChoice.Expectile 0.7
          Evaluation = IdqlChoice.Best
          ChooseByAverages = true
          Critics = CriticSettings.usual
          ValueExpectile = 0.7
          Adam = AdamSettings.usual 3e-4
          PolicyRate = LearningRate.CosineDecay(3e-4, 0.0, 2_000_000L)
          WeightDecay = 1e-4
          Weights = IdqlWeights.Cloning
          PolicyTau = 0.001
          TimeLimitsTerminate = false }

    /// As DPPO's repository runs it on Hopper, its residual layers plain.
    let dppo: IdqlConfig =
        { published with
            Hidden = [ 512; 512; 512 ]
            CriticHidden = [ 256; 256; 256 ]
            Networks.Activation = HiddenActivation.Mish
            Networks.InitialWeights = InitialWeights.TorchUniform
            PolicyActivation = HiddenActivation.Relu
            Chain = { Timesteps = 10; BetaSchedule = BetaSchedule.Cosine; InitialNoiseScale = 1.0 }
            Sampler = IdqlSampler.Posterior
            ExplorationDeviation = 0.1
            EvaluationDeviation = 0.001
            BehaviourParticles = 10
            EvaluationParticles = 10
            Critics.RewardScale = 0.01
            Critics.Tau = 0.001
            ValueExpectile = 0.8
            Adam.LearningRate = 1e-3
            PolicyRate = LearningRate.Constant 1e-4
            WeightDecay = 0.0 }

    /// In the frame of the SDAC paper's comparison, which does not have it: its networks, five environments, an update a step and
    /// the best of 32.
    let sdacPaper: IdqlConfig =
        { published with
            CriticHidden = [ 256; 256; 256 ]
            Networks.InitialWeights = InitialWeights.CutNormal
            Data = DataSettings.sdacPaper
            RoundSteps = 1
            BehaviourParticles = 32
            EvaluationParticles = 32
            Exploration = IdqlChoice.Best }

    /// InvertedPendulum-v4 in a minute or two: small networks, short rounds, the best candidate acts.
    let quick: IdqlConfig =
        { published with
            Hidden = [ 64; 64 ]
            CriticHidden = [ 64; 64 ]
            Data = DataSettings.quick
            RoundSteps = 50
            BehaviourParticles = 32
            EvaluationParticles = 32
            Exploration = IdqlChoice.Best
            Critics.Tau = 0.02
            Adam.LearningRate = 1e-3
            PolicyRate = LearningRate.Constant 1e-3
            PolicyTau = 0.02 }

    /// Learns the contract's task in seconds.
    let tiny: IdqlConfig =
        { quick with
            Hidden = [ 32; 32 ]
            CriticHidden = [ 32; 32 ]
            Data = DataSettings.tiny
            RoundSteps = 2
            Adam.LearningRate = 3e-3
            PolicyRate = LearningRate.Constant 3e-3 }

    /// HalfCheetah-v4 on two cores: 100,000 environment steps at two updates per step of four environments.
    let laptop: IdqlConfig =
        { published with
            Data = DataSettings.laptop
            RoundSteps = 250
            BehaviourParticles = 32
            EvaluationParticles = 32
            Exploration = IdqlChoice.Best
            Critics.Tau = 0.01
            Adam.LearningRate = 1e-3
            PolicyRate = LearningRate.Constant 1e-3
            PolicyTau = 0.005 }

    let private expectile name value =
        [ if not (value > 0.0 && value < 1.0) then
              $"{spelled name} is {string value}; an expectile lies between 0 and 1" ]

    let private choice name choice =
        match choice with
        | IdqlChoice.Best -> []
        | IdqlChoice.Expectile tau -> expectile name tau

    /// What is impossible in these settings, one sentence each; empty when they can be used.
    let problems (c: IdqlConfig) : string list =
        [ Check.widths (nameof c.Hidden) c.Hidden
          Check.widths (nameof c.CriticHidden) c.CriticHidden
          NetworkSettings.problems c.Networks
          DataSettings.problems c.Data
          Check.atLeast (nameof c.RoundSteps) 1 c.RoundSteps
          ChainSettings.problems c.Chain
          Check.within (nameof c.ExplorationDeviation) 0.0 1e6 c.ExplorationDeviation
          Check.within (nameof c.EvaluationDeviation) 0.0 1e6 c.EvaluationDeviation
          Check.atLeast (nameof c.BehaviourParticles) 1 c.BehaviourParticles
          Check.atLeast (nameof c.EvaluationParticles) 1 c.EvaluationParticles
          choice (nameof c.Exploration) c.Exploration
          choice (nameof c.Evaluation) c.Evaluation
          CriticSettings.problems c.Critics
          expectile (nameof c.ValueExpectile) c.ValueExpectile
          AdamSettings.problems c.Adam
          LearningRate.problems (nameof c.PolicyRate) c.PolicyRate
          Check.within (nameof c.WeightDecay) 0.0 1e6 c.WeightDecay
          [ match c.Weights with
            | IdqlWeights.Exponential(beta, largest) ->
                yield! Check.positive "the β of weights" beta
                yield! Check.positive "the largest of weights" largest
            | IdqlWeights.Cloning
            | IdqlWeights.Expectile
            | IdqlWeights.Positive -> () ]
          Check.within (nameof c.PolicyTau) 0.0 1.0 c.PolicyTau ]
        |> List.concat
