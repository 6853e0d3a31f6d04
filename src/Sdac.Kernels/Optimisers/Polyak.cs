using System;
using Sdac.Kernels.Simd;

namespace Sdac.Kernels;

/// <summary>Polyak averaging of parameters.</summary>
public static unsafe class Polyak
{
    private const int Piece = 32768;

    /// <summary>
    /// <paramref name="result"/> = (1 - tau)·target + tau·online. All spans have one length; the result may be a
    /// source.
    /// </summary>
    /// <exception cref="ArgumentException">Unequal lengths.</exception>
    public static void Step(ReadOnlySpan<float> target, ReadOnlySpan<float> online, double tau, Span<float> result)
    {
        Check.Length(nameof(online), online.Length, target.Length, "target");
        Check.Length(nameof(result), result.Length, target.Length, "target");
        fixed (float* t = target, o = online, r = result)
        {
            var kernel = new StepKernel
            {
                Target = t,
                Online = o,
                Result = r,
                Length = target.Length,
                Tau = (float)tau,
                Kept = (float)(1 - tau),
            };
            KernelPaths.Run(ref kernel);
        }
    }

    private struct StepKernel : IKernel
    {
        public float* Target;
        public float* Online;
        public float* Result;
        public int Length;
        public float Tau;
        public float Kept;

        public void Run<TSimd, V>()
            where TSimd : struct, ISimd<V>
            where V : struct
        {
            var work = new StepWork<TSimd, V> { Kernel = this };
            Workers.For((Length + Piece - 1) / Piece, ref work);
        }

        public readonly void Range<TSimd, V>(int start, int end)
            where TSimd : struct, ISimd<V>
            where V : struct
        {
            var i = start;
            for (; i + TSimd.Width <= end; i += TSimd.Width)
            {
                var target = TSimd.Load(Target + i);
                var kept = TSimd.Mul(TSimd.Splat(Kept), target);
                TSimd.Store(Result + i, TSimd.Fma(TSimd.Splat(Tau), TSimd.Load(Online + i), kept));
            }

            if (i < end)
                Range<SimdScalar, float>(i, end);
        }
    }

    private struct StepWork<TSimd, V> : IBlockWork
        where TSimd : struct, ISimd<V>
        where V : struct
    {
        public StepKernel Kernel;

        public void Run(int block, int worker) =>
            Kernel.Range<TSimd, V>(block * Piece, Math.Min((block + 1) * Piece, Kernel.Length));
    }
}
