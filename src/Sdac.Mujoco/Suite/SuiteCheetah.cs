using System;

namespace Sdac.Mujoco;

/// <summary>cheetah-run: run forward in the plane at 10 m/s.</summary>
internal static class SuiteCheetah
{
    /// <summary>Steps without controls before an episode.</summary>
    public const int FreeSteps = 200;

    /// <summary>The one task.</summary>
    public static readonly TaskDefinition[] Tasks =
    [
        ControlSuite.Task(
            "cheetah-run",
            "cheetah",
            subSteps: 1,
            obsDim: 17,
            static (physics, obs) => TaskMath.CopyState(physics, 1, obs),
            static (key, simulation) => SuiteStart.DriftingJoints(key, simulation, FreeSteps),
            new SuiteReward(["speed"], Run)),
    ];

    // tol(speed; 10, ∞, 10, linear, 0)
    private static double Run(Physics physics, Span<double> info)
    {
        info[0] = physics.SensorData[0]; // torso_subtreelinvel
        return Tolerance.AtLeast(info[0], 10, 10, Falloff.Linear, 0);
    }
}
