using System;
using Sdac.Environments;
using Sdac.Kernels;

namespace Sdac.Mujoco;

/// <summary>
/// The Control Suite's way: a step goes on from the position and velocity stages that the last one ended with. Each
/// environment has its own simulation, so that they need not be computed again.
/// </summary>
internal sealed class SuiteScratch(CheckedTask task, PerEnvironment<Simulation> simulations, double dt)
    : MujocoScratch(task, dt)
{
    private readonly CheckedTask task = task;
    private Simulation? present;

    /// <inheritdoc/>
    protected override Simulation Present =>
        present ?? throw new RefusedOperationException("Nothing has been reset or stepped.");

    /// <inheritdoc/>
    public override string? Reset(int environment, PhiloxKey key, Span<double> state)
    {
        present = simulations[environment];
        var complaint = task.Begin!(key, present);
        present.CopySuiteState(state);
        return complaint;
    }

    /// <inheritdoc/>
    public override string? Step(
        int environment, ReadOnlySpan<double> state, ReadOnlySpan<double> action, Span<double> next)
    {
        present = simulations[environment];
        return present.SuiteStep(state, action, task.FrameSkip, next);
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
    }
}
