using System;

namespace Sdac.Mujoco;

/// <summary>humanoid-stand, -walk, -run: a humanoid that keeps its head up, at 0, 1 and 10 m/s.</summary>
internal static class SuiteHumanoid
{
    private const int Torso = 1;
    private const int Head = 2;
    private const double StandHeight = 1.4;

    private static readonly int[] Extremities = [16, 10, 13, 7]; // left hand and foot, right hand and foot

    /// <summary>The three tasks.</summary>
    public static readonly TaskDefinition[] Tasks =
    [
        Task("humanoid-stand", 0),
        Task("humanoid-walk", 1),
        Task("humanoid-run", 10),
    ];

    private static TaskDefinition Task(string name, double speed) =>
        ControlSuite.Task(
            name,
            "humanoid",
            subSteps: 5,
            obsDim: 67,
            Observe,
            SuiteStart.RandomJointsApart,
            new SuiteReward(
                ["head_height", "upright", "speed", "small_control"], (physics, info) => Reward(physics, speed, info)));

    // joint angles, the head's height, extremities in the torso's frame, the torso's vertical, velocity of the mass centre,
    // all velocities
    private static void Observe(Physics physics, Span<double> obs)
    {
        var rest = TaskMath.Append(physics.Qpos[7..], obs);
        rest[0] = physics.BodyPosition(Head)[2];
        rest = rest[1..];
        Span<double> offset = stackalloc double[3];
        foreach (var limb in Extremities)
        {
            TaskMath.Subtract(physics, limb, Torso, offset);
            TaskMath.IntoFrame(offset, physics.Rotation(Torso), rest);
            rest = rest[3..];
        }

        rest = TaskMath.Append(physics.Rotation(Torso)[6..], rest);
        rest = TaskMath.Append(physics.SensorData[..3], rest);
        physics.Qvel.CopyTo(rest);
    }

    // small·U·(what is wanted of the velocity), small = (4 + c)/5,
    // U = tol(head; 1.4, ∞, 0.35)·tol(up; 0.9, ∞, 1.9, linear, 0)
    private static double Reward(Physics physics, double wanted, Span<double> info)
    {
        var velocity = physics.SensorData[..2];
        info[0] = physics.BodyPosition(Head)[2];
        info[1] = physics.Rotation(Torso)[8];
        info[2] = Math.Sqrt(velocity[0] * velocity[0] + velocity[1] * velocity[1]);
        info[3] = Tolerance.SmallControls(physics.Ctrl);
        var upright = Tolerance.AtLeast(info[0], StandHeight, StandHeight / 4)
            * Tolerance.AtLeast(info[1], 0.9, 1.9, Falloff.Linear, 0);
        var moving = wanted == 0
            ? (Tolerance.Zero(velocity[0], 2) + Tolerance.Zero(velocity[1], 2)) / 2
            : (5 * Tolerance.AtLeast(info[2], wanted, wanted, Falloff.Linear, 0) + 1) / 6;
        return (4 + info[3]) / 5 * upright * moving;
    }
}
