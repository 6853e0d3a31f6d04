using System;
using System.Runtime.InteropServices;

namespace TorchSharp.Native;

/// <summary>The entries of <c>libsdac_torch.so</c>; <c>native/torch_door.cpp</c> says what each does.</summary>
internal static unsafe partial class Door
{
    private const string Library = DoorLoader.Library;

    static Door() => DoorLoader.Install();

    /// <summary>The last native failure on this thread, as the exception TorchSharp would throw.</summary>
    internal static ExternalException Error() => new(Marshal.PtrToStringUTF8((nint)sdac_error())!.TrimEnd());

    /// <summary>Passes a native status through, or throws what went wrong.</summary>
    internal static long Check(long status) => status == -1 ? throw Error() : status;

    [DllImport(Library)]
    private static extern byte* sdac_error();

    [DllImport(Library)]
    internal static extern byte* sdac_version();

    [DllImport(Library)]
    internal static extern long sdac_live_tensors();

    [DllImport(Library)]
    internal static extern void sdac_free(void* memory);

    [DllImport(Library)]
    internal static extern nint sdac_operator(
        [MarshalAs(UnmanagedType.LPUTF8Str)] string name, [MarshalAs(UnmanagedType.LPUTF8Str)] string overload,
        int inOrder);

    [DllImport(Library)]
    internal static extern int sdac_call(nint op, NativeValue* args, int count, NativeValue* results, int capacity);

    [DllImport(Library)]
    internal static extern void sdac_release(nint tensor);

    [DllImport(Library)]
    internal static extern nint sdac_from_memory(void* data, long* sizes, long rank, int dtype,
        delegate* unmanaged<nint, void> deleter, nint context);

    [DllImport(Library)]
    internal static extern void* sdac_data(nint tensor);

    [DllImport(Library)]
    internal static extern int sdac_describe(nint tensor, TensorDescription* into);

    [DllImport(Library)]
    internal static extern int sdac_sizes(nint tensor, long* sizes, long* strides);

    [DllImport(Library)]
    internal static extern long sdac_storage_offset(nint tensor);

    [DllImport(Library)]
    internal static extern int sdac_requires_grad(nint tensor);

    [DllImport(Library)]
    internal static extern int sdac_set_requires_grad(nint tensor, int value);

    [DllImport(Library)]
    internal static extern int sdac_is_leaf(nint tensor);

    [DllImport(Library)]
    internal static extern int sdac_retain_grad(nint tensor);

    [DllImport(Library)]
    internal static extern int sdac_grad(long* outputs, long outputCount, long* inputs, long inputCount,
        long* outputGradients, long gradientCount, int retainGraph, int createGraph, int allowUnused, long* gradients);

    [DllImport(Library)]
    internal static extern int sdac_backward(long* tensors, long tensorCount, long* gradients, long gradientCount,
        long* inputs, long inputCount, int retainGraph, int createGraph);

    [DllImport(Library)]
    internal static extern int sdac_grad_mode();

    [DllImport(Library)]
    internal static extern void sdac_set_grad_mode(int enabled);

    [DllImport(Library)]
    internal static extern int sdac_threads();

    [DllImport(Library)]
    internal static extern int sdac_set_threads(int count);

    [DllImport(Library)]
    internal static extern int sdac_interop_threads();

    [DllImport(Library)]
    internal static extern int sdac_set_interop_threads(int count);

    [DllImport(Library)]
    internal static extern int sdac_cuda_devices();

    [DllImport(Library)]
    internal static extern int sdac_has_cudnn();

    [DllImport(Library)]
    internal static extern int sdac_init_cuda();

    [DllImport(Library)]
    internal static extern int sdac_default_dtype();

    [DllImport(Library)]
    internal static extern int sdac_set_default_dtype(int dtype);

    [DllImport(Library)]
    internal static extern nint sdac_generator(long type, long index, int fresh);

    [DllImport(Library)]
    internal static extern void sdac_generator_free(nint generator);

    [DllImport(Library)]
    internal static extern long sdac_generator_set_seed(nint generator, long seed);

    [DllImport(Library)]
    internal static extern int sdac_generator_seed(nint generator, int drawANewOne, long* seed);

    [DllImport(Library)]
    internal static extern long sdac_generator_state(nint generator);

    [DllImport(Library)]
    internal static extern long sdac_generator_set_state(nint generator, nint state);

    [DllImport(Library)]
    internal static extern int sdac_manual_seed(long seed);
}
