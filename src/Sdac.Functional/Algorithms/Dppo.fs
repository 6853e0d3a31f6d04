namespace Sdac.Functional

open System

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
                (DppoPolicy.exploring model)
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
          Extras = DppoPolicy.extras model
          Distributions = []
          Init = DppoPolicy.init model
          Parts = DppoPolicy.parts
          Act = DppoPolicy.act model
          Form = DppoPolicy.form model
          Observe = DppoPolicy.observe model
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
          Agent = fun compute space _ config -> agent (DppoPolicy.model compute space config) }
