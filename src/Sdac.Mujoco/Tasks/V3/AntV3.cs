using System;
using Sdac.Environments;

namespace Sdac.Mujoco;

/// <summary>Ant-v3: v4 with contact forces observed and paid for, be they zeros.</summary>
public static class AntV3
{
    /// <summary>The task's name.</summary>
    public const string Name = "Ant-v3";

    /// <summary>Numbers of cfrc_ext: six for each of 14 bodies.</summary>
    private const int Forces = 84;

    private static readonly double[] NoForces = new double[Forces];

    /// <summary>The task.</summary>
    public static TaskDefinition Task(AntV3Options options) =>
        Rules(Name, options) with { Options = TaskOptions.Checked(Name, options) };

    /// <summary>The task under a name of another version; its options are the caller's to set.</summary>
    internal static TaskDefinition Rules(string name, AntV3Options options)
    {
        TaskOptions.Checked(name, options);
        var real = options.ContactForces == ContactForces.Real;
        var skip = options.ExcludeCurrentPositionsFromObservation ? 2 : 0;
        var before = Ant.Task(new AntOptions
        {
            TerminateWhenUnhealthy = options.TerminateWhenUnhealthy,
            HealthyZRange = options.HealthyZRange,
            ResetNoiseScale = options.ResetNoiseScale,
            ExcludeCurrentPositionsFromObservation = options.ExcludeCurrentPositionsFromObservation,
            UseContactForces = true,
        });
        return before with
        {
            Name = name,
            ContactForces = real,
            Observe = (physics, obs) => Ant.ClipForces(
                ForcesOf(physics, real), options.ContactForceRange, TaskMath.CopyState(physics, skip, obs)),
            InfoNames = ["reward_forward", "reward_ctrl", "reward_contact", "reward_survive", .. TaskMath.TravelNames],
            Reward = (step, info) =>
            {
                Span<double> forces = stackalloc double[Forces];
                Ant.ClipForces(ForcesOf(step.Physics, real), options.ContactForceRange, forces);
                var forward = TaskMath.Travel(step, 1, info[4..]);
                var control = options.CtrlCostWeight * TaskMath.SumOfSquares(step.Action);
                var contact = options.ContactCostWeight * TaskMath.SumOfSquares(forces);
                var paid = options.TerminateWhenUnhealthy || Ant.IsHealthy(step.Physics, options.HealthyZRange);
                info[0] = forward;
                info[1] = -control;
                info[2] = -contact;
                info[3] = paid ? options.HealthyReward : 0;
                return forward + info[3] - (control + contact);
            },
        };
    }

    private static ReadOnlySpan<double> ForcesOf(Physics physics, bool real) => real ? physics.CfrcExt : NoForces;
}
