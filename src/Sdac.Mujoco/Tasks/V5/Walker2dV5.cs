using Sdac.Environments;

namespace Sdac.Mujoco;

/// <summary>Walker2d-v5: health is paid only on steps that end in it, and both feet grip alike.</summary>
public static class Walker2dV5
{
    /// <summary>The task's name.</summary>
    public const string Name = "Walker2d-v5";

    private const double StartHeight = 1.25;

    /// <summary>The task.</summary>
    public static TaskDefinition Task(Walker2dOptions options)
    {
        var checkedOptions = TaskOptions.Checked(Name, options);
        return Walker2d.Task(options) with
        {
            Name = Name,
            Options = checkedOptions,
            LoadModel = static () => Models.Load("walker2d_v5"),
            InfoNames = V5.WalkNames,
            Reward = (step, info) => V5.Walk(
                step,
                StartHeight,
                options.ForwardRewardWeight,
                options.CtrlCostWeight,
                Walker2d.IsHealthy(step.Physics, options) ? options.HealthyReward : 0,
                info),
        };
    }
}
