namespace Sdac.Sampling

open Sdac.Functional

/// Every setting of DiKL (He et al. 2024), in box coordinates.
type DiklConfig =
    {
        /// Noise levels at which the model is compared with the target
        Timesteps: int
        /// σ_t grows geometrically from the first to the last of these.
        Noise: float * float
        /// Hidden widths of the sampler x = g_θ(z)
        Sampler: int list
        /// Hidden widths of the network of its noised score
        Hidden: int list
        /// Factor on the score network's initial first weights: above 1 where detail is small beside the box, be it the target's or
        /// folds of the sampler, which a blunt network would not see
        Sharpness: float
        /// The same of the sampler: above 1 for targets of several modes, between which the map must be steep
        SamplerSharpness: float
        TimeDim: int
        TimeHidden: int
        /// Updates of the sampler
        Updates: int
        /// Updates of the score network before each of them
        ScoreUpdates: int
        /// Samples of g_θ per update of either network
        Batch: int
        /// K, posterior draws per noised sample
        Draws: int
        /// Densities between the reverse sampling distribution and the posterior; none: importance sampling
        Levels: int
        /// Langevin steps, accepted or not (MALA), at each of them and at the posterior
        Steps: int
        /// Share of these steps that should be accepted
        Acceptance: float
        /// ρ, the width of the target's detail: below it, the score is estimated by slopes of ln p, above it by the draws themselves
        Width: float
        /// The density sampled is exp(ln p / Temperature)
        Temperature: float
        /// Of the sampler; falls linearly to a hundredth of itself over the second half of training
        LearningRate: float
        /// The same of the score network
        ScoreRate: float
        /// ε of the sampler's Adam: parameters with gradients well below it move in proportion to them, others by the rate. Without it
        /// they all move by the rate at first, and the map folds
        Damping: float
        /// Rate of the moving average of the sampler's parameters, which is what samples
        Averaging: float
    }

[<RequireQualifiedAccess>]
module DiklConfig =
    /// Settings that suit the two-dimensional targets of several modes at a minute's training. The authors' noise levels, networks
    /// and annealed chains are larger, and their score network takes more updates between two of the sampler.
    let standard =
        { Timesteps = 64
          Noise = 0.02, 1.5
          Sampler = [ 64; 64 ]
          Hidden = [ 128; 128 ]
          Sharpness = 4.0
          SamplerSharpness = 4.0
          TimeDim = 8
          TimeHidden = 64
          Updates = 2000
          ScoreUpdates = 6
          Batch = 128
          Draws = 16
          Levels = 1
          Steps = 1
          Acceptance = 0.6
          Width = 0.1
          Temperature = 1.0
          LearningRate = 1e-3
          ScoreRate = 5e-3
          Damping = 0.01
          Averaging = 0.005 }

    /// What is impossible in these settings, one sentence each.
    let problems (c: DiklConfig) : string list =
        let first, last = c.Noise

        [ Check.atLeast "Timesteps" 1 c.Timesteps
          Check.positive "the first noise level" first
          Check.positive "the last noise level" last
          [ if first > last then
                $"the noise goes from {string first} to {string last}; it must not fall" ]
          Check.widths "Sampler" c.Sampler
          Check.widths "Hidden" c.Hidden
          Check.positive "Sharpness" c.Sharpness
          Check.positive "SamplerSharpness" c.SamplerSharpness
          Check.atLeast "Updates" 1 c.Updates
          Check.atLeast "ScoreUpdates" 1 c.ScoreUpdates
          Check.atLeast "Batch" 1 c.Batch
          Check.atLeast "Draws (K)" 1 c.Draws
          Check.atLeast "Levels" 0 c.Levels
          Check.atLeast "Steps" 0 c.Steps
          [ if c.Levels > 0 && c.Steps = 0 then
                $"levels is %d{c.Levels} with steps 0: draws that do not move weigh the same with levels as without; take at least 1 step, or levels = 0"
            if c.Draws = 1 && c.Steps = 0 then
                "draws (K) is 1 with steps 0: the only draw knows nothing of the target; take at least 2 draws or 1 step" ]
          [ if not (c.Acceptance > 0.0 && c.Acceptance < 1.0) then
                $"acceptance is {string c.Acceptance}; it must lie between 0 and 1" ]
          Check.positive "Width" c.Width
          Check.positive "Temperature" c.Temperature
          Check.positive "LearningRate" c.LearningRate
          Check.positive "ScoreRate" c.ScoreRate
          Check.positive "Damping" c.Damping
          Check.share "Averaging" c.Averaging ]
        |> List.concat
