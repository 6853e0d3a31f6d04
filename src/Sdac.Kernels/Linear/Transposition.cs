using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Sdac.Kernels.Linear;

/// <summary>Turns rows into columns, in blocks of 8x8 or 4x4 held in registers.</summary>
internal static unsafe class Transposition
{
    /// <summary>
    /// destination[j·destinationStride + i] = source[i·sourceStride + j] for i &lt; rows, j &lt; columns.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Run(
        float* source, nint sourceStride, int rows, int columns, float* destination, nint destinationStride)
    {
        var wholeRows = Avx.IsSupported ? rows & ~7 : 0;
        var wholeColumns = Avx.IsSupported ? columns & ~7 : 0;
        for (var j = 0; j < wholeColumns; j += 8)
        {
            var to = destination + (j * destinationStride);
            for (var i = 0; i < wholeRows; i += 8)
                Eight(source + (i * sourceStride) + j, sourceStride, to + i, destinationStride);
        }

        if (wholeColumns < columns && wholeRows > 0)
            Remainder(
                source + wholeColumns, sourceStride, wholeRows, columns - wholeColumns,
                destination + (wholeColumns * destinationStride), destinationStride);
        if (wholeRows < rows)
            Remainder(
                source + (wholeRows * sourceStride), sourceStride, rows - wholeRows, columns, destination + wholeRows,
                destinationStride);
    }

    private static void Remainder(
        float* source, nint sourceStride, int rows, int columns, float* destination, nint destinationStride)
    {
        var i = 0;
        for (; i + 4 <= rows; i += 4)
        {
            var from = source + (i * sourceStride);
            var to = destination + i;
            var j = 0;
            for (; j + 4 <= columns; j += 4)
                Four(from + j, sourceStride, to + (j * destinationStride), destinationStride);
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

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Four(float* source, nint sourceStride, float* destination, nint destinationStride)
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
        if (Sse.IsSupported)
        {
            low = Sse.UnpackLow(a, b);
            high = Sse.UnpackHigh(a, b);
        }
        else
        {
            low = Vector128.Create(a[0], b[0], a[1], b[1]);
            high = Vector128.Create(a[2], b[2], a[3], b[3]);
        }
    }

    /// <summary>Halves of rows i and i + 4 meet in one register when they are loaded; then 4x4 in each half.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Eight(float* source, nint sourceStride, float* destination, nint destinationStride)
    {
        var lower = source + (4 * sourceStride);
        Quarter(source, lower, sourceStride, destination, destinationStride);
        Quarter(source + 4, lower + 4, sourceStride, destination + (4 * destinationStride), destinationStride);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Quarter(
        float* upper, float* lower, nint sourceStride, float* destination, nint destinationStride)
    {
        var r0 = Halves(upper, lower);
        var r1 = Halves(upper + sourceStride, lower + sourceStride);
        var r2 = Halves(upper + (2 * sourceStride), lower + (2 * sourceStride));
        var r3 = Halves(upper + (3 * sourceStride), lower + (3 * sourceStride));
        var a0 = Avx.UnpackLow(r0, r2);
        var a1 = Avx.UnpackHigh(r0, r2);
        var b0 = Avx.UnpackLow(r1, r3);
        var b1 = Avx.UnpackHigh(r1, r3);
        Avx.UnpackLow(a0, b0).Store(destination);
        Avx.UnpackHigh(a0, b0).Store(destination + destinationStride);
        Avx.UnpackLow(a1, b1).Store(destination + (2 * destinationStride));
        Avx.UnpackHigh(a1, b1).Store(destination + (3 * destinationStride));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Halves(float* first, float* second) =>
        Vector256.Create(Vector128.Load(first), Vector128.Load(second));
}
