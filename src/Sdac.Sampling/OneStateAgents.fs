namespace Sdac.Sampling

open Sdac.Functional
open TorchSharp

/// A method as the bench knows it.
[<NoComparison; NoEquality>]
type OneStateMethod =
    {
        Name: string
        /// What its policy converges to with the exact Q, in a phrase
        Aim: string
        /// Whether that is exp(Q) itself
        SamplesTarget: bool
        /// Rows through the policy's network of an update: forward alone, and with its parameters' gradient
        PolicyRows: int * int
        /// Actions [n] after so many updates with this value
        Run: ActionValue -> int -> int -> Key -> float32[]
    }

/// The methods of the registry with settings for one state, each made of the value that stands in the place of its critics and of the
/// number of its updates.
module internal OneStateAgents =
    let space = { ObsDim = 1; ActionDim = 1 }
    let private remembered = 4_096
    let batch = 256
    let private hidden = [ 64; 64 ]

    let private data: DataSettings =
        { Environments = 1; UpdatesPerStep = 1; WarmUp = 1; BatchSize = batch; BufferCapacity = remembered }

    /// A memory of uniform actions.
    let private memory (key: Key) : Replay =
        let actions = Key.uniform Compute.cpu [ remembered ] key |> Tensors.toArray

        let append memory (u: float32) =
            Replay.append
                { Obs = [| 0f |]
                  Action = [| 2f * u - 1f |]
                  Reward = [| 0f |]
                  Terminated = [| true |]
                  Truncated = [| false |]
                  NextObs = [| 0f |]
                  Current = [| 0f |]
                  Extras = [] }
                memory

        Array.fold append (Replay.create 1 1 1 remembered) actions

    /// So many updates of an agent on uniform actions, then n actions.
    let private trained (agent: Agent<'s, 'w>) (updates: int) (n: int) (key: Key) : float32[] =
        let keys = Key.splitMany 4 key
        let memory = memory keys[0]
        let mutable state = agent.Init keys[1]

        for i in 0 .. updates - 1 do
            let next =
                Tensors.owning (Parts.tensorsNotIn agent.Parts state) (fun () ->
                    let own = Key.splitMany 3 (Key.foldIn (int64 i) keys[2])
                    let struct (prepared, table) = agent.Prepare own[0] memory state
                    let work = agent.Begin table { Batch = own[1]; Noise = own[2] } prepared
                    (agent.Stages |> List.fold (fun work (_, stage) -> stage work) work |> agent.Finish).State)

            Parts.disposeReplaced agent.Parts next state
            state <- next

        use _ = torch.NewDisposeScope()
        let acted = agent.Act Purpose.Explore state keys[3] (Tensors.zeros Compute.cpu [ n; 1 ])
        let actions = Tensors.toArray acted.Action
        Parts.dispose agent.Parts state
        actions

    let method name aim samples rows (agent: ActionValue -> int -> Agent<'s, 'w>) : OneStateMethod =
        { Name = name
          Aim = aim
          SamplesTarget = samples
          PolicyRows = rows
          Run = fun value updates n key -> trained (agent value updates) updates n key }

    let private knowing (value: ActionValue) (critics: TwinCriticsModel) = { critics with Known = Some value }
    // Twenty steps of the cosine would end 41 % too narrow in variance on the quadratic with the exact score (KL 0.06), fifty of
    // equal ratios 14 % (KL 0.006): the posterior's steps are those of a point.
    let timesteps = 50
    let schedule = BetaSchedule.Geometric(0.02, 30.0)

    let private decaying (from: float) (updates: int) =
        LearningRate.LinearDecay(from, 1e-5, int64 (updates / 2), int64 (max 1 (updates / 2)))

    let private rate = decaying 1e-3

    let sdac (updates: int) : SdacConfig =
        { SdacConfig.published with
            Hidden = hidden
            Data = data
            Diffusion.Timesteps = timesteps
            Diffusion.BetaSchedule = schedule
            Diffusion.InitialNoiseScale = 1.0
            Particles.Particles = 1
            Particles.NoiseScale = 0.0
            Draws =
                { MonteCarloDraws = 64
                  Weights = RssmWeights.SelfNormalised
                  ReverseNoise = ReverseNoise.TruncatedNormal }
            Energy.QScale = 1.0
            // 1e-3 leaves the pair at KL 0.03 after 3,000 updates, this at 0.009
            Adam.LearningRate = 3e-3
            Policy.PolicyDelay = 1
            Policy.PolicyLearningRateEnd = 1e-5
            Policy.PolicyDecayBegin = int64 (updates / 2)
            Policy.PolicyDecayLength = int64 (max 1 (updates / 2))
            Temperature.InitialTemperature = 1.0
            Temperature.TemperatureLearningRate = 0.0 }

    let actorCritic create stages =
        fun value updates ->
            let model: ActorCriticModel = create updates
            ActorCriticAgent.create { model with Critics = knowing value model.Critics } stages

    let chain: ChainSettings = { Timesteps = timesteps; BetaSchedule = schedule; InitialNoiseScale = 1.0 }

    let qsm form (chain: ChainSettings) =
        fun value updates ->
            let model =
                Qsm.model
                    Compute.cpu
                    space
                    { QsmConfig.published with
                        Hidden = hidden
                        Data = data
                        Chain = chain
                        TargetNoise = TargetNoiseSettings.off
                        PolicyRate = rate updates
                        Form = form
                        GradientScale = 1.0
                        ExplorationNoise = 0.0 }

            Qsm.agent { model with Critics = knowing value model.Critics }

    let dqs (change: DqsConfig -> DqsConfig) =
        fun value updates ->
            let model =
                DqsPolicy.model
                    Compute.cpu
                    space
                    (change
                        { DqsConfig.published with
                            Hidden = hidden
                            CriticHidden = hidden
                            Data = data
                            Timesteps = timesteps
                            MonteCarloDraws = 64
                            Temperature = 1.0
                            TemperatureEnd = 1.0
                            PolicyRate = rate updates })

            Dqs.agent { model with Critics = knowing value model.Critics }

    let dipo value (_: int) =
        let model =
            DipoPolicy.model
                Compute.cpu
                space
                { DipoConfig.published with
                    Hidden = hidden
                    Data = data
                    Chain = chain
                    Adam.LearningRate = 1e-3
                    Persist = true }

        Dipo.agent { model with Critics = knowing value model.Critics }

    let qvpoParticles = 8
    let qipoActions = 16

    let qvpo value updates =
        let model =
            QvpoPolicy.model
                Compute.cpu
                space
                { Iterations = int64 updates }
                { QvpoConfig.published with
                    Hidden = hidden
                    Data = data
                    Chain = chain
                    TrainingParticles = qvpoParticles
                    BestOf = BestOfSettings.off
                    PolicyRate = rate updates }

        Qvpo.agent { model with Critics = knowing value model.Critics }

    let maxEntDp value updates =
        let model =
            MaxEntDpPolicy.model
                Compute.cpu
                space
                { MaxEntDpConfig.published with
                    Hidden = hidden
                    Data = data
                    Chain = chain
                    // 1e-3 leaves the pair at KL 0.025
                    PolicyRate = decaying 3e-3 updates
                    MonteCarloDraws = 64
                    Temperature = 1.0
                    Likelihood = LikelihoodSettings.off }

        MaxEntDp.agent { model with Critics = knowing value model.Critics }

    let idql value updates =
        let model =
            IdqlPolicy.model
                Compute.cpu
                space
                { IdqlConfig.published with
                    Hidden = hidden
                    CriticHidden = hidden
                    Data = data
                    Exploration = IdqlChoice.Best
                    Adam.LearningRate = 1e-3
                    PolicyRate = rate updates
                    PolicyTau = 0.01 }

        Idql.agent { model with Critics = knowing value model.Critics }

    let dacer value updates =
        let model =
            Dacer.model
                Compute.cpu
                space
                { DacerConfig.published with
                    Hidden = hidden
                    Data = data
                    Adam.LearningRate = 1e-3
                    PolicyRate = rate updates
                    PolicyDelay = 1
                    NoiseScale = 0.0
                    Temperature.TemperatureLearningRate = 0.0 }

        Dacer.agent { model with Critics = { model.Critics with Known = Some value } }

    let qipo (change: QipoConfig -> QipoConfig) value updates =
        let model =
            Qipo.model
                Compute.cpu
                space
                (change
                    { QipoConfig.published with
                        Hidden = hidden
                        Networks.CriticLayerNorm = None
                        Data = data
                        Chain = chain
                        SupportActions = qipoActions
                        PolicyRate = rate updates })

        Qipo.agent { model with Critics = knowing value model.Critics }

    // The first half of the updates makes the policy uniform, as the memory is; then that policy is the support for good.
    let qipoOnce value updates =
        let once (c: QipoConfig) =
            { c with
                CloneUpdates = updates / 2
                RenewEvery = max 1 updates
                PolicyRate = LearningRate.Constant 1e-3
                AverageActs = true }

        qipo once value updates

    let sac value (_: int) =
        let model =
            Sac.model
                Compute.cpu
                space
                { SacConfig.sb3 with
                    Hidden = hidden
                    Data = data
                    Adam.LearningRate = 1e-3
                    TemperatureLearningRate = 0.0 }

        Sac.agent { model with Critics = knowing value model.Critics }

    let td3 value (_: int) =
        let model =
            Td3.model
                Compute.cpu
                space
                { Td3Config.authors with
                    Hidden = hidden
                    Data = data
                    Adam.LearningRate = 1e-3
                    ExplorationNoise = 0.0
                    PolicyCritic = PolicyCritic.Both }

        Td3.agent { model with Critics = knowing value model.Critics }

    let rollout: RolloutSettings = { Environments = 64; VectorSteps = 16; Epochs = 5; Minibatches = 4 }

    let ppo () : Agent<PpoState, PpoUpdate> =
        { PpoConfig.normalised with
            Networks.Hidden = hidden
            Rollout = rollout
            Normalisation = NormalisationSettings.off
            AnnealLearningRate = false
            Adam.LearningRate = 1e-3 }
        |> PpoPolicy.model Compute.cpu space { Iterations = 1L }
        |> Ppo.agent

    let dppo () : Agent<DppoState, DppoUpdate> =
        { DppoConfig.quick with
            Rollout = { rollout with Minibatches = 20 }
            Normalisation = NormalisationSettings.off }
        |> DppoPolicy.model Compute.cpu space
        |> Dppo.agent

    /// A method that learns from rewards; so many policy rows a transition, dealt out to so many minibatches.
    let onPolicy name (agent: unit -> Agent<'s, 'w>) (steps: int) (minibatches: int) : OneStateMethod =
        let rows = RolloutSettings.rows rollout * steps

        { Name = name
          Aim = "the best action, in the spread that it explores with"
          SamplesTarget = false
          PolicyRows = rows / (rollout.Epochs * minibatches), rows / minibatches
          Run = fun value updates n key -> OneStateRounds.run (agent ()) value updates n key }
