using System;
using Sdac.Kernels.Linear;
using Sdac.Kernels.Simd;

namespace Sdac.Kernels;

/// <content>Forward passes that keep what the backward pass needs.</content>
public static unsafe partial class Mlp
{
    /// <summary>
    /// As <see cref="Forward"/>, with the same bits; the tape returned is what <see cref="Backward"/> needs.
    /// </summary>
    /// <inheritdoc cref="Forward"/>
    public static MlpTape ForwardTape(
        MlpShape shape, ReadOnlySpan<float> parameters, ReadOnlySpan<float> shared, int repeat, ReadOnlySpan<float> own,
        int rows, Span<float> output)
    {
        var sizes = CheckInput(shape, parameters, shared, repeat, own, rows, output);

        // Each row multiplies its shared columns itself: the backward pass needs them there.
        Count(shape, PassKind.Recorded, sizes with { SharedRows = 0, SharedWidth = 0 });
        var tape = new MlpTape(shape, rows);
        fixed (float* p = parameters, s = shared, o = own, y = output)
        {
            var kernel = new TapeKernel { Tape = tape, Sizes = sizes, Parameters = p, Shared = s, Own = o, Output = y };
            KernelPaths.Run(ref kernel);
        }

        return tape;
    }

    private struct TapeKernel : IKernel
    {
        public MlpTape Tape;
        public Sizes Sizes;
        public float* Parameters;
        public float* Shared;
        public float* Own;
        public float* Output;

        public readonly void Run<TSimd, V>()
            where TSimd : struct, ISimd<V>
            where V : struct
        {
            var shape = Tape.Shape;
            var threads = Cutting.Threads((long)Sizes.Rows * shape.ParameterCount);
            var scratchSize = Panel.Rows * shape.OutputWidth;
            var floats = shape.ParameterCount + 16L + ((long)threads * scratchSize);
            var memory = NativePool.Rent(floats);
            try
            {
                var work = new TapeWork<TSimd, V>
                {
                    Kernel = this,
                    Packed = memory,
                    Scratch = NativePool.Align(memory + shape.ParameterCount),
                    ScratchSize = scratchSize,
                    Lanes = Cutting.Lanes(Sizes.Rows, threads),
                };
                var pack = new PackWork<TSimd, V>(shape, Parameters, 0, 0, memory, backward: false);
                Workers.For(PackWork<TSimd, V>.Blocks(shape, 0, 0, backward: false), ref pack, threads);
                Workers.For(Slab.Count(Panel.Count(Sizes.Rows) * Panel.Rows, work.Lanes), ref work, threads);
            }
            finally
            {
                NativePool.Return(memory, floats);
            }
        }
    }

    private struct TapeWork<TSimd, V> : IBlockWork
        where TSimd : struct, ISimd<V>
        where V : struct
    {
        public TapeKernel Kernel;
        public float* Packed;
        public float* Scratch;
        public int ScratchSize;
        public int Lanes;

        public readonly void Run(int block, int worker)
        {
            var tape = Kernel.Tape;
            var shape = tape.Shape;
            var sizes = Kernel.Sizes;

            // The backward pass sums over all 32 lanes of a panel: the last slab fills them all.
            var slab = new Slab(block, Lanes, int.MaxValue);
            var x = At(tape.Input(0), shape.InputWidth, slab);
            if (sizes.SharedWidth > 0)
                GatherShared(sizes, slab, x);
            Panel.Gather(
                Kernel.Own, sizes.Rows, sizes.OwnWidth, slab.First, slab.Lanes, x + (sizes.SharedWidth * Panel.Rows));
            for (var layer = 0; layer < shape.LayerCount; layer++)
            {
                var inputs = shape.Widths[layer];
                var outputs = shape.Widths[layer + 1];
                var last = layer == shape.LayerCount - 1;
                var y = last ? Scratch + ((nint)worker * ScratchSize) : At(tape.Input(layer + 1), outputs, slab);
                var slope = tape.Slope(layer);
                if (slope != null)
                    slope = At(slope, outputs, slab);
                Layer<TSimd, V>.Forward(
                    Packed + shape.WeightOffset(layer), inputs, outputs, Kernel.Parameters + shape.BiasOffset(layer),
                    null, x, y, slope, shape.ActivationOf(layer), slab.Lanes,
                    tape.Norm(layer, Kernel.Parameters, slab));
                x = y;
            }

            Panel.Scatter(x, sizes.Rows, shape.OutputWidth, slab.First, slab.Lanes, Kernel.Output);
        }

        private static float* At(float* panels, int width, Slab slab) =>
            panels + slab.Offset(width);

        private readonly void GatherShared(Sizes sizes, Slab slab, float* x)
        {
            if (sizes.Repeat == 1)
            {
                Panel.Gather(Kernel.Shared, sizes.Rows, sizes.SharedWidth, slab.First, slab.Lanes, x);
                return;
            }

            for (var lane = 0; lane < slab.Lanes; lane++)
            {
                var row = Math.Min(slab.First + lane, sizes.Rows - 1) / sizes.Repeat;
                var from = Kernel.Shared + ((nint)row * sizes.SharedWidth);
                for (var j = 0; j < sizes.SharedWidth; j++)
                    x[(j * Panel.Rows) + lane] = from[j];
            }
        }
    }
}
