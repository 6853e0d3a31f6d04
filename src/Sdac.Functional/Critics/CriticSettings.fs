namespace Sdac.Functional

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
