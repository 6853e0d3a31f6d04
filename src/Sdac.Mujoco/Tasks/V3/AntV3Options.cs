using Sdac.Environments;

namespace Sdac.Mujoco;

/// <summary>Gym's options of Ant-v3, and which engine's contact forces are meant.</summary>
public sealed record AntV3Options
{
    /// <summary>Weight of the squared action.</summary>
    public double CtrlCostWeight { get; init; } = 0.5;

    /// <summary>Weight of the squared contact forces.</summary>
    public double ContactCostWeight { get; init; } = 5e-4;

    /// <summary>Reward of a step in health.</summary>
    public double HealthyReward { get; init; } = 1.0;

    /// <summary>Whether ill health ends the episode.</summary>
    public bool TerminateWhenUnhealthy { get; init; } = true;

    /// <summary>Range of the torso's height, inclusive.</summary>
    public Interval HealthyZRange { get; init; } = new(0.2, 1.0);

    /// <summary>What contact forces are clipped to.</summary>
    public Interval ContactForceRange { get; init; } = new(-1.0, 1.0);

    /// <summary>Scale of the initial state's noise.</summary>
    public double ResetNoiseScale { get; init; } = 0.1;

    /// <summary>Whether x and y are left out of the observation.</summary>
    public bool ExcludeCurrentPositionsFromObservation { get; init; } = true;

    /// <summary>Real contact forces, or the zeros of MuJoCo 2.0.</summary>
    public ContactForces ContactForces { get; init; }
}
