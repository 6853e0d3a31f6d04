using System;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Sdac.Environments;

namespace Sdac.Mujoco;

/// <summary>
/// An mjModel or mjData. Its arrays lie in a managed array that never moves: a span over one keeps the numbers in place
/// for as long as the span lives, also after Dispose and after the finaliser, and nothing can read freed memory.
/// </summary>
/// <remarks>The struct itself is freed by its last user: a call under way, or the data of a model.</remarks>
internal abstract unsafe class NativeMemory : SafeHandle
{
    private const int Alignment = 64; // as MuJoCo's own allocator

    private readonly byte* first;
    private volatile bool disposed; // IsClosed turns true no sooner than the last user has gone

    protected NativeMemory(nint native, string thing, long bytes)
        : base(0, ownsHandle: true)
    {
        SetHandle(native);
        Thing = thing;
        Bytes = bytes;
        Numbers = GC.AllocateUninitializedArray<double>(
            checked((int)((bytes + sizeof(double) - 1) / sizeof(double)) + Alignment / sizeof(double)), pinned: true);
        var start = (nint)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(Numbers));
        first = (byte*)((start + Alignment - 1) / Alignment * Alignment);
    }

    public override bool IsInvalid => handle == 0;

    /// <summary>Whether Dispose was called.</summary>
    public bool IsDisposed => disposed;

    /// <summary>What errors call it.</summary>
    public string Thing { get; }

    /// <summary>Where the arrays lie.</summary>
    public double[] Numbers { get; }

    /// <summary>The first byte of MuJoCo's buffer.</summary>
    protected byte* First => first;

    private long Bytes { get; }

    /// <summary>Throws ObjectDisposedException after Dispose.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void ThrowIfDisposed()
    {
        if (disposed)
            throw Disposed.Error(Thing);
    }

    protected override void Dispose(bool disposing)
    {
        disposed = true;
        base.Dispose(disposing);
    }

    /// <summary>
    /// How many bytes from the first element of <see cref="Numbers"/> an array begins; -1 if it lies elsewhere.
    /// </summary>
    public long OffsetOf(void* data)
    {
        if ((byte*)data < first || (byte*)data > first + Bytes)
            return -1;
        return (byte*)data - (byte*)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(Numbers));
    }
}
