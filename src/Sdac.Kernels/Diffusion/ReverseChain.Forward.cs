using System;
using Sdac.Kernels.Linear;
using Sdac.Kernels.Simd;

namespace Sdac.Kernels;

/// <content>Forward: one slab of rows after the other through all steps.</content>
public static unsafe partial class ReverseChain
{
    private struct ForwardKernel : IKernel
    {
        public ChainTape Tape;
        public float* Parameters;
        public ReverseCoefficients Coefficients;
        public float* Obs;
        public float InitialScale;
        public float* InitialNoise;
        public float* StepNoise;
        public float* Actions;

        public readonly void Run<TSimd, V>()
            where TSimd : struct, ISimd<V>
            where V : struct
        {
            var shape = Tape.Shape;
            var main = shape.Main;
            var first = main.Widths[1];
            var threads = Cutting.Threads((long)Tape.Rows * main.ParameterCount * Tape.Timesteps);
            var scratchSize = Math.Max(
                Panel.Rows * (shape.ActionDim + (2 * main.MaximumWidth)),
                SharedWork<TSimd, V>.ScratchSize(shape.ObsDim, first));
            var times = Tape.Timesteps * (first + shape.TimeDim);
            var floats = main.ParameterCount + times + 64L + ((long)threads * scratchSize);
            var memory = NativePool.Rent(floats);
            try
            {
                var biases = memory + main.ParameterCount;
                var scratch = NativePool.Align(biases + times);
                Pack<TSimd, V>(shape, Parameters, memory, backward: false, threads);
                TimeBiases<TSimd, V>(
                    shape, Parameters, Tape.Timesteps, biases + ((nint)Tape.Timesteps * first), biases);
                var shared = new SharedWork<TSimd, V>(
                    memory, shape.ObsDim, first, Parameters + shape.Time.ParameterCount + main.BiasOffset(0), Obs,
                    Tape.Rows, true, Tape.ObsProduct, scratch, scratchSize);
                Workers.For(Panel.Count(Tape.Rows), ref shared, threads);
                var work = new ForwardWork<TSimd, V>
                {
                    Kernel = this,
                    Network = new ChainNetwork<TSimd, V>(Tape, Parameters, memory, biases),
                    Scratch = scratch,
                    ScratchSize = scratchSize,
                    Lanes = Cutting.Lanes(Tape.Rows, threads),
                };
                Workers.For(Slab.Count(Tape.PaddedRows, work.Lanes), ref work, threads);
            }
            finally
            {
                NativePool.Return(memory, floats);
            }
        }
    }

    /// <summary>Main's weights without the rows of the time, those of the observation apart.</summary>
    private static void Pack<TSimd, V>(
        NoiseNetworkShape shape, float* parameters, float* packed, bool backward, int threads)
        where TSimd : struct, ISimd<V>
        where V : struct
    {
        var pack = new PackWork<TSimd, V>(
            shape.Main, parameters + shape.Time.ParameterCount, shape.ObsDim, shape.ActionDim, packed, backward);
        Workers.For(
            PackWork<TSimd, V>.Blocks(shape.Main, shape.ObsDim, shape.ActionDim, backward), ref pack, threads);
    }

    /// <summary>The encodings of all steps, [T, timeDim].</summary>
    private static void EncodeTimes(NoiseNetworkShape shape, int timesteps, float* encoded)
    {
        Span<float> numbers = timesteps <= 256 ? stackalloc float[timesteps] : new float[timesteps];
        for (var t = 0; t < timesteps; t++)
            numbers[t] = t;
        TimeEncoding.Encode(numbers, shape.TimeDim, new Span<float>(encoded, timesteps * shape.TimeDim));
    }

    /// <summary>The time network's outputs [T, timeDim] and their products with its rows of the first layer.</summary>
    private static void TimeBiases<TSimd, V>(
        NoiseNetworkShape shape, float* parameters, int timesteps, float* times, float* biases)
        where TSimd : struct, ISimd<V>
        where V : struct
    {
        var first = shape.Main.Widths[1];
        EncodeTimes(shape, timesteps, times);
        var all = new Span<float>(times, timesteps * shape.TimeDim);
        Mlp.Forward(
            shape.Time, new ReadOnlySpan<float>(parameters, shape.Time.ParameterCount), default, 1, all, timesteps, all);
        var weights = TimeWeights(shape, parameters);
        for (var t = 0; t < timesteps; t++)
            RowProduct<TSimd, V>.Run(
                times + ((nint)t * shape.TimeDim), shape.TimeDim, weights, first, null, biases + ((nint)t * first));
    }

    /// <summary>The first layer's rows for the time, [timeDim, first hidden width].</summary>
    private static float* TimeWeights(NoiseNetworkShape shape, float* parameters) =>
        parameters + shape.Time.ParameterCount
        + ((nint)(shape.ObsDim + shape.ActionDim) * shape.Main.Widths[1]);

    private struct ForwardWork<TSimd, V> : IBlockWork
        where TSimd : struct, ISimd<V>
        where V : struct
    {
        public ForwardKernel Kernel;
        public ChainNetwork<TSimd, V> Network;
        public float* Scratch;
        public int ScratchSize;
        public int Lanes;

        public readonly void Run(int block, int worker)
        {
            var tape = Kernel.Tape;
            var columns = tape.Shape.ActionDim;
            var slab = new Slab(block, Lanes, int.MaxValue);
            var noise = Scratch + ((nint)worker * ScratchSize);
            var spare = noise + (columns * Panel.Rows);
            var at = slab.Offset(columns);
            var x = tape.Action(tape.Timesteps - 1) + at;
            Panel.Gather(Kernel.InitialNoise, tape.Rows, columns, slab.First, slab.Lanes, x);
            Scale(x, Kernel.InitialScale, columns, slab.Lanes);
            for (var t = tape.Timesteps - 1; t >= 0; t--)
            {
                var epsilon = Network.Forward(t, slab, tape.Action(t) + at, spare);
                var drawn = Kernel.StepNoise + ((nint)(tape.Timesteps - 1 - t) * tape.Rows * columns);
                if (t > 0)
                    Panel.Gather(drawn, tape.Rows, columns, slab.First, slab.Lanes, noise);
                Step(t, slab, epsilon, t > 0 ? noise : null);
            }

            // The clipped action leaves by the scratch: the tape keeps it as it was.
            for (var column = 0; column < columns; column++)
            {
                for (var lane = 0; lane < slab.Lanes; lane += TSimd.Width)
                    TSimd.Store(
                        noise + (column * Panel.Rows) + lane,
                        Unit(TSimd.Load(tape.Action(-1) + at + (column * Panel.Rows) + lane)));
            }

            Panel.Scatter(noise, tape.Rows, columns, slab.First, slab.Lanes, Kernel.Actions);
        }

        /// <summary>From x_t to the estimate of x̂_0 and x_(t-1).</summary>
        private readonly void Step(int t, Slab slab, float* epsilon, float* noise)
        {
            var c = Kernel.Coefficients;
            var offset = slab.Offset(Kernel.Tape.Shape.ActionDim);
            var x = Kernel.Tape.Action(t) + offset;
            var next = Kernel.Tape.Action(t - 1) + offset;
            var estimate = Kernel.Tape.Estimate(t) + offset;
            var sqrtRecip = TSimd.Splat(c.SqrtRecip[t]);
            var minusSqrtRecipM1 = TSimd.Splat(-c.SqrtRecipM1[t]);
            var mean1 = TSimd.Splat(c.Mean1[t]);
            var mean2 = TSimd.Splat(c.Mean2[t]);
            var sigma = TSimd.Splat(c.Sigma[t]);
            for (var column = 0; column < Kernel.Tape.Shape.ActionDim; column++)
            {
                for (var lane = 0; lane < slab.Lanes; lane += TSimd.Width)
                {
                    var at = (column * Panel.Rows) + lane;
                    var action = TSimd.Load(x + at);
                    var clean = TSimd.Fma(action, sqrtRecip, TSimd.Mul(TSimd.Load(epsilon + at), minusSqrtRecipM1));
                    TSimd.Store(estimate + at, clean);
                    var mean = TSimd.Fma(Unit(clean), mean1, TSimd.Mul(action, mean2));
                    TSimd.Store(next + at, noise == null ? mean : TSimd.Fma(sigma, TSimd.Load(noise + at), mean));
                }
            }
        }

        private static void Scale(float* x, float factor, int columns, int lanes)
        {
            for (var column = 0; column < columns; column++)
            {
                for (var lane = 0; lane < lanes; lane += TSimd.Width)
                {
                    var at = x + (column * Panel.Rows) + lane;
                    TSimd.Store(at, TSimd.Mul(TSimd.Load(at), TSimd.Splat(factor)));
                }
            }
        }

        private static V Unit(V x) => TSimd.Min(TSimd.Splat(1f), TSimd.Max(TSimd.Splat(-1f), x));
    }
}
