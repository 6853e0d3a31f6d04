using System;
using Sdac.Environments;
using static System.FormattableString;

namespace Sdac.PushT;

/// <summary>
/// One environment that is put into given poses and stepped with given actions, never reset by itself: for tracing
/// trajectories and comparing them with other implementations.
/// </summary>
public sealed class PushTEnv : IDisposable
{
    private readonly PushTOptions options;
    private readonly double[] obs;
    private readonly double[] info = new double[Rules.InfoNames.Length];
    private World world;

    /// <summary>One environment; call <see cref="SetState"/> before stepping.</summary>
    public PushTEnv(PushTTask task)
    {
        options = task.PushTOptions;
        using (var engine = task.Open())
            Spec = engine.Spec;
        obs = new double[Spec.ObsDim];
        world = null!;
        SetState(new Pose(256, 400, 256, 300, 0));
    }

    /// <summary>Sizes and bounds.</summary>
    public EnvSpec Spec { get; }

    /// <summary>The observation, [ObsDim].</summary>
    public ReadOnlySpan<double> Obs => obs;

    /// <summary>Where everything is.</summary>
    public Pose Pose => world.Pose;

    /// <summary>The agent's velocity, then the block's (of its centre of gravity, then angular): 5 numbers.</summary>
    public double[] Velocities =>
        [
            world.AgentVelocity.X, world.AgentVelocity.Y,
            world.BlockVelocity.X, world.BlockVelocity.Y, world.BlockSpin,
        ];

    /// <summary>The last step's reward.</summary>
    public double Reward { get; private set; }

    /// <summary>Whether the last step met the task's rule for ending an episode.</summary>
    public bool Terminated { get; private set; }

    /// <summary>Whether the time limit is reached; stays true.</summary>
    public bool Truncated => Elapsed >= PushTTask.MaxEpisodeSteps;

    /// <summary>The last step's figures, in the order of the spec's InfoNames.</summary>
    public ReadOnlySpan<double> Info => info;

    /// <summary>Steps since <see cref="SetState"/>.</summary>
    public int Elapsed { get; private set; }

    /// <summary>The block's vertices, [8, 2]: bar, then stem.</summary>
    public double[] Vertices
    {
        get
        {
            var numbers = new double[Rules.ObsDim(ObsType.Vertices)];
            Rules.Observe(world, ObsType.Vertices, numbers);
            return numbers[..^2];
        }
    }

    /// <summary>How much of the goal is covered.</summary>
    public double Covered => world.Covered;

    /// <summary>
    /// A new table: the agent's and the block's position, then the block's angle (about its centre of gravity), then one
    /// step of the engine.
    /// </summary>
    /// <exception cref="ArgumentException">A number that is not finite, or too large to simulate.</exception>
    public void SetState(Pose start)
    {
        Span<double> numbers = stackalloc double[Pose.Size];
        start.CopyTo(numbers);
        for (var i = 0; i < Pose.Size; i++)
        {
            if (!(Math.Abs(numbers[i]) <= World.MostSpeed))
                throw new RefusedArgumentException(
                    Invariant($"{PushTTask.TaskName}: entry {i} of the pose is {numbers[i]}; it must be a finite number of at most {World.MostSpeed}."));
        }

        world?.Dispose();
        world = new World(start);
        (Elapsed, Reward, Terminated) = (0, 0, false);
        Rules.Observe(world, options.ObsType, obs);
    }

    /// <summary>One step with an action in the task's units; goes on past the end of the episode.</summary>
    /// <exception cref="ArgumentException">A wrong length or a number that is not finite.</exception>
    /// <exception cref="SimulationException">The agent would become too fast to simulate.</exception>
    public void Step(ReadOnlySpan<double> action)
    {
        if (action.Length != 2)
            throw new RefusedArgumentException($"{PushTTask.TaskName}: the action has 2 numbers, not {action.Length}.");
        for (var i = 0; i < action.Length; i++)
        {
            if (!double.IsFinite(action[i]))
                throw new RefusedArgumentException(
                    Invariant($"{PushTTask.TaskName}: entry {i} of the action is {action[i]}; it must be a finite number."));
        }

        Elapsed++;
        if (world.Step(action[0], action[1]) is { } complaint)
            throw new SimulationException(PushTTask.TaskName, 0, Elapsed, complaint);
        Reward = Rules.Reward(options, world.Covered, world.BestBefore, info);
        Terminated = Rules.Terminated(options, world.Covered);
        Rules.Observe(world, options.ObsType, obs);
    }

    /// <summary>Frees the table.</summary>
    public void Dispose() => world.Dispose();
}
