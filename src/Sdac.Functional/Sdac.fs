namespace Sdac

open System
open System.Collections.Generic
open TorchSharp

/// The networks and coefficients that settings and sizes fix once and for all.
[<NoComparison; NoEquality>]
type Model =
    { Config: Config
      Compute: Compute
      ObsDim: int
      ActionDim: int
      Schedule: Schedule
      Noise: NoiseNetwork
      Q: QNetwork }

/// Everything that training changes. Immutable: an update makes a new one. The tensors belong to whoever holds the
/// state; `TrainState.dispose` frees them.
[<NoComparison; NoEquality>]
type TrainState =
    {
        Policy: Params
        /// Moving average of the policy: it acts in the environment and is evaluated
        TargetPolicy: Params
        Q1: Params
        Q2: Params
        TargetQ1: Params
        TargetQ2: Params
        PolicyAdam: AdamState
        Q1Adam: AdamState
        Q2Adam: AdamState
        Temperature: Temperature
        /// Running averages of Q; they stay as they are where the settings do not normalise Q
        Values: RunningValues
        /// The energy that raw weights are measured from; 0 until an energy exceeds 30
        EnergyShift: EnergyShift
        /// Updates done
        Updates: int64
    }

/// What an update tells about itself.
type Metrics =
    {
        Q1Loss: float
        Q2Loss: float
        Q1Mean: float
        /// Euclidean norms of the parameter gradients
        Q1GradientNorm: float
        Q2GradientNorm: float
        /// None where the policy was not moved
        PolicyLoss: float option
        PolicyGradientNorm: float option
        /// The largest weight of a state over its mean weight, averaged over states: 1 where all draws weigh the same. With
        /// one draw per state the largest weight of the batch over its mean weight. None where the policy was not moved
        WeightConcentration: float option
        Lambda: float
        Entropy: float
    }

[<RequireQualifiedAccess>]
module Metrics =
    /// The first loss or gradient that is NaN or infinite, by name.
    let firstNotFinite (m: Metrics) : (string * float) option =
        [ "the loss of critic 1", Some m.Q1Loss
          "the loss of critic 2", Some m.Q2Loss
          "the gradient of critic 1", Some m.Q1GradientNorm
          "the gradient of critic 2", Some m.Q2GradientNorm
          "the policy loss", m.PolicyLoss
          "the gradient of the policy", m.PolicyGradientNorm ]
        |> List.tryPick (fun (name, value) ->
            value |> Option.filter (System.Double.IsFinite >> not) |> Option.map (fun v -> name, v))

/// All random numbers of one update.
[<NoComparison; NoEquality>]
type UpdateNoise =
    {
        /// For a' on next_obs
        Next: SamplerNoise
        /// For the new action on obs
        New: SamplerNoise
        /// Timesteps of the RSSM rows, [B]
        Timesteps: int[]
        /// Forward noise z of a_t, [B, A]
        Forward: Tensor
        /// Standard normal reverse noise ε_k, or the uniform numbers on [0, 1) that truncated-normal noise is made of,
        /// [B, K, A]; DPMD has none, K = 0
        Reverse: Tensor
    }

/// An update under way: what it started from and what it has made so far. All losses and gradients use `State`, the
/// parameters before the step; what they change goes into `Next`.
[<NoComparison; NoEquality>]
type Update =
    {
        Model: Model
        Batch: Batch
        Noise: UpdateNoise
        State: TrainState
        Next: TrainState
        /// a' on next_obs, [B, A]; None until `evaluateQ`
        NextAction: Tensor option
        /// The new action on obs, [B, A]; None until `reverseSample`, and on updates that do not move the policy
        Action: Tensor option
        /// The weights of the reverse draws, [B, K], or of DPMD's actions, [B, 1]; None until the policy is moved
        Weights: Tensor option
        Metrics: Metrics
    }

/// What a policy step needs: the loss, the weights [B, K] in it, and its gradient with respect to the policy's parameters.
[<NoComparison; NoEquality>]
type PolicyGradient =
    {
        Loss: Tensor
        Weights: Tensor
        Gradient: Tensor
        /// The running averages of Q with this batch's values
        Values: RunningValues
        /// The shift of raw weights that the next batch finds
        EnergyShift: EnergyShift
    }

[<RequireQualifiedAccess>]
module Model =
    /// Raises ArgumentException naming all impossible settings.
    let create (compute: Compute) (obsDim: int) (actionDim: int) (config: Config) : Model =
        let config = Config.validate config

        { Config = config
          Compute = compute
          ObsDim = obsDim
          ActionDim = actionDim
          Schedule = Schedule.create config.BetaSchedule config.Timesteps
          Noise = NoiseNetwork.create obsDim actionDim config.TimeDim config.TimeHidden config.Hidden
          Q = QNetwork.create obsDim actionDim config.Hidden }

    /// Raises InvalidOperationException in a stage of another algorithm than the settings name.
    let internal require (algorithm: Algorithm) (stage: string) (model: Model) =
        if model.Config.Algorithm <> algorithm then
            invalidOp
                $"the stage {stage} belongs to {algorithm}, but the settings say Algorithm = {model.Config.Algorithm}: take that algorithm's stages (Pipeline.ofAlgorithm), or change the settings with Config.withAlgorithm"

    let adam (model: Model) : AdamConfig =
        { Beta1 = model.Config.AdamBeta1
          Beta2 = model.Config.AdamBeta2
          Epsilon = model.Config.AdamEpsilon }

[<RequireQualifiedAccess>]
module TrainState =
    /// Every tensor of the state.
    let tensors (s: TrainState) : Tensor list =
        [ for p in [ s.Policy; s.TargetPolicy; s.Q1; s.Q2; s.TargetQ1; s.TargetQ2 ] -> p.Flat
          for a in [ s.PolicyAdam; s.Q1Adam; s.Q2Adam ] do
              yield a.M
              yield a.V ]

    /// Fresh networks; the targets start as copies. The caller owns the tensors.
    let init (model: Model) (key: Key) : TrainState =
        let keys = Key.splitMany 3 key

        Tensors.owning tensors (fun () ->
            let policy = NoiseNetwork.init model.Compute model.Noise keys[0]
            let q1 = QNetwork.init model.Compute model.Q keys[1]
            let q2 = QNetwork.init model.Compute model.Q keys[2]

            { Policy = policy
              TargetPolicy = Params.copy policy
              Q1 = q1
              Q2 = q2
              TargetQ1 = Params.copy q1
              TargetQ2 = Params.copy q2
              PolicyAdam = Adam.init policy
              Q1Adam = Adam.init q1
              Q2Adam = Adam.init q2
              Temperature = Temperature.init model.Config.InitialTemperature
              Values = RunningValues.init
              EnergyShift = EnergyShift.init
              Updates = 0L })

    /// The tensors of `s` that `other` does not hold. Parts that an update leaves alone are shared by both states.
    let tensorsNotIn (other: TrainState) (s: TrainState) : Tensor list =
        let shared = HashSet<Tensor>(tensors other, HashIdentity.Reference)
        tensors s |> List.filter (fun t -> not (shared.Contains t))

    /// Frees what `old` holds and `current` does not.
    let disposeReplaced (current: TrainState) (old: TrainState) =
        for t in tensorsNotIn current old do
            t.Dispose()

    /// Frees a state's tensors.
    let dispose (s: TrainState) =
        for t in tensors s do
            t.Dispose()

[<RequireQualifiedAccess>]
module UpdateNoise =
    /// All random numbers of one update; each kind has a key of its own.
    let draw (model: Model) (batchSize: int) (key: Key) : UpdateNoise =
        let c, compute = model.Config, model.Compute
        let keys = Key.splitMany 5 key

        let draws =
            match c.Algorithm with
            | Algorithm.Sdac -> c.MonteCarloDraws
            | Algorithm.Dpmd -> 0

        let forward = [ batchSize; model.ActionDim ], keys[3]
        let reverse = [ batchSize; draws; model.ActionDim ], keys[4]

        // The kernels draw the samplers' numbers while they sample. On a GPU, where each operation costs its start, all of
        // the update's normal numbers are made in one pass.
        let sampler particles key =
            if compute.Kernels then
                []
            else
                SamplerNoise.streams c.Timesteps batchSize particles model.ActionDim key

        let sampled = sampler (Config.targetParticles c) keys[0] @ sampler c.Particles keys[1]

        let reverseNormal =
            match c.ReverseNoise with
            | TruncatedNormal -> []
            | Clipped
            | Unbounded -> [ reverse ]

        let drawn = Key.normals compute (forward :: sampled @ reverseNormal) |> List.toArray
        let given first = Given(drawn[first], drawn[first + 1], drawn[first + 2])

        { Next = if compute.Kernels then Drawn keys[0] else given 1
          New = if compute.Kernels then Drawn keys[1] else given 4
          Timesteps = Key.integers c.Timesteps batchSize keys[2]
          Forward = drawn[0]
          Reverse =
            match reverseNormal with
            | [] -> reverse ||> Key.uniform compute
            | _ -> Array.last drawn }

/// SDAC (Soft Diffusion Actor-Critic): the three parts of an update, each usable alone, and their composition.
[<RequireQualifiedAccess>]
module Sdac =
    /// Does the `step`-th update (from 0) move the policy and the targets?
    let movesPolicy (config: Config) (step: int64) = step % int64 config.PolicyDelay = 0L

    /// True for the updates that move λ.
    let movesTemperature (config: Config) (step: int64) = step % int64 config.TemperatureDelay = 0L

    /// The policy's learning rate after `updates` policy updates.
    let policyRate (c: Config) =
        LinearDecay(c.LearningRate, c.PolicyLearningRateEnd, c.PolicyDecayBegin, c.PolicyDecayLength)

    /// Best-of-N reverse sampling with exploration (design of `reverseSample`): `particles` actions per state by the
    /// given policy, the one with the largest min(Q1, Q2) kept, N(0, (scale)²) added. obs: [B, O] -> [B, A].
    let act
        (model: Model)
        (policy: Params)
        (state: TrainState)
        (particles: int)
        (explorationScale: float)
        (noise: SamplerNoise)
        (obs: Tensor)
        : Tensor =
        let struct (sampleNoise, exploreNoise) = SamplerNoise.split noise

        Tensors.scoped List.singleton (fun () ->
            let actions =
                Diffusion.sample
                    model.Compute
                    model.Schedule
                    model.Noise
                    policy
                    model.Config.InitialNoiseScale
                    particles
                    sampleNoise
                    obs

            let best =
                if particles = 1 then
                    actions.squeeze (Nullable 1L)
                else
                    let values = Critic.minQ model.Compute model.Q state.Q1 state.Q2 obs actions
                    (Diffusion.bestOf actions values).Action

            if explorationScale = 0.0 then
                best.clone ()
            else
                Diffusion.explore model.Compute explorationScale exploreNoise best)

    let private explorationScale (model: Model) (state: TrainState) = model.Config.NoiseScale * state.Temperature.Lambda

    /// The action sample of an update: the online policy, best of N, with exploration noise. obs: [B, O] -> [B, A].
    let sampleAction (model: Model) (state: TrainState) (noise: SamplerNoise) (obs: Tensor) : Tensor =
        act model state.Policy state model.Config.Particles (explorationScale model state) noise obs

    /// The same for the critics' targets, best of `TargetParticles`.
    let sampleTargetAction (model: Model) (state: TrainState) (noise: SamplerNoise) (nextObs: Tensor) : Tensor =
        let particles = Config.targetParticles model.Config
        act model state.Policy state particles (explorationScale model state) noise nextObs

    /// The critics' targets y = r·scale + γ(1 - terminated)·min(Q1', Q2')(s', a'). [B].
    let criticTarget (model: Model) (state: TrainState) (batch: Batch) (nextAction: Tensor) : Tensor =
        let actions = nextAction.unsqueeze 1L

        let next =
            Critic.minQ model.Compute model.Q state.TargetQ1 state.TargetQ2 batch.NextObs actions
            |> Tensors.view [ Tensors.size 0 nextAction ]

        Critic.target model.Config.Discount model.Config.RewardScale batch.Reward batch.Terminated next

    /// Loss, mean value and parameter gradient of one critic for given targets [B].
    let criticGradient (model: Model) (q: Params) (batch: Batch) (target: Tensor) : struct (Tensor * Tensor * Tensor) =
        use vjp = QNetwork.vjp model.Compute model.Q q batch.Obs batch.Action
        let gradient = vjp.PullbackParameters(Critic.gradient vjp.Output target)
        struct (Critic.loss vjp.Output target, vjp.Output.mean (), gradient)

    /// The noise ε_k of the K draws of each state, and what it adds to the energies of raw weights: the logarithm of the share
    /// of q̃_{0|t} that was kept (self-normalised weights do not see it).
    let private reverseNoise (model: Model) (noise: UpdateNoise) (noisy: Tensor) =
        match model.Config.ReverseNoise, model.Config.Weights with
        | (Clipped | Unbounded), _ -> struct (noise.Reverse, id)
        | TruncatedNormal, weights ->
            let struct (reverse, logShare) =
                Rssm.truncatedNoise model.Compute model.Schedule noise.Timesteps noisy noise.Reverse

            match weights with
            | Raw -> struct (reverse, (fun (energy: Tensor) -> energy.add logShare))
            | SelfNormalised -> struct (reverse, id)

    /// The RSSM loss of actions a ~ policy and its gradient. The forward noising of `action` is the sampling distribution
    /// p̃_t of the theorem.
    let rssmGradient (model: Model) (state: TrainState) (noise: UpdateNoise) (obs: Tensor) (action: Tensor) =
        let compute, schedule, t = model.Compute, model.Schedule, noise.Timesteps
        let noisy = Diffusion.noised compute schedule t action noise.Forward
        let struct (reverse, restricted) = reverseNoise model noise noisy
        let draws = Rssm.cleanDraws model.Config.ReverseNoise compute schedule t noisy reverse
        let q = Critic.minQ compute model.Q state.Q1 state.Q2 obs draws
        let energy = Energy.ofValues model.Config state.Values state.Temperature.Lambda q |> restricted
        let struct (weights, shift) = Energy.weights model.Config.Weights state.EnergyShift energy
        use vjp = NoiseNetwork.vjp compute model.Noise state.Policy obs noisy t
        let loss = Rssm.loss vjp.Output reverse weights
        let struct (gradient, _) = vjp.Pullback(Rssm.gradient vjp.Output reverse weights)

        { Loss = loss
          Weights = weights
          Gradient = gradient
          Values = RunningValues.follow model.Config q state.Values
          EnergyShift = shift }

    /// An update that has done nothing yet.
    let start (model: Model) (noise: UpdateNoise) (batch: Batch) (state: TrainState) : Update =
        { Model = model
          Batch = batch
          Noise = noise
          State = state
          Next = state
          NextAction = None
          Action = None
          Weights = None
          Metrics =
            { Q1Loss = nan
              Q2Loss = nan
              Q1Mean = nan
              Q1GradientNorm = nan
              Q2GradientNorm = nan
              PolicyLoss = None
              PolicyGradientNorm = None
              WeightConcentration = None
              Lambda = state.Temperature.Lambda
              Entropy = Temperature.entropy model.ActionDim state.Temperature } }

    /// Samples a' on next_obs and takes one Adam step of both critics towards the targets.
    let evaluateQ (u: Update) : Update =
        let model = u.Model
        let nextAction = sampleTargetAction model u.State u.Noise.Next u.Batch.NextObs
        let target = criticTarget model u.State u.Batch nextAction

        let learn q optimiser =
            let struct (loss, mean, gradient) = criticGradient model q u.Batch target

            let struct (q, optimiser) =
                Seq.replicate model.Config.CriticSteps gradient
                |> Seq.fold
                    (fun struct (q, optimiser) gradient ->
                        Adam.step model.Compute (Model.adam model) model.Config.LearningRate gradient q optimiser)
                    struct (q, optimiser)

            struct (q, optimiser, Tensors.scalar loss, Tensors.scalar mean, Tensors.norm gradient)

        let struct (q1, q1Adam, loss1, mean1, norm1) = learn u.State.Q1 u.State.Q1Adam
        let struct (q2, q2Adam, loss2, _, norm2) = learn u.State.Q2 u.State.Q2Adam

        { u with
            Next = { u.Next with Q1 = q1; Q1Adam = q1Adam; Q2 = q2; Q2Adam = q2Adam }
            NextAction = Some nextAction
            Metrics =
                { u.Metrics with
                    Q1Loss = loss1
                    Q2Loss = loss2
                    Q1Mean = mean1
                    Q1GradientNorm = norm1
                    Q2GradientNorm = norm2 } }

    /// Samples the new action on obs, on the updates that move the policy.
    let reverseSample (u: Update) : Update =
        if movesPolicy u.Model.Config u.State.Updates then
            { u with Action = Some(sampleAction u.Model u.State u.Noise.New u.Batch.Obs) }
        else
            u

    /// The critics' moving averages follow the (already updated) critics.
    let private moveTargets (model: Model) (state: TrainState) : TrainState =
        let follow = Polyak.step model.Compute model.Config.Tau

        { state with TargetQ1 = follow state.TargetQ1 state.Q1; TargetQ2 = follow state.TargetQ2 state.Q2 }

    /// One Adam step of the policy, and the targets' moving averages.
    let movePolicy (p: PolicyGradient) (u: Update) : Update =
        let model = u.Model
        let rate = LearningRate.at u.State.PolicyAdam.Count (policyRate model.Config)

        let struct (policy, optimiser, average) =
            Adam.stepFollowed
                model.Compute
                (Model.adam model)
                rate
                p.Gradient
                u.State.Policy
                u.State.PolicyAdam
                model.Config.Tau
                u.State.TargetPolicy

        let perState = if Tensors.size 1 p.Weights > 1 then p.Weights else p.Weights.view (1L, -1L)
        let concentration = perState.amax([| 1L |]).div(perState.mean [| 1L |])

        { u with
            Next =
                moveTargets
                    model
                    { u.Next with
                        Policy = policy
                        PolicyAdam = optimiser
                        TargetPolicy = average
                        Values = p.Values
                        EnergyShift = p.EnergyShift }
            Weights = Some p.Weights
            Metrics =
                { u.Metrics with
                    PolicyLoss = Some(Tensors.scalar p.Loss)
                    PolicyGradientNorm = Some(Tensors.norm p.Gradient)
                    WeightConcentration = Some(Tensors.scalar (concentration.mean ())) } }

    /// The temperature's step, on the updates that move it.
    let moveTemperature (u: Update) : Update =
        let c = u.Model.Config

        if movesTemperature c u.State.Updates then
            { u with
                Next =
                    { u.Next with
                        Temperature =
                            Temperature.step
                                (Model.adam u.Model)
                                c.TemperatureLearningRate
                                c.TargetEntropyPerDim
                                u.Model.ActionDim
                                u.State.Temperature } }
        else
            u

    /// The RSSM step of the policy and the targets' moving averages, where an action was sampled; the temperature's step
    /// when it is due.
    let rssmUpdate (u: Update) : Update =
        Model.require Algorithm.Sdac "rssmUpdate" u.Model

        match u.Action with
        | Some action -> movePolicy (rssmGradient u.Model u.State u.Noise u.Batch.Obs action) u
        | None -> u
        |> moveTemperature

    /// The state after the update. The tensors that it does not share with the state before belong to the caller.
    let finish (u: Update) : TrainState = { u.Next with Updates = u.State.Updates + 1L }

    /// One update by given stages with given random numbers. The new state owns the tensors that it does not share with the
    /// old one.
    let updateBy
        (stages: Update -> Update)
        (model: Model)
        (noise: UpdateNoise)
        (batch: Batch)
        (state: TrainState)
        : struct (TrainState * Metrics) =
        Tensors.owning (fun struct (next, _) -> TrainState.tensorsNotIn state next) (fun () ->
            let u = start model noise batch state |> stages
            struct (finish u, u.Metrics))

    /// One update of SDAC with given random numbers.
    let updateWith: Model -> UpdateNoise -> Batch -> TrainState -> struct (TrainState * Metrics) =
        updateBy (evaluateQ >> reverseSample >> rssmUpdate)

    /// One update of SDAC. The same arguments give the same bits; no argument is changed. The new state owns the tensors that
    /// it does not share with the old one.
    let update (model: Model) (key: Key) (batch: Batch) (state: TrainState) : struct (TrainState * Metrics) =
        use scope = torch.NewDisposeScope()
        let noise = UpdateNoise.draw model (Tensors.size 0 batch.Obs) key
        updateWith model noise batch state
