using System.Runtime.InteropServices;

namespace TorchSharp.Native;

/// <summary>The kinds of values that cross the door; the numbers are those of <c>torch_door.cpp</c>.</summary>
internal enum ValueKind : long
{
    SchemaDefault = 0,
    None = 1,
    Tensor = 2,
    Int = 3,
    Double = 4,
    Bool = 5,
    IntList = 6,
    TensorList = 7,
    OptionalTensors = 8,
    Device = 9,
    Generator = 10,
    String = 11,
}

/// <summary>One argument or result of an operator, laid out as in <c>torch_door.cpp</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct NativeValue
{
    public ValueKind Kind;
    public long Bits;
    public long Count;
}
