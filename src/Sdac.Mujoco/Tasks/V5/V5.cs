using System;

namespace Sdac.Mujoco;

/// <summary>What several of Gymnasium's v5 tasks have in common.</summary>
internal static class V5
{
    /// <summary>Names of what <see cref="Place"/> writes.</summary>
    public static readonly string[] PlaceNames =
        ["x_position", "y_position", "distance_from_origin", "x_velocity", "y_velocity"];

    /// <summary>
    /// Where qpos has the root, and how fast the measured x and y have moved: as mj_step leaves them, the positions of
    /// bodies are a step of the integrator behind.
    /// </summary>
    public static void Place(StepView step, Span<double> info)
    {
        var place = step.Physics.Qpos[..2];
        place.CopyTo(info);
        info[2] = TaskMath.Norm(place);
        info[3] = (step.After[0] - step.Before[0]) / step.Dt;
        info[4] = (step.After[1] - step.Before[1]) / step.Dt;
    }

    /// <summary>Names of what <see cref="Walk"/> writes.</summary>
    public static readonly string[] WalkNames =
        ["x_position", "z_distance_from_origin", "x_velocity", "reward_forward", "reward_ctrl", "reward_survive"];

    /// <summary>Hopper's and Walker2d's reward: health is paid only where the step ends in it.</summary>
    public static double Walk(
        StepView step, double startHeight, double forwardWeight, double ctrlWeight, double healthy, Span<double> info)
    {
        var velocity = (step.After[0] - step.Before[0]) / step.Dt;
        info[0] = step.After[0];
        info[1] = step.Physics.Qpos[1] - startHeight;
        info[2] = velocity;
        info[3] = forwardWeight * velocity;
        info[4] = -ctrlWeight * TaskMath.SumOfSquares(step.Action);
        info[5] = healthy;
        return info[3] + healthy + info[4];
    }

    /// <summary>Copies the rows of all bodies but the world's, each of so many numbers.</summary>
    public static Span<double> AppendBodies(ReadOnlySpan<double> rows, int width, Span<double> to) =>
        TaskMath.Append(rows[width..], to);
}
