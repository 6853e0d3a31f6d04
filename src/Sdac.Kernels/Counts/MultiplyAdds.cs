namespace Sdac.Kernels;

/// <summary>Multiply-adds of the kernels' matrix products, as they make them.</summary>
internal static class MultiplyAdds
{
    /// <summary>Of one row behind the first layer, forward or back.</summary>
    public static long BehindFirst(MlpShape shape) => Between(shape, 1, shape.LayerCount);

    /// <summary>Of one row in the layers from the first one to before the second one.</summary>
    public static long Between(MlpShape shape, int first, int end)
    {
        var sum = 0L;
        for (var layer = first; layer < end; layer++)
            sum += (long)shape.Widths[layer] * shape.Widths[layer + 1];
        return sum;
    }

    /// <summary>Forward, shared columns once per shared row.</summary>
    public static long Forward(MlpShape shape, long rows, long sharedRows, int sharedWidth) =>
        ((sharedRows * sharedWidth) + (rows * (shape.InputWidth - sharedWidth))) * shape.Widths[1]
        + (rows * BehindFirst(shape));

    /// <summary>Back from a recorded pass.</summary>
    public static long Backward(MlpShape shape, long rows, bool toParameters, bool toInputs)
    {
        var first = (long)shape.InputWidth * shape.Widths[1];
        var behind = BehindFirst(shape);
        return rows * (behind + (toInputs ? first : 0) + (toParameters ? first + behind : 0));
    }

    /// <summary>Back to the own columns alone.</summary>
    public static long ToOwnInputs(MlpShape shape, long rows, int ownWidth) =>
        rows * (((long)ownWidth * shape.Widths[1]) + BehindFirst(shape));

    /// <summary>
    /// Forward through the steps of a reverse chain, <paramref name="states"/> observations and the steps' times once;
    /// without those of the time network.
    /// </summary>
    public static long Chain(NoiseNetworkShape shape, long states, long rows, int timesteps) =>
        (states * shape.ObsDim * shape.Main.Widths[1]) + Times(shape, timesteps) + (timesteps * rows * Step(shape));

    /// <summary>
    /// Back through all steps of a chain of which each row has an observation of its own, and forward once more through
    /// the hidden layers where their sums were not recorded; without those of the time network.
    /// </summary>
    public static long ChainBackward(
        NoiseNetworkShape shape, long rows, int timesteps, bool toParameters, bool recorded)
    {
        var perRow = timesteps * (((toParameters ? 2 : 1) * Step(shape)) + (recorded ? 0 : HiddenStep(shape)));
        var obs = toParameters ? rows * shape.ObsDim * shape.Main.Widths[1] : 0;
        return (rows * perRow) + obs + ((toParameters ? 3 : 1) * Times(shape, timesteps));
    }

    // One row at one step: the first layer's action columns, and all behind it.
    private static long Step(NoiseNetworkShape shape) =>
        ((long)shape.ActionDim * shape.Main.Widths[1]) + BehindFirst(shape.Main);

    // The same without the last layer.
    private static long HiddenStep(NoiseNetworkShape shape)
    {
        var main = shape.Main;
        return main.LayerCount == 1
            ? 0
            : ((long)shape.ActionDim * main.Widths[1]) + Between(main, 1, main.LayerCount - 1);
    }

    /// <summary>The steps' embedded times through their columns of the first layer.</summary>
    public static long Times(NoiseNetworkShape shape, int timesteps) =>
        (long)timesteps * shape.TimeDim * shape.Main.Widths[1];
}
