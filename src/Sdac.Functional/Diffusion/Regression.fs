namespace Sdac.Functional

open System
open TorchSharp

/// The action that is noised to a_t for the policy's regression. RSSM's theorem allows any with full support; for DPMD it is what
/// the next policy is made of.
[<RequireQualifiedAccess>]
type Anchor =
    /// New actions on obs: SDAC's best of N with exploration noise, DPMD's draws of the old policy
    | Policy
    /// The replay memory's action on obs (MaxEntDP, flow-rl)
    | Replay
    /// a' of the critics' targets, on next_obs (the published DPMD)
    | TargetAction

/// How often each timestep is drawn for the policy's regression.
[<RequireQualifiedAccess>]
type TimestepDraws =
    /// Each as often as any other
    | Uniform
    /// P(t) ∝ ᾱ_t: most where the reverse draws are close to a_t
    | LowNoise
    /// P(t) ∝ ᾱ_t^(-d/2), d components of an action: undoes the factor ᾱ_t^(d/2) by which RSSM weighs a timestep. Nearly all
    /// draws are of the last timesteps
    | Balanced

/// The policy's weighted regression on noise.
type RegressionSettings =
    {
        /// Where the action comes from that is noised to a_t
        Anchor: Anchor
        /// How often each timestep is drawn
        TimestepDraws: TimestepDraws
        /// Which value the weights are made of; none: as in the critics' targets
        WeightCritic: QReduction option
        /// Squared errors (ε_θ - ε)² of a component above this count as this, and move nothing; none: they count as they are
        ErrorCap: float option
    }

[<RequireQualifiedAccess>]
module RegressionSettings =
    /// No settings but the anchor.
    let from (anchor: Anchor) : RegressionSettings =
        { Anchor = anchor; TimestepDraws = TimestepDraws.Uniform; WeightCritic = None; ErrorCap = None }

    let problems (r: RegressionSettings) : string list = Check.positive (nameof r.ErrorCap) (defaultArg r.ErrorCap 1.0)

/// Weighted regression of the noise network: which timesteps, and the loss with its gradient.
[<RequireQualifiedAccess>]
module Regression =
    /// P(t), t = 0 .. T-1, for actions of so many components.
    let probabilities (schedule: Schedule) (actionDim: int) (draws: TimestepDraws) : float[] =
        let shares (power: float) =
            // from logarithms: ᾱ_t^(-d/2) itself leaves the range of a double
            let logs = schedule.AlphaBars |> Array.map (fun a -> power * Math.Log a)
            let largest = Array.max logs
            let shares = logs |> Array.map (fun x -> exp (x - largest))
            let total = Array.sum shares
            shares |> Array.map (fun share -> share / total)

        match draws with
        | TimestepDraws.Uniform -> Array.create schedule.Timesteps (1.0 / float schedule.Timesteps)
        | TimestepDraws.LowNoise -> shares 1.0
        | TimestepDraws.Balanced -> shares (-0.5 * float actionDim)

    /// Timesteps of n rows.
    let timesteps (schedule: Schedule) (actionDim: int) (draws: TimestepDraws) (n: int) (key: Key) : int[] =
        if draws = TimestepDraws.Uniform then
            Key.integers schedule.Timesteps n key
        else
            use _ = torch.NewDisposeScope()
            let bounds = probabilities schedule actionDim draws |> Array.scan (+) 0.0
            let last = schedule.Timesteps - 1

            Key.uniform Compute.cpu [ n ] key
            |> Tensors.toArray
            |> Array.map (fun u ->
                let above = Array.BinarySearch(bounds, float u)
                // bounds[t] ≤ u < bounds[t + 1]
                min last (if above >= 0 then above else ~~~above - 1))

    /// The loss, mean over rows, draws and components of w_k·(ε_θ - ε_k)², squared errors held at `cap`.
    /// prediction: [B, A], noise: [B, K, A], weights: [B, K] -> scalar.
    let loss (cap: float option) (prediction: Tensor) (noise: Tensor) (weights: Tensor) : Tensor =
        match cap with
        | None -> Rssm.loss prediction noise weights
        | Some cap ->
            let squares = (prediction.unsqueeze 1L - noise).square()
            (squares.clamp_max (num cap) * weights.unsqueeze 2L).mean()

    /// The loss's gradient with respect to the prediction: no error whose square is above the cap adds to it. [B, A].
    let gradient (cap: float option) (prediction: Tensor) (noise: Tensor) (weights: Tensor) : Tensor =
        match cap with
        | None -> Rssm.gradient prediction noise weights
        | Some cap ->
            let errors = prediction.unsqueeze 1L - noise
            let counted = errors * errors.square().le(num cap)

            num (2.0 / float (noise.numel ())) * (counted * weights.unsqueeze 2L).sum 1L
