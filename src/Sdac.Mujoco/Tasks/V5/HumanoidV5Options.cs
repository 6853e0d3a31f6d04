using Sdac.Environments;

namespace Sdac.Mujoco;

/// <summary>Gymnasium's options of Humanoid-v5.</summary>
public sealed record HumanoidV5Options
{
    /// <summary>Weight of the forward velocity.</summary>
    public double ForwardRewardWeight { get; init; } = 1.25;

    /// <summary>Weight of the squared controls.</summary>
    public double CtrlCostWeight { get; init; } = 0.1;

    /// <summary>Weight of the squared contact forces.</summary>
    public double ContactCostWeight { get; init; } = 5e-7;

    /// <summary>What the contact cost is clipped to.</summary>
    public Interval ContactCostRange { get; init; } = new(double.NegativeInfinity, 10.0);

    /// <summary>Reward of a step that ends in health.</summary>
    public double HealthyReward { get; init; } = 5.0;

    /// <summary>Whether ill health ends the episode.</summary>
    public bool TerminateWhenUnhealthy { get; init; } = true;

    /// <summary>Range of the torso's height, exclusive.</summary>
    public Interval HealthyZRange { get; init; } = new(1.0, 2.0);

    /// <summary>Scale of the initial state's noise.</summary>
    public double ResetNoiseScale { get; init; } = 1e-2;

    /// <summary>Whether x and y are left out of the observation.</summary>
    public bool ExcludeCurrentPositionsFromObservation { get; init; } = true;

    /// <summary>Whether the bodies' inertias are observed.</summary>
    public bool IncludeCinertInObservation { get; init; } = true;

    /// <summary>Whether the bodies' velocities are observed.</summary>
    public bool IncludeCvelInObservation { get; init; } = true;

    /// <summary>Whether the actuators' forces are observed.</summary>
    public bool IncludeQfrcActuatorInObservation { get; init; } = true;

    /// <summary>Whether contact forces are observed.</summary>
    public bool IncludeCfrcExtInObservation { get; init; } = true;
}
