using System;

namespace Sdac.Mujoco;

/// <summary>What a reward function sees of one step.</summary>
public readonly ref struct StepView
{
    /// <summary>Makes the view; the environments do.</summary>
    public StepView(
        Physics physics,
        ReadOnlySpan<double> action,
        ReadOnlySpan<double> before,
        ReadOnlySpan<double> after,
        double dt)
    {
        Physics = physics;
        Action = action;
        Before = before;
        After = after;
        Dt = dt;
    }

    /// <summary>The engine's numbers after the step.</summary>
    public Physics Physics { get; }

    /// <summary>The action as given, not clamped, [ActionDim].</summary>
    public ReadOnlySpan<double> Action { get; }

    /// <summary>What the task measured before the step, [MeasureDim].</summary>
    public ReadOnlySpan<double> Before { get; }

    /// <summary>What the task measures after the step, [MeasureDim].</summary>
    public ReadOnlySpan<double> After { get; }

    /// <summary>Seconds per step: frame skip times the engine's timestep.</summary>
    public double Dt { get; }
}
