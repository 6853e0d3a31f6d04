using System.Collections.Generic;
using Sdac.Environments;

namespace Sdac.PushT;

/// <summary>
/// PushT: push a T-shaped block onto its place with a disc, 300 steps at 10 Hz; an action is where the disc is pulled to.
/// </summary>
/// <remarks>Trajectories equal those of gym-pusht 0.1.5 bit for bit.</remarks>
public sealed class PushTTask : ITask
{
    /// <summary>The task's name.</summary>
    public const string TaskName = "PushT";

    /// <summary>The time limit in steps.</summary>
    public const int MaxEpisodeSteps = 300;

    /// <summary>The table's width and height; what lies outside is allowed, for actions and for the agent.</summary>
    public const double Table = 512;

    /// <summary>The task with its options.</summary>
    public PushTTask(PushTOptions options)
    {
        PushTOptions = options;
        Options = TaskOptions.Checked(TaskName, options);
    }

    /// <summary>The tasks of this engine by name.</summary>
    public static TaskSuite Suite { get; } = new(
        new KeyValuePair<string, TaskMaker>(
            TaskName, options => new PushTTask(TaskOptions.Parse<PushTOptions>(TaskName, options))));

    /// <inheritdoc/>
    public string Name => TaskName;

    /// <inheritdoc/>
    public IReadOnlyDictionary<string, object> Options { get; }

    internal PushTOptions PushTOptions { get; }

    /// <inheritdoc/>
    public IEngine Open() => new PushTEngine(this);
}
