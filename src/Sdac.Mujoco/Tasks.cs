using System;
using System.Collections.Generic;
using System.Linq;
using Sdac.Environments;

namespace Sdac.Mujoco;

/// <summary>The Gym tasks that come with the library, by their usual names.</summary>
public static class Tasks
{
    /// <summary>All of them, Gymnasium's v4 first, then v5, and Gym's v3 and v2.</summary>
    public static TaskSuite Suite { get; } = new(
        Named<AntOptions>(Ant.Name, Ant.Task),
        Named<HalfCheetahOptions>(HalfCheetah.Name, HalfCheetah.Task),
        Named<HopperOptions>(Hopper.Name, Hopper.Task),
        Named<HumanoidOptions>(Humanoid.Name, Humanoid.Task),
        Named<InvertedDoublePendulumOptions>(InvertedDoublePendulum.Name, InvertedDoublePendulum.Task),
        Named<InvertedPendulumOptions>(InvertedPendulum.Name, InvertedPendulum.Task),
        Named<PusherOptions>(Pusher.Name, Pusher.Task),
        Named<ReacherOptions>(Reacher.Name, Reacher.Task),
        Named<SwimmerOptions>(Swimmer.Name, Swimmer.Task),
        Named<Walker2dOptions>(Walker2d.Name, Walker2d.Task),
        Named<AntV5Options>(AntV5.Name, AntV5.Task),
        Named<HalfCheetahOptions>(HalfCheetahV5.Name, HalfCheetahV5.Task),
        Named<HopperOptions>(HopperV5.Name, HopperV5.Task),
        Named<HumanoidV5Options>(HumanoidV5.Name, HumanoidV5.Task),
        Named<InvertedDoublePendulumV5Options>(InvertedDoublePendulumV5.Name, InvertedDoublePendulumV5.Task),
        Named<InvertedPendulumV5Options>(InvertedPendulumV5.Name, InvertedPendulumV5.Task),
        Named<PusherV5Options>(PusherV5.Name, PusherV5.Task),
        Named<ReacherV5Options>(ReacherV5.Name, ReacherV5.Task),
        Named<SwimmerOptions>(SwimmerV5.Name, SwimmerV5.Task),
        Named<Walker2dOptions>(Walker2dV5.Name, Walker2dV5.Task),
        Named<AntV3Options>(AntV3.Name, AntV3.Task),
        Named<HalfCheetahOptions>("HalfCheetah-v3", V3.HalfCheetah),
        Named<HopperOptions>("Hopper-v3", V3.Hopper),
        Named<HumanoidV3Options>(HumanoidV3.Name, HumanoidV3.Task),
        Named<SwimmerOptions>("Swimmer-v3", V3.Swimmer),
        Named<Walker2dOptions>("Walker2d-v3", V3.Walker2d),
        Named<V2ContactOptions>("Ant-v2", V2.Ant),
        Named<V2Options>("HalfCheetah-v2", V2.HalfCheetah),
        Named<V2Options>("Hopper-v2", V2.Hopper),
        Named<V2ContactOptions>("Humanoid-v2", V2.Humanoid),
        Named<V2Options>("InvertedDoublePendulum-v2", V2.InvertedDoublePendulum),
        Named<V2Options>("InvertedPendulum-v2", V2.InvertedPendulum),
        Named<V2Options>("Pusher-v2", V2.Pusher),
        Named<V2Options>("Reacher-v2", V2.Reacher),
        Named<V2Options>("Swimmer-v2", V2.Swimmer),
        Named<V2Options>("Walker2d-v2", V2.Walker2d));

    /// <summary>All names.</summary>
    public static IReadOnlyList<string> Names => Suite.Names;

    /// <summary>The names of a version: "v2", "v3", "v4", "v5".</summary>
    public static IReadOnlyList<string> NamesOf(string version) =>
        [.. Names.Where(name => name.EndsWith($"-{version}", StringComparison.Ordinal))];

    /// <summary>What may be said of a version's tasks on MuJoCo 2.2.2; null for another version.</summary>
    public static string? ClaimOf(string version) => version switch
    {
        "v2" or "v3" => $"{version}'s rules on MuJoCo 2.2.2; its own trajectories ran on MuJoCo 1.50 to 2.1 and are not claimed. "
            + "Ant and Humanoid see no contact forces, as under 2.0 and 2.1 (contact_forces=real: as under 1.50)",
        "v4" => "the states, observations and rewards of Gymnasium 0.29.1 on MuJoCo 2.2.2",
        "v5" => "v5's rules on v4's physics (Walker2d and Pusher: on v5's models); Gymnasium itself asks for MuJoCo 2.3.3 or later, "
            + "so published numbers ran on another engine",
        _ => null,
    };

    /// <summary>
    /// A task with its default options; ArgumentException naming the nearest and all names where there is none.
    /// </summary>
    public static TaskDefinition Create(string name) => (TaskDefinition)Suite.Create(name);

    /// <summary>
    /// A task with options by Gymnasium's names, as <c>TaskOptions.Parse</c>
    /// takes them, and without the wrappers that <see cref="Suite"/> puts around one.
    /// </summary>
    public static TaskDefinition Create(string name, IReadOnlyDictionary<string, object?> options) =>
        Suite.Create(name, options) as TaskDefinition
        ?? throw new RefusedArgumentException(
            $"{name}: {string.Join(", ", Wrappers.Names)} put something around the task: make it by Tasks.Suite.Create.");

    private static KeyValuePair<string, TaskMaker> Named<T>(string name, Func<T, TaskDefinition> make)
        where T : new() =>
        new(name, options => ModelFile.Around(
            name, options, own => make(TaskOptions.Parse<T>(name, own, [ModelFile.Option]))));
}
