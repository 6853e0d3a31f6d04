using System;
using Sdac.Kernels.Linear;
using Sdac.Kernels.Simd;

namespace Sdac.Kernels;

/// <content>Outputs with their gradient with respect to the input, in one pass.</content>
public static unsafe partial class Mlp
{
    /// <summary>
    /// The network's outputs and each row's gradient of their sum with respect to its own columns, as climbing a critic
    /// by its action needs them. A slab of rows goes forward and back while it is in the cache, so nothing is kept from
    /// row to row, however many there are. Gives the bits of <see cref="Forward"/>, and of <see cref="Backward"/> with an
    /// output gradient of ones.
    /// </summary>
    /// <param name="shape">The network.</param>
    /// <param name="parameters">[ParameterCount].</param>
    /// <param name="shared">[⌈rows / repeat⌉, shared width], or empty: then own is the whole input.</param>
    /// <param name="repeat">How many rows share a shared row, at least 1.</param>
    /// <param name="own">[rows, input width - shared width].</param>
    /// <param name="rows">Rows of the input.</param>
    /// <param name="output">[rows, output width].</param>
    /// <param name="slope">[rows, input width - shared width], overwritten.</param>
    /// <exception cref="ArgumentException">A length that does not fit.</exception>
    public static void ForwardSlope(
        MlpShape shape, ReadOnlySpan<float> parameters, ReadOnlySpan<float> shared, int repeat, ReadOnlySpan<float> own,
        int rows, Span<float> output, Span<float> slope)
    {
        var sizes = CheckInput(shape, parameters, shared, repeat, own, rows, output);
        Check.Length(nameof(slope), slope.Length, own.Length, "rows x columns that are not shared");
        if (rows == 0)
            return;
        PassTally.Current?.Add(
            shape, PassKind.Slope, rows,
            MultiplyAdds.Forward(shape, rows, sizes.SharedRows, sizes.SharedWidth)
            + MultiplyAdds.ToOwnInputs(shape, rows, sizes.OwnWidth));
        fixed (float* p = parameters, s = shared, o = own, y = output, dx = slope)
        {
            var kernel = new SlopeKernel
            {
                Shape = shape,
                Sizes = sizes,
                Parameters = p,
                Shared = s,
                Own = o,
                Output = y,
                Slope = dx,
            };
            KernelPaths.Run(ref kernel);
        }
    }

    private struct SlopeKernel : IKernel
    {
        public MlpShape Shape;
        public Sizes Sizes;
        public float* Parameters;
        public float* Shared;
        public float* Own;
        public float* Output;
        public float* Slope;

        /// <summary>
        /// Leading columns whose product is computed once per shared row; none where each row has one of its own, whose
        /// product is cheapest together with the others.
        /// </summary>
        public readonly int Split => Sizes.Repeat == 1 ? 0 : Sizes.SharedWidth;

        public readonly void Run<TSimd, V>()
            where TSimd : struct, ISimd<V>
            where V : struct
        {
            var threads = Cutting.Threads(2L * Sizes.Rows * Shape.ParameterCount);
            var width = Shape.Widths[1];
            var panel = Panel.Rows * Shape.MaximumWidth;
            var kept = 0;
            for (var layer = 0; layer < Shape.LayerCount; layer++)
                kept += SlopeWork<TSimd, V>.Kept(Shape, layer);
            var scratchSize = (4 * panel) + kept + SharedWork<TSimd, V>.ScratchSize(Split, width);
            var product = Split == 0 ? 0 : (long)Panel.Count(Sizes.SharedRows) * Panel.Rows * width;
            var floats = Shape.MaximumWidth + (2L * Shape.ParameterCount) + product + ((long)threads * scratchSize) + 32;
            var memory = NativePool.Rent(floats);
            try
            {
                var zeros = memory;
                new Span<float>(zeros, Shape.MaximumWidth).Clear();
                var forward = zeros + Shape.MaximumWidth;
                var backward = forward + Shape.ParameterCount;
                var products = NativePool.Align(backward + Shape.ParameterCount);
                var work = new SlopeWork<TSimd, V>
                {
                    Kernel = this,
                    Zeros = zeros,
                    PackedForward = forward,
                    PackedBackward = backward,
                    Product = products,
                    Scratch = NativePool.Align(products + product),
                    ScratchSize = scratchSize,
                    PanelSize = panel,
                    Lanes = Cutting.Lanes(Sizes.Rows, threads),
                };
                Pack<TSimd, V>(Split, forward, false, threads);
                Pack<TSimd, V>(Sizes.SharedWidth, backward, true, threads);
                if (Split > 0)
                {
                    var shared = new SharedWork<TSimd, V>(
                        forward, Split, width, Parameters + Shape.BiasOffset(0), Shared, Sizes.SharedRows,
                        SharedStart.WantsPanels(Sizes.Repeat), products, work.Scratch, scratchSize);
                    Workers.For(Panel.Count(Sizes.SharedRows), ref shared, threads);
                }

                Workers.For(Slab.Count(Sizes.Rows, work.Lanes), ref work, threads);
            }
            finally
            {
                NativePool.Return(memory, floats);
            }
        }

        private readonly void Pack<TSimd, V>(int split, float* packed, bool backward, int threads)
            where TSimd : struct, ISimd<V>
            where V : struct
        {
            var pack = new PackWork<TSimd, V>(Shape, Parameters, split, Sizes.OwnWidth, packed, backward);
            Workers.For(PackWork<TSimd, V>.Blocks(Shape, split, Sizes.OwnWidth, backward), ref pack, threads);
        }
    }

    private struct SlopeWork<TSimd, V> : IBlockWork
        where TSimd : struct, ISimd<V>
        where V : struct
    {
        public SlopeKernel Kernel;
        public float* Zeros;
        public float* PackedForward;
        public float* PackedBackward;
        public float* Product;
        public float* Scratch;
        public int ScratchSize;
        public int PanelSize;
        public int Lanes;

        /// <summary>
        /// Floats that the way back needs of a layer: its activation's derivative, then its norm's x̂ and 1/√(var z + ε).
        /// </summary>
        public static int Kept(MlpShape shape, int layer) => Derivatives(shape, layer) + Normalised(shape, layer);

        public readonly void Run(int block, int worker)
        {
            var shape = Kernel.Shape;
            var sizes = Kernel.Sizes;
            var slab = new Slab(block, Lanes, sizes.Rows);
            var x = Scratch + ((nint)worker * ScratchSize);
            var y = x + PanelSize;
            var spare = y + PanelSize;
            var kept = spare + (2 * PanelSize);
            var own = x;
            if (Kernel.Split == 0 && sizes.SharedWidth > 0)
            {
                Panel.Gather(Kernel.Shared, sizes.Rows, sizes.SharedWidth, slab.First, slab.Lanes, x);
                own = x + (sizes.SharedWidth * Panel.Rows);
            }

            Panel.Gather(Kernel.Own, sizes.Rows, sizes.OwnWidth, slab.First, slab.Lanes, own);
            for (var layer = 0; layer < shape.LayerCount; layer++)
            {
                Forward(slab, layer, x, y, spare, kept);
                kept += Kept(shape, layer);
                var swap = x;
                x = y;
                y = swap;
            }

            Panel.Scatter(x, sizes.Rows, shape.OutputWidth, slab.First, slab.Lanes, Kernel.Output);
            var last = shape.LayerCount - 1;
            kept -= Kept(shape, last);
            new Span<float>(x, shape.OutputWidth * Panel.Rows).Fill(1);
            if (Derivatives(shape, last) > 0)
                Epilogue<TSimd, V>.Scale(x, kept, shape.OutputWidth, slab.Lanes);
            for (var layer = last; layer >= 0; layer--)
            {
                kept -= layer == 0 ? 0 : Kept(shape, layer - 1);
                Backward(slab, layer, kept, x, y);
                var swap = x;
                x = y;
                y = swap;
            }

            Panel.Scatter(x, sizes.Rows, sizes.OwnWidth, slab.First, slab.Lanes, Kernel.Slope);
        }

        private static int Derivatives(MlpShape shape, int layer) =>
            shape.ActivationOf(layer) == Activation.Identity ? 0 : shape.Widths[layer + 1] * Panel.Rows;

        private static int Normalised(MlpShape shape, int layer) =>
            shape.HasNorm(layer) ? (shape.Widths[layer + 1] + 1) * Panel.Rows : 0;

        private readonly Norm Norm(int layer, float* kept)
        {
            var shape = Kernel.Shape;
            var normalised = kept + Derivatives(shape, layer);
            return Linear.Norm.Of(
                shape, layer, Kernel.Parameters, normalised, normalised + (shape.Widths[layer + 1] * Panel.Rows));
        }

        private readonly void Forward(Slab slab, int layer, float* x, float* y, float* spare, float* kept)
        {
            var shape = Kernel.Shape;
            var packed = PackedForward + shape.WeightOffset(layer);
            var inputs = shape.Widths[layer];
            var outputs = shape.Widths[layer + 1];
            var bias = Kernel.Parameters + shape.BiasOffset(layer);
            float* start = null;
            if (layer == 0 && Kernel.Split > 0)
            {
                packed += (nint)Kernel.Split * outputs;
                inputs = Kernel.Sizes.OwnWidth;
                var shared = new SharedStart(Product, Kernel.Sizes.Repeat, Kernel.Sizes.Rows, outputs);
                bias = shared.Row(slab);
                if (bias == null)
                {
                    start = shared.StartPanel(slab, spare);
                    bias = Zeros;
                }
            }

            Layer<TSimd, V>.Forward(
                packed, inputs, outputs, bias, start, x, y, Derivatives(shape, layer) == 0 ? null : kept,
                shape.ActivationOf(layer), slab.Lanes, Norm(layer, kept));
        }

        /// <summary>
        /// From the gradient at a layer's sums to the one at the sums of the layer below, or at the input.
        /// </summary>
        private readonly void Backward(Slab slab, int layer, float* keptBelow, float* dy, float* dx)
        {
            var shape = Kernel.Shape;
            var outputs = shape.Widths[layer + 1];
            var packed = PackedBackward + shape.WeightOffset(layer);
            if (layer == 0)
            {
                packed += (nint)Kernel.Sizes.SharedWidth * outputs;
                Layer<TSimd, V>.Backward(packed, Kernel.Sizes.OwnWidth, outputs, Zeros, dy, dx, null, slab.Lanes);
                return;
            }

            var inputs = shape.Widths[layer];
            Layer<TSimd, V>.Backward(
                packed, inputs, outputs, Zeros, dy, dx, Derivatives(shape, layer - 1) == 0 ? null : keptBelow,
                slab.Lanes);
            if (shape.HasNorm(layer - 1))
                LayerNorm<TSimd, V>.Backward(Norm(layer - 1, keptBelow), dx, inputs, slab.Lanes);
        }
    }
}
