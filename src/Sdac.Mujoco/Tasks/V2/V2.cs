using Sdac.Environments;

namespace Sdac.Mujoco;

/// <summary>Gym's v2: ten tasks without options, by v4's rules but for the contact forces of Ant and Humanoid.</summary>
internal static class V2
{
    public static TaskDefinition HalfCheetah(V2Options options) =>
        Renamed.As(
            Mujoco.HalfCheetah.Task(new()), "HalfCheetah-v2", options, "reward_run", "reward_ctrl");

    public static TaskDefinition Hopper(V2Options options) => Renamed.As(Mujoco.Hopper.Task(new()), "Hopper-v2", options);

    public static TaskDefinition Swimmer(V2Options options) =>
        Renamed.As(Mujoco.Swimmer.Task(new()), "Swimmer-v2", options, "reward_fwd", "reward_ctrl");

    public static TaskDefinition Walker2d(V2Options options) =>
        Renamed.As(Mujoco.Walker2d.Task(new()), "Walker2d-v2", options);

    public static TaskDefinition Reacher(V2Options options) =>
        Renamed.As(Mujoco.Reacher.Task(new()), "Reacher-v2", options, "reward_dist", "reward_ctrl");

    public static TaskDefinition Pusher(V2Options options) =>
        Renamed.As(Mujoco.Pusher.Task(new()), "Pusher-v2", options, "reward_dist", "reward_ctrl");

    public static TaskDefinition InvertedPendulum(V2Options options) =>
        Renamed.As(Mujoco.InvertedPendulum.Task(new()), "InvertedPendulum-v2", options);

    public static TaskDefinition InvertedDoublePendulum(V2Options options) =>
        Renamed.As(Mujoco.InvertedDoublePendulum.Task(new()), "InvertedDoublePendulum-v2", options);

    public static TaskDefinition Ant(V2ContactOptions options)
    {
        const string name = "Ant-v2";
        TaskOptions.Checked(name, options);
        var later = AntV3.Rules(name, new AntV3Options { ContactForces = options.ContactForces });
        var task = Renamed.As(
            later, name, options, "reward_forward", "reward_ctrl", "reward_contact", "reward_survive");
        return task with
        {
            // summed in v2's order
            Reward = (step, info) =>
            {
                task.Reward(step, info);
                return info[0] + info[1] + info[2] + info[3];
            },
        };
    }

    public static TaskDefinition Humanoid(V2ContactOptions options)
    {
        const string name = "Humanoid-v2";
        TaskOptions.Checked(name, options);
        var later = HumanoidV3.Rules(name, new HumanoidV3Options { ContactForces = options.ContactForces });
        var task = Renamed.As(later, name, options, "reward_linvel", "reward_quadctrl", "reward_alive", "reward_impact");
        return task with
        {
            Reward = (step, info) =>
            {
                task.Reward(step, info);
                return info[0] + info[1] + info[3] + info[2];
            },
            // at heights of exactly 1 and 2 it stands
            Terminated = static physics => physics.Qpos[2] is < 1.0 or > 2.0,
        };
    }
}
