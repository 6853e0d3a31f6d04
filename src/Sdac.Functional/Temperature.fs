namespace Sdac

open System

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

    /// The traversal.
    let parts: Parts<Temperature> =
        fun visit t ->
            { LogLambda = visit.Float("temperature.log_lambda", t.LogLambda)
              M = visit.Float("temperature.m", t.M)
              V = visit.Float("temperature.v", t.V)
              Count = visit.Int("temperature.count", t.Count) }
