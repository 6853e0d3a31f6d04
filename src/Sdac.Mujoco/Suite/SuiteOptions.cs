namespace Sdac.Mujoco;

/// <summary>Options of a task of the Control Suite.</summary>
public sealed record SuiteOptions
{
    /// <summary>
    /// How many control steps an action lasts, their rewards summed: a whole number that divides the 1,000 of an episode.
    /// The field's habit is 2.
    /// </summary>
    public double ActionRepeat { get; init; } = 1;
}
