using System;
using static TorchSharp.torch;

namespace Sdac.LibTorch;

/// <summary>
/// mish(x) = x·tanh(softplus(x)) as libtorch's one fused operation. TorchSharp 0.107 makes it of three, which on a GPU
/// read and write the activations three times.
/// </summary>
public static unsafe class Mish
{
    private static readonly delegate* unmanaged<nint, nint> InPlace = Find();

    /// <summary>Overwrites a tensor of floats with its mish, under autograd too; returns the same tensor.</summary>
    /// <exception cref="ArgumentException">A tensor of integers.</exception>
    public static Tensor Apply(Tensor x)
    {
        if (!x.is_floating_point())
            throw new ArgumentException($"mish needs floats, not {x.dtype}", nameof(x));
        _ = InPlace(x.Handle);
        GC.KeepAlive(x);
        return x;
    }

    // at::_ops::mish_::call(at::Tensor&): a Handle is the address of an at::Tensor.
    private static delegate* unmanaged<nint, nint> Find()
    {
        const string Function = "_ZN2at4_ops5mish_4callERNS_6TensorE";
        var address = Libtorch.Function(Function);
        return address != 0
            ? (delegate* unmanaged<nint, nint>)address
            : throw new EntryPointNotFoundException($"this libtorch has no {Function}: take libtorch {Libtorch.Version}");
    }
}
