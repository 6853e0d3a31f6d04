using System;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Sdac.Kernels.Linear;

/// <summary>
/// Rows of a matrix travel through a network in panels of 32, column after column: element (row, column) lies at
/// [column·32 + row]. A layer's output panel is the next layer's input as it is, whatever the widths.
/// </summary>
internal static unsafe class Panel
{
    public const int Rows = 32;

    public static int Count(int rows) => (rows + Rows - 1) / Rows;

    /// <summary>destination[j·destinationStride + i] = source[i·sourceStride + j] for i &lt; rows, j &lt; columns.</summary>
    public static void Transpose(
        float* source, nint sourceStride, int rows, int columns, float* destination, nint destinationStride)
    {
        var i = 0;
        for (; i + 4 <= rows; i += 4)
        {
            var from = source + (i * sourceStride);
            var to = destination + i;
            var j = 0;
            for (; j + 4 <= columns; j += 4)
                Transpose4(from + j, sourceStride, to + (j * destinationStride), destinationStride);
            for (; j < columns; j++)
            {
                for (var k = 0; k < 4; k++)
                    to[(j * destinationStride) + k] = from[(k * sourceStride) + j];
            }
        }

        for (; i < rows; i++)
        {
            for (var j = 0; j < columns; j++)
                destination[(j * destinationStride) + i] = source[(i * sourceStride) + j];
        }
    }

    /// <summary>Rows [first, first + lanes) of a row-major matrix into their lanes of a panel, zeros past the end.</summary>
    public static void Gather(float* matrix, int rows, int columns, int first, int lanes, float* panel)
    {
        var present = Math.Clamp(rows - first, 0, lanes);
        Transpose(matrix + ((nint)first * columns), columns, present, columns, panel, Rows);
        if (present == lanes)
            return;
        for (var j = 0; j < columns; j++)
            new Span<float>(panel + (j * Rows) + present, lanes - present).Clear();
    }

    /// <summary>The reverse of <see cref="Gather"/>: lanes past the end are dropped.</summary>
    public static void Scatter(float* panel, int rows, int columns, int first, int lanes, float* matrix) =>
        Transpose(panel, Rows, columns, Math.Clamp(rows - first, 0, lanes), matrix + ((nint)first * columns), columns);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Transpose4(float* source, nint sourceStride, float* destination, nint destinationStride)
    {
        var r0 = Vector128.Load(source);
        var r1 = Vector128.Load(source + sourceStride);
        var r2 = Vector128.Load(source + (2 * sourceStride));
        var r3 = Vector128.Load(source + (3 * sourceStride));
        Zip(r0, r2, out var a0, out var a1);
        Zip(r1, r3, out var b0, out var b1);
        Zip(a0, b0, out var c0, out var c1);
        Zip(a1, b1, out var c2, out var c3);
        c0.Store(destination);
        c1.Store(destination + destinationStride);
        c2.Store(destination + (2 * destinationStride));
        c3.Store(destination + (3 * destinationStride));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Zip(Vector128<float> a, Vector128<float> b, out Vector128<float> low, out Vector128<float> high)
    {
        if (System.Runtime.Intrinsics.X86.Sse.IsSupported)
        {
            low = System.Runtime.Intrinsics.X86.Sse.UnpackLow(a, b);
            high = System.Runtime.Intrinsics.X86.Sse.UnpackHigh(a, b);
        }
        else
        {
            low = Vector128.Create(a[0], b[0], a[1], b[1]);
            high = Vector128.Create(a[2], b[2], a[3], b[3]);
        }
    }
}
