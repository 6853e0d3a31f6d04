using Sdac.Environments;

namespace Sdac.Mujoco;

/// <summary>Swimmer-v5: v4's rules; info's reward_fwd and forward_reward are one, reward_forward.</summary>
public static class SwimmerV5
{
    /// <summary>The task's name.</summary>
    public const string Name = "Swimmer-v5";

    /// <summary>The task.</summary>
    public static TaskDefinition Task(SwimmerOptions options)
    {
        var checkedOptions = TaskOptions.Checked(Name, options);
        return Swimmer.Task(options) with
        {
            Name = Name,
            Options = checkedOptions,
            InfoNames = [.. V5.PlaceNames, "reward_forward", "reward_ctrl"],
            Reward = (step, info) =>
            {
                V5.Place(step, info);
                info[5] = options.ForwardRewardWeight * info[3];
                info[6] = -options.CtrlCostWeight * TaskMath.SumOfSquares(step.Action);
                return info[5] + info[6];
            },
        };
    }
}
