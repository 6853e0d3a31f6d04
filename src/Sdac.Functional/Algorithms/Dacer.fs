namespace Sdac.Functional

open System
open TorchSharp

/// What settings and sizes fix.
[<NoComparison; NoEquality>]
type DacerModel =
    {
        Compute: Compute
        Space: Space
        Schedule: Schedule
        /// Predicts ε
        Policy: NoiseNetwork
        Critics: DistributionalCriticsModel
        Config: DacerConfig
    }

/// Everything that training changes.
[<NoComparison; NoEquality>]
type DacerState =
    {
        Policy: Params
        PolicyAdam: AdamState
        Critics: DistributionalCritics
        /// α
        Temperature: Temperature
        /// Updates done
        Updates: int64
    }

/// All random numbers of one update.
[<NoComparison; NoEquality>]
type DacerNoise =
    {
        /// Of the chain to a' on next_obs
        Next: SamplerNoise
        /// On a', standard normal, [B, A]
        NextAction: Tensor
        /// For the sampled targets, standard normal, [B] for each critic
        Targets: struct (Tensor * Tensor)
        /// Of the chain to the actions on obs that the policy's step differentiates
        New: ChainNoise
        /// On those, standard normal, [B, A]
        NewAction: Tensor
        /// For the actions whose entropy is estimated, and for the fit
        Entropy: Key
    }

/// An update under way. The policy, α and critics that it began with are asked throughout.
type DacerUpdate = OffPolicyUpdate<DacerModel, DacerNoise, DacerState, unit>

/// DACER: the whole reverse chain is the policy, and Q is climbed through all its steps; the entropy of actions, estimated now and
/// then, sets how much noise is added to them (Wang et al. 2024, arXiv 2405.15177).
[<RequireQualifiedAccess>]
module Dacer =
    /// The networks of settings for a task of these sizes. Raises ArgumentException naming all impossible settings.
    let model (compute: Compute) (space: Space) (config: DacerConfig) : DacerModel =
        let c = Settings.validate DacerConfig.problems config
        let d = c.Diffusion

        { Compute = compute
          Space = space
          Schedule = DiffusionSettings.schedule d
          Policy =
            NoiseNetwork.createWith
                space.ObsDim
                space.ActionDim
                d.TimeDim
                d.TimeHidden
                (NetworkSettings.policy c.Networks c.Hidden)
          Critics = DistributionalCritics.model compute space c.Hidden c.Networks c.Critics c.Adam
          Config = c }

    /// The traversal of the state.
    let parts: Parts<DacerState> =
        fun visit s ->
            { Policy = visit.Params("policy", s.Policy)
              PolicyAdam = visit.Adam("policy", s.PolicyAdam)
              Critics = DistributionalCritics.parts visit s.Critics
              Temperature = Temperature.parts visit s.Temperature
              Updates = visit.Int("updates", s.Updates) }

    /// Fresh networks. The caller owns the tensors.
    let init (model: DacerModel) (key: Key) : DacerState =
        let keys = Key.splitMany 3 key

        Tensors.owning (Parts.tensors parts) (fun () ->
            let policy =
                NoiseNetwork.initWith model.Config.Networks.InitialWeights model.Compute model.Policy keys[0]

            { Policy = policy
              PolicyAdam = Adam.init policy
              Critics = DistributionalCritics.init model.Critics keys[1] keys[2]
              Temperature = Temperature.init model.Config.Temperature.InitialTemperature
              Updates = 0L })

    // ---- acting

    /// c·α, the deviation of the noise on actions.
    let noiseScale (model: DacerModel) (state: DacerState) : float = model.Config.NoiseScale * state.Temperature.Lambda

    /// So many actions per state by the chain alone. obs: [B, O] -> [B, P, A], in [-1, 1].
    let sampled (model: DacerModel) (state: DacerState) (particles: int) (noise: SamplerNoise) (obs: Tensor) : Tensor =
        Diffusion.sample
            model.Compute
            model.Schedule
            model.Policy
            state.Policy
            model.Config.Diffusion.InitialNoiseScale
            particles
            noise
            obs

    /// The actions with noise on them before they are clipped. noise: standard normal, of the actions' shape.
    let private noisy (model: DacerModel) (state: DacerState) (noise: Tensor) (action: Tensor) : Tensor =
        action.add (noise, Scalars.ofFloat (noiseScale model state))

    /// The policy's action clip(chain + c·α·ξ, ±1) for each state. obs: [B, O], noise: ξ, [B, A] -> [B, A].
    let policyAction
        (model: DacerModel)
        (state: DacerState)
        (chain: SamplerNoise)
        (noise: Tensor)
        (obs: Tensor)
        : Tensor =
        (sampled model state 1 chain obs).squeeze(Nullable 1L) |> noisy model state noise |> Diffusion.clip

    let private act (model: DacerModel) (purpose: Purpose) (state: DacerState) (key: Key) (obs: Tensor) : Acted =
        let struct (chainKey, exploreKey) = Key.split key

        { Action =
            match purpose with
            | Purpose.Evaluate -> (sampled model state 1 (SamplerNoise.Drawn chainKey) obs).squeeze(Nullable 1L)
            | Purpose.Explore ->
                let noise = Key.normal model.Compute [ Tensors.size 0 obs; model.Space.ActionDim ] exploreKey
                policyAction model state (SamplerNoise.Drawn chainKey) noise obs
          Extras = [] }

    /// What acts in evaluations, as data.
    let private form (model: DacerModel) (state: DacerState) : Result<PolicyForm, string> =
        let network, times = FormChain.noiseNetwork "policy" model.Policy model.Schedule.Timesteps state.Policy

        let scale = model.Config.Diffusion.InitialNoiseScale

        FormChain.reverse ReverseStep.Posterior model.Schedule scale times network
        |> PolicyForm.chained model.Compute model.Space.ActionDim 1 None PolicyForm.firstOf
        |> Ok

    // ---- an update

    /// The random numbers of an update; each kind has a key of its own.
    let drawNoise (model: DacerModel) (batchSize: int) (key: Key) : DacerNoise =
        let keys, actionDim = Key.splitMany 7 key, model.Space.ActionDim
        let normal shape key = Key.normal model.Compute shape key

        { Next = SamplerNoise.Drawn keys[0]
          NextAction = normal [ batchSize; actionDim ] keys[1]
          Targets = struct (normal [ batchSize ] keys[2], normal [ batchSize ] keys[3])
          New = ChainNoise.draw model.Compute model.Config.Diffusion.Timesteps batchSize actionDim keys[4]
          NewAction = normal [ batchSize; actionDim ] keys[5]
          Entropy = keys[6] }

    /// An update that has done nothing yet.
    let start (model: DacerModel) (noise: DacerNoise) (batch: Batch) (state: DacerState) : DacerUpdate =
        OffPolicy.start model () noise batch state
        |> OffPolicy.tell (Map [ "alpha", state.Temperature.Lambda ])

    /// Does this update move the policy and the critics' moving averages?
    let movesPolicy (u: DacerUpdate) = u.State.Updates % int64 u.Model.Config.PolicyDelay = 0L

    /// The critics' targets for the policy's actions on next_obs.
    let criticTargets (u: DacerUpdate) : DistributionalTargets =
        let action = policyAction u.Model u.State u.Noise.Next u.Noise.NextAction u.Batch.NextObs
        DistributionalCritics.targets u.Model.Critics u.State.Critics u.Batch action u.Noise.Targets

    /// One Adam step of both critics towards the targets.
    let evaluateQ (u: DacerUpdate) : DacerUpdate =
        let struct (critics, figures) =
            DistributionalCritics.learn u.Model.Critics u.Batch (criticTargets u) u.State.Critics

        { u with Next = { u.Next with Critics = critics } } |> OffPolicy.tell figures

    /// The loss -mean min(μ1, μ2)(s, a) of the policy by these critics, and its gradient through all steps of the chain: none
    /// where a clip is active, that of the noisy action included.
    let policyGradient (u: DacerUpdate) (critics: DistributionalCritics) : struct (Tensor * Tensor) =
        let model, c, obs = u.Model, u.Model.Config, u.Batch.Obs

        use chain =
            ReverseChain.vjp
                model.Compute
                model.Schedule
                model.Policy
                u.State.Policy
                c.ChainActivations
                c.Diffusion.InitialNoiseScale
                u.Noise.New
                obs

        let noisy = noisy model u.State u.Noise.NewAction chain.Output

        let struct (value, slope) =
            DistributionalCritics.actionGradients model.Critics critics obs ((Diffusion.clip noisy).unsqueeze 1L)

        let share = Scalars.ofFloat (-1.0 / float (Tensors.size 0 obs))
        let toAction = slope.squeeze (Nullable 1L) * share * ReverseChain.inside noisy
        struct (value.mean().neg(), chain.PullbackParameters toAction)

    /// One Adam step of the policy by the critics before their step, on the updates that move it.
    let improvePolicy (u: DacerUpdate) : DacerUpdate =
        if not (movesPolicy u) then
            u
        else
            let c = u.Model.Config
            let struct (loss, gradient) = policyGradient u u.State.Critics

            let struct (policy, optimiser) =
                OffPolicy.step u.Model.Compute c.Adam c.PolicyRate gradient u.State.Policy u.State.PolicyAdam

            { u with Next = { u.Next with Policy = policy; PolicyAdam = optimiser } }
            |> OffPolicy.tell (OffPolicy.policyFigures loss gradient)

    /// The mean entropy of the policy's actions, noise and clip included, over the batch's states: the bound of a mixture fitted to
    /// so many actions of each state.
    let entropy (u: DacerUpdate) : float =
        let model, obs, settings = u.Model, u.Batch.Obs, u.Model.Config.Entropy
        let keys, states, actionDim = Key.splitMany 3 u.Noise.Entropy, Tensors.size 0 obs, model.Space.ActionDim
        use _ = torch.NewDisposeScope()
        let noise = Key.normal model.Compute [ states; settings.MixtureSamples; actionDim ] keys[1]

        sampled model u.State settings.MixtureSamples (SamplerNoise.Drawn keys[0]) obs
        |> noisy model u.State noise
        |> Diffusion.clip
        |> Tensors.toArray
        |> GaussianMixture.meanEntropy settings keys[2] states actionDim

    /// One Adam step of ln α along Ĥ - H̄, on the updates that move it.
    let tuneTemperature (u: DacerUpdate) : DacerUpdate =
        let t = u.Model.Config.Temperature

        if t.TemperatureLearningRate = 0.0 || u.State.Updates % int64 t.TemperatureDelay <> 0L then
            u
        else
            let entropy = entropy u
            let target = t.TargetEntropyPerDim * float u.Model.Space.ActionDim

            let temperature =
                Temperature.descend
                    (AdamSettings.ofSettings u.Model.Config.Adam)
                    t.TemperatureLearningRate
                    (entropy - target)
                    u.State.Temperature

            { u with
                Next = { u.Next with Temperature = temperature }
                Figures = Map.add "entropy" entropy u.Figures }

    /// The critics' moving averages follow them, on the updates that move the policy.
    let followTargets (u: DacerUpdate) : DacerUpdate =
        if obj.ReferenceEquals(u.Next.Critics.First.Online, u.State.Critics.First.Online) then
            Stages.lacks "followTargets" "the critics' step" "evaluateQ"

        if movesPolicy u then
            { u with
                Next = { u.Next with Critics = DistributionalCritics.follow u.Model.Critics u.Next.Critics } }
        else
            u

    /// The parts of an update in their order.
    let stages: (string * (DacerUpdate -> DacerUpdate)) list =
        [ "evaluateQ", evaluateQ
          "improvePolicy", improvePolicy
          "tuneTemperature", tuneTemperature
          "followTargets", followTargets ]

    /// The agent of a model.
    let agent (model: DacerModel) : Agent<DacerState, DacerUpdate> =
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

    let private figures: FigureInfo list =
        DistributionalCritics.figureInfos
        @ OffPolicy.policyFigureInfos true
        @ [ { FigureInfo.plain "alpha" "the temperature α" with Headline = Some "α"; Plotted = Some "α" }
            { FigureInfo.finite "entropy" "the policy's entropy" with Carried = true; Plotted = Some "Entropy" } ]

    /// The algorithm.
    let algorithm: Algorithm<DacerConfig, DacerState, DacerUpdate> =
        { Name = "dacer"
          Title = "DACER"
          Published = DacerConfig.published
          Added = []
          Presets =
            [ Preset.tiny 600L DacerConfig.tiny
              Preset.quick DacerConfig.quick
              Preset.laptop DacerConfig.laptop
              { Preset.published DacerConfig.published with
                  Meaning =
                      "as the authors have it, HalfCheetah-v4, 30,000,000 environment steps of twenty environments"
                  Iterations = 1_500_000L
                  EvaluateEvery = Some 15_000L
                  EvaluationEpisodes = 10 }
              Preset.sdacPaper
                  "as the SDAC paper compares it: 200,000 updates, 1,000,000 environment steps"
                  DacerConfig.sdacPaper ]
          Problems = DacerConfig.problems
          Figures = figures
          Describe = fun c -> $"{c.Diffusion.Timesteps} timesteps, c {string c.NoiseScale}"
          Agent = fun compute space _ config -> agent (model compute space config) }
