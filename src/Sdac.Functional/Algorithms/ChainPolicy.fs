namespace Sdac.Functional

/// What algorithms whose policy is the reverse chain of a network with time embeddings of its own do alike.
[<RequireQualifiedAccess>]
module ChainPolicy =
    /// A network of plain layers for tasks of these sizes, told the time by these embeddings.
    let network (space: Space) (embeddings: TimeEmbedding list) (layers: HiddenLayers) : ActionNetwork =
        ActionNetwork.create space.ObsDim space.ActionDim embeddings (ActionLayers.Plain layers)

    /// The network that acts, the policy or its moving average, and its name among the state's.
    let actor (averageActs: bool) (policy: Params) (average: Params) : struct (string * Params) =
        if averageActs then
            struct ("target_policy", average)
        else
            struct ("policy", policy)

    /// The actions of a state of which the best is taken.
    let particles (purpose: Purpose) (bestOf: BestOfSettings) : int =
        match purpose with
        | Purpose.Explore -> bestOf.BehaviourParticles
        | Purpose.Evaluate -> bestOf.EvaluationParticles
