using System;
using Sdac.Kernels;

namespace Sdac.Mujoco;

/// <summary>Gymnasium's way: one simulation serves all environments, since a state put back is all that mj_step reads.</summary>
internal sealed class GymScratch(CheckedTask task, Model model, double dt) : MujocoScratch(task, dt)
{
    private readonly CheckedTask task = task;
    private readonly Simulation simulation = new(model);
    private readonly double[] startQpos = new double[model.Nq];
    private readonly double[] startQvel = new double[model.Nv];

    /// <inheritdoc/>
    protected override Simulation Present => simulation;

    /// <inheritdoc/>
    public override string? Reset(int environment, PhiloxKey key, Span<double> state) =>
        task.Start(key, model.Qpos0, startQpos, startQvel) ?? simulation.Reset(startQpos, startQvel, state);

    /// <inheritdoc/>
    public override string? Step(
        int environment, ReadOnlySpan<double> state, ReadOnlySpan<double> action, Span<double> next) =>
        simulation.Step(state, action, task.FrameSkip, task.ContactForces, next);

    /// <inheritdoc/>
    public override void Dispose() => simulation.Dispose();
}
