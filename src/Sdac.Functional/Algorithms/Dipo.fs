namespace Sdac.Functional

open System

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
    // ---- an update

    /// The random numbers of an update; each kind has a key of its own.
    let drawNoise (model: DipoModel) (batchSize: int) (key: Key) : DipoNoise =
        let keys = Key.splitMany 3 key

        { Next = DipoPolicy.chainNoise model batchSize keys[0]
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
        let action = DipoPolicy.sampled model s.TargetPolicy false u.Noise.Next obs

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
          Init = DipoPolicy.init model
          Parts = DipoPolicy.parts
          Act = DipoPolicy.act model
          Form = DipoPolicy.form model
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
          Agent = fun compute space _ config -> agent (DipoPolicy.model compute space config) }
