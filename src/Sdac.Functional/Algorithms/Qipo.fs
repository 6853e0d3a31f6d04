namespace Sdac

open System
open TorchSharp

/// Every setting of QIPO.
type QipoConfig =
    {
        /// Widths of the hidden layers of all networks; none: linear networks
        Hidden: int list
        Networks: NetworkSettings
        /// How the policy is told t
        TimeEmbedding: TimeEmbedding
        Data: DataSettings
        Chain: ChainSettings
        /// M, actions of the policy in the support of a state, and behind its critics' targets
        SupportActions: int
        /// The support holds the replay memory's action too (the paper's). Without it, and renewed on every update, this is DPMD
        /// with a softmax over the particles of a state
        ReplayAction: bool
        /// β of the policy's weights, softmax(β·Q) over a state's support
        Beta: float
        /// β of the critics' targets, Σ softmax(β·Q̄)·Q̄
        TargetBeta: float
        /// K_renew: the support's actions are drawn from the policy as it was on every such-th update; 1: from the policy itself.
        /// Each renewal adds a β to what the policy has learned of Q
        RenewEvery: int
        /// Updates at the start in which the policy learns the replay memory's actions as they are (the paper's warm-up)
        CloneUpdates: int
        /// The policy's moving average acts and is evaluated; otherwise the policy itself
        AverageActs: bool
        Critics: CriticSettings
        Adam: AdamSettings
        /// The policy's learning rate over its updates
        PolicyRate: LearningRate
        /// Time limits count as terminations: no bootstrap behind them
        TimeLimitsTerminate: bool
    }

[<RequireQualifiedAccess>]
module QipoConfig =
    /// The authors report offline runs, and their M, β and T for a task are not known: sizes, M and β are those of an
    /// implementation by others, the chain and the rhythm this library's.
    let published: QipoConfig =
        { Hidden = [ 512; 512; 512; 512 ]
          Networks = { NetworkSettings.mish with CriticLayerNorm = Some 1e-5 }
          TimeEmbedding = TimeEmbedding.Dacer
          Data =
            { Environments = 1
              UpdatesPerStep = 1
              WarmUp = 10_000
              BatchSize = 256
              BufferCapacity = 1_000_000 }
          Chain = { Timesteps = 20; BetaSchedule = BetaSchedule.Cosine; InitialNoiseScale = 1.0 }
          SupportActions = 4
          ReplayAction = true
          Beta = 1.0
          TargetBeta = 1.0
          RenewEvery = 1
          CloneUpdates = 0
          AverageActs = false
          Critics = { CriticSettings.usual with QReduction = QReduction.Mean }
          Adam = AdamSettings.usual 3e-4
          PolicyRate = LearningRate.Constant 3e-4
          TimeLimitsTerminate = false }

    /// InvertedPendulum-v4 in a minute or two.
    let quick: QipoConfig =
        { published with
            Hidden = [ 64; 64 ]
            Networks.CriticLayerNorm = None
            Data.Environments = 2
            Data.WarmUp = 1_000
            Data.BatchSize = 128
            Data.BufferCapacity = 100_000
            Chain.Timesteps = 10
            SupportActions = 8
            Beta = 10.0
            Critics.QReduction = QReduction.Minimum
            Critics.Tau = 0.02
            Adam.LearningRate = 1e-3
            PolicyRate = LearningRate.LinearDecay(1e-3, 1e-5, 10_000L, 8_000L)
            AverageActs = true }

    /// Learns the contract's task in seconds.
    let tiny: QipoConfig =
        { quick with
            Hidden = [ 32; 32 ]
            Data.Environments = 4
            Data.WarmUp = 200
            Data.BatchSize = 64
            Data.BufferCapacity = 20_000
            Chain.Timesteps = 5
            AverageActs = false
            Adam.LearningRate = 3e-3
            PolicyRate = LearningRate.Constant 3e-3 }

    /// HalfCheetah-v4 on two cores: 100,000 environment steps at two updates per step of four environments.
    let laptop: QipoConfig =
        { published with
            Hidden = [ 128; 128 ]
            Data.Environments = 4
            Data.UpdatesPerStep = 2
            Chain.Timesteps = 10
            SupportActions = 8
            Critics.Tau = 0.01
            Adam.LearningRate = 1e-3
            PolicyRate = LearningRate.Constant 1e-3 }

    /// What is impossible in these settings, one sentence each; empty when they can be used.
    let problems (c: QipoConfig) : string list =
        [ Check.widths (nameof c.Hidden) c.Hidden
          NetworkSettings.problems c.Networks
          DataSettings.problems c.Data
          ChainSettings.problems c.Chain
          Check.atLeast (nameof c.SupportActions) 1 c.SupportActions
          [ if c.SupportActions = 1 && not c.ReplayAction then
                "SupportActions is 1 without the replay memory's action: its weight would be 1 whatever Q says and nothing would be learned; take at least 2, or ReplayAction = true" ]
          Check.within (nameof c.Beta) 0.0 1e6 c.Beta
          Check.within (nameof c.TargetBeta) 0.0 1e6 c.TargetBeta
          Check.atLeast (nameof c.RenewEvery) 1 c.RenewEvery
          Check.atLeast (nameof c.CloneUpdates) 0 c.CloneUpdates
          CriticSettings.problems c.Critics
          AdamSettings.problems c.Adam
          LearningRate.problems (nameof c.PolicyRate) c.PolicyRate ]
        |> List.concat

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

/// An update under way.
[<NoComparison; NoEquality>]
type QipoUpdate =
    {
        Model: QipoModel
        Batch: Batch
        Noise: QipoNoise
        State: QipoState
        Next: QipoState
        /// None until `weighSupport`
        Support: QipoSupport option
        Figures: Figures
    }

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
          Policy =
            ActionNetwork.create
                space.ObsDim
                space.ActionDim
                [ c.TimeEmbedding ]
                (ActionLayers.Plain(NetworkSettings.policy c.Networks c.Hidden))
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
        let policy = if model.Config.AverageActs then state.TargetPolicy else state.Policy
        let noise = chainNoise model (Tensors.size 0 obs) key

        { Action = (sampled model policy noise obs).squeeze(Nullable 1L); Extras = [] }

    /// What acts in evaluations, as data.
    let private form (model: QipoModel) (state: QipoState) : Result<PolicyForm, string> =
        let c = model.Config

        let struct (leaf, policy) =
            if c.AverageActs then
                struct ("target_policy", state.TargetPolicy)
            else
                struct ("policy", state.Policy)

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
        { Model = model
          Batch = batch
          Noise = noise
          State = state
          Next = state
          Support = None
          Figures = Map.empty }

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

        { u with Next = { u.Next with Critics = learned }; Figures = figures }

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
        if obj.ReferenceEquals(u.Next.Critics.Q1, u.State.Critics.Q1) then
            Stages.lacks "weighSupport" "the critics' step" "evaluateQ"

        let c, updates = u.Model.Config, u.State.Updates

        if clones c updates then
            let action = u.Batch.Action.unsqueeze 1L
            { u with Support = Some { Action = action; Weight = torch.ones_like (action.select (2L, 0L)) } }
        else
            let policy = if renews c updates then Params.copy u.State.Policy else u.State.SupportPolicy
            let support = drawn u policy
            // 1/Σ g²: of how many actions the policy learns
            let effective = support.Weight.square().sum(1L).reciprocal().mean()

            { u with
                Support = Some support
                Next = { u.Next with SupportPolicy = policy }
                Figures = u.Figures |> Map.add "effectiveActions" (Tensors.scalar effective) }

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
        match u.Support with
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
                        Critics = TwinCritics.follow u.Model.Critics u.Next.Critics }
                Figures =
                    u.Figures
                    |> Map.add "policyLoss" (Tensors.scalar loss)
                    |> Map.add "policyGradientNorm" (Tensors.norm gradient) }

    /// The parts of an update in their order.
    let stages: (string * (QipoUpdate -> QipoUpdate)) list =
        [ "evaluateQ", evaluateQ; "weighSupport", weighSupport; "improvePolicy", improvePolicy ]

    let private finish (u: QipoUpdate) : Finished<QipoState> =
        { State = { u.Next with Updates = u.State.Updates + 1L }
          Figures = u.Figures
          Tallies = []
          Verdict = Verdict.Continue }

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
        @ [ { FigureInfo.finite "policyLoss" "the policy loss" with Headline = Some "policy loss" }
            FigureInfo.finite "policyGradientNorm" "the gradient of the policy"
            FigureInfo.plain "effectiveActions" "of how many actions of a state the policy learns, 1/Σ g²" ]

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
