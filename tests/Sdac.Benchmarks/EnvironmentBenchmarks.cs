using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using Sdac.Kernels;
using Sdac.Mujoco;

namespace Sdac.Benchmarks;

/// <summary>
/// Environment steps per second: one environment in turn with the bare loop over the same states, and a batch of eight
/// on one thread in turn with two. Ratios are medians over rounds, so that a bad spell of a shared machine hits both.
/// </summary>
internal sealed class EnvironmentBenchmarks(TextWriter table, TextWriter? json, double seconds)
{
    private const int Batch = 8;
    private const double RoundSeconds = 0.004;

    public void Run()
    {
        table.WriteLine();
        table.WriteLine(
            $"{"environment",-26} {"steps/s",9} {"bare loop",9} {"ratio",7} "
            + $"{"batch of 8",10} {"2 threads",9} {"speed-up",8} {"bytes/step",10}");
        foreach (var task in Tasks.Names)
            Measure(task);
    }

    private void Measure(string name)
    {
        var task = Tasks.Create(name);
        var (one, bare) = Single(task);
        var (alone, two, bytes) = Batched(task);
        var ratio = Harness.Median(one.Zip(bare, (mine, theirs) => theirs / mine));
        var speedUp = Harness.Median(alone.Zip(two, (a, b) => a / b));
        var (rate, bareRate) = (1 / Harness.Median(one), 1 / Harness.Median(bare));
        var (aloneRate, twoRate) = (Batch / Harness.Median(alone), Batch / Harness.Median(two));
        table.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{name,-26} {rate,9:F0} {bareRate,9:F0} {ratio,7:F3} "
            + $"{aloneRate,10:F0} {twoRate,9:F0} {speedUp,8:F2} {bytes,10:F1}"));
        json?.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{{\"bench\":\"env {name}\",\"steps_per_s\":{rate:F0},\"bare_steps_per_s\":{bareRate:F0},\"of_bare\":{ratio:F4},"
            + $"\"batch\":{Batch},\"one_thread\":{aloneRate:F0},\"two_threads\":{twoRate:F0},\"speed_up\":{speedUp:F3},"
            + $"\"bytes_per_step\":{bytes:F1}}}"));
    }

    // Seconds per step of one environment and of the bare loop, round by round.
    private (List<double> Mine, List<double> Bare) Single(TaskDefinition task)
    {
        using var env = new VecEnv(task, 1);
        var episodes = new Episodes(env, 2000);
        using var loop = new BareLoop(Models.Text(Path.GetFileNameWithoutExtension(env.Model.Name)));
        var (mine, bare) = (new List<double>(), new List<double>());
        Repeat(() =>
        {
            bare.Add(Time(() => loop.Run(episodes)) / episodes.Steps);
            mine.Add(Time(() => Replay(env, episodes)) / episodes.Steps);
        });
        if (!episodes.Last.Physics.Slice(1, env.Model.Nq).SequenceEqual(loop.Qpos(env.Model.Nq))
            && episodes.Last.Elapsed[0] > 0)
            throw new InvalidOperationException($"{task.Name}: the bare loop went another way than the environment.");
        return (mine, bare);
    }

    private static void Replay(VecEnv env, Episodes episodes)
    {
        var (states, work, result) = (episodes.First, env.NewStates(), env.NewResult());
        Span<float> obs = new float[env.ObsDim];
        for (var step = 0; step < episodes.Steps; step++)
        {
            env.StepInto(states, episodes.ActionOf(step), work, result, default, obs);
            states = work;
        }
    }

    // Seconds per step of the whole batch on one and on two threads, and bytes allocated per step.
    private (List<double> Alone, List<double> Two, double Bytes) Batched(TaskDefinition task)
    {
        using var envs = new VecEnv(task, Batch);
        var actions = new float[64 * Batch * envs.ActionDim];
        Philox.Uniform(new PhiloxKey(4, 3, 2, 1), 0, actions);
        for (var i = 0; i < actions.Length; i++)
            actions[i] = 2 * actions[i] - 1;
        envs.Spec.ScaleActions(actions, actions);
        var (states, result) = (envs.Reset(new PhiloxKey(1, 1, 1, 1)), envs.NewResult());
        var obs = new float[Batch * envs.ObsDim];
        var row = Batch * envs.ActionDim;
        void Steps()
        {
            for (var step = 0; step < 64; step++)
                envs.StepInto(states, actions.AsSpan(step * row, row), states, result, default, obs);
        }

        var threads = Workers.Threads;
        var (alone, two) = (new List<double>(), new List<double>());
        double bytes = 0;
        Repeat(() =>
        {
            Workers.Threads = 1;
            var before = GC.GetAllocatedBytesForCurrentThread();
            Steps();
            bytes = (GC.GetAllocatedBytesForCurrentThread() - before) / 64.0;
            alone.Add(Time(Steps) / 64);
            Workers.Threads = 2;
            two.Add(Time(Steps) / 64);
        });
        Workers.Threads = threads;
        return (alone, two, bytes);
    }

    private void Repeat(Action round)
    {
        for (var clock = Stopwatch.StartNew(); clock.Elapsed.TotalSeconds < seconds;)
            round();
    }

    // Seconds per run, over enough runs to fill a round.
    private static double Time(Action run)
    {
        var runs = 0;
        var start = Stopwatch.GetTimestamp();
        do
        {
            run();
            runs++;
        }
        while (Stopwatch.GetElapsedTime(start).TotalSeconds < RoundSeconds);
        return Stopwatch.GetElapsedTime(start).TotalSeconds / runs;
    }
}
