namespace Sdac

open TorchSharp

/// Every setting of DPMD: those that it shares with SDAC are all that it has.
type DpmdConfig = ActorCriticSettings

[<RequireQualifiedAccess>]
module DpmdConfig =
    /// What SDAC's settings are for DPMD: all that they share, with the β schedule and the energies that were published with
    /// DPMD.
    let ofSdac (c: SdacConfig) : DpmdConfig =
        { SdacConfig.shared c with
            Diffusion.BetaSchedule = Linear 0.3
            Energy.QScale = 1.0
            Energy.QNormalisation = QNormalisation.Running }

    /// The published experiments' settings.
    let published: DpmdConfig = ofSdac SdacConfig.published

    /// What is impossible in these settings, one sentence each; empty when they can be used.
    let problems: DpmdConfig -> string list = ActorCriticSettings.problems

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
        ActorCriticModel.create compute space c None

    /// The weighted noise prediction loss, mean over states and dimensions of exp(Q̃/λ)·(ε_θ(s, a_t, t) - z)² with
    /// a_t = √ᾱ_t·a + √(1-ᾱ_t)·z: RSSM's loss with the forward noise itself as its one draw.
    /// action ~ old policy: [B, A], its values q: [B, 1].
    let policyGradient
        (model: ActorCriticModel)
        (state: ActorCriticState)
        (noise: UpdateNoise)
        (obs: Tensor)
        (action: Tensor)
        (q: Tensor)
        : PolicyGradient =
        let compute, t = model.Compute, noise.Timesteps
        let noisy = Diffusion.noised compute model.Schedule t action noise.Forward
        let drawn = noise.Forward.unsqueeze 1L
        let energy = Energy.ofValues model.Energy state.Values state.Temperature.Lambda q
        let struct (weights, shift) = Energy.weights Raw state.EnergyShift energy
        use vjp = NoiseNetwork.vjp compute model.Noise state.Policy obs noisy t
        let loss = Rssm.loss vjp.Output drawn weights
        let gradient = vjp.PullbackParameters(Rssm.gradient vjp.Output drawn weights)

        { Loss = loss
          Weights = weights
          Gradient = gradient
          Values = RunningValues.follow model.Energy q state.Values
          EnergyShift = shift }

    let private learn (action: Tensor) (u: Update) : Update =
        let model, obs = u.Model, u.Batch.NextObs
        let q = TwinCritics.values model.Critics u.State.Critics obs (action.unsqueeze 1L)

        if ActorCritic.movesPolicy u then
            ActorCritic.movePolicy (policyGradient model u.State u.Noise obs action q) u
        else
            { u with Next = { u.Next with Values = RunningValues.follow model.Energy q u.State.Values } }

    let private require (u: Update) =
        if u.Model.Draws.IsSome then
            invalidOp
                "the stage mirrorDescent belongs to DPMD, but this algorithm is SDAC: take its own stages (Pipeline.sdac)"

    /// The mirror descent step of the policy on the actions a' that `evaluateQ` sampled on next_obs, with the targets' moving
    /// averages, on the updates that move the policy; the running averages of Q on all; the temperature's step when it is due.
    let mirrorDescent (u: Update) : Update =
        require u

        match u.NextAction with
        | Some action -> learn action u
        | None -> u
        |> ActorCritic.moveTemperature

    /// The update as it is. Raises InvalidOperationException where a stage that `mirrorDescent` needs has not run in it.
    let inOrder (u: Update) : Update =
        require u

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
          Added = ActorCriticSettings.added
          Presets =
            [ Preset.tiny 600L (DpmdConfig.ofSdac SdacConfig.tiny)
              Preset.quick (DpmdConfig.ofSdac SdacConfig.quick)
              Preset.laptop (DpmdConfig.ofSdac SdacConfig.laptop)
              Preset.published DpmdConfig.published
              Preset.sdacPaper "as the paper compares it: the same as published" DpmdConfig.published
              { Preset.published DpmdConfig.published with Name = "paper"; Meaning = "another name of published" } ]
          Problems = DpmdConfig.problems
          Figures = ActorCriticAgent.figures
          Describe = fun c -> $"{c.Particles.Particles} particles, {c.Diffusion.Timesteps} timesteps"
          Agent = fun compute space _ config -> ActorCriticAgent.create (model compute space config) stages }
