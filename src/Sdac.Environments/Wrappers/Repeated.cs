using System;
using Sdac.Kernels;
using static System.FormattableString;

namespace Sdac.Environments;

/// <summary>
/// An engine whose actions last several of another's steps, their rewards summed. A state is the inner one, then what was measured
/// in it: the first of the steps compares with that.
/// </summary>
internal sealed class Repeated : IEngine
{
    private readonly IEngine inner;
    private readonly int times;

    /// <exception cref="ArgumentException">The time limit is no multiple.</exception>
    public Repeated(IEngine inner, int times)
    {
        (this.inner, this.times) = (inner, times);
        var spec = inner.Spec;
        if (spec.MaxEpisodeSteps % times != 0)
            throw new RefusedArgumentException(
                Invariant($"{spec.Task}: action_repeat is {times}, which does not divide the {spec.MaxEpisodeSteps} steps of an episode: ")
                + Invariant($"choose another, or set time_limit to {Math.Max(1, spec.MaxEpisodeSteps / times) * (long)times}."));
        Spec = spec with
        {
            FrameSkip = spec.FrameSkip * times,
            Dt = spec.Dt * times,
            MaxEpisodeSteps = spec.MaxEpisodeSteps / times,
        };
    }

    /// <inheritdoc/>
    public EnvSpec Spec { get; }

    /// <inheritdoc/>
    public int StateSize => inner.StateSize + inner.MeasureDim;

    /// <inheritdoc/>
    public int MeasureDim => 0;

    /// <inheritdoc/>
    public IEngine Innermost => inner.Innermost;

    /// <inheritdoc/>
    public IScratch NewScratch() => new Scratch(inner, times);

    /// <inheritdoc/>
    public void Dispose() => inner.Dispose();

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
}
