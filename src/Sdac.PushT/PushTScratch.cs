using System;
using Sdac.Environments;
using Sdac.Kernels;

namespace Sdac.PushT;

/// <summary>One thread's hands on the episodes of an engine.</summary>
internal sealed class PushTScratch(PushTEngine engine, PushTOptions options) : IScratch
{
    private Episode? present;

    private Episode Present => present ?? throw new RefusedOperationException("Nothing has been reset or stepped.");

    /// <inheritdoc/>
    public string? Reset(int environment, PhiloxKey key, Span<double> state)
    {
        present = engine.EpisodeOf(environment);
        var complaint = present.Begin(Start(key));
        present.CopyTo(state);
        return complaint;
    }

    /// <inheritdoc/>
    public string? Step(int environment, ReadOnlySpan<double> state, ReadOnlySpan<double> action, Span<double> next)
    {
        present = engine.EpisodeOf(environment);
        var complaint = present.GoTo(state) ?? present.Step(action);
        present.CopyTo(next);
        return complaint;
    }

    /// <inheritdoc/>
    public void Measure(Span<double> measured)
    {
    }

    /// <inheritdoc/>
    public string? Observe(Span<double> obs)
    {
        Rules.Observe(Present.World, options.ObsType, obs);
        return null;
    }

    /// <inheritdoc/>
    public double Reward(Measurement step, Span<double> info) =>
        Rules.Reward(options, Present.World.Covered, Present.World.BestBefore, info);

    /// <inheritdoc/>
    public bool Terminated() => Rules.Terminated(options, Present.World.Covered);

    /// <inheritdoc/>
    public void Dispose()
    {
    }

    /// <summary>
    /// agent x, y uniform over 50, 51, …, 449; block x, y over 100, …, 399; angle 2π·N(0, 1) - π. Places and angle draw
    /// from two streams of the key.
    /// </summary>
    internal static Pose Start(PhiloxKey key)
    {
        Span<double> places = stackalloc double[4];
        Span<double> angle = stackalloc double[1];
        Philox.Uniform(Philox.Derive(key, 0), 0, places);
        Philox.Normal(Philox.Derive(key, 1), 0, angle);
        return new Pose(
            50 + Math.Floor(400 * places[0]),
            50 + Math.Floor(400 * places[1]),
            100 + Math.Floor(300 * places[2]),
            100 + Math.Floor(300 * places[3]),
            angle[0] * 2 * Math.PI - Math.PI);
    }
}
