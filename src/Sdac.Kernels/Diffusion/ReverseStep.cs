using Sdac.Kernels.Simd;

namespace Sdac.Kernels;

/// <summary>The posterior step from x_t to x_(t-1), lane by lane.</summary>
internal readonly struct ReverseStep<TSimd, V>(ReverseCoefficients coefficients, int t)
    where TSimd : struct, ISimd<V>
    where V : struct
{
    private readonly V sqrtRecip = TSimd.Splat(coefficients.SqrtRecip[t]);
    private readonly V minusSqrtRecipM1 = TSimd.Splat(-coefficients.SqrtRecipM1[t]);
    private readonly V mean1 = TSimd.Splat(coefficients.Mean1[t]);
    private readonly V mean2 = TSimd.Splat(coefficients.Mean2[t]);
    private readonly V sigma = TSimd.Splat(coefficients.Sigma[t]);
    private readonly bool isNoisy = t > 0;

    /// <summary>Kept in [-1, 1].</summary>
    public static V Unit(V x) => TSimd.Min(TSimd.Splat(1f), TSimd.Max(TSimd.Splat(-1f), x));

    /// <summary>x̂_0·Mean1 + x·Mean2 + [t > 0]·σ_t·noise, where x̂_0 = clip(x·SqrtRecip - ε·SqrtRecipM1, -1, 1).</summary>
    public V Next(V x, V epsilon, V noise)
    {
        var clean = TSimd.Fma(x, sqrtRecip, TSimd.Mul(epsilon, minusSqrtRecipM1));
        var mean = TSimd.Fma(Unit(clean), mean1, TSimd.Mul(x, mean2));
        return isNoisy ? TSimd.Fma(sigma, noise, mean) : mean;
    }
}
