using System;
using Sdac.Environments;

namespace Sdac.Mujoco;

/// <summary>Humanoid-v3: v4 with contact forces paid for; they and what is observed of them may be zeros.</summary>
public static class HumanoidV3
{
    /// <summary>The task's name.</summary>
    public const string Name = "Humanoid-v3";

    /// <summary>Numbers of cfrc_ext: six for each of 14 bodies.</summary>
    private const int Forces = 84;

    /// <summary>The task.</summary>
    public static TaskDefinition Task(HumanoidV3Options options) =>
        Rules(Name, options) with { Options = TaskOptions.Checked(Name, options) };

    /// <summary>The task under a name of another version; its options are the caller's to set.</summary>
    internal static TaskDefinition Rules(string name, HumanoidV3Options options)
    {
        TaskOptions.Checked(name, options);
        var real = options.ContactForces == ContactForces.Real;
        var before = Humanoid.Task(new HumanoidOptions
        {
            ForwardRewardWeight = options.ForwardRewardWeight,
            TerminateWhenUnhealthy = options.TerminateWhenUnhealthy,
            HealthyZRange = options.HealthyZRange,
            ResetNoiseScale = options.ResetNoiseScale,
            ExcludeCurrentPositionsFromObservation = options.ExcludeCurrentPositionsFromObservation,
        });
        return before with
        {
            Name = name,
            ContactForces = real,
            Observe = (physics, obs) =>
            {
                before.Observe(physics, obs);
                if (!real)
                    obs[^Forces..].Clear();
            },
            InfoNames =
                ["reward_linvel", "reward_quadctrl", "reward_alive", "reward_impact", .. TaskMath.TravelNames],
            Reward = (step, info) =>
            {
                var forward = TaskMath.Travel(step, options.ForwardRewardWeight, info[4..]);
                var control = options.CtrlCostWeight * TaskMath.SumOfSquares(step.Physics.Ctrl);
                var range = options.ContactCostRange;
                var forces = real ? TaskMath.SumOfSquares(step.Physics.CfrcExt) : 0;
                var contact = Math.Clamp(options.ContactCostWeight * forces, range.Low, range.High);
                var paid = options.TerminateWhenUnhealthy || options.HealthyZRange.Contains(step.Physics.Qpos[2]);
                info[0] = forward;
                info[1] = -control;
                info[2] = paid ? options.HealthyReward : 0;
                info[3] = -contact;
                return forward + info[2] - (control + contact);
            },
        };
    }
}
