using System;
using System.Collections.Generic;
using System.Linq;
using Sdac.Environments;

namespace Sdac.Mujoco;

/// <summary>The Gym tasks that come with the library, by their usual names.</summary>
public static class Tasks
{
    /// <summary>All of them, Gymnasium's v4 first, then v5.</summary>
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
        Named<Walker2dOptions>(Walker2dV5.Name, Walker2dV5.Task));

    /// <summary>All names.</summary>
    public static IReadOnlyList<string> Names => Suite.Names;

    /// <summary>The names of a version: "v4", "v5".</summary>
    public static IReadOnlyList<string> NamesOf(string version) =>
        [.. Names.Where(name => name.EndsWith($"-{version}", StringComparison.Ordinal))];

    /// <summary>What may be said of a version's tasks on MuJoCo 2.2.2; null for another version.</summary>
    public static string? ClaimOf(string version) => version switch
    {
        "v4" => "the states, observations and rewards of Gymnasium 0.29.1 on MuJoCo 2.2.2",
        "v5" => "v5's rules on v4's physics (Walker2d and Pusher: on v5's models); Gymnasium itself asks for MuJoCo 2.3.3 or later, "
            + "so published numbers ran on another engine",
        _ => null,
    };

    /// <summary>
    /// A task with its default options; ArgumentException naming the nearest and all names where there is none.
    /// </summary>
    public static TaskDefinition Create(string name) => (TaskDefinition)Suite.Create(name);

    /// <summary>A task with options by Gymnasium's names, as <see cref="TaskOptions.Parse"/> takes them.</summary>
    public static TaskDefinition Create(string name, IReadOnlyDictionary<string, object?> options) =>
        (TaskDefinition)Suite.Create(name, options);

    private static KeyValuePair<string, TaskMaker> Named<T>(string name, Func<T, TaskDefinition> make)
        where T : new() =>
        new(name, options => make(TaskOptions.Parse<T>(name, options)));
}
