namespace Sdac

/// How the Monte-Carlo draws of one state are weighted.
type RssmWeights =
    /// softmax over the K draws: needs K ≥ 2 (with one draw the weight is 1 whatever Q says).
    | SelfNormalised
    /// exp(Q/λ) as in the theorem, with no normalisation; works from K = 1.
    | Raw

/// What becomes of draws from q̃_{0|t} that leave the box [-1, 1]^A in which clean actions live.
type ReverseNoise =
    /// They are moved to its border, as the published experiments do: simple, but at high noise nearly all draws sit there.
    | Clipped
    /// q̃_{0|t} is restricted to the box: every draw lies inside it and none on its border.
    | TruncatedNormal
    /// They stay where they are.
    | Unbounded

/// Which algorithm moves the policy.
[<RequireQualifiedAccess>]
type Algorithm =
    /// Soft Diffusion Actor-Critic: RSSM on draws from the reverse sampling distribution.
    | Sdac
    /// Diffusion Policy Mirror Descent: denoising score matching on actions of the old policy, weighted by exp(Q̃/λ).
    | Dpmd

/// What becomes of Q before it is an energy.
[<RequireQualifiedAccess>]
type QNormalisation =
    /// It stays as it is.
    | Off
    /// clip((Q - m)/s, ±QClip) with running averages m and s of Q's mean and deviation.
    | Running
    /// clip(Q - m/s, ±QClip): the published reference implementation's slip of precedence, for comparisons with its figures.
    | RunningAsPublished

/// Every setting of SDAC and DPMD. `Config.published` holds the values of the published SDAC experiments.
type Config =
    {
        Algorithm: Algorithm
        /// γ
        Discount: float
        BatchSize: int
        /// Widths of the hidden layers of all networks
        Hidden: int list
        TimeDim: int
        TimeHidden: int
        /// T, diffusion timesteps
        Timesteps: int
        BetaSchedule: BetaSchedule
        /// Deviation of x_T, where reverse sampling starts
        InitialNoiseScale: float
        /// Actions drawn per state, of which the one with the largest Q is kept, where the next three say nothing else;
        /// 1 switches best-of-N off
        Particles: int
        /// The same for the actions taken in the training environments
        BehaviourParticles: int option
        /// The same for the actions a' of the critics' targets (and of DPMD's regression, which uses a' too)
        TargetParticles: int option
        /// The same in evaluations
        EvaluationParticles: int option
        /// K, draws of ã_0 per state in the RSSM loss
        MonteCarloDraws: int
        Weights: RssmWeights
        ReverseNoise: ReverseNoise
        /// Q is multiplied by this before it is divided by λ (the inverse of RewardScale in the published settings)
        QScale: float
        QNormalisation: QNormalisation
        /// Rate of the running averages that normalise Q
        QNormalisationRate: float
        /// Bound of the normalised Q
        QClip: float
        RewardScale: float
        /// Adam rate of the critics, and of the policy at the start
        LearningRate: float
        /// Adam steps of the critics per update, all with the same gradient: 1, or 2 as the published DPMD implementation
        /// does by a slip
        CriticSteps: int
        PolicyLearningRateEnd: float
        /// Policy updates before the policy's rate begins to fall
        PolicyDecayBegin: int64
        /// Policy updates that the fall takes
        PolicyDecayLength: int64
        AdamBeta1: float
        AdamBeta2: float
        AdamEpsilon: float
        /// τ of the targets' moving averages
        Tau: float
        /// The policy and the targets move on every such-th update
        PolicyDelay: int
        /// λ_0
        InitialTemperature: float
        /// 0 keeps λ at InitialTemperature
        TemperatureLearningRate: float
        /// λ moves on every such-th update
        TemperatureDelay: int
        /// Target entropy per action dimension
        TargetEntropyPerDim: float
        /// Exploration noise is N(0, (λ · this)²) per component
        NoiseScale: float
        /// Environments stepped together
        Environments: int
        /// Updates per vector step of the environments
        UpdatesPerStep: int
        /// Uniform random transitions before the first update; not counted as environment steps
        WarmUp: int
        /// Transitions kept
        BufferCapacity: int
    }

[<RequireQualifiedAccess>]
module Config =
    /// The published experiments' settings (ICML 2025).
    let published =
        { Algorithm = Algorithm.Sdac
          Discount = 0.99
          BatchSize = 256
          Hidden = [ 256; 256; 256 ]
          TimeDim = 16
          TimeHidden = 32
          Timesteps = 20
          BetaSchedule = Linear 0.8
          InitialNoiseScale = 0.5
          Particles = 32
          BehaviourParticles = None
          TargetParticles = None
          EvaluationParticles = None
          MonteCarloDraws = 64
          Weights = SelfNormalised
          ReverseNoise = Clipped
          QScale = 5.0
          QNormalisation = QNormalisation.Off
          QNormalisationRate = 0.001
          QClip = 3.0
          RewardScale = 0.2
          LearningRate = 3e-4
          CriticSteps = 1
          PolicyLearningRateEnd = 3e-5
          PolicyDecayBegin = 25_000L
          PolicyDecayLength = 50_000L
          AdamBeta1 = 0.9
          AdamBeta2 = 0.999
          AdamEpsilon = 1e-8
          Tau = 0.005
          PolicyDelay = 2
          InitialTemperature = 5.0
          TemperatureLearningRate = 7e-3
          TemperatureDelay = 250
          TargetEntropyPerDim = -0.9
          NoiseScale = 0.1
          Environments = 5
          UpdatesPerStep = 1
          WarmUp = 30_000
          BufferCapacity = 1_000_000 }

    /// The same settings for another algorithm: what the two were published with differently (β schedule, weights, scale and
    /// normalisation of Q) is taken over from the other; all else stays. Nothing changes where the algorithm is that already.
    let withAlgorithm (algorithm: Algorithm) (c: Config) : Config =
        match algorithm with
        | same when same = c.Algorithm -> c
        | Algorithm.Sdac ->
            { c with
                Algorithm = algorithm
                BetaSchedule = published.BetaSchedule
                Weights = published.Weights
                QScale = published.QScale
                QNormalisation = published.QNormalisation }
        | Algorithm.Dpmd ->
            { c with
                Algorithm = algorithm
                BetaSchedule = Linear 0.3
                Weights = Raw
                QScale = 1.0
                QNormalisation = QNormalisation.Running }

    /// Actions drawn per state to act in the training environments, for the critics' targets, and in evaluations.
    let behaviourParticles (c: Config) = defaultArg c.BehaviourParticles c.Particles
    /// N of the critics' targets.
    let targetParticles (c: Config) = defaultArg c.TargetParticles c.Particles

    /// N of evaluations.
    let evaluationParticles (c: Config) = defaultArg c.EvaluationParticles c.Particles

    /// What is impossible in these settings, one sentence each; empty when they can be used.
    let problems (c: Config) : string list =
        let atLeast name least value =
            [ if value < least then
                  $"{name} is {string value}; it must be at least {string least}" ]

        let positive name value =
            [ if not (value > 0.0 && System.Double.IsFinite value) then
                  $"{name} is {string value}; it must be a positive number" ]

        let within name low high value =
            [ if not (value >= low && value <= high) then
                  $"{name} is {string value}; it must lie between {string low} and {string high}" ]

        [ within (nameof c.Discount) 0.0 1.0 c.Discount
          atLeast (nameof c.BatchSize) 1 c.BatchSize
          [ for width in c.Hidden do
                if width < 1 then
                    $"Hidden holds a layer of width %d{width}; widths must be at least 1" ]
          [ if c.TimeDim < 2 || c.TimeDim % 2 <> 0 then
                $"TimeDim is %d{c.TimeDim}; it must be even and at least 2" ]
          atLeast (nameof c.TimeHidden) 1 c.TimeHidden
          atLeast (nameof c.Timesteps) 1 c.Timesteps
          [ if c.Timesteps >= 1 then
                match Schedule.problem c.BetaSchedule c.Timesteps with
                | Some problem -> $"BetaSchedule: {problem}"
                | None -> () ]
          within (nameof c.InitialNoiseScale) 0.0 1e6 c.InitialNoiseScale
          atLeast (nameof c.Particles) 1 c.Particles
          atLeast (nameof c.BehaviourParticles) 1 (defaultArg c.BehaviourParticles 1)
          atLeast (nameof c.TargetParticles) 1 (defaultArg c.TargetParticles 1)
          atLeast (nameof c.EvaluationParticles) 1 (defaultArg c.EvaluationParticles 1)
          atLeast (nameof c.MonteCarloDraws) 1 c.MonteCarloDraws
          [ if c.Weights = SelfNormalised && c.Algorithm = Algorithm.Dpmd then
                "Weights is SelfNormalised with Algorithm = Dpmd, which has one action per state: every weight would be 1 and nothing would be learned; take Weights = Raw, and QNormalisation = Running (--algorithm dpmd sets both)"
            elif c.Weights = SelfNormalised && c.MonteCarloDraws = 1 then
                "MonteCarloDraws is 1 with self-normalised weights: every weight would be 1 and nothing would be learned; take at least 2 draws, or Weights = Raw" ]
          positive (nameof c.QScale) c.QScale
          within (nameof c.QNormalisationRate) 0.0 1.0 c.QNormalisationRate
          positive (nameof c.QClip) c.QClip
          positive (nameof c.RewardScale) c.RewardScale
          positive (nameof c.LearningRate) c.LearningRate
          atLeast (nameof c.CriticSteps) 1 c.CriticSteps
          positive (nameof c.PolicyLearningRateEnd) c.PolicyLearningRateEnd
          [ if c.PolicyDecayBegin < 0L then
                $"PolicyDecayBegin is %d{c.PolicyDecayBegin}; it must be at least 0" ]
          [ if c.PolicyDecayLength < 1L then
                $"PolicyDecayLength is %d{c.PolicyDecayLength}; it must be at least 1" ]
          within (nameof c.AdamBeta1) 0.0 0.9999999 c.AdamBeta1
          within (nameof c.AdamBeta2) 0.0 0.9999999 c.AdamBeta2
          positive (nameof c.AdamEpsilon) c.AdamEpsilon
          within (nameof c.Tau) 0.0 1.0 c.Tau
          atLeast (nameof c.PolicyDelay) 1 c.PolicyDelay
          positive (nameof c.InitialTemperature) c.InitialTemperature
          within (nameof c.TemperatureLearningRate) 0.0 1e6 c.TemperatureLearningRate
          atLeast (nameof c.TemperatureDelay) 1 c.TemperatureDelay
          [ if not (System.Double.IsFinite c.TargetEntropyPerDim) then
                $"TargetEntropyPerDim is {string c.TargetEntropyPerDim}; it must be a number" ]
          within (nameof c.NoiseScale) 0.0 1e6 c.NoiseScale
          atLeast (nameof c.Environments) 1 c.Environments
          atLeast (nameof c.UpdatesPerStep) 1 c.UpdatesPerStep
          atLeast (nameof c.WarmUp) 1 c.WarmUp
          [ let least = max c.BatchSize c.Environments

            if c.BufferCapacity < least then
                $"BufferCapacity is %d{c.BufferCapacity}; it must hold a batch and a step of all environments ({least})" ] ]
        |> List.concat

    /// The settings themselves, or ArgumentException with all that is impossible in them.
    let validate (c: Config) : Config =
        match problems c with
        | [] -> c
        | found -> raise (System.ArgumentException("impossible settings: " + String.concat "; " found))
