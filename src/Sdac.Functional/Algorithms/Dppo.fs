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

/// The denoising steps of a minibatch, a pair of a transition and a step each.
type DppoSteps =
    {
        /// Place in the chain, 0 the noisiest; [B]
        Place: int[]
        /// x before the step, [B, A]
        From: float32[]
        /// x after it, [B, A]
        Reached: float32[]
        /// ln π_old of the step, [B]
        LogProbability: float[]
        /// Of the transition, [B]
        Advantage: float[]
        /// A + V_old of the transition, what V is to become; [B]
        Return: float[]
    }

/// An update under way.
[<NoComparison; NoEquality>]
type DppoUpdate =
    {
        Model: DppoModel
        /// The pairs' transitions: observations as the networks see them, the chain's last x, scaled rewards. Only the observations
        /// are learned from; advantages and returns are those of the round, whatever becomes of the rewards here.
        Batch: Batch
        Steps: DppoSteps
        /// What the update began with
        State: DppoState
        Next: DppoState
        Figures: Figures
        Verdict: Verdict
    }

/// DPPO, trained from scratch: PPO over transitions and denoising steps, each step of the reverse chain a Gaussian action (Ren et al.
/// 2025, arXiv 2409.00588).
[<RequireQualifiedAccess>]
module Dppo =
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
    let private extras (model: DppoModel) =
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
    let private exploring (model: DppoModel) =
        DenoisingSteps.deviations model.Schedule model.Config.Denoising.DeviationFloor

    /// x_0 of a chain, sent as it is; while collecting the chain and its log-probabilities go with it.
    let private act (model: DppoModel) (purpose: Purpose) (state: DppoState) (key: Key) (obs: Tensor) : Acted =
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
    let private form (model: DppoModel) (state: DppoState) : Result<PolicyForm, string> =
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
    let private observe (model: DppoModel) (t: Transitions) (state: DppoState) : struct (DppoState * Transitions) =
        let n = model.Config.Normalisation
        let observations = OnPolicy.observed n t state.Observations
        let nextObs = OnPolicy.normalised n observations t.NextObs

        { t with Extras = List.truncate 3 t.Extras @ [ nextObs ] }
        |> fun stored ->
            Agent.observeLimits model.Config.TimeLimitsTerminate stored { state with Observations = observations }

    // ---- a round

    /// V of observations as the network sees them, [N, O] -> [N].
    let values (model: DppoModel) (value: Params) (obs: float32[]) : float32[] =
        use _ = TorchSharp.torch.NewDisposeScope()
        let width = model.Space.ObsDim

        Tensors.ofArray model.Compute [ obs.Length / width; width ] obs
        |> Segments.through model.Compute model.Value (Segments.split 0 model.Value value.Flat)
        |> Tensors.toArray

    /// The round's rewards as they are learned from, and the scale after them.
    let private scaled (model: DppoModel) (memory: Replay) (state: DppoState) : struct (ReturnScale * float32[]) =
        let n, reward = model.Config.Normalisation, Replay.rewards memory

        if n.NormaliseRewards then
            let struct (terminated, truncated) = Replay.ends memory

            let struct (returns, scaled) =
                ReturnScale.observeRound
                    model.Config.Discount
                    n.RewardClip
                    (Array.map float reward)
                    (Array.map2 (||) terminated truncated)
                    state.Returns

            struct (returns, Array.map float32 scaled)
        else
            struct (state.Returns, reward)

    /// The values, advantages and returns of a rollout, and for each epoch an order of its pairs of a transition and a step: pair p
    /// is step p % T of transition p / T.
    let private prepare
        (model: DppoModel)
        (key: Key)
        (memory: Replay)
        (state: DppoState)
        : struct (DppoState * RoundTable) =
        let c, actionDim = model.Config, model.Space.ActionDim
        Rollout.check c.Rollout memory
        let struct (returns, reward) = scaled model memory state
        let chain, width = Replay.extra 1 memory, (c.Chain.Timesteps + 1) * actionDim

        let table =
            Rollout.table
                c.Rollout
                c.Discount
                c.Lambda
                (values model state.Value)
                c.Chain.Timesteps
                key
                memory
                { Obs = Replay.extra 0 memory
                  Action =
                    Array.init (memory.Count * actionDim) (fun j ->
                        chain[j / actionDim * width + (width - actionDim) + j % actionDim])
                  Reward = reward
                  NextObs = Replay.extra 3 memory
                  Others = [ "chain", chain; "logProbability", Replay.extra 2 memory ] }

        struct ({ state with Returns = returns; Minibatch = 0L }, table)

    /// The pairs of this update.
    let private begins (model: DppoModel) (table: RoundTable) (state: DppoState) : DppoUpdate =
        let steps, actionDim = model.Config.Chain.Timesteps, model.Space.ActionDim
        let pairs = Rollout.dealt model.Config.Rollout table state.Minibatch
        let rows, places = pairs |> Array.map (fun p -> p / steps), pairs |> Array.map (fun p -> p % steps)
        // a chain has one x more than steps
        let x offset = Array.map2 (fun row place -> row * (steps + 1) + place + offset) rows places
        let numbers name = Rollout.numbers name rows table

        { Model = model
          Batch = Rollout.batch model.Compute model.Space rows table
          Steps =
            { Place = places
              From = Rollout.lines "chain" actionDim (x 0) table
              Reached = Rollout.lines "chain" actionDim (x 1) table
              LogProbability = Rollout.numbers "logProbability" pairs table
              Advantage = numbers "advantage"
              Return = numbers "return" }
          State = state
          Next = state
          Figures = Map.empty
          Verdict = Verdict.Continue }

    // ---- an update

    /// ε of the clipped ratio at a place of the chain, 0 the noisiest:
    /// base + (c - base)·(e^{g·u} - 1)/(e^g - 1), u = place/(T - 1).
    let clipRange (o: DppoObjectiveSettings) (steps: int) (place: int) : float =
        let u = if steps = 1 then 1.0 else float place / float (steps - 1)
        o.ClipBase + (o.ClipRange - o.ClipBase) * (exp (o.ClipGrowth * u) - 1.0) / (exp o.ClipGrowth - 1.0)

    /// The clipped objective of a minibatch with the ratios of its steps: normalised advantages, γ_d^n at the step that n others
    /// follow. logs: ln π [B].
    let objective (o: DppoObjectiveSettings) (steps: int) (s: DppoSteps) (logs: float[]) : ClippedLoss =
        let advantage =
            if o.NormaliseAdvantages then
                PpoObjective.normalised s.Advantage
            else
                s.Advantage

        PpoObjective.clippedEach
            (s.Place |> Array.map (clipRange o steps))
            (Array.map2 (-) logs s.LogProbability)
            (Array.map2 (fun a place -> a * o.DenoisingDiscount ** float (steps - 1 - place)) advantage s.Place)

    /// The gradient of the clipped objective with respect to the policy's parameters, and what it tells.
    let policyGradient (u: DppoUpdate) : struct (Tensor * ClippedLoss) =
        let model, s = u.Model, u.Steps
        let c, count, actionDim = model.Config, s.Place.Length, model.Space.ActionDim
        let t = s.Place |> Array.map (fun place -> c.Chain.Timesteps - 1 - place)
        let tensor = Tensors.ofArray model.Compute [ count; actionDim ]

        use vjp =
            ActionNetwork.vjp
                model.Compute
                model.Policy
                u.State.Policy
                u.Batch.Obs
                (tensor s.From)
                [ Array.map float t ]

        let struct (logs, slopes) =
            DenoisingSteps.likelihood
                model.Schedule
                c.Denoising
                (exploring model)
                t
                s.From
                s.Reached
                (Tensors.toArray vjp.Output)

        let clipped = objective c.Objective c.Chain.Timesteps s logs

        let dNoise = slopes |> Array.mapi (fun j slope -> float32 (clipped.Gradient[j / actionDim] * slope))
        struct (vjp.PullbackParameters(tensor dNoise), clipped)

    /// The gradient of c_v·mean (V - R)² with respect to the value's parameters, and the error alone.
    let valueGradient (u: DppoUpdate) : struct (Tensor * float) =
        let model = u.Model
        let flats = Segments.split 0 model.Value u.State.Value.Flat
        use vjp = Segments.vjp model.Compute model.Value flats u.Batch.Obs
        let value = Tensors.toArray vjp.Output |> Array.map float

        let struct (loss, gradient) = PpoObjective.valueLoss ValueClip.Off 1.0 value value u.Steps.Return

        let dValue = gradient |> Array.map (fun g -> float32 (model.Config.Objective.ValueCoefficient * g))
        struct (vjp.PullbackParameters(Tensors.ofArray model.Compute [ value.Length; 1 ] dValue), loss)

    /// One Adam step of each network, at its own rate; none, and the end of the round, where the policy has moved too far.
    let improve (u: DppoUpdate) : DppoUpdate =
        let model, c = u.Model, u.Model.Config
        let struct (policyGradient, clipped) = policyGradient u
        let struct (valueGradient, valueLoss) = valueGradient u

        let figures =
            Map
                [ "policyLoss", clipped.Loss
                  "valueLoss", valueLoss
                  "kl", clipped.Kl
                  "clippedShare", clipped.ClippedShare ]

        match c.Objective.TargetKl with
        | Some target when clipped.Kl > target -> { u with Figures = figures; Verdict = Verdict.EndOfRound }
        | _ ->
            let policyNorm = OnPolicy.shorten c.Objective.MaximumGradientNorm policyGradient
            let valueNorm = OnPolicy.shorten c.Objective.MaximumGradientNorm valueGradient
            let adam = Adam.step model.Compute (AdamSettings.ofSettings c.Adam)

            let rate = LearningRate.at u.State.PolicyAdam.Count c.PolicyRate

            let struct (policy, policyAdam) = adam rate policyGradient u.State.Policy u.State.PolicyAdam

            let struct (value, valueAdam) = adam c.Adam.LearningRate valueGradient u.State.Value u.State.ValueAdam

            { u with
                Next = { u.Next with Policy = policy; PolicyAdam = policyAdam; Value = value; ValueAdam = valueAdam }
                Figures = figures |> Map.add "policyGradientNorm" policyNorm |> Map.add "valueGradientNorm" valueNorm }

    /// The parts of an update in their order.
    let stages: (string * (DppoUpdate -> DppoUpdate)) list = [ "improve", improve ]

    let private finish (u: DppoUpdate) : Finished<DppoState> =
        if u.Figures.IsEmpty then
            invalidOp "no stage of this pipeline trains the networks: put `improve` behind `collect`"

        { State = { u.Next with Minibatch = u.State.Minibatch + 1L }
          Figures = u.Figures
          Tallies = []
          Verdict = u.Verdict }

    /// The agent of a model.
    let agent (model: DppoModel) : Agent<DppoState, DppoUpdate> =
        { Compute = model.Compute
          Space = model.Space
          Rhythm = Rollout.rhythm model.Config.Rollout
          Extras = extras model
          Distributions = []
          Init = init model
          Parts = parts
          Act = act model
          Form = form model
          Observe = observe model
          Prepare = prepare model
          Begin = fun table _ state -> begins model table state
          OnBatch = fun change u -> { u with Batch = change u.Batch }
          Stages = stages
          Finish = finish }

    let private figures: FigureInfo list =
        [ { FigureInfo.finite "policyLoss" "the policy loss" with Headline = Some "policy loss" }
          { FigureInfo.finite "valueLoss" "the value loss" with Headline = Some "value loss" }
          { FigureInfo.plain "kl" "the divergence from the policy that collected" with
              Plotted = Some "KL divergence" }
          FigureInfo.plain "clippedShare" "the share of clipped ratios"
          { FigureInfo.finite "policyGradientNorm" "the gradient of the policy" with Carried = true }
          { FigureInfo.finite "valueGradientNorm" "the gradient of the value" with Carried = true } ]

    /// The algorithm.
    let algorithm: Algorithm<DppoConfig, DppoState, DppoUpdate> =
        { Name = "dppo"
          Title = "DPPO"
          Published = DppoConfig.published
          Added = []
          Presets =
            [ Preset.tiny 800L DppoConfig.tiny
              { Preset.quick DppoConfig.quick with Iterations = 9_600L; EvaluateEvery = Some 960L }
              // 49 rounds of 2,048 steps, 200 updates each
              { Preset.laptop DppoConfig.laptop with Iterations = 9_800L; EvaluateEvery = Some 1_000L }
              // 450 rounds of 10,000 steps, 200 updates each
              { Preset.published DppoConfig.published with
                  Meaning =
                      "as the authors train from scratch, but observations by running moments, HalfCheetah-v4, 4,500,000 environment steps"
                  Iterations = 90_000L }
              { Preset.sdacPaper
                    "the authors' settings (the SDAC paper does not give its own), HalfCheetah-v4, 1,000,000 environment steps"
                    DppoConfig.published with
                  Iterations = 20_000L } ]
          Problems = DppoConfig.problems
          Figures = figures
          Describe =
            fun c ->
                $"{c.Chain.Timesteps} denoising steps, {c.Rollout.Epochs} epochs of {c.Rollout.Minibatches} minibatches, clip {string c.Objective.ClipRange}"
          Agent = fun compute space _ config -> agent (model compute space config) }
