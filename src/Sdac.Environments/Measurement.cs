using System;

namespace Sdac.Environments;

/// <summary>One step as the batch knows it: what was done, and what was measured before and after.</summary>
public readonly ref struct Measurement
{
    /// <summary>Makes the view; the environments do.</summary>
    public Measurement(ReadOnlySpan<double> action, ReadOnlySpan<double> before, ReadOnlySpan<double> after)
    {
        Action = action;
        Before = before;
        After = after;
    }

    /// <summary>The action as given, [ActionDim].</summary>
    public ReadOnlySpan<double> Action { get; }

    /// <summary>What was measured before the step, [MeasureDim].</summary>
    public ReadOnlySpan<double> Before { get; }

    /// <summary>What is measured after the step, [MeasureDim].</summary>
    public ReadOnlySpan<double> After { get; }
}
