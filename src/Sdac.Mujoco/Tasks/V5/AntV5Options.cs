using Sdac.Environments;

namespace Sdac.Mujoco;

/// <summary>Gymnasium's options of Ant-v5.</summary>
public sealed record AntV5Options
{
    /// <summary>Weight of the forward velocity.</summary>
    public double ForwardRewardWeight { get; init; } = 1.0;

    /// <summary>Weight of the squared action.</summary>
    public double CtrlCostWeight { get; init; } = 0.5;

    /// <summary>Weight of the squared contact forces.</summary>
    public double ContactCostWeight { get; init; } = 5e-4;

    /// <summary>Reward of a step that ends in health.</summary>
    public double HealthyReward { get; init; } = 1.0;

    /// <summary>The body whose velocity is rewarded: 1 is the torso, 13 the last one.</summary>
    public double MainBody { get; init; } = 1;

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

    /// <summary>Whether contact forces are observed (105 numbers in place of 27).</summary>
    public bool IncludeCfrcExtInObservation { get; init; } = true;
}
