namespace Sdac

open System
open TorchSharp

/// The noising process of DQS, and with it the policy's network and chain.
[<RequireQualifiedAccess>]
type DqsProcess =
    /// a_u = a + √h(u)·ε; the network gives the score, told u and the temperature (the authors').
    | Exploding of SigmaMin: float * SigmaMax: float
    /// a_t = √ᾱ_t·a + √(1-ᾱ_t)·ε; the network gives the noise, told t (iDEM as the SDAC authors and flow-rl have it).
    | Preserving of BetaSchedule

/// The K clean actions around a noised one, at which Q is asked.
[<RequireQualifiedAccess>]
type DqsDraws =
    /// Gaussian, outside [-1, 1] as well (the authors').
    | Free
    /// Gaussian, then clipped to the box: a clipped coordinate passes no gradient (the SDAC authors).
    | Clipped
    /// Gaussian restricted to the box; the gradient takes the draws for held (MaxEntDP, flow-rl).
    | Truncated

/// How the score of the noised density is estimated from the draws, whose weights w are softmax(Q/τ).
[<RequireQualifiedAccess>]
type DqsEstimator =
    /// ∇ log mean exp: Σ w_k·∇Q(x_k)/τ times the slope of x_k. Misses what the box's walls contribute.
    | Gradient
    /// The noise that explains the draws, Σ w_k·ε_k: no gradient, right at walls with truncated draws.
    | Noise
    /// Both: the gradient's share is v/(h + v), the noise's h/(h + v), h the variance of the draws. A few draws estimate the one
    /// badly where noise is large, the other where it is small. Where exp(Q/τ) is Gaussian with variance v any draws give the
    /// score itself (target score matching, De Bortoli et al. 2024, arXiv 2402.08667).
    | Blended of Variance: float

/// How an action of the exploding process comes into the box.
[<RequireQualifiedAccess>]
type DqsBox =
    /// tanh x, while the score is trained on Q(s, x) at noised actions (the authors'): not the density of what is done.
    | Tanh
    /// Clipped to the box.
    | Clip
    /// tanh x, and the score is that of Q(s, tanh x)/τ + log |d tanh/dx|, noised from atanh of the action.
    | TanhDensity

/// Where the noised actions come from.
[<RequireQualifiedAccess>]
type DqsAnchor =
    | Replay
    /// New actions of the policy (the SDAC authors).
    | Policy

/// Every setting of DQS.
type DqsConfig =
    {
        /// Widths of the policy's hidden layers. With the exploding process all are the first one: a layer, and a residual block
        /// for each further entry
        Hidden: int list
        /// Widths of the critics' hidden layers
        CriticHidden: int list
        Networks: NetworkSettings
        /// What follows the linear maps of the policy's hidden layers; `Networks` has the critics'
        PolicyActivation: HiddenActivation
        Data: DataSettings
        /// The noising process
        Process: DqsProcess
        /// Steps of the chain
        Timesteps: int
        /// ζ: how much noise the exploding chain's steps add; 1 is the process's own, 0 none
        DiffusionScale: float
        /// Deviation of the preserving chain's x_T
        InitialNoiseScale: float
        /// How an action of the exploding process comes into the box
        Box: DqsBox
        /// K, clean actions per state at which Q is asked
        MonteCarloDraws: int
        /// Whether these keep to the box [-1, 1]^A
        Draws: DqsDraws
        /// How the score of the noised density is estimated from them
        Estimator: DqsEstimator
        /// Where the noised actions come from
        Anchor: DqsAnchor
        /// τ at the start
        Temperature: float
        /// τ at the end of its schedule, which is linear in ln τ
        TemperatureEnd: float
        /// Updates that the schedule takes
        TemperatureUpdates: int64
        /// Q is divided by the draws' mean |∂Q/∂a| + 1e-6, so that τ needs no scale of its own (flow-rl)
        NormaliseGradient: bool
        /// The draws are weighted by the critics after their step; otherwise before it
        SteppedCritics: bool
        BestOf: BestOfSettings
        /// The policy's moving average acts and is evaluated; otherwise the policy itself
        AverageActs: bool
        Critics: CriticSettings
        TargetNoise: TargetNoiseSettings
        Adam: AdamSettings
        /// The policy's learning rate over its updates
        PolicyRate: LearningRate
        /// The policy and the moving averages move on every such-th update
        PolicyDelay: int
        /// Exploration noise is N(0, (λ · this)²) per component; 0: none
        NoiseScale: float
        /// λ of the exploration noise
        Exploration: TemperatureSettings
        /// Time limits count as terminations: no bootstrap behind them
        TimeLimitsTerminate: bool
    }

[<RequireQualifiedAccess>]
module DqsConfig =
    /// The authors' settings where they are known (they report on the DeepMind Control Suite): 20 steps of the chain are their
    /// followers'.
    let published: DqsConfig =
        { Hidden = [ 256; 256; 256 ]
          CriticHidden = [ 256; 256 ]
          Networks =
            { NetworkSettings.mish with
                Activation = HiddenActivation.Relu
                InitialWeights = InitialWeights.Orthogonal }
          PolicyActivation = HiddenActivation.Gelu
          Data =
            { Environments = 1
              UpdatesPerStep = 1
              WarmUp = 10_000
              BatchSize = 256
              BufferCapacity = 1_000_000 }
          Process = DqsProcess.Exploding(1e-5, 1.0)
          Timesteps = 20
          DiffusionScale = 1.0
          InitialNoiseScale = 1.0
          Box = DqsBox.Tanh
          MonteCarloDraws = 1_000
          Draws = DqsDraws.Free
          Estimator = DqsEstimator.Gradient
          Anchor = DqsAnchor.Replay
          Temperature = 0.05
          TemperatureEnd = 0.05
          TemperatureUpdates = 1L
          NormaliseGradient = false
          SteppedCritics = true
          BestOf = BestOfSettings.off
          AverageActs = false
          Critics = CriticSettings.usual
          TargetNoise = TargetNoiseSettings.off
          Adam = AdamSettings.usual 1e-3
          PolicyRate = LearningRate.Constant 3e-4
          PolicyDelay = 1
          NoiseScale = 0.0
          Exploration =
            { InitialTemperature = 1.0
              TemperatureLearningRate = 0.0
              TemperatureDelay = 1
              TargetEntropyPerDim = -0.9 }
          TimeLimitsTerminate = false }

    /// As the SDAC paper's comparison ran it: iDEM's loss for SDAC's policy, all else SDAC's.
    let sdacPaper: DqsConfig =
        { published with
            CriticHidden = [ 256; 256; 256 ]
            Networks.Activation = HiddenActivation.Mish
            Networks.InitialWeights = InitialWeights.CutNormal
            PolicyActivation = HiddenActivation.Mish
            Data.Environments = 5
            Data.WarmUp = 30_000
            Process = DqsProcess.Preserving(BetaSchedule.Linear 0.8)
            InitialNoiseScale = 0.5
            MonteCarloDraws = 64
            Draws = DqsDraws.Clipped
            Anchor = DqsAnchor.Policy
            Temperature = 1.0
            TemperatureEnd = 1.0
            SteppedCritics = false
            BestOf = { BehaviourParticles = 32; TargetParticles = 32; EvaluationParticles = 32 }
            AverageActs = true
            Critics.RewardScale = 0.2
            Adam.LearningRate = 3e-4
            PolicyRate = LearningRate.LinearDecay(3e-4, 3e-5, 25_000L, 50_000L)
            PolicyDelay = 2
            NoiseScale = 0.1
            Exploration =
                { InitialTemperature = 5.0
                  TemperatureLearningRate = 7e-3
                  TemperatureDelay = 250
                  TargetEntropyPerDim = -0.9 } }

    /// InvertedPendulum-v4 in a minute or two: clipped actions, draws that keep to the box, and hardly any gradient, which a few
    /// draws estimate badly; τ falls; the policy's average acts, and comes to rest before a burst of the critics can carry it away.
    let quick: DqsConfig =
        { published with
            Hidden = [ 64; 64 ]
            CriticHidden = [ 64; 64 ]
            Data.Environments = 2
            Data.WarmUp = 1_000
            Data.BatchSize = 128
            Data.BufferCapacity = 100_000
            Process = DqsProcess.Exploding(0.03, 1.0)
            Timesteps = 10
            Box = DqsBox.Clip
            MonteCarloDraws = 16
            Draws = DqsDraws.Truncated
            Estimator = DqsEstimator.Blended 0.001
            Temperature = 0.3
            TemperatureEnd = 0.1
            TemperatureUpdates = 10_000L
            AverageActs = true
            Critics.Tau = 0.02
            Adam.LearningRate = 5e-4
            PolicyRate = LearningRate.LinearDecay(1e-3, 1e-5, 7_000L, 6_000L) }

    /// Learns the contract's task in seconds: the density of the action itself, half of the process's noise.
    let tiny: DqsConfig =
        { quick with
            Hidden = [ 32; 32 ]
            CriticHidden = [ 32; 32 ]
            Data.Environments = 4
            Data.WarmUp = 200
            Data.BatchSize = 64
            Data.BufferCapacity = 20_000
            Process = DqsProcess.Exploding(0.01, 1.0)
            Box = DqsBox.TanhDensity
            DiffusionScale = 0.5
            MonteCarloDraws = 8
            Draws = DqsDraws.Free
            Estimator = DqsEstimator.Gradient
            Temperature = 0.1
            TemperatureEnd = 0.1
            AverageActs = false
            Adam.LearningRate = 3e-3
            PolicyRate = LearningRate.LinearDecay(3e-3, 3e-4, 300L, 300L) }

    /// HalfCheetah-v4 on two cores: 100,000 environment steps at two updates per step of four environments.
    let laptop: DqsConfig =
        { published with
            Hidden = [ 128; 128; 128 ]
            CriticHidden = [ 128; 128 ]
            Data.Environments = 4
            Data.UpdatesPerStep = 2
            Process = DqsProcess.Exploding(0.03, 1.0)
            Timesteps = 10
            Box = DqsBox.Clip
            MonteCarloDraws = 16
            Draws = DqsDraws.Truncated
            Estimator = DqsEstimator.Noise
            Temperature = 0.3
            TemperatureEnd = 0.1
            TemperatureUpdates = 50_000L
            AverageActs = true
            Critics.Tau = 0.01
            PolicyRate = LearningRate.Constant 1e-3 }

    /// What is impossible in these settings, one sentence each; empty when they can be used.
    let problems (c: DqsConfig) : string list =
        [ Check.widths (nameof c.Hidden) c.Hidden
          Check.widths (nameof c.CriticHidden) c.CriticHidden
          NetworkSettings.problems c.Networks
          DataSettings.problems c.Data
          Check.atLeast (nameof c.Timesteps) 1 c.Timesteps
          match c.Process with
          | DqsProcess.Exploding(low, high) ->
              VarianceExploding.problems { SigmaMin = low; SigmaMax = high }
              @ [ if c.Hidden = [] then
                      "Hidden is empty; the exploding process's network has at least one hidden layer" ]
          | DqsProcess.Preserving schedule ->
              [ if c.Timesteps >= 1 then
                    match Schedule.problem schedule c.Timesteps with
                    | Some problem -> $"Process: {problem}"
                    | None -> () ]
              @ [ if c.Box = DqsBox.TanhDensity then
                      "Box is tanhDensity, but the preserving process keeps its actions in the box itself: take tanh or clip" ]
          Check.within (nameof c.DiffusionScale) 0.0 1e6 c.DiffusionScale
          Check.within (nameof c.InitialNoiseScale) 0.0 1e6 c.InitialNoiseScale
          [ if c.MonteCarloDraws < 2 then
                $"MonteCarloDraws is %d{c.MonteCarloDraws}; it must be at least 2: the weights of one draw are 1 whatever Q says" ]
          [ if c.Box = DqsBox.TanhDensity && c.Draws <> DqsDraws.Free then
                "Draws keep to the box but Box is tanhDensity, whose x has none: take free draws" ]
          match c.Estimator with
          | DqsEstimator.Blended v -> Check.positive "Estimator's variance" v
          | DqsEstimator.Gradient
          | DqsEstimator.Noise -> []
          Check.positive (nameof c.Temperature) c.Temperature
          Check.positive (nameof c.TemperatureEnd) c.TemperatureEnd
          Check.atLeast (nameof c.TemperatureUpdates) 1L c.TemperatureUpdates
          BestOfSettings.problems c.BestOf
          CriticSettings.problems c.Critics
          TargetNoiseSettings.problems c.TargetNoise
          AdamSettings.problems c.Adam
          LearningRate.problems (nameof c.PolicyRate) c.PolicyRate
          Check.atLeast (nameof c.PolicyDelay) 1 c.PolicyDelay
          Check.within (nameof c.NoiseScale) 0.0 1e6 c.NoiseScale
          TemperatureSettings.problems c.Exploration ]
        |> List.concat

/// The noising of rows at their times: a noised action is Keep·a + Deviation·ε, so the clean ones that it may come from are
/// (noised - Deviation·ε)/Keep.
[<NoComparison; NoEquality>]
type DqsRows =
    {
        /// What the network is told, one number a row for each of its times
        Times: float[] list
        /// √ᾱ, or 1: the share of the clean action in the noised one
        Keep: float[]
        /// √(1-ᾱ), or √h: the deviation of the noise in it
        Deviation: float[]
        /// The loss's weight of each row
        Weight: float[]
    }

/// What settings and sizes fix.
[<NoComparison; NoEquality>]
type DqsModel =
    { Compute: Compute
      Space: Space
      Policy: ActionNetwork
      Critics: TwinCriticsModel
      Config: DqsConfig }

/// Everything that training changes.
[<NoComparison; NoEquality>]
type DqsState =
    {
        Policy: Params
        /// Moving average of the policy
        TargetPolicy: Params
        PolicyAdam: AdamState
        Critics: TwinCritics
        /// λ of the exploration noise
        Exploration: Temperature
        /// Updates done
        Updates: int64
    }

/// All random numbers of one sampling of actions.
[<NoComparison; NoEquality>]
type DqsActionNoise =
    {
        Chain: ChainNoise
        /// Exploration, [B, A]; None where the settings add none
        Explore: Tensor option
    }

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

/// An update under way.
[<NoComparison; NoEquality>]
type DqsUpdate =
    {
        Model: DqsModel
        Batch: Batch
        Noise: DqsNoise
        State: DqsState
        Next: DqsState
        /// The actions that are noised, [B, A]; None until `reverseSample`, and on updates that do not move the policy
        Action: Tensor option
        Figures: Figures
    }

/// DQS, diffusion Q-sampling, with iDEM's other forms: the score of the noised density exp(Q/τ) is estimated by the critic at K
/// clean actions around a noised one, and regressed (Jain, Akhound-Sadegh, Ravanbakhsh 2025, arXiv 2410.01312; iDEM: arXiv
/// 2402.06121).
[<RequireQualifiedAccess>]
module Dqs =
    /// The networks of settings for a task of these sizes. Raises ArgumentException naming all impossible settings.
    let model (compute: Compute) (space: Space) (config: DqsConfig) : DqsModel =
        let c = Settings.validate DqsConfig.problems config
        let networks = { c.Networks with Activation = c.PolicyActivation }

        let policy =
            match c.Process with
            | DqsProcess.Exploding _ ->
                ActionNetwork.create
                    space.ObsDim
                    space.ActionDim
                    [ TimeEmbedding.Dqs; TimeEmbedding.Dqs ]
                    (ActionLayers.Residual(
                        c.Hidden.Head,
                        c.Hidden.Length - 1,
                        HiddenActivation.kernel c.PolicyActivation
                    ))
            | DqsProcess.Preserving _ ->
                ActionNetwork.create
                    space.ObsDim
                    space.ActionDim
                    [ TimeEmbedding.Dacer ]
                    (ActionLayers.Plain(NetworkSettings.policy networks c.Hidden))

        { Compute = compute
          Space = space
          Policy = policy
          Critics = TwinCritics.model compute space c.CriticHidden c.Networks c.Critics c.TargetNoise c.Adam
          Config = c }

    /// The traversal of the state.
    let parts: Parts<DqsState> =
        fun visit s ->
            { Policy = visit.Params("policy", s.Policy)
              TargetPolicy = visit.Params("target_policy", s.TargetPolicy)
              PolicyAdam = visit.Adam("policy", s.PolicyAdam)
              Critics = TwinCritics.parts visit s.Critics
              Exploration = Temperature.parts visit s.Exploration
              Updates = visit.Int("updates", s.Updates) }

    /// Fresh networks; the targets start as copies. The caller owns the tensors.
    let init (model: DqsModel) (key: Key) : DqsState =
        let keys = Key.splitMany 3 key

        Tensors.owning (Parts.tensors parts) (fun () ->
            let policy =
                ActionNetwork.initWith model.Config.Networks.InitialWeights model.Compute model.Policy keys[0]

            { Policy = policy
              TargetPolicy = Params.copy policy
              PolicyAdam = Adam.init policy
              Critics = TwinCritics.init model.Critics keys[1] keys[2]
              Exploration = Temperature.init model.Config.Exploration.InitialTemperature
              Updates = 0L })

    /// τ after so many updates: ln τ falls or rises linearly.
    let temperature (c: DqsConfig) (updates: int64) : float =
        let progress = min 1.0 (float updates / float c.TemperatureUpdates)
        exp (log c.Temperature + progress * (log c.TemperatureEnd - log c.Temperature))

    // ---- acting

    /// The points u of the exploding process's steps, in their order.
    let private timesOf (steps: int) : float[] = Array.init steps (fun i -> 1.0 - float i / float steps)

    let private chain (model: DqsModel) (state: DqsState) (policy: Params) (noise: ChainNoise) (obs: Tensor) =
        let c, compute = model.Config, model.Compute

        match c.Process with
        | DqsProcess.Exploding(low, high) ->
            let ve: VarianceExploding = { SigmaMin = low; SigmaMax = high }
            let steps = c.Timesteps
            let tau = Array.create steps (temperature c state.Updates)
            let score = ActionNetwork.along compute model.Policy policy obs [ timesOf steps; tau ]
            let start = num (sqrt (VarianceExploding.variance ve 1.0)) * noise.Initial
            let x = VarianceExploding.reverse ve steps c.DiffusionScale score (Array.get noise.Steps) start

            match c.Box with
            | DqsBox.Clip -> Diffusion.clip x
            | DqsBox.Tanh
            | DqsBox.TanhDensity -> x.tanh ()
        | DqsProcess.Preserving schedule ->
            let schedule = Schedule.create schedule c.Timesteps
            let times = [ Array.init c.Timesteps float ]
            let predict = ActionNetwork.along compute model.Policy policy obs times
            let start = num c.InitialNoiseScale * noise.Initial
            Diffusion.reverse schedule predict (Array.get noise.Steps) start

    /// The best of `particles` actions per state by the online critics, with exploration noise where there is any.
    /// obs: [B, O]; the chain's noise has B·particles rows -> [B, A].
    let sampled
        (model: DqsModel)
        (state: DqsState)
        (policy: Params)
        (particles: int)
        (noise: DqsActionNoise)
        (obs: Tensor)
        : Tensor =
        Tensors.scoped List.singleton (fun () ->
            let candidates = chain model state policy noise.Chain obs

            let best =
                if particles = 1 then
                    candidates
                else
                    let actions = candidates |> Tensors.view [ -1; particles; model.Space.ActionDim ]
                    (Diffusion.bestOf actions (TwinCritics.values model.Critics state.Critics obs actions)).Action

            match noise.Explore with
            | Some z -> best.add (z, Scalars.ofFloat (model.Config.NoiseScale * state.Exploration.Lambda))
            | None -> best)

    let private actionNoise
        (model: DqsModel)
        (explores: bool)
        (batch: int)
        (particles: int)
        (key: Key)
        : DqsActionNoise =
        let struct (chainKey, exploreKey) = Key.split key
        let c, dim = model.Config, model.Space.ActionDim

        { Chain = ChainNoise.draw model.Compute c.Timesteps (batch * particles) dim chainKey
          Explore =
            if explores && c.NoiseScale > 0.0 then
                Some(Key.normal model.Compute [ batch; dim ] exploreKey)
            else
                None }

    let private act (model: DqsModel) (purpose: Purpose) (state: DqsState) (key: Key) (obs: Tensor) : Acted =
        let c = model.Config
        let policy = if c.AverageActs then state.TargetPolicy else state.Policy

        let draw explores particles =
            let noise = actionNoise model explores (Tensors.size 0 obs) particles key
            sampled model state policy particles noise obs

        { Action =
            match purpose with
            | Purpose.Explore -> draw true c.BestOf.BehaviourParticles
            | Purpose.Evaluate -> draw false c.BestOf.EvaluationParticles
          Extras = [] }

    /// What acts in evaluations, as data.
    let private form (model: DqsModel) (state: DqsState) : Result<PolicyForm, string> =
        let c = model.Config

        let struct (leaf, policy) =
            if c.AverageActs then
                struct ("target_policy", state.TargetPolicy)
            else
                struct ("policy", state.Policy)

        let critics = Some(TwinCritics.form model.Critics state.Critics)

        let chain =
            match c.Process with
            | DqsProcess.Exploding(low, high) ->
                let tau = Array.create c.Timesteps (temperature c state.Updates)
                let network, times = FormChain.actionNetwork leaf model.Policy [ timesOf c.Timesteps; tau ] policy
                let finish = if c.Box = DqsBox.Clip then FormEnd.Clipped else FormEnd.Tanh
                let ve: VarianceExploding = { SigmaMin = low; SigmaMax = high }
                FormChain.exploding ve c.Timesteps c.DiffusionScale finish times network
            | DqsProcess.Preserving schedule ->
                let network, times = FormChain.timed leaf model.Policy c.Timesteps policy
                let schedule = Schedule.create schedule c.Timesteps
                FormChain.reverse ReverseStep.Posterior schedule c.InitialNoiseScale times network

        chain
        |> PolicyForm.chained
            model.Compute
            model.Space.ActionDim
            c.BestOf.EvaluationParticles
            critics
            PolicyForm.firstOf
        |> Ok

    // ---- an update

    /// The random numbers of an update; each kind has a key of its own.
    let drawNoise (model: DqsModel) (batchSize: int) (key: Key) : DqsNoise =
        let c, compute, dim = model.Config, model.Compute, model.Space.ActionDim
        let keys = Key.splitMany 6 key
        let draws = [ batchSize; c.MonteCarloDraws; dim ]

        { Next = actionNoise model true batchSize c.BestOf.TargetParticles keys[0]
          Smoothing = TwinCritics.smoothingNoise model.Critics [ batchSize; dim ] keys[1]
          New =
            match c.Anchor with
            | DqsAnchor.Replay -> None
            | DqsAnchor.Policy -> Some(actionNoise model true batchSize c.BestOf.BehaviourParticles keys[2])
          Times = Key.uniform compute [ batchSize ] keys[3] |> Tensors.toArray |> Array.map float
          Forward = Key.normal compute [ batchSize; dim ] keys[4]
          Draws =
            match c.Draws with
            | DqsDraws.Truncated -> Key.uniform compute draws keys[5]
            | DqsDraws.Free
            | DqsDraws.Clipped -> Key.normal compute draws keys[5] }

    /// An update that has done nothing yet.
    let start (model: DqsModel) (noise: DqsNoise) (batch: Batch) (state: DqsState) : DqsUpdate =
        { Model = model
          Batch = batch
          Noise = noise
          State = state
          Next = state
          Action = None
          Figures = Map [ "temperature", temperature model.Config state.Updates ] }

    /// Does this update move the policy and the moving averages?
    let movesPolicy (u: DqsUpdate) = u.State.Updates % int64 u.Model.Config.PolicyDelay = 0L

    /// The critics' targets y = r·scale + γ(1 - terminated)·v(s', a'), a' by the online policy. [B].
    let criticTarget (u: DqsUpdate) : Tensor =
        let model, s, obs = u.Model, u.State, u.Batch.NextObs

        let action =
            sampled model s s.Policy model.Config.BestOf.TargetParticles u.Noise.Next obs
            |> TwinCritics.smoothed model.Critics u.Noise.Smoothing

        TwinCritics.targetValue model.Critics s.Critics obs action
        |> TwinCritics.target model.Critics u.Batch

    /// One Adam step of both critics towards the targets.
    let evaluateQ (u: DqsUpdate) : DqsUpdate =
        let struct (learned, figures) =
            TwinCritics.learn u.Model.Critics u.Batch (criticTarget u) u.State.Critics

        { u with
            Next = { u.Next with Critics = learned }
            Figures = Map.fold (fun all name value -> Map.add name value all) u.Figures figures }

    /// The actions that are noised: the batch's, or new ones of the policy; on the updates that move it.
    let reverseSample (u: DqsUpdate) : DqsUpdate =
        let model, s = u.Model, u.State

        match u.Noise.New with
        | _ when not (movesPolicy u) -> u
        | None -> { u with Action = Some u.Batch.Action }
        | Some noise ->
            let particles = model.Config.BestOf.BehaviourParticles
            { u with Action = Some(sampled model s s.Policy particles noise u.Batch.Obs) }

    // Uniform numbers on [0, 1) are 0 now and then, and there the noise has no deviation to divide by.
    [<Literal>]
    let private FirstTime = 1e-4

    /// The noising of rows at these times, uniform on [0, 1).
    let rows (model: DqsModel) (tau: float) (times: float[]) : DqsRows =
        let c = model.Config

        match c.Process with
        | DqsProcess.Exploding(low, high) ->
            let times = times |> Array.map (max FirstTime)
            let h = times |> Array.map (VarianceExploding.variance { SigmaMin = low; SigmaMax = high })

            { Times = [ times; Array.create times.Length tau ]
              Keep = Array.create times.Length 1.0
              Deviation = Array.map sqrt h
              Weight = h |> Array.map (fun h -> h + 1e-3) }
        | DqsProcess.Preserving schedule ->
            let schedule = Schedule.create schedule c.Timesteps
            let t = times |> Array.map (fun u -> min (c.Timesteps - 1) (int (u * float c.Timesteps)))

            { Times = [ Array.map float t ]
              Keep = t |> Array.map (fun t -> schedule.SqrtAlphaBars[t])
              Deviation = t |> Array.map (fun t -> schedule.SqrtOneMinusAlphaBars[t])
              Weight = Array.create times.Length 1.0 }

    let private column (compute: Compute) (shape: int list) (values: float[]) =
        Tensors.ofArray compute shape (values |> Array.map float32)

    /// ∇ log of the noised density at the noised actions, estimated from K clean ones around each: the score, [B, A].
    /// noised: [B, A]; draws: [B, K, A], as `DqsNoise.Draws`.
    let score
        (model: DqsModel)
        (value: ActionValue)
        (tau: float)
        (rows: DqsRows)
        (obs: Tensor)
        (noised: Tensor)
        (draws: Tensor)
        : Tensor =
        let c, compute = model.Config, model.Compute
        let batch = Tensors.size 0 noised
        let per values = column compute [ batch; 1; 1 ] values
        let scale = rows.Keep |> Array.map (fun keep -> 1.0 / keep)
        let spread = Array.map2 (/) rows.Deviation rows.Keep

        let noise =
            match c.Draws with
            | DqsDraws.Truncated ->
                let struct (noise, _) = Rssm.truncatedAround compute scale spread noised draws
                noise
            | DqsDraws.Free
            | DqsDraws.Clipped -> draws

        let free = per scale * noised.unsqueeze 1L - per spread * noise

        let x =
            match c.Draws with
            | DqsDraws.Free -> free
            | DqsDraws.Clipped
            | DqsDraws.Truncated -> Diffusion.clip free

        let action = if c.Box = DqsBox.TanhDensity then x.tanh () else x

        // ln (1 - tanh²x), summed over the action's components
        let logSlope () = (SquashedGaussian.logOneLessTanhSquared x).sum 2L

        // Q/τ, and its slopes where they are asked for
        let struct (energy, slope) =
            if c.Estimator = DqsEstimator.Noise && not c.NormaliseGradient then
                struct (num (1.0 / tau) * value.Values obs action, None)
            else
                let struct (q, slope) = value.WithSlopes obs action

                let size =
                    if c.NormaliseGradient then
                        slope.abs().mean() + num 1e-6
                    else
                        torch.ones_like (slope.mean ())

                let share = num (1.0 / tau) * size.reciprocal ()
                struct (q * share, Some(slope * share))

        let energy = if c.Box = DqsBox.TanhDensity then energy + logSlope () else energy
        let weights = (energy.softmax 1L).unsqueeze 2L

        // ∇ log mean exp
        let byGradient (slope: Tensor) =
            let slope =
                match c.Box, c.Draws with
                | DqsBox.TanhDensity, _ -> slope * (-action.square() + num 1.0) - num 2.0 * action
                | _, DqsDraws.Clipped -> slope * free.abs().le(num 1.0).``to`` torch.float32
                | _ -> slope

            (slope * weights).sum 1L * column compute [ batch; 1 ] scale

        let byNoise () =
            let share = rows.Deviation |> Array.map (fun deviation -> -1.0 / deviation)
            (noise * weights).sum 1L * column compute [ batch; 1 ] share

        match c.Estimator, slope with
        | DqsEstimator.Gradient, Some slope -> byGradient slope
        | DqsEstimator.Blended v, Some slope ->
            let share = spread |> Array.map (fun s -> v / (s * s + v))
            let column = column compute [ batch; 1 ]
            let noises = share |> Array.map (fun share -> 1.0 - share)
            byGradient slope * column share + byNoise () * column noises
        | _ -> byNoise ()

    /// The loss, the mean over batch and dimensions of weight·(network - target)², and its gradient. The target is the score,
    /// or -√(1-ᾱ_t) times it where the network gives the noise; held constant.
    let policyGradient (u: DqsUpdate) (value: ActionValue) (action: Tensor) : struct (Tensor * Tensor) =
        let model, c, compute = u.Model, u.Model.Config, u.Model.Compute
        let batch = Tensors.size 0 action
        let tau = temperature c u.State.Updates
        let rows = rows model tau u.Noise.Times

        // atanh, with room to its poles
        let place =
            if c.Box = DqsBox.TanhDensity then
                action.clamp(Scalars.ofFloat -0.999, Scalars.ofFloat 0.999).atanh()
            else
                action

        let per values = column compute [ batch; 1 ] values
        let noised = per rows.Keep * place + per rows.Deviation * u.Noise.Forward
        let score = score model value tau rows u.Batch.Obs noised u.Noise.Draws

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
        if obj.ReferenceEquals(u.Next.Critics.Q1, u.State.Critics.Q1) then
            Stages.lacks "matchScore" "the critics' step" "evaluateQ"

        match u.Action with
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
                        Critics = TwinCritics.follow u.Model.Critics u.Next.Critics }
                Figures =
                    u.Figures
                    |> Map.add "policyLoss" (Tensors.scalar loss)
                    |> Map.add "policyGradientNorm" (Tensors.norm gradient) }

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

    let private finish (u: DqsUpdate) : Finished<DqsState> =
        { State = { u.Next with Updates = u.State.Updates + 1L }
          Figures = u.Figures
          Tallies = []
          Verdict = Verdict.Continue }

    /// The agent of a model.
    let agent (model: DqsModel) : Agent<DqsState, DqsUpdate> =
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
        @ [ { FigureInfo.finite "policyLoss" "the policy loss" with
                Headline = Some "policy loss"
                Carried = true }
            { FigureInfo.finite "policyGradientNorm" "the gradient of the policy" with Carried = true }
            { FigureInfo.plain "temperature" "the temperature τ" with Headline = Some "τ" } ]

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
          Agent = fun compute space _ config -> agent (model compute space config) }
