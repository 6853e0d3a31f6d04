using System;
using System.Collections.Generic;
using System.Linq;
using static System.FormattableString;

namespace Sdac.Environments;

/// <summary>What lies around a task, chosen by options (<see cref="WrapperOptions"/>).</summary>
public static class Wrappers
{
    /// <summary>The names of the options, in the order in which they apply.</summary>
    public static IReadOnlyList<string> Names { get; } = TaskOptions.Names(typeof(WrapperOptions));

    /// <summary>The wrappers among a task's options, the others left aside.</summary>
    /// <exception cref="ArgumentException">A value that cannot be.</exception>
    public static WrapperOptions Parse(string task, IEnumerable<KeyValuePair<string, object?>> options)
    {
        var chosen = TaskOptions.Parse<WrapperOptions>(
            task, options.Where(option => Names.Contains(option.Key)).ToDictionary());
        Whole(task, nameof(chosen.TimeLimit), chosen.TimeLimit, 0, "a number of steps, or 0 for the task's own limit");
        Whole(task, nameof(chosen.ActionRepeat), chosen.ActionRepeat, 1, "a number of steps");
        Whole(task, nameof(chosen.FrameStack), chosen.FrameStack, 1, "a number of observations");
        if (!(chosen.RewardScale > 0 && double.IsFinite(chosen.RewardScale)))
            throw new RefusedArgumentException(
                Invariant($"{task}: the option reward_scale is {chosen.RewardScale}, but must be a positive number."));
        return chosen;
    }

    /// <summary>The task made with its own among the options, with what the others put around it.</summary>
    internal static ITask Around(TaskMaker make, string name, IReadOnlyDictionary<string, object?> options)
    {
        var chosen = Parse(name, options);
        var task = make(options.Where(option => !Names.Contains(option.Key)).ToDictionary());
        if (task.Options.Keys.FirstOrDefault(Names.Contains) is { } taken)
            throw new RefusedArgumentException($"{name}: {taken} is an option of every task: call the task's own otherwise.");
        task = Wrapped.By(task, "time_limit", chosen.TimeLimit, 0, (engine, limit) => new TimeLimited(engine, limit));
        task = Wrapped.By(task, "action_repeat", chosen.ActionRepeat, 1, (engine, times) => new Repeated(engine, times));
        task = Wrapped.By(task, "frame_stack", chosen.FrameStack, 1, (engine, count) => new Stacked(engine, count));
        task = Wrapped.By(task, "reward_scale", chosen.RewardScale, 1.0);
        return Wrapped.By(task, "observation_moments", chosen.ObservationMoments, false);
    }

    private static void Whole(string task, string property, double value, int least, string what)
    {
        if (!(value >= least && value <= int.MaxValue && double.IsInteger(value)))
            throw new RefusedArgumentException(
                Invariant($"{task}: the option {TaskOptions.Snake(property)} is {value}, but must be a whole number of at least {least} ({what})."));
    }
}
