using System;
using System.Runtime.Intrinsics;

namespace Sdac.Kernels.Linear;

/// <summary>
/// Packing of weights W [inputs, outputs] for the tile: tile after tile of <c>height</c> rows (the last one lower),
/// each [index of the sum, row of the tile] without gaps, so a packed matrix has W's size.
/// </summary>
internal static unsafe class Weights
{
    private const int Band = 16;

    public static int Tiles(int rows, int height) => (rows + height - 1) / height;

    /// <summary>Bands of inputs that <see cref="PackForward"/> packs.</summary>
    public static int Bands(int inputs) => (inputs + Band - 1) / Band;

    /// <summary>
    /// One band of inputs for all tiles of the forward product, whose rows are outputs and whose sum runs over inputs. A
    /// band is small enough to stay in the first cache while its pieces go to their tiles.
    /// </summary>
    public static void PackForward(float* w, int inputs, int outputs, int height, int band, float* packed)
    {
        var firstInput = band * Band;
        var count = Math.Min(Band, inputs - firstInput);
        for (var first = 0; first < outputs; first += height)
        {
            var rows = Math.Min(height, outputs - first);
            var to = packed + ((nint)first * inputs) + ((nint)firstInput * rows);
            Gather(w + ((nint)firstInput * outputs) + first, outputs, rows, count, to);
        }
    }

    /// <summary>One tile of the backward product: its rows are inputs, its sum runs over outputs.</summary>
    public static void PackBackward(float* w, int inputs, int outputs, int height, int tile, float* packed)
    {
        var first = tile * height;
        var rows = Math.Min(height, inputs - first);
        Transposition.Run(w + ((nint)first * outputs), outputs, rows, outputs, packed + ((nint)first * outputs), rows);
    }

    /// <summary>So many pieces of <paramref name="rows"/> floats, a stride apart, one behind the other.</summary>
    private static void Gather(float* from, nint stride, int rows, int count, float* to)
    {
        for (var k = 0; k < count; k++)
        {
            var row = 0;
            for (; row + 4 <= rows; row += 4)
                Vector128.Load(from + row).Store(to + row);
            for (; row < rows; row++)
                to[row] = from[row];
            to += rows;
            from += stride;
        }
    }
}
