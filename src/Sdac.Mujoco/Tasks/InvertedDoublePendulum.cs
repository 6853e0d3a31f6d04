using System;
using Sdac.Environments;

namespace Sdac.Mujoco;

/// <summary>InvertedDoublePendulum-v4 has no options in Gymnasium.</summary>
public sealed record InvertedDoublePendulumOptions;

/// <summary>InvertedDoublePendulum-v4: keep two poles, one upon the other, upright on a cart.</summary>
public static class InvertedDoublePendulum
{
    /// <summary>The task's name.</summary>
    public const string Name = "InvertedDoublePendulum-v4";

    /// <summary>The task.</summary>
    public static TaskDefinition Task(InvertedDoublePendulumOptions options) =>
        new()
        {
            Name = Name,
            Options = TaskOptions.Checked(Name, options),
            LoadModel = static () => Models.Load("inverted_double_pendulum"),
            FrameSkip = 5,
            MaxEpisodeSteps = 1000,
            ObsDim = 11,
            Observe = Observe,
            InfoNames = ["dist_penalty", "vel_penalty", "alive", "tip_x", "tip_y"],
            Reward = Reward,
            Terminated = static physics => physics.SitePosition(0)[2] <= 1,
            Start = StartNoise.UniformAndNormal(0.1),
        };

    private static void Observe(Physics physics, Span<double> obs)
    {
        obs[0] = physics.Qpos[0];
        for (var joint = 0; joint < 2; joint++)
            (obs[1 + joint], obs[3 + joint]) = Math.SinCos(physics.Qpos[1 + joint]);
        TaskMath.CopyClipped(physics.Qvel, 10, obs[5..]);
        TaskMath.CopyClipped(physics.QfrcConstraint, 10, obs[8..]);
    }

    /// <summary>What the distance from upright costs, and what the speed.</summary>
    internal static (double Distance, double Speed) Penalties(Physics physics)
    {
        var tip = physics.SitePosition(0);
        var velocity = physics.Qvel;
        var height = tip[2] - 2;
        return (
            0.01 * (tip[0] * tip[0]) + height * height,
            1e-3 * (velocity[1] * velocity[1]) + 5e-3 * (velocity[2] * velocity[2]));
    }

    private static double Reward(StepView step, Span<double> info)
    {
        var tip = step.Physics.SitePosition(0);
        var (distance, speed) = Penalties(step.Physics);
        info[0] = distance;
        info[1] = speed;
        info[2] = 10;
        info[3] = tip[0];
        info[4] = tip[2];
        return 10 - distance - speed;
    }
}
