using System;
using Sdac.Kernels.Linear;
using Sdac.Kernels.Simd;

namespace Sdac.Kernels;

/// <content>Backward passes.</content>
public static unsafe partial class Mlp
{
    /// <summary>
    /// The gradients of a scalar loss, given its gradient with respect to the network's outputs. Sums over rows run in
    /// row order; those for a layer norm's parameters are 32 sums over every 32nd row, added up in order.
    /// </summary>
    /// <param name="shape">The network of the forward pass.</param>
    /// <param name="parameters">The parameters of the forward pass [ParameterCount].</param>
    /// <param name="tape">What the forward pass left.</param>
    /// <param name="outputGradient">[rows, output width].</param>
    /// <param name="parameterGradient">[ParameterCount], overwritten; empty if not wanted.</param>
    /// <param name="inputGradient">[rows, input width], overwritten, one row per row (shared or not); empty if not
    /// wanted.</param>
    /// <exception cref="ArgumentException">A length that does not fit, or a tape of another shape.</exception>
    /// <exception cref="ObjectDisposedException">The tape was disposed.</exception>
    public static void Backward(
        MlpShape shape, ReadOnlySpan<float> parameters, MlpTape tape, ReadOnlySpan<float> outputGradient,
        Span<float> parameterGradient, Span<float> inputGradient)
    {
        ArgumentNullException.ThrowIfNull(shape);
        ArgumentNullException.ThrowIfNull(tape);
        ObjectDisposedException.ThrowIf(tape.IsDisposed, tape);
        if (tape.Shape != shape && !tape.Shape.IsSameAs(shape))
            throw new ArgumentException(
                "tape was recorded with another shape: pass the one given to ForwardTape.", nameof(tape));
        var rows = tape.Rows;
        Check.Length(nameof(parameters), parameters.Length, shape.ParameterCount, "the shape's ParameterCount");
        Check.Length(
            nameof(outputGradient), outputGradient.Length, (long)rows * shape.OutputWidth,
            "rows of the tape x output width");
        if (!parameterGradient.IsEmpty)
            Check.Length(
                nameof(parameterGradient), parameterGradient.Length, shape.ParameterCount,
                "the shape's ParameterCount");
        if (!inputGradient.IsEmpty)
            Check.Length(
                nameof(inputGradient), inputGradient.Length, (long)rows * shape.InputWidth,
                "rows of the tape x input width");
        if (rows == 0)
        {
            parameterGradient.Clear();
            return;
        }

        PassTally.Current?.Add(
            shape, parameterGradient.IsEmpty ? PassKind.BackToInputs : PassKind.BackToParameters, rows,
            MultiplyAdds.Backward(shape, rows, !parameterGradient.IsEmpty, !inputGradient.IsEmpty));
        fixed (float* p = parameters, g = outputGradient, dp = parameterGradient, dx = inputGradient)
        {
            var kernel = new BackwardKernel
            {
                Tape = tape,
                Parameters = p,
                OutputGradient = g,
                ParameterGradient = dp,
                InputGradient = dx,
            };
            KernelPaths.Run(ref kernel);
        }

        // The kernel works with pointers into the tape: its finalizer must not run before.
        GC.KeepAlive(tape);
    }

    private struct BackwardKernel : IKernel
    {
        public MlpTape Tape;
        public float* Parameters;
        public float* OutputGradient;
        public float* ParameterGradient;
        public float* InputGradient;

        public readonly void Run<TSimd, V>()
            where TSimd : struct, ISimd<V>
            where V : struct
        {
            var shape = Tape.Shape;
            var rows = Panel.Count(Tape.Rows) * Panel.Rows;
            var threads = Cutting.Threads((long)Tape.Rows * shape.ParameterCount);
            var scratchSize = 2 * Panel.Rows * shape.MaximumWidth;
            var transposed = 0L;
            for (var layer = 0; layer < shape.LayerCount; layer++)
                transposed += (long)Panel.Count(shape.Widths[layer + 1]) * Panel.Rows * rows;
            var normGradients = ParameterGradient == null ? 0 : NormGradientWork<TSimd, V>.Columns(shape) * (long)rows;
            var floats = shape.ParameterCount + shape.MaximumWidth + transposed + normGradients
                + ((long)threads * scratchSize) + 64;
            var memory = NativePool.Rent(floats);
            try
            {
                var zeros = memory + shape.ParameterCount;
                new Span<float>(zeros, shape.MaximumWidth).Clear();
                var deltas = NativePool.Align(zeros + shape.MaximumWidth);
                var pack = new PackWork<TSimd, V>(shape, Parameters, 0, 0, memory, backward: true);
                Workers.For(PackWork<TSimd, V>.Blocks(shape, 0, 0, backward: true), ref pack, threads);
                var chain = new ChainWork<TSimd, V>
                {
                    Kernel = this,
                    Packed = memory,
                    Zeros = zeros,
                    Deltas = deltas,
                    Rows = rows,
                    NormGradients = deltas + transposed,
                    Scratch = NativePool.Align(deltas + transposed + normGradients),
                    ScratchSize = scratchSize,
                    Lanes = Cutting.Lanes(Tape.Rows, threads),
                };
                Workers.For(Slab.Count(rows, chain.Lanes), ref chain, threads);
                if (ParameterGradient == null)
                    return;
                var gradient = new GradientWork<TSimd, V> { Kernel = this, Deltas = deltas, Rows = rows };
                Workers.For(GradientWork<TSimd, V>.Blocks(shape), ref gradient, threads);
                if (normGradients == 0)
                    return;
                var norms = new NormGradientWork<TSimd, V> { Kernel = this, NormGradients = chain.NormGradients };
                Workers.For(NormGradientWork<TSimd, V>.Blocks(shape), ref norms, threads);
            }
            finally
            {
                NativePool.Return(memory, floats);
            }
        }
    }

    /// <summary>The gradient δ at every layer's sum, from the last layer to the first, for one slab of rows.</summary>
    private struct ChainWork<TSimd, V> : IBlockWork
        where TSimd : struct, ISimd<V>
        where V : struct
    {
        public BackwardKernel Kernel;
        public float* Packed;
        public float* Zeros;

        /// <summary>
        /// Layer after layer, panels of 32 columns: [column panel, row, 32]. Columns past the layer's width are left as
        /// they are: their sums are computed and dropped.
        /// </summary>
        public float* Deltas;
        public int Rows;

        /// <summary>The gradients at the outputs of the layer norms, layer after layer, panels [width, 32].</summary>
        public float* NormGradients;
        public float* Scratch;
        public int ScratchSize;
        public int Lanes;

        public readonly void Run(int block, int worker)
        {
            var tape = Kernel.Tape;
            var shape = tape.Shape;
            var slab = new Slab(block, Lanes, int.MaxValue);
            var dy = Scratch + ((nint)worker * ScratchSize);
            var dx = dy + (ScratchSize / 2);
            Panel.Gather(Kernel.OutputGradient, tape.Rows, shape.OutputWidth, slab.First, slab.Lanes, dy);
            var slope = Slope(tape, shape.LayerCount - 1, slab);
            if (slope != null)
                Epilogue<TSimd, V>.Scale(dy, slope, shape.OutputWidth, slab.Lanes);
            var deltas = Deltas;
            for (var layer = 0; layer < shape.LayerCount; layer++)
                deltas += Size(shape.Widths[layer + 1]);
            for (var layer = shape.LayerCount - 1; layer >= 0; layer--)
            {
                var inputs = shape.Widths[layer];
                var outputs = shape.Widths[layer + 1];
                deltas -= Size(outputs);
                if (Kernel.ParameterGradient != null)
                    Keep(dy, outputs, slab, deltas);
                if (layer == 0 && Kernel.InputGradient == null)
                    return;
                Layer<TSimd, V>.Backward(
                    Packed + shape.WeightOffset(layer), inputs, outputs, Zeros, dy, dx,
                    layer == 0 ? null : Slope(tape, layer - 1, slab), slab.Lanes);
                var swap = dx;
                dx = dy;
                dy = swap;
                if (layer > 0 && shape.HasNorm(layer - 1))
                    ThroughNorm(layer - 1, slab, dy);
            }

            Panel.Scatter(dy, tape.Rows, shape.InputWidth, slab.First, slab.Lanes, Kernel.InputGradient);
        }

        private readonly nint Size(int width) => (nint)Panel.Count(width) * Panel.Rows * Rows;

        private static float* Slope(MlpTape tape, int layer, Slab slab)
        {
            var slope = tape.Slope(layer);
            return slope == null ? null : slope + slab.Offset(tape.Shape.Widths[layer + 1]);
        }

        /// <summary>From the gradient at a norm's output, which is kept, to the one at the layer's sum.</summary>
        private readonly void ThroughNorm(int layer, Slab slab, float* dy)
        {
            var shape = Kernel.Tape.Shape;
            var width = shape.Widths[layer + 1];
            if (Kernel.ParameterGradient != null)
            {
                var to = NormGradients + NormGradientWork<TSimd, V>.Offset(shape, layer, Rows) + slab.Offset(width);
                for (var column = 0; column < width; column++)
                    new Span<float>(dy + (column * Panel.Rows), slab.Lanes).CopyTo(
                        new Span<float>(to + (column * Panel.Rows), slab.Lanes));
            }

            LayerNorm<TSimd, V>.Backward(Kernel.Tape.Norm(layer, Kernel.Parameters, slab), dy, width, slab.Lanes);
        }

        private readonly void Keep(float* dy, int width, Slab slab, float* deltas)
        {
            for (var first = 0; first < width; first += Panel.Rows)
            {
                var columns = Math.Min(Panel.Rows, width - first);
                var to = deltas + ((nint)first * Rows) + ((nint)slab.First * Panel.Rows);
                Transposition.Run(dy + (first * Panel.Rows), Panel.Rows, columns, slab.Lanes, to, Panel.Rows);
            }
        }
    }

    /// <summary>dW = xᵀ·δ and db = Σ_rows δ, one block per 48 inputs and 32 outputs of a layer.</summary>
    private struct GradientWork<TSimd, V> : IBlockWork
        where TSimd : struct, ISimd<V>
        where V : struct
    {
        private const int InputsPerBlock = 48;

        public BackwardKernel Kernel;
        public float* Deltas;
        public int Rows;

        public static int Blocks(MlpShape shape)
        {
            var blocks = 0;
            for (var layer = 0; layer < shape.LayerCount; layer++)
                blocks += InputBlocks(shape, layer) * Panel.Count(shape.Widths[layer + 1]);
            return blocks;
        }

        public readonly void Run(int block, int worker)
        {
            var shape = Kernel.Tape.Shape;
            var deltas = Deltas;
            for (var layer = 0; layer < shape.LayerCount; layer++)
            {
                var columns = Panel.Count(shape.Widths[layer + 1]);
                var blocks = InputBlocks(shape, layer) * columns;
                if (block < blocks)
                {
                    Run(layer, block / columns * InputsPerBlock, block % columns, deltas);
                    return;
                }

                block -= blocks;
                deltas += (nint)columns * Panel.Rows * Rows;
            }
        }

        private static int InputBlocks(MlpShape shape, int layer) =>
            (shape.Widths[layer] + InputsPerBlock - 1) / InputsPerBlock;

        private readonly void Run(int layer, int firstInput, int column, float* deltas)
        {
            var shape = Kernel.Tape.Shape;
            var inputs = shape.Widths[layer];
            var outputs = shape.Widths[layer + 1];
            var firstOutput = column * Panel.Rows;
            var present = Math.Min(Panel.Rows, outputs - firstOutput);
            var delta = deltas + ((nint)firstOutput * Rows);
            var x = Kernel.Tape.Input(layer);
            var gradient = Kernel.ParameterGradient + shape.WeightOffset(layer) + firstOutput;
            var zeros = stackalloc float[Panel.Rows];
            var tile = stackalloc float[12 * Panel.Rows];
            new Span<float>(zeros, Panel.Rows).Clear();
            var end = Math.Min(firstInput + InputsPerBlock, inputs);
            for (var input = firstInput; input < end; input += TSimd.TileRows)
            {
                var height = Math.Min(TSimd.TileRows, end - input);
                var to = gradient + ((nint)input * outputs);
                if (present == Panel.Rows)
                {
                    Product(height, x + (input * Panel.Rows), inputs, delta, zeros, to, outputs, Panel.Rows);
                    continue;
                }

                Product(height, x + (input * Panel.Rows), inputs, delta, zeros, tile, Panel.Rows, present);
                for (var row = 0; row < height; row++)
                {
                    var from = new Span<float>(tile + (row * Panel.Rows), present);
                    from.CopyTo(new Span<float>(to + ((nint)row * outputs), present));
                }
            }

            if (firstInput == 0)
                SumRows(delta, present, Kernel.ParameterGradient + shape.BiasOffset(layer) + firstOutput);
        }

        private readonly void Product(
            int height, float* x, int inputs, float* delta, float* zeros, float* to, nint stride, int columns)
        {
            var blocks = Rows / Panel.Rows;
            var leap = (nint)inputs * Panel.Rows;
            var pair = 2 * TSimd.Width;
            for (var lane = 0; lane < columns;)
            {
                if (columns - lane > TSimd.Width)
                {
                    Tile<TSimd, V>.Multiply<Count.Two, Activations>(
                        height, blocks, Panel.Rows, x, leap, delta + lane, zeros, to + lane, stride);
                    lane += pair;
                }
                else
                {
                    Tile<TSimd, V>.Multiply<Count.One, Activations>(
                        height, blocks, Panel.Rows, x, leap, delta + lane, zeros, to + lane, stride);
                    lane += TSimd.Width;
                }
            }
        }

        private readonly void SumRows(float* delta, int present, float* gradient)
        {
            var sums = stackalloc float[Panel.Rows];
            new Span<float>(sums, Panel.Rows).Clear();
            for (var row = 0; row < Rows; row++)
            {
                for (var lane = 0; lane < Panel.Rows; lane += TSimd.Width)
                    TSimd.Store(sums + lane, TSimd.Add(TSimd.Load(sums + lane), TSimd.Load(delta + lane)));
                delta += Panel.Rows;
            }

            new Span<float>(sums, present).CopyTo(new Span<float>(gradient, present));
        }
    }
}
