namespace Sdac.Functional

open System
open TorchSharp

/// Every setting of DPMD.
type DpmdConfig =
    {
        /// Widths of the hidden layers of all networks; none: linear networks
        Hidden: int list
        /// Widths of the critics' hidden layers; none: `Hidden`
        CriticHidden: int list option
        Networks: NetworkSettings
        /// What follows the linear maps of the critics' hidden layers; none: as in the policy
        CriticActivation: HiddenActivation option
        Data: DataSettings
        Diffusion: DiffusionSettings
        Particles: ParticleSettings
        Mirror: MirrorSettings
        Regression: RegressionSettings
        Energy: EnergySettings
        Critics: CriticSettings
        TargetNoise: TargetNoiseSettings
        Adam: AdamSettings
        Policy: PolicySettings
        Temperature: TemperatureSettings
        /// What λ is moved towards
        Tuning: TemperatureTuning
    }

[<RequireQualifiedAccess>]
module DpmdConfig =
    /// What SDAC's settings are for DPMD: all that they share, with the β schedule, the energies and the actions that were
    /// published with DPMD.
    let ofSdac (c: SdacConfig) : DpmdConfig =
        { Hidden = c.Hidden
          CriticHidden = c.CriticHidden
          Networks = c.Networks
          CriticActivation = c.CriticActivation
          Data = c.Data
          Diffusion = { c.Diffusion with BetaSchedule = BetaSchedule.Linear 0.3 }
          Particles = c.Particles
          Mirror = MirrorSettings.published
          Regression = RegressionSettings.from Anchor.TargetAction
          Energy = { c.Energy with QScale = 1.0; QNormalisation = QNormalisation.Running }
          Critics = c.Critics
          TargetNoise = c.TargetNoise
          Adam = c.Adam
          Policy = c.Policy
          Temperature = c.Temperature
          Tuning = c.Tuning }

    /// The published experiments' settings.
    let published: DpmdConfig = ofSdac SdacConfig.published

    /// As in flow-rl: 64 actions of a copy of the policy from up to 1,000 updates ago, weights K·softmax(Q/λ), λ by a KL divergence
    /// of 2. The noise network and its timesteps are those of this library, and the policy's first step is at the critics' rate.
    let flowRl: DpmdConfig =
        let shared = ofSdac SdacConfig.flowRl

        { shared with
            Diffusion.BetaSchedule = BetaSchedule.ContinuousCosine
            Mirror = { Actions = 64; ActionNoise = 0.2; ActionWeights = RssmWeights.LogSumExp }
            Regression =
                { RegressionSettings.from Anchor.Policy with
                    WeightCritic = Some QReduction.Mean
                    ErrorCap = Some 3.0 }
            Energy.QNormalisation = QNormalisation.Off
            Policy.PolicyLearningRateEnd = 1e-4
            Policy.PolicyDecayBegin = 0L
            Policy.PolicyDecayLength = 1L
            Policy.PolicyCopies = Some 1_000
            Temperature =
                { shared.Temperature with
                    InitialTemperature = 1.0
                    TemperatureLearningRate = 3e-4
                    TemperatureDelay = 1 }
            Tuning = TemperatureTuning.Divergence 2.0 }

    /// The settings that it shares with other actor-critics.
    let shared (c: DpmdConfig) : ActorCriticSettings =
        { Hidden = c.Hidden
          CriticHidden = c.CriticHidden
          Networks = c.Networks
          CriticActivation = c.CriticActivation
          Data = c.Data
          Diffusion = c.Diffusion
          Particles = c.Particles
          Regression = c.Regression
          Energy = c.Energy
          Critics = c.Critics
          TargetNoise = c.TargetNoise
          Adam = c.Adam
          Policy = c.Policy
          Temperature = c.Temperature
          Tuning = c.Tuning }

    /// What is impossible in these settings, one sentence each; empty when they can be used.
    let problems (c: DpmdConfig) : string list =
        ActorCriticSettings.problems c.Mirror.Actions (shared c)
        @ MirrorSettings.problems c.Regression.Anchor c.Mirror

/// DPMD (Diffusion Policy Mirror Descent): the next policy is proportional to π_old·exp(Q/λ). Denoising score matching on
/// actions of π_old, weighted by exp(Q̃/λ), has that policy's score as its minimiser. As published, the actions are those of
/// the critics' targets: π_old's, the best of N and with exploration noise. Networks, reverse sampling, critics and
/// temperature are SDAC's; only the policy's step differs.
[<RequireQualifiedAccess>]
module Dpmd =
    /// The networks and coefficients of settings for a task of these sizes. Raises ArgumentException naming all impossible
    /// settings.
    let model (compute: Compute) (space: Space) (config: DpmdConfig) : ActorCriticModel =
        let c = Settings.validate DpmdConfig.problems config
        ActorCriticModel.create compute space (DpmdConfig.shared c) (PolicyStep.Mirror c.Mirror)

    let private settings (model: ActorCriticModel) : MirrorSettings =
        match model.Step with
        | PolicyStep.Mirror mirror -> mirror
        | PolicyStep.Rssm _ ->
            invalidOp
                "the stage mirrorDescent belongs to DPMD, but this algorithm is SDAC: take its own stages (Pipeline.sdac)"

    /// The weighted noise prediction loss, mean over states, actions and dimensions of w·(ε_θ(s, a_t, t) - z)² with
    /// a_t = √ᾱ_t·a + √(1-ᾱ_t)·z: RSSM's loss with the forward noise itself as its one draw. As published w = exp(Q̃/λ).
    /// actions ~ old policy: [B, N, A], their values q: [B, N]; timesteps and forward noise have B·N rows.
    let policyGradient
        (model: ActorCriticModel)
        (state: ActorCriticState)
        (noise: UpdateNoise)
        (obs: Tensor)
        (actions: Tensor)
        (q: Tensor)
        : PolicyGradient =
        let compute, t, cap = model.Compute, noise.Timesteps, model.Regression.ErrorCap
        let perState = Tensors.size 1 actions
        let noisy = Diffusion.noised compute model.Schedule t (actions.flatten (0L, 1L)) noise.Forward
        let drawn = noise.Forward.unsqueeze 1L
        let energy = Energy.ofValues model.Energy state.Values state.Temperature.Lambda q
        let struct (weights, shift) = Energy.weights (settings model).ActionWeights state.EnergyShift energy

        let obs =
            if perState = 1 then
                obs
            else
                obs.repeat_interleave (int64 perState, Nullable 0L)

        use vjp = NoiseNetwork.vjp compute model.Noise state.Policy obs noisy t
        let ofRows = weights.view (-1L, 1L)
        let loss = Regression.loss cap vjp.Output drawn ofRows
        let gradient = vjp.PullbackParameters(Regression.gradient cap vjp.Output drawn ofRows)

        { Loss = loss
          Weights = weights
          Gradient = gradient
          Values = RunningValues.follow model.Energy q state.Values
          EnergyShift = shift }

    /// The old policy's actions on obs, [B, N, A]: a chain each, with noise on them that is not clipped again.
    let private oldActions (u: Update) : Tensor =
        let model, mirror = u.Model, settings u.Model

        let actions =
            Diffusion.sample
                model.Compute
                model.Schedule
                model.Noise
                u.State.TargetPolicy
                model.Diffusion.InitialNoiseScale
                mirror.Actions
                u.Noise.New
                u.Batch.Obs

        match u.Noise.Actions with
        | Some z -> actions.add (z.view_as actions, Scalars.ofFloat mirror.ActionNoise)
        | None -> actions

    /// The states and actions [B, N, A] that the policy is moved on.
    let private anchored (u: Update) : struct (Tensor * Tensor) option =
        match u.Model.Regression.Anchor, u.NextAction with
        | Anchor.TargetAction, Some action -> Some struct (u.Batch.NextObs, action.unsqueeze 1L)
        | Anchor.Replay, _ -> Some struct (u.Batch.Obs, u.Batch.Action.unsqueeze 1L)
        | Anchor.Policy, _ when ActorCritic.movesPolicy u -> Some struct (u.Batch.Obs, oldActions u)
        | _ -> None

    let private learn (obs: Tensor) (actions: Tensor) (u: Update) : Update =
        let model = u.Model
        let q = ActorCritic.weightValues model u.State obs actions

        if ActorCritic.movesPolicy u then
            ActorCritic.movePolicy (policyGradient model u.State u.Noise obs actions q) u
        else
            { u with Next = { u.Next with Values = RunningValues.follow model.Energy q u.State.Values } }

    /// The mirror descent step of the policy, with the targets' moving averages, on the updates that move the policy: on the actions
    /// a' that `evaluateQ` sampled on next_obs, or on those of another anchor; the running averages of Q on all; the temperature's
    /// step when it is due.
    let mirrorDescent (u: Update) : Update =
        settings u.Model |> ignore

        match anchored u with
        | Some struct (obs, actions) -> learn obs actions u
        | None -> u
        |> ActorCritic.moveTemperature

    /// The update as it is. Raises InvalidOperationException where a stage that `mirrorDescent` needs has not run in it.
    let inOrder (u: Update) : Update =
        settings u.Model |> ignore

        if u.NextAction.IsNone then
            Stages.lacks "mirrorDescent" "the actions a' of the critics' step" "evaluateQ"

        u

    /// The parts of an update in their order.
    let stages: (string * (Update -> Update)) list =
        [ "evaluateQ", ActorCritic.evaluateQ; "mirrorDescent", inOrder >> mirrorDescent ]

    /// One update with given random numbers.
    let updateWith: ActorCriticModel -> UpdateNoise -> Batch -> ActorCriticState -> struct (ActorCriticState * Figures) =
        ActorCritic.updateBy (ActorCritic.evaluateQ >> mirrorDescent)

    /// One update. The same arguments give the same bits; no argument is changed. The new state owns the tensors that it does
    /// not share with the old one.
    let update (model: ActorCriticModel) (key: Key) (batch: Batch) (state: ActorCriticState) =
        use scope = torch.NewDisposeScope()
        let noise = UpdateNoise.draw model (Tensors.size 0 batch.Obs) key
        updateWith model noise batch state

    /// The algorithm.
    let algorithm: Algorithm<DpmdConfig, ActorCriticState, Update> =
        { Name = "dpmd"
          Title = "DPMD"
          Published = DpmdConfig.published
          Added = "mirror" :: ActorCriticSettings.added
          Presets =
            [ Preset.tiny 600L (DpmdConfig.ofSdac SdacConfig.tiny)
              Preset.quick (DpmdConfig.ofSdac SdacConfig.quick)
              Preset.laptop (DpmdConfig.ofSdac SdacConfig.laptop)
              Preset.published DpmdConfig.published
              Preset.sdacPaper "as the paper compares it: the same as published" DpmdConfig.published
              { Preset.published DpmdConfig.published with Name = "paper"; Meaning = "another name of published" }
              Preset.flowRl DpmdConfig.flowRl ]
          Problems = DpmdConfig.problems
          Figures = ActorCriticAgent.figures
          Describe = fun c -> $"{c.Particles.Particles} particles, {c.Diffusion.Timesteps} timesteps"
          Agent = fun compute space _ config -> ActorCriticAgent.create (model compute space config) stages }
