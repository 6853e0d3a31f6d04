namespace Sdac.Functional

open System
open TorchSharp

/// All random numbers of one update.
[<NoComparison; NoEquality>]
type DqsNoise =
    {
        /// For a' on next_obs
        Next: DqsActionNoise
        /// For the noise on a', [B, A]; None where the settings add none
        Smoothing: Tensor option
        /// For the new actions on obs; None where the noised actions come from the replay memory
        New: DqsActionNoise option
        /// Uniform on [0, 1), [B]
        Times: float[]
        /// Of the noised actions, [B, A]
        Forward: Tensor
        /// Standard normal, or the uniform numbers that truncated draws are made of, [B, K, A]
        Draws: Tensor
    }

/// An update under way. What it makes: the actions that are noised, [B, A]; none until `reverseSample`, and on updates that do not move
/// the policy.
type DqsUpdate = OffPolicyUpdate<DqsModel, DqsNoise, DqsState, Tensor option>

/// DQS, diffusion Q-sampling, with iDEM's other forms: the score of the noised density exp(Q/τ) is estimated by the critic at K
/// clean actions around a noised one, and regressed (Jain, Akhound-Sadegh, Ravanbakhsh 2025, arXiv 2410.01312; iDEM: arXiv
/// 2402.06121).
[<RequireQualifiedAccess>]
module Dqs =
    // ---- an update

    /// The random numbers of an update; each kind has a key of its own.
    let drawNoise (model: DqsModel) (batchSize: int) (key: Key) : DqsNoise =
        let c, compute, dim = model.Config, model.Compute, model.Space.ActionDim
        let keys = Key.splitMany 6 key
        let draws = [ batchSize; c.MonteCarloDraws; dim ]

        { Next = DqsPolicy.actionNoise model true batchSize c.BestOf.TargetParticles keys[0]
          Smoothing = TwinCritics.smoothingNoise model.Critics [ batchSize; dim ] keys[1]
          New =
            match c.Anchor with
            | DqsAnchor.Replay -> None
            | DqsAnchor.Policy -> Some(DqsPolicy.actionNoise model true batchSize c.BestOf.BehaviourParticles keys[2])
          Times = Key.uniform compute [ batchSize ] keys[3] |> Tensors.toArray |> Array.map float
          Forward = Key.normal compute [ batchSize; dim ] keys[4]
          Draws =
            match c.Draws with
            | DqsDraws.Truncated -> Key.uniform compute draws keys[5]
            | DqsDraws.Free
            | DqsDraws.Clipped -> Key.normal compute draws keys[5] }

    /// An update that has done nothing yet.
    let start (model: DqsModel) (noise: DqsNoise) (batch: Batch) (state: DqsState) : DqsUpdate =
        OffPolicy.start model None noise batch state
        |> OffPolicy.tell (Map [ "temperature", DqsPolicy.temperature model.Config state.Updates ])

    /// Does this update move the policy and the moving averages?
    let movesPolicy (u: DqsUpdate) = u.State.Updates % int64 u.Model.Config.PolicyDelay = 0L

    /// The critics' targets y = r·scale + γ(1 - terminated)·v(s', a'), a' by the online policy. [B].
    let criticTarget (u: DqsUpdate) : Tensor =
        let model, s, obs = u.Model, u.State, u.Batch.NextObs

        let action =
            DqsPolicy.sampled model s s.Policy model.Config.BestOf.TargetParticles u.Noise.Next obs
            |> TwinCritics.smoothed model.Critics u.Noise.Smoothing

        TwinCritics.targetValue model.Critics s.Critics obs action
        |> TwinCritics.target model.Critics u.Batch

    /// One Adam step of both critics towards the targets.
    let evaluateQ (u: DqsUpdate) : DqsUpdate =
        let struct (learned, figures) =
            TwinCritics.learn u.Model.Critics u.Batch (criticTarget u) u.State.Critics

        { u with Next = { u.Next with Critics = learned } } |> OffPolicy.tell figures

    /// The actions that are noised: the batch's, or new ones of the policy; on the updates that move it.
    let reverseSample (u: DqsUpdate) : DqsUpdate =
        let model, s = u.Model, u.State

        match u.Noise.New with
        | _ when not (movesPolicy u) -> u
        | None -> { u with Made = Some u.Batch.Action }
        | Some noise ->
            let particles = model.Config.BestOf.BehaviourParticles
            { u with Made = Some(DqsPolicy.sampled model s s.Policy particles noise u.Batch.Obs) }

    /// The loss, the mean over batch and dimensions of weight·(network - target)², and its gradient. The target is the score,
    /// or -√(1-ᾱ_t) times it where the network gives the noise; held constant.
    let policyGradient (u: DqsUpdate) (value: ActionValue) (action: Tensor) : struct (Tensor * Tensor) =
        let model, c, compute = u.Model, u.Model.Config, u.Model.Compute
        let batch = Tensors.size 0 action
        let tau = DqsPolicy.temperature c u.State.Updates
        let rows = DqsScore.rows model tau u.Noise.Times

        // atanh, with room to its poles
        let place =
            if c.Box = DqsBox.TanhDensity then
                action.clamp(Scalars.ofFloat -0.999, Scalars.ofFloat 0.999).atanh()
            else
                action

        let per values = DqsScore.column compute [ batch; 1 ] values
        let noised = per rows.Keep * place + per rows.Deviation * u.Noise.Forward
        let score = DqsScore.score model value tau rows u.Batch.Obs noised u.Noise.Draws

        let target =
            match c.Process with
            | DqsProcess.Exploding _ -> score
            | DqsProcess.Preserving _ -> score * per (rows.Deviation |> Array.map (~-))

        use vjp = ActionNetwork.vjp compute model.Policy u.State.Policy u.Batch.Obs noised rows.Times
        let error = vjp.Output - target
        let weighed = error * per rows.Weight
        let share = num (2.0 / float (error.numel ()))
        struct ((weighed * error).mean(), vjp.PullbackParameters(share * weighed))

    /// One Adam step of the policy towards the estimated score, and all moving averages, on the updates that move them.
    let matchScore (u: DqsUpdate) : DqsUpdate =
        TwinCritics.needMoved "matchScore" u.State.Critics u.Next.Critics

        match u.Made with
        | _ when not (movesPolicy u) -> u
        | None -> Stages.lacks "matchScore" "the actions of this update" "reverseSample"
        | Some action ->
            let c = u.Model.Config
            let critics = if c.SteppedCritics then u.Next.Critics else u.State.Critics
            let struct (loss, gradient) = policyGradient u (TwinCritics.actionValue u.Model.Critics critics) action

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

    /// The step of the exploration noise's λ, on the updates that move it.
    let tuneExploration (u: DqsUpdate) : DqsUpdate =
        let e = u.Model.Config.Exploration

        if e.TemperatureLearningRate = 0.0 || u.State.Updates % int64 e.TemperatureDelay <> 0L then
            u
        else
            let adam = AdamSettings.ofSettings u.Model.Config.Adam

            let moved =
                Temperature.step
                    adam
                    e.TemperatureLearningRate
                    e.TargetEntropyPerDim
                    u.Model.Space.ActionDim
                    u.State.Exploration

            { u with Next = { u.Next with Exploration = moved } }

    /// The parts of an update in their order.
    let stages: (string * (DqsUpdate -> DqsUpdate)) list =
        [ "evaluateQ", evaluateQ
          "reverseSample", reverseSample
          "matchScore", matchScore
          "tuneExploration", tuneExploration ]

    /// The agent of a model.
    let agent (model: DqsModel) : Agent<DqsState, DqsUpdate> =
        { Compute = model.Compute
          Space = model.Space
          Rhythm = Agent.offPolicy model.Config.Data
          Extras = []
          Distributions = []
          Init = DqsPolicy.init model
          Parts = DqsPolicy.parts
          Act = DqsPolicy.act model
          Form = DqsPolicy.form model
          Observe = Agent.observeLimits model.Config.TimeLimitsTerminate
          Prepare = Agent.drawFromMemory
          Begin = OffPolicy.beginning model.Compute model.Config.Data (drawNoise model) (start model)
          OnBatch = OffPolicy.onBatch
          Stages = stages
          Finish = OffPolicy.finish (fun s -> { s with Updates = s.Updates + 1L }) }

    let private figures: FigureInfo list =
        TwinCritics.figureInfos
        @ OffPolicy.policyFigureInfos true
        @ [ { FigureInfo.plain "temperature" "the temperature τ" with Headline = Some "τ" } ]

    /// The algorithm.
    let algorithm: Algorithm<DqsConfig, DqsState, DqsUpdate> =
        { Name = "dqs"
          Title = "DQS"
          Published = DqsConfig.published
          Added = []
          Presets =
            [ Preset.tiny 600L DqsConfig.tiny
              Preset.quick DqsConfig.quick
              Preset.laptop DqsConfig.laptop
              { Preset.published DqsConfig.published with
                  Meaning = "as the authors have it, HalfCheetah-v4, 1,000,000 environment steps, an update each"
                  Iterations = 1_000_000L }
              Preset.sdacPaper
                  "iDEM as the SDAC paper compares it: 200,000 updates, 1,000,000 environment steps"
                  DqsConfig.sdacPaper ]
          Problems = DqsConfig.problems
          Figures = figures
          Describe = fun c -> $"τ {string c.Temperature}, {c.MonteCarloDraws} draws, {c.Timesteps} timesteps"
          Agent = fun compute space _ config -> agent (DqsPolicy.model compute space config) }
