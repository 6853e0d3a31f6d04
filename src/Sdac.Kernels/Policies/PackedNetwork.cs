using System;
using System.Runtime.InteropServices;
using Sdac.Kernels.Linear;
using Sdac.Kernels.Simd;

namespace Sdac.Kernels;

/// <summary>
/// A network whose input rows are [shared | own | rest], with its own columns' and its later layers' weights packed for few
/// rows. What the shared row and the rest add to the first layer's sums is the caller's <c>start</c>.
/// </summary>
internal sealed unsafe class PackedNetwork : IDisposable
{
    private const nuint Alignment = 64;

    private readonly StripLayer[] layers;
    private readonly int outputs;
    private readonly float* shared;
    private float* memory;

    public PackedNetwork(MlpShape shape, ReadOnlySpan<float> parameters, int sharedWidth, int ownWidth)
    {
        SharedWidth = sharedWidth;
        OwnWidth = ownWidth;
        layers = new StripLayer[shape.LayerCount];
        outputs = shape.Widths[1];
        var floats = (long)sharedWidth * outputs;
        for (var layer = 0; layer < layers.Length; layer++)
            floats += StripLayer.Size(InputsOf(shape, layer), shape.Widths[layer + 1]);
        memory = (float*)NativeMemory.AlignedAlloc((nuint)floats * sizeof(float), Alignment);
        fixed (float* p = parameters)
        {
            var to = memory;
            for (var layer = 0; layer < layers.Length; layer++)
            {
                var inputs = InputsOf(shape, layer);
                var width = shape.Widths[layer + 1];
                layers[layer] = new StripLayer(to, inputs, width, shape.ActivationOf(layer));
                var weights = p + shape.WeightOffset(layer) + (layer == 0 ? (nint)sharedWidth * width : 0);
                layers[layer].Pack(weights, p + shape.BiasOffset(layer));
                to += StripLayer.Size(inputs, width);
            }

            shared = to;
            var count = sharedWidth * outputs;
            new ReadOnlySpan<float>(p + shape.WeightOffset(0), count).CopyTo(new Span<float>(shared, count));
        }
    }

    ~PackedNetwork() => NativeMemory.AlignedFree(memory);

    private int SharedWidth { get; }

    private int OwnWidth { get; }

    /// <summary>start = bias + row·W of the shared columns, zero where outputs are padding.</summary>
    public void Start<TSimd, V>(float* row, float* start)
        where TSimd : struct, ISimd<V>
        where V : struct
    {
        var first = layers[0];
        new ReadOnlySpan<float>(first.Bias, first.Padded).CopyTo(new Span<float>(start, first.Padded));
        RowProduct<TSimd, V>.Run(row, SharedWidth, shared, outputs, first.Bias, start);
    }

    /// <summary>The outputs of some strips' rows, in one of the two places given besides that of the own columns.</summary>
    public float* Forward<TSimd, V>(float* start, int rows, float* own, float* spare, float* other)
        where TSimd : struct, ISimd<V>
        where V : struct
    {
        var x = own;
        var y = spare;
        foreach (ref readonly var layer in layers.AsSpan())
        {
            Strip<TSimd, V>.Forward(layer, x == own ? start : layer.Bias, rows, x, y);
            x = y;
            y = x == spare ? other : spare;
        }

        return x;
    }

    private int InputsOf(MlpShape shape, int layer) => layer == 0 ? OwnWidth : shape.Widths[layer];

    public void Dispose()
    {
        NativeMemory.AlignedFree(memory);
        memory = null;
        GC.SuppressFinalize(this);
    }
}
