namespace Sdac

open System
open TorchSharp

/// Every setting of DIPO.
type DipoConfig =
    {
        /// Widths of the hidden layers of all networks; none: linear networks
        Hidden: int list
        Networks: NetworkSettings
        /// What follows the linear maps of the policy's hidden layers; `Networks` has the critics'
        PolicyActivation: HiddenActivation
        /// How the policy is told t
        TimeEmbedding: TimeEmbedding
        Data: DataSettings
        Chain: ChainSettings
        Critics: CriticSettings
        Adam: AdamSettings
        /// Largest norm of the policy's gradient, and of the critics'
        GradientClip: float
        /// The critics' gradients are bounded together, as those of one module; otherwise each on its own
        ClipCriticsTogether: bool
        Climb: ClimbSettings
        /// Climbed actions are written back and climb further the next time (the paper); otherwise every climb starts from the
        /// action that was done (what the authors' code does)
        Persist: bool
        /// The policy's moving average moves on every such-th update
        PolicyTargetEvery: int
        /// Evaluations draw no noise along the chain, but for its start
        QuietEvaluation: bool
        /// Time limits count as terminations: no bootstrap behind them (the authors')
        TimeLimitsTerminate: bool
    }

[<RequireQualifiedAccess>]
module DipoConfig =
    /// The authors' settings for HalfCheetah. Their code loses what it writes back, and their figures are that code's; time limits
    /// bootstrap here.
    let published: DipoConfig =
        { Hidden = [ 256; 256; 256 ]
          Networks = { NetworkSettings.mish with InitialWeights = InitialWeights.HalfNormal }
          PolicyActivation = HiddenActivation.Mish
          TimeEmbedding = TimeEmbedding.Dipo
          Data =
            { Environments = 1
              UpdatesPerStep = 1
              WarmUp = 10_000
              BatchSize = 256
              BufferCapacity = 1_000_000 }
          Chain = { Timesteps = 100; BetaSchedule = BetaSchedule.Cosine; InitialNoiseScale = 1.0 }
          Critics = CriticSettings.usual
          Adam = { AdamSettings.usual 3e-4 with AdamEpsilon = 1e-5 }
          GradientClip = 2.0
          ClipCriticsTogether = true
          Climb = { ClimbSettings.usual with ClimbSteps = 40; ClimbBound = ClimbBound.PerDimension 0.08 }
          Persist = false
          PolicyTargetEvery = 2
          QuietEvaluation = true
          TimeLimitsTerminate = false }

    /// As the SDAC paper's comparison ran it: what is climbed is written back; five environments and one update a step.
    let sdacPaper: DipoConfig =
        { published with
            Networks.InitialWeights = InitialWeights.CutNormal
            Networks.Activation = HiddenActivation.Relu
            PolicyActivation = HiddenActivation.Relu
            TimeEmbedding = TimeEmbedding.Bare
            Data.Environments = 5
            Data.WarmUp = 30_000
            Chain = { Timesteps = 100; BetaSchedule = BetaSchedule.Linear 0.3; InitialNoiseScale = 0.5 }
            Adam = AdamSettings.usual 3e-4
            // their 2 for gradients of half our losses: Adam's steps are the same
            GradientClip = 4.0
            ClipCriticsTogether = false
            Climb = { ClimbSteps = 30; ClimbRate = 0.03; ClimbEpsilon = 1e-8; ClimbBound = ClimbBound.Fixed 0.16 }
            Persist = true
            PolicyTargetEvery = 2
            QuietEvaluation = false }

    /// InvertedPendulum-v4 in a minute or two.
    let quick: DipoConfig =
        { published with
            Hidden = [ 64; 64 ]
            TimeEmbedding = TimeEmbedding.Dacer
            Data.Environments = 2
            Data.WarmUp = 1_000
            Data.BatchSize = 128
            Data.BufferCapacity = 100_000
            Chain.Timesteps = 10
            Critics.Tau = 0.02
            Adam.LearningRate = 1e-3
            Climb =
                { ClimbSettings.usual with
                    ClimbSteps = 10
                    ClimbRate = 0.1
                    ClimbBound = ClimbBound.PerDimension 1.0 }
            Persist = true
            PolicyTargetEvery = 1 }

    /// Learns the contract's task in seconds.
    let tiny: DipoConfig =
        { quick with
            Hidden = [ 32; 32 ]
            Data.Environments = 4
            Data.WarmUp = 200
            Data.BatchSize = 64
            Data.BufferCapacity = 20_000
            Chain.Timesteps = 5
            Adam.LearningRate = 3e-3 }

    /// HalfCheetah-v4 on two cores: 100,000 environment steps at two updates per step of four environments.
    let laptop: DipoConfig =
        { published with
            Hidden = [ 128; 128 ]
            Data.Environments = 4
            Data.UpdatesPerStep = 2
            Chain.Timesteps = 10
            Critics.Tau = 0.01
            Adam.LearningRate = 1e-3
            Climb = { ClimbSettings.usual with ClimbSteps = 10 }
            Persist = true
            PolicyTargetEvery = 1 }

    /// What is impossible in these settings, one sentence each; empty when they can be used.
    let problems (c: DipoConfig) : string list =
        [ Check.widths (nameof c.Hidden) c.Hidden
          NetworkSettings.problems c.Networks
          DataSettings.problems c.Data
          ChainSettings.problems c.Chain
          CriticSettings.problems c.Critics
          AdamSettings.problems c.Adam
          Check.positive (nameof c.GradientClip) c.GradientClip
          ClimbSettings.problems c.Climb
          Check.atLeast (nameof c.PolicyTargetEvery) 1 c.PolicyTargetEvery ]
        |> List.concat

/// What settings and sizes fix.
[<NoComparison; NoEquality>]
type DipoModel =
    {
        Compute: Compute
        Space: Space
        Schedule: Schedule
        /// Predicts ε
        Policy: ActionNetwork
        Critics: TwinCriticsModel
        Config: DipoConfig
    }

/// Everything that training changes.
[<NoComparison; NoEquality>]
type DipoState =
    {
        Policy: Params
        TargetPolicy: Params
        PolicyAdam: AdamState
        Critics: TwinCritics
        /// The second set of actions, one for each transition of the memory; without rows where nothing is written back
        Improved: Column
        /// Updates done
        Updates: int64
    }

/// All random numbers of one update.
[<NoComparison; NoEquality>]
type DipoNoise =
    {
        /// For a' on next_obs
        Next: ChainNoise
        /// [B]
        Timesteps: int[]
        /// ε of the policy's rows, [B, A]
        Forward: Tensor
    }

/// The states and actions that climb: a batch of its own.
[<NoComparison; NoEquality>]
type DipoPairs =
    {
        /// The transitions' ids
        Ids: int64[]
        /// [B, O]
        Obs: Tensor
        /// Before the climb, [B, A]
        Action: Tensor
    }

/// An update under way.
[<NoComparison; NoEquality>]
type DipoUpdate =
    {
        Model: DipoModel
        Batch: Batch
        Pairs: DipoPairs
        Noise: DipoNoise
        State: DipoState
        Next: DipoState
        /// The actions after the climb, [B, A]; None until `climbActions`
        Climbed: Tensor option
        Figures: Figures
    }

/// DIPO: actions of the replay memory climb the critic by gradient steps, and a diffusion policy is fitted to them (Yang et al.
/// 2023, arXiv 2305.13122).
[<RequireQualifiedAccess>]
module Dipo =
    /// The networks of settings for a task of these sizes. Raises ArgumentException naming all impossible settings.
    let model (compute: Compute) (space: Space) (config: DipoConfig) : DipoModel =
        let c = Settings.validate DipoConfig.problems config
        let networks = { c.Networks with Activation = c.PolicyActivation }

        { Compute = compute
          Space = space
          Schedule = Schedule.create c.Chain.BetaSchedule c.Chain.Timesteps
          Policy =
            ActionNetwork.create
                space.ObsDim
                space.ActionDim
                [ c.TimeEmbedding ]
                (ActionLayers.Plain(NetworkSettings.policy networks c.Hidden))
          Critics = TwinCritics.model compute space c.Hidden c.Networks c.Critics TargetNoiseSettings.off c.Adam
          Config = c }

    /// The traversal of the state.
    let parts: Parts<DipoState> =
        fun visit s ->
            { Policy = visit.Params("policy", s.Policy)
              TargetPolicy = visit.Params("target_policy", s.TargetPolicy)
              PolicyAdam = visit.Adam("policy", s.PolicyAdam)
              Critics = TwinCritics.parts visit s.Critics
              Improved = visit.Rows("improved_action", s.Improved)
              Updates = visit.Int("updates", s.Updates) }

    /// Fresh networks; the targets start as copies. The caller owns the tensors.
    let init (model: DipoModel) (key: Key) : DipoState =
        let keys = Key.splitMany 3 key

        Tensors.owning (Parts.tensors parts) (fun () ->
            let policy =
                ActionNetwork.initWith model.Config.Networks.InitialWeights model.Compute model.Policy keys[0]

            { Policy = policy
              TargetPolicy = Params.copy policy
              PolicyAdam = Adam.init policy
              Critics = TwinCritics.init model.Critics keys[1] keys[2]
              Improved = Column.Empty(model.Space.ActionDim, 0L)
              Updates = 0L })

    // ---- acting

    /// One action per state by the reverse chain. obs: [B, O]; quiet: no noise but the chain's start -> [B, A], in [-1, 1].
    let sampled (model: DipoModel) (policy: Params) (quiet: bool) (noise: ChainNoise) (obs: Tensor) : Tensor =
        Tensors.scoped List.singleton (fun () ->
            let chain = model.Config.Chain
            let times = [ Array.init chain.Timesteps float ]
            let predict = ActionNetwork.along model.Compute model.Policy policy obs times
            let z i = if quiet then None else Some noise.Steps[i]

            num chain.InitialNoiseScale * noise.Initial
            |> Diffusion.reverseBy ReverseStep.Posterior model.Schedule predict z)

    let private chainNoise (model: DipoModel) (rows: int) (key: Key) =
        ChainNoise.draw model.Compute model.Config.Chain.Timesteps rows model.Space.ActionDim key

    let private act (model: DipoModel) (purpose: Purpose) (state: DipoState) (key: Key) (obs: Tensor) : Acted =
        let quiet = purpose = Purpose.Evaluate && model.Config.QuietEvaluation

        { Action = sampled model state.Policy quiet (chainNoise model (Tensors.size 0 obs) key) obs
          Extras = [] }

    /// What acts in evaluations, as data.
    let private form (model: DipoModel) (state: DipoState) : Result<PolicyForm, string> =
        let c = model.Config
        let network, times = FormChain.timed "policy" model.Policy c.Chain.Timesteps state.Policy

        let chain =
            FormChain.reverse ReverseStep.Posterior model.Schedule c.Chain.InitialNoiseScale times network

        (if c.QuietEvaluation then
             FormChain.spread (Array.zeroCreate c.Chain.Timesteps) chain
         else
             chain)
        |> PolicyForm.chained model.Compute model.Space.ActionDim 1 None id
        |> Ok

    // ---- an update

    /// The random numbers of an update; each kind has a key of its own.
    let drawNoise (model: DipoModel) (batchSize: int) (key: Key) : DipoNoise =
        let keys = Key.splitMany 3 key

        { Next = chainNoise model batchSize keys[0]
          Timesteps = Key.integers model.Config.Chain.Timesteps batchSize keys[1]
          Forward = Key.normal model.Compute [ batchSize; model.Space.ActionDim ] keys[2] }

    /// The second batch: its actions are those of the column, or the memory's own where nothing is written back.
    let pairs (model: DipoModel) (memory: Replay) (improved: Column) (key: Key) (size: int) : DipoPairs =
        let indices = Replay.sampleIndices key size memory
        let oldest = memory.Appended - int64 memory.Count
        let ids = indices |> Array.map (fun i -> oldest + int64 i)
        let stored = Replay.gather model.Compute indices memory

        { Ids = ids
          Obs = stored.Obs
          Action =
            if model.Config.Persist then
                Tensors.ofArray model.Compute [ size; model.Space.ActionDim ] (improved.Gather ids)
            else
                stored.Action }

    /// An update that has done nothing yet.
    let start (model: DipoModel) (noise: DipoNoise) (pairs: DipoPairs) (batch: Batch) (state: DipoState) : DipoUpdate =
        { Model = model
          Batch = batch
          Pairs = pairs
          Noise = noise
          State = state
          Next = state
          Climbed = None
          Figures = Map.empty }

    /// The critics' targets y = r·scale + γ(1 - terminated)·v(s', a'), a' by the policy's moving average. [B].
    let criticTarget (u: DipoUpdate) : Tensor =
        let model, s, obs = u.Model, u.State, u.Batch.NextObs
        let action = sampled model s.TargetPolicy false u.Noise.Next obs

        TwinCritics.targetValue model.Critics s.Critics obs action
        |> TwinCritics.target model.Critics u.Batch

    /// One Adam step of both critics towards the targets.
    let evaluateQ (u: DipoUpdate) : DipoUpdate =
        let c = u.Model.Config
        let bounded = TwinCritics.boundedGradients c.ClipCriticsTogether c.GradientClip

        let struct (learned, figures) =
            TwinCritics.learnBounded bounded u.Model.Critics u.Batch (criticTarget u) u.State.Critics

        { u with Next = { u.Next with Critics = learned }; Figures = figures }

    /// The second batch's actions climb Q by the critics after their step; they are written back where the settings say so.
    let climbActions (u: DipoUpdate) : DipoUpdate =
        if obj.ReferenceEquals(u.Next.Critics.Q1, u.State.Critics.Q1) then
            Stages.lacks "climbActions" "the critics' step" "evaluateQ"

        let model, pairs = u.Model, u.Pairs
        let value = TwinCritics.actionValue model.Critics u.Next.Critics
        let climbed = ActionClimb.climb model.Compute model.Config.Climb value pairs.Obs pairs.Action

        let improved =
            if model.Config.Persist then
                u.State.Improved.Put(pairs.Ids, ReadOnlySpan(Tensors.toArray climbed))
            else
                u.State.Improved

        { u with
            Climbed = Some climbed
            Next = { u.Next with Improved = improved }
            Figures = u.Figures |> Map.add "climb" (Tensors.scalar ((climbed.sub pairs.Action).abs().mean())) }

    /// The loss mean (ε_θ(s, a_t, t) - ε)² of noise prediction on these actions and its gradient.
    let policyGradient (u: DipoUpdate) (action: Tensor) : struct (Tensor * Tensor) =
        let model, t = u.Model, u.Noise.Timesteps
        let noised = Diffusion.noised model.Compute model.Schedule t action u.Noise.Forward

        use vjp =
            ActionNetwork.vjp model.Compute model.Policy u.State.Policy u.Pairs.Obs noised [ Array.map float t ]

        let error = vjp.Output.sub u.Noise.Forward
        let share = Scalars.ofFloat (2.0 / float (error.numel ()))
        struct (error.square().mean(), vjp.PullbackParameters(error.mul share))

    /// One Adam step of the policy towards the climbed actions.
    let improvePolicy (u: DipoUpdate) : DipoUpdate =
        match u.Climbed with
        | None -> Stages.lacks "improvePolicy" "the climbed actions of this update" "climbActions"
        | Some action ->
            let c = u.Model.Config
            let struct (loss, gradient) = policyGradient u action

            let struct (policy, optimiser) =
                Adam.step
                    u.Model.Compute
                    (AdamSettings.ofSettings c.Adam)
                    c.Adam.LearningRate
                    (ActionClimb.bounded c.GradientClip gradient)
                    u.State.Policy
                    u.State.PolicyAdam

            { u with
                Next = { u.Next with Policy = policy; PolicyAdam = optimiser }
                Figures =
                    u.Figures
                    |> Map.add "policyLoss" (Tensors.scalar loss)
                    |> Map.add "policyGradientNorm" (Tensors.norm gradient) }

    /// The moving averages of the critics, and of the policy on the updates that move it. The authors count from 1.
    let followTargets (u: DipoUpdate) : DipoUpdate =
        if obj.ReferenceEquals(u.Next.Policy, u.State.Policy) then
            Stages.lacks "followTargets" "the policy's step" "improvePolicy"

        let model = u.Model

        let average =
            if (u.State.Updates + 1L) % int64 model.Config.PolicyTargetEvery = 0L then
                Polyak.step model.Compute model.Config.Critics.Tau u.State.TargetPolicy u.Next.Policy
            else
                u.State.TargetPolicy

        { u with
            Next = { u.Next with Critics = TwinCritics.follow model.Critics u.Next.Critics; TargetPolicy = average } }

    /// The parts of an update in their order.
    let stages: (string * (DipoUpdate -> DipoUpdate)) list =
        [ "evaluateQ", evaluateQ
          "climbActions", climbActions
          "improvePolicy", improvePolicy
          "followTargets", followTargets ]

    let private finish (u: DipoUpdate) : Finished<DipoState> =
        { State = { u.Next with Updates = u.State.Updates + 1L }
          Figures = u.Figures
          Tallies = []
          Verdict = Verdict.Continue }

    /// The agent of a model.
    let agent (model: DipoModel) : Agent<DipoState, DipoUpdate> =
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
          Prepare =
            fun key memory state ->
                let followed =
                    if model.Config.Persist then
                        { state with Improved = Column.follow memory state.Improved }
                    else
                        state

                Agent.drawFromMemory key memory followed
          Begin =
            fun table keys state ->
                let size = model.Config.Data.BatchSize
                let struct (pairsKey, noiseKey) = Key.split keys.Noise
                let batch = Replay.sample model.Compute keys.Batch size table.Memory
                let pairs = pairs model table.Memory state.Improved pairsKey size
                start model (drawNoise model size noiseKey) pairs batch state
          OnBatch = fun change u -> { u with Batch = change u.Batch }
          Stages = stages
          Finish = finish }

    let private figures: FigureInfo list =
        TwinCritics.figureInfos
        @ [ { FigureInfo.finite "policyLoss" "the policy loss" with Headline = Some "policy loss" }
            FigureInfo.finite "policyGradientNorm" "the gradient of the policy"
            FigureInfo.plain "climb" "how far the actions climbed, the mean of |Δa|" ]

    /// The algorithm.
    let algorithm: Algorithm<DipoConfig, DipoState, DipoUpdate> =
        { Name = "dipo"
          Title = "DIPO"
          Published = DipoConfig.published
          Added = []
          Presets =
            [ Preset.tiny 600L DipoConfig.tiny
              Preset.quick DipoConfig.quick
              Preset.laptop DipoConfig.laptop
              { Preset.published DipoConfig.published with
                  Meaning = "as the authors' code has it, HalfCheetah-v4, 1,000,000 environment steps, an update each"
                  Iterations = 1_000_000L
                  EvaluationEpisodes = 10 }
              Preset.sdacPaper
                  "as the SDAC paper compares it: 200,000 updates, 1,000,000 environment steps"
                  DipoConfig.sdacPaper ]
          Problems = DipoConfig.problems
          Figures = figures
          Describe =
            fun c ->
                let kept = if c.Persist then "written back" else "not written back"
                $"{c.Climb.ClimbSteps} action steps, {kept}, {c.Chain.Timesteps} timesteps"
          Agent = fun compute space _ config -> agent (model compute space config) }
