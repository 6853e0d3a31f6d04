using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using Microsoft.FSharp.Core;
using Sdac.Kernels;

namespace Sdac.Benchmarks;

/// <summary>
/// Acting with a trained policy, one observation at a time: in this process, long warm, and in processes that have just begun.
/// </summary>
internal sealed class PolicyBenchmarks(Harness harness, TextWriter table, TextWriter? json)
{
    /// <summary>The first argument of a process that only loads a policy and acts: behind it its run and the threads.</summary>
    public const string Cold = "policy-cold";

    private const string Sizes = "best of 32, HalfCheetah, one observation, Policy.act";
    private const int Processes = 5;
    private static readonly string[] Parts = ["Policy.load", "the first action", "the second action", "the whole process"];

    /// <summary>What a process that has just begun prints: milliseconds of loading and of its first two actions.</summary>
    public static void Serve(string run, int threads) =>
        Console.WriteLine(string.Join(' ', PolicyLatency.cold(run, threads)
            .Select(ms => ms.ToString("R", CultureInfo.InvariantCulture))));

    public void Run() => PolicyLatency.withRun(FuncConvert.FromAction<string>(path =>
    {
        Warm(path);
        table.WriteLine();
        table.WriteLine($"{"a process that has just begun, " + Sizes,-72} {"ms",9}");
        var tries = Enumerable.Range(0, Processes).Select(_ => Begin(path)).ToArray();
        for (var part = 0; part < Parts.Length; part++)
        {
            var ms = Harness.Median(tries.Select(one => one[part]));
            table.WriteLine(string.Create(CultureInfo.InvariantCulture, $"  {Parts[part],-70} {ms,9:F2}"));
            json?.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{{\"bench\":\"policy-cold\",\"config\":\"{Parts[part]}, threads {Workers.Threads}\",\"median_ms\":{ms:G5}}}"));
        }
    }));

    private void Warm(string path)
    {
        var (policy, act) = PolicyLatency.warm(path, Workers.Threads);
        using (policy)
            harness.Measure(new Case("policy", Sizes, 0, () => act.Invoke(null!)));
    }

    private static double[] Begin(string path)
    {
        var clock = Stopwatch.StartNew();
        var start = new ProcessStartInfo(
            "dotnet", [typeof(PolicyBenchmarks).Assembly.Location, Cold, path, Workers.Threads.ToString(CultureInfo.InvariantCulture)])
        {
            RedirectStandardOutput = true,
        };
        using var child = Process.Start(start) ?? throw new InvalidOperationException("dotnet could not be started");
        var said = child.StandardOutput.ReadToEnd();
        child.WaitForExit();
        if (child.ExitCode != 0)
            throw new InvalidOperationException($"a process that only acts ended with code {child.ExitCode}");
        List<double> ms = [.. said.Split(' ').Select(text => double.Parse(text, CultureInfo.InvariantCulture))];
        return [.. ms, clock.Elapsed.TotalMilliseconds];
    }
}
