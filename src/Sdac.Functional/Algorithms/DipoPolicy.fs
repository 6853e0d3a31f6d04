namespace Sdac.Functional

open System

/// What settings and sizes fix.
[<NoComparison; NoEquality>]
type DipoModel =
    {
        Compute: Compute
        Space: Space
        Schedule: Schedule
        /// Predicts ε
        Policy: ActionNetwork
        Critics: TwinCriticsModel
        Config: DipoConfig
    }

/// Everything that training changes.
[<NoComparison; NoEquality>]
type DipoState =
    {
        Policy: Params
        TargetPolicy: Params
        PolicyAdam: AdamState
        Critics: TwinCritics
        /// The second set of actions, one for each transition of the memory; without rows where nothing is written back
        Improved: Column
        /// Updates done
        Updates: int64
    }

/// The networks of DIPO, and how they act: one action of the reverse chain.
[<RequireQualifiedAccess>]
module DipoPolicy =
    /// The networks of settings for a task of these sizes. Raises ArgumentException naming all impossible settings.
    let model (compute: Compute) (space: Space) (config: DipoConfig) : DipoModel =
        let c = Settings.validate DipoConfig.problems config
        let networks = { c.Networks with Activation = c.PolicyActivation }

        { Compute = compute
          Space = space
          Schedule = Schedule.create c.Chain.BetaSchedule c.Chain.Timesteps
          Policy = ChainPolicy.network space [ c.TimeEmbedding ] (NetworkSettings.policy networks c.Hidden)
          Critics = TwinCritics.model compute space c.Hidden c.Networks c.Critics TargetNoiseSettings.off c.Adam
          Config = c }

    /// The traversal of the state.
    let parts: Parts<DipoState> =
        fun visit s ->
            { Policy = visit.Params("policy", s.Policy)
              TargetPolicy = visit.Params("target_policy", s.TargetPolicy)
              PolicyAdam = visit.Adam("policy", s.PolicyAdam)
              Critics = TwinCritics.parts visit s.Critics
              Improved = visit.Rows("improved_action", s.Improved)
              Updates = visit.Int("updates", s.Updates) }

    /// Fresh networks; the targets start as copies. The caller owns the tensors.
    let init (model: DipoModel) (key: Key) : DipoState =
        let keys = Key.splitMany 3 key

        Tensors.owning (Parts.tensors parts) (fun () ->
            let policy =
                ActionNetwork.initWith model.Config.Networks.InitialWeights model.Compute model.Policy keys[0]

            { Policy = policy
              TargetPolicy = Params.copy policy
              PolicyAdam = Adam.init policy
              Critics = TwinCritics.init model.Critics keys[1] keys[2]
              Improved = Column.Empty(model.Space.ActionDim, 0L)
              Updates = 0L })

    // ---- acting

    /// One action per state by the reverse chain. obs: [B, O]; quiet: no noise but the chain's start -> [B, A], in [-1, 1].
    let sampled (model: DipoModel) (policy: Params) (quiet: bool) (noise: ChainNoise) (obs: Tensor) : Tensor =
        Tensors.scoped List.singleton (fun () ->
            let chain = model.Config.Chain
            let times = [ Array.init chain.Timesteps float ]
            let predict = ActionNetwork.along model.Compute model.Policy policy obs times
            let z i = if quiet then None else Some noise.Steps[i]

            num chain.InitialNoiseScale * noise.Initial
            |> Diffusion.reverseBy ReverseStep.Posterior model.Schedule predict z)

    let chainNoise (model: DipoModel) (rows: int) (key: Key) =
        ChainNoise.draw model.Compute model.Config.Chain.Timesteps rows model.Space.ActionDim key

    let act (model: DipoModel) (purpose: Purpose) (state: DipoState) (key: Key) (obs: Tensor) : Acted =
        let quiet = purpose = Purpose.Evaluate && model.Config.QuietEvaluation

        { Action = sampled model state.Policy quiet (chainNoise model (Tensors.size 0 obs) key) obs
          Extras = [] }

    /// What acts in evaluations, as data.
    let form (model: DipoModel) (state: DipoState) : Result<PolicyForm, string> =
        let c = model.Config
        let network, times = FormChain.timed "policy" model.Policy c.Chain.Timesteps state.Policy

        let chain =
            FormChain.reverse ReverseStep.Posterior model.Schedule c.Chain.InitialNoiseScale times network

        (if c.QuietEvaluation then
             FormChain.spread (Array.zeroCreate c.Chain.Timesteps) chain
         else
             chain)
        |> PolicyForm.chained model.Compute model.Space.ActionDim 1 None id
        |> Ok
