using System;
using Sdac.Kernels.Linear;

namespace Sdac.Kernels;

/// <summary>
/// What <see cref="ReverseChain.Backward"/> needs of a forward pass, in pooled native memory: the actions x_t and the
/// estimates x̂_0 before their clip at every step, the observations' share of the first layer, and, where it was recorded,
/// the sums before every activation: one number per hidden unit, row and step. Dispose it when done; it may be used for
/// several backward passes.
/// </summary>
public sealed unsafe class ChainTape : IDisposable
{
    private readonly long floats;
    private readonly long sums;
    private readonly long actions;
    private float* memory;

    internal ChainTape(NoiseNetworkShape shape, int timesteps, int rows, bool recorded)
    {
        ArgumentNullException.ThrowIfNull(shape);
        Shape = shape;
        Timesteps = timesteps;
        Rows = rows;
        IsRecorded = recorded;
        for (var layer = 1; layer < shape.Main.LayerCount; layer++)
            HiddenWidth += shape.Main.Widths[layer];
        sums = recorded ? (long)timesteps * PaddedRows * HiddenWidth : 0;
        actions = (long)PaddedRows * shape.ActionDim;
        floats = sums + (actions * ((2L * timesteps) + 1)) + ((long)PaddedRows * shape.Main.Widths[1]);
        memory = NativePool.Rent(floats);

        // Rows past the last one are computed along with the others, and must be numbers.
        new Span<float>(ObsProduct, PaddedRows * shape.Main.Widths[1]).Clear();
    }

    /// <summary>Returns the memory of a tape that nobody disposed.</summary>
    ~ChainTape() => Release();

    /// <summary>The network of the forward pass.</summary>
    public NoiseNetworkShape Shape { get; }

    /// <summary>Steps of the chain.</summary>
    public int Timesteps { get; }

    /// <summary>Rows of the forward pass.</summary>
    public int Rows { get; }

    /// <summary>Whether the sums of the hidden layers are kept.</summary>
    public bool IsRecorded { get; }

    /// <summary>Bytes that it holds.</summary>
    public long Bytes => floats * sizeof(float);

    /// <summary>Bytes that the tape of such a pass holds.</summary>
    public static long BytesFor(NoiseNetworkShape shape, int timesteps, int rows, bool recorded)
    {
        using var tape = new ChainTape(shape, timesteps, rows, recorded);
        return tape.Bytes;
    }

    internal bool IsDisposed => memory == null;

    internal int PaddedRows => Panel.Count(Rows) * Panel.Rows;

    /// <summary>All hidden widths together.</summary>
    internal int HiddenWidth { get; }

    /// <summary>bias + obs·W of the first layer, panels [first hidden width, 32].</summary>
    internal float* ObsProduct => memory + sums + (actions * ((2L * Timesteps) + 1));

    /// <summary>Gives the memory back. The tape cannot be used afterwards.</summary>
    public void Dispose()
    {
        Release();
        GC.SuppressFinalize(this);
    }

    /// <summary>Panels [action dimension, 32] of x_t; t = -1: the action before its clip.</summary>
    internal float* Action(int t) => memory + sums + (actions * (t + 1));

    /// <summary>Panels [action dimension, 32] of x̂_0 at step t before its clip.</summary>
    internal float* Estimate(int t) => memory + sums + (actions * (Timesteps + 1 + t));

    /// <summary>A slab's sums of all hidden layers at step t, one layer's panel [width, 32] behind the other's.</summary>
    internal float* Sums(int t, Slab slab) =>
        memory + ((long)t * PaddedRows * HiddenWidth) + slab.Offset(HiddenWidth);

    private void Release()
    {
        NativePool.Return(memory, floats);
        memory = null;
    }
}
