using System;
using Sdac.Kernels.Linear;
using Sdac.Kernels.Simd;

namespace Sdac.Kernels;

/// <content>Both directions, a panel of 32 rows at a time.</content>
public static unsafe partial class SquashedGaussian
{
    private struct Kernel(
        int actionDim, int rows, LogStdRange range, bool tanhCorrection, float* output, float* noise) : IKernel
    {
        public readonly int ActionDim = actionDim;
        public readonly int Rows = rows;
        public readonly LogStdRange Range = range;
        public readonly bool TanhCorrection = tanhCorrection;
        public readonly float* Output = output;
        public readonly float* Noise = noise;
        public float* Action;
        public float* LogProbability;
        public float* ActionGradient;
        public float* LogProbabilityGradient;

        /// <summary>Null in the forward direction.</summary>
        public float* OutputGradient;

        public readonly void Run<TSimd, V>()
            where TSimd : struct, ISimd<V>
            where V : struct
        {
            var threads = Cutting.Threads((long)Rows * ActionDim * OperationsPerElement);
            var scratchSize = Panel.Rows * ((4 * ActionDim) + 1);
            var floats = (long)threads * scratchSize;
            var memory = NativePool.Rent(floats);
            try
            {
                var work = new PanelWork<TSimd, V> { Kernel = this, Scratch = memory, ScratchSize = scratchSize };
                Workers.For(Panel.Count(Rows), ref work, threads);
            }
            finally
            {
                NativePool.Return(memory, floats);
            }
        }
    }

    private struct PanelWork<TSimd, V> : IBlockWork
        where TSimd : struct, ISimd<V>
        where V : struct
    {
        public Kernel Kernel;

        /// <summary>Per thread: output [2A, 32], noise [A, 32], action or its gradient [A, 32], one row [32].</summary>
        public float* Scratch;
        public int ScratchSize;

        public readonly void Run(int block, int worker)
        {
            var a = Kernel.ActionDim;
            var first = block * Panel.Rows;
            var output = Scratch + ((nint)worker * ScratchSize);
            var noise = output + (2 * a * Panel.Rows);
            var action = noise + (a * Panel.Rows);
            var row = action + (a * Panel.Rows);
            Panel.Gather(Kernel.Output, Kernel.Rows, 2 * a, first, Panel.Rows, output);
            Panel.Gather(Kernel.Noise, Kernel.Rows, a, first, Panel.Rows, noise);
            if (Kernel.OutputGradient == null)
            {
                Forward(output, noise, action, row);
                Panel.Scatter(action, Kernel.Rows, a, first, Panel.Rows, Kernel.Action);
                Panel.Scatter(row, Kernel.Rows, 1, first, Panel.Rows, Kernel.LogProbability);
                return;
            }

            Panel.Gather(Kernel.ActionGradient, Kernel.Rows, a, first, Panel.Rows, action);
            Panel.Gather(Kernel.LogProbabilityGradient, Kernel.Rows, 1, first, Panel.Rows, row);
            Backward(output, noise, action, row);
            Panel.Scatter(output, Kernel.Rows, 2 * a, first, Panel.Rows, Kernel.OutputGradient);
        }

        private readonly void Forward(float* output, float* noise, float* action, float* logProbability)
        {
            for (var lane = 0; lane < Panel.Rows; lane += TSimd.Width)
            {
                var sum = TSimd.Splat(0f);
                for (var dim = 0; dim < Kernel.ActionDim; dim++)
                {
                    var at = (dim * Panel.Rows) + lane;
                    var u = Unsquashed(output, noise, at, out var logStd, out _, out _);
                    TSimd.Store(action + at, Elementary<TSimd, V>.Tanh(u));
                    var epsilon = TSimd.Load(noise + at);
                    var square = TSimd.Mul(TSimd.Mul(epsilon, epsilon), TSimd.Splat(-0.5f));
                    sum = TSimd.Add(sum, TSimd.Sub(TSimd.Sub(square, logStd), TSimd.Splat(HalfLogTwoPi)));
                    if (Kernel.TanhCorrection)
                        sum = TSimd.Sub(sum, Elementary<TSimd, V>.LogOneLessTanhSquared(u, out _));
                }

                TSimd.Store(logProbability + lane, sum);
            }
        }

        /// <summary>
        /// Over the outputs: dμ = da·(1 - tanh²u) + dlogπ·2·tanh u, dlogσ = dμ·σε - dlogπ, this times log σ's slope.
        /// </summary>
        private readonly void Backward(float* output, float* noise, float* actionGradient, float* logGradient)
        {
            for (var lane = 0; lane < Panel.Rows; lane += TSimd.Width)
            {
                var dLog = TSimd.Load(logGradient + lane);
                for (var dim = 0; dim < Kernel.ActionDim; dim++)
                {
                    var at = (dim * Panel.Rows) + lane;
                    var u = Unsquashed(output, noise, at, out _, out var slope, out var spread);
                    _ = Elementary<TSimd, V>.LogOneLessTanhSquared(u, out var squash);
                    var dMean = TSimd.Mul(TSimd.Load(actionGradient + at), squash);
                    if (Kernel.TanhCorrection)
                        dMean = TSimd.Fma(TSimd.Add(dLog, dLog), Elementary<TSimd, V>.Tanh(u), dMean);
                    var dLogStd = TSimd.Sub(TSimd.Mul(dMean, spread), dLog);
                    TSimd.Store(output + at, dMean);
                    TSimd.Store(output + at + (Kernel.ActionDim * Panel.Rows), TSimd.Mul(dLogStd, slope));
                }
            }
        }

        /// <summary>u = μ + spread, spread = σ·ε, for one vector of one dimension.</summary>
        private readonly V Unsquashed(
            float* output, float* noise, int at, out V logStd, out V slope, out V spread)
        {
            var raw = TSimd.Load(output + at + (Kernel.ActionDim * Panel.Rows));
            logStd = Kernel.Range.Of<TSimd, V>(raw, out slope);
            spread = TSimd.Mul(Elementary<TSimd, V>.Exp(logStd), TSimd.Load(noise + at));
            return TSimd.Add(TSimd.Load(output + at), spread);
        }
    }
}
