using System;
using Sdac.Kernels.Linear;
using Sdac.Kernels.Simd;

namespace Sdac.Kernels;

/// <content>Both directions, a panel of 32 rows at a time.</content>
public static unsafe partial class DiagonalGaussian
{
    private struct Kernel(int actionDim, int rows, float* logStd, float* mean, float* action) : IKernel
    {
        public readonly int ActionDim = actionDim;
        public readonly int Rows = rows;
        public readonly float* LogStd = logStd;
        public readonly float* Mean = mean;
        public readonly float* Action = action;
        public float* LogProbability;
        public float* LogProbabilityGradient;

        /// <summary>Null in the forward direction.</summary>
        public float* MeanGradient;
        public float* LogStdGradient;

        public readonly void Run<TSimd, V>()
            where TSimd : struct, ISimd<V>
            where V : struct
        {
            var threads = Cutting.Threads((long)Rows * ActionDim * OperationsPerElement);
            var panels = Panel.Count(Rows);
            var partial = MeanGradient == null ? 0L : (long)panels * ActionDim;
            var scratchSize = Panel.Rows * ((2 * ActionDim) + 1);
            var floats = partial + 16 + ((long)threads * scratchSize);
            var memory = NativePool.Rent(floats);
            try
            {
                var work = new PanelWork<TSimd, V>
                {
                    Kernel = this,
                    Partial = memory,
                    Scratch = NativePool.Align(memory + partial),
                    ScratchSize = scratchSize,
                };
                Workers.For(panels, ref work, threads);
                if (MeanGradient != null)
                    AddUp(memory, panels);
            }
            finally
            {
                NativePool.Return(memory, floats);
            }
        }

        /// <summary>dlogσ from the panels' shares [panels, A].</summary>
        private readonly void AddUp(float* partial, int panels)
        {
            for (var dim = 0; dim < ActionDim; dim++)
            {
                var sum = 0f;
                for (var panel = 0; panel < panels; panel++)
                    sum += partial[((nint)panel * ActionDim) + dim];
                LogStdGradient[dim] = sum;
            }
        }
    }

    private struct PanelWork<TSimd, V> : IBlockWork
        where TSimd : struct, ISimd<V>
        where V : struct
    {
        public Kernel Kernel;

        /// <summary>dlogσ's shares [panels, A].</summary>
        public float* Partial;

        /// <summary>Per thread: means [A, 32], actions [A, 32], one row [32].</summary>
        public float* Scratch;
        public int ScratchSize;

        public readonly void Run(int block, int worker)
        {
            var a = Kernel.ActionDim;
            var first = block * Panel.Rows;
            var mean = Scratch + ((nint)worker * ScratchSize);
            var action = mean + (a * Panel.Rows);
            var row = action + (a * Panel.Rows);
            Panel.Gather(Kernel.Mean, Kernel.Rows, a, first, Panel.Rows, mean);
            Panel.Gather(Kernel.Action, Kernel.Rows, a, first, Panel.Rows, action);
            if (Kernel.MeanGradient == null)
            {
                Forward(mean, action, row);
                Panel.Scatter(row, Kernel.Rows, 1, first, Panel.Rows, Kernel.LogProbability);
                return;
            }

            Panel.Gather(Kernel.LogProbabilityGradient, Kernel.Rows, 1, first, Panel.Rows, row);
            Backward(mean, action, row, Partial + ((nint)block * a));
            Panel.Scatter(mean, Kernel.Rows, a, first, Panel.Rows, Kernel.MeanGradient);
        }

        private readonly void Forward(float* mean, float* action, float* logProbability)
        {
            for (var lane = 0; lane < Panel.Rows; lane += TSimd.Width)
            {
                var sum = TSimd.Splat(0f);
                for (var dim = 0; dim < Kernel.ActionDim; dim++)
                {
                    var logStd = LogStd(dim);
                    var z = Standardised(mean, action, (dim * Panel.Rows) + lane, Elementary<TSimd, V>.Exp(logStd));
                    var square = TSimd.Mul(TSimd.Mul(z, z), TSimd.Splat(-0.5f));
                    sum = TSimd.Add(sum, TSimd.Sub(TSimd.Sub(square, logStd), TSimd.Splat(HalfLogTwoPi)));
                }

                TSimd.Store(logProbability + lane, sum);
            }
        }

        /// <summary>dμ over the means; the actions are overwritten on the way.</summary>
        private readonly void Backward(float* mean, float* action, float* logGradient, float* logStdGradient)
        {
            for (var dim = 0; dim < Kernel.ActionDim; dim++)
            {
                var std = Elementary<TSimd, V>.Exp(LogStd(dim));
                for (var lane = 0; lane < Panel.Rows; lane += TSimd.Width)
                {
                    var at = (dim * Panel.Rows) + lane;
                    var z = Standardised(mean, action, at, std);
                    var dLog = TSimd.Load(logGradient + lane);
                    TSimd.Store(mean + at, TSimd.Mul(dLog, TSimd.Div(z, std)));
                    TSimd.Store(action + at, TSimd.Mul(dLog, TSimd.Fma(z, z, TSimd.Splat(-1f))));
                }

                var sum = 0f;
                for (var lane = 0; lane < Panel.Rows; lane++)
                    sum += action[(dim * Panel.Rows) + lane];
                logStdGradient[dim] = sum;
            }
        }

        private readonly V LogStd(int dim) =>
            TSimd.Min(TSimd.Splat(20f), TSimd.Max(TSimd.Splat(-80f), TSimd.Splat(Kernel.LogStd[dim])));

        private static V Standardised(float* mean, float* action, int at, V std) =>
            TSimd.Div(TSimd.Sub(TSimd.Load(action + at), TSimd.Load(mean + at)), std);
    }
}
