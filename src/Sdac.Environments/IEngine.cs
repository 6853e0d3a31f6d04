using System;

namespace Sdac.Environments;

/// <summary>What simulates one task: sizes and bounds, and scratch to step with. Shared by all threads.</summary>
public interface IEngine : IDisposable
{
    /// <summary>Sizes and bounds of the task.</summary>
    EnvSpec Spec { get; }

    /// <summary>How many numbers the state of one environment has.</summary>
    int StateSize { get; }

    /// <summary>How many numbers <see cref="IScratch.Measure"/> writes.</summary>
    int MeasureDim { get; }

    /// <summary>What simulates, inside all that options put around it: its numbers come first in a state.</summary>
    IEngine Innermost => this;

    /// <summary>Scratch for one thread.</summary>
    IScratch NewScratch();

    /// <summary>What the task's world looks like; null where there are only numbers to see.</summary>
    Scene? Scene => ReferenceEquals(Innermost, this) ? null : Innermost.Scene;

    /// <summary>Room to compute the poses of <see cref="Scene"/> in.</summary>
    /// <exception cref="NotSupportedException">There is no scene.</exception>
    IPoser NewPoser() => ReferenceEquals(Innermost, this)
        ? throw new NotSupportedException($"{Spec.Task} has no scene.")
        : new InnermostPoser(Innermost.NewPoser(), Innermost.StateSize);
}
