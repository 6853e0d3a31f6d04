namespace Sdac.Functional

open System
open TorchSharp

/// What settings and sizes fix.
[<NoComparison; NoEquality>]
type Td3Model =
    {
        Compute: Compute
        Space: Space
        /// Ends in tanh
        Policy: Sdac.Kernels.MlpShape
        Critics: TwinCriticsModel
        Config: Td3Config
    }

/// Everything that training changes.
[<NoComparison; NoEquality>]
type Td3State =
    {
        Policy: Params
        TargetPolicy: Params
        PolicyAdam: AdamState
        Critics: TwinCritics
        /// Updates done
        Updates: int64
    }

/// All random numbers of one update, standard normal.
[<NoComparison; NoEquality>]
type Td3Noise =
    {
        /// For the smoothing of a', [B·N, A], the candidates of a state in a row; None where the settings smooth nothing
        Smoothing: Tensor option
    }

/// An update under way.
type Td3Update = OffPolicyUpdate<Td3Model, Td3Noise, Td3State, unit>

/// TD3: a deterministic policy, twin critics and their minimum, smoothed target actions, a slower policy (Fujimoto, van Hoof,
/// Meger 2018, arXiv 1802.09477).
[<RequireQualifiedAccess>]
module Td3 =
    /// The networks of settings for a task of these sizes. Raises ArgumentException naming all impossible settings.
    let model (compute: Compute) (space: Space) (config: Td3Config) : Td3Model =
        let c = Settings.validate Td3Config.problems config

        { Compute = compute
          Space = space
          Policy =
            HiddenLayers.shapeTo
                Sdac.Kernels.Activation.Tanh
                space.ObsDim
                (NetworkSettings.policy c.Networks c.Hidden)
                space.ActionDim
          Critics = TwinCritics.model compute space c.Hidden c.Networks c.Critics c.TargetNoise c.Adam
          Config = c }

    /// The traversal of the state.
    let parts: Parts<Td3State> =
        fun visit s ->
            { Policy = visit.Params("policy", s.Policy)
              TargetPolicy = visit.Params("target_policy", s.TargetPolicy)
              PolicyAdam = visit.Adam("policy", s.PolicyAdam)
              Critics = TwinCritics.parts visit s.Critics
              Updates = visit.Int("updates", s.Updates) }

    /// Fresh networks; the targets start as copies. The caller owns the tensors.
    let init (model: Td3Model) (key: Key) : Td3State =
        let keys = Key.splitMany 3 key

        Tensors.owning (Parts.tensors parts) (fun () ->
            let policy =
                InitialWeights.draw model.Config.Networks.InitialWeights model.Policy keys[0]
                |> Mlp.parameters model.Compute model.Policy

            { Policy = policy
              TargetPolicy = Params.copy policy
              PolicyAdam = Adam.init policy
              Critics = TwinCritics.init model.Critics keys[1] keys[2]
              Updates = 0L })

    // ---- acting

    let private output (model: Td3Model) (policy: Params) (obs: Tensor) =
        Mlp.forward model.Compute model.Policy policy.Flat obs

    let private repeated (particles: int) (action: Tensor) =
        if particles = 1 then
            action
        else
            action.repeat_interleave (int64 particles, Nullable 0L)

    let private act (model: Td3Model) (purpose: Purpose) (state: Td3State) (key: Key) (obs: Tensor) : Acted =
        let action = output model state.Policy obs

        let explored particles =
            let noise = Key.normal model.Compute [ Tensors.size 0 obs * particles; model.Space.ActionDim ] key

            (repeated particles action)
                .add(noise, Scalars.ofFloat model.Config.ExplorationNoise)
                .clamp(Scalars.ofFloat -1.0, Scalars.ofFloat 1.0)
            |> TwinCritics.best model.Critics state.Critics particles obs

        { Action =
            match purpose with
            | Purpose.Explore -> explored model.Config.BestOf.BehaviourParticles
            | Purpose.Evaluate when model.Config.BestOf.EvaluationParticles = 1 -> action
            | Purpose.Evaluate -> explored model.Config.BestOf.EvaluationParticles
          Extras = [] }

    /// What acts in evaluations, as data.
    let private form (model: Td3Model) (state: Td3State) : Result<PolicyForm, string> =
        let network = FormNetwork.layers "policy" "layer" model.Policy state.Policy

        match model.Config.BestOf.EvaluationParticles with
        | 1 -> PolicyForm.direct FormEnd.Free network
        | particles ->
            let critics = TwinCritics.form model.Critics state.Critics
            let spread = FormSpread.Constant model.Config.ExplorationNoise
            PolicyForm.jittered model.Compute model.Space.ActionDim particles critics spread FormEnd.Clipped network
        |> Ok

    // ---- an update

    /// The random numbers of an update.
    let drawNoise (model: Td3Model) (batchSize: int) (key: Key) : Td3Noise =
        let rows = batchSize * model.Config.BestOf.TargetParticles
        { Smoothing = TwinCritics.smoothingNoise model.Critics [ rows; model.Space.ActionDim ] key }

    /// An update that has done nothing yet.
    let start (model: Td3Model) (noise: Td3Noise) (batch: Batch) (state: Td3State) : Td3Update =
        OffPolicy.start model () noise batch state

    /// Does this update move the policy and the targets? The authors count from 1.
    let movesPolicy (u: Td3Update) = (u.State.Updates + 1L) % int64 u.Model.Config.PolicyDelay = 0L

    /// The critics' targets y = r·scale + γ(1 - terminated)·v(s', a'), a' = clip(π̄(s') + clip(ε, ±c), ±1). [B].
    let criticTarget (u: Td3Update) : Tensor =
        let model, s, obs = u.Model, u.State, u.Batch.NextObs
        let particles = model.Config.BestOf.TargetParticles

        let action =
            output model s.TargetPolicy obs
            |> repeated particles
            |> TwinCritics.smoothed model.Critics u.Noise.Smoothing
            |> TwinCritics.best model.Critics s.Critics particles obs

        TwinCritics.targetValue model.Critics s.Critics obs action
        |> TwinCritics.target model.Critics u.Batch

    /// One Adam step of both critics towards the targets.
    let evaluateQ (u: Td3Update) : Td3Update =
        let struct (critics, figures) =
            TwinCritics.learn u.Model.Critics u.Batch (criticTarget u) u.State.Critics

        { u with Next = { u.Next with Critics = critics } } |> OffPolicy.tell figures

    /// Value [B] of the policy's actions and its gradient with respect to them, [B, A].
    let private climbed (model: Td3Model) (critics: TwinCritics) (obs: Tensor) (action: Tensor) =
        match model.Config.PolicyCritic with
        | PolicyCritic.Both -> TwinCritics.actionGradient model.Critics critics obs action
        | PolicyCritic.First ->
            let net, actions = model.Critics.Net, action.unsqueeze 1L
            let struct (values, slopes) = QNetwork.withSlopes model.Compute net critics.Q1 obs actions
            struct (values.squeeze 1L, slopes.squeeze 1L)

    /// The loss -mean v(s, π(s)) of the policy and its gradient; the critics those given.
    let policyGradient (u: Td3Update) (critics: TwinCritics) : struct (Tensor * Tensor) =
        let model, obs = u.Model, u.Batch.Obs
        use vjp = Mlp.vjp model.Compute model.Policy u.State.Policy.Flat obs
        let struct (value, slope) = climbed model critics obs vjp.Output
        let share = Scalars.ofFloat (-1.0 / float (Tensors.size 0 obs))
        struct (value.mean().neg(), vjp.PullbackParameters(slope.mul share))

    /// One Adam step of the policy by the critics after their step, and all moving averages, on the updates that move them.
    let improvePolicy (u: Td3Update) : Td3Update =
        TwinCritics.needMoved "improvePolicy" u.State.Critics u.Next.Critics

        if not (movesPolicy u) then
            u
        else
            let model, adam = u.Model, u.Model.Config.Adam
            let struct (loss, gradient) = policyGradient u u.Next.Critics

            let struct (policy, optimiser, average) =
                Adam.stepFollowed
                    model.Compute
                    (AdamSettings.ofSettings adam)
                    adam.LearningRate
                    gradient
                    u.State.Policy
                    u.State.PolicyAdam
                    model.Config.Critics.Tau
                    u.State.TargetPolicy

            { u with
                Next =
                    { u.Next with
                        Policy = policy
                        TargetPolicy = average
                        PolicyAdam = optimiser
                        Critics = TwinCritics.follow model.Critics u.Next.Critics } }
            |> OffPolicy.tell (OffPolicy.policyFigures loss gradient)

    /// The parts of an update in their order.
    let stages: (string * (Td3Update -> Td3Update)) list =
        [ "evaluateQ", evaluateQ; "improvePolicy", improvePolicy ]

    /// The agent of a model.
    let agent (model: Td3Model) : Agent<Td3State, Td3Update> =
        { Compute = model.Compute
          Space = model.Space
          Rhythm = Agent.offPolicy model.Config.Data
          Extras = []
          Distributions = []
          Init = init model
          Parts = parts
          Act = act model
          Form = form model
          Observe = Agent.observeNothing
          Prepare = Agent.drawFromMemory
          Begin = OffPolicy.beginning model.Compute model.Config.Data (drawNoise model) (start model)
          OnBatch = OffPolicy.onBatch
          Stages = stages
          Finish = OffPolicy.finish (fun s -> { s with Updates = s.Updates + 1L }) }

    let private figures: FigureInfo list = TwinCritics.figureInfos @ OffPolicy.policyFigureInfos true


    /// The algorithm.
    let algorithm: Algorithm<Td3Config, Td3State, Td3Update> =
        let million name meaning config =
            { Preset.published config with
                Name = name
                Meaning = $"as {meaning}, HalfCheetah-v4, 1,000,000 environment steps, an update each"
                Iterations = 1_000_000L
                EvaluationEpisodes = 10 }

        { Name = "td3"
          Title = "TD3"
          Published = Td3Config.authors
          Added = []
          Presets =
            [ Preset.tiny 600L Td3Config.tiny
              Preset.quick Td3Config.quick
              Preset.laptop Td3Config.laptop
              million "authors" "its authors have it" Td3Config.authors
              million "sb3" "Stable-Baselines3 has it" Td3Config.sb3 ]
          Problems = Td3Config.problems
          Figures = figures
          Describe =
            fun c -> $"exploration {string c.ExplorationNoise}, target noise {string c.TargetNoise.TargetNoise}"
          Agent = fun compute space _ config -> agent (model compute space config) }
