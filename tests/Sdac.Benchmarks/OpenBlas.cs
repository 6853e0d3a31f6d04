using System;
using System.Runtime.InteropServices;

namespace Sdac.Benchmarks;

/// <summary>The peer that fractions of peak refer to: OpenBLAS's single-precision matrix product.</summary>
internal static unsafe partial class OpenBlas
{
    private const int RowMajor = 101;
    private const int NoTranspose = 111;
    private static int wanted = 1;

    static OpenBlas()
    {
        // Its OpenMP threads would otherwise spin on the cores while the kernel beside it is measured.
        if (OperatingSystem.IsLinux())
            SetEnvironment("OMP_WAIT_POLICY", "passive", 0);
    }

    /// <exception cref="InvalidOperationException">OpenBLAS is not installed.</exception>
    public static void SetThreads(int threads)
    {
        try
        {
            NativeSetThreads(wanted = threads);
        }
        catch (DllNotFoundException exception)
        {
            throw new InvalidOperationException(
                "libopenblas.so.0 is missing, which the benchmarks compare with: run ./build.sh bench.", exception);
        }
    }

    /// <summary>c [rows, columns] = a [rows, depth] · b [depth, columns].</summary>
    public static void Multiply(int rows, int columns, int depth, float* a, float* b, float* c)
    {
        // Both ask OpenMP for their threads, and libtorch's one, set at its first operation, would be OpenBLAS's too.
        NativeSetThreads(wanted);
        Sgemm(
            RowMajor, NoTranspose, NoTranspose, rows, columns, depth, 1f, a, depth, b, columns, 0f, c, columns);
    }

    [LibraryImport("libc", EntryPoint = "setenv", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int SetEnvironment(string name, string value, int overwrite);

    [LibraryImport("libopenblas.so.0", EntryPoint = "openblas_set_num_threads")]
    private static partial void NativeSetThreads(int threads);

    [LibraryImport("libopenblas.so.0", EntryPoint = "cblas_sgemm")]
    private static partial void Sgemm(
        int order, int transposeA, int transposeB, int m, int n, int k, float alpha, float* a, int lda, float* b,
        int ldb, float beta, float* c, int ldc);
}
