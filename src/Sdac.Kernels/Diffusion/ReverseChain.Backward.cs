using System;
using Sdac.Kernels.Linear;
using Sdac.Kernels.Simd;

namespace Sdac.Kernels;

/// <content>Backward: step after step from the action to x_T.</content>
public static unsafe partial class ReverseChain
{
    private struct BackwardKernel : IKernel
    {
        public ChainTape Tape;
        public float* Parameters;
        public ReverseCoefficients Coefficients;
        public float* Obs;
        public float* ActionGradient;
        public float* ParameterGradient;
        public float* InitialGradient;

        public readonly void Run<TSimd, V>()
            where TSimd : struct, ISimd<V>
            where V : struct
        {
            var main = Tape.Shape.Main;
            var threads = Cutting.Threads((long)Tape.Rows * main.ParameterCount);
            var sizes = new ChainSizes(Tape, threads);
            var memory = NativePool.Rent(sizes.Floats);
            var activations = stackalloc float*[main.LayerCount];
            try
            {
                var places = new ChainPlaces(sizes, memory, activations);
                Prepare<TSimd, V>(places, threads);
                var chain = new ChainWork<TSimd, V>
                {
                    Kernel = this,
                    Places = places,
                    Network = new ChainNetwork<TSimd, V>(Tape, Parameters, places.Forward, places.Biases),
                    Lanes = Cutting.Lanes(Tape.Rows, threads),
                };
                var gradient = new GradientWork<TSimd, V>
                {
                    Tape = Tape,
                    Places = places,
                    Gradient = ParameterGradient + Tape.Shape.Time.ParameterCount,
                };
                for (var t = 0; t < Tape.Timesteps; t++)
                {
                    chain.Step = t;
                    gradient.Step = t;
                    Workers.For(Slab.Count(Tape.PaddedRows, chain.Lanes), ref chain, threads);
                    if (ParameterGradient != null)
                        Workers.For(gradient.Blocks, ref gradient, threads);
                }

                if (ParameterGradient != null)
                    Finish<TSimd, V>(places, threads);
                for (var panel = 0; panel < Panel.Count(Tape.Rows); panel++)
                    Panel.Scatter(
                        places.Gradient + ((nint)panel * Tape.Shape.ActionDim * Panel.Rows), Tape.Rows,
                        Tape.Shape.ActionDim, panel * Panel.Rows, Panel.Rows, InitialGradient);
            }
            finally
            {
                NativePool.Return(memory, sizes.Floats);
            }
        }

        /// <summary>Packed weights, the time's products, the gradient at the action in panels, and empty sums.</summary>
        private readonly void Prepare<TSimd, V>(ChainPlaces places, int threads)
            where TSimd : struct, ISimd<V>
            where V : struct
        {
            var shape = Tape.Shape;
            var columns = shape.ActionDim;
            Pack<TSimd, V>(shape, Parameters, places.Packed, backward: true, threads);
            if (!Tape.IsRecorded)
                Pack<TSimd, V>(shape, Parameters, places.Forward, backward: false, threads);
            TimeBiases<TSimd, V>(shape, Parameters, Tape.Timesteps, places.Times, places.Biases);
            new Span<float>(places.Zeros, shape.Main.MaximumWidth).Clear();
            new Span<float>(places.FirstDeltas, places.Sizes.Deltas(0)).Clear();
            var last = Tape.Action(-1);
            for (var panel = 0; panel < Panel.Count(Tape.Rows); panel++)
            {
                var at = (nint)panel * columns * Panel.Rows;
                Panel.Gather(
                    ActionGradient, Tape.Rows, columns, panel * Panel.Rows, Panel.Rows, places.Gradient + at);
                for (var i = 0; i < columns * Panel.Rows; i++)
                {
                    if (!(Math.Abs(last[at + i]) <= 1))
                        places.Gradient[at + i] = 0;
                }
            }
        }

        /// <summary>The gradients that need all steps: of the observation's and the time's weights, and of Time.</summary>
        private readonly void Finish<TSimd, V>(ChainPlaces places, int threads)
            where TSimd : struct, ISimd<V>
            where V : struct
        {
            var shape = Tape.Shape;
            var first = shape.Main.Widths[1];
            for (var panel = 0; panel < Panel.Count(Tape.Rows); panel++)
                Panel.Gather(
                    Obs, Tape.Rows, shape.ObsDim, panel * Panel.Rows, Panel.Rows,
                    places.ObsPanels + ((nint)panel * shape.ObsDim * Panel.Rows));
            var main = ParameterGradient + shape.Time.ParameterCount;
            var obs = new ObsGradientWork<TSimd, V> { Tape = Tape, Places = places, Gradient = main };
            Workers.For(obs.Blocks, ref obs, threads);

            // dW of the time's rows: Σ_t time_t ⊗ δ_t, where δ_t is the first layer's gradient summed over rows.
            var steps = Tape.Timesteps;
            var transposed = places.TimesTransposed;
            Transposition.Run(places.Times, shape.TimeDim, steps, shape.TimeDim, transposed, steps);
            for (var k = 0; k < shape.TimeDim; k++)
                RowProduct<TSimd, V>.Run(
                    transposed + ((nint)k * steps), steps, places.StepSums, first, null,
                    main + ((nint)(shape.ObsDim + shape.ActionDim + k) * first));

            var weights = places.TimeWeights;
            Transposition.Run(TimeWeights(shape, Parameters), first, shape.TimeDim, first, weights, shape.TimeDim);
            for (var t = 0; t < steps; t++)
                RowProduct<TSimd, V>.Run(
                    places.StepSums + ((nint)t * first), first, weights, shape.TimeDim, null,
                    places.Times + ((nint)t * shape.TimeDim));
            TimeNetwork(places.Times, places.TimesTransposed);
        }

        /// <summary>Time's gradient from the one at its outputs [T, timeDim].</summary>
        private readonly void TimeNetwork(float* outputGradient, float* encoded)
        {
            var shape = Tape.Shape;
            EncodeTimes(shape, Tape.Timesteps, encoded);
            var size = Tape.Timesteps * shape.TimeDim;
            var parameters = new ReadOnlySpan<float>(Parameters, shape.Time.ParameterCount);
            var all = new Span<float>(encoded, size);
            using var tape = Mlp.ForwardTape(shape.Time, parameters, default, 1, all, Tape.Timesteps, all);
            Mlp.Backward(
                shape.Time, parameters, tape, new ReadOnlySpan<float>(outputGradient, size),
                new Span<float>(ParameterGradient, shape.Time.ParameterCount), default);
        }
    }

    /// <summary>One step for a slab: from the gradient at x_(t-1) to that at x_t, by way of every layer's sums.</summary>
    private struct ChainWork<TSimd, V> : IBlockWork
        where TSimd : struct, ISimd<V>
        where V : struct
    {
        public BackwardKernel Kernel;
        public ChainPlaces Places;
        public ChainNetwork<TSimd, V> Network;
        public int Step;
        public int Lanes;

        public readonly void Run(int block, int worker)
        {
            var shape = Kernel.Tape.Shape;
            var main = shape.Main;
            var slab = new Slab(block, Lanes, int.MaxValue);
            var dy = Places.Scratch + ((nint)worker * Places.Sizes.Scratch);
            var dx = dy + ((nint)main.MaximumWidth * Panel.Rows);
            var slopes = dx + ((nint)main.MaximumWidth * Panel.Rows);
            Network.Hidden(Step, slab, Places.Activations, slopes);
            slopes += Kernel.Tape.HiddenWidth * Panel.Rows;
            ThroughStep(slab, dy);
            for (var layer = main.LayerCount - 1; layer >= 0; layer--)
            {
                var outputs = main.Widths[layer + 1];
                if (Kernel.ParameterGradient != null)
                    Keep(layer, dy, slab);
                var inputs = layer == 0 ? shape.ActionDim : main.Widths[layer];
                var packed = layer == 0
                    ? Places.Packed + ((nint)shape.ObsDim * outputs)
                    : Places.Packed + main.WeightOffset(layer);
                if (layer > 0)
                    slopes -= inputs * Panel.Rows;
                Layer<TSimd, V>.Backward(
                    packed, inputs, outputs, Places.Zeros, dy, dx, layer == 0 ? null : slopes, slab.Lanes);
                var swap = dx;
                dx = dy;
                dy = swap;
            }

            Add(dy, shape.ActionDim, slab);
        }

        /// <summary>Leaves the gradient at ε in <paramref name="dy"/>, and what reaches x_t beside the network.</summary>
        private readonly void ThroughStep(Slab slab, float* dy)
        {
            var c = Kernel.Coefficients;
            var columns = Kernel.Tape.Shape.ActionDim;
            var offset = slab.Offset(columns);
            var estimate = Kernel.Tape.Estimate(Step) + offset;
            var gradient = Places.Gradient + offset;
            var one = TSimd.Splat(1f);
            var minusOne = TSimd.Splat(-1f);
            var mean1 = TSimd.Splat(c.Mean1[Step]);
            var mean2 = TSimd.Splat(c.Mean2[Step]);
            var sqrtRecip = TSimd.Splat(c.SqrtRecip[Step]);
            var minusSqrtRecipM1 = TSimd.Splat(-c.SqrtRecipM1[Step]);
            for (var column = 0; column < columns; column++)
            {
                for (var lane = 0; lane < slab.Lanes; lane += TSimd.Width)
                {
                    var at = (column * Panel.Rows) + lane;
                    var value = TSimd.Load(estimate + at);
                    var d = TSimd.Load(gradient + at);
                    var outside = TSimd.Add(
                        TSimd.And(TSimd.Greater(value, one), one), TSimd.And(TSimd.Greater(minusOne, value), one));
                    var toEstimate = TSimd.Mul(TSimd.Mul(d, TSimd.Sub(one, outside)), mean1);
                    TSimd.Store(dy + at, TSimd.Mul(toEstimate, minusSqrtRecipM1));
                    TSimd.Store(gradient + at, TSimd.Fma(toEstimate, sqrtRecip, TSimd.Mul(d, mean2)));
                }
            }
        }

        private readonly void Add(float* dy, int columns, Slab slab)
        {
            var gradient = Places.Gradient + slab.Offset(columns);
            for (var column = 0; column < columns; column++, gradient += Panel.Rows, dy += Panel.Rows)
            {
                for (var lane = 0; lane < slab.Lanes; lane += TSimd.Width)
                    TSimd.Store(gradient + lane, TSimd.Add(TSimd.Load(gradient + lane), TSimd.Load(dy + lane)));
            }
        }

        /// <summary>A layer's gradient for the sums over rows, panels of 32 columns: [column panel, row, 32].</summary>
        private readonly void Keep(int layer, float* dy, Slab slab)
        {
            var width = Kernel.Tape.Shape.Main.Widths[layer + 1];
            var rows = Kernel.Tape.PaddedRows;
            var deltas = Places.Deltas(layer);
            for (var first = 0; first < width; first += Panel.Rows)
            {
                var columns = Math.Min(Panel.Rows, width - first);
                var at = ((nint)first * rows) + ((nint)slab.First * Panel.Rows);
                Transposition.Run(
                    dy + (first * Panel.Rows), Panel.Rows, columns, slab.Lanes, deltas + at, Panel.Rows);
                if (layer == 0)
                    AddTo(Places.FirstDeltas + at, deltas + at, columns, slab.Lanes);
            }
        }

        private static void AddTo(float* sum, float* delta, int columns, int rows)
        {
            for (var row = 0; row < rows; row++, sum += Panel.Rows, delta += Panel.Rows)
            {
                if (columns == Panel.Rows)
                {
                    for (var lane = 0; lane < Panel.Rows; lane += TSimd.Width)
                        TSimd.Store(sum + lane, TSimd.Add(TSimd.Load(sum + lane), TSimd.Load(delta + lane)));
                    continue;
                }

                for (var lane = 0; lane < columns; lane++)
                    sum[lane] += delta[lane];
            }
        }
    }
}
