namespace Sdac.PushT;

/// <summary>What is observed.</summary>
public enum ObsType
{
    /// <summary>Agent x, y, block x, y, block angle in [0, 2π): the published default, 5 numbers.</summary>
    State,

    /// <summary>The block's eight vertices x, y, then agent x, y: 18 numbers.</summary>
    Vertices,

    /// <summary>
    /// Agent x, y and block x, y over 512, sine and cosine of the angle: 6 numbers. Ours, not a published form.
    /// </summary>
    Scaled,
}

/// <summary>What covering more than 0.95 of the goal means.</summary>
public enum Success
{
    /// <summary>
    /// The episode terminates, as published. With a discount, hovering just below 0.95 is then worth more.
    /// </summary>
    Ends,

    /// <summary>Nothing: the episode goes on, and the rewards are those of the coverage.</summary>
    Continues,

    /// <summary>The episode goes on, and every reward from then on is 1.</summary>
    Holds,
}

/// <summary>What a step is paid.</summary>
public enum Pay
{
    /// <summary>min(coverage / 0.95, 1), as published.</summary>
    EachStep,

    /// <summary>
    /// By how much the episode's highest published reward grew: the return is that highest reward, the score of the
    /// diffusion policies that were trained on demonstrations.
    /// </summary>
    NewBest,
}

/// <summary>Options of PushT.</summary>
public sealed record PushTOptions
{
    /// <summary>What is observed.</summary>
    public ObsType ObsType { get; init; } = ObsType.State;

    /// <summary>What covering more than 0.95 of the goal means.</summary>
    public Success Success { get; init; } = Success.Ends;

    /// <summary>What a step is paid.</summary>
    public Pay Pay { get; init; } = Pay.EachStep;
}
