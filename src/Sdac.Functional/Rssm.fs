namespace Sdac

open System
open TorchSharp

/// Reverse Sampling Score Matching: the noise network is regressed on the noise of draws from the reverse
/// sampling distribution q̃_{0|t}(a_0 | a_t) = N(a_t/√ᾱ_t, (1-ᾱ_t)/ᾱ_t·I), weighted by exp(Q/λ). Its minimiser is the
/// score of the noise-perturbed exp(Q/λ) density, whatever the distribution of a_t, as long as its support is full.
[<RequireQualifiedAccess>]
module Rssm =
    /// Draws ã_0^k = clip(a_t/√ᾱ_t - √(1/ᾱ_t - 1)·ε_k, -1, 1). noisy: [B, A], noise: [B, K, A], t: [B] -> [B, K, A].
    let draws (compute: Compute) (schedule: Schedule) (t: int[]) (noisy: Tensor) (noise: Tensor) : Tensor =
        let batch = Tensors.size 0 noisy
        let per (c: float[]) = Schedule.column compute c t |> Tensors.view [ batch; 1; 1 ]

        (per schedule.SqrtRecipAlphaBars)
            .mul(noisy.unsqueeze 1L)
            .sub((per schedule.SqrtRecipM1AlphaBars).mul noise)
            .clamp(Scalars.ofFloat -1.0, Scalars.ofFloat 1.0)

    /// Weights of the K draws of each state from their energies Q/λ. energy: [B, K] -> [B, K].
    let weights (kind: RssmWeights) (energy: Tensor) : Tensor =
        match kind with
        | SelfNormalised -> energy.softmax 1L
        | Raw -> energy.exp ()

    /// The loss in its plain form, mean over states, draws and dimensions of w_k·(ε_θ - ε_k)².
    /// prediction: [B, A], noise: [B, K, A], weights: [B, K] -> scalar.
    let loss (prediction: Tensor) (noise: Tensor) (weights: Tensor) : Tensor =
        (prediction.unsqueeze 1L).sub(noise).square().mul(weights.unsqueeze 2L).mean()

    /// The gradient of `loss` with respect to the prediction, 2/(B·K·A)·((Σ_k w_k)·ε_θ - Σ_k w_k·ε_k): the K draws of
    /// a state share the network's input, so one trained row per state carries the gradient of all K.
    let gradient (prediction: Tensor) (noise: Tensor) (weights: Tensor) : Tensor =
        let w = weights.unsqueeze 2L
        let target = noise.mul(w).sum 1L
        let total = weights.sum (1L, true)

        (prediction.mul(total).sub target).mul(Scalars.ofFloat (2.0 / float (noise.numel ())))
