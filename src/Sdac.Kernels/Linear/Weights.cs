using System;
using System.Runtime.CompilerServices;

namespace Sdac.Kernels.Linear;

/// <summary>
/// Packing of weights W [inputs, outputs] for the tile: tile after tile of <c>height</c> rows (the last one lower),
/// each [index of the sum, row of the tile] without gaps, so a packed matrix has W's size.
/// </summary>
internal static unsafe class Weights
{
    public static int Tiles(int rows, int height) => (rows + height - 1) / height;

    /// <summary>One tile of the forward product: its rows are outputs, its sum runs over inputs.</summary>
    public static void PackForward(float* w, int inputs, int outputs, int height, int tile, float* packed)
    {
        var first = tile * height;
        var rows = Math.Min(height, outputs - first);
        var to = packed + ((nint)first * inputs);
        var from = w + first;
        for (var k = 0; k < inputs; k++)
        {
            Unsafe.CopyBlockUnaligned(to, from, (uint)rows * sizeof(float));
            to += rows;
            from += outputs;
        }
    }

    /// <summary>One tile of the backward product: its rows are inputs, its sum runs over outputs.</summary>
    public static void PackBackward(float* w, int inputs, int outputs, int height, int tile, float* packed)
    {
        var first = tile * height;
        var rows = Math.Min(height, inputs - first);
        Transposition.Run(w + ((nint)first * outputs), outputs, rows, outputs, packed + ((nint)first * outputs), rows);
    }
}
