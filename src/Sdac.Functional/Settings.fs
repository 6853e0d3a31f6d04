namespace Sdac

open System
open Sdac.Kernels

/// Sentences about impossible values, for the checks of settings: empty where the value can be used.
[<RequireQualifiedAccess>]
module Check =
    let atLeast name least value =
        [ if value < least then
              $"{name} is {string value}; it must be at least {string least}" ]

    let positive name value =
        [ if not (value > 0.0 && Double.IsFinite value) then
              $"{name} is {string value}; it must be a positive number" ]

    let within name low high value =
        [ if not (value >= low && value <= high) then
              $"{name} is {string value}; it must lie between {string low} and {string high}" ]

    let finite name value =
        [ if not (Double.IsFinite value) then
              $"{name} is {string value}; it must be a number" ]

    let widths name (widths: int list) =
        [ for width in widths do
              if width < 1 then
                  $"{name} holds a layer of width %d{width}; widths must be at least 1" ]

// The settings that algorithms share, each kind in a small record of its own. An algorithm's settings are composed of those
// that mean something to it, so that it cannot be given any other.

/// Collecting, the replay memory and what is drawn from it.
type DataSettings =
    {
        /// Environments stepped together
        Environments: int
        /// Updates per vector step of the environments
        UpdatesPerStep: int
        /// Uniform random transitions before the first update; not counted as environment steps
        WarmUp: int
        /// Transitions drawn for an update
        BatchSize: int
        /// Transitions kept
        BufferCapacity: int
    }

[<RequireQualifiedAccess>]
module DataSettings =
    let problems (d: DataSettings) : string list =
        [ Check.atLeast (nameof d.BatchSize) 1 d.BatchSize
          Check.atLeast (nameof d.Environments) 1 d.Environments
          Check.atLeast (nameof d.UpdatesPerStep) 1 d.UpdatesPerStep
          Check.atLeast (nameof d.WarmUp) 1 d.WarmUp
          [ let least = max d.BatchSize d.Environments

            if d.BufferCapacity < least then
                $"BufferCapacity is %d{d.BufferCapacity}; it must hold a batch and a step of all environments ({least})" ] ]
        |> List.concat

/// What follows the linear maps of the hidden layers.
[<RequireQualifiedAccess>]
type HiddenActivation =
    /// x·tanh(ln(1 + eˣ))
    | Mish
    /// max(x, 0)
    | Relu
    /// x·Φ(x), the exact form
    | Gelu
    /// x where x > 0, else eˣ - 1
    | Elu
    | Tanh

[<RequireQualifiedAccess>]
module HiddenActivation =
    /// As the kernels name it.
    let kernel (activation: HiddenActivation) : Activation =
        match activation with
        | HiddenActivation.Mish -> Activation.Mish
        | HiddenActivation.Relu -> Activation.Relu
        | HiddenActivation.Gelu -> Activation.Gelu
        | HiddenActivation.Elu -> Activation.Elu
        | HiddenActivation.Tanh -> Activation.Tanh

/// What all networks are made of.
type NetworkSettings =
    {
        /// What follows the linear maps of the hidden layers
        Activation: HiddenActivation
        /// How the weights of fresh networks are drawn
        InitialWeights: InitialWeights
        /// ε of a layer norm between the linear maps and the activations of the critics (1e-5 in PyTorch, 1e-6 in Flax);
        /// none: no layer norm
        CriticLayerNorm: float option
        /// The same for the policy
        PolicyLayerNorm: float option
    }

[<RequireQualifiedAccess>]
module NetworkSettings =
    /// SDAC's: mish, no layer norm.
    let mish: NetworkSettings =
        { Activation = HiddenActivation.Mish
          InitialWeights = InitialWeights.LecunUniform
          CriticLayerNorm = None
          PolicyLayerNorm = None }

    let private hidden (layerNorm: float option) (n: NetworkSettings) (widths: int list) : HiddenLayers =
        { Widths = widths; Activation = HiddenActivation.kernel n.Activation; LayerNorm = layerNorm }

    /// The critics' hidden layers.
    let critic (n: NetworkSettings) (widths: int list) : HiddenLayers = hidden n.CriticLayerNorm n widths

    /// The policy's hidden layers.
    let policy (n: NetworkSettings) (widths: int list) : HiddenLayers = hidden n.PolicyLayerNorm n widths

    let problems (n: NetworkSettings) : string list =
        [ Check.positive (nameof n.CriticLayerNorm) (defaultArg n.CriticLayerNorm 1.0)
          Check.positive (nameof n.PolicyLayerNorm) (defaultArg n.PolicyLayerNorm 1.0) ]
        |> List.concat

/// The diffusion chain and the time embedding of its network.
type DiffusionSettings =
    {
        /// T, steps of the chain
        Timesteps: int
        /// How much noise each step adds
        BetaSchedule: BetaSchedule
        /// Deviation of x_T, where reverse sampling starts
        InitialNoiseScale: float
        /// Each step's noise has deviation √β_t instead of the posterior's σ_t (MaxEntDP, flow-rl)
        WideNoise: bool
        /// Width of the sinusoidal time embedding
        TimeDim: int
        /// Width of the hidden layer behind it
        TimeHidden: int
    }

[<RequireQualifiedAccess>]
module DiffusionSettings =
    /// The chain's coefficients. Raises ArgumentException on what `problems` says of the schedule.
    let schedule (d: DiffusionSettings) : Schedule =
        let schedule = Schedule.create d.BetaSchedule d.Timesteps
        if d.WideNoise then Schedule.wide schedule else schedule

    let problems (d: DiffusionSettings) : string list =
        [ [ if d.TimeDim < 2 || d.TimeDim % 2 <> 0 then
                $"TimeDim is %d{d.TimeDim}; it must be even and at least 2" ]
          Check.atLeast (nameof d.TimeHidden) 1 d.TimeHidden
          Check.atLeast (nameof d.Timesteps) 1 d.Timesteps
          [ if d.Timesteps >= 1 then
                match Schedule.problem d.BetaSchedule d.Timesteps with
                | Some problem -> $"BetaSchedule: {problem}"
                | None -> () ]
          Check.within (nameof d.InitialNoiseScale) 0.0 1e6 d.InitialNoiseScale ]
        |> List.concat

/// The chain of a policy whose network brings its own time embedding.
type ChainSettings =
    {
        /// T, steps of the chain
        Timesteps: int
        /// How much noise each step adds
        BetaSchedule: BetaSchedule
        /// Deviation of x_T, where reverse sampling starts
        InitialNoiseScale: float
    }

[<RequireQualifiedAccess>]
module ChainSettings =
    let problems (c: ChainSettings) : string list =
        [ Check.atLeast (nameof c.Timesteps) 1 c.Timesteps
          [ if c.Timesteps >= 1 then
                match Schedule.problem c.BetaSchedule c.Timesteps with
                | Some problem -> $"BetaSchedule: {problem}"
                | None -> () ]
          Check.within (nameof c.InitialNoiseScale) 0.0 1e6 c.InitialNoiseScale ]
        |> List.concat

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

/// Smoothing of the critics' targets: a' + clip(N(0, σ²), ±c) per component, kept in the box [-1, 1]^A (TD3).
type TargetNoiseSettings =
    {
        /// σ; 0 switches it off, the clip to the box as well
        TargetNoise: float
        /// c, the largest component of the noise
        TargetNoiseClip: float
    }

[<RequireQualifiedAccess>]
module TargetNoiseSettings =
    let off: TargetNoiseSettings = { TargetNoise = 0.0; TargetNoiseClip = 0.5 }

    let problems (t: TargetNoiseSettings) : string list =
        [ Check.within (nameof t.TargetNoise) 0.0 1e6 t.TargetNoise
          Check.positive (nameof t.TargetNoiseClip) t.TargetNoiseClip ]
        |> List.concat

/// How the values of the twin critics become one.
[<RequireQualifiedAccess>]
type QReduction =
    | Minimum
    | Mean

/// The critics' targets and steps.
type CriticSettings =
    {
        /// γ, the discount of a step
        Discount: float
        /// Rewards are multiplied by this in the targets
        RewardScale: float
        /// Adam steps of the critics per update, all with the same gradient: 1, or 2 as the published DPMD implementation
        /// does by a slip
        CriticSteps: int
        /// τ of the targets' moving averages, the policy's included
        Tau: float
        /// What the twin critics' values become, in the targets, in the choice among particles and in the policy's step
        QReduction: QReduction
        /// The critics' errors beyond this count linearly (Huber's loss); none: their squares, whatever their size
        HuberThreshold: float option
    }

[<RequireQualifiedAccess>]
module CriticSettings =
    /// γ 0.99, τ 0.005, rewards as they are, the minimum of both critics, squared errors: SAC's and TD3's.
    let usual: CriticSettings =
        { Discount = 0.99
          RewardScale = 1.0
          CriticSteps = 1
          Tau = 0.005
          QReduction = QReduction.Minimum
          HuberThreshold = None }

    let problems (c: CriticSettings) : string list =
        [ Check.within (nameof c.Discount) 0.0 1.0 c.Discount
          Check.positive (nameof c.RewardScale) c.RewardScale
          Check.atLeast (nameof c.CriticSteps) 1 c.CriticSteps
          Check.within (nameof c.Tau) 0.0 1.0 c.Tau
          Check.positive (nameof c.HuberThreshold) (defaultArg c.HuberThreshold 1.0) ]
        |> List.concat

/// Adam, for all networks.
type AdamSettings =
    {
        /// Rate of the critics, and of the policy at the start
        LearningRate: float
        /// Decay rate of the first moment
        AdamBeta1: float
        /// Decay rate of the second moment
        AdamBeta2: float
        /// Guard of the denominator
        AdamEpsilon: float
    }

[<RequireQualifiedAccess>]
module AdamSettings =
    /// Decay rates 0.9 and 0.999, ε 1e-8.
    let usual (rate: float) : AdamSettings =
        { LearningRate = rate; AdamBeta1 = 0.9; AdamBeta2 = 0.999; AdamEpsilon = 1e-8 }

    let ofSettings (a: AdamSettings) : AdamConfig =
        { Beta1 = a.AdamBeta1; Beta2 = a.AdamBeta2; Epsilon = a.AdamEpsilon }

    let problems (a: AdamSettings) : string list =
        [ Check.positive (nameof a.LearningRate) a.LearningRate
          Check.within (nameof a.AdamBeta1) 0.0 0.9999999 a.AdamBeta1
          Check.within (nameof a.AdamBeta2) 0.0 0.9999999 a.AdamBeta2
          Check.positive (nameof a.AdamEpsilon) a.AdamEpsilon ]
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
        LinearDecay(a.LearningRate, p.PolicyLearningRateEnd, p.PolicyDecayBegin, p.PolicyDecayLength)

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

/// What becomes of Q before it is an energy.
[<RequireQualifiedAccess>]
type QNormalisation =
    /// It stays as it is.
    | Off
    /// clip((Q - m)/s, ±QClip) with running averages m and s of Q's mean and deviation.
    | Running
    /// clip((Q - m)/s, ±QClip) with m and s of the update's own values (the authors' answer to a review).
    | Batch
    /// clip(Q - m/s, ±QClip): the published reference implementation's slip of precedence, for comparisons with its figures.
    | RunningAsPublished

/// From values to energies.
type EnergySettings =
    {
        /// Q is multiplied by this before it is divided by λ (the inverse of RewardScale in the published settings)
        QScale: float
        /// What becomes of Q before it is an energy
        QNormalisation: QNormalisation
        /// Rate of the running averages that normalise Q
        QNormalisationRate: float
        /// Bound of the normalised Q
        QClip: float
    }

[<RequireQualifiedAccess>]
module EnergySettings =
    let problems (e: EnergySettings) : string list =
        [ Check.positive (nameof e.QScale) e.QScale
          Check.within (nameof e.QNormalisationRate) 0.0 1.0 e.QNormalisationRate
          Check.positive (nameof e.QClip) e.QClip ]
        |> List.concat

/// How the Monte-Carlo draws of one state are weighted.
type RssmWeights =
    /// softmax over the K draws: needs K ≥ 2 (with one draw the weight is 1 whatever Q says).
    | SelfNormalised
    /// exp(Q/λ) as in the theorem, with no normalisation; works from K = 1.
    | Raw
    /// exp(Q/λ - logsumexp + ln K), K times the softmax: a state's weights are 1 in the mean. Needs K ≥ 2.
    | LogSumExp

/// What becomes of draws from q̃_{0|t} that leave the box [-1, 1]^A in which clean actions live.
type ReverseNoise =
    /// They are moved to its border, as the published experiments do: simple, but at high noise nearly all draws sit there.
    | Clipped
    /// q̃_{0|t} is restricted to the box: every draw lies inside it and none on its border.
    | TruncatedNormal
    /// They stay where they are.
    | Unbounded

/// The draws of the RSSM loss.
type DrawSettings =
    {
        /// K, draws of ã_0 per state
        MonteCarloDraws: int
        /// How the draws of one state are weighted
        Weights: RssmWeights
        /// What becomes of draws that leave the box [-1, 1]^A
        ReverseNoise: ReverseNoise
    }

[<RequireQualifiedAccess>]
module DrawSettings =
    let problems (d: DrawSettings) : string list =
        [ Check.atLeast (nameof d.MonteCarloDraws) 1 d.MonteCarloDraws
          [ if d.Weights <> Raw && d.MonteCarloDraws = 1 then
                "MonteCarloDraws is 1 with self-normalised weights: every weight would be 1 and nothing would be learned; take at least 2 draws, or Weights = Raw" ] ]
        |> List.concat

[<RequireQualifiedAccess>]
module Settings =
    /// The settings themselves, or ArgumentException with all that `problems` finds impossible in them.
    let validate (problems: 'config -> string list) (config: 'config) : 'config =
        match problems config with
        | [] -> config
        | found -> raise (ArgumentException("impossible settings: " + String.concat "; " found))
