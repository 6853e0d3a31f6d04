using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using Sdac.Environments;
using Sdac.Kernels;

namespace Sdac.Benchmarks;

/// <summary>
/// Steps per second of a plain F# task of four numbers, one environment on one thread, and what a step allocates: its states
/// (the one read, the one made, the one that writing them passes through) are objects of 48 bytes each.
/// </summary>
internal sealed class PlainTaskBenchmarks(TextWriter table, TextWriter? json, double seconds)
{
    private const int Stretch = 10_000;

    public void Run()
    {
        using var env = new VecEnv(PlainTasks.point, 1);
        var (states, result, obs) = (env.Reset(new PhiloxKey(1, 2, 3, 4)), env.NewResult(), new float[env.ObsDim]);
        var (times, bytes) = (new List<double>(), 0L);
        double[] action = [0.5, -0.25];

        void Steps()
        {
            for (var step = 0; step < Stretch; step++)
                env.StepInto(states, action, states, result, default, obs);
        }

        Steps();
        for (var clock = Stopwatch.StartNew(); clock.Elapsed.TotalSeconds < seconds;)
        {
            var before = GC.GetAllocatedBytesForCurrentThread();
            times.Add(Harness.Time(Steps, 1) / Stretch);
            bytes = GC.GetAllocatedBytesForCurrentThread() - before;
        }

        var (rate, each) = (1 / Harness.Median(times), (double)bytes / Stretch);
        table.WriteLine();
        table.WriteLine($"{"environment",-26} {"steps/s",9} {"bytes/step",10}");
        table.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{env.Spec.Task,-26} {rate,9:F0} {each,10:F1}"));
        json?.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{{\"bench\":\"env {env.Spec.Task}\",\"steps_per_s\":{rate:F0},\"bytes_per_step\":{each:F1}}}"));
    }
}
