using System;
using System.Collections.Generic;
using Sdac.Environments;

namespace Sdac.Mujoco;

/// <summary>
/// A task as a value: a model, sizes, and pure functions over a read-only view of the engine. A task of one's own is
/// one such value; the ones that come with the library are in <see cref="Tasks"/>.
/// </summary>
public sealed record TaskDefinition : ITask
{
    /// <summary>The name, such as "HalfCheetah-v4".</summary>
    public required string Name { get; init; }

    /// <summary>
    /// Compiles the model, a new one at each call: <c>() => Model.FromFile("robot.xml")</c>. The environments
    /// dispose of it.
    /// </summary>
    public required Func<Model> LoadModel { get; init; }

    /// <summary>How many mj_step make one step.</summary>
    public required int FrameSkip { get; init; }

    /// <summary>The time limit in steps: reaching it truncates the episode.</summary>
    public required int MaxEpisodeSteps { get; init; }

    /// <summary>Length of the observation.</summary>
    public required int ObsDim { get; init; }

    /// <summary>Writes the observation.</summary>
    public required ObserveFunction Observe { get; init; }

    /// <summary>Computes the reward and its components.</summary>
    public required RewardFunction Reward { get; init; }

    /// <summary>Ends the episode by the task's rule; never, if not given.</summary>
    public TerminatedFunction Terminated { get; init; } = static _ => false;

    /// <summary>Noise of the initial state; none, if not given.</summary>
    public StartFunction Start { get; init; } = static (_, _, _) => { };

    /// <summary>
    /// Begins an episode and makes every step the Control Suite's (mj_step2, mj_step, …, mj_step1); null for Gymnasium's way,
    /// which is <see cref="Start"/> and mj_step.
    /// </summary>
    internal BeginFunction? Begin { get; init; }

    /// <summary>Names of the reward's components and other figures of a step.</summary>
    public IReadOnlyList<string> InfoNames { get; init; } = [];

    /// <summary>
    /// Those of <see cref="InfoNames"/> that say at an episode's last step what the whole episode came to, such as the largest
    /// height so far: evaluations note them beside the return.
    /// </summary>
    public IReadOnlyList<string> EpisodeFigures { get; init; } = [];

    /// <summary>How many numbers <see cref="Measure"/> writes.</summary>
    public int MeasureDim { get; init; }

    /// <summary>Writes what the next reward compares with.</summary>
    public MeasureFunction Measure { get; init; } = static (_, _) => { };

    /// <summary>Whether cfrc_ext is wanted (one mj_rnePostConstraint per step).</summary>
    public bool ContactForces { get; init; }

    /// <summary>The options the task was made with, by Gymnasium's names; a record of a run writes them down.</summary>
    public IReadOnlyDictionary<string, object> Options { get; init; } = new Dictionary<string, object>();

    /// <inheritdoc/>
    IEngine ITask.Open() => new MujocoEngine(this);
}
