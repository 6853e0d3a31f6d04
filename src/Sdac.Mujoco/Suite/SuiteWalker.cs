using System;

namespace Sdac.Mujoco;

/// <summary>walker-stand, -walk, -run: a planar walker that keeps its torso up, at 0, 1 and 8 m/s.</summary>
internal static class SuiteWalker
{
    private const int Torso = 1;
    private const int Bodies = 7;
    private const double StandHeight = 1.2;

    /// <summary>The three tasks.</summary>
    public static readonly TaskDefinition[] Tasks =
    [
        Task("walker-stand", 0),
        Task("walker-walk", 1),
        Task("walker-run", 8),
    ];

    private static TaskDefinition Task(string name, double speed) =>
        ControlSuite.Task(
            name,
            "walker",
            subSteps: 10,
            obsDim: 24,
            Observe,
            SuiteStart.RandomJoints,
            new SuiteReward(["height", "upright", "speed"], (physics, info) => Reward(physics, speed, info)));

    // xx and xz of every body's rotation, the torso's height, all velocities
    private static void Observe(Physics physics, Span<double> obs)
    {
        for (var body = 0; body < Bodies; body++)
        {
            var rotation = physics.Rotation(body + 1);
            (obs[2 * body], obs[2 * body + 1]) = (rotation[0], rotation[2]);
        }

        obs[2 * Bodies] = physics.BodyPosition(Torso)[2];
        physics.Qvel.CopyTo(obs[(2 * Bodies + 1)..]);
    }

    // S = (3·tol(height; 1.2, ∞, 0.6) + (1 + up)/2)/4; at a speed V S·(5·tol(speed; V, ∞, V/2, linear, 0.5) + 1)/6
    private static double Reward(Physics physics, double wanted, Span<double> info)
    {
        var (height, upright, speed) =
            (physics.BodyPosition(Torso)[2], physics.Rotation(Torso)[8], physics.SensorData[0]);
        (info[0], info[1], info[2]) = (height, upright, speed);
        var standing = Tolerance.AtLeast(height, StandHeight, StandHeight / 2);
        var stand = (3 * standing + (1 + upright) / 2) / 4;
        return wanted == 0
            ? stand
            : stand * (5 * Tolerance.AtLeast(speed, wanted, wanted / 2, Falloff.Linear, 0.5) + 1) / 6;
    }
}
