using System;
using System.Collections.Generic;
using System.Linq;
using Sdac.Environments;

namespace Sdac.Mujoco;

/// <summary>
/// Tasks of the DeepMind Control Suite: 1,000 control steps, rewards in [0, 1], no terminations. Trajectories equal those of
/// dm_control 1.0.7 on MuJoCo 2.2.2 bit for bit.
/// </summary>
public static class ControlSuite
{
    /// <summary>Control steps of an episode.</summary>
    public const int MaxEpisodeSteps = 1000;

    /// <summary>All of them, by names such as "dmc/cheetah-run".</summary>
    public static TaskSuite Suite { get; } = new(
        new[]
            {
                SuiteCheetah.Tasks, SuiteWalker.Tasks, SuiteHopper.Tasks,
                SuiteHumanoid.Tasks, SuiteQuadruped.Tasks, SuiteDog.Tasks,
            }
            .SelectMany(static tasks => tasks)
            .Select(static task => new KeyValuePair<string, TaskMaker>(task.Name, options => Make(task, options))));

    /// <summary>What all of them share.</summary>
    internal static TaskDefinition Task(
        string name, string model, int subSteps, int obsDim, ObserveFunction observe, BeginFunction begin, SuiteReward reward) =>
        new()
        {
            Name = "dmc/" + name,
            LoadModel = () => Models.Load("dmc_" + model),
            FrameSkip = subSteps,
            MaxEpisodeSteps = MaxEpisodeSteps,
            ObsDim = obsDim,
            Observe = observe,
            Begin = begin,
            InfoNames = reward.InfoNames,
            Reward = (step, info) => reward.Of(step.Physics, info),
        };

    private static ITask Make(TaskDefinition task, IReadOnlyDictionary<string, object?> options)
    {
        TaskOptions.Parse<SuiteOptions>(task.Name, options);
        return task;
    }
}
