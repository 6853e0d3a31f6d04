namespace Sdac

open System
open TorchSharp

/// What QSM's network is trained to give, g = ∇_a Q.
[<RequireQualifiedAccess>]
type QsmForm =
    /// ε = -M·g at the noised replay action (the authors'). Its chain does not sample exp(M·Q): the target does not depend on t.
    | Scaled
    /// ε = -√(1-ᾱ_t)·g/λ at the noised replay action: the score of exp(Q/λ), as far as noise does not change it.
    | Consistent
    /// Ψ = g at the replay action itself, no time; actions by Langevin dynamics (the SDAC authors' comparison).
    | Langevin

/// Every setting of QSM.
type QsmConfig =
    {
        /// Widths of the hidden layers of all networks; none: linear networks
        Hidden: int list
        Networks: NetworkSettings
        /// What follows the linear maps of the policy's hidden layers; `Networks` has the critics'
        PolicyActivation: HiddenActivation
        Data: DataSettings
        /// The reverse chain; Langevin dynamics take `Timesteps` steps and no schedule
        Chain: ChainSettings
        BestOf: BestOfSettings
        Critics: CriticSettings
        /// Noise on the actions a' of the critics' targets
        TargetNoise: TargetNoiseSettings
        Adam: AdamSettings
        /// The policy's learning rate over its updates
        PolicyRate: LearningRate
        /// The policy moves on every such-th update
        PolicyDelay: int
        /// What the network is trained to give
        Form: QsmForm
        /// M of the form `scaled`
        GradientScale: float
        /// λ of the form `consistent`
        Temperature: float
        /// Which value's gradient: the twin critics' mean, or the smaller one's
        GradientCritic: QReduction
        /// g is divided by its batch's mean absolute value + 1e-6 (flow-rl)
        NormaliseGradient: bool
        /// Deviation of the noise added to the actions in the training environments
        ExplorationNoise: float
        /// Time limits count as terminations: no bootstrap behind them
        TimeLimitsTerminate: bool
    }

[<RequireQualifiedAccess>]
module QsmConfig =
    /// The authors' settings (they report on the DeepMind Control Suite).
    let published: QsmConfig =
        { Hidden = [ 512; 512 ]
          Networks =
            { NetworkSettings.mish with
                Activation = HiddenActivation.Relu
                InitialWeights = InitialWeights.XavierUniform }
          PolicyActivation = HiddenActivation.Mish
          Data =
            { Environments = 1
              UpdatesPerStep = 1
              WarmUp = 10_000
              BatchSize = 256
              BufferCapacity = 1_000_000 }
          Chain =
            { Timesteps = 5
              BetaSchedule = BetaSchedule.VariancePreserving(0.1, 10.0)
              InitialNoiseScale = 1.0 }
          BestOf = BestOfSettings.off
          Critics = CriticSettings.usual
          TargetNoise = { TargetNoise = 0.1; TargetNoiseClip = 10.0 }
          Adam = AdamSettings.usual 3e-4
          PolicyRate = LearningRate.CosineDecay(3e-4, 0.0, 2_000_000L)
          PolicyDelay = 1
          Form = QsmForm.Scaled
          GradientScale = 50.0
          Temperature = 1.0
          GradientCritic = QReduction.Mean
          NormaliseGradient = false
          ExplorationNoise = 0.1
          TimeLimitsTerminate = false }

    /// As the SDAC paper's comparison ran it: Langevin dynamics, best of 32, five environments and one update a step.
    let sdacPaper: QsmConfig =
        { published with
            Hidden = [ 256; 256; 256 ]
            Networks.InitialWeights = InitialWeights.CutNormal
            PolicyActivation = HiddenActivation.Relu
            Data.Environments = 5
            Data.WarmUp = 30_000
            Chain.Timesteps = 20
            BestOf = { BehaviourParticles = 32; TargetParticles = 32; EvaluationParticles = 32 }
            TargetNoise = TargetNoiseSettings.off
            PolicyRate = LearningRate.LinearDecay(3e-4, 3e-5, 25_000L, 50_000L)
            Form = QsmForm.Langevin
            GradientCritic = QReduction.Minimum
            ExplorationNoise = 0.0 }

    /// InvertedPendulum-v4 in a minute: the consistent form, and gradients of one size, since Q's slope grows with Q.
    let quick: QsmConfig =
        { published with
            Hidden = [ 64; 64 ]
            Data.Environments = 2
            Data.WarmUp = 1_000
            Data.BatchSize = 128
            Data.BufferCapacity = 100_000
            Chain.Timesteps = 10
            Critics.Tau = 0.02
            Adam.LearningRate = 1e-3
            PolicyRate = LearningRate.LinearDecay(1e-3, 1e-4, 5_000L, 5_000L)
            Form = QsmForm.Consistent
            Temperature = 0.3
            NormaliseGradient = true }

    /// Learns the contract's task in seconds.
    let tiny: QsmConfig =
        { quick with
            Hidden = [ 32; 32 ]
            Data.Environments = 4
            Data.WarmUp = 200
            Data.BatchSize = 64
            Data.BufferCapacity = 20_000
            Chain.Timesteps = 5
            Adam.LearningRate = 3e-3
            PolicyRate = LearningRate.Constant 3e-3 }

    /// HalfCheetah-v4 on two cores: 100,000 environment steps at two updates per step of four environments.
    let laptop: QsmConfig =
        { published with
            Hidden = [ 256; 256 ]
            Data.Environments = 4
            Data.UpdatesPerStep = 2
            Chain.Timesteps = 10
            Critics.Tau = 0.01
            Adam.LearningRate = 1e-3
            PolicyRate = LearningRate.Constant 1e-3
            Form = QsmForm.Consistent
            Temperature = 0.3
            NormaliseGradient = true }

    /// What is impossible in these settings, one sentence each; empty when they can be used.
    let problems (c: QsmConfig) : string list =
        [ Check.widths (nameof c.Hidden) c.Hidden
          NetworkSettings.problems c.Networks
          DataSettings.problems c.Data
          ChainSettings.problems c.Chain
          BestOfSettings.problems c.BestOf
          CriticSettings.problems c.Critics
          TargetNoiseSettings.problems c.TargetNoise
          AdamSettings.problems c.Adam
          LearningRate.problems (nameof c.PolicyRate) c.PolicyRate
          Check.atLeast (nameof c.PolicyDelay) 1 c.PolicyDelay
          Check.positive (nameof c.GradientScale) c.GradientScale
          Check.positive (nameof c.Temperature) c.Temperature
          Check.within (nameof c.ExplorationNoise) 0.0 1e6 c.ExplorationNoise ]
        |> List.concat

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
[<NoComparison; NoEquality>]
type QsmUpdate =
    { Model: QsmModel
      Batch: Batch
      Noise: QsmNoise
      State: QsmState
      Next: QsmState
      Figures: Figures }

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
            ActionNetwork.create
                space.ObsDim
                space.ActionDim
                (if isLangevin c then [] else [ TimeEmbedding.Qsm ])
                (ActionLayers.Plain(NetworkSettings.policy networks c.Hidden))
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

            if particles = 1 then
                candidates
            else
                let actions = candidates |> Tensors.view [ -1; particles; model.Space.ActionDim ]
                (Diffusion.bestOf actions (TwinCritics.values model.Critics state.Critics obs actions)).Action)

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
        { Model = model; Batch = batch; Noise = noise; State = state; Next = state; Figures = Map.empty }

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

        { u with Next = { u.Next with Critics = TwinCritics.follow critics learned }; Figures = figures }

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
        if obj.ReferenceEquals(u.Next.Critics.Q1, u.State.Critics.Q1) then
            Stages.lacks "matchScore" "the critics' step" "evaluateQ"

        if not (movesPolicy u) then
            u
        else
            let c = u.Model.Config
            let struct (loss, gradient) = policyGradient u (climbed u.Model u.Next.Critics)
            let rate = LearningRate.at u.State.PolicyAdam.Count c.PolicyRate

            let struct (policy, optimiser) =
                Adam.step
                    u.Model.Compute
                    (AdamSettings.ofSettings c.Adam)
                    rate
                    gradient
                    u.State.Policy
                    u.State.PolicyAdam

            { u with
                Next = { u.Next with Policy = policy; PolicyAdam = optimiser }
                Figures =
                    u.Figures
                    |> Map.add "policyLoss" (Tensors.scalar loss)
                    |> Map.add "policyGradientNorm" (Tensors.norm gradient) }

    /// The parts of an update in their order.
    let stages: (string * (QsmUpdate -> QsmUpdate)) list =
        [ "evaluateQ", evaluateQ; "matchScore", matchScore ]

    let private finish (u: QsmUpdate) : Finished<QsmState> =
        { State = { u.Next with Updates = u.State.Updates + 1L }
          Figures = u.Figures
          Tallies = []
          Verdict = Verdict.Continue }

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
          Begin =
            fun table keys state ->
                let size = model.Config.Data.BatchSize
                let batch = Replay.sample model.Compute keys.Batch size table.Memory
                start model (drawNoise model size keys.Noise) batch state
          OnBatch = fun change u -> { u with Batch = change u.Batch }
          Stages = stages
          Finish = finish }

    let private figures: FigureInfo list =
        TwinCritics.figureInfos
        @ [ { FigureInfo.finite "policyLoss" "the policy loss" with
                Headline = Some "policy loss"
                Carried = true }
            { FigureInfo.finite "policyGradientNorm" "the gradient of the policy" with Carried = true } ]

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
