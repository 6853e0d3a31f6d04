using System;
using System.Globalization;
using TorchSharp.Native;

namespace TorchSharp;

/// <summary>A number of no particular size, as operators take it: integer, floating-point or truth value.</summary>
public sealed class Scalar : IDisposable
{
    internal readonly ValueKind Kind;
    internal readonly long Bits;

    internal Scalar(ValueKind kind, long bits)
    {
        Kind = kind;
        Bits = bits;
    }

    /// <summary>Int64, Float64 or Bool: libtorch keeps a scalar in the widest type of its kind.</summary>
    public torch.ScalarType Type => Kind switch
    {
        ValueKind.Int => torch.ScalarType.Int64,
        ValueKind.Double => torch.ScalarType.Float64,
        _ => torch.ScalarType.Bool,
    };

    internal bool IsIntegral => Kind != ValueKind.Double;

    internal double AsDouble => Kind == ValueKind.Double ? BitConverter.Int64BitsToDouble(Bits) : Bits;

    internal long AsLong => Kind == ValueKind.Double ? checked((long)AsDouble) : Bits;

    internal bool AsBool => Kind == ValueKind.Double ? AsDouble != 0 : Bits != 0;

    public static implicit operator Scalar(byte value) => new(ValueKind.Int, value);

    public static implicit operator Scalar(sbyte value) => new(ValueKind.Int, value);

    public static implicit operator Scalar(short value) => new(ValueKind.Int, value);

    public static implicit operator Scalar(int value) => new(ValueKind.Int, value);

    public static implicit operator Scalar(long value) => new(ValueKind.Int, value);

    public static implicit operator Scalar(float value) => (double)value;

    public static implicit operator Scalar(double value) =>
        new(ValueKind.Double, BitConverter.DoubleToInt64Bits(value));

    public static implicit operator Scalar(bool value) => new(ValueKind.Bool, value ? 1 : 0);

    /// <summary>
    /// Nothing is held here; TorchSharp's scalars are native, so programs written for it dispose them.
    /// </summary>
    public void Dispose() { }

    internal string Text => Kind switch
    {
        ValueKind.Double => AsDouble.ToString("G6", CultureInfo.InvariantCulture),
        ValueKind.Bool => AsBool ? "true" : "false",
        _ => Bits.ToString(CultureInfo.InvariantCulture),
    };
}
