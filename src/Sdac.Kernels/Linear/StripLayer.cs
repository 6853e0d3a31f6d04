using System;

namespace Sdac.Kernels.Linear;

/// <summary>How few rows lie, and how weights are packed for them.</summary>
internal static class Strip
{
    /// <summary>Rows that pass a network together.</summary>
    public const int Rows = 8;

    /// <summary>Outputs that are packed together: three vectors of the widest path.</summary>
    public const int Band = 48;

    /// <summary>Two vectors of it.</summary>
    public const int ShortBand = 32;

    /// <summary>Widest layer.</summary>
    public const int MaximumWidth = 1024;

    /// <summary>From row to row: the same for all widths, so that the compiler knows it; no power of two, whose rows would
    /// share the cache's sets.</summary>
    public const int Stride = MaximumWidth + 16;

    // Outputs are padded to whole vectors of the widest path, so that all paths read one packing.
    private const int Lanes = 16;

    public static int Padded(int outputs) => (outputs + Lanes - 1) / Lanes * Lanes;
}

/// <summary>
/// A layer's weights for <see cref="Strip{TSimd, V}"/>: band after band of 48 outputs (the last ones narrower), each [input,
/// output of the band] without gaps; behind them the biases. Missing outputs are zeros.
/// </summary>
internal readonly unsafe struct StripLayer(float* memory, int inputs, int outputs, Activation activation)
{
    public int Inputs { get; } = inputs;

    public int Padded { get; } = Strip.Padded(outputs);

    public Activation Activation { get; } = activation;

    public float* Weights { get; } = memory;

    public float* Bias => Weights + ((nint)Padded * Inputs);

    /// <summary>Floats that the layer takes.</summary>
    public static long Size(int inputs, int outputs) => (inputs + 1L) * Strip.Padded(outputs);

    /// <summary>
    /// Outputs of the band that begins with this one: the last 64 are halved, since a band of one vector has too few sums to
    /// keep both multipliers busy.
    /// </summary>
    public int BandWidth(int first) =>
        Padded - first == 2 * Strip.ShortBand ? Strip.ShortBand : Math.Min(Strip.Band, Padded - first);

    /// <summary>Packs weights [inputs, outputs] and biases [outputs].</summary>
    public void Pack(float* weights, float* bias)
    {
        int width;
        for (var first = 0; first < Padded; first += width)
        {
            width = BandWidth(first);
            var to = Weights + ((nint)first * Inputs);
            for (var input = 0; input < Inputs; input++)
                Copy(weights + ((nint)input * outputs) + first, first, width, to + (input * width));
        }

        Copy(bias, 0, Padded, Bias);
    }

    private void Copy(float* from, int first, int width, float* to)
    {
        var present = Math.Min(width, outputs - first);
        new Span<float>(from, present).CopyTo(new Span<float>(to, present));
        new Span<float>(to + present, width - present).Clear();
    }
}
