using System;
using System.Runtime.CompilerServices;

namespace Sdac.Kernels;

/// <content>Streams of doubles and of integers.</content>
public static partial class Philox
{
    private const double Unit53 = 1.0 / (1L << 53);

    /// <summary>Elements offset, offset + 1, .. of the stream's uniforms in [0, 1), 53 bits each.</summary>
    /// <exception cref="ArgumentException">A negative offset.</exception>
    public static void Uniform(PhiloxKey key, long offset, Span<double> dest)
    {
        CheckOffset(offset, dest.Length);
        for (var i = 0; i < dest.Length; i++)
            dest[i] = (Bits64(key, offset + i) >> 11) * Unit53;
    }

    /// <summary>
    /// Elements offset, offset + 1, .. of the stream's standard normals (Box-Muller within one block).
    /// </summary>
    /// <exception cref="ArgumentException">A negative offset.</exception>
    public static void Normal(PhiloxKey key, long offset, Span<double> dest)
    {
        CheckOffset(offset, dest.Length);
        for (var i = 0; i < dest.Length; i++)
        {
            var element = offset + i;
            Block(key, element >> 1, out var w0, out var w1, out var w2, out var w3);
            var radius = Math.Sqrt(-2 * Math.Log(((Join(w0, w1) >> 11) + 1) * Unit53));
            var (sin, cos) = Math.SinCos(2 * Math.PI * ((Join(w2, w3) >> 11) * Unit53));
            if ((element & 1) != 0)
            {
                dest[i] = radius * sin;
                continue;
            }

            dest[i] = radius * cos;
            if (i + 1 < dest.Length)
                dest[++i] = radius * sin;
        }
    }

    /// <summary>
    /// Elements offset, offset + 1, .. of the stream's integers in [0, bound): the high part of bound times 64 random
    /// bits, whose bias, bound / 2^64, no test can see.
    /// </summary>
    /// <exception cref="ArgumentException">A negative offset or a bound below 1.</exception>
    public static void Integers(PhiloxKey key, long offset, int bound, Span<int> dest)
    {
        CheckOffset(offset, dest.Length);
        Check.Positive(nameof(bound), bound);
        for (var i = 0; i < dest.Length; i++)
            dest[i] = (int)Math.BigMul(Bits64(key, offset + i), (ulong)bound, out _);
    }

    private static ulong Bits64(PhiloxKey key, long element)
    {
        Block(key, element >> 1, out var w0, out var w1, out var w2, out var w3);
        return (element & 1) == 0 ? Join(w0, w1) : Join(w2, w3);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Join(uint low, uint high) => ((ulong)high << 32) | low;
}
