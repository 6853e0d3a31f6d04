namespace Sdac.Functional

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

/// The networks of DQS, and how they act: the best of N actions of its process run backwards, with exploration noise.
[<RequireQualifiedAccess>]
module DqsPolicy =
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
                ChainPolicy.network space [ TimeEmbedding.Dacer ] (NetworkSettings.policy networks c.Hidden)

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
            let best =
                chain model state policy noise.Chain obs
                |> TwinCritics.best model.Critics state.Critics particles obs

            match noise.Explore with
            | Some z -> best.add (z, Scalars.ofFloat (model.Config.NoiseScale * state.Exploration.Lambda))
            | None -> best)

    let actionNoise (model: DqsModel) (explores: bool) (batch: int) (particles: int) (key: Key) : DqsActionNoise =
        let struct (chainKey, exploreKey) = Key.split key
        let c, dim = model.Config, model.Space.ActionDim

        { Chain = ChainNoise.draw model.Compute c.Timesteps (batch * particles) dim chainKey
          Explore =
            if explores && c.NoiseScale > 0.0 then
                Some(Key.normal model.Compute [ batch; dim ] exploreKey)
            else
                None }

    let act (model: DqsModel) (purpose: Purpose) (state: DqsState) (key: Key) (obs: Tensor) : Acted =
        let c = model.Config
        let struct (_, policy) = ChainPolicy.actor model.Config.AverageActs state.Policy state.TargetPolicy

        let draw explores particles =
            let noise = actionNoise model explores (Tensors.size 0 obs) particles key
            sampled model state policy particles noise obs

        { Action =
            match purpose with
            | Purpose.Explore -> draw true c.BestOf.BehaviourParticles
            | Purpose.Evaluate -> draw false c.BestOf.EvaluationParticles
          Extras = [] }

    /// What acts in evaluations, as data.
    let form (model: DqsModel) (state: DqsState) : Result<PolicyForm, string> =
        let c = model.Config

        let struct (leaf, policy) = ChainPolicy.actor model.Config.AverageActs state.Policy state.TargetPolicy

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
