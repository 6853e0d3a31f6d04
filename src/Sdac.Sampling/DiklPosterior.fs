namespace Sdac.Sampling

open Sdac.Functional
open Sdac.Kernels
open TorchSharp

/// A target, settings and the networks they call for.
[<NoComparison; NoEquality>]
type DiklModel =
    { Compute: Compute
      Config: DiklConfig
      Target: Target
      Schedule: Schedule
      Sampler: MlpShape
      Noise: NoiseNetwork }

/// Draws of the posterior of clean points given noised ones.
[<NoComparison; NoEquality>]
type PosteriorDraws =
    {
        /// [B·K, D], a state's K draws in a row
        Points: Tensor
        /// ∇ ln p there, temperature included, [B·K, D]
        Slopes: Tensor
        /// Importance weights of each state's draws, which sum to one, [B, K]
        Weights: Tensor
        /// Of the Langevin steps, the share accepted; NaN without any
        Accepted: float
    }

/// A cloud of points on the way from the reverse sampling distribution to the posterior.
[<NoComparison; NoEquality>]
type internal Cloud =
    {
        /// [N, D]
        Points: Tensor
        /// ln p / temperature, [N, 1]
        Energy: Tensor
        /// Its gradient, [N, D]
        Slopes: Tensor
    }

/// The posterior's other factor, N(x; centre, σ²·I), by rows.
[<NoComparison; NoEquality>]
type internal Likelihood =
    {
        /// x_t/√ᾱ_t, [N, D]
        Centre: Tensor
        /// 1/σ_t², [N, 1]
        Precision: Tensor
    }

/// Draws of the posterior of clean points given noised ones, and the target's denoiser and score by them.
[<RequireQualifiedAccess>]
module DiklPosterior =
    /// ln p and its gradient at points of the box. Raises ArgumentException where either is not finite, with the timestep.
    let private cloud (model: DiklModel) (t: int[]) (points: Tensor) : Cloud =
        let rows, dim = Tensors.size 0 points, model.Target.Dim
        let perState = rows / t.Length
        let check what = Checks.finite what (fun row -> $"timestep {t[row / perState]}") model.Target points
        let energy = Target.boxEnergy model.Config.Temperature model.Target points
        check "energy" [ rows ] energy
        let gradient = Target.boxGradient model.Target points
        check "gradient" [ rows; dim ] gradient

        { Points = points; Energy = energy.unsqueeze 1L; Slopes = gradient / num model.Config.Temperature }

    /// ln of the density at β, without constants [N, 1], and its gradient [N, D]: p to the power β times the likelihood.
    let private at (likelihood: Likelihood) (beta: float) (c: Cloud) =
        let away = c.Points - likelihood.Centre
        let pull = likelihood.Precision * away

        struct (num beta * c.Energy - num 0.5 * (away * pull).sum(1L, true), num beta * c.Slopes - pull)

    /// A proposal's mean: half its variance along the gradient, but no coordinate further than two deviations, so that a steep slope
    /// far out does not throw it to the other side. It depends on the point alone: the acceptance makes up for it.
    let private mean (deviation: Tensor) (points: Tensor) (gradient: Tensor) : Tensor =
        let limit = num 2.0 * deviation
        let step = num 0.5 * (deviation.square () * gradient)
        points + step.minimum(limit).maximum(-limit)

    /// One Metropolis-adjusted Langevin step on the density at β within the box, deviation [N, 1]; and the share accepted.
    let private langevin model t likelihood beta (deviation: Tensor) key (here: Cloud) : struct (Cloud * float) =
        let rows, dim = Tensors.size 0 here.Points, Tensors.size 1 here.Points
        let struct (noiseKey, acceptKey) = Key.split key
        let struct (logHere, gradientHere) = at likelihood beta here
        let meanHere = mean deviation here.Points gradientHere
        let proposal = meanHere + deviation * Key.normal model.Compute [ rows; dim ] noiseKey
        let inside = (proposal.abs().amax([| 1L |], true)).le(num 1.0)
        let there = cloud model t (Diffusion.clip proposal)
        let struct (logThere, gradientThere) = at likelihood beta there
        let meanThere = mean deviation there.Points gradientThere

        let logMove (from: Tensor) (towards: Tensor) : Tensor =
            num -0.5 * ((towards - from) / deviation).square().sum(1L, true)

        let ratio = logThere + logMove meanThere here.Points - logHere - logMove meanHere proposal

        let chance = (Key.uniform model.Compute [ rows; 1 ] acceptKey).log()
        let accept = (chance.lt ratio).logical_and inside
        let pick (fresh: Tensor) (old: Tensor) = torch.where (accept, fresh, old)

        struct ({ Points = pick there.Points here.Points
                  Energy = pick there.Energy here.Energy
                  Slopes = pick there.Slopes here.Slopes },
                Tensors.scalar (accept.``to``(torch.float32).mean()))

    /// β of the levels and of the posterior, which is the last: the first are close, since far from the density little of p is much.
    let private betas (levels: int) = [ for level in 1 .. levels + 1 -> (float level / float (levels + 1)) ** 2.0 ]

    /// K draws of p(x | x_t) for each noised sample [B, D] at timesteps t [B], with weights: annealed importance sampling (Neal 2001)
    /// from the reverse sampling distribution N(x_t/√ᾱ_t, σ_t²·I) within the box, with Langevin proposals of `size` times the
    /// posterior's own deviation where the target is as wide as `Width`. Raises ArgumentException on an energy or gradient of a
    /// wrong shape, or not finite, with its value and timestep.
    let draw (model: DiklModel) (size: float) (t: int[]) (noisy: Tensor) (key: Key) : PosteriorDraws =
        let c, compute, schedule = model.Config, model.Compute, model.Schedule
        let batch, dim, draws = t.Length, model.Target.Dim, c.Draws
        let struct (startKey, stepKey) = Key.split key
        let uniform = Key.uniform compute [ batch; draws; dim ] startKey
        let struct (noise, _) = Rssm.truncatedNoise compute schedule t noisy uniform

        let start =
            Rssm.cleanDraws ReverseNoise.Clipped compute schedule t noisy noise
            |> Tensors.reshape [ batch * draws; dim ]

        let times = t |> Array.collect (Array.replicate draws)
        let sigma = Schedule.column compute schedule.SqrtRecipM1AlphaBars times

        let likelihood =
            { Centre =
                (Schedule.column compute schedule.SqrtRecipAlphaBars t * noisy).repeat_interleave(int64 draws, 0L)
              Precision = sigma.square().reciprocal() }

        let mutable here = cloud model t start
        let mutable logWeights = here.Energy.zeros_like ()
        let mutable before = 0.0
        let shares = ResizeArray()

        for level, beta in List.indexed (betas c.Levels) do
            logWeights <- logWeights + num (beta - before) * here.Energy
            before <- beta

            let deviation = num size * (likelihood.Precision + num (beta / (c.Width * c.Width))).rsqrt()

            for step in 0 .. c.Steps - 1 do
                let key = Key.foldIn (int64 (level * c.Steps + step)) stepKey
                let struct (next, share) = langevin model t likelihood beta deviation key here
                here <- next
                shares.Add share

        { Points = here.Points
          Slopes = here.Slopes
          Weights = (Tensors.view [ batch; draws ] logWeights).softmax 1L
          Accepted = if shares.Count = 0 then nan else Seq.average shares }

    /// The target's denoiser E[x | x_t] by such draws, [B, D]. Two means of a posterior are equal to it: that of x, and that of
    /// x_t/√ᾱ_t + σ_t²·∇ ln p(x) (integration by parts). Any blend is as well; with the share σ_t²/(ρ² + σ_t²) of the first one it
    /// has no variance where the target is normal of deviation ρ (He et al., section 3.2, where ρ = 1).
    let denoised (model: DiklModel) (t: int[]) (noisy: Tensor) (draws: PosteriorDraws) : Tensor =
        let compute, schedule, width = model.Compute, model.Schedule, model.Config.Width
        let shape = [ t.Length; model.Config.Draws; model.Target.Dim ]

        let mean (quantity: Tensor) = (draws.Weights.unsqueeze 2L * Tensors.view shape quantity).sum 1L

        let sigma2 = schedule.SqrtRecipM1AlphaBars |> Array.map (fun s -> s * s)
        let ofPoints = sigma2 |> Array.map (fun s -> s / (width * width + s))
        let ofSlopes = sigma2 |> Array.map (fun s -> s * width * width / (width * width + s))
        let column coefficients = Schedule.column compute coefficients t
        let centre = column schedule.SqrtRecipAlphaBars * noisy

        centre + column ofPoints * (mean draws.Points - centre) + column ofSlopes * mean draws.Slopes

    /// The estimated score ∇ ln p_t of the noised target at x_t [B, D], from its denoiser: (√ᾱ_t·D - x_t)/(1-ᾱ_t).
    let score (model: DiklModel) (t: int[]) (noisy: Tensor) (draws: PosteriorDraws) : Tensor =
        let s = model.Schedule
        let column coefficients = Schedule.column model.Compute coefficients t

        (column s.SqrtAlphaBars * denoised model t noisy draws - noisy)
        / column (s.AlphaBars |> Array.map (fun a -> 1.0 - a))
