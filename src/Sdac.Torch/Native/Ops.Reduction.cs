namespace TorchSharp.Native;

internal static partial class Ops
{
    internal static readonly Op all = new("all");
    internal static readonly Op all_dim = new("all", "dim");
    internal static readonly Op amax = new("amax");
    internal static readonly Op amax_out = new("amax", "out");
    internal static readonly Op amin = new("amin");
    internal static readonly Op amin_out = new("amin", "out");
    internal static readonly Op aminmax = new("aminmax");
    internal static readonly Op any = new("any");
    internal static readonly Op any_dim = new("any", "dim");
    internal static readonly Op argmax = new("argmax");
    internal static readonly Op argmin = new("argmin");
    internal static readonly Op count_nonzero = new("count_nonzero");
    internal static readonly Op count_nonzero_dim_IntList = new("count_nonzero", "dim_IntList");
    internal static readonly Op cummax = new("cummax");
    internal static readonly Op cummin = new("cummin");
    internal static readonly Op cumprod = new("cumprod");
    internal static readonly Op cumsum = new("cumsum");
    internal static readonly Op dist = new("dist", inOrder: true);
    internal static readonly Op log_softmax_int = new("log_softmax", "int");
    internal static readonly Op logcumsumexp = new("logcumsumexp");
    internal static readonly Op logsumexp = new("logsumexp", inOrder: true);
    internal static readonly Op max = new("max");
    internal static readonly Op max_dim = new("max", "dim");
    internal static readonly Op mean = new("mean", inOrder: true);
    internal static readonly Op mean_dim = new("mean", "dim", inOrder: true);
    internal static readonly Op median = new("median");
    internal static readonly Op min = new("min");
    internal static readonly Op min_dim = new("min", "dim");
    internal static readonly Op nanmean = new("nanmean", inOrder: true);
    internal static readonly Op nansum = new("nansum", inOrder: true);
    internal static readonly Op norm_Scalar = new("norm", "Scalar", inOrder: true);
    internal static readonly Op norm_ScalarOpt_dim = new("norm", "ScalarOpt_dim", inOrder: true);
    internal static readonly Op quantile = new("quantile");
    internal static readonly Op softmax_int = new("softmax", "int");
    internal static readonly Op std = new("std", inOrder: true);
    internal static readonly Op std_dim = new("std", "dim", inOrder: true);
    internal static readonly Op std_mean = new("std_mean", inOrder: true);
    internal static readonly Op std_mean_dim = new("std_mean", "dim", inOrder: true);
    internal static readonly Op sum = new("sum", inOrder: true);
    internal static readonly Op sum_dim_IntList = new("sum", "dim_IntList", inOrder: true);
    internal static readonly Op var = new("var", inOrder: true);
    internal static readonly Op var_dim = new("var", "dim", inOrder: true);
    internal static readonly Op var_mean = new("var_mean", inOrder: true);
    internal static readonly Op var_mean_dim = new("var_mean", "dim", inOrder: true);
}
