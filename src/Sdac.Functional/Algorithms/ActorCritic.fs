namespace Sdac

open System
open TorchSharp

/// What the diffusion actor-critics have in common: best-of-N acting, the critics' step, the moving averages and the
/// temperature. The policy's gradient is each algorithm's own.
[<RequireQualifiedAccess>]
module ActorCritic =
    let private adam (model: ActorCriticModel) = AdamSettings.ofSettings model.Adam

    // ---- acting

    /// Best-of-N reverse sampling with exploration (design of `reverseSample`): `particles` actions per state by the
    /// given policy, the one with the largest min(Q1, Q2) kept, N(0, (scale)²) added. obs: [B, O] -> [B, A].
    let act
        (model: ActorCriticModel)
        (policy: Params)
        (state: ActorCriticState)
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
                    model.Diffusion.InitialNoiseScale
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

    /// Deviation of the exploration noise: NoiseScale·λ.
    let explorationScale (model: ActorCriticModel) (state: ActorCriticState) =
        model.Particles.NoiseScale * state.Temperature.Lambda

    /// The action sample of an update: the online policy, best of N, with exploration noise. obs: [B, O] -> [B, A].
    let sampleAction (model: ActorCriticModel) (state: ActorCriticState) (noise: SamplerNoise) (obs: Tensor) : Tensor =
        act model state.Policy state model.Particles.Particles (explorationScale model state) noise obs

    /// The same for the critics' targets, best of `TargetParticles`.
    let sampleTargetAction
        (model: ActorCriticModel)
        (state: ActorCriticState)
        (noise: SamplerNoise)
        (nextObs: Tensor)
        : Tensor =
        let particles = ParticleSettings.target model.Particles
        act model state.Policy state particles (explorationScale model state) noise nextObs

    // ---- an update

    /// Does this update move the policy and the targets?
    let movesPolicy (u: Update) = u.State.Updates % int64 u.Model.Policy.PolicyDelay = 0L

    /// Does it move λ?
    let movesTemperature (u: Update) = u.State.Updates % int64 u.Model.Temperature.TemperatureDelay = 0L

    let private criticFigures = [ "q1Loss"; "q2Loss"; "q1Mean"; "q1GradientNorm"; "q2GradientNorm" ]

    let private adding (pairs: (string * float) list) (figures: Figures) : Figures =
        List.fold (fun figures (name, value) -> Map.add name value figures) figures pairs

    /// The critics' targets y = r·scale + γ(1 - terminated)·min(Q1', Q2')(s', a'). [B].
    let criticTarget (model: ActorCriticModel) (state: ActorCriticState) (batch: Batch) (nextAction: Tensor) : Tensor =
        let actions = nextAction.unsqueeze 1L

        let next =
            Critic.minQ model.Compute model.Q state.TargetQ1 state.TargetQ2 batch.NextObs actions
            |> Tensors.view [ Tensors.size 0 nextAction ]

        Critic.target model.Critics.Discount model.Critics.RewardScale batch.Reward batch.Terminated next

    /// Loss, mean value and parameter gradient of one critic for given targets [B].
    let criticGradient
        (model: ActorCriticModel)
        (q: Params)
        (batch: Batch)
        (target: Tensor)
        : struct (Tensor * Tensor * Tensor) =
        use vjp = QNetwork.vjp model.Compute model.Q q batch.Obs batch.Action
        let gradient = vjp.PullbackParameters(Critic.gradient vjp.Output target)
        struct (Critic.loss vjp.Output target, vjp.Output.mean (), gradient)

    /// An update that has done nothing yet.
    let start (model: ActorCriticModel) (noise: UpdateNoise) (batch: Batch) (state: ActorCriticState) : Update =
        { Model = model
          Batch = batch
          Noise = noise
          State = state
          Next = state
          NextAction = None
          Action = None
          Weights = None
          Figures =
            Map
                [ for name in criticFigures do
                      yield name, nan
                  yield "lambda", state.Temperature.Lambda
                  yield "entropy", Temperature.entropy model.Space.ActionDim state.Temperature ] }

    /// Samples a' on next_obs and takes one Adam step of both critics towards the targets.
    let evaluateQ (u: Update) : Update =
        let model = u.Model
        let nextAction = sampleTargetAction model u.State u.Noise.Next u.Batch.NextObs
        let target = criticTarget model u.State u.Batch nextAction

        let learn q optimiser =
            let struct (loss, mean, gradient) = criticGradient model q u.Batch target

            let struct (q, optimiser) =
                Seq.replicate model.Critics.CriticSteps gradient
                |> Seq.fold
                    (fun struct (q, optimiser) gradient ->
                        Adam.step model.Compute (adam model) model.Adam.LearningRate gradient q optimiser)
                    struct (q, optimiser)

            struct (q, optimiser, Tensors.scalar loss, Tensors.scalar mean, Tensors.norm gradient)

        let struct (q1, q1Adam, loss1, mean1, norm1) = learn u.State.Q1 u.State.Q1Adam
        let struct (q2, q2Adam, loss2, _, norm2) = learn u.State.Q2 u.State.Q2Adam

        { u with
            Next = { u.Next with Q1 = q1; Q1Adam = q1Adam; Q2 = q2; Q2Adam = q2Adam }
            NextAction = Some nextAction
            Figures = u.Figures |> adding (List.zip criticFigures [ loss1; loss2; mean1; norm1; norm2 ]) }

    /// Samples the new action on obs, on the updates that move the policy.
    let reverseSample (u: Update) : Update =
        if movesPolicy u then
            { u with Action = Some(sampleAction u.Model u.State u.Noise.New u.Batch.Obs) }
        else
            u

    /// The critics' moving averages follow the (already updated) critics.
    let private moveTargets (model: ActorCriticModel) (state: ActorCriticState) : ActorCriticState =
        let follow = Polyak.step model.Compute model.Critics.Tau

        { state with TargetQ1 = follow state.TargetQ1 state.Q1; TargetQ2 = follow state.TargetQ2 state.Q2 }

    /// One Adam step of the policy, and the targets' moving averages.
    let movePolicy (p: PolicyGradient) (u: Update) : Update =
        let model = u.Model
        let rate = LearningRate.at u.State.PolicyAdam.Count (PolicySettings.rate model.Adam model.Policy)

        let struct (policy, optimiser, average) =
            Adam.stepFollowed
                model.Compute
                (adam model)
                rate
                p.Gradient
                u.State.Policy
                u.State.PolicyAdam
                model.Critics.Tau
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
            Figures =
                u.Figures
                |> adding
                    [ "policyLoss", Tensors.scalar p.Loss
                      "policyGradientNorm", Tensors.norm p.Gradient
                      "weightConcentration", Tensors.scalar (concentration.mean ()) ] }

    /// The temperature's step, on the updates that move it.
    let moveTemperature (u: Update) : Update =
        let c = u.Model.Temperature

        if movesTemperature u then
            { u with
                Next =
                    { u.Next with
                        Temperature =
                            Temperature.step
                                (adam u.Model)
                                c.TemperatureLearningRate
                                c.TargetEntropyPerDim
                                u.Model.Space.ActionDim
                                u.State.Temperature } }
        else
            u


    /// Has no stage trained the critics yet? One of the user's own that does so sets their figures too.
    let isWithoutCritics (u: Update) = obj.ReferenceEquals(u.Next.Q1, u.State.Q1) && Double.IsNaN u.Figures["q1Loss"]

    /// The state after the update.
    let finish (u: Update) : ActorCriticState = { u.Next with Updates = u.State.Updates + 1L }

    /// One update by given stages with given random numbers. The new state owns the tensors that it does not share with the
    /// old one.
    let updateBy
        (stages: Update -> Update)
        (model: ActorCriticModel)
        (noise: UpdateNoise)
        (batch: Batch)
        (state: ActorCriticState)
        : struct (ActorCriticState * Figures) =
        Tensors.owning (fun struct (next, _) -> Parts.tensorsNotIn ActorCriticState.parts state next) (fun () ->
            let u = start model noise batch state |> stages
            struct (finish u, u.Figures))
