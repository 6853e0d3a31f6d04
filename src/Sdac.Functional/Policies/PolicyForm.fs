namespace Sdac.Functional

/// The deviation of the noise on a network's action.
[<RequireQualifiedAccess>]
type FormSpread =
    /// No noise
    | Mode
    | Constant of float
    /// σ by the outputs behind the action's own
    | Outputs of LogStd

/// Where the actions come from that one is chosen of.
[<RequireQualifiedAccess; NoComparison; NoEquality>]
type FormCandidates =
    /// A network of the observation; its outputs are the action, then log σ where it gives one
    | Direct of FormNetwork * FormSpread * FormEnd
    | Chain of FormChain

/// The critics that choose: networks of [obs | action] with one output.
[<NoComparison; NoEquality>]
type FormCritics = { Networks: FormNetwork list; Reduction: QReduction }

/// How the networks see observations: clip((s - mean)/√(variance + 1e-8), ±Clip), in double precision.
[<NoComparison>]
type FormMoments =
    {
        /// The state's leaves: LEAF.mean and LEAF.variance
        Leaf: string
        Moments: RunningMoments
        Clip: float
    }

/// What an agent does in evaluations, as data: all that a program without this library needs to act as it does with the same noise.
[<NoComparison; NoEquality>]
type PolicyForm =
    {
        Moments: FormMoments option
        Candidates: FormCandidates
        /// N, the candidates of a state
        Particles: int
        /// Which candidate is taken, the one with the largest value; None where there is one
        Critics: FormCritics option
        /// The key of a policy's random numbers, of the one that `Act` is given
        NoiseKey: Key -> Key
        /// The numbers that `Act` draws of a key for so many states: N rows for each
        Noise: Key -> int -> ChainNoise
    }

[<RequireQualifiedAccess>]
module PolicyForm =
    /// Of an agent whose policy is none of these.
    let none (why: string) (_: 'state) : Result<PolicyForm, string> = Error why

    let private noNoise (_: Key) (_: int) : ChainNoise = invalidOp "this policy draws no random numbers"

    /// A network that acts by itself, without noise.
    let direct (finish: FormEnd) (network: FormNetwork) : PolicyForm =
        { Moments = None
          Candidates = FormCandidates.Direct(network, FormSpread.Mode, finish)
          Particles = 1
          Critics = None
          NoiseKey = id
          Noise = noNoise }

    /// The best of N actions by a network, each with noise of its own. Their noise comes from the key itself.
    let jittered
        (compute: Compute)
        (actionDim: int)
        (particles: int)
        (critics: FormCritics)
        (spread: FormSpread)
        (finish: FormEnd)
        (network: FormNetwork)
        : PolicyForm =
        { Moments = None
          Candidates = FormCandidates.Direct(network, spread, finish)
          Particles = particles
          Critics = Some critics
          NoiseKey = id
          Noise = fun key states -> { Initial = Key.normal compute [ states * particles; actionDim ] key; Steps = [||] } }

    /// The best of N actions, each by a chain of its own, whose noise is `ChainNoise.draw`'s of `chainKey` key.
    let chained
        (compute: Compute)
        (actionDim: int)
        (particles: int)
        (critics: FormCritics option)
        (chainKey: Key -> Key)
        (chain: FormChain)
        : PolicyForm =
        { Moments = None
          Candidates = FormCandidates.Chain chain
          Particles = particles
          Critics = if particles = 1 then None else critics
          NoiseKey = chainKey
          Noise =
            fun key states -> ChainNoise.draw compute chain.Steps.Length (states * particles) actionDim (chainKey key) }

    /// The first of the two keys that one is split into: acting's, where exploring takes the other.
    let firstOf (key: Key) : Key =
        let struct (first, _) = Key.split key
        first
