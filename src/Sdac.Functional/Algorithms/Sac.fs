namespace Sdac.Functional

open System
open TorchSharp

/// What settings and sizes fix.
[<NoComparison; NoEquality>]
type SacModel =
    { Compute: Compute
      Space: Space
      Policy: Sdac.Kernels.MlpShape
      Head: SquashedGaussian
      Critics: TwinCriticsModel
      Config: SacConfig }

/// Everything that training changes.
[<NoComparison; NoEquality>]
type SacState =
    {
        Policy: Params
        PolicyAdam: AdamState
        Critics: TwinCritics
        /// α
        Temperature: Temperature
        /// Updates done
        Updates: int64
    }

/// All random numbers of one update, standard normal.
[<NoComparison; NoEquality>]
type SacNoise =
    {
        /// For the candidates of a' on next_obs, [B·N, A], those of a state in a row
        Next: Tensor
        /// For the smoothing of a', [B, A]; None where the settings smooth nothing
        Smoothing: Tensor option
        /// For ã on obs, [B, A]
        New: Tensor
    }

/// An update under way. What it makes: the mean of log π(ã|s) over the batch; none until `improvePolicy`.
type SacUpdate = OffPolicyUpdate<SacModel, SacNoise, SacState, float option>

/// SAC: maximum-entropy actor-critic with a squashed Gaussian policy and a learned temperature (Haarnoja et al. 2018, arXiv
/// 1801.01290 and 1812.05905).
[<RequireQualifiedAccess>]
module Sac =
    /// The networks of settings for a task of these sizes. Raises ArgumentException naming all impossible settings.
    let model (compute: Compute) (space: Space) (config: SacConfig) : SacModel =
        let c = Settings.validate SacConfig.problems config

        { Compute = compute
          Space = space
          Policy = HiddenLayers.shape space.ObsDim (NetworkSettings.policy c.Networks c.Hidden) (2 * space.ActionDim)
          Head = GaussianSettings.head space.ActionDim c.Gaussian
          Critics = TwinCritics.model compute space c.Hidden c.Networks c.Critics c.TargetNoise c.Adam
          Config = c }

    /// The traversal of the state.
    let parts: Parts<SacState> =
        fun visit s ->
            { Policy = visit.Params("policy", s.Policy)
              PolicyAdam = visit.Adam("policy", s.PolicyAdam)
              Critics = TwinCritics.parts visit s.Critics
              Temperature = Temperature.parts visit s.Temperature
              Updates = visit.Int("updates", s.Updates) }

    /// Fresh networks. The caller owns the tensors.
    let init (model: SacModel) (key: Key) : SacState =
        let keys = Key.splitMany 3 key

        Tensors.owning (Parts.tensors parts) (fun () ->
            let policy =
                InitialWeights.draw model.Config.Networks.InitialWeights model.Policy keys[0]
                |> Mlp.parameters model.Compute model.Policy

            { Policy = policy
              PolicyAdam = Adam.init policy
              Critics = TwinCritics.init model.Critics keys[1] keys[2]
              Temperature = Temperature.init model.Config.InitialTemperature
              Updates = 0L })

    // ---- acting

    /// The best of `particles` actions per state by the online critics, and their log-probabilities [B].
    /// obs: [B, O], noise: [B·N, A] -> [B, A], [B].
    let sampled
        (model: SacModel)
        (state: SacState)
        (particles: int)
        (noise: Tensor)
        (obs: Tensor)
        : struct (Tensor * Tensor) =
        let output = Mlp.forward model.Compute model.Policy state.Policy.Flat obs

        if particles = 1 then
            let one = SquashedGaussian.sample model.Compute model.Head output noise
            struct (one.Action, one.LogProbability)
        else
            let batch, n = Tensors.size 0 obs, int64 particles

            let many =
                SquashedGaussian.sample model.Compute model.Head (output.repeat_interleave (n, Nullable 0L)) noise

            let actions = many.Action |> Tensors.view [ batch; particles; model.Space.ActionDim ]
            let best = Diffusion.bestOf actions (TwinCritics.values model.Critics state.Critics obs actions)
            let logs = many.LogProbability |> Tensors.view [ batch; particles ]
            struct (best.Action, logs.gather(1L, best.Index.unsqueeze 1L).squeeze(Nullable 1L))

    let private act (model: SacModel) (purpose: Purpose) (state: SacState) (key: Key) (obs: Tensor) : Acted =
        let draw particles =
            let noise = Key.normal model.Compute [ Tensors.size 0 obs * particles; model.Space.ActionDim ] key
            let struct (action, _) = sampled model state particles noise obs
            action

        let bestOf = model.Config.BestOf

        { Action =
            match purpose with
            | Purpose.Explore -> draw bestOf.BehaviourParticles
            | Purpose.Evaluate when bestOf.EvaluationParticles = 1 ->
                Mlp.forward model.Compute model.Policy state.Policy.Flat obs |> SquashedGaussian.mode model.Head
            | Purpose.Evaluate -> draw bestOf.EvaluationParticles
          Extras = [] }

    /// What acts in evaluations, as data.
    let private form (model: SacModel) (state: SacState) : Result<PolicyForm, string> =
        let network = FormNetwork.layers "policy" "layer" model.Policy state.Policy

        match model.Config.BestOf.EvaluationParticles with
        | 1 -> PolicyForm.direct FormEnd.Tanh network
        | particles ->
            let critics = TwinCritics.form model.Critics state.Critics
            let spread = FormSpread.Outputs model.Head.LogStd
            PolicyForm.jittered model.Compute model.Space.ActionDim particles critics spread FormEnd.Tanh network
        |> Ok

    // ---- an update

    /// The random numbers of an update; each kind has a key of its own.
    let drawNoise (model: SacModel) (batchSize: int) (key: Key) : SacNoise =
        let keys, actionDim = Key.splitMany 3 key, model.Space.ActionDim

        { Next = Key.normal model.Compute [ batchSize * model.Config.BestOf.TargetParticles; actionDim ] keys[0]
          Smoothing = TwinCritics.smoothingNoise model.Critics [ batchSize; actionDim ] keys[1]
          New = Key.normal model.Compute [ batchSize; actionDim ] keys[2] }

    /// An update that has done nothing yet.
    let start (model: SacModel) (noise: SacNoise) (batch: Batch) (state: SacState) : SacUpdate =
        OffPolicy.start model None noise batch state
        |> OffPolicy.tell (Map [ "alpha", state.Temperature.Lambda ])

    /// The critics' targets y = r·scale + γ(1 - terminated)·(v(s', a') - α·log π(a'|s')), a' ~ π. [B].
    let criticTarget (u: SacUpdate) : Tensor =
        let model, s = u.Model, u.State

        let struct (action, logProbability) =
            sampled model s model.Config.BestOf.TargetParticles u.Noise.Next u.Batch.NextObs

        let action = TwinCritics.smoothed model.Critics u.Noise.Smoothing action
        let value = TwinCritics.targetValue model.Critics s.Critics u.Batch.NextObs action

        value - num s.Temperature.Lambda * logProbability |> TwinCritics.target model.Critics u.Batch

    /// One Adam step of both critics towards the targets.
    let evaluateQ (u: SacUpdate) : SacUpdate =
        let struct (critics, figures) =
            TwinCritics.learn u.Model.Critics u.Batch (criticTarget u) u.State.Critics

        { u with Next = { u.Next with Critics = critics } } |> OffPolicy.tell figures

    /// The loss mean(α·log π(ã|s) - v(s, ã)) of the policy, its gradient, and the mean of log π; ã reparameterised, the critics
    /// those given.
    let policyGradient (u: SacUpdate) (critics: TwinCritics) : struct (Tensor * Tensor * Tensor) =
        let model, obs = u.Model, u.Batch.Obs
        let share = 1.0 / float (Tensors.size 0 obs)
        let alpha = u.State.Temperature.Lambda
        use vjp = Mlp.vjp model.Compute model.Policy u.State.Policy.Flat obs
        let sample = SquashedGaussian.sample model.Compute model.Head vjp.Output u.Noise.New
        let struct (value, slope) = TwinCritics.actionGradient model.Critics critics obs sample.Action
        let dLog = torch.full_like (sample.LogProbability, Scalars.ofFloat (alpha * share))
        let gradient = sample.Pullback (num -share * slope) dLog |> vjp.PullbackParameters
        let loss = (num alpha * sample.LogProbability - value).mean()
        struct (loss, gradient, sample.LogProbability.mean ())

    /// One Adam step of the policy, by the critics after their step.
    let improvePolicy (u: SacUpdate) : SacUpdate =
        let model, adam = u.Model, u.Model.Config.Adam
        let struct (loss, gradient, logProbability) = policyGradient u u.Next.Critics

        let struct (policy, optimiser) =
            Adam.step
                model.Compute
                (AdamSettings.ofSettings adam)
                adam.LearningRate
                gradient
                u.State.Policy
                u.State.PolicyAdam

        let logProbability = Tensors.scalar logProbability

        { u with
            Next = { u.Next with Policy = policy; PolicyAdam = optimiser }
            Made = Some logProbability }
        |> OffPolicy.tell (OffPolicy.policyFigures loss gradient |> Map.add "entropy" -logProbability)

    /// One Adam step of ln α along mean(-log π(ã|s)) - H̄, with the actions of the policy's step.
    let tuneTemperature (u: SacUpdate) : SacUpdate =
        let c = u.Model.Config

        match u.Made with
        | None -> Stages.lacks "tuneTemperature" "the actions of this update" "improvePolicy"
        | Some _ when c.TemperatureLearningRate = 0.0 -> u
        | Some logProbability ->
            let target = c.TargetEntropyPerDim * float u.Model.Space.ActionDim
            let adam = AdamSettings.ofSettings c.Adam

            let temperature =
                Temperature.descend adam c.TemperatureLearningRate (-logProbability - target) u.State.Temperature

            { u with Next = { u.Next with Temperature = temperature } }

    /// The critics' moving averages follow them.
    let followTargets (u: SacUpdate) : SacUpdate =
        TwinCritics.needMoved "followTargets" u.State.Critics u.Next.Critics

        { u with Next = { u.Next with Critics = TwinCritics.follow u.Model.Critics u.Next.Critics } }

    /// The parts of an update in their order.
    let stages: (string * (SacUpdate -> SacUpdate)) list =
        [ "evaluateQ", evaluateQ
          "improvePolicy", improvePolicy
          "tuneTemperature", tuneTemperature
          "followTargets", followTargets ]

    /// The agent of a model.
    let agent (model: SacModel) : Agent<SacState, SacUpdate> =
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
        TwinCritics.figureInfos
        @ OffPolicy.policyFigureInfos false
        @ [ { FigureInfo.plain "alpha" "the temperature α" with Headline = Some "α"; Plotted = Some "α" }
            { FigureInfo.plain "entropy" "the policy's entropy" with Plotted = Some "Entropy" } ]

    /// The algorithm.
    let algorithm: Algorithm<SacConfig, SacState, SacUpdate> =
        let sb3 =
            { Preset.published SacConfig.sb3 with
                Name = "sb3"
                Meaning = "as Stable-Baselines3 has it, HalfCheetah-v4, 1,000,000 environment steps, an update each"
                Iterations = 1_000_000L
                EvaluationEpisodes = 10 }

        { Name = "sac"
          Title = "SAC"
          Published = SacConfig.sb3
          Added = []
          Presets =
            [ Preset.tiny 600L SacConfig.tiny
              Preset.quick SacConfig.quick
              Preset.laptop SacConfig.laptop
              sb3
              Preset.sdacPaper
                  "as the SDAC paper compares it: 200,000 updates, 1,000,000 environment steps"
                  SacConfig.sdacPaper ]
          Problems = SacConfig.problems
          Figures = figures
          Describe =
            fun c ->
                if c.TemperatureLearningRate = 0.0 then
                    $"fixed α {string c.InitialTemperature}"
                else
                    "learned α"
          Agent = fun compute space _ config -> agent (model compute space config) }
