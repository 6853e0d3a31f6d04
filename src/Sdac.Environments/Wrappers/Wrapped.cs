using System;
using System.Collections.Generic;
using System.Linq;

namespace Sdac.Environments;

/// <summary>A task with something around it, which its options tell.</summary>
internal sealed class Wrapped : ITask
{
    private readonly Func<IEngine> open;

    private Wrapped(ITask inner, string option, object value, Func<IEngine> open)
    {
        this.open = open;
        Name = inner.Name;
        Options = inner.Options.Append(new(option, value)).ToDictionary();
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <inheritdoc/>
    public IReadOnlyDictionary<string, object> Options { get; }

    /// <summary>The task in another engine; itself where the value is the one that changes nothing.</summary>
    public static ITask By(ITask task, string option, double value, int nothing, Func<IEngine, int, IEngine> around) =>
        value == nothing ? task : new Wrapped(task, option, value, () => Around(task.Open(), (int)value, around));

    /// <summary>The task itself, with an option that its learner heeds.</summary>
    public static ITask By(ITask task, string option, object value, object nothing) =>
        value.Equals(nothing) ? task : new Wrapped(task, option, value, task.Open);

    /// <inheritdoc/>
    public IEngine Open() => open();

    private static IEngine Around(IEngine inner, int value, Func<IEngine, int, IEngine> around)
    {
        try
        {
            return around(inner, value);
        }
        catch
        {
            inner.Dispose();
            throw;
        }
    }
}
