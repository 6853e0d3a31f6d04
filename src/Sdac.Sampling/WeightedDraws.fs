namespace Sdac.Sampling

open System
open Sdac.Functional

/// Weighted means over the draws of each state, and what is needed for their errors.
[<NoComparison; NoEquality>]
type internal WeightedDraws =
    {
        Timestep: int
        /// [B, K], each state's largest is 1
        Weights: Tensor
        /// ε, [B, K, D]
        Noise: Tensor
        /// ∇ ln p at the clean points, [B, K, D]; only where it is asked for
        Slope: Tensor option
    }

/// Draws around noised states at several noise levels, weighted by a density: what its properties are checked by.
[<RequireQualifiedAccess>]
module internal WeightedDraws =
    let compute = Compute.cpu

    /// Draws of a state in the checks of the score.
    [<Literal>]
    let Draws = 8_192

    /// States at each noise level.
    [<Literal>]
    let States = 12

    /// Where fewer draws count than this, an error's size is not known.
    [<Literal>]
    let LeastDraws = 100.0

    let schedule = Schedule.create SamplerConfig.standard.Schedule SamplerConfig.standard.Timesteps

    /// Noise levels from nearly none to nearly nothing else.
    let timesteps = [ for share in [ 0.2; 0.35; 0.5; 0.65; 0.8 ] -> int (share * float schedule.Timesteps) ]

    let levelOf (t: int) = $"noise level {string (Math.Round(schedule.SqrtRecipM1AlphaBars[t], 3))}"

    let states (target: Target) (own: Tensor) (kind: NoisyStates) (t: int) (key: Key) =
        NoisyStates.draw compute schedule own target.Dim kind (Array.create States t) key

    let weigh
        (target: Target)
        (slopes: bool)
        (t: int)
        (noisy: Tensor)
        (reverse: ReverseNoise)
        (numbers: Tensor)
        : WeightedDraws =
        let batch, k, dim = Tensors.size 0 numbers, Tensors.size 1 numbers, target.Dim
        let times = Array.create batch t

        let noise =
            match reverse with
            | ReverseNoise.TruncatedNormal ->
                let struct (noise, _) = Rssm.truncatedNoise compute schedule times noisy numbers
                noise
            | ReverseNoise.Clipped
            | ReverseNoise.Unbounded -> numbers

        let clean =
            Rssm.cleanDraws reverse compute schedule times noisy noise |> Tensors.reshape [ batch * k; dim ]

        let energy = Target.boxEnergy 1.0 target clean |> Tensors.view [ batch; k ]

        { Timestep = t
          Weights = (energy - energy.amax ([| 1L |], true)).exp()
          Noise = noise
          Slope =
            if slopes then
                Some(Target.boxGradient target clean |> Tensors.view [ batch; k; dim ])
            else
                None }

    /// Of each state, where enough draws count: the weighted mean of a quantity [B, K, D] and its standard error, by coordinates.
    let means (w: WeightedDraws) (quantity: Tensor) : (float * float)[] option[] =
        let total = w.Weights.sum (1L, true)
        let share = (w.Weights / total).unsqueeze 2L
        let mean = (share * quantity).sum(1L, true)
        let error = (share * (quantity - mean)).square().sum(1L).sqrt() |> Tensors.toArray
        let effective = share.square().sum(1L).reciprocal() |> Tensors.toArray
        let mean, dim = Tensors.toArray mean, Tensors.size 2 quantity

        [| for row in 0 .. effective.Length - 1 do
               if float effective[row] >= LeastDraws then
                   Some [| for j in 0 .. dim - 1 -> float mean[row * dim + j], float error[row * dim + j] |]
               else
                   None |]

    let tooFew =
        $"nowhere do {LeastDraws} of {Draws} draws count: the density is too narrow for its box or its dimension"
