namespace Sdac.Functional

open TorchSharp

/// SDAC (Soft Diffusion Actor-Critic): the actor-critic's update with RSSM for the policy's gradient.
[<RequireQualifiedAccess>]
module Sdac =
    /// The networks and coefficients of settings for a task of these sizes. Raises ArgumentException naming all impossible
    /// settings.
    let model (compute: Compute) (space: Space) (config: SdacConfig) : ActorCriticModel =
        let c = Settings.validate SdacConfig.problems config

        { ActorCriticModel.create compute space (SdacConfig.shared c) (PolicyStep.Rssm c.Draws) with
            Likelihood = c.Likelihood }

    let private settings (model: ActorCriticModel) : DrawSettings =
        match model.Step with
        | PolicyStep.Rssm draws -> draws
        | PolicyStep.Mirror _ ->
            invalidOp
                "the stage rssmUpdate belongs to SDAC, but this algorithm makes no reverse draws: take its own stages (Pipeline.dpmd)"

    /// The noise ε_k of the K draws of each state, and what it adds to the energies of raw weights: the logarithm of the share
    /// of q̃_{0|t} that was kept (self-normalised weights do not see it).
    let private reverseNoise (model: ActorCriticModel) (draws: DrawSettings) (noise: UpdateNoise) (noisy: Tensor) =
        match draws.ReverseNoise, draws.Weights with
        | (ReverseNoise.Clipped | ReverseNoise.Unbounded), _ -> struct (noise.Reverse, id)
        | ReverseNoise.TruncatedNormal, weights ->
            let struct (reverse, logShare) =
                Rssm.truncatedNoise model.Compute model.Schedule noise.Timesteps noisy noise.Reverse

            match weights with
            | RssmWeights.Raw -> struct (reverse, (fun (energy: Tensor) -> energy.add logShare))
            | RssmWeights.SelfNormalised
            | RssmWeights.LogSumExp -> struct (reverse, id)

    /// The RSSM loss of actions and its gradient. The forward noising of `action` is the sampling distribution
    /// p̃_t of the theorem.
    let rssmGradient
        (model: ActorCriticModel)
        (state: ActorCriticState)
        (noise: UpdateNoise)
        (obs: Tensor)
        (action: Tensor)
        =
        let settings, cap = settings model, model.Regression.ErrorCap
        let compute, schedule, t = model.Compute, model.Schedule, noise.Timesteps
        let noisy = Diffusion.noised compute schedule t action noise.Forward
        let struct (reverse, restricted) = reverseNoise model settings noise noisy
        let draws = Rssm.cleanDraws settings.ReverseNoise compute schedule t noisy reverse
        let q = ActorCritic.weightValues model state obs draws
        let energy = Energy.ofValues model.Energy state.Values state.Temperature.Lambda q |> restricted
        let struct (weights, shift) = Energy.weights settings.Weights state.EnergyShift energy
        use vjp = NoiseNetwork.vjp compute model.Noise state.Policy obs noisy t
        let loss = Regression.loss cap vjp.Output reverse weights
        let struct (gradient, _) = vjp.Pullback(Regression.gradient cap vjp.Output reverse weights)

        { Loss = loss
          Weights = weights
          Gradient = gradient
          Values = RunningValues.follow model.Energy q state.Values
          EnergyShift = shift }

    /// The states and actions that the policy is moved on; none on the updates that leave it.
    let private anchored (u: Update) : struct (Tensor * Tensor) option =
        match u.Model.Regression.Anchor, u.Action, u.NextAction with
        | Anchor.Policy, Some action, _ -> Some struct (u.Batch.Obs, action)
        | Anchor.Replay, _, _ when ActorCritic.movesPolicy u -> Some struct (u.Batch.Obs, u.Batch.Action)
        | Anchor.TargetAction, _, Some action when ActorCritic.movesPolicy u -> Some struct (u.Batch.NextObs, action)
        | _ -> None

    /// The RSSM step of the policy and the targets' moving averages, on the updates that move them; the temperature's step when
    /// it is due.
    let rssmUpdate (u: Update) : Update =
        settings u.Model |> ignore

        match anchored u with
        | Some struct (obs, action) -> ActorCritic.movePolicy (rssmGradient u.Model u.State u.Noise obs action) u
        | None -> u
        |> ActorCritic.moveTemperature

    /// The update as it is. Raises InvalidOperationException where a stage that `rssmUpdate` needs has not run in it.
    let inOrder (u: Update) : Update =
        settings u.Model |> ignore

        // the critics' moving averages follow them
        if ActorCritic.isWithoutCritics u then
            Stages.lacks "rssmUpdate" "the critics' step" "evaluateQ"

        if u.Action.IsNone && ActorCritic.movesPolicy u && u.Model.Regression.Anchor = Anchor.Policy then
            Stages.lacks "rssmUpdate" "the actions of this update" "reverseSample"

        u

    /// The parts of an update in their order.
    let stages: (string * (Update -> Update)) list =
        [ "evaluateQ", ActorCritic.evaluateQ
          "reverseSample", ActorCritic.reverseSample
          "rssmUpdate", inOrder >> rssmUpdate ]

    /// One update with given random numbers.
    let updateWith: ActorCriticModel -> UpdateNoise -> Batch -> ActorCriticState -> struct (ActorCriticState * Figures) =
        ActorCritic.updateBy (ActorCritic.evaluateQ >> ActorCritic.reverseSample >> rssmUpdate)

    /// One update. The same arguments give the same bits; no argument is changed. The new state owns the tensors that it does
    /// not share with the old one.
    let update (model: ActorCriticModel) (key: Key) (batch: Batch) (state: ActorCriticState) =
        use scope = torch.NewDisposeScope()
        let noise = UpdateNoise.draw model (Tensors.size 0 batch.Obs) key
        updateWith model noise batch state

    /// The algorithm.
    let algorithm: Algorithm<SdacConfig, ActorCriticState, Update> =
        { Name = "sdac"
          Title = "SDAC"
          Published = SdacConfig.published
          Added = ActorCriticSettings.added @ [ "likelihood" ]
          Presets =
            [ Preset.tiny 600L SdacConfig.tiny
              Preset.quick SdacConfig.quick
              Preset.laptop SdacConfig.laptop
              Preset.published SdacConfig.published
              Preset.sdacPaper "as the paper compares it: the same as published" SdacConfig.published
              { Preset.published SdacConfig.published with Name = "paper"; Meaning = "another name of published" }
              Preset.flowRl SdacConfig.flowRl ]
          Problems = SdacConfig.problems
          Figures = ActorCriticAgent.figures
          Describe =
            fun c ->
                $"{c.Particles.Particles} particles, {c.Draws.MonteCarloDraws} draws, {c.Diffusion.Timesteps} timesteps"
          Agent = fun compute space _ config -> ActorCriticAgent.create (model compute space config) stages }
