namespace Sdac.Functional

open TorchSharp

/// Every setting of SDAC.
type SdacConfig =
    {
        /// Widths of the hidden layers of all networks; none: linear networks
        Hidden: int list
        /// Widths of the critics' hidden layers; none: `Hidden`
        CriticHidden: int list option
        Networks: NetworkSettings
        /// What follows the linear maps of the critics' hidden layers; none: as in the policy
        CriticActivation: HiddenActivation option
        Data: DataSettings
        Diffusion: DiffusionSettings
        Particles: ParticleSettings
        Draws: DrawSettings
        Regression: RegressionSettings
        Energy: EnergySettings
        Critics: CriticSettings
        /// Soft evaluation is exact with TargetParticles 1 and NoiseScale 0: then a' is the policy's own
        Likelihood: LikelihoodSettings
        TargetNoise: TargetNoiseSettings
        Adam: AdamSettings
        Policy: PolicySettings
        Temperature: TemperatureSettings
        /// What λ is moved towards
        Tuning: TemperatureTuning
    }

[<RequireQualifiedAccess>]
module SdacConfig =
    /// The published experiments' settings (ICML 2025).
    let published: SdacConfig =
        { Hidden = [ 256; 256; 256 ]
          CriticHidden = None
          Networks = NetworkSettings.mish
          CriticActivation = None
          Data =
            { Environments = 5
              UpdatesPerStep = 1
              WarmUp = 30_000
              BatchSize = 256
              BufferCapacity = 1_000_000 }
          Diffusion =
            { Timesteps = 20
              BetaSchedule = BetaSchedule.Linear 0.8
              InitialNoiseScale = 0.5
              WideNoise = false
              TimeDim = 16
              TimeHidden = 32 }
          Particles =
            { Particles = 32
              BehaviourParticles = None
              TargetParticles = None
              EvaluationParticles = None
              Candidates = Candidates.Chains
              NoiseScale = 0.1 }
          Draws = { MonteCarloDraws = 64; Weights = RssmWeights.SelfNormalised; ReverseNoise = ReverseNoise.Clipped }
          Regression = RegressionSettings.from Anchor.Policy
          Energy = { QScale = 5.0; QNormalisation = QNormalisation.Off; QNormalisationRate = 0.001; QClip = 3.0 }
          Critics = { CriticSettings.usual with RewardScale = 0.2 }
          Likelihood = LikelihoodSettings.off
          TargetNoise = TargetNoiseSettings.off
          Adam = AdamSettings.usual 3e-4
          Policy =
            { PolicyDelay = 2
              PolicyLearningRateEnd = 3e-5
              PolicyDecayBegin = 25_000L
              PolicyDecayLength = 50_000L
              PolicyCopies = None
              ActsBy = ActingPolicy.Target }
          Temperature =
            { InitialTemperature = 5.0
              TemperatureLearningRate = 7e-3
              TemperatureDelay = 250
              TargetEntropyPerDim = -0.9 }
          Tuning = TemperatureTuning.Entropy }

    /// InvertedPendulum-v4 in a minute or two: small networks, few particles, sharper weights (QScale 20 at λ ≈ 1), faster
    /// targets.
    let quick: SdacConfig =
        { published with
            Hidden = [ 64; 64 ]
            Data = DataSettings.quick
            Diffusion.Timesteps = 10
            Particles.Particles = 8
            Draws.MonteCarloDraws = 16
            Energy.QScale = 20.0
            Critics.Tau = 0.02
            Adam.LearningRate = 1e-3
            Policy.PolicyDelay = 1
            Policy.PolicyLearningRateEnd = 1e-4
            Policy.PolicyDecayBegin = 5_000L
            Policy.PolicyDecayLength = 5_000L
            Temperature.InitialTemperature = 1.0 }

    /// Small networks and a fixed, low temperature: learns the contract's task in seconds.
    let tiny: SdacConfig =
        { quick with
            Hidden = [ 32; 32 ]
            Data = DataSettings.tiny
            Diffusion.Timesteps = 5
            Particles.Particles = 4
            Draws.MonteCarloDraws = 8
            Energy.QScale = 1.0
            Critics.RewardScale = 1.0
            Adam.LearningRate = 3e-3
            Policy.PolicyLearningRateEnd = 1e-3
            Policy.PolicyDecayBegin = 300L
            Policy.PolicyDecayLength = 300L
            Temperature.InitialTemperature = 0.1
            Temperature.TemperatureLearningRate = 0.0 }

    /// HalfCheetah-v4 on two cores: 100,000 environment steps.
    let laptop: SdacConfig =
        { published with
            Hidden = [ 128; 128 ]
            Data = DataSettings.laptop
            Diffusion.Timesteps = 10
            Particles.Particles = 4
            Draws.MonteCarloDraws = 16
            Critics.Tau = 0.01
            Adam.LearningRate = 1e-3
            Policy.PolicyLearningRateEnd = 3e-4
            Temperature.InitialTemperature = 1.0 }

    /// As in flow-rl: one environment and an update each step, replay actions, 500 truncated draws, λ 0.05, no exploration noise.
    /// The noise network and its timesteps are those of this library: flow-rl encodes the observation first and draws times between
    /// the chain's.
    let flowRl: SdacConfig =
        { published with
            CriticHidden = Some [ 256; 256 ]
            CriticActivation = Some HiddenActivation.Relu
            Networks.InitialWeights = InitialWeights.Orthogonal
            Data.Environments = 1
            Data.WarmUp = 5_000
            Diffusion.BetaSchedule = BetaSchedule.ContinuousCosine
            Diffusion.InitialNoiseScale = 1.0
            Diffusion.WideNoise = true
            Particles.Particles = 1
            Particles.EvaluationParticles = Some 10
            Particles.NoiseScale = 0.0
            Draws.MonteCarloDraws = 500
            Draws.ReverseNoise = ReverseNoise.TruncatedNormal
            Regression.Anchor = Anchor.Replay
            Energy.QScale = 1.0
            Critics.RewardScale = 1.0
            Policy.PolicyDelay = 1
            Policy.PolicyLearningRateEnd = 3e-4
            Policy.ActsBy = ActingPolicy.Online
            Temperature.InitialTemperature = 0.05
            Temperature.TemperatureLearningRate = 0.0 }

    /// The settings that it shares with other actor-critics.
    let shared (c: SdacConfig) : ActorCriticSettings =
        { Hidden = c.Hidden
          CriticHidden = c.CriticHidden
          Networks = c.Networks
          CriticActivation = c.CriticActivation
          Data = c.Data
          Diffusion = c.Diffusion
          Particles = c.Particles
          Regression = c.Regression
          Energy = c.Energy
          Critics = c.Critics
          TargetNoise = c.TargetNoise
          Adam = c.Adam
          Policy = c.Policy
          Temperature = c.Temperature
          Tuning = c.Tuning }

    /// What is impossible in these settings, one sentence each; empty when they can be used.
    let problems (c: SdacConfig) : string list =
        ActorCriticSettings.problems c.Draws.MonteCarloDraws (shared c)
        @ DrawSettings.problems c.Draws
        @ LikelihoodSettings.problems c.Likelihood

/// SDAC (Soft Diffusion Actor-Critic): the actor-critic's update with RSSM for the policy's gradient.
[<RequireQualifiedAccess>]
module Sdac =
    /// The networks and coefficients of settings for a task of these sizes. Raises ArgumentException naming all impossible
    /// settings.
    let model (compute: Compute) (space: Space) (config: SdacConfig) : ActorCriticModel =
        let c = Settings.validate SdacConfig.problems config

        { ActorCriticModel.create compute space (SdacConfig.shared c) (PolicyStep.Rssm c.Draws) with
            Likelihood = c.Likelihood }

    let private settings (model: ActorCriticModel) : DrawSettings =
        match model.Step with
        | PolicyStep.Rssm draws -> draws
        | PolicyStep.Mirror _ ->
            invalidOp
                "the stage rssmUpdate belongs to SDAC, but this algorithm makes no reverse draws: take its own stages (Pipeline.dpmd)"

    /// The noise ε_k of the K draws of each state, and what it adds to the energies of raw weights: the logarithm of the share
    /// of q̃_{0|t} that was kept (self-normalised weights do not see it).
    let private reverseNoise (model: ActorCriticModel) (draws: DrawSettings) (noise: UpdateNoise) (noisy: Tensor) =
        match draws.ReverseNoise, draws.Weights with
        | (ReverseNoise.Clipped | ReverseNoise.Unbounded), _ -> struct (noise.Reverse, id)
        | ReverseNoise.TruncatedNormal, weights ->
            let struct (reverse, logShare) =
                Rssm.truncatedNoise model.Compute model.Schedule noise.Timesteps noisy noise.Reverse

            match weights with
            | RssmWeights.Raw -> struct (reverse, (fun (energy: Tensor) -> energy.add logShare))
            | RssmWeights.SelfNormalised
            | RssmWeights.LogSumExp -> struct (reverse, id)

    /// The RSSM loss of actions and its gradient. The forward noising of `action` is the sampling distribution
    /// p̃_t of the theorem.
    let rssmGradient
        (model: ActorCriticModel)
        (state: ActorCriticState)
        (noise: UpdateNoise)
        (obs: Tensor)
        (action: Tensor)
        =
        let settings, cap = settings model, model.Regression.ErrorCap
        let compute, schedule, t = model.Compute, model.Schedule, noise.Timesteps
        let noisy = Diffusion.noised compute schedule t action noise.Forward
        let struct (reverse, restricted) = reverseNoise model settings noise noisy
        let draws = Rssm.cleanDraws settings.ReverseNoise compute schedule t noisy reverse
        let q = ActorCritic.weightValues model state obs draws
        let energy = Energy.ofValues model.Energy state.Values state.Temperature.Lambda q |> restricted
        let struct (weights, shift) = Energy.weights settings.Weights state.EnergyShift energy
        use vjp = NoiseNetwork.vjp compute model.Noise state.Policy obs noisy t
        let loss = Regression.loss cap vjp.Output reverse weights
        let struct (gradient, _) = vjp.Pullback(Regression.gradient cap vjp.Output reverse weights)

        { Loss = loss
          Weights = weights
          Gradient = gradient
          Values = RunningValues.follow model.Energy q state.Values
          EnergyShift = shift }

    /// The states and actions that the policy is moved on; none on the updates that leave it.
    let private anchored (u: Update) : struct (Tensor * Tensor) option =
        match u.Model.Regression.Anchor, u.Action, u.NextAction with
        | Anchor.Policy, Some action, _ -> Some struct (u.Batch.Obs, action)
        | Anchor.Replay, _, _ when ActorCritic.movesPolicy u -> Some struct (u.Batch.Obs, u.Batch.Action)
        | Anchor.TargetAction, _, Some action when ActorCritic.movesPolicy u -> Some struct (u.Batch.NextObs, action)
        | _ -> None

    /// The RSSM step of the policy and the targets' moving averages, on the updates that move them; the temperature's step when
    /// it is due.
    let rssmUpdate (u: Update) : Update =
        settings u.Model |> ignore

        match anchored u with
        | Some struct (obs, action) -> ActorCritic.movePolicy (rssmGradient u.Model u.State u.Noise obs action) u
        | None -> u
        |> ActorCritic.moveTemperature

    /// The update as it is. Raises InvalidOperationException where a stage that `rssmUpdate` needs has not run in it.
    let inOrder (u: Update) : Update =
        settings u.Model |> ignore

        // the critics' moving averages follow them
        if ActorCritic.isWithoutCritics u then
            Stages.lacks "rssmUpdate" "the critics' step" "evaluateQ"

        if u.Action.IsNone && ActorCritic.movesPolicy u && u.Model.Regression.Anchor = Anchor.Policy then
            Stages.lacks "rssmUpdate" "the actions of this update" "reverseSample"

        u

    /// The parts of an update in their order.
    let stages: (string * (Update -> Update)) list =
        [ "evaluateQ", ActorCritic.evaluateQ
          "reverseSample", ActorCritic.reverseSample
          "rssmUpdate", inOrder >> rssmUpdate ]

    /// One update with given random numbers.
    let updateWith: ActorCriticModel -> UpdateNoise -> Batch -> ActorCriticState -> struct (ActorCriticState * Figures) =
        ActorCritic.updateBy (ActorCritic.evaluateQ >> ActorCritic.reverseSample >> rssmUpdate)

    /// One update. The same arguments give the same bits; no argument is changed. The new state owns the tensors that it does
    /// not share with the old one.
    let update (model: ActorCriticModel) (key: Key) (batch: Batch) (state: ActorCriticState) =
        use scope = torch.NewDisposeScope()
        let noise = UpdateNoise.draw model (Tensors.size 0 batch.Obs) key
        updateWith model noise batch state

    /// The algorithm.
    let algorithm: Algorithm<SdacConfig, ActorCriticState, Update> =
        { Name = "sdac"
          Title = "SDAC"
          Published = SdacConfig.published
          Added = ActorCriticSettings.added @ [ "likelihood" ]
          Presets =
            [ Preset.tiny 600L SdacConfig.tiny
              Preset.quick SdacConfig.quick
              Preset.laptop SdacConfig.laptop
              Preset.published SdacConfig.published
              Preset.sdacPaper "as the paper compares it: the same as published" SdacConfig.published
              { Preset.published SdacConfig.published with Name = "paper"; Meaning = "another name of published" }
              Preset.flowRl SdacConfig.flowRl ]
          Problems = SdacConfig.problems
          Figures = ActorCriticAgent.figures
          Describe =
            fun c ->
                $"{c.Particles.Particles} particles, {c.Draws.MonteCarloDraws} draws, {c.Diffusion.Timesteps} timesteps"
          Agent = fun compute space _ config -> ActorCriticAgent.create (model compute space config) stages }
