namespace Sdac.Functional

/// The variance-exploding process a_u = a + √h(u)·ε, u in [0, 1]: noise is added and nothing shrinks. h grows geometrically
/// (Song et al. 2021, arXiv 2011.13456, as iDEM and DQS use it).
type VarianceExploding =
    {
        /// σ_min, the scale at which the noise begins to grow
        SigmaMin: float
        /// σ_max; h(1) = σ_max² - σ_min²
        SigmaMax: float
    }

[<RequireQualifiedAccess>]
module VarianceExploding =
    let private ratio (p: VarianceExploding) = p.SigmaMax / p.SigmaMin

    /// h(u) = σ_min²·(r^2u - 1), r = σ_max/σ_min: the variance of the noise at u.
    let variance (p: VarianceExploding) (u: float) : float = p.SigmaMin * p.SigmaMin * (ratio p ** (2.0 * u) - 1.0)

    /// g(u) = σ_min·r^u·√(2 ln r), g² = h': what the process adds per time.
    let diffusion (p: VarianceExploding) (u: float) : float = p.SigmaMin * ratio p ** u * sqrt (2.0 * log (ratio p))

    /// Sentences about impossible values; empty when they can be used.
    let problems (p: VarianceExploding) : string list =
        [ Check.positive (nameof p.SigmaMin) p.SigmaMin
          Check.positive (nameof p.SigmaMax) p.SigmaMax
          [ if not (p.SigmaMax > p.SigmaMin) then
                $"sigmaMin is {string p.SigmaMin} and sigmaMax {string p.SigmaMax}; the noise must grow from the first to the second" ] ]
        |> List.concat

    /// The reverse process by Euler and Maruyama: from u = 1 in N steps of 1/N, x + g²·score/N + ζ·g/√N·ξ; not clipped.
    /// score: u and x -> ∇ log p_u(x); noise: ξ of step i, standard normal; spread: ζ, 0 for none.
    let reverse
        (p: VarianceExploding)
        (steps: int)
        (spread: float)
        (score: int -> Tensor -> Tensor)
        (noise: int -> Tensor)
        (initial: Tensor)
        : Tensor =
        let width = 1.0 / float steps

        let next (x: Tensor) i =
            let g = diffusion p (1.0 - float i * width)
            let moved = x.add (score i x, Scalars.ofFloat (g * g * width))

            if spread = 0.0 then
                moved
            else
                moved.add (noise i, Scalars.ofFloat (spread * g * sqrt width))

        Seq.fold next initial (seq { 0 .. steps - 1 })
