using System;

namespace Sdac.Mujoco;

/// <summary>hopper-stand and -hop: a planar one-legged hopper that stands, or hops forward at 2 m/s.</summary>
internal static class SuiteHopper
{
    private const int Torso = 1;
    private const int Foot = 5;
    private const int Touch = 3; // touch_toe, touch_heel among the sensors' numbers

    /// <summary>The two tasks.</summary>
    public static readonly TaskDefinition[] Tasks =
    [
        Task("hopper-stand", Stand),
        Task("hopper-hop", Hop),
    ];

    private static TaskDefinition Task(string name, SuiteRewardFunction reward) =>
        ControlSuite.Task(
            name,
            "hopper",
            subSteps: 4,
            obsDim: 15,
            Observe,
            SuiteStart.RandomJoints,
            new SuiteReward(["height", "speed", "small_control"], reward));

    // positions without x, velocities, log(1 + touch) of toe and heel
    private static void Observe(Physics physics, Span<double> obs)
    {
        var rest = TaskMath.CopyState(physics, 1, obs);
        for (var i = 0; i < 2; i++)
            rest[i] = Math.Log(1 + physics.SensorData[Touch + i]);
    }

    // tol(height; 0.6, 2)·(c + 4)/5
    private static double Stand(Physics physics, Span<double> info) =>
        Standing(physics, info) * (info[2] + 4) / 5;

    // tol(height; 0.6, 2)·tol(speed; 2, ∞, 1, linear, 0.5)
    private static double Hop(Physics physics, Span<double> info) =>
        Standing(physics, info) * Tolerance.AtLeast(info[1], 2, 1, Falloff.Linear, 0.5);

    private static double Standing(Physics physics, Span<double> info)
    {
        info[0] = physics.Xipos[3 * Torso + 2] - physics.Xipos[3 * Foot + 2];
        info[1] = physics.SensorData[0];
        info[2] = Tolerance.SmallControls(physics.Ctrl);
        return Tolerance.Of(info[0], 0.6, 2);
    }
}
