using Sdac.Environments;

namespace Sdac.Mujoco;

/// <summary>Hopper-v5: v4's task, but health is paid only on steps that end in it.</summary>
public static class HopperV5
{
    /// <summary>The task's name.</summary>
    public const string Name = "Hopper-v5";

    private const double StartHeight = 1.25;

    /// <summary>The task.</summary>
    public static TaskDefinition Task(HopperOptions options)
    {
        var checkedOptions = TaskOptions.Checked(Name, options);
        return Hopper.Task(options) with
        {
            Name = Name,
            Options = checkedOptions,
            InfoNames = V5.WalkNames,
            Reward = (step, info) => V5.Walk(
                step,
                StartHeight,
                options.ForwardRewardWeight,
                options.CtrlCostWeight,
                Hopper.IsHealthy(step.Physics, options) ? options.HealthyReward : 0,
                info),
        };
    }
}
