namespace Sdac.Functional

open System
open TorchSharp

/// Reverse Sampling Score Matching: the noise network is regressed on the noise of draws from the reverse
/// sampling distribution q̃_{0|t}(a_0 | a_t) = N(a_t/√ᾱ_t, (1-ᾱ_t)/ᾱ_t·I), weighted by exp(Q/λ). Its minimiser is the
/// score of the noise-perturbed exp(Q/λ) density, whatever the distribution of a_t, as long as its support is full.
[<RequireQualifiedAccess>]
module Rssm =
    let private unclipped (compute: Compute) (schedule: Schedule) (t: int[]) (noisy: Tensor) (noise: Tensor) : Tensor =
        let batch = Tensors.size 0 noisy
        let per (c: float[]) = Schedule.column compute c t |> Tensors.view [ batch; 1; 1 ]

        per schedule.SqrtRecipAlphaBars * noisy.unsqueeze 1L - per schedule.SqrtRecipM1AlphaBars * noise

    /// Draws ã_0^k = clip(a_t/√ᾱ_t - √(1/ᾱ_t - 1)·ε_k, -1, 1). noisy: [B, A], noise: [B, K, A], t: [B] -> [B, K, A].
    let draws (compute: Compute) (schedule: Schedule) (t: int[]) (noisy: Tensor) (noise: Tensor) : Tensor =
        (unclipped compute schedule t noisy noise).clamp(Scalars.ofFloat -1.0, Scalars.ofFloat 1.0)

    /// Noise ε that keeps `scale`·x - `spread`·ε inside [-1, 1]^A, standard normal but for that, and the logarithm of the share
    /// of the normal distribution that is kept. Both are NaN where x is not finite. x: [B, A], uniform on [0, 1): [B, K, A];
    /// scale, spread: one number a row -> [B, K, A] and [B, 1].
    let truncatedAround (compute: Compute) (scale: float[]) (spread: float[]) (x: Tensor) (uniform: Tensor) =
        let batch, draws, dim = Tensors.size 0 uniform, Tensors.size 1 uniform, Tensors.size 2 uniform
        Tensors.check "noisy" [ batch; dim ] x
        let at, u = Tensors.toArray x, Tensors.toArray uniform
        let noise, logShare = Array.zeroCreate<float32> u.Length, Array.zeroCreate<float32> batch

        // A state that is not finite makes its noise NaN, which the loss then shows, as with any other reverse noise.
        let lost b j =
            logShare[b] <- nanf

            for k in 0 .. draws - 1 do
                noise[(b * draws + k) * dim + j] <- nanf

        let row b =
            for j in 0 .. dim - 1 do
                let centre = float at[b * dim + j] * scale[b]

                if not (Double.IsFinite centre) then
                    lost b j
                else
                    let interval = NormalInterval.create ((centre - 1.0) / spread[b]) ((centre + 1.0) / spread[b])
                    logShare[b] <- logShare[b] + float32 (NormalInterval.logShare interval)

                    for k in 0 .. draws - 1 do
                        let i = (b * draws + k) * dim + j
                        noise[i] <- float32 (NormalInterval.quantile (float u[i]) interval)

        Sdac.Kernels.Workers.For(batch, row)

        struct (Tensors.ofArray compute [ batch; draws; dim ] noise, Tensors.ofArray compute [ batch; 1 ] logShare)

    /// Noise ε whose clean actions a_t/√ᾱ_t - √(1/ᾱ_t - 1)·ε are distributed as q̃_{0|t} restricted to [-1, 1]^A, and the
    /// logarithm of the share of q̃_{0|t} inside that box. Added to the energies, this share makes raw weights those of the
    /// theorem for the density restricted to the box; self-normalised weights do not see it.
    /// noisy: [B, A], uniform on [0, 1): [B, K, A], t: [B] -> [B, K, A] and [B, 1].
    let truncatedNoise (compute: Compute) (schedule: Schedule) (t: int[]) (noisy: Tensor) (uniform: Tensor) =
        let per (c: float[]) = t |> Array.map (fun t -> c[t])
        truncatedAround compute (per schedule.SqrtRecipAlphaBars) (per schedule.SqrtRecipM1AlphaBars) noisy uniform

    /// The clean actions that K noises of each state explain, moved into the box or not as `kind` says.
    /// noisy: [B, A], noise: [B, K, A], t: [B] -> [B, K, A].
    let cleanDraws (kind: ReverseNoise) (compute: Compute) (schedule: Schedule) (t: int[]) (noisy: Tensor) noise =
        match kind with
        | ReverseNoise.Clipped
        | ReverseNoise.TruncatedNormal -> draws compute schedule t noisy noise
        | ReverseNoise.Unbounded -> unclipped compute schedule t noisy noise

    /// Weights of the K draws of each state from their energies Q/λ. Raw weights are the theorem's exp(energy), as they are:
    /// `Energy.weights` keeps them finite by a shift that is state. energy: [B, K] -> [B, K].
    let weights (kind: RssmWeights) (energy: Tensor) : Tensor =
        match kind with
        | RssmWeights.SelfNormalised -> energy.softmax 1L
        | RssmWeights.LogSumExp -> num (float (energy.size 1)) * energy.softmax 1L
        | RssmWeights.Raw -> energy.exp ()

    /// Self-normalised weights with their leading bias removed by the jackknife (Quenouille 1956): twice the weights of all
    /// K draws less the mean of those of either half, so that the error of the target falls as 1/K² instead of 1/K. They
    /// sum to one; single weights may be negative. K must be even. energy: [B, K] -> [B, K].
    let jackknifeWeights (energy: Tensor) : Tensor =
        let k = energy.size 1

        if k < 2L || k % 2L <> 0L then
            invalidArg
                (nameof energy)
                $"the jackknife halves the draws of a state: take an even number of draws, not %d{k}"

        let half start = energy.narrow(1L, start, k / 2L).softmax 1L
        let halves = Tensors.cat 1 [ half 0L; half (k / 2L) ]
        num 2.0 * energy.softmax 1L - num 0.5 * halves

    /// The loss in its plain form, mean over states, draws and dimensions of w_k·(ε_θ - ε_k)².
    /// prediction: [B, A], noise: [B, K, A], weights: [B, K] -> scalar.
    let loss (prediction: Tensor) (noise: Tensor) (weights: Tensor) : Tensor =
        ((prediction.unsqueeze 1L - noise).square() * weights.unsqueeze 2L).mean()

    /// The gradient of `loss` with respect to the prediction, 2/(B·K·A)·((Σ_k w_k)·ε_θ - Σ_k w_k·ε_k): the K draws of
    /// a state share the network's input, so one trained row per state carries the gradient of all K.
    let gradient (prediction: Tensor) (noise: Tensor) (weights: Tensor) : Tensor =
        let target = (noise * weights.unsqueeze 2L).sum 1L
        let total = weights.sum (1L, true)
        num (2.0 / float (noise.numel ())) * (prediction * total - target)
