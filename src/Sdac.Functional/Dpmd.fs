namespace Sdac

open TorchSharp

/// DPMD (Diffusion Policy Mirror Descent): the next policy is proportional to π_old·exp(Q/λ). Denoising score matching on
/// actions of π_old, weighted by exp(Q̃/λ), has that policy's score as its minimiser. As published, the actions are those of
/// the critics' targets: π_old's, the best of N and with exploration noise. Networks, reverse sampling, critics and
/// temperature are SDAC's; only the policy's step differs.
[<RequireQualifiedAccess>]
module Dpmd =
    /// The weighted noise prediction loss, mean over states and dimensions of exp(Q̃/λ)·(ε_θ(s, a_t, t) - z)² with
    /// a_t = √ᾱ_t·a + √(1-ᾱ_t)·z: RSSM's loss with the forward noise itself as its one draw.
    /// action ~ old policy: [B, A], its values q: [B, 1].
    let policyGradient
        (model: Model)
        (state: TrainState)
        (noise: UpdateNoise)
        (obs: Tensor)
        (action: Tensor)
        (q: Tensor)
        =
        let compute, t = model.Compute, noise.Timesteps
        let noisy = Diffusion.noised compute model.Schedule t action noise.Forward
        let drawn = noise.Forward.unsqueeze 1L
        let energy = Energy.ofValues model.Config state.Values state.Temperature.Lambda q
        let struct (weights, shift) = Energy.weights Raw state.EnergyShift energy
        use vjp = NoiseNetwork.vjp compute model.Noise state.Policy obs noisy t
        let loss = Rssm.loss vjp.Output drawn weights
        let gradient = vjp.PullbackParameters(Rssm.gradient vjp.Output drawn weights)

        { Loss = loss
          Weights = weights
          Gradient = gradient
          Values = RunningValues.follow model.Config q state.Values
          EnergyShift = shift }

    let private learn (action: Tensor) (u: Update) : Update =
        let model, obs = u.Model, u.Batch.NextObs
        let q = Critic.minQ model.Compute model.Q u.State.Q1 u.State.Q2 obs (action.unsqueeze 1L)

        if Sdac.movesPolicy model.Config u.State.Updates then
            Sdac.movePolicy (policyGradient model u.State u.Noise obs action q) u
        else
            { u with Next = { u.Next with Values = RunningValues.follow model.Config q u.State.Values } }

    /// The mirror descent step of the policy on the actions a' that `evaluateQ` sampled on next_obs, with the targets' moving
    /// averages, on the updates that move the policy; the running averages of Q on all; the temperature's step when it is due.
    let mirrorDescent (u: Update) : Update =
        Model.require Algorithm.Dpmd "mirrorDescent" u.Model

        match u.NextAction with
        | Some action -> learn action u
        | None -> u
        |> Sdac.moveTemperature

    /// One update of DPMD with given random numbers.
    let updateWith: Model -> UpdateNoise -> Batch -> TrainState -> struct (TrainState * Metrics) =
        Sdac.updateBy (Sdac.evaluateQ >> mirrorDescent)

    /// One update of DPMD. The same arguments give the same bits; no argument is changed. The new state owns the tensors that
    /// it does not share with the old one.
    let update (model: Model) (key: Key) (batch: Batch) (state: TrainState) : struct (TrainState * Metrics) =
        use scope = torch.NewDisposeScope()
        let noise = UpdateNoise.draw model (Tensors.size 0 batch.Obs) key
        updateWith model noise batch state
