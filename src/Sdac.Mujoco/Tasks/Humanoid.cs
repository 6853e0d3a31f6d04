using System;
using Sdac.Environments;

namespace Sdac.Mujoco;

/// <summary>Gymnasium's options of Humanoid-v4.</summary>
public sealed record HumanoidOptions
{
    /// <summary>Weight of the forward velocity.</summary>
    public double ForwardRewardWeight { get; init; } = 1.25;

    /// <summary>Weight of the squared controls.</summary>
    public double CtrlCostWeight { get; init; } = 0.1;

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
}

/// <summary>Humanoid-v4: walk forward in space without falling.</summary>
public static class Humanoid
{
    /// <summary>The task's name.</summary>
    public const string Name = "Humanoid-v4";

    /// <summary>The task. Its position is the mass centre of the bodies as mj_step left them.</summary>
    public static TaskDefinition Task(HumanoidOptions options)
    {
        var skip = options.ExcludeCurrentPositionsFromObservation ? 2 : 0;
        return new TaskDefinition
        {
            Name = Name,
            Options = TaskOptions.Checked(Name, options),
            LoadModel = static () => Models.Load("humanoid"),
            FrameSkip = 5,
            MaxEpisodeSteps = 1000,
            ContactForces = true,
            ObsDim = 378 - skip,
            Observe = (physics, obs) => Observe(physics, skip, obs),
            MeasureDim = 2,
            Measure = MassCentre,
            InfoNames = ["reward_linvel", "reward_quadctrl", "reward_alive", .. TaskMath.TravelNames],
            Reward = (step, info) =>
            {
                var forward = TaskMath.Travel(step, options.ForwardRewardWeight, info[3..]);
                var paid = options.TerminateWhenUnhealthy || IsHealthy(step.Physics, options);
                var healthy = paid ? options.HealthyReward : 0;
                var cost = options.CtrlCostWeight * TaskMath.SumOfSquares(step.Physics.Ctrl);
                info[0] = forward;
                info[1] = -cost;
                info[2] = healthy;
                return forward + healthy - cost;
            },
            Terminated = physics => options.TerminateWhenUnhealthy && !IsHealthy(physics, options),
            Start = StartNoise.Uniform(options.ResetNoiseScale),
        };
    }

    private static void Observe(Physics physics, int skip, Span<double> obs)
    {
        var rest = TaskMath.CopyState(physics, skip, obs);
        rest = TaskMath.Append(physics.Cinert, rest);
        rest = TaskMath.Append(physics.Cvel, rest);
        rest = TaskMath.Append(physics.QfrcActuator, rest);
        TaskMath.Append(physics.CfrcExt, rest);
    }

    private static void MassCentre(Physics physics, Span<double> centre)
    {
        var masses = physics.BodyMass;
        var positions = physics.Xipos;
        var (x, y, total) = (0.0, 0.0, 0.0);
        for (var body = 0; body < masses.Length; body++)
        {
            x += masses[body] * positions[3 * body];
            y += masses[body] * positions[3 * body + 1];
            total += masses[body];
        }

        centre[0] = x / total;
        centre[1] = y / total;
    }

    private static bool IsHealthy(Physics physics, HumanoidOptions options) =>
        options.HealthyZRange.Contains(physics.Qpos[2]);
}
