using System;
using Sdac.Kernels.Simd;
using static System.FormattableString;

namespace Sdac.Kernels;

/// <summary>How a policy network's raw output x becomes log σ between two limits.</summary>
public readonly record struct LogStdRange
{
    /// <summary>A range of log σ.</summary>
    /// <param name="low">The least log σ, from -80.</param>
    /// <param name="high">The largest log σ, to 20.</param>
    /// <param name="smooth">low + ½·(high - low)·(tanh x + 1); else x is clipped, and has no gradient outside.</param>
    /// <exception cref="ArgumentException">Limits that are out of order or beyond -80 to 20.</exception>
    public LogStdRange(float low, float high, bool smooth)
    {
        if (!(low >= -80 && low < high && high <= 20))
            throw new ArgumentException(
                Invariant($"log σ cannot lie between {low} and {high}: its limits must be in order, from -80 to 20."),
                nameof(low));
        Low = low;
        High = high;
        Smooth = smooth;
    }

    /// <summary>The least log σ.</summary>
    public float Low { get; }

    /// <summary>The largest log σ.</summary>
    public float High { get; }

    /// <summary>Whether tanh leads x into the range, instead of a clip.</summary>
    public bool Smooth { get; }

    /// <summary>log σ and its derivative with respect to x.</summary>
    internal V Of<TSimd, V>(V x, out V derivative)
        where TSimd : struct, ISimd<V>
        where V : struct
    {
        var one = TSimd.Splat(1f);
        var low = TSimd.Splat(Low);
        var high = TSimd.Splat(High);
        if (Smooth)
        {
            var half = TSimd.Splat(0.5f * (High - Low));
            var tanh = Elementary<TSimd, V>.Tanh(x);
            _ = Elementary<TSimd, V>.LogOneLessTanhSquared(x, out var slope);
            derivative = TSimd.Mul(half, slope);
            return TSimd.Fma(half, TSimd.Add(tanh, one), low);
        }

        derivative = TSimd.AndNot(TSimd.AndNot(one, TSimd.Greater(low, x)), TSimd.Greater(x, high));
        return TSimd.Min(high, TSimd.Max(low, x));
    }
}
