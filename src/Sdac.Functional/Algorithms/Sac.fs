namespace Sdac

open System
open TorchSharp

/// The range of log σ of a squashed Gaussian policy, and its log-probability.
type GaussianSettings =
    {
        /// Smallest log σ
        LogStdLow: float
        /// Largest log σ
        LogStdHigh: float
        /// log σ comes smoothly out of the range by tanh; otherwise it is clipped to it
        SmoothLogStd: bool
        /// The log-probability is that of a = tanh u; without it that of u, as in the SDAC authors' comparison
        TanhCorrection: bool
    }

[<RequireQualifiedAccess>]
module GaussianSettings =
    /// log σ clipped to [-20, 2], the exact log-probability.
    let usual: GaussianSettings =
        { LogStdLow = -20.0; LogStdHigh = 2.0; SmoothLogStd = false; TanhCorrection = true }

    let head (actionDim: int) (g: GaussianSettings) : SquashedGaussian =
        { ActionDim = actionDim
          LogStd =
            if g.SmoothLogStd then
                LogStd.Smooth(g.LogStdLow, g.LogStdHigh)
            else
                LogStd.Clipped(g.LogStdLow, g.LogStdHigh)
          TanhCorrection = g.TanhCorrection }

    let problems (g: GaussianSettings) : string list =
        [ Check.within (nameof g.LogStdLow) -60.0 20.0 g.LogStdLow
          Check.within (nameof g.LogStdHigh) -60.0 20.0 g.LogStdHigh
          [ if g.LogStdLow >= g.LogStdHigh then
                $"LogStdLow is {string g.LogStdLow} and LogStdHigh {string g.LogStdHigh}; the first must be the smaller one" ] ]
        |> List.concat

/// Every setting of SAC.
type SacConfig =
    {
        /// Widths of the hidden layers of all networks; none: linear networks
        Hidden: int list
        Networks: NetworkSettings
        Data: DataSettings
        BestOf: BestOfSettings
        Gaussian: GaussianSettings
        Critics: CriticSettings
        TargetNoise: TargetNoiseSettings
        Adam: AdamSettings
        /// α at the start
        InitialTemperature: float
        /// Adam rate of ln α; 0 keeps α at InitialTemperature
        TemperatureLearningRate: float
        /// Target entropy per action dimension
        TargetEntropyPerDim: float
    }

[<RequireQualifiedAccess>]
module SacConfig =
    /// Stable-Baselines3's settings, with the 10,000 random transitions first of its published runs: its default of 100 leaves
    /// some seeds of HalfCheetah on their back.
    let sb3: SacConfig =
        { Hidden = [ 256; 256 ]
          Networks =
            { NetworkSettings.mish with
                Activation = HiddenActivation.Relu
                InitialWeights = InitialWeights.TorchUniform }
          Data =
            { Environments = 1
              UpdatesPerStep = 1
              WarmUp = 10_000
              BatchSize = 256
              BufferCapacity = 1_000_000 }
          BestOf = BestOfSettings.off
          Gaussian = GaussianSettings.usual
          Critics = CriticSettings.usual
          TargetNoise = TargetNoiseSettings.off
          Adam = AdamSettings.usual 3e-4
          InitialTemperature = 1.0
          TemperatureLearningRate = 3e-4
          TargetEntropyPerDim = -1.0 }

    /// As the SDAC paper's comparison ran it: five environments and one update a step, rewards times 0.2, log σ up to 0.5 and
    /// the log-probability of the unsquashed Gaussian.
    let sdacPaper: SacConfig =
        { sb3 with
            Hidden = [ 256; 256; 256 ]
            Networks.Activation = HiddenActivation.Gelu
            Networks.InitialWeights = InitialWeights.CutNormal
            Data.Environments = 5
            Data.WarmUp = 30_000
            Gaussian.LogStdHigh = 0.5
            Gaussian.TanhCorrection = false
            Critics.RewardScale = 0.2
            InitialTemperature = Math.E }

    /// InvertedPendulum-v4 in a minute.
    let quick: SacConfig =
        { sb3 with
            Hidden = [ 64; 64 ]
            Data.Environments = 2
            Data.WarmUp = 1_000
            Data.BatchSize = 128
            Data.BufferCapacity = 100_000
            Critics.Tau = 0.02
            Adam.LearningRate = 1e-3
            InitialTemperature = 0.2
            TemperatureLearningRate = 1e-3 }

    /// Learns the contract's task in seconds.
    let tiny: SacConfig =
        { quick with
            Hidden = [ 32; 32 ]
            Data.Environments = 4
            Data.WarmUp = 200
            Data.BatchSize = 64
            Data.BufferCapacity = 20_000
            Adam.LearningRate = 3e-3
            InitialTemperature = 0.05 }

    /// HalfCheetah-v4 on two cores: 100,000 environment steps at two updates per step of four environments.
    let laptop: SacConfig =
        { sb3 with
            Data.Environments = 4
            Data.UpdatesPerStep = 2
            Data.WarmUp = 10_000
            Critics.Tau = 0.01
            Adam.LearningRate = 1e-3 }

    /// What is impossible in these settings, one sentence each; empty when they can be used.
    let problems (c: SacConfig) : string list =
        [ Check.widths (nameof c.Hidden) c.Hidden
          NetworkSettings.problems c.Networks
          DataSettings.problems c.Data
          BestOfSettings.problems c.BestOf
          GaussianSettings.problems c.Gaussian
          CriticSettings.problems c.Critics
          TargetNoiseSettings.problems c.TargetNoise
          AdamSettings.problems c.Adam
          Check.positive (nameof c.InitialTemperature) c.InitialTemperature
          Check.within (nameof c.TemperatureLearningRate) 0.0 1e6 c.TemperatureLearningRate
          Check.finite (nameof c.TargetEntropyPerDim) c.TargetEntropyPerDim ]
        |> List.concat

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

/// An update under way.
[<NoComparison; NoEquality>]
type SacUpdate =
    {
        Model: SacModel
        Batch: Batch
        Noise: SacNoise
        /// What the update began with: its policy and its α are used throughout
        State: SacState
        Next: SacState
        /// Mean of log π(ã|s) over the batch; None until `improvePolicy`
        LogProbability: float option
        Figures: Figures
    }

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
                Mlp.initWith model.Config.Networks.InitialWeights model.Policy keys[0]
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
        { Model = model
          Batch = batch
          Noise = noise
          State = state
          Next = state
          LogProbability = None
          Figures = Map [ "alpha", state.Temperature.Lambda ] }

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

        { u with
            Next = { u.Next with Critics = critics }
            Figures = Map.fold (fun all name value -> Map.add name value all) u.Figures figures }

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
            LogProbability = Some logProbability
            Figures =
                u.Figures
                |> Map.add "policyLoss" (Tensors.scalar loss)
                |> Map.add "policyGradientNorm" (Tensors.norm gradient)
                |> Map.add "entropy" -logProbability }

    /// One Adam step of ln α along mean(-log π(ã|s)) - H̄, with the actions of the policy's step.
    let tuneTemperature (u: SacUpdate) : SacUpdate =
        let c = u.Model.Config

        match u.LogProbability with
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
        if obj.ReferenceEquals(u.Next.Critics.Q1, u.State.Critics.Q1) then
            Stages.lacks "followTargets" "the critics' step" "evaluateQ"

        { u with Next = { u.Next with Critics = TwinCritics.follow u.Model.Critics u.Next.Critics } }

    /// The parts of an update in their order.
    let stages: (string * (SacUpdate -> SacUpdate)) list =
        [ "evaluateQ", evaluateQ
          "improvePolicy", improvePolicy
          "tuneTemperature", tuneTemperature
          "followTargets", followTargets ]

    let private finish (u: SacUpdate) : Finished<SacState> =
        { State = { u.Next with Updates = u.State.Updates + 1L }
          Figures = u.Figures
          Tallies = []
          Verdict = Verdict.Continue }

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
            { FigureInfo.plain "alpha" "the temperature α" with Headline = Some "α"; Plotted = Some "α" }
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
