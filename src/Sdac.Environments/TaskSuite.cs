using System;
using System.Collections.Generic;
using System.Linq;

namespace Sdac.Environments;

/// <summary>Makes a task with options by their names.</summary>
public delegate ITask TaskMaker(IReadOnlyDictionary<string, object?> options);

/// <summary>Tasks that can be asked for by name.</summary>
public sealed class TaskSuite
{
    private readonly Dictionary<string, TaskMaker> makers;

    /// <summary>A suite of these tasks, in this order.</summary>
    /// <exception cref="ArgumentException">Two tasks of one name.</exception>
    public TaskSuite(params IEnumerable<KeyValuePair<string, TaskMaker>> tasks)
    {
        makers = [];
        foreach (var (name, make) in tasks)
        {
            if (!makers.TryAdd(name, make))
                throw new ArgumentException($"Two tasks are named {name}: give each a name of its own.");
        }

        Names = [.. makers.Keys];
    }

    /// <summary>All names.</summary>
    public IReadOnlyList<string> Names { get; }

    /// <summary>The tasks of several suites.</summary>
    public static TaskSuite Join(params IEnumerable<TaskSuite> suites) => new(suites.SelectMany(suite => suite.makers));

    /// <summary>A task with its default options.</summary>
    public ITask Create(string name) => Create(name, new Dictionary<string, object?>());

    /// <summary>A task with options by name, as <see cref="TaskOptions.Parse"/> takes them.</summary>
    /// <exception cref="ArgumentException">
    /// No such task (the nearest and all are named), or no such option or value.
    /// </exception>
    public ITask Create(string name, IReadOnlyDictionary<string, object?> options) =>
        makers.TryGetValue(name, out var make)
            ? make(options)
            : throw new ArgumentException(
                $"There is no task {name}; the nearest is {Nearest.To(name, Names)} "
                + $"(all: {string.Join(", ", Names)}).");

    /// <summary>A task with options as pairs of texts, each name once.</summary>
    /// <exception cref="ArgumentException">As above, or a name given twice.</exception>
    public ITask Create(string name, IEnumerable<KeyValuePair<string, string>> options)
    {
        var values = new Dictionary<string, object?>();
        foreach (var (option, value) in options)
        {
            if (!values.TryAdd(option, value))
                throw new ArgumentException($"{name}: the option {option} is given more than once: keep one.");
        }

        return Create(name, values);
    }
}
