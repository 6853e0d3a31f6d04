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

/// All random numbers of one update.
[<NoComparison; NoEquality>]
type IdqlNoise =
    {
        /// [B]
        Timesteps: int[]
        /// ε of the noised replay actions, [B, A]
        Forward: Tensor
    }

/// An update under way.
type IdqlUpdate = OffPolicyUpdate<IdqlModel, IdqlNoise, IdqlState, unit>

/// IDQL: critics by implicit Q-learning, a diffusion policy that clones the memory's actions, and the best of N of its actions
/// (Hansen-Estruch et al. 2023, arXiv 2304.10573). Best-of-N moves the clone by a KL of `divergence` N: name N beside returns, and
/// compare with N = 1 where overestimation is in question.
[<RequireQualifiedAccess>]
module Idql =
    /// The networks of settings for a task of these sizes. Raises ArgumentException naming all impossible settings.
    let model (compute: Compute) (space: Space) (config: IdqlConfig) : IdqlModel =
        let c = Settings.validate IdqlConfig.problems config
        let networks = { c.Networks with Activation = c.PolicyActivation }

        { Compute = compute
          Space = space
          Schedule = Schedule.create c.Chain.BetaSchedule c.Chain.Timesteps
          Policy =
            ActionNetwork.create
                space.ObsDim
                space.ActionDim
                [ TimeEmbedding.Qsm ]
                (ActionLayers.Plain(NetworkSettings.policy networks c.Hidden))
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

    /// KL of the best of N to the policy that they are drawn from: ln N - (N-1)/N, whatever Q without ties.
    let divergence (particles: int) : float = log (float particles) - float (particles - 1) / float particles

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

    let private act (model: IdqlModel) (purpose: Purpose) (state: IdqlState) (key: Key) (obs: Tensor) : Acted =
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
    let private form (model: IdqlModel) (state: IdqlState) : Result<PolicyForm, string> =
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

    // ---- an update

    /// The random numbers of an update; each kind has a key of its own.
    let drawNoise (model: IdqlModel) (batchSize: int) (key: Key) : IdqlNoise =
        let struct (timeKey, forwardKey) = Key.split key

        { Timesteps = Key.integers model.Config.Chain.Timesteps batchSize timeKey
          Forward = Key.normal model.Compute [ batchSize; model.Space.ActionDim ] forwardKey }

    /// An update that has done nothing yet.
    let start (model: IdqlModel) (noise: IdqlNoise) (batch: Batch) (state: IdqlState) : IdqlUpdate =
        OffPolicy.start model () noise batch state

    /// Q̄(s, a) - V(s) of the replay actions, before the update. [B].
    let advantage (u: IdqlUpdate) : Tensor =
        let model, s = u.Model, u.State

        TwinCritics.targetValue model.Critics s.Critics u.Batch.Obs u.Batch.Action
        - value model s.Value u.Batch.Obs

    /// What the rows weigh by their advantages. [B] -> [B].
    let weights (c: IdqlConfig) (advantage: Tensor) : Tensor =
        let positive () = (advantage.gt (Scalars.ofFloat 0.0)).``to`` torch.float32

        match c.Weights with
        | IdqlWeights.Cloning -> torch.ones_like advantage
        | IdqlWeights.Exponential(beta, largest) -> (num beta * advantage).exp().clamp_max(num largest)
        | IdqlWeights.Expectile -> num (2.0 * c.ValueExpectile - 1.0) * positive () + num (1.0 - c.ValueExpectile)
        | IdqlWeights.Positive -> positive ()

    /// The loss, the batch's mean of w·‖ε_θ(s, a_t, t) - ε‖² (summed over the action's components), and its gradient.
    let policyGradient (u: IdqlUpdate) : struct (Tensor * Tensor) =
        let model, t = u.Model, u.Noise.Timesteps
        let noised = Diffusion.noised model.Compute model.Schedule t u.Batch.Action u.Noise.Forward

        use vjp =
            ActionNetwork.vjp model.Compute model.Policy u.State.Policy u.Batch.Obs noised [ Array.map float t ]

        let error = vjp.Output - u.Noise.Forward

        let weighed =
            match model.Config.Weights with
            // all of them 1: no critic is asked for what they do not depend on
            | IdqlWeights.Cloning -> error
            | _ -> error * (advantage u |> weights model.Config).unsqueeze 1L

        let batch = float (Tensors.size 0 error)
        let loss = num (1.0 / batch) * (weighed * error).sum()
        struct (loss, vjp.PullbackParameters(num (2.0 / batch) * weighed))

    /// One step of the policy, Adam with decoupled weight decay, and its moving average.
    let clonePolicy (u: IdqlUpdate) : IdqlUpdate =
        let c, compute = u.Model.Config, u.Model.Compute
        let struct (loss, gradient) = policyGradient u
        let rate = LearningRate.at u.State.PolicyAdam.Count c.PolicyRate

        let struct (stepped, optimiser) =
            Adam.step compute (AdamSettings.ofSettings c.Adam) rate gradient u.State.Policy u.State.PolicyAdam

        let policy =
            if c.WeightDecay = 0.0 then
                stepped
            else
                Params.withFlat
                    (stepped.Flat.add (u.State.Policy.Flat, Scalars.ofFloat (-rate * c.WeightDecay)))
                    stepped

        { u with
            Next =
                { u.Next with
                    Policy = policy
                    PolicyAdam = optimiser
                    TargetPolicy = Polyak.step compute c.PolicyTau u.State.TargetPolicy policy } }
        |> OffPolicy.tell (OffPolicy.policyFigures loss gradient)

    /// The expectile loss, the mean of |τ - [x ≤ 0]|·x², and its gradient with respect to x; x: [B].
    let expectileLoss (tau: float) (x: Tensor) : struct (Tensor * Tensor) =
        let above = (x.gt (Scalars.ofFloat 0.0)).``to`` torch.float32
        let weighed = (num (2.0 * tau - 1.0) * above + num (1.0 - tau)) * x
        struct ((weighed * x).mean(), num (2.0 / float (x.numel ())) * weighed)

    /// One Adam step of V towards the expectile of Q̄(s, a) over the memory's actions.
    let evaluateV (u: IdqlUpdate) : IdqlUpdate =
        let model, c, s = u.Model, u.Model.Config, u.State
        let q = TwinCritics.targetValue model.Critics s.Critics u.Batch.Obs u.Batch.Action
        use vjp = Mlp.vjp model.Compute model.Value s.Value.Flat u.Batch.Obs
        let struct (loss, slope) = expectileLoss c.ValueExpectile (q - Tensors.view [ -1 ] vjp.Output)
        let gradient = vjp.PullbackParameters(slope.neg().unsqueeze 1L)

        let struct (learned, optimiser) =
            Adam.step model.Compute (AdamSettings.ofSettings c.Adam) c.Adam.LearningRate gradient s.Value s.ValueAdam

        { u with
            Next = { u.Next with Value = learned; ValueAdam = optimiser }
            Figures =
                u.Figures
                |> Map.add "valueLoss" (Tensors.scalar loss)
                |> Map.add "valueGradientNorm" (Tensors.norm gradient) }

    /// One Adam step of both critics towards y = r·scale + γ(1 - terminated)·V(s') with V after its step, and their moving averages.
    let evaluateQ (u: IdqlUpdate) : IdqlUpdate =
        if obj.ReferenceEquals(u.Next.Value, u.State.Value) then
            Stages.lacks "evaluateQ" "the step of V" "evaluateV"

        let model = u.Model
        let target = value model u.Next.Value u.Batch.NextObs |> TwinCritics.target model.Critics u.Batch
        let struct (learned, figures) = TwinCritics.learn model.Critics u.Batch target u.State.Critics

        { u with Next = { u.Next with Critics = TwinCritics.follow model.Critics learned } }
        |> OffPolicy.tell figures

    /// The parts of an update in their order.
    let stages: (string * (IdqlUpdate -> IdqlUpdate)) list =
        [ "clonePolicy", clonePolicy; "evaluateV", evaluateV; "evaluateQ", evaluateQ ]

    /// The agent of a model.
    let agent (model: IdqlModel) : Agent<IdqlState, IdqlUpdate> =
        let c = model.Config

        { Compute = model.Compute
          Space = model.Space
          Rhythm =
            { Agent.offPolicy c.Data with
                VectorSteps = c.RoundSteps
                Updates = c.RoundSteps * c.Data.UpdatesPerStep }
          Extras = []
          Distributions = []
          Init = init model
          Parts = parts
          Act = act model
          Form = form model
          Observe = Agent.observeLimits c.TimeLimitsTerminate
          Prepare = Agent.drawFromMemory
          Begin = OffPolicy.beginning model.Compute model.Config.Data (drawNoise model) (start model)
          OnBatch = OffPolicy.onBatch
          Stages = stages
          Finish = OffPolicy.finish (fun s -> { s with Updates = s.Updates + 1L }) }

    let private figures: FigureInfo list =
        TwinCritics.figureInfos
        @ OffPolicy.policyFigureInfos false
        @ [ { FigureInfo.finite "valueLoss" "the loss of the value network" with Headline = Some "value loss" }
            FigureInfo.finite "valueGradientNorm" "the gradient of the value network" ]

    /// The algorithm.
    let algorithm: Algorithm<IdqlConfig, IdqlState, IdqlUpdate> =
        { Name = "idql"
          Title = "IDQL"
          Published = IdqlConfig.published
          Added = []
          Presets =
            [ Preset.tiny 600L IdqlConfig.tiny
              Preset.quick IdqlConfig.quick
              Preset.laptop IdqlConfig.laptop
              { Preset.published IdqlConfig.published with
                  Meaning =
                      "the authors' networks online, HalfCheetah-v4, 1,000,000 environment steps, half as many updates"
                  Iterations = 500_000L }
              { Preset.published IdqlConfig.dppo with
                  Name = "dppo"
                  Meaning = "as DPPO's repository runs it on Hopper-v4, 1,000,000 environment steps"
                  Task = "Hopper-v4"
                  Iterations = 500_000L }
              Preset.sdacPaper
                  "in the frame of the SDAC paper's comparison, which does not have it: 200,000 updates, 1,000,000 environment steps"
                  IdqlConfig.sdacPaper ]
          Problems = IdqlConfig.problems
          Figures = figures
          Describe =
            fun c ->
                $"best of {c.EvaluationParticles}, expectile {string c.ValueExpectile}, {c.Chain.Timesteps} timesteps"
          Agent = fun compute space _ config -> agent (model compute space config) }
