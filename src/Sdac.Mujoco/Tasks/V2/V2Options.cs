namespace Sdac.Mujoco;

/// <summary>Tasks of Gym's v2 have no options.</summary>
public sealed record V2Options;

/// <summary>Ant and Humanoid of v2: which engine's contact forces are meant.</summary>
public sealed record V2ContactOptions
{
    /// <summary>Real contact forces, or the zeros of MuJoCo 2.0.</summary>
    public ContactForces ContactForces { get; init; }
}
