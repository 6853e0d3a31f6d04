using System.Collections.Generic;

namespace Sdac.Mujoco;

/// <summary>Gym's v3: six tasks, by v4's rules but for the contact forces of Ant and Humanoid.</summary>
internal static class V3
{
    public static TaskDefinition HalfCheetah(HalfCheetahOptions options) =>
        Renamed.As(
            Mujoco.HalfCheetah.Task(options), "HalfCheetah-v3", options,
            "x_position", "x_velocity", "reward_run", "reward_ctrl");

    public static TaskDefinition Hopper(HopperOptions options) =>
        Renamed.As(Mujoco.Hopper.Task(options), "Hopper-v3", options, "x_position", "x_velocity");

    public static TaskDefinition Swimmer(SwimmerOptions options) =>
        Renamed.As(
            Mujoco.Swimmer.Task(options), "Swimmer-v3", options, ["reward_fwd", "reward_ctrl", .. TaskMath.TravelNames]);

    public static TaskDefinition Walker2d(Walker2dOptions options) =>
        Renamed.As(Mujoco.Walker2d.Task(options), "Walker2d-v3", options, "x_position", "x_velocity");
}
