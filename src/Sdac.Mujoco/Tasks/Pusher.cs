using System;
using Sdac.Environments;
using Sdac.Kernels;

namespace Sdac.Mujoco;

/// <summary>Pusher-v4 has no options in Gymnasium.</summary>
public sealed record PusherOptions;

/// <summary>Pusher-v4: an arm pushes a puck to a goal; 100 steps.</summary>
public static class Pusher
{
    /// <summary>The task's name.</summary>
    public const string Name = "Pusher-v4";

    private const int Arm = 7; // joints
    private const int Tips = 10;
    private const int Puck = 11;
    private const int Goal = 12;

    /// <summary>The task. The reward's distances are those before the step.</summary>
    public static TaskDefinition Task(PusherOptions options) =>
        new()
        {
            Name = Name,
            Options = TaskOptions.Checked(Name, options),
            LoadModel = static () => Models.Load("pusher"),
            FrameSkip = 5,
            MaxEpisodeSteps = 100,
            ObsDim = 23,
            Observe = Observe,
            MeasureDim = 6,
            Measure = static (physics, measured) =>
            {
                TaskMath.Subtract(physics, Puck, Tips, measured);
                TaskMath.Subtract(physics, Puck, Goal, measured[3..]);
            },
            InfoNames = ["reward_dist", "reward_ctrl", "reward_near"],
            Reward = static (step, info) =>
            {
                info[0] = -TaskMath.Norm(step.Before[3..]);
                info[1] = -TaskMath.SumOfSquares(step.Action);
                info[2] = -TaskMath.Norm(step.Before[..3]);
                return info[0] + 0.1 * info[1] + 0.5 * info[2];
            },
            Start = Start,
        };

    private static void Observe(Physics physics, Span<double> obs)
    {
        var rest = TaskMath.Append(physics.Qpos[..Arm], obs);
        rest = TaskMath.Append(physics.Qvel[..Arm], rest);
        rest = TaskMath.Append(physics.BodyPosition(Tips), rest);
        rest = TaskMath.Append(physics.BodyPosition(Puck), rest);
        TaskMath.Append(physics.BodyPosition(Goal), rest);
    }

    // The slides are (y, x) of the model's axes; the goal's stay at 0.
    private static void Start(PhiloxKey key, Span<double> qpos, Span<double> qvel)
    {
        StartNoise.AddUniform(StartNoise.Velocities(key), 0.005, qvel[..Arm]);
        StartNoise.DrawUntil(
            key, -0.3, 0, -0.2, 0.2, static puck => TaskMath.Norm(puck) > 0.17, qpos.Slice(Arm, 2));
    }
}
