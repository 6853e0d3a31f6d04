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
        if (rows == 0)
            return;
        fixed (float* p = parameters, s = shared, o = own, y = output)
        {
            var kernel = new ForwardKernel
            {
                Shape = shape,
                Sizes = sizes,
                Parameters = p,
                Shared = s,
                Own = o,
                Output = y,
            };
            KernelPaths.Run(ref kernel);
        }
    }

    private struct ForwardKernel : IKernel
    {
        public MlpShape Shape;
        public Sizes Sizes;
        public float* Parameters;
        public float* Shared;
        public float* Own;
        public float* Output;

        public readonly void Run<TSimd, V>()
            where TSimd : struct, ISimd<V>
            where V : struct
        {
            var threads = Cutting.Threads((long)Sizes.Rows * Shape.ParameterCount);
            var first = Shape.Widths[1];
            var panel = Panel.Rows * Shape.MaximumWidth;
            var scratchSize = (3 * panel) + SharedWork<TSimd, V>.ScratchSize(Sizes.SharedWidth, first);
            var product = (long)Panel.Count(Sizes.SharedRows) * Panel.Rows * first;
            var floats = Shape.ParameterCount + first + 64L + product + ((long)threads * scratchSize);
            var memory = NativePool.Rent(floats);
            try
            {
                var zeros = memory + Shape.ParameterCount;
                new Span<float>(zeros, first).Clear();
                var work = new ForwardWork<TSimd, V>
                {
                    Kernel = this,
                    Packed = memory,
                    Zeros = zeros,
                    Product = zeros + first,
                    Scratch = zeros + first + product,
                    ScratchSize = scratchSize,
                    PanelSize = panel,
                    Lanes = Cutting.Lanes(Sizes.Rows, threads),
                };
                var pack = new PackWork<TSimd, V>(
                    Shape, Parameters, Sizes.SharedWidth, Sizes.OwnWidth, memory, backward: false);
                Workers.For(PackWork<TSimd, V>.Blocks(Shape, Sizes.SharedWidth, backward: false), ref pack, threads);
                if (Sizes.SharedWidth > 0)
                {
                    var shared = new SharedWork<TSimd, V>(
                        memory, Sizes.SharedWidth, first, Parameters + Shape.BiasOffset(0), Shared, Sizes.SharedRows,
                        SharedStart.WantsPanels(Sizes.Repeat), work.Product, work.Scratch, scratchSize);
                    Workers.For(Panel.Count(Sizes.SharedRows), ref shared, threads);
                }

                Workers.For(Slab.Count(Sizes.Rows, work.Lanes), ref work, threads);
            }
            finally
            {
                NativePool.Return(memory, floats);
            }
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
        public float* Scratch;
        public int ScratchSize;
        public int PanelSize;
        public int Lanes;

        public readonly void Run(int block, int worker)
        {
            var shape = Kernel.Shape;
            var sizes = Kernel.Sizes;
            var slab = new Slab(block, Lanes, sizes.Rows);
            var x = Scratch + ((nint)worker * ScratchSize);
            var y = x + PanelSize;
            var spare = y + PanelSize;
            Panel.Gather(Kernel.Own, sizes.Rows, sizes.OwnWidth, slab.First, slab.Lanes, x);
            for (var layer = 0; layer < shape.LayerCount; layer++)
            {
                var packed = Packed + shape.WeightOffset(layer);
                var inputs = shape.Widths[layer];
                var outputs = shape.Widths[layer + 1];
                var bias = Kernel.Parameters + shape.BiasOffset(layer);
                float* start = null;
                if (layer == 0 && sizes.SharedWidth > 0)
                {
                    packed += (nint)sizes.SharedWidth * outputs;
                    inputs = sizes.OwnWidth;
                    var shared = new SharedStart(Product, sizes.Repeat, sizes.Rows, outputs);
                    bias = shared.Row(slab);
                    if (bias == null)
                    {
                        start = shared.StartPanel(slab, spare);
                        bias = Zeros;
                    }
                }

                Layer<TSimd, V>.Forward(
                    packed, inputs, outputs, bias, start, x, y, null, shape.ActivationOf(layer), slab.Lanes);
                var swap = x;
                x = y;
                y = swap;
            }

            Panel.Scatter(x, sizes.Rows, shape.OutputWidth, slab.First, slab.Lanes, Kernel.Output);
        }
    }
}
