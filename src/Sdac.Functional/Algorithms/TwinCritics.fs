namespace Sdac.Functional

open System
open TorchSharp

/// Two critics with their moving averages and their optimisers.
[<NoComparison; NoEquality>]
type TwinCritics =
    { Q1: Params; Q2: Params; TargetQ1: Params; TargetQ2: Params; Q1Adam: AdamState; Q2Adam: AdamState }

/// What settings and sizes fix of twin critics.
[<NoComparison; NoEquality>]
type TwinCriticsModel =
    {
        Compute: Compute
        Net: QNetwork
        InitialWeights: InitialWeights
        Settings: CriticSettings
        TargetNoise: TargetNoiseSettings
        Adam: AdamSettings
        /// Answers in the networks' place, which then stay as they are: for benches of the policy's step alone
        Known: ActionValue option
    }

/// The critics that all off-policy algorithms share, so that a gain of one over another is the policy's.
[<RequireQualifiedAccess>]
module TwinCritics =
    /// The traversal of the critics.
    let parts: Parts<TwinCritics> =
        fun visit c ->
            { Q1 = visit.Params("q1", c.Q1)
              Q2 = visit.Params("q2", c.Q2)
              TargetQ1 = visit.Params("target_q1", c.TargetQ1)
              TargetQ2 = visit.Params("target_q2", c.TargetQ2)
              Q1Adam = visit.Adam("q1", c.Q1Adam)
              Q2Adam = visit.Adam("q2", c.Q2Adam) }

    let model
        (compute: Compute)
        (space: Space)
        (hidden: int list)
        (networks: NetworkSettings)
        (settings: CriticSettings)
        (targetNoise: TargetNoiseSettings)
        (adam: AdamSettings)
        : TwinCriticsModel =
        { Compute = compute
          Net = QNetwork.createWith space.ObsDim space.ActionDim (NetworkSettings.critic networks hidden)
          InitialWeights = networks.InitialWeights
          Settings = settings
          TargetNoise = targetNoise
          Adam = adam
          Known = None }

    /// Fresh critics, each from a key of its own; the targets start as copies. The caller owns the tensors.
    let init (model: TwinCriticsModel) (key1: Key) (key2: Key) : TwinCritics =
        let q1 = QNetwork.initWith model.InitialWeights model.Compute model.Net key1
        let q2 = QNetwork.initWith model.InitialWeights model.Compute model.Net key2

        { Q1 = q1
          Q2 = q2
          TargetQ1 = Params.copy q1
          TargetQ2 = Params.copy q2
          Q1Adam = Adam.init q1
          Q2Adam = Adam.init q2 }

    // ---- values

    let private reduced (model: TwinCriticsModel) (q1: Params) (q2: Params) (obs: Tensor) (actions: Tensor) =
        match model.Known, model.Settings.QReduction with
        | Some known, _ -> known.Values obs actions
        | None, QReduction.Minimum -> Critic.minQ model.Compute model.Net q1 q2 obs actions
        | None, QReduction.Mean ->
            let value q = QNetwork.forwardMany model.Compute model.Net q obs actions
            num 0.5 * (value q1 + value q2)

    /// The online critics' value. obs: [B, O], actions: [B, N, A] -> [B, N].
    let values (model: TwinCriticsModel) (c: TwinCritics) (obs: Tensor) (actions: Tensor) : Tensor =
        reduced model c.Q1 c.Q2 obs actions

    /// The moving averages' value. obs: [B, O], actions: [B, N, A] -> [B, N].
    let targetValues (model: TwinCriticsModel) (c: TwinCritics) (obs: Tensor) (actions: Tensor) : Tensor =
        reduced model c.TargetQ1 c.TargetQ2 obs actions

    /// The same of one action per state. action: [B, A] -> [B].
    let targetValue (model: TwinCriticsModel) (c: TwinCritics) (obs: Tensor) (action: Tensor) : Tensor =
        targetValues model c obs (action.unsqueeze 1L) |> Tensors.view [ Tensors.size 0 action ]

    /// The moving averages in the place of the critics, for what asks them about many actions a state.
    let averages (c: TwinCritics) : TwinCritics = { c with Q1 = c.TargetQ1; Q2 = c.TargetQ2 }

    // Rows of one pass of `actionGradients`: where libtorch makes it, their activations must not fill the memory (1,000 actions a
    // state are 256,000 rows).
    [<Literal>]
    let private RowsAtOnce = 16_384

    let private networkGradients (model: TwinCriticsModel) (c: TwinCritics) (obs: Tensor) (actions: Tensor) =
        let critic q = QNetwork.withSlopes model.Compute model.Net q obs actions
        let struct (value1, slope1) = critic c.Q1
        let struct (value2, slope2) = critic c.Q2

        match model.Settings.QReduction with
        | QReduction.Minimum ->
            let first = value1.le(value2).unsqueeze -1L
            struct (value1.minimum value2, torch.where (first, slope1, slope2))
        | QReduction.Mean ->
            let half = Scalars.ofFloat 0.5
            struct (half * (value1 + value2), half * (slope1 + slope2))

    /// The online critics' value of several actions per state, and its gradient with respect to each action. obs: [B, O],
    /// actions: [B, K, A] -> values [B, K] and gradients [B, K, A].
    let actionGradients
        (model: TwinCriticsModel)
        (c: TwinCritics)
        (obs: Tensor)
        (actions: Tensor)
        : struct (Tensor * Tensor) =
        Tensors.check "actions" [ Tensors.size 0 obs; -1; model.Net.ActionDim ] actions
        let batch = Tensors.size 0 actions
        let atOnce = max 1 (RowsAtOnce / Tensors.size 1 actions)

        let piece start =
            let rows (t: Tensor) = t.narrow (0L, int64 start, int64 (min atOnce (batch - start)))

            Tensors.scoped (fun struct (value, slope) -> [ value; slope ]) (fun () ->
                networkGradients model c (rows obs) (rows actions))

        match model.Known, [ 0..atOnce .. batch - 1 ] with
        | Some known, _ -> known.WithSlopes obs actions
        | None, [ all ] -> piece all
        | None, starts ->
            let pieces = List.map piece starts
            let values = pieces |> List.map (fun struct (value, _) -> value) |> Tensors.cat 0
            let slopes = pieces |> List.map (fun struct (_, slope) -> slope) |> Tensors.cat 0
            struct (values, slopes)

    /// The same for one action per state. action: [B, A] -> values [B] and gradients [B, A].
    let actionGradient
        (model: TwinCriticsModel)
        (c: TwinCritics)
        (obs: Tensor)
        (action: Tensor)
        : struct (Tensor * Tensor) =
        let struct (values, slopes) = actionGradients model c obs (action.unsqueeze 1L)
        struct (values.squeeze 1L, slopes.squeeze 1L)

    /// The online critics as data, for a policy that chooses by them.
    let form (model: TwinCriticsModel) (c: TwinCritics) : FormCritics =
        let network leaf = FormNetwork.layers leaf "layer" model.Net.Shape
        { Networks = [ network "q1" c.Q1; network "q2" c.Q2 ]; Reduction = model.Settings.QReduction }

    /// The moving averages as data.
    let averagesForm (model: TwinCriticsModel) (c: TwinCritics) : FormCritics =
        let network leaf = FormNetwork.layers leaf "layer" model.Net.Shape

        { Networks = [ network "target_q1" c.TargetQ1; network "target_q2" c.TargetQ2 ]
          Reduction = model.Settings.QReduction }

    /// The online critics as a policy's step asks them.
    let actionValue (model: TwinCriticsModel) (c: TwinCritics) : ActionValue =
        { Values = values model c; WithSlopes = actionGradients model c }

    /// Of each state's candidates, by these critics, the one with the largest value. candidates: [B·N, A], those of a state in a
    /// row -> [B, A].
    let best (model: TwinCriticsModel) (c: TwinCritics) (particles: int) (obs: Tensor) (candidates: Tensor) : Tensor =
        if particles = 1 then
            candidates
        else
            let actions = candidates |> Tensors.view [ -1; particles; model.Net.ActionDim ]
            (Diffusion.bestOf actions (values model c obs actions)).Action

    // ---- targets

    /// The key's noise for `smoothed`, of the given shape; none where the settings smooth nothing.
    let smoothingNoise (model: TwinCriticsModel) (shape: int list) (key: Key) : Tensor option =
        if model.TargetNoise.TargetNoise = 0.0 then
            None
        else
            Some(Key.normal model.Compute shape key)

    /// a' + clip(σ·noise, ±c), kept in the box; a' itself where the settings smooth nothing. noise: standard normal.
    let smoothed (model: TwinCriticsModel) (noise: Tensor option) (action: Tensor) : Tensor =
        match noise with
        | None -> action
        | Some noise ->
            let clip = Scalars.ofFloat model.TargetNoise.TargetNoiseClip
            let low = Scalars.ofFloat -model.TargetNoise.TargetNoiseClip
            let added = (num model.TargetNoise.TargetNoise * noise).clamp(low, clip)
            (action + added).clamp(num -1.0, num 1.0)

    /// y = r·scale + γ(1 - terminated)·v(s', a'), where `nextValue` [B] is v. [B].
    let target (model: TwinCriticsModel) (batch: Batch) (nextValue: Tensor) : Tensor =
        Critic.target model.Settings.Discount model.Settings.RewardScale batch.Reward batch.Terminated nextValue

    // ---- learning

    /// Raises InvalidOperationException where no stage has moved the critics before this one.
    let needMoved (stage: string) (before: TwinCritics) (after: TwinCritics) : unit =
        if obj.ReferenceEquals(after.Q1, before.Q1) then
            Stages.lacks stage "the critics' step" "evaluateQ"

    /// What `learn` tells.
    let figures = [ "q1Loss"; "q2Loss"; "q1Mean"; "q1GradientNorm"; "q2GradientNorm" ]

    let private lossAndGradient (model: TwinCriticsModel) (value: Tensor) (target: Tensor) =
        match model.Settings.HuberThreshold with
        | None -> struct (Critic.loss value target, Critic.gradient value target)
        | Some kappa -> struct (Critic.huberLoss kappa value target, Critic.huberGradient kappa value target)

    /// Loss, mean value and parameter gradient of one critic for given targets [B].
    let gradient
        (model: TwinCriticsModel)
        (q: Params)
        (batch: Batch)
        (target: Tensor)
        : struct (Tensor * Tensor * Tensor) =
        use vjp = QNetwork.vjp model.Compute model.Net q batch.Obs batch.Action
        let struct (loss, outputGradient) = lossAndGradient model vjp.Output target
        struct (loss, vjp.Output.mean (), vjp.PullbackParameters outputGradient)

    let private stepped (model: TwinCriticsModel) (gradient: Tensor) (q: Params) (optimiser: AdamState) =
        let adam = AdamSettings.ofSettings model.Adam

        Seq.replicate model.Settings.CriticSteps gradient
        |> Seq.fold
            (fun struct (q, optimiser) gradient ->
                Adam.step model.Compute adam model.Adam.LearningRate gradient q optimiser)
            struct (q, optimiser)

    /// Both critics' gradients, their norm at most `bound`: together, as those of one module, or each.
    let boundedGradients (together: bool) (bound: float) (first: Tensor) (second: Tensor) : struct (Tensor * Tensor) =
        if together then
            let both = ActionClimb.bounded bound (Tensors.cat 0 [ first; second ])
            let parts = both.split [| first.numel (); second.numel () |]
            struct (parts[0], parts[1])
        else
            struct (ActionClimb.bounded bound first, ActionClimb.bounded bound second)

    /// The critics after their Adam step towards the targets [B], their gradients as `bounded` makes them of the two, and
    /// `figures`, with the norms before that.
    let learnBounded
        (bounded: Tensor -> Tensor -> struct (Tensor * Tensor))
        (model: TwinCriticsModel)
        (batch: Batch)
        (target: Tensor)
        (c: TwinCritics)
        : struct (TwinCritics * Figures) =
        match model.Known with
        | Some _ ->
            struct ({ c with Q1 = Params.copy c.Q1; Q2 = Params.copy c.Q2 }, Map [ for name in figures -> name, 0.0 ])
        | None ->
            let struct (loss1, mean1, gradient1) = gradient model c.Q1 batch target
            let struct (loss2, _, gradient2) = gradient model c.Q2 batch target
            let struct (bounded1, bounded2) = bounded gradient1 gradient2
            let struct (q1, q1Adam) = stepped model bounded1 c.Q1 c.Q1Adam
            let struct (q2, q2Adam) = stepped model bounded2 c.Q2 c.Q2Adam

            let found =
                [ Tensors.scalar loss1
                  Tensors.scalar loss2
                  Tensors.scalar mean1
                  Tensors.norm gradient1
                  Tensors.norm gradient2 ]

            struct ({ c with Q1 = q1; Q1Adam = q1Adam; Q2 = q2; Q2Adam = q2Adam }, Map(List.zip figures found))

    /// The same with the gradients as they are.
    let learn: TwinCriticsModel -> Batch -> Tensor -> TwinCritics -> struct (TwinCritics * Figures) =
        learnBounded (fun first second -> struct (first, second))

    /// The moving averages follow the critics.
    let follow (model: TwinCriticsModel) (c: TwinCritics) : TwinCritics =
        let follow = Polyak.step model.Compute model.Settings.Tau

        { c with TargetQ1 = follow c.TargetQ1 c.Q1; TargetQ2 = follow c.TargetQ2 c.Q2 }

    /// What the figures are, for an algorithm's list.
    let figureInfos: FigureInfo list =
        [ { FigureInfo.finite "q1Loss" "the loss of critic 1" with Headline = Some "critic loss" }
          FigureInfo.finite "q2Loss" "the loss of critic 2"
          FigureInfo.plain "q1Mean" "the mean value of critic 1"
          FigureInfo.finite "q1GradientNorm" "the gradient of critic 1"
          FigureInfo.finite "q2GradientNorm" "the gradient of critic 2" ]
