using System;
using System.Collections;
using System.Collections.Generic;
using System.Linq;

namespace TorchSharp.Utils;

/// <summary>
/// The elements of a tensor on the CPU, read and written in place, whatever its strides; enumeration goes in row-major
/// order. Disposing it does not dispose the tensor.
/// </summary>
public sealed unsafe class TensorAccessor<T> : IEnumerable<T>, IDisposable where T : unmanaged
{
    private readonly torch.Tensor tensor;
    private readonly T* data;
    private readonly long[] sizes;
    private readonly long[] strides;
    private readonly bool contiguous;

    internal TensorAccessor(torch.Tensor tensor)
    {
        this.tensor = tensor;
        data = (T*)tensor.DataPointer();
        sizes = tensor.shape;
        strides = tensor.stride();
        contiguous = tensor.is_contiguous();
        Count = tensor.NumberOfElements;
    }

    public long Count { get; }

    public bool IsReadOnly => false;

    /// <summary>The element at a full multi-index, or at a row-major position when one number is given.</summary>
    /// <exception cref="IndexOutOfRangeException">The index lies outside of the tensor.</exception>
    public T this[params long[] indices]
    {
        get => data[Offset(indices)];
        set => data[Offset(indices)] = value;
    }

    public T[] ToArray()
    {
        var array = new T[Count];
        CopyTo(array);
        return array;
    }

    /// <summary>A .NET array of the tensor's rank; for a scalar, an array of one element.</summary>
    public Array ToNDArray()
    {
        if (sizes.Length == 0) return ToArray();
        var array = Array.CreateInstance(typeof(T), sizes);
        var position = new long[sizes.Length];
        foreach (var element in this)
        {
            array.SetValue(element, position);
            for (var d = sizes.Length - 1; d >= 0 && ++position[d] == sizes[d]; d--) position[d] = 0;
        }
        return array;
    }

    public void CopyTo(T[] array, int arrayIndex = 0, long tensorIndex = 0)
    {
        RequireAlive();
        var count = checked((int)Math.Min(Count - tensorIndex, array.Length - arrayIndex));
        if (contiguous) new ReadOnlySpan<T>(data + tensorIndex, count).CopyTo(array.AsSpan(arrayIndex));
        else
            for (var i = 0; i < count; i++) array[arrayIndex + i] = data[OffsetOf(tensorIndex + i)];
        GC.KeepAlive(tensor);
    }

    public void CopyFrom(T[] array, int arrayIndex = 0, long tensorIndex = 0)
    {
        RequireAlive();
        var count = checked((int)Math.Min(Count - tensorIndex, array.Length - arrayIndex));
        if (contiguous) array.AsSpan(arrayIndex, count).CopyTo(new(data + tensorIndex, count));
        else
            for (var i = 0; i < count; i++) data[OffsetOf(tensorIndex + i)] = array[arrayIndex + i];
        GC.KeepAlive(tensor);
    }

    public IEnumerator<T> GetEnumerator()
    {
        for (long i = 0; i < Count; i++) yield return At(i);
    }

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    /// <summary>Nothing to release: the tensor owns the memory.</summary>
    public void Dispose() { }

    public override bool Equals(object? obj) =>
        obj is TensorAccessor<T> other && Count == other.Count && this.SequenceEqual(other);

    public override int GetHashCode() => HashCode.Combine((nint)data, Count);

    public static bool operator ==(TensorAccessor<T> left, TensorAccessor<T> right) => left.Equals(right);

    public static bool operator !=(TensorAccessor<T> left, TensorAccessor<T> right) => !left.Equals(right);

    private T At(long position)
    {
        RequireAlive();
        return data[OffsetOf(position)];
    }

    private void RequireAlive() => ObjectDisposedException.ThrowIf(tensor.IsInvalid, tensor);

    private long OffsetOf(long position)
    {
        if (contiguous) return position;
        long offset = 0;
        for (var d = sizes.Length - 1; d >= 0; d--)
        {
            (position, var index) = Math.DivRem(position, sizes[d]);
            offset += index * strides[d];
        }
        return offset;
    }

    private long Offset(long[] indices)
    {
        RequireAlive();
        if (indices.Length == 1 && sizes.Length != 1)
        {
            if ((ulong)indices[0] >= (ulong)Count) throw Outside(indices);
            return OffsetOf(indices[0]);
        }
        if (indices.Length != sizes.Length) throw Outside(indices);
        long offset = 0;
        for (var d = 0; d < sizes.Length; d++)
        {
            if ((ulong)indices[d] >= (ulong)sizes[d]) throw Outside(indices);
            offset += indices[d] * strides[d];
        }
        return offset;
    }

    private IndexOutOfRangeException Outside(long[] indices) =>
        new($"The index [{string.Join(", ", indices)}] lies outside of a tensor of size [{string.Join(", ", sizes)}].");
}
