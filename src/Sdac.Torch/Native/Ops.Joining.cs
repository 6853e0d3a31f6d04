namespace TorchSharp.Native;

internal static partial class Ops
{
    internal static readonly Op block_diag = new("block_diag");
    internal static readonly Op broadcast_tensors = new("broadcast_tensors");
    internal static readonly Op can_cast = new("can_cast");
    internal static readonly Op cartesian_prod = new("cartesian_prod");
    internal static readonly Op cat = new("cat");
    internal static readonly Op column_stack = new("column_stack");
    internal static readonly Op dstack = new("dstack");
    internal static readonly Op einsum = new("einsum", inOrder: true);
    internal static readonly Op hstack = new("hstack");
    internal static readonly Op meshgrid_indexing = new("meshgrid", "indexing");
    internal static readonly Op promote_types = new("promote_types");
    internal static readonly Op result_type_Tensor = new("result_type", "Tensor");
    internal static readonly Op searchsorted_Tensor = new("searchsorted", "Tensor");
    internal static readonly Op stack = new("stack");
    internal static readonly Op vstack = new("vstack");
    internal static readonly Op where = new("where");
}
