namespace Sdac.Sampling

open Sdac.Functional

/// Every setting of FAB (Midgley et al. 2023), in box coordinates.
type FabConfig =
    {
        /// Affine coupling layers of the flow
        Layers: int
        /// Hidden widths of their conditioners
        Hidden: int list
        /// Rounds of annealed importance sampling followed by updates
        Iterations: int
        /// Points per round of annealed importance sampling
        Batch: int
        /// Rounds from the untrained flow that fill the buffer first
        WarmUp: int
        /// Densities between the flow and p²/q
        Intermediate: int
        /// Metropolis steps at each of them
        Steps: int
        /// Deviation of the first proposals; it adapts to the wanted acceptance
        StepSize: float
        /// Share of proposals that should be accepted
        Acceptance: float
        /// Points that the buffer holds; the oldest go first
        Buffer: int
        /// Updates of the flow per iteration
        Updates: int
        /// Points per update, drawn from the buffer by their weights
        UpdateBatch: int
        /// Largest q_old/q that corrects a point's weight
        RatioClip: float
        /// Largest norm of a gradient
        GradientClip: float
        /// The density sampled is exp(ln p / Temperature)
        Temperature: float
        /// Falls linearly to a hundredth of itself over the second half of training
        LearningRate: float
        /// Rate of the moving average of the parameters, which is what samples
        Averaging: float
    }

[<RequireQualifiedAccess>]
module FabConfig =
    /// Settings that suit the two-dimensional targets.
    let standard =
        { Layers = 15
          Hidden = [ 64; 64 ]
          Iterations = 2000
          Batch = 256
          WarmUp = 16
          Intermediate = 1
          Steps = 4
          StepSize = 0.2
          Acceptance = 0.4
          Buffer = 16_384
          Updates = 2
          UpdateBatch = 256
          RatioClip = 10.0
          GradientClip = 10.0
          Temperature = 1.0
          LearningRate = 2e-3
          Averaging = 0.005 }

    /// What is impossible in these settings, one sentence each.
    let problems (c: FabConfig) : string list =
        [ Check.atLeast "Layers" 1 c.Layers
          for width in c.Hidden do
              yield! [ Check.atLeast "a hidden width" 1 width ]
          Check.atLeast "Iterations" 1 c.Iterations
          Check.atLeast "Batch" 1 c.Batch
          Check.atLeast "WarmUp" 0 c.WarmUp
          Check.atLeast "Intermediate" 0 c.Intermediate
          Check.atLeast "Steps" 1 c.Steps
          Check.positive "StepSize" c.StepSize
          [ if not (c.Acceptance > 0.0 && c.Acceptance < 1.0) then
                $"acceptance is {string c.Acceptance}; it must lie between 0 and 1" ]
          Check.atLeast "Buffer" 1 c.Buffer
          Check.atLeast "Updates" 1 c.Updates
          Check.atLeast "UpdateBatch" 1 c.UpdateBatch
          Check.positive "RatioClip" c.RatioClip
          Check.positive "GradientClip" c.GradientClip
          Check.positive "Temperature" c.Temperature
          Check.positive "LearningRate" c.LearningRate
          Check.share "Averaging" c.Averaging ]
        |> List.concat
