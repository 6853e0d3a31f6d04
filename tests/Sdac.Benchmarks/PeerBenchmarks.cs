using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Runtime.Intrinsics.X86;
using System.Threading;
using Sdac.Experiments;
using Sdac.Functional;
using Sdac.Kernels;

namespace Sdac.Benchmarks;

/// <summary>
/// The same update elsewhere, in turn with ours. In PyTorch (peer/sdac_update.py): as Debian installs it, and at its best
/// (ATen's widest vectors, OpenBLAS with OpenMP, no memory returned to the system between tensors). In TorchSharp's libtorch, at
/// its best as well: this library with its kernels off, which shares the observations' products and the time network
/// among particles as the kernels do. And one fused layer by oneDNN.
/// </summary>
internal sealed class PeerBenchmarks(TextWriter table, TextWriter? json, double seconds)
{
    // Debian's interpreter: the one that sees python3-torch.
    private const string Interpreter = "/usr/bin/python3";
    private const int FewestRounds = 3;

    // Runs after which the just-in-time compiler is done with a short update.
    private const int JustInTime = 10;

    // OpenBLAS's idle threads spin on the cores for a while after the peer's run.
    private static readonly TimeSpan Rest = TimeSpan.FromSeconds(0.2);

    public void Run()
    {
        Layer();
        Header();
        foreach (var size in new[] { Updates.halfCheetah, Updates.humanoid })
        {
            foreach (var config in new[] { SdacConfigModule.published, Updates.light })
            {
                var work = Updates.whole("update", size, config);
                work.Run.Invoke();
                Measure(work, "PyTorch, as installed", Python(size, config), Installed());
                Measure(work, "PyTorch, at its best", Python(size, config), Best);
                Measure(work, "TorchSharp", TorchSharp(size, config), BestOfTorchSharp);
            }
        }
    }

    /// <summary>SAC and TD3 in turn with TorchSharp's modules, automatic gradients and Adam, in a process of their own.</summary>
    public void Classical()
    {
        Header();
        var size = Updates.halfCheetah;
        foreach (var work in Benchmarks.Classical.both(ComputeModule.cpu, size))
        {
            Harness.Time(work.Run.Invoke, JustInTime);
            Measure(work, "TorchSharp", TorchSharp(size, work.Name), BestOfTorchSharp);
        }
    }

    private void Header()
    {
        table.WriteLine();
        table.WriteLine(
            $"{"update, in turn with its peers",-50} {"peer",-22} {"ours, ms",9} {"its, ms",9} {"ratio",7}");
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
        table.WriteLine($"{"layer, in turn with oneDNN",-73} {"ours, ms",9} {"its, ms",9} {"ratio",7}");
        Report("layer-onednn", $"{Rows}x{Width}x{Width} mish, row-major", "oneDNN", rows, its);
        Report("layer-onednn", $"{Rows}x{Width}x{Width} mish, inside a network", "oneDNN", panels, its);
    }

    // A name beyond the processor's is not refused: the first instruction that it lacks ends the process.
    private static Dictionary<string, string> Best => new()
    {
        ["ATEN_CPU_CAPABILITY"] = Avx512F.IsSupported ? "avx512" : "avx2",
        ["MALLOC_TRIM_THRESHOLD_"] = "17179869184",
        ["MALLOC_MMAP_THRESHOLD_"] = "17179869184",
        ["MALLOC_TOP_PAD_"] = "1073741824",
    };

    // Its workers wait as they do in PyTorch: this library would put them to sleep, for its kernels' sake.
    private static Dictionary<string, string> BestOfTorchSharp => new(Best) { ["GOMP_SPINCOUNT"] = "300000" };

    // Debian's default BLAS with threads is OpenBLAS's own pool; this project's set-up put the OpenMP build beside it.
    private static Dictionary<string, string> Installed()
    {
        var unpacked = Path.Combine(Artifacts.Folder, "openblas-pthread");
        var library = Directory.Exists(unpacked)
            ? Directory.EnumerateFiles(unpacked, "libblas.so.3", SearchOption.AllDirectories).FirstOrDefault()
            : null;
        return library is null
            ? throw new InvalidOperationException($"{unpacked} is missing: run ./build.sh bench --peer.")
            : new() { ["LD_LIBRARY_PATH"] = Path.GetDirectoryName(library)! };
    }

    private void Measure(
        Work work, string way, ProcessStartInfo start, Dictionary<string, string> environment)
    {
        using var peer = Start(start, environment);
        Time(peer); // its first runs allocate and compile
        Time(peer);
        Time(peer);
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
            $"{config,-50} {way,-22} {1e3 * Harness.Median(ours),9:F2} {1e3 * Harness.Median(its),9:F2} {ratio,7:F2}"));
        json?.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{{\"bench\":\"{name}\",\"config\":\"{config}, {way}\",\"median_ms\":{1e3 * Harness.Median(ours):G6},"
            + $"\"peer_ms\":{1e3 * Harness.Median(its):G6},\"ratio\":{ratio:G4}}}"));
    }

    private static ProcessStartInfo Python(TaskSize size, SdacConfig config)
    {
        var sizes = $$"""
            {"obs":{{size.ObsDim}},"action":{{size.ActionDim}},"hidden":[{{string.Join(',', config.Hidden)}}],
            "batch":{{config.Data.BatchSize}},"particles":{{config.Particles.Particles}},"draws":{{config.Draws.MonteCarloDraws}},
            "timesteps":{{config.Diffusion.Timesteps}},"threads":{{Workers.Threads}}}
            """;
        var script = Path.Combine(AppContext.BaseDirectory, "peer", "sdac_update.py");
        return new ProcessStartInfo(Interpreter, [script, sizes]);
    }

    private static ProcessStartInfo TorchSharp(TaskSize size, SdacConfig config) =>
        TorchSharp(size, config.Particles.Particles == 1 ? "light" : "published");

    private static ProcessStartInfo TorchSharp(TaskSize size, string what) =>
        new("dotnet",
        [
            typeof(PeerBenchmarks).Assembly.Location, Peer, size.Task, what,
            Workers.Threads.ToString(CultureInfo.InvariantCulture),
        ]);

    /// <summary>The child process that measures TorchSharp: a line in, the seconds of an update out.</summary>
    public const string Peer = "torchsharp-peer";

    /// <summary>
    /// Runs that child, for a task's sizes, SDAC in published or light settings or SAC or TD3, and a number of threads.
    /// </summary>
    public static void ServeTorchSharp(string task, string what, int threads)
    {
        var size = new[] { Updates.halfCheetah, Updates.humanoid }.Single(s => s.Task == task);
        var compute = ComputeModule.create("cpu", false);
        MachineModule.useThreads(compute, threads);
        var work = what switch
        {
            "sac" => TorchSharpUpdates.sac(size),
            "td3" => TorchSharpUpdates.td3(size),
            "light" => Updates.wholeOn(compute, "update", size, Updates.light),
            _ => Updates.wholeOn(compute, "update", size, SdacConfigModule.published),
        };
        while (Console.ReadLine() is not null)
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{Harness.Time(work.Run.Invoke, 1) / work.Updates:R}"));
    }

    private static Process Start(ProcessStartInfo start, Dictionary<string, string> environment)
    {
        start.RedirectStandardInput = true;
        start.RedirectStandardOutput = true;
        foreach (var (name, value) in environment)
            start.Environment[name] = value;
        return Process.Start(start) ?? throw new InvalidOperationException($"{start.FileName} did not start.");
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

        throw new InvalidOperationException("the peer ended early: its message stands above");
    }
}
