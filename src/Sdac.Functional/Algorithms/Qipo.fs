namespace Sdac.Functional

open System
open TorchSharp

/// What settings and sizes fix.
[<NoComparison; NoEquality>]
type QipoModel =
    {
        Compute: Compute
        Space: Space
        Schedule: Schedule
        /// Predicts ε
        Policy: ActionNetwork
        Critics: TwinCriticsModel
        Config: QipoConfig
    }

/// Everything that training changes.
[<NoComparison; NoEquality>]
type QipoState =
    {
        Policy: Params
        /// Moving average of the policy
        TargetPolicy: Params
        /// The policy as it was when the support was renewed
        SupportPolicy: Params
        PolicyAdam: AdamState
        Critics: TwinCritics
        /// Updates done
        Updates: int64
    }

/// All random numbers of one update.
[<NoComparison; NoEquality>]
type QipoNoise =
    {
        /// For the M actions a' on next_obs
        Next: ChainNoise
        /// For the support's M actions on obs
        Support: ChainNoise
        /// Of the loss's rows, the support of one state after the other
        Timesteps: int[]
        /// ε of these rows, [rows, A]
        Forward: Tensor
    }

/// The actions that the policy learns: J of each state.
[<NoComparison; NoEquality>]
type QipoSupport =
    {
        /// The replay memory's action first, where the settings take it, [B, J, A]
        Action: Tensor
        /// [B, J]; the weights of a state sum to 1
        Weight: Tensor
    }

/// An update under way. What it makes: the support; none until `weighSupport`.
type QipoUpdate = OffPolicyUpdate<QipoModel, QipoNoise, QipoState, QipoSupport option>

/// QIPO: noise prediction on a support of actions, weighted by exp(βQ) over its mean; the minimiser is the score of the support's
/// density times exp(βQ), and after l renewals of the support by the policy itself that of μ·exp(lβQ) (Zhang, Zhang, Gu 2025,
/// arXiv 2503.04975).
[<RequireQualifiedAccess>]
module Qipo =
    /// The networks of settings for a task of these sizes. Raises ArgumentException naming all impossible settings.
    let model (compute: Compute) (space: Space) (config: QipoConfig) : QipoModel =
        let c = Settings.validate QipoConfig.problems config

        { Compute = compute
          Space = space
          Schedule = Schedule.create c.Chain.BetaSchedule c.Chain.Timesteps
          Policy = ChainPolicy.network space [ c.TimeEmbedding ] (NetworkSettings.policy c.Networks c.Hidden)
          Critics = TwinCritics.model compute space c.Hidden c.Networks c.Critics TargetNoiseSettings.off c.Adam
          Config = c }

    /// The traversal of the state.
    let parts: Parts<QipoState> =
        fun visit s ->
            { Policy = visit.Params("policy", s.Policy)
              TargetPolicy = visit.Params("target_policy", s.TargetPolicy)
              SupportPolicy = visit.Params("support_policy", s.SupportPolicy)
              PolicyAdam = visit.Adam("policy", s.PolicyAdam)
              Critics = TwinCritics.parts visit s.Critics
              Updates = visit.Int("updates", s.Updates) }

    /// Fresh networks; the targets and the support's policy start as copies. The caller owns the tensors.
    let init (model: QipoModel) (key: Key) : QipoState =
        let keys = Key.splitMany 4 key

        Tensors.owning (Parts.tensors parts) (fun () ->
            let network = ActionNetwork.initWith model.Config.Networks.InitialWeights model.Compute model.Policy
            let policy = network keys[0]

            { Policy = policy
              TargetPolicy = Params.copy policy
              SupportPolicy = network keys[3]
              PolicyAdam = Adam.init policy
              Critics = TwinCritics.init model.Critics keys[1] keys[2]
              Updates = 0L })

    // ---- weights

    /// softmax(β·Q) over the support of each state. values: [B, J] -> [B, J].
    let weights (beta: float) (values: Tensor) : Tensor = (num beta * values).softmax 1L

    /// Σ_j softmax_j(β·Q)·Q_j. values: [B, M] -> [B].
    let softValue (beta: float) (values: Tensor) : Tensor = (weights beta values * values).sum 1L

    // ---- acting

    /// Actions of a policy by the reverse chain. obs: [B, O]; the noise has P rows a state -> [B, P, A], in [-1, 1].
    let sampled (model: QipoModel) (policy: Params) (noise: ChainNoise) (obs: Tensor) : Tensor =
        ActionChain.sample model.Compute model.Config.Chain model.Schedule model.Policy policy noise obs

    let private chainNoise (model: QipoModel) (rows: int) (key: Key) =
        ChainNoise.draw model.Compute model.Config.Chain.Timesteps rows model.Space.ActionDim key

    let private act (model: QipoModel) (_: Purpose) (state: QipoState) (key: Key) (obs: Tensor) : Acted =
        let struct (_, policy) = ChainPolicy.actor model.Config.AverageActs state.Policy state.TargetPolicy
        let noise = chainNoise model (Tensors.size 0 obs) key

        { Action = (sampled model policy noise obs).squeeze(Nullable 1L); Extras = [] }

    /// What acts in evaluations, as data.
    let private form (model: QipoModel) (state: QipoState) : Result<PolicyForm, string> =
        let c = model.Config

        let struct (leaf, policy) = ChainPolicy.actor model.Config.AverageActs state.Policy state.TargetPolicy

        let network, times = FormChain.timed leaf model.Policy c.Chain.Timesteps policy

        FormChain.reverse ReverseStep.Posterior model.Schedule c.Chain.InitialNoiseScale times network
        |> PolicyForm.chained model.Compute model.Space.ActionDim 1 None id
        |> Ok

    // ---- an update

    /// Does an update after so many only clone the replay memory's actions?
    let clones (c: QipoConfig) (updates: int64) : bool = updates < int64 c.CloneUpdates

    /// Does it renew the support?
    let renews (c: QipoConfig) (updates: int64) : bool =
        not (clones c updates) && (updates - int64 c.CloneUpdates) % int64 c.RenewEvery = 0L

    /// The random numbers of an update; each kind has a key of its own.
    let drawNoise (model: QipoModel) (batchSize: int) (key: Key) : QipoNoise =
        let c = model.Config
        let keys = Key.splitMany 4 key
        let rows = batchSize * (c.SupportActions + (if c.ReplayAction then 1 else 0))

        { Next = chainNoise model (batchSize * c.SupportActions) keys[0]
          Support = chainNoise model (batchSize * c.SupportActions) keys[1]
          Timesteps = Key.integers c.Chain.Timesteps rows keys[2]
          Forward = Key.normal model.Compute [ rows; model.Space.ActionDim ] keys[3] }

    /// An update that has done nothing yet.
    let start (model: QipoModel) (noise: QipoNoise) (batch: Batch) (state: QipoState) : QipoUpdate =
        OffPolicy.start model None noise batch state

    /// The critics' targets y = r·scale + γ(1 - terminated)·Σ_j softmax_j(β·Q̄(s', a'_j))·Q̄(s', a'_j) over M actions of the
    /// policy. [B].
    let criticTarget (u: QipoUpdate) : Tensor =
        let model, s, obs = u.Model, u.State, u.Batch.NextObs
        let actions = sampled model s.Policy u.Noise.Next obs

        TwinCritics.targetValues model.Critics s.Critics obs actions
        |> softValue model.Config.TargetBeta
        |> TwinCritics.target model.Critics u.Batch

    /// One Adam step of both critics towards the targets.
    let evaluateQ (u: QipoUpdate) : QipoUpdate =
        let struct (learned, figures) =
            TwinCritics.learn u.Model.Critics u.Batch (criticTarget u) u.State.Critics

        { u with Next = { u.Next with Critics = learned } } |> OffPolicy.tell figures

    // M new actions of the support's policy behind those of the replay memory, and their weights.
    let private drawn (u: QipoUpdate) (policy: Params) : QipoSupport =
        let model, obs = u.Model, u.Batch.Obs

        Tensors.scoped (fun s -> [ s.Action; s.Weight ]) (fun () ->
            let own = sampled model policy u.Noise.Support obs

            let actions =
                if model.Config.ReplayAction then
                    Tensors.cat 1 [ u.Batch.Action.unsqueeze 1L; own ]
                else
                    own

            { Action = actions
              Weight = TwinCritics.values model.Critics u.Next.Critics obs actions |> weights model.Config.Beta })

    /// The support of each state, renewed where it is due, and its weights by the critics after their step. While the policy
    /// clones, the replay memory's action alone.
    let weighSupport (u: QipoUpdate) : QipoUpdate =
        TwinCritics.needMoved "weighSupport" u.State.Critics u.Next.Critics

        let c, updates = u.Model.Config, u.State.Updates

        if clones c updates then
            let action = u.Batch.Action.unsqueeze 1L
            { u with Made = Some { Action = action; Weight = torch.ones_like (action.select (2L, 0L)) } }
        else
            let policy = if renews c updates then Params.copy u.State.Policy else u.State.SupportPolicy
            let support = drawn u policy
            // 1/Σ g²: of how many actions the policy learns
            let effective = support.Weight.square().sum(1L).reciprocal().mean()

            { u with Made = Some support; Next = { u.Next with SupportPolicy = policy } }
            |> OffPolicy.tell (Map [ "effectiveActions", Tensors.scalar effective ])

    /// The loss, the mean over states of Σ_j g_j·‖ε_θ(s, a_j,t, t_j) - ε_j‖² with t_j and ε_j of each row its own, and its gradient.
    /// Actions and weights are held constant.
    let policyGradient (u: QipoUpdate) (support: QipoSupport) : struct (Tensor * Tensor) =
        let model = u.Model
        let batch, each = Tensors.size 0 support.Action, Tensors.size 1 support.Action
        let rows = batch * each
        let t = u.Noise.Timesteps[.. rows - 1]
        let noise = u.Noise.Forward.narrow (0L, 0L, int64 rows)
        let action = support.Action |> Tensors.reshape [ rows; -1 ]
        let weight = support.Weight |> Tensors.reshape [ rows; 1 ]
        let noised = Diffusion.noised model.Compute model.Schedule t action noise
        let obs = u.Batch.Obs.repeat_interleave (int64 each, Nullable 0L)
        use vjp = ActionNetwork.vjp model.Compute model.Policy u.State.Policy obs noised [ Array.map float t ]
        let error = vjp.Output - noise
        let weighted = error * weight
        let share = 1.0 / float batch

        struct (num share * (weighted * error).sum(), vjp.PullbackParameters(num (2.0 * share) * weighted))

    /// One Adam step of the policy towards the weighted support, and all moving averages.
    let improvePolicy (u: QipoUpdate) : QipoUpdate =
        match u.Made with
        | None -> Stages.lacks "improvePolicy" "the support of this update" "weighSupport"
        | Some support ->
            let c = u.Model.Config
            let struct (loss, gradient) = policyGradient u support

            let struct (policy, optimiser, average) =
                Adam.stepFollowed
                    u.Model.Compute
                    (AdamSettings.ofSettings c.Adam)
                    (LearningRate.at u.State.PolicyAdam.Count c.PolicyRate)
                    gradient
                    u.State.Policy
                    u.State.PolicyAdam
                    c.Critics.Tau
                    u.State.TargetPolicy

            { u with
                Next =
                    { u.Next with
                        Policy = policy
                        PolicyAdam = optimiser
                        TargetPolicy = average
                        Critics = TwinCritics.follow u.Model.Critics u.Next.Critics } }
            |> OffPolicy.tell (OffPolicy.policyFigures loss gradient)

    /// The parts of an update in their order.
    let stages: (string * (QipoUpdate -> QipoUpdate)) list =
        [ "evaluateQ", evaluateQ; "weighSupport", weighSupport; "improvePolicy", improvePolicy ]

    /// The agent of a model.
    let agent (model: QipoModel) : Agent<QipoState, QipoUpdate> =
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

    let private figures: FigureInfo list =
        TwinCritics.figureInfos
        @ OffPolicy.policyFigureInfos false
        @ [ FigureInfo.plain "effectiveActions" "of how many actions of a state the policy learns, 1/Σ g²" ]

    /// The algorithm.
    let algorithm: Algorithm<QipoConfig, QipoState, QipoUpdate> =
        { Name = "qipo"
          Title = "QIPO"
          Published = QipoConfig.published
          Added = []
          Presets =
            [ Preset.tiny 600L QipoConfig.tiny
              Preset.quick QipoConfig.quick
              Preset.laptop QipoConfig.laptop
              { Preset.published QipoConfig.published with
                  Meaning =
                      "the published method online, sizes and β of an implementation by others: HalfCheetah-v4, 1,000,000 environment steps, an update each"
                  Iterations = 1_000_000L } ]
          Problems = QipoConfig.problems
          Figures = figures
          Describe =
            fun c ->
                let replay = if c.ReplayAction then " and the replay action" else ""
                $"β {string c.Beta}, {c.SupportActions} actions{replay}, {c.Chain.Timesteps} timesteps"
          Agent = fun compute space _ config -> agent (model compute space config) }
