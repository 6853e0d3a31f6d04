using System;
using Sdac.Kernels.Linear;
using static System.FormattableString;

namespace Sdac.Kernels;

/// <summary>
/// Multi-layer perceptrons on the CPU. Every sum runs in the order of its index with one fused multiply-add per term,
/// starting from the bias, so results depend neither on the processor's vector width nor on the number of threads.
/// </summary>
public static unsafe partial class Mlp
{
    /// <summary>Sizes of a checked input.</summary>
    private readonly record struct Sizes(int Rows, int Repeat, int SharedRows, int SharedWidth, int OwnWidth);

    /// <summary>Counts a forward pass of one network, or of two.</summary>
    private static void Count(MlpShape shape, PassKind kind, Sizes sizes, int networks = 1) =>
        PassTally.Current?.Add(
            shape, kind, (long)networks * sizes.Rows,
            networks * MultiplyAdds.Forward(shape, sizes.Rows, sizes.SharedRows, sizes.SharedWidth));

    /// <summary>
    /// Splits an input width into shared and own columns by the lengths given. Shared rows: ⌈rows / repeat⌉.
    /// </summary>
    private static Sizes CheckInput(
        MlpShape shape, ReadOnlySpan<float> parameters, ReadOnlySpan<float> shared, int repeat, ReadOnlySpan<float> own,
        int rows, ReadOnlySpan<float> output)
    {
        ArgumentNullException.ThrowIfNull(shape);
        Check.Length(nameof(parameters), parameters.Length, shape.ParameterCount, "the shape's ParameterCount");
        Check.Positive(nameof(repeat), repeat);
        if (rows < 0)
            throw new ArgumentException(Invariant($"rows is {rows}, but must not be negative."), nameof(rows));
        Check.Length(nameof(output), output.Length, (long)rows * shape.OutputWidth, "rows x output width");
        var sharedRows = shared.IsEmpty ? 0 : (int)(((long)rows + repeat - 1) / repeat);
        var sharedWidth = sharedRows == 0 ? 0 : shared.Length / sharedRows;
        if (sharedWidth > shape.InputWidth || (long)sharedWidth * sharedRows != shared.Length)
            throw new ArgumentException(
                $"shared has {shared.Length} elements, but {rows} rows with repeat {repeat} need a multiple of " +
                $"{sharedRows} up to input width {shape.InputWidth} times that.",
                nameof(shared));
        var ownWidth = shape.InputWidth - sharedWidth;
        Check.Length(
            nameof(own), own.Length, (long)rows * ownWidth,
            "rows x columns that are not shared");
        return new Sizes(rows, repeat, sharedRows, sharedWidth, ownWidth);
    }
}
