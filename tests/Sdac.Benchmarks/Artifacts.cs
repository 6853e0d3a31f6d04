using System;
using System.IO;

namespace Sdac.Benchmarks;

/// <summary>What build.sh has put into the repository for the benchmarks, which run in their caller's folder.</summary>
internal static class Artifacts
{
    /// <summary>The repository's folder of built things.</summary>
    public static string Folder { get; } = Path.Combine(Repository(), "artifacts");

    // the folder above this program's that holds the entrance to all commands
    private static string Repository()
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "build.sh")))
            folder = folder.Parent;
        return folder?.FullName ?? Directory.GetCurrentDirectory();
    }
}
