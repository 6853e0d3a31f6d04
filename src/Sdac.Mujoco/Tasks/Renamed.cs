using System;
using System.Collections.Generic;
using System.Linq;
using Sdac.Environments;

namespace Sdac.Mujoco;

/// <summary>A task under the name of another version, whose numbers it shares.</summary>
internal static class Renamed
{
    /// <summary>With these of its figures, in this order.</summary>
    public static TaskDefinition As(TaskDefinition task, string name, object options, params string[] infoNames)
    {
        var renamed = task with { Name = name, Options = TaskOptions.Checked(name, options) };
        return infoNames.SequenceEqual(task.InfoNames) ? renamed : Showing(renamed, infoNames);
    }

    /// <summary>The same task with only these of its figures.</summary>
    private static TaskDefinition Showing(TaskDefinition task, string[] infoNames)
    {
        var places = infoNames.Select(info => task.InfoNames.ToList().IndexOf(info)).ToArray();
        var all = task.InfoNames.Count;
        return task with
        {
            InfoNames = infoNames,
            Reward = (step, info) =>
            {
                Span<double> figures = stackalloc double[all];
                var reward = task.Reward(step, figures);
                for (var i = 0; i < places.Length; i++)
                    info[i] = figures[places[i]];
                return reward;
            },
        };
    }
}
