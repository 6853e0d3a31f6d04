namespace Sdac.Functional

/// What a policy's step asks of the critics: values of many actions per state, and their slopes. In benches and tests a known
/// function takes their place.
[<NoComparison; NoEquality>]
type ActionValue =
    {
        /// obs: [B, O], actions: [B, N, A] -> [B, N]
        Values: Tensor -> Tensor -> Tensor
        /// The same with the gradients with respect to the actions -> [B, N] and [B, N, A]
        WithSlopes: Tensor -> Tensor -> struct (Tensor * Tensor)
    }

/// Twin critics without an entropy term in the target.
[<RequireQualifiedAccess>]
module Critic =
    /// min(Q1, Q2) for several actions per state. obs: [B, O], actions: [B, N, A] -> [B, N].
    let minQ compute (net: QNetwork) (q1: Params) (q2: Params) (obs: Tensor) (actions: Tensor) : Tensor =
        QNetwork.least compute net q1 q2 obs actions

    /// r·scale + γ·(1 - terminated)·nextValue. A time limit bootstraps, a termination does not. All [B].
    let target
        (discount: float)
        (rewardScale: float)
        (reward: Tensor)
        (terminated: Tensor)
        (nextValue: Tensor)
        : Tensor =
        let alive = -terminated + num 1.0
        num rewardScale * reward + num discount * (alive * nextValue)

    /// Mean squared error. value, target: [B] -> scalar.
    let loss (value: Tensor) (target: Tensor) : Tensor = (value - target).square().mean()

    /// The gradient of `loss` with respect to the values, 2/B·(Q - y). [B].
    let gradient (value: Tensor) (target: Tensor) : Tensor = num (2.0 / float (value.numel ())) * (value - target)

    let private threshold (value: float) =
        if not (value > 0.0 && System.Double.IsFinite value) then
            invalidArg "threshold" $"the Huber loss needs a positive threshold, not {string value}"

        Scalars.ofFloat value

    /// The Huber loss of δ = value - target (Huber 1964): the mean of ½δ² where |δ| <= κ, of κ·(|δ| - ½κ) elsewhere.
    /// value, target: [B] -> scalar. With all |δ| <= κ it is half of `loss`.
    let huberLoss (kappa: float) (value: Tensor) (target: Tensor) : Tensor =
        let limit = threshold kappa
        let size = (value - target).abs()
        let inside = size.clamp_max limit
        // ½·inside² + κ·(|δ| - inside): both branches in one.
        let outside = limit * (size - inside)
        (num 0.5 * inside.square () + outside).mean()

    /// The gradient of `huberLoss` with respect to the values, δ/B with δ clipped to ±κ. [B].
    let huberGradient (kappa: float) (value: Tensor) (target: Tensor) : Tensor =
        let limit = threshold kappa
        let clipped = (value - target).clamp(num -kappa, limit)
        num (1.0 / float (value.numel ())) * clipped
