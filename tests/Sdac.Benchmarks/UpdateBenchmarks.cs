using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using Sdac.Functional;
using Sdac.Kernels;

namespace Sdac.Benchmarks;

/// <summary>Whole updates: their cost, where it goes, how it grows with the sizes and with the threads.</summary>
internal sealed class UpdateBenchmarks(Harness harness, TextWriter table, TextWriter? json, double seconds)
{
    private const int FewestRounds = 5;

    /// <summary>Published and smallest settings, in turn with sgemm.</summary>
    public static IEnumerable<Case> Cases()
    {
        foreach (var work in Whole())
            yield return new Case(work.Name, work.Config, work.Gflop, work.Run.Invoke, Product(), work.Updates);
    }

    public static IEnumerable<Work> Whole()
    {
        foreach (var size in new[] { Updates.halfCheetah, Updates.humanoid })
        {
            yield return Updates.whole("update", size, SdacConfigModule.published);
            yield return Updates.whole("update-light", size, Updates.light);
        }
    }

    public void Run()
    {
        foreach (var one in Cases())
            harness.Measure(one);
    }

    /// <summary>SAC and TD3, in turn with multiply-adds in registers: the share of their rate is an update's.</summary>
    public void Classical()
    {
        foreach (var work in Benchmarks.Classical.both(ComputeModule.cpu, Updates.halfCheetah))
        {
            var peak = RegisterPeak.Case();
            harness.Measure(new Case(
                $"update-{work.Name}", work.Config, work.Gflop, work.Run.Invoke, new Peer(peak.Gflop, peak.Run),
                work.Updates));
        }
    }

    /// <summary>The critics' action gradients, in turn with multiply-adds in registers: the share of their rate.</summary>
    public void ActionGradients() => InTurnWithRegisters(ActionGradient.all);

    /// <summary>
    /// DACER's chain, forward and through all steps back, in turn with multiply-adds in registers; and the memory that it
    /// keeps in between.
    /// </summary>
    public void ChainGradients()
    {
        InTurnWithRegisters(ChainGradient.all);
        foreach (var (config, bytes) in ChainGradient.memory)
            table.WriteLine(
                string.Create(CultureInfo.InvariantCulture, $"{config}: {bytes / 1048576.0:F1} MiB kept"));
    }

    private void InTurnWithRegisters(IEnumerable<Work> all)
    {
        foreach (var work in all)
        {
            var peak = RegisterPeak.Case();
            harness.Measure(new Case(
                work.Name, work.Config, work.Gflop, work.Run.Invoke, new Peer(peak.Gflop, peak.Run), work.Updates));
        }
    }

    /// <summary>What each part of an update takes of it.</summary>
    public void Shares()
    {
        foreach (var size in new[] { Updates.halfCheetah, Updates.humanoid })
        {
            Shares(size, SdacConfigModule.published);
            Shares(size, Updates.light);
        }
    }

    private void Shares(TaskSize size, SdacConfig config)
    {
        var whole = Updates.whole("update", size, config);
        var parts = Updates.parts(size, config).ToArray();
        var times = Rounds([whole, .. parts.Select(p => p.Item1)]);
        var update = times[0] / whole.Updates;
        table.WriteLine();
        table.WriteLine($"{$"parts of an update, {whole.Config}",-62} {"ms",9} {"share",7} {"GFLOP/s",9}");
        Share("the whole", whole.Gflop / whole.Updates, update, update);
        var inside = 0.0;
        for (var i = 0; i < parts.Length; i++)
        {
            var (work, perUpdate) = parts[i];
            // Their draws' Q is part of the RSSM line.
            if (work.Name != "Q of the draws")
                inside += times[i + 1] * perUpdate;
            Share(work.Name, work.Gflop * perUpdate, times[i + 1] * perUpdate, update);
        }

        Share("everything else", 0, update - inside, update);
    }

    private void Share(string name, double gflop, double time, double update)
    {
        var rate = gflop > 0 ? (gflop / time).ToString("F1", CultureInfo.InvariantCulture) : "";
        table.WriteLine(string.Create(
            CultureInfo.InvariantCulture, $"  {name,-60} {1e3 * time,9:F2} {time / update,7:P1} {rate,9}"));
        json?.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{{\"bench\":\"share\",\"config\":\"{name}\",\"median_ms\":{1e3 * time:G6},\"share\":{time / update:G4}}}"));
    }

    /// <summary>
    /// One thread in turn with two; in the same rounds multiply-adds in registers, which share nothing: what a second
    /// processor is worth at that moment.
    /// </summary>
    public void Scaling()
    {
        table.WriteLine();
        table.WriteLine($"{"two threads against one",-62} {"1, ms",9} {"2, ms",9} {"speed-up",9} {"registers",9} {"of them",9}");
        var peak = RegisterPeak.Case();
        var threads = Workers.Threads;
        foreach (var work in Whole())
        {
            work.Run.Invoke();
            var (alone, two, limits) = (new List<double>(), new List<double>(), new List<double>());
            Repeat(() =>
            {
                var (one, both) = InTurn(peak.Run, 10);
                limits.Add(one / both);
                (one, both) = InTurn(work.Run.Invoke, 1);
                alone.Add(one / work.Updates);
                two.Add(both / work.Updates);
            });
            var speedUps = alone.Zip(two, (a, b) => a / b).ToList();
            var (speedUp, limit) = (Harness.Median(speedUps), Harness.Median(limits));
            var ofLimit = Harness.Median(speedUps.Zip(limits, (mine, most) => mine / most));
            table.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{work.Config,-62} {1e3 * Harness.Median(alone),9:F2} {1e3 * Harness.Median(two),9:F2} "
                + $"{speedUp,9:F2} {limit,9:F2} {ofLimit,9:F3}"));
            json?.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{{\"bench\":\"scaling\",\"config\":\"{work.Config}\",\"one\":{1e3 * Harness.Median(alone):G6},"
                + $"\"two\":{1e3 * Harness.Median(two):G6},\"speed_up\":{speedUp:G4},\"registers\":{limit:G4},"
                + $"\"of_registers\":{ofLimit:G4}}}"));
        }

        Workers.Threads = threads;
    }

    // Seconds per run on one thread and on two.
    private static (double One, double Two) InTurn(Action run, int repeats)
    {
        Workers.Threads = 1;
        var one = Harness.Time(run, repeats);
        Workers.Threads = 2;
        return (one, Harness.Time(run, repeats));
    }

    /// <summary>Cost over a decade of each size, with straight lines through it.</summary>
    public void Linear()
    {
        var decades = Updates.decades.ToArray();
        var times = Rounds([.. decades.Select(d => d.Item3)]);
        var points = decades
            .Select((d, i) => (Setting: d.Item1, Value: d.Item2, Ms: 1e3 * times[i] / d.Item3.Updates))
            .GroupBy(p => p.Setting)
            .Select(g => Tuple.Create(g.Key, g.Select(p => Tuple.Create(p.Value, p.Ms)).ToArray()))
            .ToArray();
        table.WriteLine();
        table.WriteLine($"{"cost over a decade",-20} {"smallest, ms",12} {"largest, ms",12} {"ms per unit",12} {"R2",8}");
        foreach (var (setting, line) in points)
        {
            var fit = LinearPlot.fit(line);
            table.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{setting,-20} {line[0].Item2,12:F2} {line[^1].Item2,12:F2} {fit.Slope,12:F4} {fit.R2,8:F4}"));
            json?.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{{\"bench\":\"linear\",\"config\":\"{setting}\",\"slope_ms\":{fit.Slope:G5},"
                + $"\"intercept_ms\":{fit.Intercept:G5},\"r2\":{fit.R2:G6}}}"));
        }

        const string Folder = "artifacts/benchmarks";
        Directory.CreateDirectory(Folder);
        var saved = LinearPlot.save($"{Folder}/linear.svg", points);
        table.WriteLine(saved.IsOk ? $"picture: {Folder}/linear.svg" : $"no picture: {saved.ErrorValue}");
    }

    /// <summary>What a training loop spends beside physics and updates.</summary>
    public void LoopShares()
    {
        var loop = Loop.measure(seconds);
        table.WriteLine();
        table.WriteLine($"{"an iteration of the laptop preset, without logging",-62} {"ms",9}");
        table.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"  {"the whole",-60} {loop.Iteration,9:F3}\n  {"physics",-60} {loop.Physics,9:F3}\n"
            + $"  {"choosing actions",-60} {loop.Acting,9:F3}\n  {"the update",-60} {loop.Update,9:F3}\n"
            + $"  {"everything else, of the whole",-60} {loop.Rest,9:P1}"));
        json?.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{{\"bench\":\"loop\",\"config\":\"laptop\",\"median_ms\":{loop.Iteration:G5},\"physics_ms\":{loop.Physics:G5},"
            + $"\"acting_ms\":{loop.Acting:G5},\"update_ms\":{loop.Update:G5},\"rest\":{loop.Rest:G4}}}"));
    }

    // The product that fills an update, by sgemm.
    private static Peer Product() => KernelCases.Sgemm((8192, 256, 256));

    // Harness.Median seconds of a run of each, taken in turn so that a bad spell hits all.
    private double[] Rounds(IReadOnlyList<Work> works)
    {
        var times = works.Select(_ => new List<double>()).ToArray();
        foreach (var work in works)
            work.Run.Invoke();
        Repeat(() =>
        {
            for (var i = 0; i < works.Count; i++)
                times[i].Add(Harness.Time(works[i].Run.Invoke, 1));
        });
        return [.. times.Select(Harness.Median)];
    }

    private void Repeat(Action round)
    {
        var clock = Stopwatch.StartNew();
        for (var i = 0; i < FewestRounds || clock.Elapsed.TotalSeconds < seconds; i++)
            round();
    }
}
