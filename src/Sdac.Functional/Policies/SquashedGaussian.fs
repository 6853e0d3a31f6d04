namespace Sdac.Functional

open Sdac.Kernels
open TorchSharp

/// How a policy network's raw output x becomes log σ.
[<RequireQualifiedAccess>]
type LogStd =
    /// x clipped to [low, high]: no gradient outside.
    | Clipped of low: float * high: float
    /// low + ½·(high - low)·(tanh x + 1).
    | Smooth of low: float * high: float

/// A squashed Gaussian policy's head: what is behind the network.
type SquashedGaussian =
    {
        ActionDim: int
        LogStd: LogStd
        /// Whether the log-probability is that of a = tanh u; else that of u (the SDAC authors' comparison runs).
        TanhCorrection: bool
    }

/// Actions [B, A] in (-1, 1), log π [B], and the pullback: their gradients -> the gradient of the network's output [B, 2A].
/// The pullback reads the tensors that the sample was made from: use it inside their dispose scope.
[<NoComparison; NoEquality>]
type SquashedSample = { Action: Tensor; LogProbability: Tensor; Pullback: Tensor -> Tensor -> Tensor }

/// SAC's policy (arXiv 1812.05905, appendix C): u = μ + σ·ε, a = tanh u. The network's output [B, 2A] is μ, then the raw
/// outputs for log σ; ε [B, A] is given.
[<RequireQualifiedAccess>]
module SquashedGaussian =
    /// The published SAC's: log σ clipped to [-20, 2], the exact correction.
    let standard (actionDim: int) =
        { ActionDim = actionDim; LogStd = LogStd.Clipped(-20.0, 2.0); TanhCorrection = true }

    let private range (head: SquashedGaussian) =
        match head.LogStd with
        | LogStd.Clipped(low, high) -> LogStdRange(float32 low, float32 high, false)
        | LogStd.Smooth(low, high) -> LogStdRange(float32 low, float32 high, true)

    let private check (head: SquashedGaussian) (output: Tensor) =
        Tensors.check "policy output" [ -1; 2 * head.ActionDim ] output

    let private mean (head: SquashedGaussian) (output: Tensor) = output.narrow (1L, 0L, int64 head.ActionDim)

    /// log σ and its slope with respect to the raw output, in torch operations. [B, A] each.
    let private logStd (head: SquashedGaussian) (output: Tensor) =
        let raw = output.narrow (1L, int64 head.ActionDim, int64 head.ActionDim)

        match head.LogStd with
        | LogStd.Clipped(low, high) ->
            let clipped = raw.clamp (Scalars.ofFloat low, Scalars.ofFloat high)
            struct (clipped, clipped.eq(raw).``to`` torch.float32)
        | LogStd.Smooth(low, high) ->
            let half = num (0.5 * (high - low))
            let tanh = raw.tanh ()
            struct (half * (tanh + num 1.0) + num low, half * (-tanh.square() + num 1.0))

    /// ln(1 - tanh²u) = 2·(ln 2 - |u| - ln(1 + e^-2|u|)): right for every u.
    let logOneLessTanhSquared (u: Tensor) =
        let size = u.abs ()
        let tail = (num -2.0 * size).exp().log1p()
        num 2.0 * (-(size + tail) + num (log 2.0))

    let private torchSample (head: SquashedGaussian) (output: Tensor) (noise: Tensor) : SquashedSample =
        let struct (logStd, slope) = logStd head output
        let spread = logStd.exp () * noise
        let u = mean head output + spread
        let action = u.tanh ()
        let logSquash = logOneLessTanhSquared u
        let each = num -0.5 * noise.square () - logStd - num (0.5 * log (2.0 * System.Math.PI))

        let pullback (dAction: Tensor) (dLogProbability: Tensor) =
            let dLog = dLogProbability.unsqueeze 1L
            let dSquashed = dAction * logSquash.exp ()

            let dMean = if head.TanhCorrection then dSquashed + num 2.0 * (dLog * action) else dSquashed

            Tensors.cat 1 [ dMean; (dMean * spread - dLog) * slope ]

        { Action = action
          LogProbability = (if head.TanhCorrection then each - logSquash else each).sum 1L
          Pullback = pullback }

    let private kernelSample (head: SquashedGaussian) (output: Tensor) (noise: Tensor) : SquashedSample =
        let output, noise, range = output.contiguous (), noise.contiguous (), range head
        let rows = Tensors.size 0 noise
        let action, logProbability = Tensors.empty [ rows; head.ActionDim ], Tensors.empty [ rows ]

        SquashedGaussian.Sample(
            head.ActionDim,
            range,
            head.TanhCorrection,
            Tensors.span output,
            Tensors.span noise,
            Tensors.span action,
            Tensors.span logProbability
        )

        let pullback (dAction: Tensor) (dLogProbability: Tensor) =
            let dAction, dLogProbability = dAction.contiguous (), dLogProbability.contiguous ()
            let gradient = Tensors.empty [ rows; 2 * head.ActionDim ]

            SquashedGaussian.Backward(
                head.ActionDim,
                range,
                head.TanhCorrection,
                Tensors.span output,
                Tensors.span noise,
                Tensors.span dAction,
                Tensors.span dLogProbability,
                Tensors.span gradient
            )

            Tensors.keepAlive [ output; noise; dAction; dLogProbability ]
            gradient

        Tensors.keepAlive [ output; noise ]

        { Action = action; LogProbability = logProbability; Pullback = pullback }

    /// Actions, their log-probabilities and the pullback. output: [B, 2A], noise: [B, A].
    let sample (compute: Compute) (head: SquashedGaussian) (output: Tensor) (noise: Tensor) : SquashedSample =
        check head output
        Tensors.check "noise" [ Tensors.size 0 output; head.ActionDim ] noise
        range head |> ignore // refuses limits that are none, on every device

        if compute.Kernels then
            kernelSample head output noise
        else
            torchSample head output noise

    /// The action of evaluation, tanh μ. output: [B, 2A] -> [B, A].
    let mode (head: SquashedGaussian) (output: Tensor) : Tensor =
        check head output
        (mean head output).tanh()
