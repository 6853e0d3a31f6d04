namespace Sdac.Functional

open Sdac.Kernels

/// log π [B] of given actions, and the pullback: its gradient [B] -> the gradients of the means [B, A] and of log σ [A].
/// The pullback reads the tensors that the density was made from: use it inside their dispose scope.
[<NoComparison; NoEquality>]
type DiagonalDensity = { LogProbability: Tensor; Pullback: Tensor -> struct (Tensor * Tensor) }

/// PPO's policy: a = μ + σ·ε without squashing; log σ [A] is a parameter, the same for every state. A log σ beyond -80 to 20
/// counts as that limit.
[<RequireQualifiedAccess>]
module DiagonalGaussian =
    let private halfLogTwoPi = 0.5 * log (2.0 * System.Math.PI)

    let private limited (logStd: Tensor) = logStd.clamp (Scalars.ofFloat -80.0, Scalars.ofFloat 20.0)

    let private check (mean: Tensor) (logStd: Tensor) (name: string) (other: Tensor) =
        Tensors.check "means" [ -1; Tensors.size 0 logStd ] mean
        Tensors.check name (Tensors.shape mean) other

    /// μ + σ·ε. mean, noise: [B, A], logStd: [A] -> [B, A].
    let sample (mean: Tensor) (logStd: Tensor) (noise: Tensor) : Tensor =
        check mean logStd "noise" noise
        mean + (limited logStd).exp() * noise

    let private torchDensity (mean: Tensor) (logStd: Tensor) (action: Tensor) : DiagonalDensity =
        let logStd = limited logStd
        let std = logStd.exp ()
        let z = (action - mean) / std

        let each = num -0.5 * z.square () - logStd - num halfLogTwoPi

        let pullback (dLogProbability: Tensor) =
            let dLog = dLogProbability.unsqueeze 1L
            let dLogStd = ((z.square () - num 1.0) * dLog).sum 0L
            struct (z / std * dLog, dLogStd)

        { LogProbability = each.sum 1L; Pullback = pullback }

    let private kernelDensity (mean: Tensor) (logStd: Tensor) (action: Tensor) : DiagonalDensity =
        let mean, logStd, action = mean.contiguous (), logStd.contiguous (), action.contiguous ()
        let rows, dim = Tensors.size 0 mean, Tensors.size 1 mean
        let logProbability = Tensors.empty [ rows ]

        DiagonalGaussian.LogProbability(
            Tensors.span logStd,
            Tensors.span mean,
            Tensors.span action,
            Tensors.span logProbability
        )

        let pullback (dLogProbability: Tensor) =
            let dLog = dLogProbability.contiguous ()
            let dMean, dLogStd = Tensors.empty [ rows; dim ], Tensors.empty [ dim ]

            DiagonalGaussian.Backward(
                Tensors.span logStd,
                Tensors.span mean,
                Tensors.span action,
                Tensors.span dLog,
                Tensors.span dMean,
                Tensors.span dLogStd
            )

            Tensors.keepAlive [ mean; logStd; action; dLog ]
            struct (dMean, dLogStd)

        Tensors.keepAlive [ mean; logStd; action ]

        { LogProbability = logProbability; Pullback = pullback }

    /// Log-probabilities of given actions and the pullback. mean, action: [B, A], logStd: [A].
    let density (compute: Compute) (mean: Tensor) (logStd: Tensor) (action: Tensor) : DiagonalDensity =
        check mean logStd "action" action

        if compute.Kernels then
            kernelDensity mean logStd action
        else
            torchDensity mean logStd action

    /// Σ_i (½ + ½ ln 2π + log σ_i), the same for every state; its gradient with respect to log σ is one in every dimension.
    let entropy (logStd: Tensor) : Tensor = (limited logStd + num (0.5 + halfLogTwoPi)).sum()
