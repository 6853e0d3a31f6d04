namespace Sdac.Functional

open System
open TorchSharp

/// What settings and sizes fix.
[<NoComparison; NoEquality>]
type QsmModel =
    {
        Compute: Compute
        Space: Space
        Schedule: Schedule
        /// Predicts ε, or Ψ in the form `langevin`, where it is told no time
        Policy: ActionNetwork
        Critics: TwinCriticsModel
        Config: QsmConfig
    }

/// Everything that training changes.
[<NoComparison; NoEquality>]
type QsmState =
    {
        Policy: Params
        PolicyAdam: AdamState
        Critics: TwinCritics
        /// Updates done
        Updates: int64
    }

/// All random numbers of one update.
[<NoComparison; NoEquality>]
type QsmNoise =
    {
        /// For the candidates of a' on next_obs, those of a state in a row
        Next: ChainNoise
        /// For the noise on a', [B, A]; None where the settings add none
        Smoothing: Tensor option
        /// [B]
        Timesteps: int[]
        /// Of the noised replay actions, [B, A]
        Forward: Tensor
    }

/// An update under way.
type QsmUpdate = OffPolicyUpdate<QsmModel, QsmNoise, QsmState, unit>

/// QSM, Q-score matching: the noise network is trained to be the critic's action gradient, and the reverse chain climbs Q by it
/// (Psenka, Escontrela, Abbeel, Ma 2024, arXiv 2312.11752).
[<RequireQualifiedAccess>]
module Qsm =
    let private isLangevin (c: QsmConfig) = c.Form = QsmForm.Langevin

    /// The networks of settings for a task of these sizes. Raises ArgumentException naming all impossible settings.
    let model (compute: Compute) (space: Space) (config: QsmConfig) : QsmModel =
        let c = Settings.validate QsmConfig.problems config
        let networks = { c.Networks with Activation = c.PolicyActivation }

        { Compute = compute
          Space = space
          Schedule = Schedule.create c.Chain.BetaSchedule c.Chain.Timesteps
          Policy =
            ChainPolicy.network
                space
                (if isLangevin c then [] else [ TimeEmbedding.Qsm ])
                (NetworkSettings.policy networks c.Hidden)
          Critics = TwinCritics.model compute space c.Hidden c.Networks c.Critics c.TargetNoise c.Adam
          Config = c }

    /// The traversal of the state.
    let parts: Parts<QsmState> =
        fun visit s ->
            { Policy = visit.Params("policy", s.Policy)
              PolicyAdam = visit.Adam("policy", s.PolicyAdam)
              Critics = TwinCritics.parts visit s.Critics
              Updates = visit.Int("updates", s.Updates) }

    /// Fresh networks. The caller owns the tensors.
    let init (model: QsmModel) (key: Key) : QsmState =
        let keys = Key.splitMany 3 key

        Tensors.owning (Parts.tensors parts) (fun () ->
            let policy =
                ActionNetwork.initWith model.Config.Networks.InitialWeights model.Compute model.Policy keys[0]

            { Policy = policy
              PolicyAdam = Adam.init policy
              Critics = TwinCritics.init model.Critics keys[1] keys[2]
              Updates = 0L })

    // ---- acting

    /// The best of `particles` actions per state by the online critics, each from a chain of its own.
    /// obs: [B, O]; the noise has B·particles rows -> [B, A], in [-1, 1].
    let sampled (model: QsmModel) (state: QsmState) (particles: int) (noise: ChainNoise) (obs: Tensor) : Tensor =
        Tensors.scoped List.singleton (fun () ->
            let chain, compute = model.Config.Chain, model.Compute
            let initial = num chain.InitialNoiseScale * noise.Initial

            let candidates =
                if isLangevin model.Config then
                    let score = ActionNetwork.along compute model.Policy state.Policy obs [] 0
                    Diffusion.langevin chain.Timesteps score (Array.get noise.Steps) initial
                else
                    let times = [ [| for t in 0 .. chain.Timesteps - 1 -> float t |] ]
                    let predict = ActionNetwork.along compute model.Policy state.Policy obs times

                    Diffusion.reverseBy
                        (ReverseStep.ClippedState 1.0)
                        model.Schedule
                        predict
                        (fun i -> Some noise.Steps[i])
                        initial

            candidates |> TwinCritics.best model.Critics state.Critics particles obs)

    let private chainNoise (model: QsmModel) (rows: int) (key: Key) =
        ChainNoise.draw model.Compute model.Config.Chain.Timesteps rows model.Space.ActionDim key

    let private act (model: QsmModel) (purpose: Purpose) (state: QsmState) (key: Key) (obs: Tensor) : Acted =
        let c = model.Config
        let struct (chainKey, exploreKey) = Key.split key

        let draw particles =
            sampled model state particles (chainNoise model (Tensors.size 0 obs * particles) chainKey) obs

        { Action =
            match purpose with
            | Purpose.Evaluate -> draw c.BestOf.EvaluationParticles
            | Purpose.Explore when c.ExplorationNoise = 0.0 -> draw c.BestOf.BehaviourParticles
            | Purpose.Explore ->
                let z = Key.normal model.Compute [ Tensors.size 0 obs; model.Space.ActionDim ] exploreKey

                (draw c.BestOf.BehaviourParticles).add(z, Scalars.ofFloat c.ExplorationNoise) |> Diffusion.clip
          Extras = [] }

    /// What acts in evaluations, as data.
    let private form (model: QsmModel) (state: QsmState) : Result<PolicyForm, string> =
        let c = model.Config
        let critics = Some(TwinCritics.form model.Critics state.Critics)

        (if isLangevin c then
             FormNetwork.segments "policy" model.Policy.Segments state.Policy
             |> FormChain.langevin c.Chain.Timesteps c.Chain.InitialNoiseScale
         else
             let network, times = FormChain.timed "policy" model.Policy c.Chain.Timesteps state.Policy
             let step = ReverseStep.ClippedState 1.0
             FormChain.reverse step model.Schedule c.Chain.InitialNoiseScale times network)
        |> PolicyForm.chained
            model.Compute
            model.Space.ActionDim
            c.BestOf.EvaluationParticles
            critics
            PolicyForm.firstOf
        |> Ok

    // ---- an update

    /// The random numbers of an update; each kind has a key of its own.
    let drawNoise (model: QsmModel) (batchSize: int) (key: Key) : QsmNoise =
        let keys, shape = Key.splitMany 4 key, [ batchSize; model.Space.ActionDim ]

        { Next = chainNoise model (batchSize * model.Config.BestOf.TargetParticles) keys[0]
          Smoothing = TwinCritics.smoothingNoise model.Critics shape keys[1]
          Timesteps = Key.integers model.Config.Chain.Timesteps batchSize keys[2]
          Forward = Key.normal model.Compute shape keys[3] }

    /// An update that has done nothing yet.
    let start (model: QsmModel) (noise: QsmNoise) (batch: Batch) (state: QsmState) : QsmUpdate =
        OffPolicy.start model () noise batch state

    /// Does this update move the policy?
    let movesPolicy (u: QsmUpdate) = u.State.Updates % int64 u.Model.Config.PolicyDelay = 0L

    /// The critics' targets y = r·scale + γ(1 - terminated)·v(s', a'), a' by the online policy with noise on it. [B].
    let criticTarget (u: QsmUpdate) : Tensor =
        let model, s, obs = u.Model, u.State, u.Batch.NextObs

        let action =
            sampled model s model.Config.BestOf.TargetParticles u.Noise.Next obs
            |> TwinCritics.smoothed model.Critics u.Noise.Smoothing

        TwinCritics.targetValue model.Critics s.Critics obs action
        |> TwinCritics.target model.Critics u.Batch

    /// One Adam step of both critics towards the targets, and their moving averages.
    let evaluateQ (u: QsmUpdate) : QsmUpdate =
        let critics = u.Model.Critics
        let struct (learned, figures) = TwinCritics.learn critics u.Batch (criticTarget u) u.State.Critics

        { u with Next = { u.Next with Critics = TwinCritics.follow critics learned } }
        |> OffPolicy.tell figures

    /// The actions at which the critic's gradient is asked for: noised replay actions, not clipped, or the replay actions
    /// themselves in the form `langevin`. [B, A].
    let places (model: QsmModel) (noise: QsmNoise) (action: Tensor) : Tensor =
        if isLangevin model.Config then
            action
        else
            Diffusion.noised model.Compute model.Schedule noise.Timesteps action noise.Forward

    /// What the network is to give there. slope: g = ∇_a Q, [B, A]; t: [B].
    let target (model: QsmModel) (t: int[]) (slope: Tensor) : Tensor =
        let c = model.Config

        let slope = if c.NormaliseGradient then slope / (slope.abs().mean() + num 1e-6) else slope

        match c.Form with
        | QsmForm.Langevin -> slope
        | QsmForm.Scaled -> num -c.GradientScale * slope
        | QsmForm.Consistent ->
            let deviation = Schedule.column model.Compute model.Schedule.SqrtOneMinusAlphaBars t
            num (-1.0 / c.Temperature) * (deviation * slope)

    /// The value whose gradient the network is trained to give.
    let climbed (model: QsmModel) (critics: TwinCritics) : ActionValue =
        let asked = { model.Critics with Settings.QReduction = model.Config.GradientCritic }

        TwinCritics.actionValue asked critics

    /// The loss, the mean over batch and dimensions of (network - target)², and its gradient; g by this value, held constant.
    let policyGradient (u: QsmUpdate) (value: ActionValue) : struct (Tensor * Tensor) =
        let model, obs, t = u.Model, u.Batch.Obs, u.Noise.Timesteps
        let places = places model u.Noise u.Batch.Action
        let struct (_, slopes) = value.WithSlopes obs (places.unsqueeze 1L)
        let target = target model t (slopes.squeeze (Nullable 1L))
        let times = if isLangevin model.Config then [] else [ Array.map float t ]
        use vjp = ActionNetwork.vjp model.Compute model.Policy u.State.Policy obs places times
        let error = vjp.Output.sub target
        let share = Scalars.ofFloat (2.0 / float (error.numel ()))
        struct (error.square().mean(), vjp.PullbackParameters(error.mul share))

    /// One Adam step of the policy towards the gradient of the critics after their step, on the updates that move it.
    let matchScore (u: QsmUpdate) : QsmUpdate =
        TwinCritics.needMoved "matchScore" u.State.Critics u.Next.Critics

        if not (movesPolicy u) then
            u
        else
            let c = u.Model.Config
            let struct (loss, gradient) = policyGradient u (climbed u.Model u.Next.Critics)

            let struct (policy, optimiser) =
                OffPolicy.step u.Model.Compute c.Adam c.PolicyRate gradient u.State.Policy u.State.PolicyAdam

            { u with Next = { u.Next with Policy = policy; PolicyAdam = optimiser } }
            |> OffPolicy.tell (OffPolicy.policyFigures loss gradient)

    /// The parts of an update in their order.
    let stages: (string * (QsmUpdate -> QsmUpdate)) list =
        [ "evaluateQ", evaluateQ; "matchScore", matchScore ]

    /// The agent of a model.
    let agent (model: QsmModel) : Agent<QsmState, QsmUpdate> =
        { Compute = model.Compute
          Space = model.Space
          Rhythm = Agent.offPolicy model.Config.Data
          Extras = []
          Distributions = []
          Init = init model
          Parts = parts
          Act = act model
          Form = form model
          Observe = Agent.observeLimits model.Config.TimeLimitsTerminate
          Prepare = Agent.drawFromMemory
          Begin = OffPolicy.beginning model.Compute model.Config.Data (drawNoise model) (start model)
          OnBatch = OffPolicy.onBatch
          Stages = stages
          Finish = OffPolicy.finish (fun s -> { s with Updates = s.Updates + 1L }) }

    let private figures: FigureInfo list = TwinCritics.figureInfos @ OffPolicy.policyFigureInfos true


    /// The algorithm.
    let algorithm: Algorithm<QsmConfig, QsmState, QsmUpdate> =
        { Name = "qsm"
          Title = "QSM"
          Published = QsmConfig.published
          Added = []
          Presets =
            [ Preset.tiny 600L QsmConfig.tiny
              Preset.quick QsmConfig.quick
              Preset.laptop QsmConfig.laptop
              { Preset.published QsmConfig.published with
                  Meaning = "as the authors have it, HalfCheetah-v4, 1,000,000 environment steps, an update each"
                  Iterations = 1_000_000L }
              Preset.sdacPaper
                  "as the SDAC paper compares it: Langevin dynamics, 200,000 updates, 1,000,000 environment steps"
                  QsmConfig.sdacPaper ]
          Problems = QsmConfig.problems
          Figures = figures
          Describe =
            fun c ->
                match c.Form with
                | QsmForm.Scaled -> $"M {string c.GradientScale}, {c.Chain.Timesteps} timesteps"
                | QsmForm.Consistent -> $"λ {string c.Temperature}, {c.Chain.Timesteps} timesteps"
                | QsmForm.Langevin -> $"Langevin, {c.Chain.Timesteps} steps"
          Agent = fun compute space _ config -> agent (model compute space config) }
