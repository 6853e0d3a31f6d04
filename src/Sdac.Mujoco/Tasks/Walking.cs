using System;

namespace Sdac.Mujoco;

/// <summary>
/// What Hopper-v4 and Walker2d-v4 have in common: velocities clipped in the observation, and the reward's form.
/// </summary>
internal static class Walking
{
    public static readonly string[] InfoNames = ["x_position", "x_velocity", "forward", "healthy", "ctrl_cost"];

    /// <summary>qpos without its first <paramref name="skip"/> entries, then qvel clipped at 10.</summary>
    public static void Observe(Physics physics, int skip, Span<double> obs)
    {
        var qpos = physics.Qpos[skip..];
        qpos.CopyTo(obs);
        TaskMath.CopyClipped(physics.Qvel, 10, obs[qpos.Length..]);
    }

    /// <summary>Forward velocity and health minus the action's cost; x is the measured quantity.</summary>
    public static double Reward(
        StepView step, double forwardWeight, double ctrlWeight, double healthy, Span<double> info)
    {
        var velocity = (step.After[0] - step.Before[0]) / step.Dt;
        var forward = forwardWeight * velocity;
        var cost = ctrlWeight * TaskMath.SumOfSquares(step.Action);
        info[0] = step.After[0];
        info[1] = velocity;
        info[2] = forward;
        info[3] = healthy;
        info[4] = cost;
        return forward + healthy - cost;
    }
}
