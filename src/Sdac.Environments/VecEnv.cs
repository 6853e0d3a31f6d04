using System;
using System.Linq;
using System.Threading;
using Sdac.Kernels;
using static System.FormattableString;

namespace Sdac.Environments;

/// <summary>
/// N environments of one task, stepped on the machine's cores. A step is a function of its arguments alone: the
/// engine's data are scratch, and neither the number of threads nor what was stepped before changes a bit.
/// </summary>
/// <remarks>One call at a time; a second one at the same time is refused with InvalidOperationException.</remarks>
public sealed partial class VecEnv : IDisposable
{
    private readonly IEngine engine;
    private readonly EnvSpec spec;
    private readonly int stateSize;
    private readonly int measureDim;
    private readonly Divergence divergence;
    private readonly double[] controls;
    private readonly bool[] badStarts; // which no further reset can repair
    private readonly int[] order; // in which the environments are stepped
    private readonly long[] costs; // time that each one's last step took

    // One per thread, not per environment: the engine's data then stay in that thread's cache.
    private Room[] rooms = [];
    private int busy;
    private volatile bool disposed;

    /// <summary>N environments of a task.</summary>
    /// <exception cref="ArgumentException">
    /// A setting of the task that cannot be, or less than one environment.
    /// </exception>
    /// <exception cref="EngineException">The engine is missing, or cannot simulate the task.</exception>
    public VecEnv(ITask task, int count, Divergence divergence = Divergence.Stop)
    {
        ArgumentNullException.ThrowIfNull(task);
        if (count < 1)
            throw new RefusedArgumentException(Invariant($"{task.Name}: at least one environment is needed, not {count}."));
        if (!Enum.IsDefined(divergence))
            throw new RefusedArgumentException($"{task.Name}: divergence is {divergence}, but must be Stop or Reset.");
        this.divergence = divergence;
        Count = count;
        engine = task.Open();
        try
        {
            (spec, stateSize, measureDim) = (engine.Spec, engine.StateSize, engine.MeasureDim);
            spec.CheckCount(count, stateSize, measureDim);
            controls = new double[count * spec.ActionDim];
            badStarts = new bool[count];
            order = [.. Enumerable.Range(0, count)];
            costs = new long[count];
            AddRooms();
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>How many environments.</summary>
    public int Count { get; }

    /// <summary>Sizes and bounds.</summary>
    public EnvSpec Spec => spec;

    /// <summary>What simulates them.</summary>
    public IEngine Engine => engine;

    /// <summary>Length of an observation.</summary>
    public int ObsDim => spec.ObsDim;

    /// <summary>Length of an action.</summary>
    public int ActionDim => spec.ActionDim;

    /// <summary>Begins episode 0 of every environment.</summary>
    /// <param name="key">
    /// The source of all noise: environment i's episode e draws from Derive(Derive(key, i), e).
    /// </param>
    /// <exception cref="SimulationException">The engine refused an initial state.</exception>
    public EnvStates Reset(PhiloxKey key)
    {
        Enter();
        try
        {
            var states = NewStates();
            for (var i = 0; i < Count; i++)
            {
                states.EnvKeys[i] = Philox.Derive(key, (ulong)i);
                if (Begin(rooms[0].Scratch, i, states) is { } complaint)
                    throw new SimulationException(spec.Task, i, 0, complaint);
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
        return new EnvStates(spec.Task, Count, stateSize, spec.ObsDim, measureDim);
    }

    /// <summary>A result for the buffer overloads.</summary>
    public StepResult NewResult()
    {
        ThrowIfDisposed();
        return new StepResult(Count, spec.ObsDim, spec.InfoNames.Count);
    }

    /// <summary>Frees the native memory: stepping throws ObjectDisposedException from then on.</summary>
    public void Dispose()
    {
        disposed = true;
        foreach (var room in rooms)
            room.Scratch.Dispose();
        engine.Dispose();
    }

    // As many as the threads of the next step, which may have become more since the last one.
    private void AddRooms()
    {
        var (before, wanted) = (rooms.Length, Math.Min(Count, Workers.Threads));
        if (before >= wanted)
            return;
        var more = rooms;
        Array.Resize(ref more, wanted);
        for (var i = before; i < wanted; i++)
            more[i] = new Room(engine.NewScratch(), new double[measureDim]);
        rooms = more; // now that none has failed
    }

    // Begins the episode whose number stands in `into`; returns null or what went wrong.
    private string? Begin(IScratch scratch, int environment, EnvStates into)
    {
        var key = Philox.Derive(into.EnvKeys[environment], (ulong)into.EpisodeNumbers[environment]);
        into.ElapsedSteps[environment] = 0;
        into.ReturnSums[environment] = 0;
        try
        {
            var complaint = scratch.Reset(environment, key, PhysicsOf(into, environment));
            if (complaint is not null)
                return complaint;
            complaint = scratch.Observe(ObsOf(into, environment));
            scratch.Measure(MeasuredOf(into, environment));
            return complaint;
        }
        catch (TaskFunctionException failure) when (failure.Place is null)
        {
            throw failure.At(environment, 0);
        }
    }

    private Span<double> PhysicsOf(EnvStates states, int i) => states.PhysicsNumbers.AsSpan(i * stateSize, stateSize);

    private Span<double> ObsOf(EnvStates states, int i) => states.Obs.AsSpan(i * spec.ObsDim, spec.ObsDim);

    private Span<double> MeasuredOf(EnvStates states, int i) => states.Measured.AsSpan(i * measureDim, measureDim);

    private void CheckStates(EnvStates states, string what)
    {
        if (states.Task != spec.Task || states.Count != Count
            || states.PhysicsNumbers.Length != Count * stateSize
            || states.Obs.Length != Count * spec.ObsDim
            || states.Measured.Length != Count * measureDim
            || states.ReturnSums.Length != Count || states.ElapsedSteps.Length != Count
            || states.EpisodeNumbers.Length != Count)
            throw new RefusedArgumentException(
                $"{what} holds {states.Count} environments of {states.Task}, not {Count} of {spec.Task} "
                + "with its present options.");
    }

    private void ThrowIfDisposed()
    {
        if (disposed)
            throw Disposed.Error($"VecEnv {spec.Task}");
    }

    private void Enter()
    {
        ThrowIfDisposed();
        if (Interlocked.Exchange(ref busy, 1) != 0)
            throw new RefusedOperationException(
                $"{spec.Task}: these environments are being stepped already; give each thread its own VecEnv.");
    }

    private void Leave() => Volatile.Write(ref busy, 0);

    // What one thread steps in.
    private readonly record struct Room(IScratch Scratch, double[] Measured);
}
