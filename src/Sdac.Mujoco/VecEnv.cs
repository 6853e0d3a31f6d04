using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using Sdac.Kernels;
using static System.FormattableString;

namespace Sdac.Mujoco;

/// <summary>
/// N environments of one task, stepped on the machine's cores. A step is a function of its arguments alone: the
/// engine's data are scratch, and neither the number of threads nor what was stepped before changes a bit.
/// </summary>
/// <remarks>One call at a time; a second one at the same time is refused with InvalidOperationException.</remarks>
public sealed partial class VecEnv : IDisposable
{
    private readonly CheckedTask task;
    private readonly Model model;
    private readonly Divergence divergence;
    private readonly double[] controls;
    private readonly bool[] badStarts; // which no further reset can mend
    private readonly int[] order; // in which the environments are stepped
    private readonly long[] costs; // time that each one's last step took

    // One per thread, not per environment: the engine's data then stay in that thread's cache.
    private Simulation[] simulations = [];
    private int busy;
    private volatile bool disposed;

    /// <summary>N environments of a task.</summary>
    /// <exception cref="ArgumentException">
    /// A setting of the task that cannot be, or less than one environment.
    /// </exception>
    /// <exception cref="MujocoException">MuJoCo is missing or the model does not compile.</exception>
    public VecEnv(TaskDefinition task, int count, Divergence divergence = Divergence.Stop)
    {
        this.task = new CheckedTask(task);
        if (count < 1)
            throw new ArgumentException(Invariant($"{task.Name}: at least one environment is needed, not {count}."));
        if (!Enum.IsDefined(divergence))
            throw new ArgumentException($"{task.Name}: divergence is {divergence}, but must be Stop or Reset.");
        this.divergence = divergence;
        Count = count;
        model = this.task.LoadModel();
        try
        {
            this.task.CheckCount(count, model);
            Spec = new EnvSpec(this.task, model);
            controls = new double[count * model.Nu];
            badStarts = new bool[count];
            order = [.. Enumerable.Range(0, count)];
            costs = new long[count];
            AddSimulations();
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>N environments of a task of the library, options by Gymnasium's names.</summary>
    /// <exception cref="ArgumentException">An unknown task or option; the nearest is named.</exception>
    public VecEnv(
        string task,
        IEnumerable<KeyValuePair<string, string>> options,
        int count,
        Divergence divergence = Divergence.Stop)
        : this(Tasks.Create(task, Once(task, options)), count, divergence)
    {
    }

    /// <summary>N environments of a task of the library with its default options.</summary>
    public VecEnv(string task, int count)
        : this(Tasks.Create(task), count)
    {
    }

    /// <summary>How many environments.</summary>
    public int Count { get; }

    /// <summary>Sizes and bounds.</summary>
    public EnvSpec Spec { get; }

    /// <summary>The compiled model.</summary>
    public Model Model => model;

    /// <summary>Length of an observation.</summary>
    public int ObsDim => task.ObsDim;

    /// <summary>Length of an action.</summary>
    public int ActionDim => model.Nu;

    /// <summary>Begins episode 0 of every environment.</summary>
    /// <param name="key">
    /// The source of all noise: environment i's episode e draws from Derive(Derive(key, i), e).
    /// </param>
    /// <exception cref="SimulationException">MuJoCo warned about an initial state.</exception>
    public EnvStates Reset(PhiloxKey key)
    {
        Enter();
        try
        {
            var states = NewStates();
            for (var i = 0; i < Count; i++)
            {
                states.EnvKeys[i] = Philox.Derive(key, (ulong)i);
                if (Begin(simulations[0], i, states) is { } complaint)
                    throw new SimulationException(task.Name, i, 0, complaint);
            }

            return states;
        }
        finally
        {
            Leave();
        }
    }

    /// <summary>States for the buffer overloads, not yet begun.</summary>
    public EnvStates NewStates()
    {
        ThrowIfDisposed();
        return new EnvStates(task.Name, Count, model.StateSize, task.ObsDim, task.MeasureDim);
    }

    /// <summary>A result for the buffer overloads.</summary>
    public StepResult NewResult()
    {
        ThrowIfDisposed();
        return new StepResult(Count, task.ObsDim, task.InfoNames.Length);
    }

    /// <summary>Frees the native memory: stepping throws ObjectDisposedException from then on.</summary>
    public void Dispose()
    {
        disposed = true;
        foreach (var simulation in simulations)
            simulation.Dispose();
        model.Dispose();
    }

    // As many as the threads of the next step, which may have become more since the last one.
    private void AddSimulations()
    {
        var (before, wanted) = (simulations.Length, Math.Min(Count, Workers.Threads));
        if (before >= wanted)
            return;
        var more = simulations;
        Array.Resize(ref more, wanted);
        for (var i = before; i < wanted; i++)
            more[i] = new Simulation(model, task.MeasureDim);
        simulations = more; // now that none has failed
    }

    // Begins the episode whose number stands in `into`; returns null or what went wrong.
    private string? Begin(Simulation simulation, int environment, EnvStates into)
    {
        var key = Philox.Derive(into.EnvKeys[environment], (ulong)into.EpisodeNumbers[environment]);
        var (qpos, qvel) = (simulation.StartQpos, simulation.StartQvel);
        into.ElapsedSteps[environment] = 0;
        into.ReturnSums[environment] = 0;
        var complaint = task.Start(key, model.Qpos0, qpos, qvel)
            ?? simulation.Reset(qpos, qvel, PhysicsOf(into, environment));
        if (complaint is not null)
            return complaint;
        complaint = task.Observe(simulation.Physics, ObsOf(into, environment));
        task.Measure(simulation.Physics, MeasuredOf(into, environment));
        return complaint;
    }

    private Span<double> PhysicsOf(EnvStates states, int i) =>
        states.PhysicsNumbers.AsSpan(i * model.StateSize, model.StateSize);

    private Span<double> ObsOf(EnvStates states, int i) => states.Obs.AsSpan(i * task.ObsDim, task.ObsDim);

    private Span<double> MeasuredOf(EnvStates states, int i) =>
        states.Measured.AsSpan(i * task.MeasureDim, task.MeasureDim);

    private void CheckStates(EnvStates states, string what)
    {
        if (states.Task != task.Name || states.Count != Count
            || states.PhysicsNumbers.Length != Count * model.StateSize
            || states.Obs.Length != Count * task.ObsDim
            || states.Measured.Length != Count * task.MeasureDim
            || states.ReturnSums.Length != Count || states.ElapsedSteps.Length != Count
            || states.EpisodeNumbers.Length != Count)
            throw new ArgumentException(
                $"{what} holds {states.Count} environments of {states.Task}, not {Count} of {task.Name} "
                + "with its present options.");
    }

    private static Dictionary<string, object?> Once(string task, IEnumerable<KeyValuePair<string, string>> options)
    {
        var values = new Dictionary<string, object?>();
        foreach (var (name, value) in options)
        {
            if (!values.TryAdd(name, value))
                throw new ArgumentException($"{task}: the option {name} is given more than once: keep one.");
        }

        return values;
    }

    private void ThrowIfDisposed()
    {
        if (disposed)
            throw Disposed.Error($"VecEnv {task.Name}");
    }

    private void Enter()
    {
        ThrowIfDisposed();
        if (Interlocked.Exchange(ref busy, 1) != 0)
            throw new InvalidOperationException(
                $"{task.Name}: these environments are being stepped already; give each thread its own VecEnv.");
    }

    private void Leave() => Volatile.Write(ref busy, 0);
}
