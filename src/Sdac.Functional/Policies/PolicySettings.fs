namespace Sdac.Functional

/// How the actions are made of which the one with the largest Q is kept.
[<RequireQualifiedAccess>]
type Candidates =
    /// By a reverse chain each
    | Chains
    /// By one chain a state: its action is noised to this timestep t, and each candidate is a single draw of q̃_{0|t} around it,
    /// moved into the box. N candidates cost one chain and N values
    | OneStep of Timestep: int

/// How many actions are drawn per state, of which the one with the largest Q is kept; and exploration.
type ParticleSettings =
    {
        /// Actions drawn per state where the next three say nothing else; 1 switches best-of-N off
        Particles: int
        /// The same for the actions taken in the training environments
        BehaviourParticles: int option
        /// The same for the actions a' of the critics' targets (and of DPMD's regression, which uses a' too)
        TargetParticles: int option
        /// The same in evaluations
        EvaluationParticles: int option
        /// How they are made
        Candidates: Candidates
        /// Exploration noise is N(0, (λ · this)²) per component
        NoiseScale: float
    }

[<RequireQualifiedAccess>]
module ParticleSettings =
    /// Actions drawn per state to act in the training environments.
    let behaviour (p: ParticleSettings) = defaultArg p.BehaviourParticles p.Particles
    /// N of the critics' targets.
    let target (p: ParticleSettings) = defaultArg p.TargetParticles p.Particles
    /// N of evaluations.
    let evaluation (p: ParticleSettings) = defaultArg p.EvaluationParticles p.Particles

    let problems (p: ParticleSettings) : string list =
        [ Check.atLeast (nameof p.Particles) 1 p.Particles
          Check.atLeast (nameof p.BehaviourParticles) 1 (defaultArg p.BehaviourParticles 1)
          Check.atLeast (nameof p.TargetParticles) 1 (defaultArg p.TargetParticles 1)
          Check.atLeast (nameof p.EvaluationParticles) 1 (defaultArg p.EvaluationParticles 1)
          Check.within (nameof p.NoiseScale) 0.0 1e6 p.NoiseScale ]
        |> List.concat

/// How many actions are drawn per state by a policy without a diffusion chain, of which the one with the largest Q is kept.
type BestOfSettings =
    {
        /// Actions drawn per state in the training environments; 1 switches best-of-N off
        BehaviourParticles: int
        /// The same for the actions a' of the critics' targets
        TargetParticles: int
        /// The same in evaluations; 1 takes the policy's mode
        EvaluationParticles: int
    }

[<RequireQualifiedAccess>]
module BestOfSettings =
    /// One action each.
    let off: BestOfSettings = { BehaviourParticles = 1; TargetParticles = 1; EvaluationParticles = 1 }

    let problems (b: BestOfSettings) : string list =
        [ Check.atLeast (nameof b.BehaviourParticles) 1 b.BehaviourParticles
          Check.atLeast (nameof b.TargetParticles) 1 b.TargetParticles
          Check.atLeast (nameof b.EvaluationParticles) 1 b.EvaluationParticles ]
        |> List.concat

/// Which of a policy's networks acts.
[<RequireQualifiedAccess>]
type ActingPolicy =
    /// The target policy
    | Target
    /// The network that is trained
    | Online

/// When and how fast the policy moves.
type PolicySettings =
    {
        /// The policy and the targets move on every such-th update
        PolicyDelay: int
        /// The policy's rate after its fall
        PolicyLearningRateEnd: float
        /// Policy updates before the policy's rate begins to fall
        PolicyDecayBegin: int64
        /// Policy updates that the fall takes
        PolicyDecayLength: int64
        /// The target policy is a copy of the policy, renewed on every such-th policy update; none: its moving average, τ the
        /// critics'
        PolicyCopies: int option
        /// Which policy acts, in training and in evaluations
        ActsBy: ActingPolicy
    }

[<RequireQualifiedAccess>]
module PolicySettings =
    /// The policy's learning rate as a function of its updates.
    let rate (a: AdamSettings) (p: PolicySettings) =
        LearningRate.LinearDecay(a.LearningRate, p.PolicyLearningRateEnd, p.PolicyDecayBegin, p.PolicyDecayLength)

    let problems (p: PolicySettings) : string list =
        [ Check.positive (nameof p.PolicyLearningRateEnd) p.PolicyLearningRateEnd
          Check.atLeast (nameof p.PolicyDecayBegin) 0L p.PolicyDecayBegin
          Check.atLeast (nameof p.PolicyDecayLength) 1L p.PolicyDecayLength
          Check.atLeast (nameof p.PolicyDelay) 1 p.PolicyDelay
          Check.atLeast (nameof p.PolicyCopies) 1 (defaultArg p.PolicyCopies 1) ]
        |> List.concat

/// λ.
type TemperatureSettings =
    {
        /// λ at the start
        InitialTemperature: float
        /// Adam rate of ln λ; 0 keeps λ at InitialTemperature
        TemperatureLearningRate: float
        /// λ moves on every such-th update
        TemperatureDelay: int
        /// Target entropy per action dimension
        TargetEntropyPerDim: float
    }

[<RequireQualifiedAccess>]
module TemperatureSettings =
    let problems (t: TemperatureSettings) : string list =
        [ Check.positive (nameof t.InitialTemperature) t.InitialTemperature
          Check.within (nameof t.TemperatureLearningRate) 0.0 1e6 t.TemperatureLearningRate
          Check.atLeast (nameof t.TemperatureDelay) 1 t.TemperatureDelay
          Check.finite (nameof t.TargetEntropyPerDim) t.TargetEntropyPerDim ]
        |> List.concat
