using System;
using Sdac.Environments;
using static System.FormattableString;

namespace Sdac.Mujoco;

/// <summary>
/// Ant-v5: contact forces always cost and are observed but for the world's; health is paid only on steps that end in it.
/// </summary>
public static class AntV5
{
    /// <summary>The task's name.</summary>
    public const string Name = "Ant-v5";

    private const int Bodies = 14;

    /// <summary>The task. The rewarded velocity is that of xpos as mj_step left it; info's place is qpos.</summary>
    public static TaskDefinition Task(AntV5Options options)
    {
        var checkedOptions = TaskOptions.Checked(Name, options);
        var body = (int)options.MainBody;
        if (body != options.MainBody || body is < 1 or >= Bodies)
            throw new RefusedArgumentException(
                Invariant($"{Name}: the option main_body must be a whole number from 1 to {Bodies - 1}, not {options.MainBody}."));
        var skip = options.ExcludeCurrentPositionsFromObservation ? 2 : 0;
        var forces = options.IncludeCfrcExtInObservation;
        return Ant.Task(V4(options)) with
        {
            Name = Name,
            Options = checkedOptions,
            ContactForces = true,
            ObsDim = 29 - skip + (forces ? 6 * (Bodies - 1) : 0),
            Observe = (physics, obs) =>
            {
                var rest = TaskMath.CopyState(physics, skip, obs);
                if (forces)
                    Ant.ClipForces(physics.CfrcExt[6..], options.ContactForceRange, rest);
            },
            Measure = (physics, measured) => physics.BodyPosition(body)[..2].CopyTo(measured),
            InfoNames = [.. V5.PlaceNames, "reward_forward", "reward_ctrl", "reward_contact", "reward_survive"],
            Reward = (step, info) => Reward(step, options, info),
            Terminated = physics => options.TerminateWhenUnhealthy && !IsHealthy(physics, options),
        };
    }

    private static AntOptions V4(AntV5Options options) =>
        new() { ResetNoiseScale = options.ResetNoiseScale, HealthyZRange = options.HealthyZRange };

    private static bool IsHealthy(Physics physics, AntV5Options options) => Ant.IsHealthy(physics, options.HealthyZRange);

    private static double Reward(StepView step, AntV5Options options, Span<double> info)
    {
        V5.Place(step, info);
        Span<double> forces = stackalloc double[step.Physics.CfrcExt.Length];
        Ant.ClipForces(step.Physics.CfrcExt, options.ContactForceRange, forces);
        var control = options.CtrlCostWeight * TaskMath.SumOfSquares(step.Action);
        var contact = options.ContactCostWeight * TaskMath.SumOfSquares(forces);
        info[5] = options.ForwardRewardWeight * info[3];
        info[6] = -control;
        info[7] = -contact;
        info[8] = IsHealthy(step.Physics, options) ? options.HealthyReward : 0;
        return info[5] + info[8] - (control + contact);
    }
}
