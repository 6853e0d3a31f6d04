namespace TorchSharp.Native;

internal static partial class Ops
{
    internal static readonly Op addmm = new("addmm");
    internal static readonly Op addmm_ = new("addmm_");
    internal static readonly Op addmv = new("addmv");
    internal static readonly Op addmv_ = new("addmv_");
    internal static readonly Op addr = new("addr");
    internal static readonly Op addr_ = new("addr_");
    internal static readonly Op baddbmm = new("baddbmm");
    internal static readonly Op bmm = new("bmm");
    internal static readonly Op det = new("det");
    internal static readonly Op diag = new("diag");
    internal static readonly Op diag_embed = new("diag_embed");
    internal static readonly Op diagflat = new("diagflat");
    internal static readonly Op dot = new("dot");
    internal static readonly Op ger = new("ger");
    internal static readonly Op inner = new("inner");
    internal static readonly Op inverse = new("inverse");
    internal static readonly Op kron = new("kron");
    internal static readonly Op logdet = new("logdet");
    internal static readonly Op matmul = new("matmul");
    internal static readonly Op mm = new("mm");
    internal static readonly Op mv = new("mv");
    internal static readonly Op outer = new("outer");
    internal static readonly Op trace = new("trace");
    internal static readonly Op tril = new("tril");
    internal static readonly Op triu = new("triu");
    internal static readonly Op vdot = new("vdot");
}
