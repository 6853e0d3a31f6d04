namespace Sdac.Functional

/// All random numbers of one update.
[<NoComparison; NoEquality>]
type UpdateNoise =
    {
        /// For a' on next_obs
        Next: SamplerNoise
        /// Standard normal noise that smooths a', [B, A]; None where the settings smooth nothing
        Smoothing: Tensor option
        /// For the new actions on obs
        New: SamplerNoise
        /// Timesteps of the regression's rows, [R]: a row per state, and per action in DPMD's regression on several a state
        Timesteps: int[]
        /// Forward noise z of a_t, [R, A]
        Forward: Tensor
        /// Standard normal reverse noise ε_k, or the uniform numbers on [0, 1) that truncated-normal noise is made of,
        /// [B, K, A]; DPMD has none, K = 0
        Reverse: Tensor
        /// Standard normal noise on the old policy's actions, [R, A]; None where the settings add none
        Actions: Tensor option
        /// Of log π(a'|s'), where the settings ask for it
        LogProbability: Key
    }

/// An update under way: what it started from and what it has made so far. All losses and gradients use `State`, the
/// parameters before the step; what they change goes into `Next`.
[<NoComparison; NoEquality>]
type Update =
    {
        Model: ActorCriticModel
        Batch: Batch
        Noise: UpdateNoise
        State: ActorCriticState
        Next: ActorCriticState
        /// a' on next_obs, [B, A]; None until `evaluateQ`
        NextAction: Tensor option
        /// The new action on obs, [B, A]; None until `reverseSample`, and on updates that do not move the policy
        Action: Tensor option
        /// The weights of the reverse draws, [B, K], or of DPMD's actions, [B, 1]; None until the policy is moved
        Weights: Tensor option
        Figures: Figures
    }

/// What a policy step needs: the loss, the weights [B, K] in it, and its gradient with respect to the policy's parameters.
[<NoComparison; NoEquality>]
type PolicyGradient =
    {
        Loss: Tensor
        Weights: Tensor
        Gradient: Tensor
        /// The running averages of Q with this batch's values
        Values: RunningValues
        /// The shift of raw weights that the next batch finds
        EnergyShift: EnergyShift
    }

[<RequireQualifiedAccess>]
module UpdateNoise =
    /// All random numbers of one update; each kind has a key of its own.
    let draw (model: ActorCriticModel) (batchSize: int) (key: Key) : UpdateNoise =
        let compute, actionDim = model.Compute, model.Space.ActionDim
        let timesteps = model.Diffusion.Timesteps
        let keys = Key.splitMany 7 key

        let struct (rows, draws) =
            match model.Step with
            | PolicyStep.Rssm draws -> struct (batchSize, draws.MonteCarloDraws)
            | PolicyStep.Mirror mirror -> struct (batchSize * mirror.Actions, 0)

        let forward = [ rows; actionDim ], keys[3]
        let reverse = [ batchSize; draws; actionDim ], keys[4]

        // The kernels draw the samplers' numbers while they sample. On a GPU, where each operation costs its start, all of
        // the update's normal numbers are made in one pass; but for those of candidates in one step, which have keys of their own.
        let fromKeys = compute.Kernels || model.Particles.Candidates <> Candidates.Chains || rows <> batchSize

        let sampler particles key =
            if fromKeys then
                []
            else
                SamplerNoise.streams timesteps batchSize particles actionDim key

        let sampled =
            sampler (ParticleSettings.target model.Particles) keys[0]
            @ sampler model.Particles.Particles keys[1]

        let reverseNormal =
            match model.Step with
            | PolicyStep.Rssm { ReverseNoise = ReverseNoise.TruncatedNormal } -> []
            | _ -> [ reverse ]

        let drawn = Key.normals compute (forward :: sampled @ reverseNormal) |> List.toArray
        let given first = SamplerNoise.Given(drawn[first], drawn[first + 1], drawn[first + 2])

        { Next = if fromKeys then SamplerNoise.Drawn keys[0] else given 1
          Smoothing = TwinCritics.smoothingNoise model.Critics [ batchSize; actionDim ] keys[5]
          New = if fromKeys then SamplerNoise.Drawn keys[1] else given 4
          Timesteps = Regression.timesteps model.Schedule actionDim model.Regression.TimestepDraws rows keys[2]
          Forward = drawn[0]
          Reverse =
            match reverseNormal with
            | [] -> reverse ||> Key.uniform compute
            | _ -> Array.last drawn
          Actions =
            match model.Step with
            | PolicyStep.Mirror mirror when mirror.ActionNoise > 0.0 ->
                Some(Key.normal compute [ rows; actionDim ] keys[6])
            | _ -> None
          LogProbability = Key.foldIn 1L key }
