using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Threading;
using Sdac.Kernels;
using Sdac.Kernels.Simd;

namespace Sdac.Benchmarks;

/// <summary>
/// Fused multiply-adds on registers alone, on all threads: the rate that no product of matrices can exceed here. An
/// update's arithmetic divided by it is the shortest time that an update can take.
/// </summary>
internal static class RegisterPeak
{
    private const int Blocks = 16;
    private const int Repeats = 100_000;
    private const int Accumulators = 12;

    private static float sink;

    private static int Lanes => KernelPaths.Current == KernelPath.Avx512 ? 16 : 8;

    public static Case Case() => new(
        "peak", $"fused multiply-adds in registers, {Lanes} lanes", 2e-9 * Blocks * Repeats * Accumulators * Lanes, Run,
        KernelCases.Sgemm((8192, 256, 256)));

    private static void Run()
    {
        var work = default(Block);
        Workers.For(Blocks, ref work);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float Wide()
    {
        var (half, one) = (Vector512.Create(0.5f), Vector512<float>.One);
        Vector512<float> a, b, c, d, e, f, g, h, i, j, k, l;
        a = b = c = d = e = f = g = h = i = j = k = l = one;
        for (var n = 0; n < Repeats; n++)
        {
            a = Vector512.FusedMultiplyAdd(a, half, one);
            b = Vector512.FusedMultiplyAdd(b, half, one);
            c = Vector512.FusedMultiplyAdd(c, half, one);
            d = Vector512.FusedMultiplyAdd(d, half, one);
            e = Vector512.FusedMultiplyAdd(e, half, one);
            f = Vector512.FusedMultiplyAdd(f, half, one);
            g = Vector512.FusedMultiplyAdd(g, half, one);
            h = Vector512.FusedMultiplyAdd(h, half, one);
            i = Vector512.FusedMultiplyAdd(i, half, one);
            j = Vector512.FusedMultiplyAdd(j, half, one);
            k = Vector512.FusedMultiplyAdd(k, half, one);
            l = Vector512.FusedMultiplyAdd(l, half, one);
        }

        return Vector512.Sum(a + b + c + d + e + f + g + h + i + j + k + l);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float Narrow()
    {
        var (half, one) = (Vector256.Create(0.5f), Vector256<float>.One);
        Vector256<float> a, b, c, d, e, f, g, h, i, j, k, l;
        a = b = c = d = e = f = g = h = i = j = k = l = one;
        for (var n = 0; n < Repeats; n++)
        {
            a = Vector256.FusedMultiplyAdd(a, half, one);
            b = Vector256.FusedMultiplyAdd(b, half, one);
            c = Vector256.FusedMultiplyAdd(c, half, one);
            d = Vector256.FusedMultiplyAdd(d, half, one);
            e = Vector256.FusedMultiplyAdd(e, half, one);
            f = Vector256.FusedMultiplyAdd(f, half, one);
            g = Vector256.FusedMultiplyAdd(g, half, one);
            h = Vector256.FusedMultiplyAdd(h, half, one);
            i = Vector256.FusedMultiplyAdd(i, half, one);
            j = Vector256.FusedMultiplyAdd(j, half, one);
            k = Vector256.FusedMultiplyAdd(k, half, one);
            l = Vector256.FusedMultiplyAdd(l, half, one);
        }

        return Vector256.Sum(a + b + c + d + e + f + g + h + i + j + k + l);
    }

    private readonly struct Block : IBlockWork
    {
        public void Run(int block, int worker) => Volatile.Write(ref sink, Lanes == 16 ? Wide() : Narrow());
    }
}
