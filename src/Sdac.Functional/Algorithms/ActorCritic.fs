namespace Sdac.Functional

open System
open TorchSharp

/// What the diffusion actor-critics have in common: best-of-N acting, the critics' step, the moving averages and the
/// temperature. The policy's gradient is each algorithm's own.
[<RequireQualifiedAccess>]
module ActorCritic =
    let private adam (model: ActorCriticModel) = AdamSettings.ofSettings model.Adam

    // ---- acting

    /// Candidates [B, N, A] by one chain a state and N draws of q̃_{0|t} around its action noised to t, moved into the box.
    let private oneStep (model: ActorCriticModel) (policy: Params) (t: int) (particles: int) (key: Key) (obs: Tensor) =
        let compute, schedule = model.Compute, model.Schedule
        let batch, actionDim = Tensors.size 0 obs, model.Space.ActionDim

        let action =
            Diffusion.sample
                compute
                schedule
                model.Noise
                policy
                model.Diffusion.InitialNoiseScale
                1
                (SamplerNoise.Drawn key)
                obs

        let times = Array.create batch t
        let forward = Key.normal compute [ batch; actionDim ] (Key.foldIn 1L key)
        let reverse = Key.normal compute [ batch; particles; actionDim ] (Key.foldIn 2L key)
        let noisy = Diffusion.noised compute schedule times (action.squeeze (Nullable 1L)) forward
        Rssm.draws compute schedule times noisy reverse

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
                match model.Particles.Candidates, sampleNoise with
                | Candidates.OneStep t, SamplerNoise.Drawn key when particles > 1 ->
                    oneStep model policy t particles key obs
                | _ ->
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

    /// The policy that acts in environments.
    let actor (model: ActorCriticModel) (state: ActorCriticState) : Params =
        match model.Policy.ActsBy with
        | ActingPolicy.Target -> state.TargetPolicy
        | ActingPolicy.Online -> state.Policy

    /// What acts in evaluations, as data.
    let form (model: ActorCriticModel) (state: ActorCriticState) : Result<PolicyForm, string> =
        let particles = ParticleSettings.evaluation model.Particles

        let leaf =
            match model.Policy.ActsBy with
            | ActingPolicy.Target -> "target_policy"
            | ActingPolicy.Online -> "policy"

        match model.Particles.Candidates with
        | Candidates.OneStep _ when particles > 1 ->
            Error
                "its candidates are draws around one chain's action (candidates is oneStep): take 1 particle, or train with candidates = chains"
        | _ ->
            let network, times =
                actor model state |> FormChain.noiseNetwork leaf model.Noise model.Schedule.Timesteps

            FormChain.reverse ReverseStep.Posterior model.Schedule model.Diffusion.InitialNoiseScale times network
            |> PolicyForm.chained
                model.Compute
                model.Space.ActionDim
                particles
                (Some(TwinCritics.form model.Critics state.Critics))
                PolicyForm.firstOf
            |> Ok

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

    /// Samples the new action on obs, on the updates that move the policy with it.
    let reverseSample (u: Update) : Update =
        if movesPolicy u && u.Model.Regression.Anchor = Anchor.Policy then
            { u with Action = Some(sampleAction u.Model u.State u.Noise.New u.Batch.Obs) }
        else
            u

    /// The policy after an Adam step, its optimiser, and the target policy.
    let private stepPolicy (model: ActorCriticModel) (s: ActorCriticState) (gradient: Tensor) =
        let compute, adam, moved = model.Compute, adam model, s.PolicyAdam.Count
        let rate = LearningRate.at moved (PolicySettings.rate model.Adam model.Policy)

        match model.Policy.PolicyCopies with
        | None ->
            let tau = model.Critics.Settings.Tau
            Adam.stepFollowed compute adam rate gradient s.Policy s.PolicyAdam tau s.TargetPolicy
        | Some every ->
            let struct (policy, optimiser) = Adam.step compute adam rate gradient s.Policy s.PolicyAdam
            let target = if moved % int64 every = 0L then Params.copy policy else s.TargetPolicy
            struct (policy, optimiser, target)

    /// The value that the weights of the policy's regression are made of, by the critics before their step.
    let weightValues (model: ActorCriticModel) (state: ActorCriticState) (obs: Tensor) (actions: Tensor) : Tensor =
        let critics =
            match model.Regression.WeightCritic with
            | Some reduction -> { model.Critics with Settings.QReduction = reduction }
            | None -> model.Critics

        TwinCritics.values critics state.Critics obs actions

    /// One Adam step of the policy, and the targets' moving averages.
    let movePolicy (p: PolicyGradient) (u: Update) : Update =
        let model = u.Model
        let struct (policy, optimiser, target) = stepPolicy model u.State p.Gradient

        let perState = if Tensors.size 1 p.Weights > 1 then p.Weights else p.Weights.view (1L, -1L)
        let concentration = perState.amax [| 1L |] / perState.mean [| 1L |]

        { u with
            Next =
                { u.Next with
                    Policy = policy
                    PolicyAdam = optimiser
                    TargetPolicy = target
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

        let moved (gradient: float) =
            let temperature =
                Temperature.descend (adam u.Model) c.TemperatureLearningRate gradient u.State.Temperature

            { u with Next = { u.Next with Temperature = temperature } }

        match u.Model.Tuning, u.Weights with
        | _ when not (movesTemperature u) -> u
        | TemperatureTuning.Entropy, _ ->
            moved (Temperature.gradient c.TargetEntropyPerDim u.Model.Space.ActionDim u.State.Temperature)
        | TemperatureTuning.Divergence target, Some weights ->
            let found = Temperature.divergence (Tensors.size 1 weights) (Tensors.toArray weights)
            moved (Temperature.divergenceGradient target found u.State.Temperature)
        | TemperatureTuning.Divergence _, None -> u

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
