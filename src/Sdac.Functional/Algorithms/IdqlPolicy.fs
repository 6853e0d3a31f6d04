namespace Sdac.Functional

open System
open TorchSharp

/// What settings and sizes fix.
[<NoComparison; NoEquality>]
type IdqlModel =
    {
        Compute: Compute
        Space: Space
        Schedule: Schedule
        /// Predicts ε
        Policy: ActionNetwork
        /// V(s)
        Value: Sdac.Kernels.MlpShape
        Critics: TwinCriticsModel
        Config: IdqlConfig
    }

/// Everything that training changes.
[<NoComparison; NoEquality>]
type IdqlState =
    {
        Policy: Params
        /// Moving average of the policy: it acts
        TargetPolicy: Params
        PolicyAdam: AdamState
        Value: Params
        ValueAdam: AdamState
        Critics: TwinCritics
        /// Updates done
        Updates: int64
    }

/// The networks of IDQL, and how they act: one of N actions of a cloned policy, chosen by the critics.
[<RequireQualifiedAccess>]
module IdqlPolicy =
    /// The networks of settings for a task of these sizes. Raises ArgumentException naming all impossible settings.
    let model (compute: Compute) (space: Space) (config: IdqlConfig) : IdqlModel =
        let c = Settings.validate IdqlConfig.problems config
        let networks = { c.Networks with Activation = c.PolicyActivation }

        { Compute = compute
          Space = space
          Schedule = Schedule.create c.Chain.BetaSchedule c.Chain.Timesteps
          Policy = ChainPolicy.network space [ TimeEmbedding.Qsm ] (NetworkSettings.policy networks c.Hidden)
          Value = HiddenLayers.shape space.ObsDim (NetworkSettings.critic c.Networks c.CriticHidden) 1
          Critics = TwinCritics.model compute space c.CriticHidden c.Networks c.Critics TargetNoiseSettings.off c.Adam
          Config = c }

    /// The traversal of the state.
    let parts: Parts<IdqlState> =
        fun visit s ->
            { Policy = visit.Params("policy", s.Policy)
              TargetPolicy = visit.Params("target_policy", s.TargetPolicy)
              PolicyAdam = visit.Adam("policy", s.PolicyAdam)
              Value = visit.Params("value", s.Value)
              ValueAdam = visit.Adam("value", s.ValueAdam)
              Critics = TwinCritics.parts visit s.Critics
              Updates = visit.Int("updates", s.Updates) }

    /// Fresh networks; the targets start as copies. The caller owns the tensors.
    let init (model: IdqlModel) (key: Key) : IdqlState =
        let keys, initial = Key.splitMany 4 key, model.Config.Networks.InitialWeights

        Tensors.owning (Parts.tensors parts) (fun () ->
            let policy = ActionNetwork.initWith initial model.Compute model.Policy keys[0]
            let value = Mlp.parameters model.Compute model.Value (InitialWeights.draw initial model.Value keys[3])

            { Policy = policy
              TargetPolicy = Params.copy policy
              PolicyAdam = Adam.init policy
              Value = value
              ValueAdam = Adam.init value
              Critics = TwinCritics.init model.Critics keys[1] keys[2]
              Updates = 0L })

    // ---- acting

    /// V(s), [B].
    let value (model: IdqlModel) (value: Params) (obs: Tensor) : Tensor =
        Mlp.forward model.Compute model.Value value.Flat obs |> Tensors.view [ -1 ]

    /// The chain's steps, and the deviation of their noise at t.
    let private sampler (model: IdqlModel) : struct (ReverseStep * (int -> float)) =
        match model.Config.Sampler with
        | IdqlSampler.ClippedState -> struct (ReverseStep.ClippedState 1.0, (fun t -> sqrt model.Schedule.Betas[t]))
        | IdqlSampler.Posterior -> struct (ReverseStep.Posterior, Schedule.sigma model.Schedule)

    /// One candidate a row by the reverse chain of the policy's moving average, its noise of at least this deviation but for the last
    /// step. obs: [B, O]; the noise has B·N rows -> [B·N, A], in [-1, 1].
    let candidates (model: IdqlModel) (state: IdqlState) (least: float) (noise: ChainNoise) (obs: Tensor) : Tensor =
        Tensors.scoped List.singleton (fun () ->
            let chain, schedule = model.Config.Chain, model.Schedule
            let times = [ Array.init chain.Timesteps float ]
            let predict = ActionNetwork.along model.Compute model.Policy state.TargetPolicy obs times

            let struct (step, deviation) = sampler model

            let z i =
                match chain.Timesteps - 1 - i with
                | 0 -> None
                | t when deviation t >= least -> Some noise.Steps[i]
                | t -> Some(num (least / deviation t) * noise.Steps[i])

            num chain.InitialNoiseScale * noise.Initial |> Diffusion.reverseBy step schedule predict z)

    /// One of each state's candidates. actions: [B, N, A]; q: [B, N]; v: [B]; uniform on [0, 1), [B] -> [B, A].
    let chosen (choice: IdqlChoice) (actions: Tensor) (q: Tensor) (v: Tensor) (uniform: Tensor) : Tensor =
        match choice with
        | IdqlChoice.Best -> (Diffusion.bestOf actions q).Action
        | IdqlChoice.Expectile tau ->
            let better = q.gt (v.unsqueeze 1L)
            let share = num (2.0 * tau - 1.0) * better.``to`` torch.float32 + num (1.0 - tau)
            let reached = share.cumsum 1L
            let last = reached.size 1 - 1L
            let aim = reached.narrow (1L, last, 1L) * uniform.unsqueeze 1L
            // the first candidate whose weights, with those before it, pass the aim
            let index = (reached.le aim).sum(1L).clamp_max(Scalar.op_Implicit last)
            let at = index.view(-1L, 1L, 1L).expand(-1L, 1L, actions.size 2)
            actions.gather(1L, at).squeeze(Nullable 1L)

    /// The action of each state: one of N candidates. obs: [B, O] -> [B, A].
    let sampled
        (model: IdqlModel)
        (state: IdqlState)
        (purpose: Purpose)
        (noise: ChainNoise)
        (uniform: Tensor)
        (obs: Tensor)
        : Tensor =
        let c = model.Config

        let struct (particles, choice, least) =
            match purpose with
            | Purpose.Explore -> struct (c.BehaviourParticles, c.Exploration, c.ExplorationDeviation)
            | Purpose.Evaluate -> struct (c.EvaluationParticles, c.Evaluation, c.EvaluationDeviation)

        Tensors.scoped List.singleton (fun () ->
            let all = candidates model state least noise obs

            if particles = 1 then
                all
            else
                let actions = all |> Tensors.view [ -1; particles; model.Space.ActionDim ]
                let critics = if c.ChooseByAverages then TwinCritics.averages state.Critics else state.Critics
                let q = TwinCritics.values model.Critics critics obs actions
                chosen choice actions q (value model state.Value obs) uniform)

    let act (model: IdqlModel) (purpose: Purpose) (state: IdqlState) (key: Key) (obs: Tensor) : Acted =
        let c, batch = model.Config, Tensors.size 0 obs
        let struct (chainKey, choiceKey) = Key.split key

        let particles =
            match purpose with
            | Purpose.Explore -> c.BehaviourParticles
            | Purpose.Evaluate -> c.EvaluationParticles

        let noise =
            ChainNoise.draw model.Compute c.Chain.Timesteps (batch * particles) model.Space.ActionDim chainKey

        { Action = sampled model state purpose noise (Key.uniform model.Compute [ batch ] choiceKey) obs
          Extras = [] }

    /// What acts in evaluations, as data.
    let form (model: IdqlModel) (state: IdqlState) : Result<PolicyForm, string> =
        let c, schedule, steps = model.Config, model.Schedule, model.Config.Chain.Timesteps

        match c.Evaluation with
        | IdqlChoice.Expectile _ when c.EvaluationParticles > 1 ->
            Error
                "its evaluations draw among the candidates by their weights (evaluation is expectile): take 1 particle, or train with evaluation = best"
        | _ ->
            let network, times = FormChain.timed "target_policy" model.Policy steps state.TargetPolicy
            let struct (step, _) = sampler model

            let critics =
                if c.ChooseByAverages then
                    TwinCritics.averagesForm model.Critics state.Critics
                else
                    TwinCritics.form model.Critics state.Critics

            let chain = FormChain.reverse step schedule c.Chain.InitialNoiseScale times network

            chain
            |> FormChain.spread
                [| for i in 0 .. steps - 1 ->
                       if i = steps - 1 then 0.0 else max chain.Steps[i].Spread c.EvaluationDeviation |]
            |> PolicyForm.chained
                model.Compute
                model.Space.ActionDim
                c.EvaluationParticles
                (Some critics)
                PolicyForm.firstOf
            |> Ok
