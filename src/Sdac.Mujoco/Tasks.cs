using System;
using System.Collections.Generic;
using System.Linq;

namespace Sdac.Mujoco;

/// <summary>The tasks that come with the library, by their usual names.</summary>
public static class Tasks
{
    private static readonly Dictionary<string, Func<IReadOnlyDictionary<string, object?>, TaskDefinition>> Known = new()
    {
        [Ant.Name] = options => Ant.Task(TaskOptions.Parse<AntOptions>(Ant.Name, options)),
        [HalfCheetah.Name] = options =>
            HalfCheetah.Task(TaskOptions.Parse<HalfCheetahOptions>(HalfCheetah.Name, options)),
        [Hopper.Name] = options => Hopper.Task(TaskOptions.Parse<HopperOptions>(Hopper.Name, options)),
        [Humanoid.Name] = options => Humanoid.Task(TaskOptions.Parse<HumanoidOptions>(Humanoid.Name, options)),
        [InvertedDoublePendulum.Name] = options =>
            InvertedDoublePendulum.Task(
                TaskOptions.Parse<InvertedDoublePendulumOptions>(InvertedDoublePendulum.Name, options)),
        [InvertedPendulum.Name] = options =>
            InvertedPendulum.Task(TaskOptions.Parse<InvertedPendulumOptions>(InvertedPendulum.Name, options)),
        [Pusher.Name] = options => Pusher.Task(TaskOptions.Parse<PusherOptions>(Pusher.Name, options)),
        [Reacher.Name] = options => Reacher.Task(TaskOptions.Parse<ReacherOptions>(Reacher.Name, options)),
        [Swimmer.Name] = options => Swimmer.Task(TaskOptions.Parse<SwimmerOptions>(Swimmer.Name, options)),
        [Walker2d.Name] = options => Walker2d.Task(TaskOptions.Parse<Walker2dOptions>(Walker2d.Name, options)),
    };

    /// <summary>All names.</summary>
    public static IReadOnlyList<string> Names { get; } = Known.Keys.ToArray();

    /// <summary>
    /// A task with its default options; ArgumentException naming the nearest and all names where there is none.
    /// </summary>
    public static TaskDefinition Create(string name) => Create(name, new Dictionary<string, object?>());

    /// <summary>A task with options by Gymnasium's names, as <see cref="TaskOptions.Parse"/> takes them.</summary>
    public static TaskDefinition Create(string name, IReadOnlyDictionary<string, object?> options) =>
        Known.TryGetValue(name, out var make)
            ? make(options)
            : throw new ArgumentException(
                $"There is no task {name}; the nearest is {Nearest.To(name, Names)} "
                + $"(all: {string.Join(", ", Names)}).");
}
