using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Runtime.InteropServices;
using Sdac.Environments;
using Sdac.PushT;

namespace Sdac.Benchmarks;

/// <summary>
/// Steps of PushT per second, in turn with the same calls of Chipmunk in C over the same episodes. The ratio is the median
/// over rounds.
/// </summary>
internal sealed class PushTBenchmarks(TextWriter table, TextWriter? json, double seconds)
{
    private const int EpisodeSteps = 1500;
    private const int Stretch = 100;

    public void Run()
    {
        using var env = new VecEnv(new PushTTask(new PushTOptions()), 1);
        var episodes = new Episodes(env, EpisodeSteps);
        var (mine, bare) = (new List<double>(), new List<double>());
        var (states, result, obs) = (env.NewStates(), env.NewResult(), new float[env.ObsDim]);
        var pose = new double[Pose.Size];
        long bytes = 0;

        void Replay(int first)
        {
            for (var step = first; step < first + Stretch; step++)
                env.StepInto(step == 0 ? episodes.First : states, episodes.ActionOf(step), states, result, default, obs);
        }

        for (var (clock, first) = (Stopwatch.StartNew(), 0); clock.Elapsed.TotalSeconds < seconds || first > 0;)
        {
            bare.Add(Harness.Time(() => Bare(episodes, first, Stretch, pose), 1) / Stretch);
            var before = GC.GetAllocatedBytesForCurrentThread();
            mine.Add(Harness.Time(() => Replay(first), 1) / Stretch);
            bytes = GC.GetAllocatedBytesForCurrentThread() - before;
            first = (first + Stretch) % EpisodeSteps;
            if (states.Elapsed[0] > 0 && !states.Observations[..4].SequenceEqual(pose.AsSpan(0, 4)))
                throw new InvalidOperationException("PushT: the bare loop went another way than the environment.");
        }

        var ratio = Harness.Median(mine.Zip(bare, (own, theirs) => theirs / own));
        var (rate, bareRate) = (1 / Harness.Median(mine), 1 / Harness.Median(bare));
        table.WriteLine();
        table.WriteLine($"{"environment",-26} {"steps/s",9} {"bare loop",9} {"ratio",7} {"bytes/step",10}");
        table.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{"PushT",-26} {rate,9:F0} {bareRate,9:F0} {ratio,7:F3} {(double)bytes / Stretch,10:F1}"));
        json?.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{{\"bench\":\"env PushT\",\"steps_per_s\":{rate:F0},\"bare_steps_per_s\":{bareRate:F0},\"of_bare\":{ratio:F4}}}"));
    }

    private static void Bare(Episodes episodes, int first, int count, double[] pose) =>
        bare_pusht_run(first, count, episodes.Actions, episodes.Starts, episodes.States, episodes.StateSize, pose);

    [DllImport("libbare_pusht.so")]
    private static extern void bare_pusht_run(
        int first, int count, double[] actions, byte[] starts, double[] states, int size, double[] pose);
}
