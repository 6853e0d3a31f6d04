using System;
using System.IO;
using System.Linq;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using System.Text;
using Sdac.Kernels;
using TorchSharp;
using static System.FormattableString;

namespace Sdac.LibTorch;

/// <summary>
/// The one start of libtorch. What it must be told before it is loaded stands in the environment of the C library, so
/// whatever makes the first tensor passes here first: <c>scripts/sdac.fsx</c>, the tests' program and every tensor that
/// the libraries above make.
/// </summary>
public static class Libtorch
{
    /// <summary>The libtorch that the TorchSharp package was compiled against.</summary>
    public const string Version = "2.10.0";

    private const string Binding = "libLibTorchSharp.so";
    private const string Main = "libtorch.so";
    private const string Remedy = "run `./build.sh build`, and see that LD_LIBRARY_PATH names no other libtorch";
    private const int BindNow = 2;
    private static readonly object Gate = new();
    private static volatile bool started;
    private static int processors = 1;

    /// <summary>
    /// Says to libtorch's OpenMP and kernels, before they are loaded, what makes them fast beside this project's own
    /// threads. What the user has set in the environment stays. Cheap; may be called again.
    /// </summary>
    public static void Prepare()
    {
        if (!OperatingSystem.IsLinux())
            return;
        // libtorch uses its AVX-512 kernels only when asked to.
        if (Avx512F.IsSupported && Avx512BW.IsSupported && Avx512DQ.IsSupported && Avx512F.VL.IsSupported && Fma.IsSupported)
            SetUnlessSet("ATEN_CPU_CAPABILITY", "avx512");
        // Idle OpenMP workers spin by default, and take the processor from the kernels' own threads.
        if (Environment.GetEnvironmentVariable("GOMP_SPINCOUNT") is null)
            SetUnlessSet("OMP_WAIT_POLICY", "passive");
    }

    /// <summary>Loads libtorch, once, with one thread: its sums must not depend on the number of threads.</summary>
    /// <exception cref="MissingLibraryException">
    /// libtorch is missing, cannot be loaded or is of another version; the text is one sentence with the fix.
    /// </exception>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Start()
    {
        if (!started)
            StartOnce();
    }

    /// <summary>
    /// Threads of libtorch's own operations. One while this project's kernels do the networks' passes: sums and
    /// gradients of broadcasts change bits with the number of threads, and idle workers would be in the kernels' way.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">Less than 1: libtorch would end the process.</exception>
    public static void UseThreads(int threads)
    {
        if (threads < 1)
            throw new ArgumentOutOfRangeException(
                nameof(threads), Invariant($"libtorch cannot work with {threads} threads; take at least 1"));
        Start();
        torch.set_num_threads(threads);
    }

    /// <summary>
    /// Threads as the user set them (OMP_NUM_THREADS, MKL_NUM_THREADS), else as many as this process has processors:
    /// libtorch alone would count the machine's, blind to a container's share.
    /// </summary>
    public static void UseProcessors()
    {
        Start();
        UseThreads(processors);
    }

    private static void StartOnce()
    {
        lock (Gate)
        {
            if (started)
                return;
            Prepare();
            var binding = NativeFiles.Find(typeof(torch).Assembly, Binding) ?? Path.Combine(AppContext.BaseDirectory, Binding);
            if (!File.Exists(Path.Combine(Path.GetDirectoryName(binding)!, Main)))
                LoadApart();
            Load(binding);
            var chosen = Environment.GetEnvironmentVariable("OMP_NUM_THREADS") is not null
                || Environment.GetEnvironmentVariable("MKL_NUM_THREADS") is not null;
            processors = chosen ? Math.Max(1, torch.get_num_threads()) : Environment.ProcessorCount;
            torch.set_num_threads(1);
            started = true;
        }
    }

    // A session that has its packages by `#r "nuget: ..."` puts their folders into PATH. It is asked itself only behind the system's
    // own folders, where another libtorch may lie.
    private static void LoadApart()
    {
        if (FirstIn(Environment.GetEnvironmentVariable("PATH"), Main) is { } path)
            NativeLibrary.TryLoad(path, out _);
        else
            NativeLibrary.TryLoad(Main, typeof(torch).Assembly, null, out _);
    }

    /// <summary>The first file of this name in a list of folders such as PATH; null where there is none.</summary>
    internal static string? FirstIn(string? folders, string name) =>
        (folders ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries)
            .Select(folder => Path.Combine(folder, name))
            .FirstOrDefault(File.Exists);

    /// <summary>The address of one of libtorch's functions by its mangled name; 0 where it has none.</summary>
    internal static nint Function(string name)
    {
        Start();
        return NativeLibrary.TryGetExport(NativeLibrary.Load("libtorch_cpu.so"), name, out var address) ? address : 0;
    }

    /// <summary>Loads TorchSharp's native library, and with it libtorch, from a path.</summary>
    /// <exception cref="MissingLibraryException">As for <see cref="Start"/>.</exception>
    internal static void Load(string path)
    {
        if (!File.Exists(path))
            throw new MissingLibraryException($"TorchSharp's native library is missing at {path}: run `./build.sh build`");
        if (NativeFiles.OtherProcessor(path) is { } reason)
            throw new MissingLibraryException($"{path} cannot be loaded: {reason}; build Sdac for this processor");
        // Every symbol at once: a libtorch of another version would otherwise end the process at the first missing one.
        if (Open(path) is { } complaint)
            throw new MissingLibraryException($"libtorch {Version} cannot be loaded for {path} ({complaint}): {Remedy}");
        if (FoundVersion() is var found && found != Version)
            throw new MissingLibraryException(
                $"the libtorch found for {path} is version {found}, but TorchSharp needs {Version}: {Remedy}");
    }

    // The loader's complaint, or null. NativeLibrary.Load binds symbols one by one, when they are first called.
    private static unsafe string? Open(string path)
    {
        var libc = NativeLibrary.Load("libc.so.6");
        var dlopen = (delegate* unmanaged<byte*, int, nint>)NativeLibrary.GetExport(libc, "dlopen");
        var dlerror = (delegate* unmanaged<byte*>)NativeLibrary.GetExport(libc, "dlerror");
        fixed (byte* name = Encoding.UTF8.GetBytes(path + '\0'))
            return dlopen(name, BindNow) != 0 ? null : Marshal.PtrToStringUTF8((nint)dlerror()) ?? "no reason given";
    }

    // libtorch says its version in the text of at::show_config alone (a std::string returned through a hidden pointer).
    private static unsafe string FoundVersion()
    {
        const string function = "_ZN2at11show_configB5cxx11Ev", label = "TORCH_VERSION=";
        if (!NativeLibrary.TryGetExport(NativeLibrary.Load("libtorch_cpu.so"), function, out var showConfig))
            return "unknown";
        var text = stackalloc nint[4];
        ((delegate* unmanaged<nint*, nint*>)showConfig)(text);
        var configuration = Marshal.PtrToStringUTF8(text[0], (int)text[1]);
        var start = configuration.IndexOf(label, StringComparison.Ordinal);
        return start < 0 ? "unknown" : configuration[(start + label.Length)..].Split(',')[0].Trim();
    }

    // .NET's SetEnvironmentVariable does not reach native getenv.
    private static void SetUnlessSet(string name, string value) => _ = setenv(name, value, 0);

    [DllImport("libc", CharSet = CharSet.Ansi, BestFitMapping = false, ThrowOnUnmappableChar = true)]
    private static extern int setenv(string name, string value, int overwrite);
}
