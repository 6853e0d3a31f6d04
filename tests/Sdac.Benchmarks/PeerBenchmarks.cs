using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Threading;
using Sdac.Kernels;

namespace Sdac.Benchmarks;

/// <summary>
/// The same update in PyTorch (peer/sdac_update.py), in turn with ours: as Debian installs it, and at its best (AVX-512
/// in ATen, OpenBLAS with OpenMP, no memory returned to the system between tensors). And one fused layer by oneDNN.
/// </summary>
internal sealed class PeerBenchmarks(TextWriter table, TextWriter? json, double seconds)
{
    // Debian's interpreter: the one that sees python3-torch.
    private const string Python = "/usr/bin/python3";
    private const int FewestRounds = 3;

    // OpenBLAS's idle threads spin on the cores for a while after the peer's run.
    private static readonly TimeSpan Rest = TimeSpan.FromSeconds(0.2);

    public void Run()
    {
        Layer();
        table.WriteLine();
        table.WriteLine(
            $"{"update, in turn with PyTorch",-50} {"PyTorch",-12} {"ours, ms",9} {"its, ms",9} {"ratio",7}");
        foreach (var size in new[] { Updates.halfCheetah, Updates.humanoid })
        {
            foreach (var config in new[] { ConfigModule.published, Updates.light })
            {
                var work = Updates.whole("update", size, config);
                work.Run.Invoke();
                Measure(work, size, config, "as installed", Installed());
                Measure(work, size, config, "at its best", Best);
            }
        }
    }

    private void Layer()
    {
        const int Rows = 8192, Width = 256;
        var layer = new OneDnnLayer(Rows, Width);
        layer.Check();
        var (rows, panels, its) = (new List<double>(), new List<double>(), new List<double>());
        for (var clock = Stopwatch.StartNew(); clock.Elapsed.TotalSeconds < seconds;)
        {
            rows.Add(Harness.Time(layer.Ours, 5));
            its.Add(Harness.Time(layer.Its, 5));
            panels.Add(Harness.Time(layer.OursInPanels, 5));
        }

        table.WriteLine();
        table.WriteLine($"{"layer, in turn with oneDNN",-63} {"ours, ms",9} {"its, ms",9} {"ratio",7}");
        Report("layer-onednn", $"{Rows}x{Width}x{Width} mish, row-major", "oneDNN", rows, its);
        Report("layer-onednn", $"{Rows}x{Width}x{Width} mish, inside a network", "oneDNN", panels, its);
    }

    private static Dictionary<string, string> Best => new()
    {
        ["ATEN_CPU_CAPABILITY"] = "avx512",
        ["MALLOC_TRIM_THRESHOLD_"] = "17179869184",
        ["MALLOC_MMAP_THRESHOLD_"] = "17179869184",
        ["MALLOC_TOP_PAD_"] = "1073741824",
    };

    // Debian's default BLAS with threads is OpenBLAS's own pool; this project's set-up put the OpenMP build beside it.
    private static Dictionary<string, string> Installed()
    {
        const string Unpacked = "artifacts/openblas-pthread";
        var library = Directory.Exists(Unpacked)
            ? Directory.EnumerateFiles(Unpacked, "libblas.so.3", SearchOption.AllDirectories).FirstOrDefault()
            : null;
        return library is null
            ? throw new InvalidOperationException($"{Unpacked} is missing: run ./build.sh bench --peer.")
            : new() { ["LD_LIBRARY_PATH"] = Path.GetFullPath(Path.GetDirectoryName(library)!) };
    }

    private void Measure(
        Work work, TaskSize size, Config config, string way, Dictionary<string, string> environment)
    {
        using var peer = Start(size, config, environment);
        Time(peer); // its first run allocates
        Thread.Sleep(Rest);
        var (ours, its) = (new List<double>(), new List<double>());
        for (var clock = Stopwatch.StartNew(); ours.Count < FewestRounds || clock.Elapsed.TotalSeconds < seconds;)
        {
            ours.Add(Harness.Time(work.Run.Invoke, 1) / work.Updates);
            its.Add(Time(peer));
            Thread.Sleep(Rest);
        }

        peer.StandardInput.Close();
        peer.WaitForExit();
        Report("peer", work.Config, way, ours, its);
    }

    private void Report(string name, string config, string way, List<double> ours, List<double> its)
    {
        var ratio = Harness.Median(its.Zip(ours, (a, b) => a / b));
        table.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{config,-50} {way,-12} {1e3 * Harness.Median(ours),9:F2} {1e3 * Harness.Median(its),9:F2} {ratio,7:F2}"));
        json?.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{{\"bench\":\"{name}\",\"config\":\"{config}, {way}\",\"median_ms\":{1e3 * Harness.Median(ours):G6},"
            + $"\"peer_ms\":{1e3 * Harness.Median(its):G6},\"ratio\":{ratio:G4}}}"));
    }

    private static Process Start(TaskSize size, Config config, Dictionary<string, string> environment)
    {
        var sizes = $$"""
            {"obs":{{size.ObsDim}},"action":{{size.ActionDim}},"hidden":[{{string.Join(',', config.Hidden)}}],
            "batch":{{config.BatchSize}},"particles":{{config.Particles}},"draws":{{config.MonteCarloDraws}},
            "timesteps":{{config.Timesteps}},"threads":{{Workers.Threads}}}
            """;
        var script = Path.Combine(AppContext.BaseDirectory, "peer", "sdac_update.py");
        var start = new ProcessStartInfo(Python, [script, sizes])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        };
        foreach (var (name, value) in environment)
            start.Environment[name] = value;
        return Process.Start(start) ?? throw new InvalidOperationException($"{Python} did not start.");
    }

    private static double Time(Process peer)
    {
        peer.StandardInput.WriteLine("go");
        peer.StandardInput.Flush();
        while (peer.StandardOutput.ReadLine() is { } line)
        {
            if (!line.StartsWith('#'))
                return double.Parse(line, CultureInfo.InvariantCulture);
        }

        throw new InvalidOperationException("PyTorch's side ended early: its message stands above.");
    }
}
