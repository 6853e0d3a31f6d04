namespace TorchSharp.Native;

internal static partial class Ops
{
    internal static readonly Op addmm = new("addmm", inOrder: true);
    internal static readonly Op addmm_ = new("addmm_", inOrder: true);
    internal static readonly Op addmv = new("addmv", inOrder: true);
    internal static readonly Op addmv_ = new("addmv_", inOrder: true);
    internal static readonly Op addr = new("addr");
    internal static readonly Op addr_ = new("addr_");
    internal static readonly Op baddbmm = new("baddbmm", inOrder: true);
    internal static readonly Op bmm = new("bmm", inOrder: true);
    internal static readonly Op det = new("det", inOrder: true);
    internal static readonly Op diag = new("diag");
    internal static readonly Op diag_embed = new("diag_embed");
    internal static readonly Op diagflat = new("diagflat");
    internal static readonly Op dot = new("dot", inOrder: true);
    internal static readonly Op ger = new("ger");
    internal static readonly Op inner = new("inner", inOrder: true);
    internal static readonly Op inverse = new("inverse", inOrder: true);
    internal static readonly Op kron = new("kron");
    internal static readonly Op logdet = new("logdet", inOrder: true);
    internal static readonly Op matmul = new("matmul", inOrder: true);
    internal static readonly Op mm = new("mm", inOrder: true);
    internal static readonly Op mv = new("mv", inOrder: true);
    internal static readonly Op outer = new("outer");
    internal static readonly Op trace = new("trace", inOrder: true);
    internal static readonly Op tril = new("tril");
    internal static readonly Op triu = new("triu");
    internal static readonly Op vdot = new("vdot", inOrder: true);
}
