namespace Sdac.Sampling

open System
open Sdac.Functional
open TorchSharp

/// How an estimate of the optimal noise ε*(a_t) = E[w·ε]/E[w], w = exp(Q(ã)), errs with K draws a point: root mean squares over
/// points.
type EstimateErrors =
    {
        /// K
        Draws: int
        /// Of the mean estimate, as far as the sample tells: not below its standard error
        Bias: float
        StandardError: float
        /// Of single estimates around their mean
        Deviation: float
    }

/// Bias and spread of what a policy's regression is given, for one state whose Q is known (the paper's claim that weighting by
/// exp(Q/λ) itself is unbiased with a single draw, and gradients of a logarithm are not).
[<RequireQualifiedAccess>]
module EstimatorBias =
    /// An estimate from K draws: their energies and noise [R, K], Q's slopes there, ᾱ and E[w] -> [R].
    type Estimator = float -> float -> Tensor -> Tensor -> Tensor -> Tensor

    let private weighed (weights: Tensor) (values: Tensor) = (weights * values).sum 1L

    /// The estimators by name. The gradient form takes -√(1-ᾱ)·∇ log mean exp Q, the estimate of iDEM and DQS.
    let estimators: (string * Estimator) list =
        [ "raw weights", (fun _ z q noise _ -> num (1.0 / z) * (Rssm.weights RssmWeights.Raw q * noise).mean [| 1L |])
          "softmax weights", (fun _ _ q noise _ -> weighed (Rssm.weights RssmWeights.SelfNormalised q) noise)
          "softmax weights, jackknife",
          (fun _ _ q noise _ ->
              let weights =
                  if q.size 1 = 1L then
                      Rssm.weights RssmWeights.SelfNormalised q
                  else
                      Rssm.jackknifeWeights q

              weighed weights noise)
          "gradient of log mean exp Q",
          (fun bar _ q _ slopes ->
              num (-(sqrt (1.0 - bar) / sqrt bar)) * weighed (Rssm.weights RssmWeights.SelfNormalised q) slopes) ]

    /// ã of noise ε around a_t = x, not moved into the box: Q of the bench's targets is known beyond it.
    let private clean (bar: float) (x: float) (noise: Tensor) =
        num (x / sqrt bar) - num (sqrt (1.0 / bar - 1.0)) * noise

    /// ε*(x) and E[w] by quadrature over the normal noise.
    let exact (target: OneStateTarget) (bar: float) (x: float) : struct (float * float) =
        use _ = torch.NewDisposeScope()
        let step = 1e-3
        let noise = torch.tensor [| for i in -8_000 .. 8_000 -> float i * step |]
        let density = num (step / sqrt (2.0 * Math.PI)) * (num -0.5 * noise.square ()).exp()
        let share = (target.Value(clean bar x noise)).exp() * density
        let z = share.sum().ToDouble()
        struct ((share * noise).sum().ToDouble() / z, z)

    // Of each point; the mean estimate's standard error is then the same for all K.
    [<Literal>]
    let private Total = 262_144

    /// Points a_t at which estimates are asked for.
    let points: float list = [ for i in -4 .. 4 -> 0.3 * float i ]

    /// The errors of an estimator for each K, a power of two up to 512. Independent draws, 262,144 a point.
    let errors (target: OneStateTarget) (bar: float) (estimator: Estimator) (key: Key) : EstimateErrors list =
        use _ = torch.NewDisposeScope()

        let ofPoint (i: int) (x: float) =
            let struct (wanted, z) = exact target bar x
            let noise = Key.normal Compute.cpu [ Total ] (Key.foldIn (int64 i) key)
            let actions = clean bar x noise
            let q, slopes = target.Value actions, target.Slope actions

            fun (k: int) ->
                let rows (t: Tensor) = t.view (-1L, int64 k)
                let found = (estimator bar z (rows q) (rows noise) (rows slopes)).``double``()
                let mean = found.mean().ToDouble()
                let variance = (found - num mean).square().mean().ToDouble()
                struct ((mean - wanted) ** 2.0, variance, variance * float k / float Total)

        let points = points |> List.mapi ofPoint
        let root f found = found |> List.averageBy f |> sqrt

        [ for power in 0..9 do
              let found = points |> List.map (fun errors -> errors (1 <<< power))

              { Draws = 1 <<< power
                Bias = found |> root (fun struct (bias, _, _) -> bias)
                Deviation = found |> root (fun struct (_, variance, _) -> variance)
                StandardError = found |> root (fun struct (_, _, error) -> error) } ]
