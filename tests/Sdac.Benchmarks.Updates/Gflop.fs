namespace Sdac.Benchmarks

open Sdac.Functional

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
    let sampling (space: Space) (c: SdacConfig) states particles =
        let rows = states * particles
        let step = product rows space.ActionDim c.Hidden.Head + tail c.Hidden rows space.ActionDim
        product states space.ObsDim c.Hidden.Head + float c.Diffusion.Timesteps * step

    /// Both critics for `actions` actions of each of `states` states.
    let twinQ (space: Space) (c: SdacConfig) states actions =
        let rows = states * actions

        2.0
        * (product states space.ObsDim c.Hidden.Head
           + product rows space.ActionDim c.Hidden.Head
           + tail c.Hidden rows 1)

    /// Both critics' values of `actions` actions of each of `states` states and the gradients with respect to the actions: forward
    /// the observations once per state, backward every product but the observations'.
    let actionGradients (space: Space) (hidden: int list) states actions =
        let rows = states * actions

        2.0
        * (product states space.ObsDim hidden.Head
           + 2.0 * (product rows space.ActionDim hidden.Head + tail hidden rows 1))

    /// One action for each of `rows` states by a chain of the noise network, and the parameters' gradient through all its steps:
    /// every step's products thrice; those of the observations once forward, and once for their weights.
    let chainGradient (space: Space) (hidden: int list) rows steps =
        2.0 * product rows space.ObsDim hidden.Head
        + 3.0 * float steps * (product rows space.ActionDim hidden.Head + tail hidden rows space.ActionDim)

    /// Forward and backward pass of one network on the batch: every product thrice, but for the first layer's gradient with
    /// respect to inputs that nobody wants (`wanted` of them are).
    let private train (space: Space) (c: SdacConfig) inputs wanted outputs =
        let batch = c.Data.BatchSize

        2.0 * product batch inputs c.Hidden.Head
        + product batch wanted c.Hidden.Head
        + 3.0 * tail c.Hidden batch outputs

    let critics (space: Space) (c: SdacConfig) = 2.0 * train space c (space.ObsDim + space.ActionDim) 0 1

    let policy (space: Space) (c: SdacConfig) =
        let time = c.Diffusion.TimeDim
        train space c (space.ObsDim + space.ActionDim + time) time space.ActionDim

    /// Best of N: the sampling and the choice.
    let best (space: Space) (c: SdacConfig) =
        let choice =
            if c.Particles.Particles = 1 then
                0.0
            else
                twinQ space c c.Data.BatchSize c.Particles.Particles

        sampling space c c.Data.BatchSize c.Particles.Particles + choice

    /// One update, the mean over those that move the policy and those that do not.
    let update (space: Space) (c: SdacConfig) =
        let always = best space c + twinQ space c c.Data.BatchSize 1 + critics space c
        let moved = best space c + twinQ space c c.Data.BatchSize c.Draws.MonteCarloDraws + policy space c
        always + moved / float c.Policy.PolicyDelay
