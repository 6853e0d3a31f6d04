namespace Sdac.Functional

open TorchSharp

/// Twin critics that give the return's mean and deviation (DSAC-T).
type DistributionalSettings =
    {
        /// γ, the discount of a step
        Discount: float
        /// Rewards are multiplied by this in the targets
        RewardScale: float
        /// τ of the targets' moving averages
        Tau: float
        /// Rate of b, the running average of each critic's deviations
        SpreadRate: float
        /// Sampled targets count up to so many b from the critic's mean
        SpreadClip: float
        /// The normal numbers that targets are sampled with are clipped to ± this
        SampleClip: float
        /// Added to b², σ² and σ³ in the loss's weights, which would otherwise grow without bound as σ falls
        SpreadGuard: float
    }

[<RequireQualifiedAccess>]
module DistributionalSettings =
    /// DSAC-T's as DACER's authors have them: rewards times 0.2.
    let usual: DistributionalSettings =
        { Discount = 0.99
          RewardScale = 0.2
          Tau = 0.005
          SpreadRate = 0.005
          SpreadClip = 3.0
          SampleClip = 3.0
          SpreadGuard = 0.1 }

    let problems (c: DistributionalSettings) : string list =
        [ Check.within (nameof c.Discount) 0.0 1.0 c.Discount
          Check.positive (nameof c.RewardScale) c.RewardScale
          Check.within (nameof c.Tau) 0.0 1.0 c.Tau
          Check.within (nameof c.SpreadRate) 0.0 1.0 c.SpreadRate
          Check.positive (nameof c.SpreadClip) c.SpreadClip
          Check.positive (nameof c.SampleClip) c.SampleClip
          Check.positive (nameof c.SpreadGuard) c.SpreadGuard ]
        |> List.concat

/// One critic Z(s, a) = N(μ, σ²) with its moving average and its optimiser.
[<NoComparison; NoEquality>]
type DistributionalCritic =
    {
        Online: Params
        Target: Params
        Adam: AdamState
        /// b, the running average of σ over batches; 0 before the first update
        Spread: float
    }

/// Two of them.
[<NoComparison; NoEquality>]
type DistributionalCritics = { First: DistributionalCritic; Second: DistributionalCritic }

/// What settings and sizes fix of distributional critics.
[<NoComparison; NoEquality>]
type DistributionalCriticsModel =
    {
        Compute: Compute
        /// [obs | action] -> hidden layers -> μ and, through softplus, σ
        Shape: Sdac.Kernels.MlpShape
        /// The same network without its second output
        MeanNet: QNetwork
        InitialWeights: InitialWeights
        Settings: DistributionalSettings
        Adam: AdamSettings
        /// Answers in the networks' place, which then stay as they are: for benches of the policy's step alone
        Known: ActionValue option
    }

/// The critics' targets of a batch, [B] each.
[<NoComparison; NoEquality>]
type DistributionalTargets =
    {
        /// y = r·scale + γ(1 - terminated)·μ'
        Mean: Tensor
        /// y_z, the same with a sample of N(μ', σ'²) in the place of μ'
        Sampled: Tensor
    }

/// What a critic's loss is made of, [B] each.
[<NoComparison; NoEquality>]
type DistributionalLoss =
    {
        /// The loss of each row
        Rows: Tensor
        /// Its gradient with respect to μ
        ToMean: Tensor
        /// Its gradient with respect to σ
        ToDeviation: Tensor
    }

/// The distributional twin critic of DSAC-T (Duan et al. 2023, arXiv 2310.05858) without its entropy term, as DACER has it.
[<RequireQualifiedAccess>]
module DistributionalCritics =
    let private scalar = Scalars.ofFloat

    let private partsOf (name: string) : Parts<DistributionalCritic> =
        fun visit c ->
            { Online = visit.Params(name, c.Online)
              Target = visit.Params($"target_{name}", c.Target)
              Adam = visit.Adam(name, c.Adam)
              Spread = visit.Float($"{name}.spread", c.Spread) }

    /// The traversal of the critics.
    let parts: Parts<DistributionalCritics> =
        fun visit c -> { First = partsOf "q1" visit c.First; Second = partsOf "q2" visit c.Second }

    let model
        (compute: Compute)
        (space: Space)
        (hidden: int list)
        (networks: NetworkSettings)
        (settings: DistributionalSettings)
        (adam: AdamSettings)
        : DistributionalCriticsModel =
        let layers = NetworkSettings.critic networks hidden

        { Compute = compute
          Shape = HiddenLayers.shape (space.ObsDim + space.ActionDim) layers 2
          MeanNet = QNetwork.createWith space.ObsDim space.ActionDim layers
          InitialWeights = networks.InitialWeights
          Settings = settings
          Adam = adam
          Known = None }

    let private initOne (model: DistributionalCriticsModel) (key: Key) : DistributionalCritic =
        let online =
            InitialWeights.draw model.InitialWeights model.Shape key |> Mlp.parameters model.Compute model.Shape

        { Online = online; Target = Params.copy online; Adam = Adam.init online; Spread = 0.0 }

    /// Fresh critics, each from a key of its own; the targets start as copies. The caller owns the tensors.
    let init (model: DistributionalCriticsModel) (key1: Key) (key2: Key) : DistributionalCritics =
        { First = initOne model key1; Second = initOne model key2 }

    // ---- values

    // μ and σ [rows] from the network's two outputs [rows, 2].
    let private split (output: Tensor) : struct (Tensor * Tensor) =
        struct (output.select (1L, 0L), torch.nn.functional.softplus (output.select (1L, 1L)))

    /// μ and σ of one action per state. obs: [B, O], action: [B, A] -> [B] each.
    let distribution
        (model: DistributionalCriticsModel)
        (critic: Params)
        (obs: Tensor)
        (action: Tensor)
        : struct (Tensor * Tensor) =
        Mlp.forwardShared model.Compute model.Shape critic.Flat obs action |> split

    /// The parameters of `MeanNet`: those of the critic without the column and the bias of σ.
    let private meanOf (model: DistributionalCriticsModel) (critic: Params) : Params =
        let shape = model.Shape
        let last = shape.LayerCount - 1
        let weights = critic.Flat.narrow (0L, int64 (shape.WeightOffset last), int64 (2 * shape.Widths[last]))

        let flat =
            Tensors.cat
                0
                [ critic.Flat.narrow (0L, 0L, int64 (shape.WeightOffset last))
                  weights.view(-1L, 2L).select(1L, 0L)
                  critic.Flat.narrow (0L, int64 (shape.BiasOffset last), 1L) ]

        { Layout = Mlp.layout "layer" 0 model.MeanNet.Shape; Flat = flat }

    /// min(μ1, μ2) of the online critics. obs: [B, O], actions: [B, N, A] -> [B, N].
    let values (model: DistributionalCriticsModel) (c: DistributionalCritics) (obs: Tensor) (actions: Tensor) : Tensor =
        match model.Known with
        | Some known -> known.Values obs actions
        | None ->
            let mean (critic: DistributionalCritic) = meanOf model critic.Online
            Critic.minQ model.Compute model.MeanNet (mean c.First) (mean c.Second) obs actions

    /// The same with each action's gradient: [B, N] and [B, N, A].
    let actionGradients
        (model: DistributionalCriticsModel)
        (c: DistributionalCritics)
        (obs: Tensor)
        (actions: Tensor)
        : struct (Tensor * Tensor) =
        match model.Known with
        | Some known -> known.WithSlopes obs actions
        | None ->
            let critic (one: DistributionalCritic) =
                QNetwork.withSlopes model.Compute model.MeanNet (meanOf model one.Online) obs actions

            let struct (value1, slope1) = critic c.First
            let struct (value2, slope2) = critic c.Second
            let first = value1.le(value2).unsqueeze -1L
            struct (value1.minimum value2, torch.where (first, slope1, slope2))

    // ---- targets

    /// The targets by the moving averages: μ' and a sample μ' + σ'·clip(ξ, ±3), both of the critic whose mean is the smaller one
    /// for the row. nextAction: [B, A]; noise: ξ of each critic, standard normal, [B] each.
    let targets
        (model: DistributionalCriticsModel)
        (c: DistributionalCritics)
        (batch: Batch)
        (nextAction: Tensor)
        (noise: struct (Tensor * Tensor))
        : DistributionalTargets =
        let s = model.Settings
        let target = Critic.target s.Discount s.RewardScale batch.Reward batch.Terminated

        let drawn (critic: DistributionalCritic) (noise: Tensor) =
            let struct (mean, deviation) = distribution model critic.Target batch.NextObs nextAction
            let noise = noise.clamp (scalar -s.SampleClip, scalar s.SampleClip)
            struct (mean, mean + deviation * noise)

        let struct (noise1, noise2) = noise
        let struct (mean1, sample1) = drawn c.First noise1
        let struct (mean2, sample2) = drawn c.Second noise2

        { Mean = target (mean1.minimum mean2)
          Sampled = target (torch.where (mean1.le mean2, sample1, sample2)) }

    // ---- learning

    /// b after a batch of this mean deviation.
    let spread (settings: DistributionalSettings) (before: float) (batchMean: float) : float =
        if before = 0.0 then
            batchMean
        else
            settings.SpreadRate * batchMean + (1.0 - settings.SpreadRate) * before

    /// The loss of each row,
    /// -(b² + g)·[μ·(y - ⌊μ⌋)/(⌊σ⌋² + g) + σ·((⌊μ⌋ - ȳ_z)² - ⌊σ⌋²)/(⌊σ⌋³ + g)], ȳ_z = ⌊μ⌋ + clip(y_z - ⌊μ⌋, ±3b), where ⌊·⌋ is held
    /// constant: its gradient is that of DSAC-T's loss, its value is not. mean, deviation: [B]; b: the spread.
    let loss
        (settings: DistributionalSettings)
        (b: float)
        (targets: DistributionalTargets)
        (mean: Tensor)
        (deviation: Tensor)
        : DistributionalLoss =
        let guard, bound = scalar settings.SpreadGuard, settings.SpreadClip * b
        let scale = scalar -(b * b + settings.SpreadGuard)
        let variance = deviation.square ()
        let error = (targets.Sampled - mean).clamp(scalar -bound, scalar bound)
        let toMean = (targets.Mean - mean) / (variance + guard) * scale

        let toDeviation = (error.square () - variance) / (variance * deviation + guard) * scale

        { Rows = mean * toMean + deviation * toDeviation; ToMean = toMean; ToDeviation = toDeviation }

    /// Loss (the mean over the batch), mean μ, mean σ, the next b and the parameter gradient of one critic.
    let gradient
        (model: DistributionalCriticsModel)
        (c: DistributionalCritic)
        (batch: Batch)
        (targets: DistributionalTargets)
        : struct (Tensor * float * float * float * Tensor) =
        use vjp = Mlp.vjp model.Compute model.Shape c.Online.Flat (Tensors.cat 1 [ batch.Obs; batch.Action ])

        let struct (mean, deviation) = split vjp.Output
        let meanDeviation = Tensors.scalar (deviation.mean ())
        let b = spread model.Settings c.Spread meanDeviation
        let loss = loss model.Settings b targets mean deviation
        // dσ of softplus is the sigmoid of its argument
        let toRaw = loss.ToDeviation * (vjp.Output.select (1L, 1L)).sigmoid()
        let share = scalar (1.0 / float (Tensors.size 0 mean))
        let gradient = torch.stack([| loss.ToMean; toRaw |], 1L).mul share |> vjp.PullbackParameters
        struct (loss.Rows.mean (), Tensors.scalar (mean.mean ()), meanDeviation, b, gradient)

    /// What `learn` tells.
    let figures = [ "q1Loss"; "q2Loss"; "q1Mean"; "q1Deviation"; "q1GradientNorm"; "q2GradientNorm" ]

    /// The critics after one Adam step towards the targets, and `figures`. The moving averages stay.
    let learn
        (model: DistributionalCriticsModel)
        (batch: Batch)
        (targets: DistributionalTargets)
        (c: DistributionalCritics)
        : struct (DistributionalCritics * Figures) =
        match model.Known with
        | Some _ ->
            let same (one: DistributionalCritic) = { one with Online = Params.copy one.Online }

            struct ({ First = same c.First; Second = same c.Second }, Map [ for name in figures -> name, 0.0 ])
        | None ->
            let stepped (one: DistributionalCritic) =
                let struct (loss, mean, deviation, b, gradient) = gradient model one batch targets

                let struct (online, optimiser) =
                    Adam.step
                        model.Compute
                        (AdamSettings.ofSettings model.Adam)
                        model.Adam.LearningRate
                        gradient
                        one.Online
                        one.Adam

                { one with Online = online; Adam = optimiser; Spread = b },
                [ Tensors.scalar loss; mean; deviation; Tensors.norm gradient ]

            match stepped c.First, stepped c.Second with
            | (first, [ loss1; mean1; deviation1; norm1 ]), (second, [ loss2; _; _; norm2 ]) ->
                let found = [ loss1; loss2; mean1; deviation1; norm1; norm2 ]
                struct ({ First = first; Second = second }, Map(List.zip figures found))
            | _ -> invalidOp "a critic's step tells four figures"

    /// The moving averages follow the critics.
    let follow (model: DistributionalCriticsModel) (c: DistributionalCritics) : DistributionalCritics =
        let follow (one: DistributionalCritic) =
            { one with Target = Polyak.step model.Compute model.Settings.Tau one.Target one.Online }

        { First = follow c.First; Second = follow c.Second }

    /// What the figures are, for an algorithm's list.
    let figureInfos: FigureInfo list =
        [ { FigureInfo.finite "q1Loss" "the loss of critic 1" with Headline = Some "critic loss" }
          FigureInfo.finite "q2Loss" "the loss of critic 2"
          FigureInfo.plain "q1Mean" "the mean value of critic 1"
          FigureInfo.plain "q1Deviation" "the mean deviation of the returns by critic 1"
          FigureInfo.finite "q1GradientNorm" "the gradient of critic 1"
          FigureInfo.finite "q2GradientNorm" "the gradient of critic 2" ]
