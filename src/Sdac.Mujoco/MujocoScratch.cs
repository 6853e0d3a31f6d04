using System;
using Sdac.Environments;
using Sdac.Kernels;

namespace Sdac.Mujoco;

/// <summary>One thread's simulation of a task.</summary>
internal sealed class MujocoScratch(CheckedTask task, Model model, double dt) : IScratch
{
    private readonly Simulation simulation = new(model);
    private readonly double[] startQpos = new double[model.Nq];
    private readonly double[] startQvel = new double[model.Nv];

    /// <inheritdoc/>
    public string? Reset(int environment, PhiloxKey key, Span<double> state) =>
        task.Start(key, model.Qpos0, startQpos, startQvel) ?? simulation.Reset(startQpos, startQvel, state);

    /// <inheritdoc/>
    public string? Step(int environment, ReadOnlySpan<double> state, ReadOnlySpan<double> action, Span<double> next) =>
        simulation.Step(state, action, task.FrameSkip, task.ContactForces, next);

    /// <inheritdoc/>
    public void Measure(Span<double> measured) => task.Measure(simulation.Physics, measured);

    /// <inheritdoc/>
    public string? Observe(Span<double> obs) => task.Observe(simulation.Physics, obs);

    /// <inheritdoc/>
    public double Reward(Measurement step, Span<double> info) =>
        task.Reward(new StepView(simulation.Physics, step.Action, step.Before, step.After, dt), info);

    /// <inheritdoc/>
    public bool Terminated() => task.Terminated(simulation.Physics);

    /// <inheritdoc/>
    public void Dispose() => simulation.Dispose();
}
