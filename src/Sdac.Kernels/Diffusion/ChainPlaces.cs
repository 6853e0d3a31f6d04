using Sdac.Kernels.Linear;

namespace Sdac.Kernels;

/// <summary>Where everything lies in the memory that a chain's backward pass works in.</summary>
internal readonly unsafe struct ChainPlaces
{
    private readonly float* deltas;

    public ChainPlaces(ChainSizes sizes, float* memory, float** activations)
    {
        var shape = sizes.Tape.Shape;
        var main = shape.Main;
        var first = main.Widths[1];
        var steps = sizes.Tape.Timesteps;
        long rows = sizes.Tape.PaddedRows;
        Sizes = sizes;
        Activations = activations;
        var at = memory;
        Packed = Take(ref at, main.ParameterCount);
        Forward = Take(ref at, main.ParameterCount);
        Zeros = Take(ref at, main.MaximumWidth);
        Biases = Take(ref at, (long)steps * first);
        StepSums = Take(ref at, (long)steps * first);
        Times = Take(ref at, (long)steps * shape.TimeDim);
        TimesTransposed = Take(ref at, (long)steps * shape.TimeDim);
        TimeWeights = Take(ref at, (long)shape.TimeDim * first);
        Gradient = Take(ref at, rows * shape.ActionDim);
        ObsPanels = Take(ref at, rows * shape.ObsDim);
        FirstDeltas = Take(ref at, sizes.Deltas(0));
        for (var layer = 0; layer < main.LayerCount - 1; layer++)
            activations[layer] = Take(ref at, rows * main.Widths[layer + 1]);
        deltas = at;
        for (var layer = 0; layer < main.LayerCount; layer++)
            Take(ref at, sizes.Deltas(layer));
        Scratch = at;
    }

    public ChainSizes Sizes { get; }

    /// <summary>Main's weights for the backward product, and for the forward one where sums are computed again.</summary>
    public float* Packed { get; }

    public float* Forward { get; }

    /// <summary>As many as the greatest width.</summary>
    public float* Zeros { get; }

    /// <summary>The time's products, [T, first hidden width].</summary>
    public float* Biases { get; }

    /// <summary>The first layer's gradient summed over rows at every step, [T, first hidden width].</summary>
    public float* StepSums { get; }

    /// <summary>[T, timeDim], and transposed.</summary>
    public float* Times { get; }

    public float* TimesTransposed { get; }

    /// <summary>The first layer's rows for the time, transposed.</summary>
    public float* TimeWeights { get; }

    /// <summary>The gradient at the present step's x, panels [action dimension, 32].</summary>
    public float* Gradient { get; }

    /// <summary>Panels [observation dimension, 32].</summary>
    public float* ObsPanels { get; }

    /// <summary>The first layer's gradient summed over steps, [column panel, row, 32].</summary>
    public float* FirstDeltas { get; }

    /// <summary>One address for each hidden layer: panels [width, 32] of the present step.</summary>
    public float** Activations { get; }

    public float* Scratch { get; }

    /// <summary>The gradient at a layer's sums of the present step, [column panel, row, 32].</summary>
    public float* Deltas(int layer)
    {
        var at = deltas;
        for (var before = 0; before < layer; before++)
            Take(ref at, Sizes.Deltas(before));
        return at;
    }

    /// <summary>So many floats from here on, the next ones in a line of their own.</summary>
    private static float* Take(ref float* at, long floats)
    {
        var place = at;
        at = NativePool.Align(place + floats);
        return place;
    }
}
