using System;
using Sdac.Kernels.Linear;
using Sdac.Kernels.Simd;

namespace Sdac.Kernels;

/// <content>Sums over rows.</content>
public static unsafe partial class ReverseChain
{
    /// <summary>dW += xᵀ·δ and db += Σ_rows δ of one step, one block per 48 inputs and 32 outputs of a layer.</summary>
    private struct GradientWork<TSimd, V> : IBlockWork
        where TSimd : struct, ISimd<V>
        where V : struct
    {
        public ChainTape Tape;
        public ChainPlaces Places;

        /// <summary>Main's.</summary>
        public float* Gradient;
        public int Step;

        public readonly int Blocks
        {
            get
            {
                var blocks = 0;
                for (var layer = 0; layer < Tape.Shape.Main.LayerCount; layer++)
                    blocks += RowSums<TSimd, V>.Blocks(Inputs(layer), Tape.Shape.Main.Widths[layer + 1]);
                return blocks;
            }
        }

        public readonly void Run(int block, int worker)
        {
            var main = Tape.Shape.Main;
            var layer = 0;
            for (; ; layer++)
            {
                var blocks = RowSums<TSimd, V>.Blocks(Inputs(layer), main.Widths[layer + 1]);
                if (block < blocks)
                    break;
                block -= blocks;
            }

            var outputs = main.Widths[layer + 1];
            var x = layer == 0 ? Tape.Action(Step) : Places.Activations[layer - 1];
            var weights = Gradient + main.WeightOffset(layer)
                + (layer == 0 ? (nint)Tape.Shape.ObsDim * outputs : 0);
            var sums = new RowSums<TSimd, V>(Tape.PaddedRows, Places.Deltas(layer), outputs);
            if (!sums.Multiply(block, x, Inputs(layer), weights, out var column))
                return;
            sums.Add(column, Gradient + main.BiasOffset(layer), layer == 0 ? Places.StepSums + ((nint)Step * outputs) : null);
        }

        private readonly int Inputs(int layer) => layer == 0 ? Tape.Shape.ActionDim : Tape.Shape.Main.Widths[layer];
    }

    /// <summary>dW += obsᵀ·Σ_t δ_t of the first layer.</summary>
    private struct ObsGradientWork<TSimd, V> : IBlockWork
        where TSimd : struct, ISimd<V>
        where V : struct
    {
        public ChainTape Tape;
        public ChainPlaces Places;
        public float* Gradient;

        public readonly int Blocks => RowSums<TSimd, V>.Blocks(Tape.Shape.ObsDim, Tape.Shape.Main.Widths[1]);

        public readonly void Run(int block, int worker) =>
            new RowSums<TSimd, V>(Tape.PaddedRows, Places.FirstDeltas, Tape.Shape.Main.Widths[1]).Multiply(
                block, Places.ObsPanels, Tape.Shape.ObsDim, Gradient, out _);
    }

    /// <summary>
    /// Products over rows with a layer's gradients δ, [column panel, row, 32], added to what the result holds.
    /// </summary>
    private readonly struct RowSums<TSimd, V>(int rows, float* deltas, int outputs)
        where TSimd : struct, ISimd<V>
        where V : struct
    {
        private const int InputsPerBlock = 48;

        public static int Blocks(int inputs, int outputs) =>
            (inputs + InputsPerBlock - 1) / InputsPerBlock * Panel.Count(outputs);

        /// <summary>A block of weights [inputs, outputs]; true for the first one of its 32 outputs.</summary>
        public bool Multiply(int block, float* x, int inputs, float* weights, out int column)
        {
            var columns = Panel.Count(outputs);
            column = block % columns;
            var firstInput = block / columns * InputsPerBlock;
            var firstOutput = column * Panel.Rows;
            var present = Math.Min(Panel.Rows, outputs - firstOutput);
            var delta = deltas + ((nint)firstOutput * rows);
            var end = Math.Min(firstInput + InputsPerBlock, inputs);
            var tile = stackalloc float[12 * Panel.Rows];
            for (var input = firstInput; input < end; input += TSimd.TileRows)
            {
                var height = Math.Min(TSimd.TileRows, end - input);
                var to = weights + ((nint)input * outputs) + firstOutput;
                var from = x + (input * Panel.Rows);
                if (present == Panel.Rows)
                {
                    Product(height, from, inputs, delta, to, outputs, Panel.Rows);
                    continue;
                }

                for (var row = 0; row < height; row++)
                    new Span<float>(to + ((nint)row * outputs), present).CopyTo(
                        new Span<float>(tile + (row * Panel.Rows), present));
                Product(height, from, inputs, delta, tile, Panel.Rows, present);
                for (var row = 0; row < height; row++)
                    new Span<float>(tile + (row * Panel.Rows), present).CopyTo(
                        new Span<float>(to + ((nint)row * outputs), present));
            }

            return firstInput == 0;
        }

        /// <summary>The sum over rows of 32 columns, added to a bias's gradient, and left in another place as well.</summary>
        public void Add(int column, float* gradient, float* copy)
        {
            var firstOutput = column * Panel.Rows;
            var delta = deltas + ((nint)firstOutput * rows);
            var sums = stackalloc float[Panel.Rows];
            new Span<float>(sums, Panel.Rows).Clear();
            for (var row = 0; row < rows; row++, delta += Panel.Rows)
            {
                for (var lane = 0; lane < Panel.Rows; lane += TSimd.Width)
                    TSimd.Store(sums + lane, TSimd.Add(TSimd.Load(sums + lane), TSimd.Load(delta + lane)));
            }

            for (var lane = 0; lane < Math.Min(Panel.Rows, outputs - firstOutput); lane++)
            {
                gradient[firstOutput + lane] += sums[lane];
                if (copy != null)
                    copy[firstOutput + lane] = sums[lane];
            }
        }

        private void Product(int height, float* x, int inputs, float* delta, float* to, nint stride, int columns)
        {
            var leap = (nint)inputs * Panel.Rows;
            for (var lane = 0; lane < columns;)
            {
                if (columns - lane > TSimd.Width)
                {
                    Tile<TSimd, V>.Multiply<Count.Two, Activations>(
                        height, rows / Panel.Rows, Panel.Rows, x, leap, delta + lane, null, to + lane, stride);
                    lane += 2 * TSimd.Width;
                }
                else
                {
                    Tile<TSimd, V>.Multiply<Count.One, Activations>(
                        height, rows / Panel.Rows, Panel.Rows, x, leap, delta + lane, null, to + lane, stride);
                    lane += TSimd.Width;
                }
            }
        }
    }
}
