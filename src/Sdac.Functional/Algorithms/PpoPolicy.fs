namespace Sdac.Functional

open System
open Sdac.Kernels

/// What settings, sizes and the planned length of the run fix.
[<NoComparison; NoEquality>]
type PpoModel =
    {
        Compute: Compute
        Space: Space
        Networks: PolicyValue
        /// Planned
        Rounds: int64
        Config: PpoConfig
    }

/// Everything that training changes.
[<NoComparison; NoEquality>]
type PpoState =
    {
        /// The policy's network, log σ and the value's network, one behind the other
        Networks: Params
        Adam: AdamState
        /// Of all observations that actions were chosen on
        Observations: RunningMoments
        Returns: ReturnScale
        /// Rounds begun
        Round: int64
        /// Updates of this round
        Minibatch: int64
    }

/// The networks of PPO, how they act, and what they see of the tasks' observations and rewards.
[<RequireQualifiedAccess>]
module PpoPolicy =
    /// The networks of settings for a task of these sizes and a run of this length. Raises ArgumentException naming all impossible
    /// settings.
    let model (compute: Compute) (space: Space) (horizon: Horizon) (config: PpoConfig) : PpoModel =
        let c = Settings.validate PpoConfig.problems config

        let hidden: HiddenLayers =
            { Widths = c.Networks.Hidden
              Activation = HiddenActivation.kernel c.Networks.Activation
              LayerNorm = None }

        { Compute = compute
          Space = space
          Networks = PolicyValue.create compute space hidden
          Rounds = max 1L ((horizon.Iterations - 1L) / int64 (RolloutSettings.updates c.Rollout) + 1L)
          Config = c }

    /// The traversal of the state.
    let parts: Parts<PpoState> =
        fun visit s ->
            { Networks = visit.Params("networks", s.Networks)
              Adam = visit.Adam("networks", s.Adam)
              Observations = OnPolicy.moments "observations" visit s.Observations
              Returns = OnPolicy.returns visit s.Returns
              Round = visit.Int("round", s.Round)
              Minibatch = visit.Int("minibatch", s.Minibatch) }

    /// Fresh networks; nothing observed yet. The caller owns the tensors.
    let init (model: PpoModel) (key: Key) : PpoState =
        let n = model.Config.Networks
        let struct (policyKey, valueKey) = Key.split key

        let fresh last shape key =
            if n.OrthogonalStart then
                InitialWeights.orthogonal ((n.Hidden |> List.map (fun _ -> sqrt 2.0)) @ [ last ]) shape key
            else
                InitialWeights.draw InitialWeights.TorchUniform shape key

        Tensors.owning (Parts.tensors parts) (fun () ->
            let networks =
                PolicyValue.parameters
                    model.Networks
                    (fresh 0.01 model.Networks.Policy policyKey)
                    (Array.create model.Space.ActionDim (float32 n.InitialLogStd))
                    (fresh 1.0 model.Networks.Value valueKey)

            { Networks = networks
              Adam = Adam.init networks
              Observations = RunningMoments.start model.Space.ObsDim
              Returns = ReturnScale.start model.Config.Rollout.Environments
              Round = 0L
              Minibatch = 0L })

    // ---- acting

    // What is stored beside a transition, in this order: the first three by `act`, the others by `observe`.
    let extras (space: Space) =
        [ "normalised.obs", space.ObsDim
          "unclipped.action", space.ActionDim
          "logProbability", 1
          "normalised.nextObs", space.ObsDim
          "scaled.reward", 1 ]

    let private boxed (actions: float32[]) = actions |> Array.map (fun a -> Math.Clamp(a, -1.0f, 1.0f))

    /// ln π of actions by the policy's means and log σ. means, actions: [N, A] -> [N].
    let logProbability (logStd: float32[]) (means: float32[]) (actions: float32[]) : float32[] =
        let found = Array.zeroCreate<float32>(actions.Length / logStd.Length)

        Sdac.Kernels.DiagonalGaussian.LogProbability(
            ReadOnlySpan logStd,
            ReadOnlySpan means,
            ReadOnlySpan actions,
            Span found
        )

        found

    /// a = μ(s) + σ·ε. means: [N, A].
    let private explored (logStd: float32[]) (key: Key) (means: float32[]) : float32[] =
        let noise = Array.zeroCreate<float32> means.Length
        Philox.Normal(key.Philox, 0L, Span noise)
        let std = logStd |> Array.map (fun s -> MathF.Exp(Math.Clamp(s, -80.0f, 20.0f)))
        Array.init means.Length (fun i -> means[i] + std[i % std.Length] * noise[i])

    /// a ~ N(μ(s), σ²), sent clipped to the box; its log-probability is that of the unclipped one. Evaluations take the mean.
    let act (model: PpoModel) (purpose: Purpose) (state: PpoState) (key: Key) (obs: Tensor) : Acted =
        let rows = Tensors.toArray obs
        let count = Tensors.size 0 obs
        let tensor width values = Tensors.ofArray model.Compute [ count; width ] values
        let normalisation = model.Config.Normalisation
        let { ObsDim = obsDim; ActionDim = actionDim } = model.Space

        match purpose with
        | Purpose.Evaluate ->
            let means =
                OnPolicy.normalised normalisation state.Observations rows
                |> PolicyValue.means model.Networks state.Networks

            { Action = tensor actionDim (boxed means); Extras = [] }
        | Purpose.Explore ->
            let moments = OnPolicy.withFirst normalisation rows state.Observations
            let obs = OnPolicy.normalised normalisation moments rows
            let means = PolicyValue.means model.Networks state.Networks obs
            let logStd = PolicyValue.logStd model.Networks state.Networks
            let actions = explored logStd key means

            { Action = tensor actionDim (boxed actions)
              Extras = [ tensor obsDim obs; tensor actionDim actions; tensor 1 (logProbability logStd means actions) ] }

    /// What acts in evaluations, as data.
    let form (model: PpoModel) (state: PpoState) : Result<PolicyForm, string> =
        Ok
            { PolicyForm.direct
                  FormEnd.Clipped
                  (FormNetwork.layers "networks" "policy.layer" model.Networks.Policy state.Networks) with
                Moments = OnPolicy.form model.Config.Normalisation state.Observations }

    /// The moments of observations and returns after a step, and what of it is stored beside the transition: the next observation as
    /// the networks see it, and the scaled reward.
    let observe (model: PpoModel) (t: Transitions) (state: PpoState) : struct (PpoState * Transitions) =
        let n = model.Config.Normalisation

        let observations = OnPolicy.observed n t state.Observations

        let struct (returns, reward) =
            if n.NormaliseRewards then
                let ended = Array.map2 (||) t.Terminated t.Truncated
                let reward = Array.map float t.Reward

                let struct (returns, scaled) =
                    ReturnScale.observe model.Config.Discount n.RewardClip reward ended state.Returns

                struct (returns, Array.map float32 scaled)
            else
                struct (state.Returns, t.Reward)

        struct ({ state with Observations = observations; Returns = returns },
                { t with
                    Extras = List.truncate 3 t.Extras @ [ OnPolicy.normalised n observations t.NextObs; reward ] })
