namespace Sdac.Functional

open System
open Sdac.Kernels

/// A learning rate as a function of the number of updates done.
[<RequireQualifiedAccess>]
type LearningRate =
    | Constant of float
    /// `Start` until `Begin` updates are done, then linearly to `End` over `Length` updates, then `End`.
    | LinearDecay of Start: float * End: float * Begin: int64 * Length: int64
    /// From `Start` along half a cosine to `End` over `Length` updates, then `End`.
    | CosineDecay of Start: float * End: float * Length: int64

[<RequireQualifiedAccess>]
module LearningRate =
    /// The rate of the update after `count` updates.
    let at (count: int64) (rate: LearningRate) =
        match rate with
        | LearningRate.Constant value -> value
        | LearningRate.LinearDecay(start, finish, first, length) ->
            let progress = min 1.0 (max 0.0 (float (count - first) / float length))
            start + (finish - start) * progress
        | LearningRate.CosineDecay(start, finish, length) ->
            let progress = min 1.0 (float count / float length)
            finish + 0.5 * (start - finish) * (1.0 + cos (System.Math.PI * progress))

    /// Sentences about impossible values; empty when they can be used.
    let problems (name: string) (rate: LearningRate) : string list =
        let rateOf part value =
            [ if not (value >= 0.0 && System.Double.IsFinite value) then
                  $"{spelled name} {part} at {string value}; a learning rate must be a number from 0" ]

        let length value =
            [ if value < 1L then
                  $"{spelled name} takes %d{value} updates; it must be at least 1" ]

        match rate with
        | LearningRate.Constant value -> rateOf "stays" value
        | LearningRate.LinearDecay(start, finish, first, steps) ->
            rateOf "starts" start
            @ rateOf "ends" finish
            @ length steps
            @ [ if first < 0L then
                    $"{name} begins to fall after %d{first} updates; it must be at least 0" ]
        | LearningRate.CosineDecay(start, finish, steps) -> rateOf "starts" start @ rateOf "ends" finish @ length steps

/// Decay rates of Adam's moments and the guard of its denominator (Kingma & Ba 2015).
type AdamConfig = { Beta1: float; Beta2: float; Epsilon: float }

/// First and second moments, flat like the parameters, and the number of steps done.
[<NoComparison; ReferenceEquality>]
type AdamState = { M: Tensor; V: Tensor; Count: int64 }

[<RequireQualifiedAccess>]
module Polyak =
    /// target + τ·(online - target), as new parameters.
    let step (compute: Compute) (tau: float) (target: Params) (online: Params) : Params =
        if compute.Kernels then
            let result = Tensors.empty [ Tensors.size 0 target.Flat ]
            Polyak.Step(Tensors.span target.Flat, Tensors.span online.Flat, tau, Tensors.span result)
            Tensors.keepAlive [ target.Flat; online.Flat ]
            Params.withFlat result target
        else
            let flat = target.Flat.add (online.Flat.sub target.Flat, Scalars.ofFloat tau)
            Params.withFlat flat target

[<RequireQualifiedAccess>]
module Adam =
    let init (p: Params) : AdamState = { M = p.Flat.zeros_like (); V = p.Flat.zeros_like (); Count = 0L }

    let private kernelStep
        (config: AdamConfig)
        (rate: float)
        (gradient: Tensor)
        (p: Params)
        (state: AdamState)
        (target: Span<float32>)
        (tau: float)
        (average: Span<float32>)
        : struct (Params * AdamState) =
        let count = state.Count + 1L
        let n = Tensors.size 0 p.Flat
        let p', m, v = Tensors.empty [ n ], Tensors.empty [ n ], Tensors.empty [ n ]

        Adam.Step(
            Tensors.span p.Flat,
            Tensors.span state.M,
            Tensors.span state.V,
            Tensors.span gradient,
            Tensors.span p',
            Tensors.span m,
            Tensors.span v,
            rate,
            config.Beta1,
            config.Beta2,
            config.Epsilon,
            count,
            target,
            tau,
            average
        )

        Tensors.keepAlive [ p.Flat; state.M; state.V; gradient ]
        struct (Params.withFlat p' p, { M = m; V = v; Count = count })

    /// One step: new parameters and moments; the arguments keep their values.
    /// gradient: flat, as long as the parameters.
    let step
        (compute: Compute)
        (config: AdamConfig)
        (rate: float)
        (gradient: Tensor)
        (p: Params)
        (state: AdamState)
        : struct (Params * AdamState) =
        Tensors.check "gradient" [ Tensors.size 0 p.Flat ] gradient
        let count = state.Count + 1L

        if compute.Kernels then
            kernelStep config rate gradient p state Span<float32>.Empty 0.0 Span<float32>.Empty
        else
            let m = state.M.mul(Scalars.ofFloat config.Beta1).add_(gradient, Scalars.ofFloat (1.0 - config.Beta1))

            let v =
                state.V
                    .mul(Scalars.ofFloat config.Beta2)
                    .addcmul_(gradient, gradient, Scalars.ofFloat (1.0 - config.Beta2))

            let mScale, vScale = 1.0 - config.Beta1 ** float count, 1.0 - config.Beta2 ** float count
            let root = v.div(Scalars.ofFloat vScale).sqrt_().add_(Scalars.ofFloat config.Epsilon)
            let p' = p.Flat.add (m.div root, Scalars.ofFloat (-rate / mScale))
            struct (Params.withFlat p' p, { M = m; V = v; Count = count })

    /// The same step, and in the same pass the moving average of the new parameters, `target` + τ·(new - `target`).
    let stepFollowed
        (compute: Compute)
        (config: AdamConfig)
        (rate: float)
        (gradient: Tensor)
        (p: Params)
        (state: AdamState)
        (tau: float)
        (target: Params)
        : struct (Params * AdamState * Params) =
        if compute.Kernels then
            Tensors.check "gradient" [ Tensors.size 0 p.Flat ] gradient
            let average = Tensors.empty [ Tensors.size 0 target.Flat ]

            let struct (p', state') =
                kernelStep config rate gradient p state (Tensors.span target.Flat) tau (Tensors.span average)

            Tensors.keepAlive [ target.Flat; average ]
            struct (p', state', Params.withFlat average target)
        else
            let struct (p', state') = step compute config rate gradient p state
            struct (p', state', Polyak.step compute tau target p')

    /// The same step on one number.
    let stepScalar
        (config: AdamConfig)
        (rate: float)
        (gradient: float)
        (value: float)
        (m: float, v: float, count: int64)
        =
        let count = count + 1L
        let m = config.Beta1 * m + (1.0 - config.Beta1) * gradient
        let v = config.Beta2 * v + (1.0 - config.Beta2) * gradient * gradient
        let mHat = m / (1.0 - config.Beta1 ** float count)
        let vHat = v / (1.0 - config.Beta2 ** float count)
        value - rate * mHat / (sqrt vHat + config.Epsilon), (m, v, count)
