namespace Sdac.Functional

open TorchSharp

/// How far a batch of actions may be moved by one gradient.
[<RequireQualifiedAccess>]
type ClimbBound =
    /// The norm of the whole batch's gradient is at most this times the action's dimension (DIPO's authors).
    | PerDimension of float
    /// At most this (the SDAC authors).
    | Fixed of float

/// Moving actions uphill on Q by gradient steps.
type ClimbSettings =
    {
        /// S, Adam steps of one climb
        ClimbSteps: int
        /// Their rate: a first step moves each coordinate by nearly so much whatever the gradient
        ClimbRate: float
        /// Guard of their denominator
        ClimbEpsilon: float
        /// Bound of the batch's gradient norm
        ClimbBound: ClimbBound
    }

[<RequireQualifiedAccess>]
module ClimbSettings =
    /// The authors'.
    let usual: ClimbSettings =
        { ClimbSteps = 20; ClimbRate = 0.03; ClimbEpsilon = 1e-5; ClimbBound = ClimbBound.PerDimension 0.1 }

    let problems (c: ClimbSettings) : string list =
        [ Check.atLeast (nameof c.ClimbSteps) 1 c.ClimbSteps
          Check.positive (nameof c.ClimbRate) c.ClimbRate
          Check.positive (nameof c.ClimbEpsilon) c.ClimbEpsilon
          match c.ClimbBound with
          | ClimbBound.PerDimension bound
          | ClimbBound.Fixed bound -> Check.positive (nameof c.ClimbBound) bound ]
        |> List.concat

/// DIPO's action step (Yang et al. 2023, arXiv 2305.13122): the actions of a batch climb Q together.
[<RequireQualifiedAccess>]
module ActionClimb =
    /// The gradient scaled so that the norm of the whole batch is at most the bound.
    let bounded (bound: float) (gradient: Tensor) : Tensor =
        let norm = gradient.square().sum().sqrt()
        let share = num bound * (norm + num 1e-6).reciprocal()
        gradient * share.clamp_max (num 1.0)

    /// S Adam steps of the whole batch along ∇ Σ Q, with fresh moments, each kept in [-1, 1]. The bound couples the batch's
    /// actions. obs: [B, O], action: [B, A] -> [B, A].
    let climb (compute: Compute) (c: ClimbSettings) (value: ActionValue) (obs: Tensor) (action: Tensor) : Tensor =
        let dim = Tensors.size 1 action

        let bound =
            match c.ClimbBound with
            | ClimbBound.PerDimension share -> share * float dim
            | ClimbBound.Fixed bound -> bound

        let adam = { Beta1 = 0.9; Beta2 = 0.999; Epsilon = c.ClimbEpsilon }

        Tensors.scoped List.singleton (fun () ->
            let step struct (x: Params, moments: AdamState) _ =
                let actions = Tensors.view [ -1; 1; dim ] x.Flat
                let struct (_, slopes) = value.WithSlopes obs actions
                let gradient = slopes.neg () |> bounded bound |> Tensors.reshape [ -1 ]
                let struct (moved, moments) = Adam.step compute adam c.ClimbRate gradient x moments
                struct (Params.withFlat (Diffusion.clip moved.Flat) moved, moments)

            let start = { Layout = []; Flat = (action.contiguous ()).view -1L }
            let struct (last, _) = Seq.fold step struct (start, Adam.init start) (seq { 1 .. c.ClimbSteps })
            last.Flat.view (-1L, int64 dim))
