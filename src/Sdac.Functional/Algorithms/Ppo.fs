namespace Sdac.Functional

open System

/// What an update needs of its transitions beside the batch, [B] each.
type PpoRows =
    {
        /// ln π_old(a|s)
        LogProbability: float[]
        Advantage: float[]
        /// A + V_old, what V is to become
        Return: float[]
        /// V_old
        Value: float[]
    }

/// An update under way.
[<NoComparison; NoEquality>]
type PpoUpdate =
    {
        Model: PpoModel
        /// As the networks see them: normalised observations, actions before they were clipped to the box, scaled rewards.
        /// Advantages and returns are those of the round, whatever becomes of the rewards here.
        Batch: Batch
        Rows: PpoRows
        /// What the update began with
        State: PpoState
        Next: PpoState
        Figures: Figures
        Verdict: Verdict
    }

/// PPO: a Gaussian policy that climbs a clipped objective for several epochs on each rollout (Schulman et al. 2017, arXiv
/// 1707.06347), with the details of Andrychowicz et al. 2020 (arXiv 2006.05990).
[<RequireQualifiedAccess>]
module Ppo =
    // ---- a round

    /// The values, advantages and returns of a rollout, and an order of its rows for each epoch.
    let private prepare
        (model: PpoModel)
        (key: Key)
        (memory: Replay)
        (state: PpoState)
        : struct (PpoState * RoundTable) =
        let c = model.Config
        Rollout.check c.Rollout memory
        let column i = Replay.extra i memory

        let table =
            Rollout.table
                c.Rollout
                c.Discount
                c.Lambda
                (PolicyValue.values model.Networks state.Networks)
                1
                key
                memory
                { Obs = column 0
                  Action = column 1
                  Reward = column 4
                  NextObs = column 3
                  Others = [ "logProbability", column 2 ] }

        struct ({ state with Round = state.Round + 1L; Minibatch = 0L }, table)

    /// The rows of this update.
    let private begins (model: PpoModel) (table: RoundTable) (state: PpoState) : PpoUpdate =
        let rows = Rollout.dealt model.Config.Rollout table state.Minibatch
        let numbers name = Rollout.numbers name rows table

        { Model = model
          Batch = Rollout.batch model.Compute model.Space rows table
          Rows =
            { LogProbability = numbers "logProbability"
              Advantage = numbers "advantage"
              Return = numbers "return"
              Value = numbers "value" }
          State = state
          Next = state
          Figures = Map.empty
          Verdict = Verdict.Continue }

    // ---- an update

    /// The learning rate of a round, counted from 1: lr·(1 - (round - 1)/rounds) where it is annealed.
    let learningRate (model: PpoModel) (round: int64) : float =
        let rate = model.Config.Adam.LearningRate

        if model.Config.AnnealLearningRate then
            rate * max 0.0 (1.0 - float (round - 1L) / float model.Rounds)
        else
            rate

    /// The gradients of a loss with respect to the means [B, A] and log σ [A], given its gradient with respect to ln π of fixed
    /// actions.
    let private throughDensity
        (logStd: float32[])
        (means: float32[])
        (actions: float32[])
        (gradient: float32[])
        : struct (float32[] * float32[]) =
        let dMeans = Array.zeroCreate<float32> means.Length
        let dLogStd = Array.zeroCreate<float32> logStd.Length

        Sdac.Kernels.DiagonalGaussian.Backward(
            ReadOnlySpan logStd,
            ReadOnlySpan means,
            ReadOnlySpan actions,
            ReadOnlySpan gradient,
            Span dMeans,
            Span dLogStd
        )

        struct (dMeans, dLogStd)

    /// Σ_i (½ + ½ ln 2π + log σ_i) of the policy.
    let entropy (logStd: float32[]) : float = logStd |> Array.sumBy (fun s -> 0.5 + 0.5 * log (2.0 * Math.PI) + float s)

    /// The gradient of L = L_clip + c_v·L_V - c_e·entropy with respect to all parameters, and what it tells.
    let gradient (u: PpoUpdate) : struct (Tensor * Figures) =
        let model, o = u.Model, u.Model.Config.Objective
        use pass = PolicyValue.pass model.Networks u.State.Networks u.Batch.Obs
        let logStd = PolicyValue.logStd model.Networks u.State.Networks
        let actions = Tensors.toArray u.Batch.Action

        let advantage =
            if o.NormaliseAdvantages then
                PpoObjective.normalised u.Rows.Advantage
            else
                u.Rows.Advantage

        let logRatio =
            Array.map2
                (fun now old -> float now - old)
                (PpoPolicy.logProbability logStd pass.Means actions)
                u.Rows.LogProbability

        let clipped = PpoObjective.clipped o.ClipRange logRatio advantage

        let struct (valueLoss, valueGradient) =
            PpoObjective.valueLoss o.ValueClip o.ValueClipRange u.Rows.Value (Array.map float pass.Values) u.Rows.Return

        let struct (dMeans, dLogStd) =
            throughDensity logStd pass.Means actions (Array.map float32 clipped.Gradient)

        let dLogStd = dLogStd |> Array.map (fun g -> g - float32 o.EntropyCoefficient)
        let dValues = valueGradient |> Array.map (fun g -> float32 (o.ValueCoefficient * g))

        struct (pass.Pullback(dMeans, dLogStd, dValues),
                Map
                    [ "policyLoss", clipped.Loss
                      "valueLoss", valueLoss
                      "entropy", entropy logStd
                      "kl", clipped.Kl
                      "clippedShare", clipped.ClippedShare ])

    /// One Adam step of all parameters along the shortened gradient; none, and the end of the round, where the policy has moved too
    /// far.
    let improve (u: PpoUpdate) : PpoUpdate =
        let model, o = u.Model, u.Model.Config.Objective
        let struct (gradient, figures) = gradient u

        match o.TargetKl with
        | Some target when figures["kl"] > 1.5 * target -> { u with Figures = figures; Verdict = Verdict.EndOfRound }
        | _ ->
            let norm = OnPolicy.shorten o.MaximumGradientNorm gradient
            let rate = learningRate model u.State.Round

            let struct (networks, adam) =
                Adam.step
                    model.Compute
                    (AdamSettings.ofSettings model.Config.Adam)
                    rate
                    gradient
                    u.State.Networks
                    u.State.Adam

            { u with
                Next = { u.Next with Networks = networks; Adam = adam }
                Figures = figures |> Map.add "gradientNorm" norm |> Map.add "learningRate" rate }

    /// The parts of an update in their order.
    let stages: (string * (PpoUpdate -> PpoUpdate)) list = [ "improve", improve ]

    let private finish (u: PpoUpdate) : Finished<PpoState> =
        if u.Figures.IsEmpty then
            invalidOp "no stage of this pipeline trains the networks: put `improve` behind `collect`"

        { State = { u.Next with Minibatch = u.State.Minibatch + 1L }
          Figures = u.Figures
          Tallies = []
          Verdict = u.Verdict }

    /// The agent of a model.
    let agent (model: PpoModel) : Agent<PpoState, PpoUpdate> =
        { Compute = model.Compute
          Space = model.Space
          Rhythm = Rollout.rhythm model.Config.Rollout
          Extras = PpoPolicy.extras model.Space
          Distributions = []
          Init = PpoPolicy.init model
          Parts = PpoPolicy.parts
          Act = PpoPolicy.act model
          Form = PpoPolicy.form model
          Observe = PpoPolicy.observe model
          Prepare = prepare model
          Begin = fun table _ state -> begins model table state
          OnBatch = fun change u -> { u with Batch = change u.Batch }
          Stages = stages
          Finish = finish }

    let private figures: FigureInfo list =
        [ { FigureInfo.finite "policyLoss" "the policy loss" with Headline = Some "policy loss" }
          { FigureInfo.finite "valueLoss" "the value loss" with Headline = Some "value loss" }
          { FigureInfo.plain "entropy" "the policy's entropy" with Plotted = Some "Entropy" }
          { FigureInfo.plain "kl" "the divergence from the policy that collected" with
              Plotted = Some "KL divergence" }
          FigureInfo.plain "clippedShare" "the share of clipped ratios"
          { FigureInfo.finite "gradientNorm" "the gradient" with Carried = true }
          { FigureInfo.plain "learningRate" "the learning rate" with Carried = true } ]

    /// The algorithm.
    let algorithm: Algorithm<PpoConfig, PpoState, PpoUpdate> =
        // 489 rounds of 2,048 steps, 320 updates each
        let million name meaning task config =
            { Preset.published config with
                Name = name
                Meaning = $"as {meaning}, {task}, 1,000,000 environment steps"
                Task = task
                Iterations = 156_480L
                EvaluationEpisodes = 10 }

        { Name = "ppo"
          Title = "PPO"
          Published = PpoConfig.normalised
          Added = []
          Presets =
            [ Preset.tiny 800L PpoConfig.tiny
              { Preset.quick PpoConfig.quick with Iterations = 9_600L; EvaluateEvery = Some 960L }
              million "normalised" "CleanRL has it, all normalised" "Hopper-v4" PpoConfig.normalised
              million "sb3" "Stable-Baselines3 has it, nothing normalised" "HalfCheetah-v4" PpoConfig.sb3 ]
          Problems = PpoConfig.problems
          Figures = figures
          Describe =
            fun c ->
                $"{c.Rollout.Epochs} epochs of {c.Rollout.Minibatches} minibatches, clip {string c.Objective.ClipRange}"
          Agent = fun compute space horizon config -> agent (PpoPolicy.model compute space horizon config) }
