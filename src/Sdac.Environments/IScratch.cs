using System;
using Sdac.Kernels;

namespace Sdac.Environments;

/// <summary>
/// Room to simulate in. One thread at a time; <see cref="Reset"/> or <see cref="Step"/> first, then what it led to is
/// measured, observed and judged. What a call gives depends on its arguments alone, not on what the room held before.
/// </summary>
/// <remarks>
/// <c>environment</c> says which one of a batch is meant. No two threads step the same one at once, so that an engine may
/// keep for each what spares it work the next time; it must not change a bit.
/// </remarks>
public interface IScratch : IDisposable
{
    /// <summary>Begins an episode, all its noise from the key. Returns null or what went wrong.</summary>
    string? Reset(int environment, PhiloxKey key, Span<double> state);

    /// <summary>
    /// One step from a state with an action in the task's units; <paramref name="next"/> becomes the new state and may
    /// be <paramref name="state"/> itself. Returns null or what went wrong.
    /// </summary>
    string? Step(int environment, ReadOnlySpan<double> state, ReadOnlySpan<double> action, Span<double> next);

    /// <summary>Writes what the next step's reward compares with, [MeasureDim].</summary>
    void Measure(Span<double> measured);

    /// <summary>Writes the observation, [ObsDim]; returns null or which entry is not finite.</summary>
    string? Observe(Span<double> obs);

    /// <summary>The reward of the step, its figures into <paramref name="info"/> in the order of the names.</summary>
    double Reward(Measurement step, Span<double> info);

    /// <summary>Whether the task's own rule ends the episode here.</summary>
    bool Terminated();
}
