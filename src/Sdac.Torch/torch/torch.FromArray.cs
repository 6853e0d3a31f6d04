using System;
using System.Collections.Generic;
using System.Linq;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using TorchSharp.Native;

namespace TorchSharp;

public static unsafe partial class torch
{
    /// <summary>A tensor with a copy of the data; one copy, unless type or device ask for another.</summary>
    /// <exception cref="ArgumentException">The sizes do not hold as many elements as there are.</exception>
    private static Tensor Copy<T>(ReadOnlySpan<T> data, ReadOnlySpan<long> sizes, ScalarType? dtype, Device? device,
        bool requires_grad, string[]? names = null) where T : unmanaged
    {
        RefuseNames(names);
        RequireSizes(data.Length, sizes);
        var made = Ops.empty_memory_format.Call(sizes, Tensor.ElementTypeOf<T>()!.Value);
        data.CopyTo(new Span<T>(made.DataPointer(), data.Length));
        return Convert(made, dtype, device, requires_grad);
    }

    private static Tensor CopyFlat<T>(ReadOnlySpan<T> data, ScalarType? dtype, Device? device, bool requires_grad,
        string[]? names) where T : unmanaged =>
        Copy(data, [data.Length], dtype, device, requires_grad, names);

    private static Tensor CopyOne<T>(T value, ScalarType? dtype, Device? device, bool requires_grad)
        where T : unmanaged =>
        Copy(new ReadOnlySpan<T>(in value), [], dtype, device, requires_grad);

    private static ReadOnlySpan<T> Elements<T>(IList<T> data) => data switch
    {
        T[] array => array,
        List<T> list => CollectionsMarshal.AsSpan(list),
        _ => data.ToArray(),
    };

    private static Tensor AsTensor<T>(IList<T> data, ScalarType? dtype, Device? device) where T : unmanaged =>
        data is T[] { Length: > 0 } array
            ? Convert(Share(array, Tensor.ElementTypeOf<T>()!.Value, 0, [array.Length]), dtype, device)
            : CopyFlat(Elements(data), dtype, device, requires_grad: false, names: null);

    public static Tensor as_tensor(Tensor data, ScalarType? dtype = null, Device? device = null) =>
        data.To(dtype, device);

    /// <summary>
    /// A tensor over the array's own memory: writes show on both sides. The array stays pinned until the last tensor
    /// over it is gone.
    /// </summary>
    private static Tensor Share(Array data, ScalarType type, long bytesBefore, ReadOnlySpan<long> sizes)
    {
        var pin = new PinnedGCHandle<Array>(data);
        var start = (byte*)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(data)) + bytesBefore;
        nint made;
        fixed (long* s = sizes)
            made = Door.sdac_from_memory(
                start, s, sizes.Length, (int)type, &Unpin, PinnedGCHandle<Array>.ToIntPtr(pin));
        if (made != -1) return Tensor.Own(made);
        pin.Dispose();
        throw Door.Error();
    }

    [UnmanagedCallersOnly]
    private static void Unpin(nint pin) => PinnedGCHandle<Array>.FromIntPtr(pin).Dispose();

    private static Tensor Convert(Tensor made, ScalarType? dtype, Device? device, bool requires_grad = false)
    {
        if (dtype is { } d && d != made.dtype || device is not null && device.type != DeviceType.CPU)
            using (made) return Finish(made.To(dtype, device), requires_grad);
        return Finish(made, requires_grad);
    }

    private static void RequireSizes(long count, ReadOnlySpan<long> sizes)
    {
        long wanted = 1;
        foreach (var size in sizes) wanted *= size;
        if (wanted != count)
            throw new ArgumentException(
                $"{count} elements do not fill a tensor of size [{string.Join(", ", sizes.ToArray())}].");
    }

    /// <summary>A copy of a .NET array of any rank.</summary>
    public static Tensor from_array(Array rawArray, Device? device = null) => from_array(rawArray, null, device);

    /// <inheritdoc cref="from_array(Array, Device)"/>
    /// <exception cref="ArgumentException">No tensor holds elements of the array's type.</exception>
    public static Tensor from_array(Array rawArray, ScalarType? dtype, Device? device = null,
        bool requires_grad = false, string[]? names = null)
    {
        RefuseNames(names);
        var made = Ops.empty_memory_format.Call(Sizes(rawArray), TypeOf(rawArray));
        var length = checked((int)(made.NumberOfElements * made.ElementSize));
        MemoryMarshal.CreateReadOnlySpan(ref MemoryMarshal.GetArrayDataReference(rawArray), length)
            .CopyTo(new Span<byte>(made.DataPointer(), length));
        return Convert(made, dtype, device, requires_grad);
    }

    /// <summary>A tensor over the elements of a one-dimensional array, without a copy.</summary>
    /// <param name="rawArray">The array, which must not be empty.</param>
    /// <param name="dtype">How its bytes are read.</param>
    /// <param name="count">How many elements of dtype; -1: all there are.</param>
    /// <param name="offset">How many bytes to skip.</param>
    /// <param name="requires_grad">Record operators on it.</param>
    /// <exception cref="ArgumentException">The array does not hold that many.</exception>
    public static Tensor frombuffer(Array rawArray, ScalarType dtype, long count = -1, long offset = 0,
        bool requires_grad = false)
    {
        var bytes = rawArray.LongLength * Tensor.SizeOf(TypeOf(rawArray));
        if (offset < 0 || offset >= bytes)
            throw new ArgumentException(
                $"The offset of {offset} bytes lies outside of the buffer's {bytes}.", nameof(offset));
        var available = (bytes - offset) / Tensor.SizeOf(dtype);
        if (count > available)
            throw new ArgumentException(
                $"The buffer holds {available} elements of {dtype}, not {count}.", nameof(count));
        return Finish(Share(rawArray, dtype, offset, [count < 0 ? available : count]), requires_grad);
    }

    private static long[] Sizes(Array array) =>
        Enumerable.Range(0, array.Rank).Select(array.GetLongLength).ToArray();

    private static ScalarType TypeOf(Array array) => array switch
    {
        _ when array.GetType().GetElementType() is { } type && ElementTypes.TryGetValue(type, out var found) => found,
        _ => throw new ArgumentException($"No tensor holds elements of type {array.GetType().GetElementType()?.Name}."),
    };

    private static readonly Dictionary<Type, ScalarType> ElementTypes = new()
    {
        [typeof(bool)] = ScalarType.Bool,
        [typeof(byte)] = ScalarType.Byte,
        [typeof(sbyte)] = ScalarType.Int8,
        [typeof(short)] = ScalarType.Int16,
        [typeof(int)] = ScalarType.Int32,
        [typeof(long)] = ScalarType.Int64,
        [typeof(float)] = ScalarType.Float32,
        [typeof(double)] = ScalarType.Float64,
    };
}
