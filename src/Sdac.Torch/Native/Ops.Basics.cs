namespace TorchSharp.Native;

internal static partial class Ops
{
    internal static readonly Op copy_ = new("copy_");
    internal static readonly Op detach = new("detach");
    internal static readonly Op detach_ = new("detach_");
    internal static readonly Op fill__Scalar = new("fill_", "Scalar");
    internal static readonly Op is_nonzero = new("is_nonzero");
    internal static readonly Op item = new("item");
    internal static readonly Op set__source_Tensor = new("set_", "source_Tensor");
    internal static readonly Op size_int = new("size", "int");
    internal static readonly Op stride_int = new("stride", "int");
    internal static readonly Op to_device = new("to", "device");
    internal static readonly Op to_dtype = new("to", "dtype");
    internal static readonly Op to_other = new("to", "other");
    internal static readonly Op zero_ = new("zero_");
}
