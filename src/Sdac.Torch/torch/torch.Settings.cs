using System;
using System.Runtime.InteropServices;
using TorchSharp.Native;

namespace TorchSharp;

public static partial class torch
{
    /// <summary>libtorch's version, as in "1.13.1".</summary>
    public static unsafe string __version__ => Marshal.PtrToStringUTF8((nint)Door.sdac_version())!;

    public static DisposeScope NewDisposeScope() => DisposeScopeManager.Current.NewScope();

    /// <summary>Evaluates in a scope of its own; only the result outlives it, in the scope around it.</summary>
    public static Tensor WrappedTensorDisposeScope(Func<Tensor> expr)
    {
        using var scope = NewDisposeScope();
        return expr().MoveToOuterDisposeScope();
    }

    public static int get_num_threads() => Door.sdac_threads();

    /// <exception cref="ExternalException">Not a positive number.</exception>
    public static void set_num_threads(int num) => Door.Check(Door.sdac_set_threads(num));

    public static int get_num_interop_threads() => Door.sdac_interop_threads();

    public static void set_num_interop_threads(int num) => Door.Check(Door.sdac_set_interop_threads(num));

    public static ScalarType get_default_dtype() => (ScalarType)Door.sdac_default_dtype();

    public static void set_default_dtype(ScalarType dtype) => Door.Check(Door.sdac_set_default_dtype((int)dtype));
}
