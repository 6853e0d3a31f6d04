namespace Sdac.Functional

/// Both networks: a linear map to a width, blocks x + W₂·a(W₁·a(x) + b₁) + b₂, a linear map.
type DppoNetworkSettings =
    {
        /// Width of the policy's layers
        PolicyWidth: int
        /// Blocks of the policy, two layers each
        PolicyBlocks: int
        /// What precedes the linear maps of the policy's blocks
        PolicyActivation: HiddenActivation
        /// Width of the value's layers
        ValueWidth: int
        /// Blocks of the value, two layers each
        ValueBlocks: int
        /// What precedes the linear maps of the value's blocks
        ValueActivation: HiddenActivation
        /// How the weights of fresh networks are drawn
        InitialWeights: InitialWeights
    }

[<RequireQualifiedAccess>]
module DppoNetworkSettings =
    let problems (n: DppoNetworkSettings) : string list =
        [ Check.atLeast (nameof n.PolicyWidth) 1 n.PolicyWidth
          Check.atLeast (nameof n.PolicyBlocks) 1 n.PolicyBlocks
          Check.atLeast (nameof n.ValueWidth) 1 n.ValueWidth
          Check.atLeast (nameof n.ValueBlocks) 1 n.ValueBlocks ]
        |> List.concat

/// The objective of an update and its steps.
type DppoObjectiveSettings =
    {
        /// ε of the clipped ratio at the last denoising step, the least noisy one
        ClipRange: float
        /// ε at the first denoising step; the same as ClipRange: one ε for all
        ClipBase: float
        /// g of the growth between the two, (e^{g·u} - 1)/(e^g - 1) for u from 0 to 1
        ClipGrowth: float
        /// γ_d: an advantage counts γ_d^n at the step that n others follow
        DenoisingDiscount: float
        /// Advantages of a minibatch are given mean 0 and deviation 1
        NormaliseAdvantages: bool
        /// Factor of the mean squared error of the value in its loss
        ValueCoefficient: float
        /// The gradients of the policy and of the value are each shortened to this length; none: as they are
        MaximumGradientNorm: float option
        /// The round ends before a step at which the divergence from the policy that collected exceeds this; none: never
        TargetKl: float option
    }

[<RequireQualifiedAccess>]
module DppoObjectiveSettings =
    let problems (o: DppoObjectiveSettings) : string list =
        [ Check.positive (nameof o.ClipRange) o.ClipRange
          Check.positive (nameof o.ClipBase) o.ClipBase
          Check.within (nameof o.ClipGrowth) 1e-3 100.0 o.ClipGrowth
          Check.within (nameof o.DenoisingDiscount) 0.0 1.0 o.DenoisingDiscount
          Check.within (nameof o.ValueCoefficient) 0.0 1e6 o.ValueCoefficient
          Check.positive (nameof o.MaximumGradientNorm) (defaultArg o.MaximumGradientNorm 1.0)
          Check.positive (nameof o.TargetKl) (defaultArg o.TargetKl 1.0) ]
        |> List.concat

/// Every setting of DPPO.
type DppoConfig =
    {
        Networks: DppoNetworkSettings
        Chain: ChainSettings
        Denoising: DenoisingSettings
        /// Minibatches are dealt pairs of a transition and a denoising step
        Rollout: RolloutSettings
        Normalisation: NormalisationSettings
        /// Time limits count as terminations, as the authors' code has them on Gym's tasks
        TimeLimitsTerminate: bool
        /// γ, the discount of a step
        Discount: float
        /// λ of generalised advantage estimation
        Lambda: float
        Objective: DppoObjectiveSettings
        Adam: AdamSettings
        /// Rate of the policy by its updates; LearningRate is the value's
        PolicyRate: LearningRate
    }

[<RequireQualifiedAccess>]
module DppoConfig =
    /// The authors' settings for training from scratch. Their observations are mapped by the minimum and maximum of a data set;
    /// here they are normalised by running moments.
    let published: DppoConfig =
        { Networks =
            { PolicyWidth = 512
              PolicyBlocks = 1
              PolicyActivation = HiddenActivation.Relu
              ValueWidth = 256
              ValueBlocks = 1
              ValueActivation = HiddenActivation.Mish
              InitialWeights = InitialWeights.TorchUniform }
          Chain = { Timesteps = 10; BetaSchedule = BetaSchedule.Cosine; InitialNoiseScale = 1.0 }
          Denoising =
            { DeviationFloor = 0.1
              EvaluationFloor = 0.001
              NoiseClip = 3.0
              Likelihood = StepLikelihood.Mean
              LogDensityLow = -5.0
              LogDensityHigh = 2.0 }
          Rollout = { Environments = 10; VectorSteps = 1000; Epochs = 10; Minibatches = 20 }
          Normalisation = { NormalisationSettings.off with NormaliseObservations = true; NormaliseRewards = true }
          TimeLimitsTerminate = false
          Discount = 0.99
          Lambda = 0.95
          Objective =
            { ClipRange = 0.1
              ClipBase = 0.1
              ClipGrowth = 3.0
              DenoisingDiscount = 1.0
              NormaliseAdvantages = true
              ValueCoefficient = 0.25
              MaximumGradientNorm = None
              TargetKl = Some 1.0 }
          Adam = AdamSettings.usual 1e-3
          PolicyRate = LearningRate.Constant 1e-4 }

    /// HalfCheetah-v4 in less than half an hour.
    let laptop: DppoConfig =
        { published with
            Networks.PolicyWidth = 128
            Networks.ValueWidth = 128
            Rollout = { Environments = 4; VectorSteps = 512; Epochs = 10; Minibatches = 20 }
            PolicyRate = LearningRate.Constant 3e-4 }

    /// InvertedPendulum-v4 in a minute.
    let quick: DppoConfig =
        { published with
            Networks.PolicyWidth = 64
            Networks.ValueWidth = 64
            Chain.Timesteps = 5
            Rollout = { Environments = 4; VectorSteps = 256; Epochs = 10; Minibatches = 16 }
            PolicyRate = LearningRate.Constant 3e-4 }

    /// Learns the contract's task in seconds.
    let tiny: DppoConfig =
        { quick with
            Networks.PolicyWidth = 32
            Networks.ValueWidth = 32
            Chain.Timesteps = 4
            Rollout = { Environments = 16; VectorSteps = 16; Epochs = 4; Minibatches = 4 }
            PolicyRate = LearningRate.Constant 3e-3 }

    /// What is impossible in these settings, one sentence each; empty when they can be used.
    let problems (c: DppoConfig) : string list =
        [ DppoNetworkSettings.problems c.Networks
          ChainSettings.problems c.Chain
          DenoisingSteps.problems c.Denoising
          RolloutSettings.problemsOf
              c.Chain.Timesteps
              $"pairs of a transition and one of {c.Chain.Timesteps} denoising steps"
              c.Rollout
          NormalisationSettings.problems c.Normalisation
          Check.within (nameof c.Discount) 0.0 1.0 c.Discount
          Check.within (nameof c.Lambda) 0.0 1.0 c.Lambda
          DppoObjectiveSettings.problems c.Objective
          AdamSettings.problems c.Adam
          LearningRate.problems (nameof c.PolicyRate) c.PolicyRate ]
        |> List.concat
