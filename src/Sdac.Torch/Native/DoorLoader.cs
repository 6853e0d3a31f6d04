using System;
using System.IO;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;

namespace TorchSharp.Native;

/// <summary>
/// Finds <c>libsdac_torch.so</c> (environment variable SDAC_TORCH, else beside this assembly) and sets, before libtorch
/// starts, what makes it fast here. Whatever the user has set in the environment stays.
/// </summary>
internal static class DoorLoader
{
    internal const string Library = "sdac_torch";
    private const string FileName = "libsdac_torch.so";

    internal static void Install() => NativeLibrary.SetDllImportResolver(typeof(DoorLoader).Assembly, Resolve);

    private static nint Resolve(string name, Assembly assembly, DllImportSearchPath? searchPath) =>
        name == Library ? Load(Environment.GetEnvironmentVariable("SDAC_TORCH") ?? Beside(assembly)) : 0;

    private static string Beside(Assembly assembly)
    {
        var folder = Path.GetDirectoryName(assembly.Location);
        return Path.Combine(string.IsNullOrEmpty(folder) ? AppContext.BaseDirectory : folder, FileName);
    }

    /// <summary>Loads the door from a path.</summary>
    /// <exception cref="DllNotFoundException">
    /// The file, or libtorch behind it, is missing; the text says what to do.
    /// </exception>
    internal static nint Load(string path)
    {
        if (!File.Exists(path))
            throw new DllNotFoundException(
                $"The tensor library's native part is missing at {path}: "
                + "run `./build.sh build`, or name it in SDAC_TORCH.");
        SetEnvironment();
        nint door;
        try
        {
            door = NativeLibrary.Load(path);
        }
        catch (Exception e) when (e is DllNotFoundException or BadImageFormatException)
        {
            throw new DllNotFoundException(
                $"libtorch cannot be loaded for {path} ({Reason(e.Message)}): run `./build.sh setup` to install it, "
                + "or set LIBTORCH to your libtorch and run `./build.sh build`.", e);
        }
        UseProcessors(door);
        return door;
    }

    // The runtime's message wraps the loader's own line ("libtorch_cpu.so: cannot open shared object file ...").
    private static string Reason(string message)
    {
        foreach (var line in message.Split('\n'))
            if (line.Contains(".so", StringComparison.Ordinal) && line.Contains(": ", StringComparison.Ordinal)
                && !line.StartsWith("Unable to load", StringComparison.Ordinal))
                return line.Trim();
        return message.Replace('\n', ' ').Trim();
    }

    private static void SetEnvironment()
    {
        // libtorch uses its AVX-512 kernels only when asked to.
        if (Avx512F.IsSupported && Avx512BW.IsSupported && Avx512DQ.IsSupported && Avx512F.VL.IsSupported
            && Fma.IsSupported)
            SetUnlessSet("ATEN_CPU_CAPABILITY", "avx512");
        // Idle OpenMP workers spin by default, and take the processor from the kernels' own threads.
        if (Environment.GetEnvironmentVariable("GOMP_SPINCOUNT") is null)
            SetUnlessSet("OMP_WAIT_POLICY", "passive");
    }

    // libtorch counts the machine's cores, blind to a container's share of them, and takes 1 where it cannot count.
    private static unsafe void UseProcessors(nint door)
    {
        if (Environment.GetEnvironmentVariable("OMP_NUM_THREADS") is not null
            || Environment.GetEnvironmentVariable("MKL_NUM_THREADS") is not null) return;
        var get = (delegate* unmanaged<int>)NativeLibrary.GetExport(door, nameof(Door.sdac_threads));
        var set = (delegate* unmanaged<int, int>)NativeLibrary.GetExport(door, nameof(Door.sdac_set_threads));
        var counted = get();
        var threads = counted <= 1 ? Environment.ProcessorCount : Math.Min(counted, Environment.ProcessorCount);
        if (threads != counted) _ = set(threads);
    }

    private static void SetUnlessSet(string name, string value)
    {
        // .NET's SetEnvironmentVariable does not reach native getenv.
        if (OperatingSystem.IsLinux()) _ = setenv(name, value, 0);
    }

    [DllImport("libc", CharSet = CharSet.Ansi, BestFitMapping = false, ThrowOnUnmappableChar = true)]
    private static extern int setenv(string name, string value, int overwrite);
}
