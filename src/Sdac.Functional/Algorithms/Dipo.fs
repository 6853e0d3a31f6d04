namespace Sdac.Functional

open System
open TorchSharp

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

/// What an update works on beside its batch.
[<NoComparison; NoEquality>]
type DipoMade =
    {
        Pairs: DipoPairs
        /// The actions after the climb, [B, A]; None until `climbActions`
        Climbed: Tensor option
    }

/// An update under way.
type DipoUpdate = OffPolicyUpdate<DipoModel, DipoNoise, DipoState, DipoMade>

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
        OffPolicy.start model { Pairs = pairs; Climbed = None } noise batch state

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

        { u with Next = { u.Next with Critics = learned } } |> OffPolicy.tell figures

    /// The second batch's actions climb Q by the critics after their step; they are written back where the settings say so.
    let climbActions (u: DipoUpdate) : DipoUpdate =
        TwinCritics.needMoved "climbActions" u.State.Critics u.Next.Critics

        let model, pairs = u.Model, u.Made.Pairs
        let value = TwinCritics.actionValue model.Critics u.Next.Critics
        let climbed = ActionClimb.climb model.Compute model.Config.Climb value pairs.Obs pairs.Action

        let improved =
            if model.Config.Persist then
                u.State.Improved.Put(pairs.Ids, ReadOnlySpan(Tensors.toArray climbed))
            else
                u.State.Improved

        { u with Made = { u.Made with Climbed = Some climbed }; Next = { u.Next with Improved = improved } }
        |> OffPolicy.tell (Map [ "climb", Tensors.scalar ((climbed.sub pairs.Action).abs().mean()) ])

    /// The loss mean (ε_θ(s, a_t, t) - ε)² of noise prediction on these actions and its gradient.
    let policyGradient (u: DipoUpdate) (action: Tensor) : struct (Tensor * Tensor) =
        let model, t = u.Model, u.Noise.Timesteps
        let noised = Diffusion.noised model.Compute model.Schedule t action u.Noise.Forward

        use vjp =
            ActionNetwork.vjp model.Compute model.Policy u.State.Policy u.Made.Pairs.Obs noised [ Array.map float t ]

        let error = vjp.Output.sub u.Noise.Forward
        let share = Scalars.ofFloat (2.0 / float (error.numel ()))
        struct (error.square().mean(), vjp.PullbackParameters(error.mul share))

    /// One Adam step of the policy towards the climbed actions.
    let improvePolicy (u: DipoUpdate) : DipoUpdate =
        match u.Made.Climbed with
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

            { u with Next = { u.Next with Policy = policy; PolicyAdam = optimiser } }
            |> OffPolicy.tell (OffPolicy.policyFigures loss gradient)

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
          OnBatch = OffPolicy.onBatch
          Stages = stages
          Finish = OffPolicy.finish (fun s -> { s with Updates = s.Updates + 1L }) }

    let private figures: FigureInfo list =
        TwinCritics.figureInfos
        @ OffPolicy.policyFigureInfos false
        @ [ FigureInfo.plain "climb" "how far the actions climbed, the mean of |Δa|" ]

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
