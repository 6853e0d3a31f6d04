using System;

namespace Sdac.Mujoco;

/// <summary>quadruped-walk and -run: a four-legged robot, upright and forward at 0.5 and 5 m/s.</summary>
internal static class SuiteQuadruped
{
    private const int Torso = 1;
    private const int Imu = 0; // accelerometer, then gyro
    private const int Velocimeter = 6;
    private const int Forces = 9; // four forces, then four torques
    private const int ForceNumbers = 24;

    /// <summary>The two tasks.</summary>
    public static readonly TaskDefinition[] Tasks =
    [
        Task("quadruped-walk", 0.5),
        Task("quadruped-run", 5),
    ];

    private static TaskDefinition Task(string name, double speed) =>
        ControlSuite.Task(
            name,
            "quadruped",
            subSteps: 4,
            obsDim: 78,
            Observe,
            SuiteStart.LiftedRotation,
            new SuiteReward(["upright", "speed"], (physics, info) => Reward(physics, speed, info)));

    // angles, their velocities, activations; velocimeter; upright; accelerometer and gyro; arsinh of forces and torques
    private static void Observe(Physics physics, Span<double> obs)
    {
        var rest = TaskMath.Append(physics.Qpos[7..], obs);
        rest = TaskMath.Append(physics.Qvel[6..], rest);
        rest = TaskMath.Append(physics.Act, rest);
        rest = TaskMath.Append(physics.SensorData.Slice(Velocimeter, 3), rest);
        rest[0] = physics.Rotation(Torso)[8];
        rest = TaskMath.Append(physics.SensorData.Slice(Imu, 6), rest[1..]);
        for (var i = 0; i < ForceNumbers; i++)
            rest[i] = Math.Asinh(physics.SensorData[Forces + i]);
    }

    // tol(up; 1, ∞, 2, linear, 0)·tol(forward; V, ∞, V, linear, 0.5)
    private static double Reward(Physics physics, double wanted, Span<double> info)
    {
        (info[0], info[1]) = (physics.Rotation(Torso)[8], physics.SensorData[Velocimeter]);
        return Tolerance.AtLeast(info[0], 1, 2, Falloff.Linear, 0)
            * Tolerance.AtLeast(info[1], wanted, wanted, Falloff.Linear, 0.5);
    }
}
