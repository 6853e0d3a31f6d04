using System;
using Sdac.Environments;

namespace Sdac.Mujoco;

/// <summary>Gymnasium's options of Hopper-v4.</summary>
public sealed record HopperOptions
{
    /// <summary>Weight of the forward velocity.</summary>
    public double ForwardRewardWeight { get; init; } = 1.0;

    /// <summary>Weight of the squared action.</summary>
    public double CtrlCostWeight { get; init; } = 1e-3;

    /// <summary>Reward of a step in health.</summary>
    public double HealthyReward { get; init; } = 1.0;

    /// <summary>Whether ill health ends the episode.</summary>
    public bool TerminateWhenUnhealthy { get; init; } = true;

    /// <summary>Range of every state entry from the torso's angle on, exclusive.</summary>
    public Interval HealthyStateRange { get; init; } = new(-100.0, 100.0);

    /// <summary>Range of the torso's height, exclusive.</summary>
    public Interval HealthyZRange { get; init; } = new(0.7, double.PositiveInfinity);

    /// <summary>Range of the torso's angle, exclusive.</summary>
    public Interval HealthyAngleRange { get; init; } = new(-0.2, 0.2);

    /// <summary>Scale of the initial state's noise.</summary>
    public double ResetNoiseScale { get; init; } = 5e-3;

    /// <summary>Whether x is left out of the observation.</summary>
    public bool ExcludeCurrentPositionsFromObservation { get; init; } = true;
}

/// <summary>Hopper-v4: one leg hops forward without falling.</summary>
public static class Hopper
{
    /// <summary>The task's name.</summary>
    public const string Name = "Hopper-v4";

    /// <summary>The task.</summary>
    public static TaskDefinition Task(HopperOptions options)
    {
        var skip = options.ExcludeCurrentPositionsFromObservation ? 1 : 0;
        return new TaskDefinition
        {
            Name = Name,
            Options = TaskOptions.Checked(Name, options),
            LoadModel = static () => Models.Load("hopper"),
            FrameSkip = 4,
            MaxEpisodeSteps = 1000,
            ObsDim = 12 - skip,
            Observe = (physics, obs) => Walking.Observe(physics, skip, obs),
            MeasureDim = 1,
            Measure = static (physics, measured) => measured[0] = physics.Qpos[0],
            InfoNames = Walking.InfoNames,
            Reward = (step, info) => Walking.Reward(
                step,
                options.ForwardRewardWeight,
                options.CtrlCostWeight,
                options.TerminateWhenUnhealthy || IsHealthy(step.Physics, options) ? options.HealthyReward : 0,
                info),
            Terminated = physics => options.TerminateWhenUnhealthy && !IsHealthy(physics, options),
            Start = StartNoise.Uniform(options.ResetNoiseScale),
        };
    }

    internal static bool IsHealthy(Physics physics, HopperOptions options) =>
        options.HealthyZRange.Contains(physics.Qpos[1])
        && options.HealthyAngleRange.Contains(physics.Qpos[2])
        && AllInside(physics.Qpos[2..], options.HealthyStateRange)
        && AllInside(physics.Qvel, options.HealthyStateRange);

    private static bool AllInside(ReadOnlySpan<double> numbers, Interval range)
    {
        foreach (var number in numbers)
        {
            if (!range.Contains(number))
                return false;
        }

        return true;
    }
}
