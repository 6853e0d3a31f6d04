using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Sdac.Kernels.Simd;

namespace Sdac.Kernels;

/// <content>Sixteen blocks side by side.</content>
public static unsafe partial class Philox
{
    /// <summary>Blocks 16·group to 16·group + 15: word w of the j-th lies at words[16w + j].</summary>
    private static void Words(PhiloxKey key, long group, uint* words)
    {
        var first = group * 16;
        if (KernelPaths.Current == KernelPath.Avx512)
            Words512(key, first, words);
        else if (KernelPaths.Current == KernelPath.Avx2)
        {
            Words256(key, first, words);
            Words256(key, first + 8, words + 8);
        }
        else
        {
            for (var j = 0; j < 16; j++)
                Block(key, first + j, out words[j], out words[16 + j], out words[32 + j], out words[48 + j]);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Words512(PhiloxKey key, long first, uint* words)
    {
        // The low word never carries inside a group: groups start at multiples of 16.
        var c0 = Vector512.Create((uint)first) + Vector512<uint>.Indices;
        var c1 = Vector512.Create((uint)(first >> 32));
        var c2 = Vector512.Create(key.S0);
        var c3 = Vector512.Create(key.S1);
        var m0 = Vector512.Create(Multiplier0);
        var m1 = Vector512.Create(Multiplier1);
        uint k0 = key.K0, k1 = key.K1;
        for (var round = 0; round < Rounds; round++)
        {
            Multiply(c0, m0, out var high0, out var low0);
            Multiply(c2, m1, out var high1, out var low1);
            c0 = high1 ^ c1 ^ Vector512.Create(k0);
            c1 = low1;
            c2 = high0 ^ c3 ^ Vector512.Create(k1);
            c3 = low0;
            k0 += Weyl0;
            k1 += Weyl1;
        }

        c0.Store(words);
        c1.Store(words + 16);
        c2.Store(words + 32);
        c3.Store(words + 48);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Words256(PhiloxKey key, long first, uint* words)
    {
        var c0 = Vector256.Create((uint)first) + Vector256<uint>.Indices;
        var c1 = Vector256.Create((uint)(first >> 32));
        var c2 = Vector256.Create(key.S0);
        var c3 = Vector256.Create(key.S1);
        var m0 = Vector256.Create(Multiplier0);
        var m1 = Vector256.Create(Multiplier1);
        uint k0 = key.K0, k1 = key.K1;
        for (var round = 0; round < Rounds; round++)
        {
            Multiply(c0, m0, out var high0, out var low0);
            Multiply(c2, m1, out var high1, out var low1);
            c0 = high1 ^ c1 ^ Vector256.Create(k0);
            c1 = low1;
            c2 = high0 ^ c3 ^ Vector256.Create(k1);
            c3 = low0;
            k0 += Weyl0;
            k1 += Weyl1;
        }

        c0.Store(words);
        c1.Store(words + 16);
        c2.Store(words + 32);
        c3.Store(words + 48);
    }

    // The processor multiplies every second lane into 64 bits: once for the even lanes, once for the odd ones.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Multiply(
        Vector512<uint> a, Vector512<uint> m, out Vector512<uint> high, out Vector512<uint> low)
    {
        var even = Avx512F.Multiply(a, m);
        var odd = Avx512F.Multiply((a.AsUInt64() >> 32).AsUInt32(), m);
        var lowHalf = Vector512.Create(0xFFFFFFFFUL);
        low = ((even & lowHalf) | (odd << 32)).AsUInt32();
        high = ((even >> 32) | Vector512.AndNot(odd, lowHalf)).AsUInt32();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Multiply(
        Vector256<uint> a, Vector256<uint> m, out Vector256<uint> high, out Vector256<uint> low)
    {
        var even = Avx2.Multiply(a, m);
        var odd = Avx2.Multiply((a.AsUInt64() >> 32).AsUInt32(), m);
        var lowHalf = Vector256.Create(0xFFFFFFFFUL);
        low = ((even & lowHalf) | (odd << 32)).AsUInt32();
        high = ((even >> 32) | Vector256.AndNot(odd, lowHalf)).AsUInt32();
    }
}
