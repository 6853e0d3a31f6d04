using System;
using Sdac.Kernels.Linear;

namespace Sdac.Kernels;

/// <summary>
/// What <see cref="Mlp.Backward"/> needs of a forward pass: every layer's input and its activation's derivative, with
/// layer norm also the normalised sums and their deviations' inverses, in pooled native memory. Dispose it when
/// done; it may be used for several backward passes.
/// </summary>
public sealed unsafe class MlpTape : IDisposable
{
    private readonly long floats;
    private float* memory;

    internal MlpTape(MlpShape shape, int rows)
    {
        Shape = shape;
        Rows = rows;
        floats = 0;
        for (var layer = 0; layer < shape.LayerCount; layer++)
        {
            floats += Size(shape.Widths[layer]);
            if (shape.ActivationOf(layer) != Activation.Identity)
                floats += Size(shape.Widths[layer + 1]);
            floats += NormSize(shape, layer);
        }

        memory = NativePool.Rent(floats);
    }

    /// <summary>Returns the memory of a tape that nobody disposed.</summary>
    ~MlpTape() => Release();

    /// <summary>The network of the forward pass.</summary>
    public MlpShape Shape { get; }

    /// <summary>Rows of the forward pass.</summary>
    public int Rows { get; }

    internal bool IsDisposed => memory == null;

    /// <summary>Gives the memory back. The tape cannot be used afterwards.</summary>
    public void Dispose()
    {
        Release();
        GC.SuppressFinalize(this);
    }

    /// <summary>Panels [input width of the layer, 32].</summary>
    internal float* Input(int layer)
    {
        var offset = 0L;
        for (var before = 0; before < layer; before++)
            offset += Size(Shape.Widths[before]);
        return memory + offset;
    }

    /// <summary>A layer's norm with the slab's part of what the forward pass keeps of it, or none.</summary>
    internal Norm Norm(int layer, float* parameters, Slab slab)
    {
        if (!Shape.HasNorm(layer))
            return default;
        var inverse = Normalised(layer) + Size(Shape.Widths[layer + 1]);
        return Linear.Norm.Of(
            Shape, layer, parameters, Normalised(layer) + slab.Offset(Shape.Widths[layer + 1]),
            inverse + slab.Offset(1));
    }

    /// <summary>
    /// Panels [output width of the layer, 32] of its normalised sums; behind them, panels [1, 32] of the inverses.
    /// </summary>
    internal float* Normalised(int layer)
    {
        var at = memory + floats;
        for (var from = layer; from < Shape.LayerCount; from++)
            at -= NormSize(Shape, from);
        return at;
    }

    /// <summary>Panels [output width of the layer, 32] of the activation's derivative; null for the identity.</summary>
    internal float* Slope(int layer)
    {
        if (Shape.ActivationOf(layer) == Activation.Identity)
            return null;
        var at = Input(Shape.LayerCount);
        for (var before = 0; before < layer; before++)
        {
            if (Shape.ActivationOf(before) != Activation.Identity)
                at += Size(Shape.Widths[before + 1]);
        }

        return at;
    }

    private long NormSize(MlpShape shape, int layer) =>
        shape.HasNorm(layer) ? Size(shape.Widths[layer + 1]) + Size(1) : 0;

    private long Size(int width) => (long)Panel.Count(Rows) * Panel.Rows * width;

    private void Release()
    {
        NativePool.Return(memory, floats);
        memory = null;
    }
}
