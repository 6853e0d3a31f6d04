using System;
using Sdac.Kernels;
using static System.FormattableString;

namespace Sdac.Environments;

/// <summary>
/// An engine that shows its last observations together, the oldest first. A state is the inner one, then these observations.
/// </summary>
internal sealed class Stacked : IEngine
{
    private readonly IEngine inner;
    private readonly int count;

    /// <exception cref="ArgumentException">More numbers than an array holds.</exception>
    public Stacked(IEngine inner, int count)
    {
        (this.inner, this.count) = (inner, count);
        if ((long)inner.Spec.ObsDim * count > Array.MaxLength)
            throw new RefusedArgumentException(
                Invariant($"{inner.Spec.Task}: frame_stack is {count}, whose {inner.Spec.ObsDim} numbers each are more than an array holds: take fewer."));
        Spec = inner.Spec with { ObsDim = inner.Spec.ObsDim * count };
    }

    /// <inheritdoc/>
    public EnvSpec Spec { get; }

    /// <inheritdoc/>
    public int StateSize => inner.StateSize + Spec.ObsDim;

    /// <inheritdoc/>
    public int MeasureDim => inner.MeasureDim;

    /// <inheritdoc/>
    public IEngine Innermost => inner.Innermost;

    /// <inheritdoc/>
    public IScratch NewScratch() => new Scratch(inner, count);

    /// <inheritdoc/>
    public void Dispose() => inner.Dispose();

    private sealed class Scratch(IEngine engine, int count) : IScratch
    {
        private readonly IScratch inner = engine.NewScratch();
        private readonly int stateSize = engine.StateSize;
        private readonly int width = engine.Spec.ObsDim;
        private readonly double[] frames = new double[engine.Spec.ObsDim * count];
        private string? complaint;

        public string? Reset(int environment, PhiloxKey key, Span<double> state)
        {
            if (inner.Reset(environment, key, state[..stateSize]) is { } failed)
                return failed;
            complaint = inner.Observe(frames.AsSpan(0, width));
            for (var k = 1; k < count; k++)
                frames.AsSpan(0, width).CopyTo(frames.AsSpan(k * width));
            frames.CopyTo(state[stateSize..]);
            return null;
        }

        public string? Step(
            int environment, ReadOnlySpan<double> state, ReadOnlySpan<double> action, Span<double> next)
        {
            // before the state is written over
            state[(stateSize + width)..].CopyTo(frames);
            if (inner.Step(environment, state[..stateSize], action, next[..stateSize]) is { } failed)
                return failed;
            complaint = inner.Observe(frames.AsSpan((count - 1) * width));
            frames.CopyTo(next[stateSize..]);
            return null;
        }

        public void Measure(Span<double> measured) => inner.Measure(measured);

        public string? Observe(Span<double> obs)
        {
            frames.CopyTo(obs);
            return complaint;
        }

        public double Reward(Measurement step, Span<double> info) => inner.Reward(step, info);

        public bool Terminated() => inner.Terminated();

        public void Dispose() => inner.Dispose();
    }
}
