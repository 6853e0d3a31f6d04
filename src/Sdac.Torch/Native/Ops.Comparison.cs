namespace TorchSharp.Native;

internal static partial class Ops
{
    internal static readonly Op allclose = new("allclose");
    internal static readonly Op bitwise_and_Tensor = new("bitwise_and", "Tensor");
    internal static readonly Op bitwise_and__Tensor = new("bitwise_and_", "Tensor");
    internal static readonly Op bitwise_not = new("bitwise_not");
    internal static readonly Op bitwise_not_ = new("bitwise_not_");
    internal static readonly Op bitwise_or_Tensor = new("bitwise_or", "Tensor");
    internal static readonly Op bitwise_or__Tensor = new("bitwise_or_", "Tensor");
    internal static readonly Op bitwise_xor_Tensor = new("bitwise_xor", "Tensor");
    internal static readonly Op bitwise_xor__Tensor = new("bitwise_xor_", "Tensor");
    internal static readonly Op eq_Scalar = new("eq", "Scalar");
    internal static readonly Op eq_Tensor = new("eq", "Tensor");
    internal static readonly Op eq__Scalar = new("eq_", "Scalar");
    internal static readonly Op eq__Tensor = new("eq_", "Tensor");
    internal static readonly Op equal = new("equal");
    internal static readonly Op ge_Scalar = new("ge", "Scalar");
    internal static readonly Op ge_Tensor = new("ge", "Tensor");
    internal static readonly Op ge__Scalar = new("ge_", "Scalar");
    internal static readonly Op ge__Tensor = new("ge_", "Tensor");
    internal static readonly Op gt_Scalar = new("gt", "Scalar");
    internal static readonly Op gt_Tensor = new("gt", "Tensor");
    internal static readonly Op gt__Scalar = new("gt_", "Scalar");
    internal static readonly Op gt__Tensor = new("gt_", "Tensor");
    internal static readonly Op isclose = new("isclose");
    internal static readonly Op le_Scalar = new("le", "Scalar");
    internal static readonly Op le_Tensor = new("le", "Tensor");
    internal static readonly Op le__Scalar = new("le_", "Scalar");
    internal static readonly Op le__Tensor = new("le_", "Tensor");
    internal static readonly Op logical_and = new("logical_and");
    internal static readonly Op logical_and_ = new("logical_and_");
    internal static readonly Op logical_not = new("logical_not");
    internal static readonly Op logical_not_ = new("logical_not_");
    internal static readonly Op logical_or = new("logical_or");
    internal static readonly Op logical_or_ = new("logical_or_");
    internal static readonly Op logical_xor = new("logical_xor");
    internal static readonly Op logical_xor_ = new("logical_xor_");
    internal static readonly Op lt_Scalar = new("lt", "Scalar");
    internal static readonly Op lt_Tensor = new("lt", "Tensor");
    internal static readonly Op lt__Scalar = new("lt_", "Scalar");
    internal static readonly Op lt__Tensor = new("lt_", "Tensor");
    internal static readonly Op ne_Scalar = new("ne", "Scalar");
    internal static readonly Op ne_Tensor = new("ne", "Tensor");
    internal static readonly Op ne__Scalar = new("ne_", "Scalar");
    internal static readonly Op ne__Tensor = new("ne_", "Tensor");
}
