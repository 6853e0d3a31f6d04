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
                    let values = TwinCritics.values model.Critics state.Critics obs actions
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

    let private adding (pairs: (string * float) list) (figures: Figures) : Figures =
        List.fold (fun figures (name, value) -> Map.add name value figures) figures pairs

    /// The critics' targets y = r·scale + γ(1 - terminated)·v(s', a') by the critics' moving averages. [B].
    let criticTarget (model: ActorCriticModel) (state: ActorCriticState) (batch: Batch) (nextAction: Tensor) : Tensor =
        TwinCritics.targetValue model.Critics state.Critics batch.NextObs nextAction
        |> TwinCritics.target model.Critics batch

    /// log π(a'|s') of the online policy; None where the settings ask for none. nextAction: [B, A] -> [B].
    let nextLogProbability (u: Update) (nextAction: Tensor) : Tensor option =
        let model = u.Model

        if model.Likelihood.LogProbability = LogProbabilityForm.Off then
            None
        else
            let policy =
                PolicyNoise.ofNoiseNetwork
                    model.Compute
                    model.Noise
                    u.State.Policy
                    model.Diffusion.Timesteps
                    u.Batch.NextObs

            LogProbability.ofActions
                model.Likelihood
                model.Compute
                model.Schedule
                policy
                u.Noise.LogProbability
                nextAction

    /// `criticTarget` with the policy's entropy, r·scale + γ(1 - terminated)·(v(s', a') - λ/QScale·log π(a'|s')): the policy aims at
    /// exp(QScale·Q/λ), so that λ/QScale is the temperature beside Q. [B].
    let softTarget
        (model: ActorCriticModel)
        (state: ActorCriticState)
        (batch: Batch)
        (nextAction: Tensor)
        (logProbability: Tensor)
        : Tensor =
        let temperature = state.Temperature.Lambda / model.Energy.QScale

        (TwinCritics.targetValue model.Critics state.Critics batch.NextObs nextAction)
            .add(logProbability, Scalars.ofFloat -temperature)
        |> TwinCritics.target model.Critics batch

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
                [ for name in TwinCritics.figures do
                      yield name, nan
                  yield "lambda", state.Temperature.Lambda
                  yield "entropy", Temperature.entropy model.Space.ActionDim state.Temperature ] }

    /// Samples a' on next_obs and takes one Adam step of both critics towards the targets. Where these have a log-probability, the
    /// figure of the policy's entropy is its mean, and not the temperature's guess.
    let evaluateQ (u: Update) : Update =
        let model, critics = u.Model, u.Model.Critics

        let nextAction =
            sampleTargetAction model u.State u.Noise.Next u.Batch.NextObs
            |> TwinCritics.smoothed critics u.Noise.Smoothing

        let struct (target, entropy) =
            match nextLogProbability u nextAction with
            | None -> struct (criticTarget model u.State u.Batch nextAction, [])
            | Some logProbability ->
                struct (softTarget model u.State u.Batch nextAction logProbability,
                        [ "entropy", -(Tensors.scalar (logProbability.mean ())) ])

        let struct (learned, figures) = TwinCritics.learn critics u.Batch target u.State.Critics

        { u with
            Next = { u.Next with Critics = learned }
            NextAction = Some nextAction
            Figures = u.Figures |> adding (Map.toList figures) |> adding entropy }

    /// Samples the new action on obs, on the updates that move the policy.
    let reverseSample (u: Update) : Update =
        if movesPolicy u then
            { u with Action = Some(sampleAction u.Model u.State u.Noise.New u.Batch.Obs) }
        else
            u

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
                model.Critics.Settings.Tau
                u.State.TargetPolicy

        let perState = if Tensors.size 1 p.Weights > 1 then p.Weights else p.Weights.view (1L, -1L)
        let concentration = perState.amax([| 1L |]).div(perState.mean [| 1L |])

        { u with
            Next =
                { u.Next with
                    Policy = policy
                    PolicyAdam = optimiser
                    TargetPolicy = average
                    Critics = TwinCritics.follow model.Critics u.Next.Critics
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
    let isWithoutCritics (u: Update) =
        obj.ReferenceEquals(u.Next.Critics.Q1, u.State.Critics.Q1) && Double.IsNaN u.Figures["q1Loss"]

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
