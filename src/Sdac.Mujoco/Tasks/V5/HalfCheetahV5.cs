using Sdac.Environments;

namespace Sdac.Mujoco;

/// <summary>HalfCheetah-v5: v4's rules; info's reward_run is called reward_forward.</summary>
public static class HalfCheetahV5
{
    /// <summary>The task's name.</summary>
    public const string Name = "HalfCheetah-v5";

    /// <summary>The task.</summary>
    public static TaskDefinition Task(HalfCheetahOptions options)
    {
        var checkedOptions = TaskOptions.Checked(Name, options);
        return HalfCheetah.Task(options) with
        {
            Name = Name,
            Options = checkedOptions,
            InfoNames = ["x_position", "x_velocity", "reward_forward", "reward_ctrl"],
        };
    }
}
