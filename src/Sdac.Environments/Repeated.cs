using System;
using System.Collections.Generic;
using Sdac.Kernels;
using static System.FormattableString;

namespace Sdac.Environments;

/// <summary>A task whose actions last several of another's steps, their rewards summed.</summary>
public sealed class Repeated : ITask
{
    private readonly ITask inner;
    private readonly int times;

    private Repeated(ITask inner, int times)
    {
        this.inner = inner;
        this.times = times;
    }

    /// <inheritdoc/>
    public string Name => inner.Name;

    /// <inheritdoc/>
    public IReadOnlyDictionary<string, object> Options => inner.Options;

    /// <summary>The task itself if an action lasts one step.</summary>
    /// <exception cref="ArgumentException">Not a whole number from 1 on.</exception>
    public static ITask Of(ITask task, double times)
    {
        if (!(times >= 1 && times <= int.MaxValue && double.IsInteger(times)))
            throw new ArgumentException(
                Invariant($"{task.Name}: action_repeat is {times}, but must be a whole number of at least 1."));
        return times == 1 ? task : new Repeated(task, (int)times);
    }

    /// <inheritdoc/>
    public IEngine Open() => new Engine(inner.Open(), times);

    // A state is the inner one, then what was measured in it: the first of the steps compares with that.
    private sealed class Engine(IEngine inner, int times) : IEngine
    {
        public EnvSpec Spec { get; } = Longer(inner, times);

        public int StateSize => inner.StateSize + inner.MeasureDim;

        public int MeasureDim => 0;

        public Scene? Scene => inner.Scene;

        public IScratch NewScratch() => new Scratch(inner, times);

        public IPoser NewPoser() => new Poser(inner.NewPoser(), inner.StateSize);

        public void Dispose() => inner.Dispose();

        private static EnvSpec Longer(IEngine inner, int times)
        {
            var spec = inner.Spec;
            if (spec.MaxEpisodeSteps % times == 0)
                return spec with
                {
                    FrameSkip = spec.FrameSkip * times,
                    Dt = spec.Dt * times,
                    MaxEpisodeSteps = spec.MaxEpisodeSteps / times,
                };
            inner.Dispose();
            throw new ArgumentException(
                Invariant($"{spec.Task}: action_repeat is {times}, which does not divide the {spec.MaxEpisodeSteps} steps of an episode."));
        }
    }

    private sealed class Scratch(IEngine engine, int times) : IScratch
    {
        private readonly IScratch inner = engine.NewScratch();
        private readonly int stateSize = engine.StateSize;
        private readonly double[] before = new double[engine.MeasureDim];
        private readonly double[] after = new double[engine.MeasureDim];
        private readonly double[] figures = new double[engine.Spec.InfoNames.Count];
        private double reward;
        private bool terminated;

        public string? Reset(int environment, PhiloxKey key, Span<double> state)
        {
            var complaint = inner.Reset(environment, key, state[..stateSize]);
            if (complaint is null)
                inner.Measure(state[stateSize..]);
            return complaint;
        }

        public string? Step(
            int environment, ReadOnlySpan<double> state, ReadOnlySpan<double> action, Span<double> next)
        {
            (reward, terminated) = (0, false);
            state[stateSize..].CopyTo(before);
            for (var k = 0; k < times && !terminated; k++)
            {
                var from = k == 0 ? state : next;
                if (inner.Step(environment, from[..stateSize], action, next[..stateSize]) is { } complaint)
                    return complaint;
                inner.Measure(after);
                reward += inner.Reward(new Measurement(action, before, after), figures);
                terminated = inner.Terminated();
                after.CopyTo(before, 0);
            }

            before.CopyTo(next[stateSize..]);
            return null;
        }

        public void Measure(Span<double> measured)
        {
        }

        public string? Observe(Span<double> obs) => inner.Observe(obs);

        public double Reward(Measurement step, Span<double> info)
        {
            figures.CopyTo(info);
            return reward;
        }

        public bool Terminated() => terminated;

        public void Dispose() => inner.Dispose();
    }

    private sealed class Poser(IPoser inner, int stateSize) : IPoser
    {
        public string? Pose(ReadOnlySpan<double> state, Span<double> poses) => inner.Pose(state[..stateSize], poses);

        public void Dispose() => inner.Dispose();
    }
}
