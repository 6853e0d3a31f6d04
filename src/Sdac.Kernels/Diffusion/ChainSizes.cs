using Sdac.Kernels.Linear;

namespace Sdac.Kernels;

/// <summary>How much memory a chain's backward pass works in, in floats.</summary>
internal readonly struct ChainSizes(ChainTape tape, int threads)
{
    public ChainTape Tape { get; } = tape;

    /// <summary>Per thread: the gradients at two layers, and all slopes.</summary>
    public long Scratch { get; } = Panel.Rows * ((2L * tape.Shape.Main.MaximumWidth) + tape.HiddenWidth);

    /// <summary>All of it.</summary>
    public long Floats
    {
        get
        {
            var shape = Tape.Shape;
            var main = shape.Main;
            var times = (long)Tape.Timesteps * shape.TimeDim;
            var gradients = 0L;
            for (var layer = 0; layer < main.LayerCount; layer++)
                gradients += Deltas(layer);
            return (2L * main.ParameterCount) + main.MaximumWidth + (2L * Tape.Timesteps * main.Widths[1]) + (2 * times)
                + ((long)shape.TimeDim * main.Widths[1])
                + ((long)Tape.PaddedRows * (shape.ActionDim + shape.ObsDim + Tape.HiddenWidth))
                + Deltas(0) + gradients + (threads * Scratch) + (16L * ((2 * main.LayerCount) + 16));
        }
    }

    /// <summary>The gradients at a layer's sums, the last 32 columns padded.</summary>
    public int Deltas(int layer) => Panel.Count(Tape.Shape.Main.Widths[layer + 1]) * Panel.Rows * Tape.PaddedRows;
}
