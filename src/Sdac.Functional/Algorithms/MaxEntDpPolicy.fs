namespace Sdac.Functional

/// What settings and sizes fix.
[<NoComparison; NoEquality>]
type MaxEntDpModel =
    {
        Compute: Compute
        Space: Space
        Schedule: Schedule
        /// Predicts ε; it is told ln(ᾱ/(1-ᾱ))
        Policy: ActionNetwork
        Critics: TwinCriticsModel
        Config: MaxEntDpConfig
    }

/// Everything that training changes.
[<NoComparison; NoEquality>]
type MaxEntDpState =
    {
        Policy: Params
        PolicyAdam: AdamState
        Critics: TwinCritics
        /// Updates done
        Updates: int64
    }

/// The networks of MaxEntDP, and how they act: the best of N actions of the reverse chain.
[<RequireQualifiedAccess>]
module MaxEntDpPolicy =
    /// The networks of settings for a task of these sizes. Raises ArgumentException naming all impossible settings.
    let model (compute: Compute) (space: Space) (config: MaxEntDpConfig) : MaxEntDpModel =
        let c = Settings.validate MaxEntDpConfig.problems config
        let networks = { c.Networks with Activation = c.PolicyActivation }

        { Compute = compute
          Space = space
          Schedule = Schedule.create c.Chain.BetaSchedule c.Chain.Timesteps
          Policy = ChainPolicy.network space [ TimeEmbedding.Qsm ] (NetworkSettings.policy networks c.Hidden)
          Critics = TwinCritics.model compute space c.Hidden c.Networks c.Critics TargetNoiseSettings.off c.Adam
          Config = c }

    /// The traversal of the state.
    let parts: Parts<MaxEntDpState> =
        fun visit s ->
            { Policy = visit.Params("policy", s.Policy)
              PolicyAdam = visit.Adam("policy", s.PolicyAdam)
              Critics = TwinCritics.parts visit s.Critics
              Updates = visit.Int("updates", s.Updates) }

    /// Fresh networks. The caller owns the tensors.
    let init (model: MaxEntDpModel) (key: Key) : MaxEntDpState =
        let keys = Key.splitMany 3 key

        Tensors.owning (Parts.tensors parts) (fun () ->
            let policy =
                ActionNetwork.initWith model.Config.Networks.InitialWeights model.Compute model.Policy keys[0]

            { Policy = policy
              PolicyAdam = Adam.init policy
              Critics = TwinCritics.init model.Critics keys[1] keys[2]
              Updates = 0L })

    // ---- acting

    let times (model: MaxEntDpModel) = model.Schedule.AlphaBars |> Array.map Schedule.logSnr

    /// The best of `particles` actions per state by the critics' moving averages, each from a chain of its own.
    /// obs: [B, O]; the noise has B·particles rows -> [B, A], in [-1, 1].
    let sampled
        (model: MaxEntDpModel)
        (state: MaxEntDpState)
        (particles: int)
        (noise: ChainNoise)
        (obs: Tensor)
        : Tensor =
        Tensors.scoped List.singleton (fun () ->
            let c = model.Config
            let predict = ActionNetwork.along model.Compute model.Policy state.Policy obs [ times model ]
            let step = if c.WideNoise then ReverseStep.WideNoise else ReverseStep.Posterior

            num c.Chain.InitialNoiseScale * noise.Initial
            |> Diffusion.reverseBy step model.Schedule predict (fun i -> Some noise.Steps[i])
            |> TwinCritics.best model.Critics (TwinCritics.averages state.Critics) particles obs)

    let chainNoise (model: MaxEntDpModel) (rows: int) (key: Key) =
        ChainNoise.draw model.Compute model.Config.Chain.Timesteps rows model.Space.ActionDim key

    let act (model: MaxEntDpModel) (purpose: Purpose) (state: MaxEntDpState) (key: Key) (obs: Tensor) : Acted =
        let particles = ChainPolicy.particles purpose model.Config.BestOf

        { Action = sampled model state particles (chainNoise model (Tensors.size 0 obs * particles) key) obs
          Extras = [] }

    /// What acts in evaluations, as data.
    let form (model: MaxEntDpModel) (state: MaxEntDpState) : Result<PolicyForm, string> =
        let c = model.Config
        let step = if c.WideNoise then ReverseStep.WideNoise else ReverseStep.Posterior

        let network, times =
            FormChain.actionNetwork "policy" model.Policy [ Array.rev (times model) ] state.Policy

        let critics = Some(TwinCritics.averagesForm model.Critics state.Critics)

        FormChain.reverse step model.Schedule c.Chain.InitialNoiseScale times network
        |> PolicyForm.chained model.Compute model.Space.ActionDim c.BestOf.EvaluationParticles critics id
        |> Ok
