using System;
using System.Runtime.Intrinsics.X86;

namespace Sdac.Kernels.Simd;

/// <summary>Which instructions the kernels use. All give the same bits.</summary>
internal enum KernelPath
{
    Scalar,
    Portable,
    Avx2,
    Avx512,
}

/// <summary>A piece of work written once for all vector widths.</summary>
internal interface IKernel
{
    void Run<TSimd, V>()
        where TSimd : struct, ISimd<V>
        where V : struct;
}

/// <summary>Chooses the path when the process starts; SDAC_KERNELS=avx512|avx2|portable|scalar overrides it.</summary>
internal static class KernelPaths
{
    /// <summary>The path in use. Settable so that tests can compare the paths.</summary>
    public static KernelPath Current { get; set; } = Choose(Environment.GetEnvironmentVariable("SDAC_KERNELS"));

    public static bool IsSupported(KernelPath path) => path switch
    {
        KernelPath.Avx512 => Avx512F.IsSupported,
        KernelPath.Avx2 => Avx2.IsSupported && Fma.IsSupported,
        _ => true,
    };

    public static KernelPath Choose(string? wanted)
    {
        if (string.IsNullOrEmpty(wanted))
            return IsSupported(KernelPath.Avx512) ? KernelPath.Avx512
                : IsSupported(KernelPath.Avx2) ? KernelPath.Avx2
                : KernelPath.Portable;
        if (!Enum.TryParse(wanted, ignoreCase: true, out KernelPath path) || !Enum.IsDefined(path))
            throw new InvalidOperationException(
                $"SDAC_KERNELS is '{wanted}', which is no kernel path: " +
                "use avx512, avx2, portable or scalar, or unset it.");
        if (!IsSupported(path))
            throw new InvalidOperationException(
                $"SDAC_KERNELS asks for {wanted}, which this processor lacks: unset it or use portable.");
        return path;
    }

    public static void Run<TKernel>(ref TKernel kernel)
        where TKernel : struct, IKernel
    {
        switch (Current)
        {
            case KernelPath.Avx512:
                kernel.Run<Simd512, System.Runtime.Intrinsics.Vector512<float>>();
                break;
            case KernelPath.Avx2:
                kernel.Run<Simd256, System.Runtime.Intrinsics.Vector256<float>>();
                break;
            case KernelPath.Portable:
                kernel.Run<Simd128, System.Runtime.Intrinsics.Vector128<float>>();
                break;
            default:
                kernel.Run<SimdScalar, float>();
                break;
        }
    }
}
