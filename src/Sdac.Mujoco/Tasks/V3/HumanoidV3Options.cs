using Sdac.Environments;

namespace Sdac.Mujoco;

/// <summary>Gym's options of Humanoid-v3, and which engine's contact forces are meant.</summary>
public sealed record HumanoidV3Options
{
    /// <summary>Weight of the forward velocity.</summary>
    public double ForwardRewardWeight { get; init; } = 1.25;

    /// <summary>Weight of the squared controls.</summary>
    public double CtrlCostWeight { get; init; } = 0.1;

    /// <summary>Weight of the squared contact forces.</summary>
    public double ContactCostWeight { get; init; } = 5e-7;

    /// <summary>What the contact cost is clipped to.</summary>
    public Interval ContactCostRange { get; init; } = new(double.NegativeInfinity, 10.0);

    /// <summary>Reward of a step in health.</summary>
    public double HealthyReward { get; init; } = 5.0;

    /// <summary>Whether ill health ends the episode.</summary>
    public bool TerminateWhenUnhealthy { get; init; } = true;

    /// <summary>Range of the torso's height, exclusive.</summary>
    public Interval HealthyZRange { get; init; } = new(1.0, 2.0);

    /// <summary>Scale of the initial state's noise.</summary>
    public double ResetNoiseScale { get; init; } = 1e-2;

    /// <summary>Whether x and y are left out of the observation.</summary>
    public bool ExcludeCurrentPositionsFromObservation { get; init; } = true;

    /// <summary>Real contact forces, or the zeros of MuJoCo 2.0.</summary>
    public ContactForces ContactForces { get; init; }
}
