using System;
using Sdac.Kernels.Linear;

namespace Sdac.Kernels;

/// <summary>
/// What <see cref="Mlp.Backward"/> needs of a forward pass: every layer's input and its activation's derivative, in
/// pooled native memory. Dispose it when done; it may be used for several backward passes.
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

    private long Size(int width) => (long)Panel.Count(Rows) * Panel.Rows * width;

    private void Release()
    {
        NativePool.Return(memory, floats);
        memory = null;
    }
}
