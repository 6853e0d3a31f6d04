using System;
using Sdac.Kernels.Linear;
using Sdac.Kernels.Simd;

namespace Sdac.Kernels;

/// <content>What all rows need, computed once per call.</content>
public static unsafe partial class ReverseSampler
{
    // Fewer states than this are multiplied row by row instead of in a panel of 32.
    private const int FewStates = 8;

    private struct SampleKernel(
        NoiseNetworkShape shape, float* parameters, ReverseCoefficients coefficients, float* obs, int states,
        int particles, float* actions) : IKernel
    {
        public readonly NoiseNetworkShape Shape = shape;
        public readonly float* Parameters = parameters;
        public readonly ReverseCoefficients Coefficients = coefficients;
        public readonly float* Obs = obs;
        public readonly int States = states;
        public readonly int Particles = particles;
        public readonly float* Actions = actions;
        public float InitialScale;
        public PhiloxKey InitialKey;
        public PhiloxKey StepKey;

        /// <summary>Given noise, or null for the streams.</summary>
        public float* InitialNoise;
        public float* StepNoise;

        public readonly int Rows => States * Particles;

        public readonly float* Main => Parameters + Shape.Time.ParameterCount;

        public readonly void Run<TSimd, V>()
            where TSimd : struct, ISimd<V>
            where V : struct
        {
            if (States == 0)
                return;
            var main = Shape.Main;
            var first = main.Widths[1];
            var timesteps = Coefficients.Timesteps;
            var threads = Cutting.Threads((long)Rows * main.ParameterCount * timesteps);
            var scratchSize = Math.Max(
                SampleWork<TSimd, V>.ScratchFor(Shape), SharedWork<TSimd, V>.ScratchSize(Shape.ObsDim, first));
            var product = (long)Panel.Count(States) * Panel.Rows * first;
            var floats = main.ParameterCount + product + ((long)timesteps * (first + Shape.TimeDim)) + 64
                + ((long)threads * scratchSize);
            var memory = NativePool.Rent(floats);
            try
            {
                var work = new SampleWork<TSimd, V> { Kernel = this, Packed = memory, ScratchSize = scratchSize };
                work.Product = NativePool.Align(memory + main.ParameterCount);
                work.TimeBias = work.Product + product;
                var times = work.TimeBias + ((nint)timesteps * first);
                work.Scratch = NativePool.Align(times + ((nint)timesteps * Shape.TimeDim));
                work.Lanes = Cutting.Lanes(Rows, threads);

                var pack = new PackWork<TSimd, V>(
                    main, Main, Shape.ObsDim, Shape.ActionDim, memory, backward: false);
                Workers.For(
                    PackWork<TSimd, V>.Blocks(main, Shape.ObsDim, Shape.ActionDim, backward: false), ref pack, threads);
                TimeBiases<TSimd, V>(Shape, Parameters, timesteps, times, work.TimeBias);
                ObsProducts(ref work, threads);
                Workers.For(Slab.Count(Rows, work.Lanes), ref work, threads);
            }
            finally
            {
                NativePool.Return(memory, floats);
            }
        }

        /// <summary>bias + obs·W per state.</summary>
        private readonly void ObsProducts<TSimd, V>(ref SampleWork<TSimd, V> work, int threads)
            where TSimd : struct, ISimd<V>
            where V : struct
        {
            var first = Shape.Main.Widths[1];
            var bias = Main + Shape.Main.BiasOffset(0);
            if (States < FewStates && !SharedStart.WantsPanels(Particles))
            {
                for (var state = 0; state < States; state++)
                {
                    var obs = Obs + ((nint)state * Shape.ObsDim);
                    var product = work.Product + ((nint)state * first);
                    RowProduct<TSimd, V>.Run(obs, Shape.ObsDim, Main, first, bias, product);
                }

                return;
            }

            var shared = new SharedWork<TSimd, V>(
                work.Packed, Shape.ObsDim, first, bias, Obs, States, SharedStart.WantsPanels(Particles), work.Product,
                work.Scratch, work.ScratchSize);
            Workers.For(Panel.Count(States), ref shared, threads);
        }
    }

    /// <summary>The time network's output times its rows of the first layer, per timestep: [T, first hidden width].</summary>
    internal static float[] TimeBiases(NoiseNetworkShape shape, ReadOnlySpan<float> parameters, int timesteps)
    {
        var biases = new float[timesteps * shape.Main.Widths[1]];
        var times = new float[timesteps * shape.TimeDim];
        fixed (float* p = parameters, t = times, b = biases)
        {
            var kernel = new TimeKernel(shape, p, timesteps, t, b);
            KernelPaths.Run(ref kernel);
        }

        return biases;
    }

    private static void TimeBiases<TSimd, V>(
        NoiseNetworkShape shape, float* parameters, int timesteps, float* times, float* biases)
        where TSimd : struct, ISimd<V>
        where V : struct
    {
        var first = shape.Main.Widths[1];
        var numbers = biases;
        for (var t = 0; t < timesteps; t++)
            numbers[t] = t;
        var encoded = new Span<float>(times, timesteps * shape.TimeDim);
        TimeEncoding.Encode(new ReadOnlySpan<float>(numbers, timesteps), shape.TimeDim, encoded);
        var time = new ReadOnlySpan<float>(parameters, shape.Time.ParameterCount);
        Mlp.Forward(shape.Time, time, default, 1, encoded, timesteps, encoded);
        var weights = parameters + shape.Time.ParameterCount + ((nint)(shape.ObsDim + shape.ActionDim) * first);
        for (var t = 0; t < timesteps; t++)
            RowProduct<TSimd, V>.Run(
                times + ((nint)t * shape.TimeDim), shape.TimeDim, weights, first, null, biases + ((nint)t * first));
    }

    private readonly struct TimeKernel(
        NoiseNetworkShape shape, float* parameters, int timesteps, float* times, float* biases) : IKernel
    {
        public void Run<TSimd, V>()
            where TSimd : struct, ISimd<V>
            where V : struct => TimeBiases<TSimd, V>(shape, parameters, timesteps, times, biases);
    }
}
