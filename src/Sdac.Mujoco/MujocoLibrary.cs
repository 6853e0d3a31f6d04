using System;
using System.Text;

namespace Sdac.Mujoco;

/// <summary>The system's MuJoCo, opened once per process; SDAC_MUJOCO=/path/libmujoco.so names another.</summary>
public static unsafe class MujocoLibrary
{
    /// <summary>The version whose numbers the tests pin.</summary>
    public const string TestedVersion = "2.2.2";

    private static readonly Lazy<Opened> Library = new(Open);

    private readonly record struct Opened(string? Path, string? Failure, string Version);

    /// <summary>The version, such as "2.2.2". Throws MujocoException where MuJoCo cannot be opened.</summary>
    public static string Version => Ensure().Version;

    /// <summary>The file that was opened. Throws MujocoException where MuJoCo cannot be opened.</summary>
    public static string Path => Ensure().Path!;

    /// <summary>Whether MuJoCo can be opened here.</summary>
    public static bool IsAvailable => Library.Value.Failure is null;

    internal static void Load() => Ensure();

    /// <summary>Why the library at a path cannot be used, or null.</summary>
    internal static string? FailureOf(string path) => Open(path).Failure;

    /// <summary>The sentence about a version that no test covers, or null.</summary>
    internal static string? VersionWarning(string version) =>
        version == TestedVersion
            ? null
            : $"MuJoCo {version} is not the version that the environments are tested with ({TestedVersion}): "
                + "trajectories may differ in the last bits.";

    private static Opened Ensure()
    {
        var opened = Library.Value;
        return opened.Failure is null ? opened : throw new MujocoException(opened.Failure);
    }

    private static Opened Open()
    {
        var opened = Open(Environment.GetEnvironmentVariable("SDAC_MUJOCO"));
        if (opened.Failure is null && VersionWarning(opened.Version) is { } warning)
            Console.Error.WriteLine(warning);
        return opened;
    }

    private static Opened Open(string? wanted)
    {
        var named = !string.IsNullOrEmpty(wanted);
        var path = named ? wanted! : "libmujoco.so";
        int status;
        fixed (byte* text = Encoding.UTF8.GetBytes(path + "\0"))
            status = Native.sdac_open(text);
        if (status != 0)
            return new Opened(null, Missing(path, named, Native.Message()), "");
        var version = Number(Native.sdac_library_version());
        var header = Number(Native.sdac_header_version());
        if (version != header)
            return new Opened(null, Mismatch(path, version, header), version);
        return new Opened(path, null, version);
    }

    private static string Missing(string path, bool named, string reason) =>
        named
            ? $"MuJoCo could not be opened from SDAC_MUJOCO={path} ({reason}): correct the path, or unset it and run "
                + "`./build.sh setup`."
            : $"MuJoCo is missing ({reason}): run `./build.sh setup`, or set SDAC_MUJOCO to the path of libmujoco.so.";

    private static string Mismatch(string path, string version, string header) =>
        $"{path} is MuJoCo {version}, but Sdac.Mujoco was compiled against the headers of {header}: "
        + "set SDAC_MUJOCO_INCLUDE to that version's include folder and build again, or unset SDAC_MUJOCO.";

    // 222 is 2.2.2, 3002003 is 3.2.3.
    private static string Number(int version) =>
        version < 100_000
            ? $"{version / 100}.{version / 10 % 10}.{version % 10}"
            : $"{version / 1_000_000}.{version / 1_000 % 1_000}.{version % 1_000}";
}
