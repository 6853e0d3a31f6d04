namespace Sdac.Functional

/// The networks of PPO: two of the same hidden layers, for the policy's means and for the value, and log σ as a free vector.
type PpoNetworkSettings =
    {
        /// Widths of the hidden layers of both networks; none: linear networks
        Hidden: int list
        /// What follows the linear maps of the hidden layers
        Activation: HiddenActivation
        /// Fresh weights are orthogonal, of gain √2 in the hidden layers, 0.01 in the policy's last and 1 in the value's;
        /// otherwise uniform on ±1/√fan-in, as PyTorch's linear layers begin
        OrthogonalStart: bool
        /// log σ at the start, in every dimension
        InitialLogStd: float
    }

/// The objective of an update and its step.
type PpoObjectiveSettings =
    {
        /// ε of the clipped ratio
        ClipRange: float
        /// How the value's error is clipped
        ValueClip: ValueClip
        /// ε of the clipped value
        ValueClipRange: float
        /// Factor of the mean squared error of the value in the loss
        ValueCoefficient: float
        /// Factor of the policy's entropy, which the loss subtracts
        EntropyCoefficient: float
        /// Advantages of a minibatch are given mean 0 and deviation 1
        NormaliseAdvantages: bool
        /// The gradient of all parameters together is shortened to this length; none: as it is
        MaximumGradientNorm: float option
        /// The round ends before a step at which the divergence from the policy that collected exceeds 1.5 times this; none: never
        TargetKl: float option
    }

[<RequireQualifiedAccess>]
module PpoObjectiveSettings =
    let problems (o: PpoObjectiveSettings) : string list =
        [ Check.positive (nameof o.ClipRange) o.ClipRange
          Check.positive (nameof o.ValueClipRange) o.ValueClipRange
          Check.within (nameof o.ValueCoefficient) 0.0 1e6 o.ValueCoefficient
          Check.within (nameof o.EntropyCoefficient) 0.0 1e6 o.EntropyCoefficient
          Check.positive (nameof o.MaximumGradientNorm) (defaultArg o.MaximumGradientNorm 1.0)
          Check.positive (nameof o.TargetKl) (defaultArg o.TargetKl 1.0) ]
        |> List.concat

/// Every setting of PPO.
type PpoConfig =
    {
        Networks: PpoNetworkSettings
        Rollout: RolloutSettings
        Normalisation: NormalisationSettings
        /// γ, the discount of a step
        Discount: float
        /// λ of generalised advantage estimation
        Lambda: float
        Objective: PpoObjectiveSettings
        Adam: AdamSettings
        /// The learning rate falls linearly with the rounds, to zero behind the planned last one
        AnnealLearningRate: bool
    }

[<RequireQualifiedAccess>]
module PpoConfig =
    /// Stable-Baselines3's settings: observations and rewards as they are.
    let sb3: PpoConfig =
        { Networks =
            { Hidden = [ 64; 64 ]
              Activation = HiddenActivation.Tanh
              OrthogonalStart = true
              InitialLogStd = 0.0 }
          Rollout = { Environments = 1; VectorSteps = 2048; Epochs = 10; Minibatches = 32 }
          Normalisation = NormalisationSettings.off
          Discount = 0.99
          Lambda = 0.95
          Objective =
            { ClipRange = 0.2
              ValueClip = ValueClip.Off
              ValueClipRange = 0.2
              ValueCoefficient = 0.5
              EntropyCoefficient = 0.0
              NormaliseAdvantages = true
              MaximumGradientNorm = Some 0.5
              TargetKl = None }
          Adam = { AdamSettings.usual 3e-4 with AdamEpsilon = 1e-5 }
          AnnealLearningRate = false }

    /// CleanRL's settings for continuous actions: normalised observations and rewards, clipped values (its factor 0.5 is that of
    /// half the squared error), a falling rate.
    let normalised: PpoConfig =
        { sb3 with
            Normalisation.NormaliseObservations = true
            Normalisation.NormaliseRewards = true
            Objective.ValueClip = ValueClip.Larger
            Objective.ValueCoefficient = 0.25
            AnnealLearningRate = true }

    /// InvertedPendulum-v4 in a minute.
    let quick: PpoConfig =
        { normalised with
            Rollout.Environments = 4
            Rollout.VectorSteps = 256
            Rollout.Minibatches = 16
            Adam.LearningRate = 1e-3 }

    /// Learns the contract's task in seconds.
    let tiny: PpoConfig =
        { normalised with
            Networks.Hidden = [ 32; 32 ]
            Rollout = { Environments = 16; VectorSteps = 16; Epochs = 4; Minibatches = 4 }
            Adam.LearningRate = 3e-3 }

    /// What is impossible in these settings, one sentence each; empty when they can be used.
    let problems (c: PpoConfig) : string list =
        [ Check.widths (nameof c.Networks.Hidden) c.Networks.Hidden
          Check.within (nameof c.Networks.InitialLogStd) -20.0 20.0 c.Networks.InitialLogStd
          RolloutSettings.problems c.Rollout
          NormalisationSettings.problems c.Normalisation
          Check.within (nameof c.Discount) 0.0 1.0 c.Discount
          Check.within (nameof c.Lambda) 0.0 1.0 c.Lambda
          PpoObjectiveSettings.problems c.Objective
          AdamSettings.problems c.Adam ]
        |> List.concat
