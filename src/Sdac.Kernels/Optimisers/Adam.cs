using System;
using Sdac.Kernels.Simd;

namespace Sdac.Kernels;

/// <summary>Adam (Kingma, Ba, arXiv 1412.6980, algorithm 1), one pass over flat parameters.</summary>
public static unsafe class Adam
{
    private const int Piece = 16384;

    /// <summary>
    /// m' = β₁m + (1-β₁)g, v' = β₂v + (1-β₂)g², p' = p - lr·m̂/(√v̂ + ε), with m̂ = m'/(1-β₁^step) and v̂ =
    /// v'/(1-β₂^step). All spans have p's length. A result may be the span it replaces.
    /// </summary>
    /// <param name="p">Parameters.</param>
    /// <param name="m">First moments.</param>
    /// <param name="v">Second moments.</param>
    /// <param name="g">The loss's gradient.</param>
    /// <param name="p2">p'.</param>
    /// <param name="m2">m'.</param>
    /// <param name="v2">v'.</param>
    /// <param name="lr">Learning rate.</param>
    /// <param name="beta1">Decay of m.</param>
    /// <param name="beta2">Decay of v.</param>
    /// <param name="eps">ε, added outside the root.</param>
    /// <param name="step">1 in the first call.</param>
    /// <exception cref="ArgumentException">Unequal lengths, or a step below 1.</exception>
    public static void Step(
        ReadOnlySpan<float> p, ReadOnlySpan<float> m, ReadOnlySpan<float> v, ReadOnlySpan<float> g,
        Span<float> p2, Span<float> m2, Span<float> v2, double lr, double beta1, double beta2, double eps, long step) =>
        Step(p, m, v, g, p2, m2, v2, lr, beta1, beta2, eps, step, default, 0, default);

    /// <summary>
    /// As above, and in the same pass the moving average of the new parameters, target' = (1 - tau)·target + tau·p',
    /// with the bits of <see cref="Polyak.Step"/> behind it.
    /// </summary>
    /// <param name="p">Parameters.</param>
    /// <param name="m">First moments.</param>
    /// <param name="v">Second moments.</param>
    /// <param name="g">The loss's gradient.</param>
    /// <param name="p2">p'.</param>
    /// <param name="m2">m'.</param>
    /// <param name="v2">v'.</param>
    /// <param name="lr">Learning rate.</param>
    /// <param name="beta1">Decay of m.</param>
    /// <param name="beta2">Decay of v.</param>
    /// <param name="eps">ε, added outside the root.</param>
    /// <param name="step">1 in the first call.</param>
    /// <param name="target">The average, or empty: then there is none.</param>
    /// <param name="tau">Weight of the new parameters in the average.</param>
    /// <param name="target2">target', as long as target.</param>
    /// <exception cref="ArgumentException">Unequal lengths, or a step below 1.</exception>
    public static void Step(
        ReadOnlySpan<float> p, ReadOnlySpan<float> m, ReadOnlySpan<float> v, ReadOnlySpan<float> g,
        Span<float> p2, Span<float> m2, Span<float> v2, double lr, double beta1, double beta2, double eps, long step,
        ReadOnlySpan<float> target, double tau, Span<float> target2)
    {
        if (!target.IsEmpty)
            Check.Length(nameof(target), target.Length, p.Length, "p");
        Check.Length(nameof(target2), target2.Length, target.Length, "target");
        Check.Length(nameof(m), m.Length, p.Length, "p");
        Check.Length(nameof(v), v.Length, p.Length, "p");
        Check.Length(nameof(g), g.Length, p.Length, "p");
        Check.Length(nameof(p2), p2.Length, p.Length, "p");
        Check.Length(nameof(m2), m2.Length, p.Length, "p");
        Check.Length(nameof(v2), v2.Length, p.Length, "p");
        Check.Positive(nameof(step), step);
        var unbias1 = 1 / (1 - Math.Pow(beta1, step));
        var unbias2 = 1 / (1 - Math.Pow(beta2, step));
        fixed (float* pp = p, pm = m, pv = v, pg = g, pp2 = p2, pm2 = m2, pv2 = v2, pt = target, pt2 = target2)
        {
            var kernel = new StepKernel
            {
                P = pp,
                M = pm,
                V = pv,
                G = pg,
                P2 = pp2,
                M2 = pm2,
                V2 = pv2,
                Length = p.Length,
                Beta1 = (float)beta1,
                OneMinusBeta1 = (float)(1 - beta1),
                Beta2 = (float)beta2,
                OneMinusBeta2 = (float)(1 - beta2),
                Unbias2 = (float)unbias2,
                Rate = (float)(lr * unbias1),
                Eps = (float)eps,
                Target = pt,
                Target2 = pt2,
                Tau = (float)tau,
                Kept = (float)(1 - tau),
            };
            KernelPaths.Run(ref kernel);
        }
    }

    private struct StepKernel : IKernel
    {
        public float* P;
        public float* M;
        public float* V;
        public float* G;
        public float* P2;
        public float* M2;
        public float* V2;
        public int Length;
        public float Beta1;
        public float OneMinusBeta1;
        public float Beta2;
        public float OneMinusBeta2;
        public float Unbias2;
        public float Rate;
        public float Eps;

        /// <summary>Null without a moving average.</summary>
        public float* Target;
        public float* Target2;
        public float Tau;
        public float Kept;

        public void Run<TSimd, TVector>()
            where TSimd : struct, ISimd<TVector>
            where TVector : struct
        {
            var work = new StepWork<TSimd, TVector> { Kernel = this };
            Workers.For((Length + Piece - 1) / Piece, ref work);
        }

        public readonly void Range<TSimd, TVector>(int start, int end)
            where TSimd : struct, ISimd<TVector>
            where TVector : struct
        {
            var i = start;
            for (; i + TSimd.Width <= end; i += TSimd.Width)
            {
                var g = TSimd.Load(G + i);
                var m = TSimd.Fma(TSimd.Splat(Beta1), TSimd.Load(M + i), TSimd.Mul(TSimd.Splat(OneMinusBeta1), g));
                var g2 = TSimd.Mul(TSimd.Splat(OneMinusBeta2), TSimd.Mul(g, g));
                var v = TSimd.Fma(TSimd.Splat(Beta2), TSimd.Load(V + i), g2);
                var root = TSimd.Add(TSimd.Sqrt(TSimd.Mul(v, TSimd.Splat(Unbias2))), TSimd.Splat(Eps));
                var p = TSimd.Sub(TSimd.Load(P + i), TSimd.Div(TSimd.Mul(TSimd.Splat(Rate), m), root));
                TSimd.Store(M2 + i, m);
                TSimd.Store(V2 + i, v);
                TSimd.Store(P2 + i, p);
                if (Target != null)
                {
                    var kept = TSimd.Mul(TSimd.Splat(Kept), TSimd.Load(Target + i));
                    TSimd.Store(Target2 + i, TSimd.Fma(TSimd.Splat(Tau), p, kept));
                }
            }

            if (i < end)
                Range<SimdScalar, float>(i, end);
        }
    }

    private struct StepWork<TSimd, TVector> : IBlockWork
        where TSimd : struct, ISimd<TVector>
        where TVector : struct
    {
        public StepKernel Kernel;

        public void Run(int block, int worker) =>
            Kernel.Range<TSimd, TVector>(block * Piece, Math.Min((block + 1) * Piece, Kernel.Length));
    }
}
