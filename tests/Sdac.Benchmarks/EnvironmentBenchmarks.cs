using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using Sdac.Environments;
using Sdac.Kernels;
using Sdac.Mujoco;

namespace Sdac.Benchmarks;

/// <summary>
/// Environment steps per second: one environment in turn with the bare loop over the same states, and a batch of eight
/// on one thread in turn with two. Two bare loops that share nothing, one after the other and side by side, say in the
/// same round what a second processor is worth. Ratios are medians over rounds, so that a bad spell of a shared machine
/// hits both.
/// </summary>
internal sealed class EnvironmentBenchmarks(TextWriter table, TextWriter? json, double seconds)
{
    private const int Batch = 8;
    private const int ActionSteps = 64;
    private const int EpisodeSteps = 2000;
    private const double RoundSeconds = 0.004;

    // Two bare loops reach this where no neighbour takes part of a processor.
    private const double Undisturbed = 1.9;

    public void Run()
    {
        table.WriteLine();
        table.WriteLine(
            $"{"environment",-26} {"steps/s",9} {"bare loop",9} {"ratio",7} "
            + $"{"batch of 8",10} {"2 threads",9} {"speed-up",8} {"two loops",9} {"of them",8} {"undisturbed",15} {"bytes/step",10}");
        foreach (var task in Tasks.NamesOf("v4"))
            Measure(Tasks.Create(task));
        foreach (var task in ControlSuite.Suite.Names)
            Measure((TaskDefinition)ControlSuite.Suite.Create(task));
    }

    private void Measure(TaskDefinition task)
    {
        var name = task.Name;
        var (one, bare) = Single(task);
        var (rounds, bytes) = Batched(task);
        var ratio = Harness.Median(one.Zip(bare, (mine, theirs) => theirs / mine));
        var speedUp = Harness.Median(rounds.Select(r => r.SpeedUp));
        var limit = Harness.Median(rounds.Select(r => r.Limit));
        var ofLimit = Harness.Median(rounds.Select(r => r.SpeedUp / r.Limit));
        var undisturbed = rounds.Where(r => r.Limit >= Undisturbed).Select(r => r.SpeedUp).ToList();
        var whole = undisturbed.Count == 0 ? double.NaN : Harness.Median(undisturbed);
        var (rate, bareRate) = (1 / Harness.Median(one), 1 / Harness.Median(bare));
        var aloneRate = Batch / Harness.Median(rounds.Select(r => r.Alone));
        var twoRate = Batch / Harness.Median(rounds.Select(r => r.Two));
        table.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{name,-26} {rate,9:F0} {bareRate,9:F0} {ratio,7:F3} "
            + $"{aloneRate,10:F0} {twoRate,9:F0} {speedUp,8:F2} {limit,9:F2} {ofLimit,8:F3} "
            + $"{whole,5:F2} ({undisturbed.Count,2}/{rounds.Count,3}) {bytes,10:F1}"));
        json?.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{{\"bench\":\"env {name}\",\"steps_per_s\":{rate:F0},\"bare_steps_per_s\":{bareRate:F0},\"of_bare\":{ratio:F4},"
            + $"\"batch\":{Batch},\"one_thread\":{aloneRate:F0},\"two_threads\":{twoRate:F0},\"speed_up\":{speedUp:F3},"
            + $"\"two_bare_loops\":{limit:F3},\"of_two_bare_loops\":{ofLimit:F3},"
            + $"\"speed_up_undisturbed\":{(undisturbed.Count == 0 ? "null" : whole.ToString("F3", CultureInfo.InvariantCulture))},"
            + $"\"rounds_undisturbed\":{undisturbed.Count},\"rounds\":{rounds.Count},\"bytes_per_step\":{bytes:F1}}}"));
    }

    // Seconds per step of one environment and of the bare loop, a stretch of the episodes per round.
    private (List<double> Mine, List<double> Bare) Single(TaskDefinition task)
    {
        using var env = new VecEnv(task, 1);
        var episodes = new Episodes(env, EpisodeSteps);
        using var loop = Loop(env);
        var (mine, bare) = (new List<double>(), new List<double>());
        var (states, result, obs) = (env.NewStates(), env.NewResult(), new float[env.ObsDim]);
        var stretch = (int)Math.Clamp(RoundSeconds / Harness.Time(() => loop.Run(episodes, 0, 100), 1) * 100, 1, 500);
        var first = 0;

        void Replay(int count)
        {
            for (var step = first; step < first + count; step++)
                env.StepInto(step == 0 ? episodes.First : states, episodes.ActionOf(step), states, result, default, obs);
        }

        Repeat(() =>
        {
            var count = Math.Min(stretch, EpisodeSteps - first);
            bare.Add(Harness.Time(() => loop.Run(episodes, first, count), 1) / count);
            mine.Add(Harness.Time(() => Replay(count), 1) / count);
            first = (first + count) % EpisodeSteps;
            if (first == 0 && states.Elapsed[0] > 0
                && !states.Physics.Slice(1, MujocoEngine.ModelOf(env).Nq).SequenceEqual(loop.Qpos(MujocoEngine.ModelOf(env).Nq)))
                throw new InvalidOperationException($"{task.Name}: the bare loop went another way than the environment.");
        });
        return (mine, bare);
    }

    private (List<Round> Rounds, double Bytes) Batched(TaskDefinition task)
    {
        using var one = new VecEnv(task, 1);
        var episodes = new Episodes(one, EpisodeSteps);
        using var loop = Loop(one);
        using var envs = new VecEnv(task, Batch);
        var (actions, row) = (Actions(envs), Batch * envs.ActionDim);
        var (start, alone, two) = (envs.Reset(new PhiloxKey(1, 1, 1, 1)), envs.NewStates(), envs.NewStates());
        var (result, obs) = (envs.NewResult(), new float[Batch * envs.ObsDim]);
        var (threads, rounds, segment, first) = (Workers.Threads, new List<Round>(), 0, 0);
        double bytes = 0;

        void Steps(int count, EnvStates into)
        {
            for (var (step, from) = (0, start); step < count; step++, from = into)
                envs.StepInto(from, actions.AsSpan((first + step) % ActionSteps * row, row), into, result, default, obs);
        }

        double Timed(int workers, int count, EnvStates into)
        {
            Workers.Threads = workers;
            return Harness.Time(() => Steps(count, into), 1) / count;
        }

        Timed(2, ActionSteps, two);
        var steps = (int)Math.Clamp(RoundSeconds / Timed(1, ActionSteps, alone), 1, ActionSteps);
        var half = Math.Min(steps * Batch / 2, episodes.Steps);
        Repeat(() =>
        {
            var before = GC.GetAllocatedBytesForCurrentThread();
            Steps(steps, alone);
            bytes = (GC.GetAllocatedBytesForCurrentThread() - before) / (double)steps;
            var (aloneSeconds, twoSeconds) = (Timed(1, steps, alone), Timed(2, steps, two));
            var (inTurn, sideBySide) = loop.RunPair(episodes, segment * half, half);
            rounds.Add(new Round(aloneSeconds, twoSeconds, inTurn / sideBySide));
            segment = (segment + 1) % (episodes.Steps / half);
            first = (first + steps) % ActionSteps;
            (start, two) = (two, start);
        });
        Workers.Threads = threads;
        return (rounds, bytes);
    }

    private static BareLoop Loop(VecEnv env) =>
        new(
            Path.GetFileNameWithoutExtension(MujocoEngine.ModelOf(env).Name),
            ControlSuite.Suite.Names.Contains(env.Spec.Task),
            SuiteCheetah.Tasks.Any(task => task.Name == env.Spec.Task) ? SuiteCheetah.FreeSteps : 0);

    // Uniform ones for as many steps as a round may take.
    private static float[] Actions(VecEnv envs)
    {
        var actions = new float[ActionSteps * Batch * envs.ActionDim];
        Philox.Uniform(new PhiloxKey(4, 3, 2, 1), 0, actions);
        for (var i = 0; i < actions.Length; i++)
            actions[i] = 2 * actions[i] - 1;
        envs.Spec.ScaleActions(actions, actions);
        return actions;
    }

    private void Repeat(Action round)
    {
        for (var clock = Stopwatch.StartNew(); clock.Elapsed.TotalSeconds < seconds;)
            round();
    }

    // Seconds per step of the whole batch on one thread and on two, and what two threads gave the bare loops.
    private readonly record struct Round(double Alone, double Two, double Limit)
    {
        public double SpeedUp => Alone / Two;
    }
}
