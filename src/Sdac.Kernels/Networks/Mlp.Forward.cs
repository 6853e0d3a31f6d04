using System;
using Sdac.Kernels.Linear;
using Sdac.Kernels.Simd;

namespace Sdac.Kernels;

/// <content>Forward passes that keep nothing.</content>
public static unsafe partial class Mlp
{
    /// <summary>
    /// The network's outputs [rows, output width]. Input row r is [shared row r / repeat | own row r]; the product of a
    /// shared row with its weights is computed once. Gives the bits of the same call with the rows written out.
    /// </summary>
    /// <param name="shape">The network.</param>
    /// <param name="parameters">[ParameterCount].</param>
    /// <param name="shared">[⌈rows / repeat⌉, shared width], or empty: then own is the whole input.</param>
    /// <param name="repeat">How many rows share a shared row, at least 1.</param>
    /// <param name="own">[rows, input width - shared width].</param>
    /// <param name="rows">Rows of the input.</param>
    /// <param name="output">[rows, output width].</param>
    /// <exception cref="ArgumentException">A length that does not fit.</exception>
    public static void Forward(
        MlpShape shape, ReadOnlySpan<float> parameters, ReadOnlySpan<float> shared, int repeat, ReadOnlySpan<float> own,
        int rows, Span<float> output)
    {
        var sizes = CheckInput(shape, parameters, shared, repeat, own, rows, output);
        fixed (float* p = parameters, s = shared, o = own, y = output)
            RunForward(shape, sizes, p, null, s, o, y);
    }

    /// <summary>
    /// The smaller of two networks' outputs, as twin critics need it: one pass over the rows for both. Gives the bits of
    /// two calls of <see cref="Forward"/> and their minimum (NaN where either is NaN).
    /// </summary>
    /// <param name="shape">Both networks.</param>
    /// <param name="first">Parameters of one [ParameterCount].</param>
    /// <param name="second">Parameters of the other [ParameterCount].</param>
    /// <param name="shared">[⌈rows / repeat⌉, shared width], or empty: then own is the whole input.</param>
    /// <param name="repeat">How many rows share a shared row, at least 1.</param>
    /// <param name="own">[rows, input width - shared width].</param>
    /// <param name="rows">Rows of the input.</param>
    /// <param name="output">[rows, output width].</param>
    /// <exception cref="ArgumentException">A length that does not fit.</exception>
    public static void ForwardLeast(
        MlpShape shape, ReadOnlySpan<float> first, ReadOnlySpan<float> second, ReadOnlySpan<float> shared, int repeat,
        ReadOnlySpan<float> own, int rows, Span<float> output)
    {
        var sizes = CheckInput(shape, first, shared, repeat, own, rows, output);
        Check.Length(nameof(second), second.Length, shape.ParameterCount, "the shape's ParameterCount");
        fixed (float* p = first, q = second, s = shared, o = own, y = output)
            RunForward(shape, sizes, p, q, s, o, y);
    }

    private static void RunForward(
        MlpShape shape, Sizes sizes, float* first, float* second, float* shared, float* own, float* output)
    {
        if (sizes.Rows == 0)
            return;
        Count(shape, PassKind.Forward, sizes, second == null ? 1 : 2);
        var kernel = new ForwardKernel
        {
            Shape = shape,
            Sizes = sizes,
            First = first,
            Second = second,
            Shared = shared,
            Own = own,
            Output = output,
        };
        KernelPaths.Run(ref kernel);
    }

    private struct ForwardKernel : IKernel
    {
        public MlpShape Shape;
        public Sizes Sizes;
        public float* First;

        /// <summary>The other network's parameters; null if there is one network only.</summary>
        public float* Second;
        public float* Shared;
        public float* Own;
        public float* Output;

        public readonly void Run<TSimd, V>()
            where TSimd : struct, ISimd<V>
            where V : struct
        {
            var networks = Second == null ? 1 : 2;
            var threads = Cutting.Threads((long)Sizes.Rows * Shape.ParameterCount * networks);
            var width = Shape.Widths[1];
            var panel = Panel.Rows * Shape.MaximumWidth;
            var scratchSize = (5 * panel) + SharedWork<TSimd, V>.ScratchSize(Sizes.SharedWidth, width);
            var product = (long)Panel.Count(Sizes.SharedRows) * Panel.Rows * width;
            var floats = width + (networks * (Shape.ParameterCount + product)) + ((long)threads * scratchSize) + 32;
            var memory = NativePool.Rent(floats);
            try
            {
                var packed = memory + width;
                var products = NativePool.Align(packed + ((nint)networks * Shape.ParameterCount));
                new Span<float>(memory, width).Clear();
                var work = new ForwardWork<TSimd, V>
                {
                    Kernel = this,
                    Packed = packed,
                    Zeros = memory,
                    Product = products,
                    ProductSize = (nint)product,
                    Scratch = NativePool.Align(products + (networks * (nint)product)),
                    ScratchSize = scratchSize,
                    PanelSize = panel,
                    Lanes = Cutting.Lanes(Sizes.Rows, threads),
                };
                for (var network = 0; network < networks; network++)
                    Prepare<TSimd, V>(
                        network == 0 ? First : Second, work.PackedOf(network), work.ProductOf(network), work.Scratch,
                        scratchSize, threads);
                Workers.For(Slab.Count(Sizes.Rows, work.Lanes), ref work, threads);
            }
            finally
            {
                NativePool.Return(memory, floats);
            }
        }

        // Packs a network's weights and multiplies the shared rows.
        private readonly void Prepare<TSimd, V>(
            float* parameters, float* packed, float* product, float* scratch, int scratchSize, int threads)
            where TSimd : struct, ISimd<V>
            where V : struct
        {
            var pack = new PackWork<TSimd, V>(
                Shape, parameters, Sizes.SharedWidth, Sizes.OwnWidth, packed, backward: false);
            Workers.For(
                PackWork<TSimd, V>.Blocks(Shape, Sizes.SharedWidth, Sizes.OwnWidth, backward: false), ref pack, threads);
            if (Sizes.SharedWidth == 0)
                return;
            var shared = new SharedWork<TSimd, V>(
                packed, Sizes.SharedWidth, Shape.Widths[1], parameters + Shape.BiasOffset(0), Shared, Sizes.SharedRows,
                SharedStart.WantsPanels(Sizes.Repeat), product, scratch, scratchSize);
            Workers.For(Panel.Count(Sizes.SharedRows), ref shared, threads);
        }
    }

    private struct ForwardWork<TSimd, V> : IBlockWork
        where TSimd : struct, ISimd<V>
        where V : struct
    {
        public ForwardKernel Kernel;
        public float* Packed;
        public float* Zeros;
        public float* Product;
        public nint ProductSize;
        public float* Scratch;
        public int ScratchSize;
        public int PanelSize;
        public int Lanes;

        public readonly float* PackedOf(int network) => Packed + ((nint)network * Kernel.Shape.ParameterCount);

        public readonly float* ProductOf(int network) => Product + (network * ProductSize);

        public readonly void Run(int block, int worker)
        {
            var shape = Kernel.Shape;
            var sizes = Kernel.Sizes;
            var slab = new Slab(block, Lanes, sizes.Rows);
            var input = Scratch + ((nint)worker * ScratchSize);
            Panel.Gather(Kernel.Own, sizes.Rows, sizes.OwnWidth, slab.First, slab.Lanes, input);
            var y = Pass(slab, 0, Kernel.First, input);
            if (Kernel.Second != null)
            {
                var length = shape.OutputWidth * Panel.Rows;
                var first = input + (4 * PanelSize);
                new Span<float>(y, length).CopyTo(new Span<float>(first, length));
                y = Pass(slab, 1, Kernel.Second, input);
                for (var i = 0; i < length; i++)
                    y[i] = MathF.Min(first[i], y[i]);
            }

            Panel.Scatter(y, sizes.Rows, shape.OutputWidth, slab.First, slab.Lanes, Kernel.Output);
        }

        // One network's outputs for a slab, in one of the three panels behind the input's, which stays as it is.
        private readonly float* Pass(Slab slab, int network, float* parameters, float* input)
        {
            var shape = Kernel.Shape;
            var sizes = Kernel.Sizes;
            var x = input;
            var y = input + PanelSize;
            var other = y + PanelSize;
            var spare = other + PanelSize;
            for (var layer = 0; layer < shape.LayerCount; layer++)
            {
                var packed = PackedOf(network) + shape.WeightOffset(layer);
                var inputs = shape.Widths[layer];
                var outputs = shape.Widths[layer + 1];
                var bias = parameters + shape.BiasOffset(layer);
                float* start = null;
                if (layer == 0 && sizes.SharedWidth > 0)
                {
                    packed += (nint)sizes.SharedWidth * outputs;
                    inputs = sizes.OwnWidth;
                    var shared = new SharedStart(ProductOf(network), sizes.Repeat, sizes.Rows, outputs);
                    bias = shared.Row(slab);
                    if (bias == null)
                    {
                        start = shared.StartPanel(slab, spare);
                        bias = Zeros;
                    }
                }

                Layer<TSimd, V>.Forward(
                    packed, inputs, outputs, bias, start, x, y, null, shape.ActivationOf(layer), slab.Lanes,
                    Norm.Of(shape, layer, parameters));
                x = y;
                y = other;
                other = x;
            }

            return x;
        }
    }
}
