using System;
using System.Linq;
using System.Reflection;
using System.Runtime.InteropServices;

namespace Sdac.PushT;

/// <summary>The system's Chipmunk, opened once per process; SDAC_CHIPMUNK=/path/libchipmunk.so.7 names another.</summary>
public static unsafe class ChipmunkLibrary
{
    /// <summary>The version whose numbers the tests pin.</summary>
    public const string TestedVersion = "7.0.3";

    private static readonly Lazy<Opened> Library = new(Open);

    private readonly record struct Opened(nint Handle, string? Failure, string Version);

    /// <summary>The version, such as "7.0.3". Throws ChipmunkException where Chipmunk cannot be opened.</summary>
    public static string Version => Ensure().Version;

    /// <summary>Whether Chipmunk can be opened here.</summary>
    public static bool IsAvailable => Library.Value.Failure is null;

    internal static nint Handle => Ensure().Handle;

    /// <summary>Opens it, unless it is open. Throws ChipmunkException where it cannot be opened.</summary>
    internal static void Load() => Ensure();

    /// <summary>Why the library at a path cannot be used, or null.</summary>
    internal static string? FailureOf(string path) => Open(path).Failure;

    private static Opened Ensure()
    {
        var opened = Library.Value;
        return opened.Failure is null ? opened : throw new ChipmunkException(opened.Failure);
    }

    private static Opened Open()
    {
        var opened = Open(Environment.GetEnvironmentVariable("SDAC_CHIPMUNK"));
        if (opened.Failure is null)
            Hush(opened.Handle);
        return opened;
    }

    private static Opened Open(string? wanted)
    {
        var named = !string.IsNullOrEmpty(wanted);
        var path = named ? wanted! : "libchipmunk.so.7";
        if (!NativeLibrary.TryLoad(path, out var handle))
            return Failed(path, named, "no such library");
        foreach (var function in Functions())
        {
            if (!NativeLibrary.TryGetExport(handle, function, out _))
                return Failed(path, named, $"it lacks the function {function}");
        }

        // ½·m·r² of a disc: a build in single precision reads other registers' halves.
        var moment = (delegate* unmanaged<double, double, double, Vector, double>)NativeLibrary.GetExport(
            handle, "cpMomentForCircle");
        if (moment(1, 0, 2, default) != 2)
            return Failed(path, named, "it computes in single precision");
        var version = NativeLibrary.TryGetExport(handle, "cpVersionString", out var text)
            ? Marshal.PtrToStringUTF8(*(nint*)text) : null;
        return new Opened(handle, null, version ?? "unknown");
    }

    private static string[] Functions() =>
        [
            .. typeof(Chipmunk).GetMethods(BindingFlags.Public | BindingFlags.Static).Select(method => method.Name),
            "cpMomentForCircle",
        ];

    private static Opened Failed(string path, bool named, string reason) =>
        new(
            0,
            named
                ? $"Chipmunk could not be opened from SDAC_CHIPMUNK={path} ({reason}): correct the path, or unset it and "
                    + "run `./build.sh setup`."
                : $"Chipmunk is missing ({path}: {reason}): run `./build.sh setup`, or set SDAC_CHIPMUNK to the path of "
                    + "libchipmunk.so.7.",
            "");

    // Debian's build prints two lines with C's printf when a process makes its first space. Programs read what ours print
    // there, so the first space is made while C's own `stdout` leads nowhere. .NET's console does not use that variable.
    private static void Hush(nint chipmunk)
    {
        var make = (delegate* unmanaged<nint>)NativeLibrary.GetExport(chipmunk, "cpSpaceNew");
        var free = (delegate* unmanaged<nint, void>)NativeLibrary.GetExport(chipmunk, "cpSpaceFree");
        var libc = NativeLibrary.GetMainProgramHandle();
        if (!NativeLibrary.TryGetExport(libc, "stdout", out var variable)
            || !NativeLibrary.TryGetExport(libc, "fopen", out var open)
            || !NativeLibrary.TryGetExport(libc, "fclose", out var close))
            return;
        nint nowhere;
        fixed (byte* path = "/dev/null\0"u8, mode = "w\0"u8)
            nowhere = ((delegate* unmanaged<byte*, byte*, nint>)open)(path, mode);
        if (nowhere == 0)
            return;
        var stdout = *(nint*)variable;
        *(nint*)variable = nowhere;
        try
        {
            free(make());
        }
        finally
        {
            *(nint*)variable = stdout;
            _ = ((delegate* unmanaged<nint, int>)close)(nowhere);
        }
    }
}
