namespace Sdac.Benchmarks

open Sdac

/// The arithmetic that the mathematics needs (2 per multiply-add of the matrix products, in 10⁹), after the savings that
/// leave results unchanged: observations multiplied once per state, one trained row per state.
[<RequireQualifiedAccess>]
module Gflop =
    let private product (rows: int) (inputs: int) (outputs: int) = 2e-9 * float rows * float inputs * float outputs

    /// Hidden layers from the first one's output on, and the last layer.
    let private tail (hidden: int list) rows outputs =
        List.sum [ for a, b in List.pairwise hidden -> product rows a b ]
        + product rows (List.last hidden) outputs

    /// One reverse sampling of `particles` actions for each of `states` states.
    let sampling (m: Model) states particles =
        let c = m.Config
        let rows = states * particles
        let step = product rows m.ActionDim c.Hidden.Head + tail c.Hidden rows m.ActionDim
        product states m.ObsDim c.Hidden.Head + float c.Timesteps * step

    /// Both critics for `actions` actions of each of `states` states.
    let twinQ (m: Model) states actions =
        let c = m.Config
        let rows = states * actions

        2.0
        * (product states m.ObsDim c.Hidden.Head
           + product rows m.ActionDim c.Hidden.Head
           + tail c.Hidden rows 1)

    /// Forward and backward pass of one network on the batch: every product thrice, but for the first layer's gradient with
    /// respect to inputs that nobody wants (`wanted` of them are).
    let private train (m: Model) inputs wanted outputs =
        let c = m.Config
        let batch = c.BatchSize

        2.0 * product batch inputs c.Hidden.Head
        + product batch wanted c.Hidden.Head
        + 3.0 * tail c.Hidden batch outputs

    let critics (m: Model) = 2.0 * train m (m.ObsDim + m.ActionDim) 0 1

    let policy (m: Model) =
        let time = m.Config.TimeDim
        train m (m.ObsDim + m.ActionDim + time) time m.ActionDim

    /// Best of N: the sampling and the choice.
    let best (m: Model) =
        let c = m.Config
        let choice = if c.Particles = 1 then 0.0 else twinQ m c.BatchSize c.Particles
        sampling m c.BatchSize c.Particles + choice

    /// One update, the mean over those that move the policy and those that do not.
    let update (m: Model) =
        let c = m.Config
        let always = best m + twinQ m c.BatchSize 1 + critics m
        let moved = best m + twinQ m c.BatchSize c.MonteCarloDraws + policy m
        always + moved / float c.PolicyDelay
