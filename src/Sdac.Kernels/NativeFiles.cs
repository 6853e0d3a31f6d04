using System;
using System.Collections.Generic;
using System.IO;
using System.Reflection;
using System.Runtime.InteropServices;

namespace Sdac.Kernels;

/// <summary>The native libraries that come with this project's assemblies: where they lie, and whether this process can load them.</summary>
public static class NativeFiles
{
    /// <summary>The system that the packages' native libraries are built for.</summary>
    public const string Runtime = "linux-x64";

    private const int ElfHeader = 20;
    private const int MachineOffset = 18;

    /// <summary>
    /// The path of a library that comes with an assembly, or null: beside the assembly (this repository's builds), below it
    /// (a program built from packages), where its package has it (<c>#r "nuget: ..."</c>), or beside the program.
    /// </summary>
    public static string? Find(Assembly assembly, string file)
    {
        ArgumentNullException.ThrowIfNull(assembly);
        foreach (var folder in Folders(assembly))
        {
            var path = Path.GetFullPath(Path.Combine(folder, file));
            if (File.Exists(path))
                return path;
        }

        return null;
    }

    /// <summary>Why this process cannot load a library for its processor, in half a sentence; null where nothing is wrong with that.</summary>
    public static string? OtherProcessor(string path)
    {
        var header = new byte[ElfHeader];
        using (var stream = File.OpenRead(path))
        {
            if (stream.ReadAtLeast(header, ElfHeader, throwOnEndOfStream: false) < ElfHeader || !IsElf(header))
                return null;
        }

        var machine = header[MachineOffset] | (header[MachineOffset + 1] << 8);
        var wanted = Machine(RuntimeInformation.ProcessArchitecture);
        return wanted == 0 || machine == wanted
            ? null
            : $"it is built for {Name(machine)}, but this process runs on {RuntimeInformation.ProcessArchitecture}";
    }

    private static IEnumerable<string> Folders(Assembly assembly)
    {
        var native = Path.Combine("runtimes", Runtime, "native");
        if (Path.GetDirectoryName(assembly.Location) is { Length: > 0 } beside)
        {
            yield return beside;
            yield return Path.Combine(beside, native);
            // PACKAGE/lib/net10.0/ASSEMBLY.dll
            yield return Path.Combine(beside, "..", "..", native);
        }

        yield return AppContext.BaseDirectory;
        yield return Path.Combine(AppContext.BaseDirectory, native);
    }

    private static bool IsElf(byte[] header) =>
        header[0] == 0x7F && header[1] == (byte)'E' && header[2] == (byte)'L' && header[3] == (byte)'F';

    // e_machine of the ELF header; 0 for a processor that is none of these
    private static int Machine(Architecture architecture) => architecture switch
    {
        Architecture.X64 => 62,
        Architecture.Arm64 => 183,
        _ => 0,
    };

    private static string Name(int machine) => machine switch
    {
        62 => nameof(Architecture.X64),
        183 => nameof(Architecture.Arm64),
        _ => $"processor {machine}",
    };
}
