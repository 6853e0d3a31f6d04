namespace Sdac.Environments;

/// <summary>
/// Options that every task takes beside its own: what lies around it, in this order from the inside out. A task's own option of
/// the same name cannot be.
/// </summary>
public sealed record WrapperOptions
{
    /// <summary>The time limit in steps of the task (before any repetition); 0 is the task's own.</summary>
    public double TimeLimit { get; init; }

    /// <summary>How many steps an action lasts, their rewards summed: a whole number that divides the time limit.</summary>
    public double ActionRepeat { get; init; } = 1;

    /// <summary>How many of the last observations are shown together, the oldest first; an episode begins with copies of its first.</summary>
    public double FrameStack { get; init; } = 1;

    /// <summary>What the learner's rewards are multiplied by; returns are told as the task has them.</summary>
    public double RewardScale { get; init; } = 1;

    /// <summary>
    /// Whether the learner's observations are normalised by the running moments of all that training has seen, which its state keeps.
    /// </summary>
    public bool ObservationMoments { get; init; }
}
