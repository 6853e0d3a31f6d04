namespace Sdac.Functional

open System

/// All random numbers of one update.
[<NoComparison; NoEquality>]
type MaxEntDpNoise =
    {
        /// For the candidates of a' on next_obs, those of a state in a row
        Next: ChainNoise
        /// Of log π̂(a'|s')
        LogProbability: Key
        /// Uniform on [0, 1), [B]: where the replay actions are noised
        Times: float[]
        /// Of the noised replay actions, [B, A]
        Forward: Tensor
        /// Of the draws ã: standard normal, or uniform on [0, 1) for those kept in the box, [B, K, A]
        Draws: Tensor
    }

/// An update under way.
type MaxEntDpUpdate = OffPolicyUpdate<MaxEntDpModel, MaxEntDpNoise, MaxEntDpState, unit>

/// MaxEntDP: a diffusion policy for maximum-entropy RL. The noise network is regressed on the noise of clean actions drawn around
/// noised replay actions, weighted by exp(Q/λ), and the critics' targets have the entropy of the policy, its log-probability estimated
/// from the errors of noise prediction (Dong, Cheng, Zhang, ICML 2025, arXiv 2502.11612).
[<RequireQualifiedAccess>]
module MaxEntDp =
    // ---- an update

    /// The random numbers of an update; each kind has a key of its own.
    let drawNoise (model: MaxEntDpModel) (batchSize: int) (key: Key) : MaxEntDpNoise =
        let c, compute, dim = model.Config, model.Compute, model.Space.ActionDim
        let keys = Key.splitMany 5 key
        let draws = [ batchSize; c.MonteCarloDraws; dim ]

        { Next = MaxEntDpPolicy.chainNoise model (batchSize * c.BestOf.TargetParticles) keys[0]
          LogProbability = keys[1]
          Times = Key.uniform compute [ batchSize ] keys[2] |> Tensors.toArray |> Array.map float
          Forward = Key.normal compute [ batchSize; dim ] keys[3]
          Draws =
            match c.ReverseNoise with
            | ReverseNoise.TruncatedNormal -> Key.uniform compute draws keys[4]
            | ReverseNoise.Clipped
            | ReverseNoise.Unbounded -> Key.normal compute draws keys[4] }

    /// An update that has done nothing yet.
    let start (model: MaxEntDpModel) (noise: MaxEntDpNoise) (batch: Batch) (state: MaxEntDpState) : MaxEntDpUpdate =
        OffPolicy.start model () noise batch state

    /// log π̂(a'|s') by the online policy; None where the settings ask for none. action: [B, A] -> [B].
    let nextLogProbability (u: MaxEntDpUpdate) (action: Tensor) : Tensor option =
        let model = u.Model

        let policy =
            PolicyNoise.ofActionNetwork
                model.Compute
                model.Policy
                u.State.Policy
                (MaxEntDpPolicy.times model)
                u.Batch.NextObs

        LogProbability.ofActions
            model.Config.Likelihood
            model.Compute
            model.Schedule
            policy
            u.Noise.LogProbability
            action

    /// The critics' targets y = r·scale + γ(1 - terminated)·(v(s', a') - λ·log π̂(a'|s')), a' by the online policy, and the mean of
    /// -log π̂, where there is one. [B].
    let criticTarget (u: MaxEntDpUpdate) : struct (Tensor * Tensor option) =
        let model, s, obs = u.Model, u.State, u.Batch.NextObs
        let action = MaxEntDpPolicy.sampled model s model.Config.BestOf.TargetParticles u.Noise.Next obs
        let value = TwinCritics.targetValue model.Critics s.Critics obs action

        match nextLogProbability u action with
        | None -> struct (TwinCritics.target model.Critics u.Batch value, None)
        | Some logProbability ->
            let soft = value.add (logProbability, Scalars.ofFloat -model.Config.Temperature)
            struct (TwinCritics.target model.Critics u.Batch soft, Some(logProbability.mean().neg()))

    /// One Adam step of both critics towards the targets, and their moving averages.
    let evaluateQ (u: MaxEntDpUpdate) : MaxEntDpUpdate =
        let critics = u.Model.Critics
        let struct (target, entropy) = criticTarget u
        let struct (learned, figures) = TwinCritics.learn critics u.Batch target u.State.Critics

        { u with
            Next = { u.Next with Critics = TwinCritics.follow critics learned }
            Figures =
                match entropy with
                | Some entropy -> Map.add "entropy" (Tensors.scalar entropy) figures
                | None -> figures }

    /// Replay actions noised at the update's times, and each row's ᾱ. action: [B, A] -> [B, A] and [B].
    let noised (model: MaxEntDpModel) (noise: MaxEntDpNoise) (action: Tensor) : struct (Tensor * float[]) =
        let bars = Schedule.alphaBarsAt model.Config.Chain.BetaSchedule model.Schedule noise.Times

        let column f = Tensors.ofArray model.Compute [ bars.Length; 1 ] (bars |> Array.map (f >> float32))

        let keep, spread = column sqrt, column (fun bar -> sqrt (1.0 - bar))
        struct (keep * action + spread * noise.Forward, bars)

    /// The noise ε of K draws around each noised action and the clean actions ã = a_t/√ᾱ - √(1/ᾱ-1)·ε that it explains (the authors
    /// add the noise: theirs is -ε). noised: [B, A]; bars: [B]; numbers: `MaxEntDpNoise.Draws` -> [B, K, A] each.
    let draws (model: MaxEntDpModel) (bars: float[]) (noised: Tensor) (numbers: Tensor) : struct (Tensor * Tensor) =
        let scale = bars |> Array.map (fun bar -> sqrt (1.0 / bar))
        let spread = bars |> Array.map (fun bar -> sqrt (1.0 / bar - 1.0))
        let per values = Tensors.ofArray model.Compute [ bars.Length; 1; 1 ] (Array.map float32 values)

        let noise =
            match model.Config.ReverseNoise with
            | ReverseNoise.TruncatedNormal ->
                let struct (noise, _) = Rssm.truncatedAround model.Compute scale spread noised numbers
                noise
            | ReverseNoise.Clipped
            | ReverseNoise.Unbounded -> numbers

        let clean = per scale * noised.unsqueeze 1L - per spread * noise

        struct (noise,
                (if model.Config.ReverseNoise = ReverseNoise.Unbounded then
                     clean
                 else
                     Diffusion.clip clean))

    // Rows of one pass through the critics: where libtorch makes it, their activations must not fill the memory (500 draws a state
    // are 128,000 rows).
    [<Literal>]
    let private RowsAtOnce = 16_384

    // min Q̄ of many actions a state, few states at a time. actions: [B, K, A] -> [B, K].
    let private valuesOf (value: ActionValue) (obs: Tensor) (actions: Tensor) =
        let batch, atOnce = Tensors.size 0 actions, max 1 (RowsAtOnce / Tensors.size 1 actions)

        let piece start =
            let rows (t: Tensor) = t.narrow (0L, int64 start, int64 (min atOnce (batch - start)))
            Tensors.scoped List.singleton (fun () -> value.Values (rows obs) (rows actions))

        [ 0..atOnce .. batch - 1 ] |> List.map piece |> Tensors.cat 0

    /// What the network is to give at the noised actions, by this value. noised: [B, A]; bars: [B] -> [B, A].
    let target
        (model: MaxEntDpModel)
        (value: ActionValue)
        (bars: float[])
        (obs: Tensor)
        (noised: Tensor)
        (numbers: Tensor)
        : Tensor =
        let c = model.Config
        let inverse = num (1.0 / c.Temperature)
        let weights (q: Tensor) = ((inverse * q).softmax 1L).unsqueeze 2L

        // -(deviation)·g/λ, row by row
        let score (deviation: float -> float) (g: Tensor) =
            let deviations = bars |> Array.map (deviation >> float32)
            -(inverse * (Tensors.ofArray model.Compute [ bars.Length; 1 ] deviations * g))

        match c.Form with
        | MaxEntDpForm.Noise ->
            let struct (noise, clean) = draws model bars noised numbers
            (weights (valuesOf value obs clean) * noise).sum 1L
        | MaxEntDpForm.Gradient ->
            let struct (_, clean) = draws model bars noised numbers
            let struct (q, slopes) = value.WithSlopes obs clean
            (weights q * slopes).sum 1L |> score (fun bar -> sqrt (1.0 / bar - 1.0))
        | MaxEntDpForm.Slope ->
            let struct (_, slopes) = value.WithSlopes obs (noised.unsqueeze 1L)
            slopes.squeeze (Nullable 1L) |> score (fun bar -> sqrt (1.0 - bar))

    /// The loss, the mean over batch and dimensions of (ε_θ(s, a_t, ln(ᾱ/(1-ᾱ))) - target)², and its gradient; a_t noised replay
    /// actions, the target by this value.
    let policyGradient (u: MaxEntDpUpdate) (value: ActionValue) : struct (Tensor * Tensor) =
        let model, obs = u.Model, u.Batch.Obs
        let struct (noised, bars) = noised model u.Noise u.Batch.Action
        let target = target model value bars obs noised u.Noise.Draws

        use vjp =
            ActionNetwork.vjp model.Compute model.Policy u.State.Policy obs noised [ Array.map Schedule.logSnr bars ]

        let error = vjp.Output.sub target
        let share = Scalars.ofFloat (2.0 / float (error.numel ()))
        struct (error.square().mean(), vjp.PullbackParameters(error.mul share))

    /// The critics' moving averages as the policy's step asks them.
    let averaged (model: MaxEntDpModel) (critics: TwinCritics) : ActionValue =
        TwinCritics.actionValue model.Critics (TwinCritics.averages critics)

    /// One Adam step of the policy by the critics' moving averages after their step.
    let improvePolicy (u: MaxEntDpUpdate) : MaxEntDpUpdate =
        TwinCritics.needMoved "improvePolicy" u.State.Critics u.Next.Critics

        let c = u.Model.Config
        let struct (loss, gradient) = policyGradient u (averaged u.Model u.Next.Critics)

        let struct (policy, optimiser) =
            OffPolicy.step u.Model.Compute c.Adam c.PolicyRate gradient u.State.Policy u.State.PolicyAdam

        { u with Next = { u.Next with Policy = policy; PolicyAdam = optimiser } }
        |> OffPolicy.tell (OffPolicy.policyFigures loss gradient)

    /// The parts of an update in their order.
    let stages: (string * (MaxEntDpUpdate -> MaxEntDpUpdate)) list =
        [ "evaluateQ", evaluateQ; "improvePolicy", improvePolicy ]

    /// The agent of a model.
    let agent (model: MaxEntDpModel) : Agent<MaxEntDpState, MaxEntDpUpdate> =
        { Compute = model.Compute
          Space = model.Space
          Rhythm = Agent.offPolicy model.Config.Data
          Extras = []
          Distributions = []
          Init = MaxEntDpPolicy.init model
          Parts = MaxEntDpPolicy.parts
          Act = MaxEntDpPolicy.act model
          Form = MaxEntDpPolicy.form model
          Observe = Agent.observeLimits model.Config.TimeLimitsTerminate
          Prepare = Agent.drawFromMemory
          Begin = OffPolicy.beginning model.Compute model.Config.Data (drawNoise model) (start model)
          OnBatch = OffPolicy.onBatch
          Stages = stages
          Finish = OffPolicy.finish (fun s -> { s with Updates = s.Updates + 1L }) }

    let private figures: FigureInfo list =
        TwinCritics.figureInfos
        @ OffPolicy.policyFigureInfos false
        @ [ { FigureInfo.finite "entropy" "the policy's entropy, as estimated" with
                Headline = Some "entropy"
                Plotted = Some "Entropy" } ]

    /// The algorithm.
    let algorithm: Algorithm<MaxEntDpConfig, MaxEntDpState, MaxEntDpUpdate> =
        { Name = "maxentdp"
          Title = "MaxEntDP"
          Published = MaxEntDpConfig.published
          Added = []
          Presets =
            [ Preset.tiny 600L MaxEntDpConfig.tiny
              Preset.quick MaxEntDpConfig.quick
              Preset.laptop MaxEntDpConfig.laptop
              { Preset.published MaxEntDpConfig.published with
                  Meaning = "as the authors have it, HalfCheetah-v4, 1,000,000 environment steps, an update each"
                  Iterations = 1_000_000L
                  EvaluateEvery = Some 10_000L
                  EvaluationEpisodes = 10 }
              Preset.sdacPaper
                  "in the frame of the SDAC paper's comparison, which does not have it: 200,000 updates, 1,000,000 environment steps"
                  MaxEntDpConfig.sdacPaper ]
          Problems = MaxEntDpConfig.problems
          Figures = figures
          Describe = fun c -> $"λ {string c.Temperature}, {c.MonteCarloDraws} draws, {c.Chain.Timesteps} timesteps"
          Agent = fun compute space _ config -> agent (MaxEntDpPolicy.model compute space config) }
