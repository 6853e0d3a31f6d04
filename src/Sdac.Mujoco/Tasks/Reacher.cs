using System;
using Sdac.Environments;
using Sdac.Kernels;

namespace Sdac.Mujoco;

/// <summary>Reacher-v4 has no options in Gymnasium.</summary>
public sealed record ReacherOptions;

/// <summary>Reacher-v4: bring a two-link arm's tip to a target; 50 steps.</summary>
public static class Reacher
{
    /// <summary>The task's name.</summary>
    public const string Name = "Reacher-v4";

    private const int Fingertip = 3;
    private const int Target = 4;

    /// <summary>The task. The reward's distance is the one before the step.</summary>
    public static TaskDefinition Task(ReacherOptions options) =>
        new()
        {
            Name = Name,
            Options = TaskOptions.Checked(Name, options),
            LoadModel = static () => Models.Load("reacher"),
            FrameSkip = 2,
            MaxEpisodeSteps = 50,
            ObsDim = 11,
            Observe = Observe,
            MeasureDim = 3,
            Measure = static (physics, measured) => TaskMath.Subtract(physics, Fingertip, Target, measured),
            InfoNames = ["reward_dist", "reward_ctrl"],
            Reward = static (step, info) =>
            {
                info[0] = -TaskMath.Norm(step.Before);
                info[1] = -TaskMath.SumOfSquares(step.Action);
                return info[0] + info[1];
            },
            Start = Start,
        };

    private static void Observe(Physics physics, Span<double> obs)
    {
        for (var joint = 0; joint < 2; joint++)
            (obs[2 + joint], obs[joint]) = Math.SinCos(physics.Qpos[joint]);
        physics.Qpos[2..].CopyTo(obs[4..]);
        physics.Qvel[..2].CopyTo(obs[6..]);
        TaskMath.Subtract(physics, Fingertip, Target, obs[8..]);
    }

    private static void Start(PhiloxKey key, Span<double> qpos, Span<double> qvel)
    {
        StartNoise.AddUniform(StartNoise.Positions(key), 0.1, qpos[..2]);
        StartNoise.AddUniform(StartNoise.Velocities(key), 0.005, qvel[..2]);
        StartNoise.DrawUntil(
            key, -0.2, 0.2, -0.2, 0.2, static goal => TaskMath.Norm(goal) < 0.2, qpos[2..]);
    }
}
