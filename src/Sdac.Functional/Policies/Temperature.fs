namespace Sdac.Functional

open System

/// What λ is moved towards.
[<RequireQualifiedAccess>]
type TemperatureTuning =
    /// The entropy TargetEntropyPerDim of the exploration noise
    | Entropy
    /// This mean KL divergence of a state's weights from equal ones (flow-rl): λ rises where the weights are more unequal. On the
    /// updates that move the policy
    | Divergence of Target: float

[<RequireQualifiedAccess>]
module TemperatureTuning =
    /// What is impossible where a state's weights are so many.
    let problems (draws: int) (tuning: TemperatureTuning) : string list =
        [ match tuning with
          | TemperatureTuning.Divergence target when not (target > 0.0 && target < log (float draws)) ->
              let most = (log (float draws)).ToString("0.###", Globalization.CultureInfo.InvariantCulture)

              $"Tuning aims at a divergence of {string target}, but that of {draws} weights lies between 0 and ln {draws} = {most}: take a target between them, or more draws"
          | _ -> () ]

/// λ with its optimiser. Kept as ln λ, which the gradient steps move.
type Temperature =
    { LogLambda: float
      M: float
      V: float
      Count: int64 }

    member t.Lambda = exp t.LogLambda

[<RequireQualifiedAccess>]
module Temperature =
    let init (lambda: float) = { LogLambda = log lambda; M = 0.0; V = 0.0; Count = 0L }

    /// Entropy of a Gaussian policy of deviation 0.1·λ in d dimensions: ½·d·ln(2πe·(0.1λ)²). It does not look at data.
    let entropy (actionDim: int) (t: Temperature) =
        0.5 * float actionDim * log (2.0 * Math.PI * Math.E * (0.1 * t.Lambda) ** 2.0)

    /// Gradient of the temperature's loss with respect to ln λ: entropy - target entropy.
    let gradient (targetEntropyPerDim: float) (actionDim: int) (t: Temperature) =
        entropy actionDim t - targetEntropyPerDim * float actionDim

    /// One Adam step on ln λ along a gradient.
    let descend (adam: AdamConfig) (rate: float) (gradient: float) (t: Temperature) : Temperature =
        let value, (m, v, count) = Adam.stepScalar adam rate gradient t.LogLambda (t.M, t.V, t.Count)

        { LogLambda = value; M = m; V = v; Count = count }

    /// One Adam step on ln λ towards the target entropy.
    let step (adam: AdamConfig) (rate: float) (targetEntropyPerDim: float) (actionDim: int) (t: Temperature) =
        descend adam rate (gradient targetEntropyPerDim actionDim t) t

    /// Mean over states of the KL divergence ln K - H(w) of a state's K weights from equal ones. Shares of less than 1e-6 count as
    /// that (flow-rl). weights: [B, K], row-major, not negative.
    let divergence (draws: int) (weights: float32[]) : float =
        let ofState (w: float32[]) =
            let total = Array.sumBy float w
            let shares = w |> Array.map (fun w -> max 1e-6 (float w / total))
            let total = Array.sum shares
            log (float draws) + (shares |> Array.sumBy (fun p -> p / total * log (p / total)))

        weights |> Array.chunkBySize draws |> Array.averageBy ofState

    /// Gradient with respect to ln λ of λ·(target - divergence), the divergence held constant: λ falls while the weights are more
    /// equal than wanted.
    let divergenceGradient (target: float) (divergence: float) (t: Temperature) = t.Lambda * (target - divergence)

    /// The traversal.
    let parts: Parts<Temperature> =
        fun visit t ->
            { LogLambda = visit.Float("temperature.log_lambda", t.LogLambda)
              M = visit.Float("temperature.m", t.M)
              V = visit.Float("temperature.v", t.V)
              Count = visit.Int("temperature.count", t.Count) }
