using System;
using Sdac.Environments;

namespace Sdac.Mujoco;

/// <summary>
/// Humanoid-v5: contact forces cost; what is always 0 is not observed; health is paid only on steps that end in it.
/// </summary>
public static class HumanoidV5
{
    /// <summary>The task's name.</summary>
    public const string Name = "Humanoid-v5";

    private const int Bodies = 13; // without the world
    private const int Root = 6; // the free joint's degrees of freedom, which no actuator moves
    private const int Hinges = 17;

    /// <summary>The task. The rewarded velocity is that of the bodies' mass centre; info's place is qpos.</summary>
    public static TaskDefinition Task(HumanoidV5Options options)
    {
        var checkedOptions = TaskOptions.Checked(Name, options);
        var skip = options.ExcludeCurrentPositionsFromObservation ? 2 : 0;
        return Humanoid.Task(new HumanoidOptions { ResetNoiseScale = options.ResetNoiseScale }) with
        {
            Name = Name,
            Options = checkedOptions,
            ObsDim = 47 - skip
                + (options.IncludeCinertInObservation ? 10 * Bodies : 0)
                + (options.IncludeCvelInObservation ? 6 * Bodies : 0)
                + (options.IncludeQfrcActuatorInObservation ? Hinges : 0)
                + (options.IncludeCfrcExtInObservation ? 6 * Bodies : 0),
            Observe = (physics, obs) => Observe(physics, skip, options, obs),
            InfoNames = [.. V5.PlaceNames, "reward_forward", "reward_ctrl", "reward_contact", "reward_survive"],
            Reward = (step, info) => Reward(step, options, info),
            Terminated = physics => options.TerminateWhenUnhealthy && !options.HealthyZRange.Contains(physics.Qpos[2]),
        };
    }

    private static void Observe(Physics physics, int skip, HumanoidV5Options options, Span<double> obs)
    {
        var rest = TaskMath.CopyState(physics, skip, obs);
        if (options.IncludeCinertInObservation)
            rest = V5.AppendBodies(physics.Cinert, 10, rest);
        if (options.IncludeCvelInObservation)
            rest = V5.AppendBodies(physics.Cvel, 6, rest);
        if (options.IncludeQfrcActuatorInObservation)
            rest = TaskMath.Append(physics.QfrcActuator[Root..], rest);
        if (options.IncludeCfrcExtInObservation)
            V5.AppendBodies(physics.CfrcExt, 6, rest);
    }

    private static double Reward(StepView step, HumanoidV5Options options, Span<double> info)
    {
        V5.Place(step, info);
        var control = options.CtrlCostWeight * TaskMath.SumOfSquares(step.Physics.Ctrl);
        var range = options.ContactCostRange;
        var contact = Math.Clamp(
            options.ContactCostWeight * TaskMath.SumOfSquares(step.Physics.CfrcExt), range.Low, range.High);
        info[5] = options.ForwardRewardWeight * info[3];
        info[6] = -control;
        info[7] = -contact;
        info[8] = options.HealthyZRange.Contains(step.Physics.Qpos[2]) ? options.HealthyReward : 0;
        return info[5] + info[8] - (control + contact);
    }
}
