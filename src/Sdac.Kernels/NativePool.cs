using System;
using System.Numerics;
using System.Runtime.InteropServices;
using System.Threading;
using static System.FormattableString;

namespace Sdac.Kernels;

/// <summary>
/// Blocks of native memory, 64-byte aligned, kept for reuse by size class (powers of two), so that a kernel called
/// again with the same sizes allocates nothing. Contents are undefined when
/// rented; blocks stay with the process.
/// </summary>
internal static unsafe class NativePool
{
    private const int Alignment = 64;
    private const int SmallestClass = 12;
    private const int Classes = 63;

    private static readonly Lock Gate = new();
    private static readonly nint[][] Free = new nint[Classes][];
    private static readonly int[] Count = new int[Classes];

    /// <summary>A block of at least <paramref name="floats"/> floats. Give it back with the same number.</summary>
    public static float* Rent(long floats)
    {
        var size = SizeClass(floats);
        lock (Gate)
        {
            if (Count[size] > 0)
                return (float*)Free[size][--Count[size]];
        }

        var block = NativeMemory.AlignedAlloc((nuint)1 << size, Alignment);
        return block is null ? throw new OutOfMemoryException(Invariant($"No memory for {floats:N0} floats.")) : (float*)block;
    }

    /// <summary>
    /// The first place from here on where a vector lies in one cache line; up to 15 floats further.
    /// </summary>
    public static float* Align(float* place) => (float*)(((nint)place + Alignment - 1) & -Alignment);

    public static void Return(float* block, long floats)
    {
        if (block is null)
            return;
        var size = SizeClass(floats);
        lock (Gate)
        {
            Free[size] ??= new nint[16];
            if (Count[size] == Free[size].Length)
                Array.Resize(ref Free[size], 2 * Count[size]);
            Free[size][Count[size]++] = (nint)block;
        }
    }

    private static int SizeClass(long floats)
    {
        var bytes = (ulong)Math.Max(floats, 1) * sizeof(float);
        return Math.Max(SmallestClass, 64 - BitOperations.LeadingZeroCount(bytes - 1));
    }
}
