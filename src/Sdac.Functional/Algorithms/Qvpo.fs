namespace Sdac.Functional

open System
open TorchSharp

/// All random numbers of one update.
[<NoComparison; NoEquality>]
type QvpoNoise =
    {
        /// For a' on next_obs, `TargetParticles` rows a state
        Next: ChainNoise
        /// For the new actions on the second batch's obs, K rows a state
        New: ChainNoise
        /// Uniform on [0, 1), for the `EntropyActions` of each state, [B·E, A]
        Uniform: Tensor
        /// Of the loss's rows: B chosen actions, then the uniform ones, [B·(1+E)]
        Timesteps: int[]
        /// ε of these rows, [B·(1+E), A]
        Forward: Tensor
    }

/// The actions that the policy learns.
[<NoComparison; NoEquality>]
type QvpoChosen =
    {
        /// [B, A]
        Action: Tensor
        /// [B]
        Weight: Tensor
    }

/// What an update works on beside its batch.
[<NoComparison; NoEquality>]
type QvpoMade =
    {
        /// The policy's, drawn on its own; of this only the states are asked
        PolicyBatch: Batch
        /// None until `chooseActions`, and on updates that do not move the policy
        Chosen: QvpoChosen option
    }

/// An update under way.
type QvpoUpdate = OffPolicyUpdate<QvpoModel, QvpoNoise, QvpoState, QvpoMade>

/// QVPO: a diffusion policy learns the best of its own actions, weighted by its advantage over the others, and uniform actions
/// for entropy (Ding et al. 2024, arXiv 2405.16173).
[<RequireQualifiedAccess>]
module Qvpo =
    /// ω after so many updates: ω₀ for the first one, then ω₀·(1 - steps/steps of the run), but not less than its end.
    let entropyWeight (model: QvpoModel) (updates: int64) : float =
        let c = model.Config
        let warmUp = if c.EntropyCountsWarmUp then float c.Data.WarmUp else 0.0
        let steps updates = warmUp + float updates * float c.Data.Environments / float c.Data.UpdatesPerStep

        if updates = 0L then
            c.EntropyWeight
        else
            max c.EntropyWeightEnd (c.EntropyWeight * (1.0 - steps updates / steps model.Horizon.Iterations))

    /// What the chosen action of each state counts for. values of its K actions: [B, K] -> [B].
    let weights (kind: QvpoWeights) (values: Tensor) : Tensor =
        let best = values.amax [| 1L |]
        let zero, one = num 0.0, num 1.0

        match kind with
        | QvpoWeights.Qadv -> (best - values.mean [| 1L |]).clamp_min zero
        | QvpoWeights.Qrelu -> best.clamp_min zero
        | QvpoWeights.Qcut -> best.clamp_min one
        | QvpoWeights.Qgate -> best * best.gt(one).``float``()

    // ---- an update

    /// The random numbers of an update; each kind has a key of its own.
    let drawNoise (model: QvpoModel) (batchSize: int) (key: Key) : QvpoNoise =
        let c, compute, dim = model.Config, model.Compute, model.Space.ActionDim
        let keys = Key.splitMany 5 key
        let uniform = batchSize * c.EntropyActions
        let rows = batchSize + uniform

        { Next = QvpoPolicy.chainNoise model (batchSize * c.BestOf.TargetParticles) keys[0]
          New = QvpoPolicy.chainNoise model (batchSize * c.TrainingParticles) keys[1]
          Uniform =
            if uniform = 0 then
                Tensors.zeros compute [ 0; dim ]
            else
                Key.uniform compute [ uniform; dim ] keys[2]
          Timesteps = Key.integers c.Chain.Timesteps rows keys[3]
          Forward = Key.normal compute [ rows; dim ] keys[4] }

    /// An update that has done nothing yet.
    let start
        (model: QvpoModel)
        (noise: QvpoNoise)
        (policyBatch: Batch)
        (batch: Batch)
        (state: QvpoState)
        : QvpoUpdate =
        OffPolicy.start model { PolicyBatch = policyBatch; Chosen = None } noise batch state
        |> OffPolicy.tell (Map [ "entropyWeight", entropyWeight model state.Updates ])

    /// Does this update move the policy and the moving averages?
    let movesPolicy (u: QvpoUpdate) = u.State.Updates % int64 u.Model.Config.PolicyDelay = 0L

    /// The critics' targets y = r·scale + γ(1 - terminated)·v(s', a'), v of the critics' moving averages, a' the best of
    /// `TargetParticles`. [B].
    let criticTarget (u: QvpoUpdate) : Tensor =
        let model, s, obs = u.Model, u.State, u.Batch.NextObs
        let critics = model.Critics

        let action =
            if model.Config.AverageTargets then
                QvpoPolicy.sampled model s.TargetPolicy (TwinCritics.targetValues critics s.Critics) u.Noise.Next obs
            else
                QvpoPolicy.sampled model s.Policy (TwinCritics.values critics s.Critics) u.Noise.Next obs

        TwinCritics.targetValue critics s.Critics obs action |> TwinCritics.target critics u.Batch

    /// One Adam step of both critics towards the targets.
    let evaluateQ (u: QvpoUpdate) : QvpoUpdate =
        let c = u.Model.Config

        let bounded =
            match c.GradientClip with
            | Some bound -> TwinCritics.boundedGradients c.ClipCriticsTogether bound
            | None -> fun first second -> struct (first, second)

        let struct (learned, figures) =
            TwinCritics.learnBounded bounded u.Model.Critics u.Batch (criticTarget u) u.State.Critics

        { u with Next = { u.Next with Critics = learned } } |> OffPolicy.tell figures

    /// The best of K actions of the policy for each state of the second batch by the critics after their step, and its weight;
    /// on the updates that move the policy.
    let chooseActions (u: QvpoUpdate) : QvpoUpdate =
        TwinCritics.needMoved "chooseActions" u.State.Critics u.Next.Critics

        if not (movesPolicy u) then
            u
        else
            let model, obs = u.Model, u.Made.PolicyBatch.Obs

            let chosen =
                Tensors.scoped (fun chosen -> [ chosen.Action; chosen.Weight ]) (fun () ->
                    let actions = QvpoPolicy.candidates model u.State.Policy u.Noise.New obs
                    let values = TwinCritics.values model.Critics u.Next.Critics obs actions

                    { Action = (Diffusion.bestOf actions values).Action; Weight = weights model.Config.Weights values })

            { u with Made = { u.Made with Chosen = Some chosen } }
            |> OffPolicy.tell (Map [ "weight", Tensors.scalar (chosen.Weight.mean ()) ])

    /// The loss, the mean over rows and dimensions of weight·(ε_θ(s, a_t, t) - ε)², and its gradient. The rows: the chosen action
    /// of each state, and its uniform ones with ω times the weight. Actions and weights are held constant.
    let policyGradient (u: QvpoUpdate) (chosen: QvpoChosen) : struct (Tensor * Tensor) =
        let model, noise = u.Model, u.Noise
        let each = int64 model.Config.EntropyActions
        let repeated (t: Tensor) = t.repeat_interleave (each, Nullable 0L)
        let both (first: Tensor) (second: Tensor) = Tensors.cat 0 [ first; second ]
        let omega = num (entropyWeight model u.State.Updates)
        let uniform = num 2.0 * noise.Uniform - num 1.0
        let action = both chosen.Action uniform
        let weight = (both chosen.Weight (omega * repeated chosen.Weight)).unsqueeze 1L
        let states = u.Made.PolicyBatch.Obs
        let obs = both states (repeated states)
        let noised = Diffusion.noised model.Compute model.Schedule noise.Timesteps action noise.Forward
        let times = [ Array.map float noise.Timesteps ]
        use vjp = ActionNetwork.vjp model.Compute model.Policy u.State.Policy obs noised times
        let error = vjp.Output - noise.Forward
        let weighted = error * weight
        let share = num (2.0 / float (error.numel ()))
        struct ((weighted * error).mean(), vjp.PullbackParameters(share * weighted))

    /// One Adam step of the policy towards the chosen and the uniform actions, on the updates that move it.
    let improvePolicy (u: QvpoUpdate) : QvpoUpdate =
        match u.Made.Chosen with
        | _ when not (movesPolicy u) -> u
        | None -> Stages.lacks "improvePolicy" "the chosen actions of this update" "chooseActions"
        | Some chosen ->
            let c = u.Model.Config
            let struct (loss, gradient) = policyGradient u chosen

            let struct (policy, optimiser) =
                OffPolicy.step
                    u.Model.Compute
                    c.Adam
                    c.PolicyRate
                    (c.GradientClip |> Option.fold (fun gradient bound -> ActionClimb.bounded bound gradient) gradient)
                    u.State.Policy
                    u.State.PolicyAdam

            { u with Next = { u.Next with Policy = policy; PolicyAdam = optimiser } }
            |> OffPolicy.tell (OffPolicy.policyFigures loss gradient)

    /// All moving averages, on the updates that move the policy.
    let followTargets (u: QvpoUpdate) : QvpoUpdate =
        if not (movesPolicy u) then
            u
        else
            if obj.ReferenceEquals(u.Next.Policy, u.State.Policy) then
                Stages.lacks "followTargets" "the policy's step" "improvePolicy"

            let model, tau = u.Model, u.Model.Config.Critics.Tau

            { u with
                Next =
                    { u.Next with
                        Critics = TwinCritics.follow model.Critics u.Next.Critics
                        TargetPolicy = Polyak.step model.Compute tau u.State.TargetPolicy u.Next.Policy } }

    /// The parts of an update in their order.
    let stages: (string * (QvpoUpdate -> QvpoUpdate)) list =
        [ "evaluateQ", evaluateQ
          "chooseActions", chooseActions
          "improvePolicy", improvePolicy
          "followTargets", followTargets ]

    /// The agent of a model.
    let agent (model: QvpoModel) : Agent<QvpoState, QvpoUpdate> =
        { Compute = model.Compute
          Space = model.Space
          Rhythm = Agent.offPolicy model.Config.Data
          Extras = []
          Distributions = []
          Init = QvpoPolicy.init model
          Parts = QvpoPolicy.parts
          Act = QvpoPolicy.act model
          Form = QvpoPolicy.form model
          Observe = Agent.observeLimits model.Config.TimeLimitsTerminate
          Prepare = Agent.drawFromMemory
          Begin =
            fun table keys state ->
                let size = model.Config.Data.BatchSize
                let struct (policyKey, noiseKey) = Key.split keys.Noise
                let draw key = Replay.sample model.Compute key size table.Memory
                start model (drawNoise model size noiseKey) (draw policyKey) (draw keys.Batch) state
          OnBatch =
            fun change u ->
                let made = { u.Made with PolicyBatch = change u.Made.PolicyBatch }
                OffPolicy.onBatch change { u with Made = made }
          Stages = stages
          Finish = OffPolicy.finish (fun s -> { s with Updates = s.Updates + 1L }) }

    let private figures: FigureInfo list =
        TwinCritics.figureInfos
        @ OffPolicy.policyFigureInfos true
        @ [ { FigureInfo.plain "weight" "the mean weight of the chosen actions" with Carried = true }
            FigureInfo.plain "entropyWeight" "ω, the share of a weight that each uniform action gets" ]

    /// The algorithm.
    let algorithm: Algorithm<QvpoConfig, QvpoState, QvpoUpdate> =
        { Name = "qvpo"
          Title = "QVPO"
          Published = QvpoConfig.published
          Added = []
          Presets =
            [ Preset.tiny 600L QvpoConfig.tiny
              Preset.quick QvpoConfig.quick
              Preset.laptop QvpoConfig.laptop
              { Preset.published QvpoConfig.published with
                  Meaning = "as the authors' code has it, HalfCheetah-v4, 1,000,000 environment steps, an update each"
                  Iterations = 1_000_000L
                  EvaluationEpisodes = 10 }
              Preset.sdacPaper
                  "as the SDAC paper compares it, its slips left out: 200,000 updates, 1,000,000 environment steps"
                  QvpoConfig.sdacPaper ]
          Problems = QvpoConfig.problems
          Figures = figures
          Describe =
            fun c ->
                $"best of {c.TrainingParticles} by {c.Weights}, {c.EntropyActions} uniform, {c.Chain.Timesteps} timesteps"
          Agent = fun compute space horizon config -> agent (QvpoPolicy.model compute space horizon config) }
