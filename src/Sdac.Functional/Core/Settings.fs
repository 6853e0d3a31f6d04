namespace Sdac.Functional

open System
open Sdac.Kernels

/// Sentences about impossible values, for the checks of settings: empty where the value can be used.
[<RequireQualifiedAccess>]
module Check =
    let atLeast name least value =
        [ if value < least then
              $"{spelled name} is {string value}; it must be at least {string least}" ]

    let positive name value =
        [ if not (value > 0.0 && Double.IsFinite value) then
              $"{spelled name} is {string value}; it must be a positive number" ]

    let within name low high value =
        [ if not (value >= low && value <= high) then
              $"{spelled name} is {string value}; it must lie between {string low} and {string high}" ]

    let finite name value =
        [ if not (Double.IsFinite value) then
              $"{spelled name} is {string value}; it must be a number" ]

    /// Above 0, at most 1.
    let share name value =
        [ if not (value > 0.0 && value <= 1.0) then
              $"{spelled name} is {string value}; it must be above 0 and at most 1" ]

    let widths name (widths: int list) =
        [ for width in widths do
              if width < 1 then
                  $"{spelled name} holds a layer of width %d{width}; widths must be at least 1" ]

// The settings that algorithms share, each kind in a small record of its own. An algorithm's settings are composed of those
// that mean something to it, so that it cannot be given any other.

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

/// How the values of the twin critics become one.
[<RequireQualifiedAccess>]
type QReduction =
    | Minimum
    | Mean

[<RequireQualifiedAccess>]
module Settings =
    /// The settings themselves, or ArgumentException with all that `problems` finds impossible in them.
    let validate (problems: 'config -> string list) (config: 'config) : 'config =
        match problems config with
        | [] -> config
        | found -> invalidArg (nameof config) ("impossible settings: " + String.concat "; " found)
