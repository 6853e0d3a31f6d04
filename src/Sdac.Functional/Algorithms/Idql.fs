namespace Sdac.Functional

open TorchSharp

/// All random numbers of one update.
[<NoComparison; NoEquality>]
type IdqlNoise =
    {
        /// [B]
        Timesteps: int[]
        /// ε of the noised replay actions, [B, A]
        Forward: Tensor
    }

/// An update under way.
type IdqlUpdate = OffPolicyUpdate<IdqlModel, IdqlNoise, IdqlState, unit>

/// IDQL: critics by implicit Q-learning, a diffusion policy that clones the memory's actions, and the best of N of its actions
/// (Hansen-Estruch et al. 2023, arXiv 2304.10573). Best-of-N moves the clone by a KL of `divergence` N: name N beside returns, and
/// compare with N = 1 where overestimation is in question.
[<RequireQualifiedAccess>]
module Idql =
    /// KL of the best of N to the policy that they are drawn from: ln N - (N-1)/N, whatever Q without ties.
    let divergence (particles: int) : float = log (float particles) - float (particles - 1) / float particles

    // ---- an update

    /// The random numbers of an update; each kind has a key of its own.
    let drawNoise (model: IdqlModel) (batchSize: int) (key: Key) : IdqlNoise =
        let struct (timeKey, forwardKey) = Key.split key

        { Timesteps = Key.integers model.Config.Chain.Timesteps batchSize timeKey
          Forward = Key.normal model.Compute [ batchSize; model.Space.ActionDim ] forwardKey }

    /// An update that has done nothing yet.
    let start (model: IdqlModel) (noise: IdqlNoise) (batch: Batch) (state: IdqlState) : IdqlUpdate =
        OffPolicy.start model () noise batch state

    /// Q̄(s, a) - V(s) of the replay actions, before the update. [B].
    let advantage (u: IdqlUpdate) : Tensor =
        let model, s = u.Model, u.State

        TwinCritics.targetValue model.Critics s.Critics u.Batch.Obs u.Batch.Action
        - IdqlPolicy.value model s.Value u.Batch.Obs

    /// What the rows weigh by their advantages. [B] -> [B].
    let weights (c: IdqlConfig) (advantage: Tensor) : Tensor =
        let positive () = (advantage.gt (Scalars.ofFloat 0.0)).``to`` torch.float32

        match c.Weights with
        | IdqlWeights.Cloning -> torch.ones_like advantage
        | IdqlWeights.Exponential(beta, largest) -> (num beta * advantage).exp().clamp_max(num largest)
        | IdqlWeights.Expectile -> num (2.0 * c.ValueExpectile - 1.0) * positive () + num (1.0 - c.ValueExpectile)
        | IdqlWeights.Positive -> positive ()

    /// The loss, the batch's mean of w·‖ε_θ(s, a_t, t) - ε‖² (summed over the action's components), and its gradient.
    let policyGradient (u: IdqlUpdate) : struct (Tensor * Tensor) =
        let model, t = u.Model, u.Noise.Timesteps
        let noised = Diffusion.noised model.Compute model.Schedule t u.Batch.Action u.Noise.Forward

        use vjp =
            ActionNetwork.vjp model.Compute model.Policy u.State.Policy u.Batch.Obs noised [ Array.map float t ]

        let error = vjp.Output - u.Noise.Forward

        let weighed =
            match model.Config.Weights with
            // all of them 1: no critic is asked for what they do not depend on
            | IdqlWeights.Cloning -> error
            | _ -> error * (advantage u |> weights model.Config).unsqueeze 1L

        let batch = float (Tensors.size 0 error)
        let loss = num (1.0 / batch) * (weighed * error).sum()
        struct (loss, vjp.PullbackParameters(num (2.0 / batch) * weighed))

    /// One step of the policy, Adam with decoupled weight decay, and its moving average.
    let clonePolicy (u: IdqlUpdate) : IdqlUpdate =
        let c, compute = u.Model.Config, u.Model.Compute
        let struct (loss, gradient) = policyGradient u
        let rate = LearningRate.at u.State.PolicyAdam.Count c.PolicyRate

        let struct (stepped, optimiser) =
            Adam.step compute (AdamSettings.ofSettings c.Adam) rate gradient u.State.Policy u.State.PolicyAdam

        let policy =
            if c.WeightDecay = 0.0 then
                stepped
            else
                Params.withFlat
                    (stepped.Flat.add (u.State.Policy.Flat, Scalars.ofFloat (-rate * c.WeightDecay)))
                    stepped

        { u with
            Next =
                { u.Next with
                    Policy = policy
                    PolicyAdam = optimiser
                    TargetPolicy = Polyak.step compute c.PolicyTau u.State.TargetPolicy policy } }
        |> OffPolicy.tell (OffPolicy.policyFigures loss gradient)

    /// The expectile loss, the mean of |τ - [x ≤ 0]|·x², and its gradient with respect to x; x: [B].
    let expectileLoss (tau: float) (x: Tensor) : struct (Tensor * Tensor) =
        let above = (x.gt (Scalars.ofFloat 0.0)).``to`` torch.float32
        let weighed = (num (2.0 * tau - 1.0) * above + num (1.0 - tau)) * x
        struct ((weighed * x).mean(), num (2.0 / float (x.numel ())) * weighed)

    /// One Adam step of V towards the expectile of Q̄(s, a) over the memory's actions.
    let evaluateV (u: IdqlUpdate) : IdqlUpdate =
        let model, c, s = u.Model, u.Model.Config, u.State
        let q = TwinCritics.targetValue model.Critics s.Critics u.Batch.Obs u.Batch.Action
        use vjp = Mlp.vjp model.Compute model.Value s.Value.Flat u.Batch.Obs
        let struct (loss, slope) = expectileLoss c.ValueExpectile (q - Tensors.view [ -1 ] vjp.Output)
        let gradient = vjp.PullbackParameters(slope.neg().unsqueeze 1L)

        let struct (learned, optimiser) =
            Adam.step model.Compute (AdamSettings.ofSettings c.Adam) c.Adam.LearningRate gradient s.Value s.ValueAdam

        { u with
            Next = { u.Next with Value = learned; ValueAdam = optimiser }
            Figures =
                u.Figures
                |> Map.add "valueLoss" (Tensors.scalar loss)
                |> Map.add "valueGradientNorm" (Tensors.norm gradient) }

    /// One Adam step of both critics towards y = r·scale + γ(1 - terminated)·V(s') with V after its step, and their moving averages.
    let evaluateQ (u: IdqlUpdate) : IdqlUpdate =
        if obj.ReferenceEquals(u.Next.Value, u.State.Value) then
            Stages.lacks "evaluateQ" "the step of V" "evaluateV"

        let model = u.Model

        let target =
            IdqlPolicy.value model u.Next.Value u.Batch.NextObs |> TwinCritics.target model.Critics u.Batch

        let struct (learned, figures) = TwinCritics.learn model.Critics u.Batch target u.State.Critics

        { u with Next = { u.Next with Critics = TwinCritics.follow model.Critics learned } }
        |> OffPolicy.tell figures

    /// The parts of an update in their order.
    let stages: (string * (IdqlUpdate -> IdqlUpdate)) list =
        [ "clonePolicy", clonePolicy; "evaluateV", evaluateV; "evaluateQ", evaluateQ ]

    /// The agent of a model.
    let agent (model: IdqlModel) : Agent<IdqlState, IdqlUpdate> =
        let c = model.Config

        { Compute = model.Compute
          Space = model.Space
          Rhythm =
            { Agent.offPolicy c.Data with
                VectorSteps = c.RoundSteps
                Updates = c.RoundSteps * c.Data.UpdatesPerStep }
          Extras = []
          Distributions = []
          Init = IdqlPolicy.init model
          Parts = IdqlPolicy.parts
          Act = IdqlPolicy.act model
          Form = IdqlPolicy.form model
          Observe = Agent.observeLimits c.TimeLimitsTerminate
          Prepare = Agent.drawFromMemory
          Begin = OffPolicy.beginning model.Compute model.Config.Data (drawNoise model) (start model)
          OnBatch = OffPolicy.onBatch
          Stages = stages
          Finish = OffPolicy.finish (fun s -> { s with Updates = s.Updates + 1L }) }

    let private figures: FigureInfo list =
        TwinCritics.figureInfos
        @ OffPolicy.policyFigureInfos false
        @ [ { FigureInfo.finite "valueLoss" "the loss of the value network" with Headline = Some "value loss" }
            FigureInfo.finite "valueGradientNorm" "the gradient of the value network" ]

    /// The algorithm.
    let algorithm: Algorithm<IdqlConfig, IdqlState, IdqlUpdate> =
        { Name = "idql"
          Title = "IDQL"
          Published = IdqlConfig.published
          Added = []
          Presets =
            [ Preset.tiny 600L IdqlConfig.tiny
              Preset.quick IdqlConfig.quick
              Preset.laptop IdqlConfig.laptop
              { Preset.published IdqlConfig.published with
                  Meaning =
                      "the authors' networks online, HalfCheetah-v4, 1,000,000 environment steps, half as many updates"
                  Iterations = 500_000L }
              { Preset.published IdqlConfig.dppo with
                  Name = "dppo"
                  Meaning = "as DPPO's repository runs it on Hopper-v4, 1,000,000 environment steps"
                  Task = "Hopper-v4"
                  Iterations = 500_000L }
              Preset.sdacPaper
                  "in the frame of the SDAC paper's comparison, which does not have it: 200,000 updates, 1,000,000 environment steps"
                  IdqlConfig.sdacPaper ]
          Problems = IdqlConfig.problems
          Figures = figures
          Describe =
            fun c ->
                $"best of {c.EvaluationParticles}, expectile {string c.ValueExpectile}, {c.Chain.Timesteps} timesteps"
          Agent = fun compute space _ config -> agent (IdqlPolicy.model compute space config) }
