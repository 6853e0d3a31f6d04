using System;
using Sdac.Environments;

namespace Sdac.Mujoco;

/// <summary>InvertedPendulum-v4 has no options in Gymnasium.</summary>
public sealed record InvertedPendulumOptions;

/// <summary>InvertedPendulum-v4: keep a pole upright on a cart; 1 per step.</summary>
public static class InvertedPendulum
{
    /// <summary>The task's name.</summary>
    public const string Name = "InvertedPendulum-v4";

    /// <summary>The task.</summary>
    public static TaskDefinition Task(InvertedPendulumOptions options) =>
        new()
        {
            Name = Name,
            Options = TaskOptions.Checked(Name, options),
            LoadModel = static () => Models.Load("inverted_pendulum"),
            FrameSkip = 2,
            MaxEpisodeSteps = 1000,
            ObsDim = 4,
            Observe = static (physics, obs) => TaskMath.CopyState(physics, 0, obs),
            Reward = static (_, _) => 1.0,
            Terminated = static physics =>
                !TaskMath.AllFinite(physics.Qpos)
                || !TaskMath.AllFinite(physics.Qvel)
                || Math.Abs(physics.Qpos[1]) > 0.2,
            Start = StartNoise.Uniform(0.01),
        };
}
