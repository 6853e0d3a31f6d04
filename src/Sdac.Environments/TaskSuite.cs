using System;
using System.Collections.Generic;
using System.Linq;

namespace Sdac.Environments;

/// <summary>Makes a task with options by their names.</summary>
public delegate ITask TaskMaker(IReadOnlyDictionary<string, object?> options);

/// <summary>Tasks that can be asked for by name.</summary>
public sealed class TaskSuite
{
    // Of a task's name, to be understood; of tasks, to be told.
    private const int ShortestPart = 3, MostTold = 12;

    private readonly Dictionary<string, TaskMaker> makers;

    /// <summary>A suite of these tasks, in this order.</summary>
    /// <exception cref="ArgumentException">Two tasks of one name.</exception>
    public TaskSuite(params IEnumerable<KeyValuePair<string, TaskMaker>> tasks)
    {
        makers = [];
        foreach (var (name, make) in tasks)
        {
            if (!makers.TryAdd(name, make))
                throw new RefusedArgumentException($"Two tasks are named {name}: give each a name of its own.");
        }

        Names = [.. makers.Keys];
    }

    /// <summary>All names.</summary>
    public IReadOnlyList<string> Names { get; }

    /// <summary>A suite of one task that has no options.</summary>
    public static TaskSuite Of(ITask task) =>
        new(new KeyValuePair<string, TaskMaker>(task.Name, options =>
        {
            TaskOptions.Parse<NoOptions>(task.Name, options);
            return task;
        }));

    /// <summary>The tasks of several suites.</summary>
    public static TaskSuite Join(params IEnumerable<TaskSuite> suites) => new(suites.SelectMany(suite => suite.makers));

    /// <summary>A task with its default options.</summary>
    public ITask Create(string name) => Create(name, new Dictionary<string, object?>());

    /// <summary>A task with options by name, as <c>TaskOptions.Parse</c> takes them.</summary>
    /// <exception cref="ArgumentException">
    /// No such task (the nearest is named where one is near), or no such option or value.
    /// </exception>
    public ITask Create(string name, IReadOnlyDictionary<string, object?> options) =>
        makers.TryGetValue(name, out var make)
            ? Wrappers.Around(make, name, options)
            : throw new RefusedArgumentException(Unknown(name));

    /// <summary>A task with options as pairs of texts, each name once.</summary>
    /// <exception cref="ArgumentException">As above, or a name given twice.</exception>
    public ITask Create(string name, IEnumerable<KeyValuePair<string, string>> options)
    {
        var values = new Dictionary<string, object?>();
        foreach (var (option, value) in options)
        {
            if (!values.TryAdd(option, value))
                throw new RefusedArgumentException($"{name}: the option {option} is given more than once: keep one.");
        }

        return Create(name, values);
    }

    // A suite or a version that is not there is answered with those that are.
    private string Unknown(string name)
    {
        if (name.IndexOf('/') is > 0 and var slash && Suites() is { Count: > 0 } suites && !suites.Contains(name[..slash]))
            return $"There is no suite {name[..slash]}; there are {string.Join(", ", suites)} "
                + $"(and without a suite: {string.Join(", ", Names.Where(task => !task.Contains('/')))}).";
        if (name.LastIndexOf("-v", StringComparison.Ordinal) is > 0 and var dash
            && Names.Where(task => task.StartsWith(name[..(dash + 2)], StringComparison.Ordinal)).ToArray() is { Length: > 0 } versions)
            return $"There is no version {name[(dash + 1)..]} of {name[..dash]}; there are {string.Join(", ", versions.Order(StringComparer.Ordinal))}.";
        if (Nearest.Near(name, Names) is { } near)
            return $"There is no task {name}; the nearest is {near} (envs lists all {Names.Count}).";
        // "Hopper" and "cheetah" are parts of names
        if (name.Length >= ShortestPart
            && Names.Where(task => task.Contains(name, StringComparison.OrdinalIgnoreCase)).ToArray() is { Length: > 0 and <= MostTold } alike)
            return $"There is no task {name}; there are {string.Join(", ", alike.Order(StringComparer.Ordinal))}.";
        return $"There is no task {name}, nor one with a name like that: envs lists all {Names.Count}.";
    }

    private List<string> Suites() =>
        [.. Names.Where(task => task.IndexOf('/') > 0).Select(task => task[..task.IndexOf('/')]).Distinct()];

    private sealed record NoOptions;
}
