namespace Sdac.Functional

open System

/// What settings and sizes fix.
[<NoComparison; NoEquality>]
type DppoModel =
    {
        Compute: Compute
        Space: Space
        Schedule: Schedule
        /// Predicts ε
        Policy: ActionNetwork
        /// obs -> V
        Value: Segment list
        Config: DppoConfig
    }

/// Everything that training changes.
[<NoComparison; NoEquality>]
type DppoState =
    {
        Policy: Params
        PolicyAdam: AdamState
        Value: Params
        ValueAdam: AdamState
        /// Of all observations that actions were chosen on
        Observations: RunningMoments
        Returns: ReturnScale
        /// Updates of this round
        Minibatch: int64
    }

/// The networks of DPPO, how they act, and what they see of the tasks' observations.
[<RequireQualifiedAccess>]
module DppoPolicy =
    /// The networks of settings for a task of these sizes. Raises ArgumentException naming all impossible settings.
    let model (compute: Compute) (space: Space) (config: DppoConfig) : DppoModel =
        let c = Settings.validate DppoConfig.problems config
        let n, kernel = c.Networks, HiddenActivation.kernel

        { Compute = compute
          Space = space
          Schedule = Schedule.create c.Chain.BetaSchedule c.Chain.Timesteps
          Policy =
            ActionNetwork.create
                space.ObsDim
                space.ActionDim
                [ TimeEmbedding.Dppo ]
                (ActionLayers.PreActivated(n.PolicyWidth, n.PolicyBlocks, kernel n.PolicyActivation))
          Value = Segments.preActivated space.ObsDim n.ValueWidth n.ValueBlocks (kernel n.ValueActivation) 1
          Config = c }

    /// The traversal of the state.
    let parts: Parts<DppoState> =
        fun visit s ->
            { Policy = visit.Params("policy", s.Policy)
              PolicyAdam = visit.Adam("policy", s.PolicyAdam)
              Value = visit.Params("value", s.Value)
              ValueAdam = visit.Adam("value", s.ValueAdam)
              Observations = OnPolicy.moments "observations" visit s.Observations
              Returns = OnPolicy.returns visit s.Returns
              Minibatch = visit.Int("minibatch", s.Minibatch) }

    /// Fresh networks; nothing observed yet. The caller owns the tensors.
    let init (model: DppoModel) (key: Key) : DppoState =
        let initial = model.Config.Networks.InitialWeights
        let struct (policyKey, valueKey) = Key.split key

        Tensors.owning (Parts.tensors parts) (fun () ->
            let policy = ActionNetwork.initWith initial model.Compute model.Policy policyKey
            let value = Segments.parameters initial model.Compute model.Value valueKey

            { Policy = policy
              PolicyAdam = Adam.init policy
              Value = value
              ValueAdam = Adam.init value
              Observations = RunningMoments.start model.Space.ObsDim
              Returns = ReturnScale.start model.Config.Rollout.Environments
              Minibatch = 0L })

    // ---- acting

    // What is stored beside a transition, in this order: the first three by `act`, the last by `observe`.
    let extras (model: DppoModel) =
        let steps, { ObsDim = obsDim; ActionDim = actionDim } = model.Config.Chain.Timesteps, model.Space

        [ "normalised.obs", obsDim
          // x_T .. x_0
          "chain", (steps + 1) * actionDim
          // of its steps, the noisiest first
          "logProbability", steps
          "normalised.nextObs", obsDim ]

    /// The chain of an action for each observation with given deviations: x_T .. x_0, T + 1 arrays [N, A], and the noise that was
    /// predicted for each step, T arrays. obs: as the networks see them, [N, O].
    let chain
        (model: DppoModel)
        (policy: Params)
        (deviations: float[])
        (noise: ChainNoise)
        (obs: Tensor)
        : struct (float32[][] * float32[][]) =
        use _ = TorchSharp.torch.NewDisposeScope()
        let c = model.Config
        let count, steps = Tensors.size 0 obs, c.Chain.Timesteps

        let predict = ActionNetwork.along model.Compute model.Policy policy obs [ Array.init steps float ]

        let xs, predicted = Array.zeroCreate<float32[]>(steps + 1), Array.zeroCreate<float32[]> steps
        xs[0] <- num c.Chain.InitialNoiseScale * noise.Initial |> Tensors.toArray

        for i in 0 .. steps - 1 do
            let t, z = steps - 1 - i, Tensors.toArray noise.Steps[i]

            predicted[i] <-
                Tensors.ofArray model.Compute [ count; model.Space.ActionDim ] xs[i] |> predict t |> Tensors.toArray

            xs[i + 1] <- DenoisingSteps.step model.Schedule deviations c.Denoising.NoiseClip t xs[i] predicted[i] z

        struct (xs, predicted)

    /// Arrays [N, width] side by side: [N, arrays · width].
    let private beside (width: int) (arrays: float32[][]) : float32[] =
        let count = arrays[0].Length / width

        Array.init (count * arrays.Length * width) (fun j ->
            let row, rest = Math.DivRem(j, arrays.Length * width)
            arrays[rest / width][row * width + rest % width])

    /// ln π of each step of a chain, [N, T], the noisiest first.
    let private logProbabilities (model: DppoModel) (deviations: float[]) (xs: float32[][]) (predicted: float32[][]) =
        let steps, count = predicted.Length, xs[0].Length / model.Space.ActionDim

        Array.init steps (fun i ->
            let t = Array.create count (steps - 1 - i)

            let struct (logs, _) =
                DenoisingSteps.likelihood
                    model.Schedule
                    model.Config.Denoising
                    deviations
                    t
                    xs[i]
                    xs[i + 1]
                    predicted[i]

            Array.map float32 logs)
        |> beside 1

    /// The deviations of training.
    let exploring (model: DppoModel) = DenoisingSteps.deviations model.Schedule model.Config.Denoising.DeviationFloor

    /// x_0 of a chain, sent as it is; while collecting the chain and its log-probabilities go with it.
    let act (model: DppoModel) (purpose: Purpose) (state: DppoState) (key: Key) (obs: Tensor) : Acted =
        let n, { ObsDim = obsDim; ActionDim = actionDim } = model.Config.Normalisation, model.Space
        let rows, count = Tensors.toArray obs, Tensors.size 0 obs
        let tensor width values = Tensors.ofArray model.Compute [ count; width ] values
        let steps = model.Config.Chain.Timesteps
        let noise = ChainNoise.draw model.Compute steps count actionDim key

        match purpose with
        | Purpose.Evaluate ->
            let deviations =
                DenoisingSteps.evaluationDeviations model.Schedule model.Config.Denoising.EvaluationFloor

            let obs = OnPolicy.normalised n state.Observations rows |> tensor obsDim
            let struct (xs, _) = chain model state.Policy deviations noise obs
            { Action = tensor actionDim (Array.last xs); Extras = [] }
        | Purpose.Explore ->
            let deviations = exploring model
            let obs = OnPolicy.normalised n (OnPolicy.withFirst n rows state.Observations) rows |> tensor obsDim
            let struct (xs, predicted) = chain model state.Policy deviations noise obs

            { Action = tensor actionDim (Array.last xs)
              Extras =
                [ obs
                  beside actionDim xs |> tensor ((steps + 1) * actionDim)
                  logProbabilities model deviations xs predicted |> tensor steps ] }

    /// What acts in evaluations, as data.
    let form (model: DppoModel) (state: DppoState) : Result<PolicyForm, string> =
        let c, steps = model.Config, model.Config.Chain.Timesteps
        let network, times = FormChain.timed "policy" model.Policy steps state.Policy

        let deviations = DenoisingSteps.evaluationDeviations model.Schedule c.Denoising.EvaluationFloor

        let chain =
            FormChain.reverse ReverseStep.Posterior model.Schedule c.Chain.InitialNoiseScale times network
            |> FormChain.spread (Array.rev deviations)

        Ok
            { PolicyForm.chained
                  model.Compute
                  model.Space.ActionDim
                  1
                  None
                  id
                  { chain with NoiseClip = Some c.Denoising.NoiseClip; End = FormEnd.Free } with
                Moments = OnPolicy.form c.Normalisation state.Observations }

    /// The moments of the observations after a step, and what of it is stored beside the transition: the next observation as the
    /// networks see it. The rewards are scaled when the round is whole.
    let observe (model: DppoModel) (t: Transitions) (state: DppoState) : struct (DppoState * Transitions) =
        let n = model.Config.Normalisation
        let observations = OnPolicy.observed n t state.Observations
        let nextObs = OnPolicy.normalised n observations t.NextObs

        { t with Extras = List.truncate 3 t.Extras @ [ nextObs ] }
        |> fun stored ->
            Agent.observeLimits model.Config.TimeLimitsTerminate stored { state with Observations = observations }
