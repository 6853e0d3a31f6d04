using System;
using Sdac.Environments;
using Sdac.Kernels;

namespace Sdac.Mujoco;

/// <summary>One thread's simulation of a task.</summary>
internal abstract class MujocoScratch(CheckedTask task, double dt) : IScratch
{
    /// <summary>Where the last call left the engine.</summary>
    protected abstract Simulation Present { get; }

    /// <inheritdoc/>
    public abstract string? Reset(int environment, PhiloxKey key, Span<double> state);

    /// <inheritdoc/>
    public abstract string? Step(
        int environment, ReadOnlySpan<double> state, ReadOnlySpan<double> action, Span<double> next);

    /// <inheritdoc/>
    public void Measure(Span<double> measured) => task.Measure(Present.Physics, measured);

    /// <inheritdoc/>
    public string? Observe(Span<double> obs) => task.Observe(Present.Physics, obs);

    /// <inheritdoc/>
    public double Reward(Measurement step, Span<double> info) =>
        task.Reward(new StepView(Present.Physics, step.Action, step.Before, step.After, dt), info);

    /// <inheritdoc/>
    public bool Terminated() => task.Terminated(Present.Physics);

    /// <inheritdoc/>
    public abstract void Dispose();
}
