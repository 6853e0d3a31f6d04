namespace Sdac.Functional

open System

/// What settings, sizes and the run's length fix.
[<NoComparison; NoEquality>]
type QvpoModel =
    {
        Compute: Compute
        Space: Space
        Horizon: Horizon
        Schedule: Schedule
        /// Predicts ε
        Policy: ActionNetwork
        Critics: TwinCriticsModel
        Config: QvpoConfig
    }

/// Everything that training changes.
[<NoComparison; NoEquality>]
type QvpoState =
    {
        Policy: Params
        /// Moving average of the policy
        TargetPolicy: Params
        PolicyAdam: AdamState
        Critics: TwinCritics
        /// Updates done
        Updates: int64
    }

/// The networks of QVPO, and how they act: the best of N actions of the reverse chain.
[<RequireQualifiedAccess>]
module QvpoPolicy =
    /// The networks of settings for a task of these sizes and a run of this length. Raises ArgumentException naming all
    /// impossible settings.
    let model (compute: Compute) (space: Space) (horizon: Horizon) (config: QvpoConfig) : QvpoModel =
        let c = Settings.validate QvpoConfig.problems config

        { Compute = compute
          Space = space
          Horizon = horizon
          Schedule = Schedule.create c.Chain.BetaSchedule c.Chain.Timesteps
          Policy = ChainPolicy.network space [ c.TimeEmbedding ] (NetworkSettings.policy c.Networks c.Hidden)
          Critics = TwinCritics.model compute space c.Hidden c.Networks c.Critics TargetNoiseSettings.off c.Adam
          Config = c }

    /// The traversal of the state.
    let parts: Parts<QvpoState> =
        fun visit s ->
            { Policy = visit.Params("policy", s.Policy)
              TargetPolicy = visit.Params("target_policy", s.TargetPolicy)
              PolicyAdam = visit.Adam("policy", s.PolicyAdam)
              Critics = TwinCritics.parts visit s.Critics
              Updates = visit.Int("updates", s.Updates) }

    /// Fresh networks; the targets start as copies. The caller owns the tensors.
    let init (model: QvpoModel) (key: Key) : QvpoState =
        let keys = Key.splitMany 3 key

        Tensors.owning (Parts.tensors parts) (fun () ->
            let policy =
                ActionNetwork.initWith model.Config.Networks.InitialWeights model.Compute model.Policy keys[0]

            { Policy = policy
              TargetPolicy = Params.copy policy
              PolicyAdam = Adam.init policy
              Critics = TwinCritics.init model.Critics keys[1] keys[2]
              Updates = 0L })

    // ---- acting

    /// Actions of the policy by the reverse chain. obs: [B, O]; the noise has P rows a state -> [B, P, A], in [-1, 1].
    let candidates (model: QvpoModel) (policy: Params) (noise: ChainNoise) (obs: Tensor) : Tensor =
        ActionChain.sample model.Compute model.Config.Chain model.Schedule model.Policy policy noise obs

    /// Of these the one that `values` gives the largest value. obs: [B, O] -> [B, A].
    let sampled
        (model: QvpoModel)
        (policy: Params)
        (values: Tensor -> Tensor -> Tensor)
        (noise: ChainNoise)
        (obs: Tensor)
        : Tensor =
        Tensors.scoped List.singleton (fun () ->
            let actions = candidates model policy noise obs

            if Tensors.size 1 actions = 1 then
                actions.squeeze (Nullable 1L)
            else
                (Diffusion.bestOf actions (values obs actions)).Action)

    let chainNoise (model: QvpoModel) (rows: int) (key: Key) =
        ChainNoise.draw model.Compute model.Config.Chain.Timesteps rows model.Space.ActionDim key

    let act (model: QvpoModel) (purpose: Purpose) (state: QvpoState) (key: Key) (obs: Tensor) : Acted =
        let c = model.Config

        let particles = ChainPolicy.particles purpose c.BestOf
        let struct (_, policy) = ChainPolicy.actor model.Config.AverageActs state.Policy state.TargetPolicy
        let noise = chainNoise model (particles * Tensors.size 0 obs) key

        { Action = sampled model policy (TwinCritics.values model.Critics state.Critics) noise obs
          Extras = [] }

    /// What acts in evaluations, as data.
    let form (model: QvpoModel) (state: QvpoState) : Result<PolicyForm, string> =
        let c = model.Config

        let struct (leaf, policy) = ChainPolicy.actor model.Config.AverageActs state.Policy state.TargetPolicy

        let network, times = FormChain.timed leaf model.Policy c.Chain.Timesteps policy
        let critics = Some(TwinCritics.form model.Critics state.Critics)

        FormChain.reverse ReverseStep.Posterior model.Schedule c.Chain.InitialNoiseScale times network
        |> PolicyForm.chained model.Compute model.Space.ActionDim c.BestOf.EvaluationParticles critics id
        |> Ok
