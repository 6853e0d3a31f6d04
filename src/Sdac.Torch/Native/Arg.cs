using System;
using System.Text;

namespace TorchSharp.Native;

/// <summary>An operator's argument on the managed side: a value, plus what must stay alive during the call.</summary>
internal readonly ref struct Arg
{
    private readonly ValueKind kind;
    private readonly long bits;
    private readonly long count;
    internal readonly object? Owner;
    internal readonly ReadOnlySpan<long> List;

    private Arg(ValueKind kind, long bits = 0, long count = 0, object? owner = null, ReadOnlySpan<long> list = default)
    {
        this.kind = kind;
        this.bits = bits;
        this.count = count;
        Owner = owner;
        List = list;
    }

    internal static Arg None => new(ValueKind.None);

    public static implicit operator Arg(torch.Tensor? tensor) =>
        tensor is null ? None : new(ValueKind.Tensor, tensor.Handle, owner: tensor);

    public static implicit operator Arg(long value) => new(ValueKind.Int, value);

    public static implicit operator Arg(long? value) => value is { } v ? v : None;

    public static implicit operator Arg(double value) => new(ValueKind.Double, BitConverter.DoubleToInt64Bits(value));

    public static implicit operator Arg(double? value) => value is { } v ? v : None;

    public static implicit operator Arg(bool value) => new(ValueKind.Bool, value ? 1 : 0);

    public static implicit operator Arg(torch.ScalarType value) => new(ValueKind.Int, (long)value);

    public static implicit operator Arg(torch.ScalarType? value) => value is { } v ? v : None;

    public static implicit operator Arg(Scalar? value) => value is null ? None : new(value.Kind, value.Bits);

    public static implicit operator Arg(torch.Device? value) =>
        value is null ? None : new(ValueKind.Device, (long)value.type, value.index);

    public static implicit operator Arg(torch.Generator? value) =>
        value is null ? None : new(ValueKind.Generator, value.Handle, owner: value);

    public static implicit operator Arg(ReadOnlySpan<long> values) =>
        new(ValueKind.IntList, count: values.Length, list: values);

    /// <summary>A list of integers, for collection expressions, which no conversion operator accepts.</summary>
    internal static Arg Ints(ReadOnlySpan<long> values) => values;

    public static implicit operator Arg(long[]? values) => values is null ? None : new ReadOnlySpan<long>(values);

    public static implicit operator Arg(torch.Tensor[] tensors) => Handles(ValueKind.TensorList, tensors);

    /// <summary>A list in which null stands for "no tensor", as index operators take it.</summary>
    internal static Arg Optional(torch.Tensor?[] tensors) => Handles(ValueKind.OptionalTensors, tensors);

    public static implicit operator Arg(string? text)
    {
        if (text is null) return None;
        var bytes = Encoding.UTF8.GetBytes(text);
        var words = new long[bytes.Length / sizeof(long) + 1];
        Buffer.BlockCopy(bytes, 0, words, 0, bytes.Length);
        return new(ValueKind.String, count: bytes.Length, list: words);
    }

    private static Arg Handles(ValueKind kind, torch.Tensor?[] tensors)
    {
        var handles = new long[tensors.Length];
        for (var i = 0; i < handles.Length; i++)
            if (tensors[i] is { } tensor) handles[i] = tensor.Handle;
        return new(kind, count: handles.Length, owner: tensors, list: handles);
    }

    /// <summary>Writes the native form; <paramref name="list"/> is where <see cref="List"/> is pinned.</summary>
    internal unsafe void Write(NativeValue* into, long* list)
    {
        into->Kind = kind;
        into->Bits = list is null ? bits : (long)list;
        into->Count = count;
    }
}
