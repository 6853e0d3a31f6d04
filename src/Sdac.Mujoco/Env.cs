using System;
using Sdac.Environments;
using static System.FormattableString;

namespace Sdac.Mujoco;

/// <summary>
/// One environment that is put into given states and stepped with given actions, never reset by itself: for tracing
/// trajectories and comparing them with other implementations.
/// </summary>
public sealed class Env : IDisposable
{
    private readonly MujocoEngine engine;
    private readonly CheckedTask task;
    private readonly Model model;
    private readonly Simulation simulation;
    private readonly double[] state;
    private readonly double[] obs;
    private readonly double[] before;
    private readonly double[] after;
    private readonly double[] info;
    private readonly double[] noActivation;
    private int elapsed;
    private bool disposed;

    /// <summary>One environment of a task; call <see cref="SetState(ReadOnlySpan{double}, ReadOnlySpan{double})"/> before stepping.</summary>
    /// <exception cref="ArgumentException">A setting of the task that cannot be.</exception>
    public Env(TaskDefinition task)
    {
        engine = new MujocoEngine(task);
        (this.task, model) = (engine.Task, engine.Model);
        try
        {
            Spec.CheckCount(1, model.StateSize, task.MeasureDim);
            simulation = new Simulation(model);
            state = new double[model.StateSize];
            obs = new double[task.ObsDim];
            before = new double[task.MeasureDim];
            after = new double[task.MeasureDim];
            info = new double[Spec.InfoNames.Count];
            noActivation = new double[model.Na];
            SetState(model.Qpos0, new double[model.Nv]);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Sizes and bounds.</summary>
    public EnvSpec Spec => engine.Spec;

    /// <summary>The compiled model.</summary>
    public Model Model => model;

    /// <summary>The observation, [ObsDim].</summary>
    public ReadOnlySpan<double> Obs => obs;

    /// <summary>The positions, [Nq]: after <see cref="SetState(ReadOnlySpan{double}, ReadOnlySpan{double})"/> with quaternions normalised.</summary>
    public ReadOnlySpan<double> Qpos => simulation.Physics.Qpos;

    /// <summary>The velocities, [Nv].</summary>
    public ReadOnlySpan<double> Qvel => simulation.Physics.Qvel;

    /// <summary>The actuators' activations, [Na].</summary>
    public ReadOnlySpan<double> Act => simulation.Physics.Act;

    /// <summary>The last step's reward.</summary>
    public double Reward { get; private set; }

    /// <summary>Whether the last step met the task's rule for ending an episode.</summary>
    public bool Terminated { get; private set; }

    /// <summary>Whether the time limit is reached; stays true.</summary>
    public bool Truncated => elapsed >= task.MaxEpisodeSteps;

    /// <summary>The last step's info figures, in the order of the spec's InfoNames.</summary>
    public ReadOnlySpan<double> Info => info;

    /// <summary>Steps since <see cref="SetState(ReadOnlySpan{double}, ReadOnlySpan{double})"/>.</summary>
    public int Elapsed => elapsed;

    /// <summary>mj_resetData, the given positions and velocities, one mj_forward: step 0 of an episode.</summary>
    /// <exception cref="ArgumentException">A wrong length or a number that is not finite.</exception>
    public void SetState(ReadOnlySpan<double> qpos, ReadOnlySpan<double> qvel) => SetState(qpos, qvel, noActivation);

    /// <summary>
    /// As above, and with activations. A task of the Control Suite is reset its way: mj_forward in the default pose, the
    /// given numbers, mj_forward again, both without actuation.
    /// </summary>
    /// <exception cref="ArgumentException">
    /// A wrong length, a number that is not finite, activations of a task that does not begin with some.
    /// </exception>
    public void SetState(ReadOnlySpan<double> qpos, ReadOnlySpan<double> qvel, ReadOnlySpan<double> act)
    {
        ThrowIfDisposed();
        Check("qpos", qpos, model.Nq);
        Check("qvel", qvel, model.Nv);
        Check("act", act, model.Na);
        if (task.Begin is null && act.ContainsAnyExcept(0.0))
            throw new RefusedArgumentException($"{task.Name}: its episodes begin with activations of 0: leave act out.");
        elapsed = 0;
        Reward = 0;
        Terminated = false;
        Complain(Reset(qpos, qvel, act));
        task.Observe(simulation.Physics, obs);
        task.Measure(simulation.Physics, before);
    }

    /// <summary>One step with an action in the task's units; goes on past the end of the episode.</summary>
    /// <exception cref="ArgumentException">A wrong length or a number that is not finite.</exception>
    /// <exception cref="SimulationException">MuJoCo warned.</exception>
    public void Step(ReadOnlySpan<double> action)
    {
        ThrowIfDisposed();
        Check("the action", action, model.Nu);
        elapsed++;
        Complain(task.Begin is null
            ? simulation.Step(state, action, task.FrameSkip, task.ContactForces, state)
            : simulation.SuiteStep(state, action, task.FrameSkip, state));
        var physics = simulation.Physics;
        task.Measure(physics, after);
        task.Observe(physics, obs);
        Reward = task.Reward(new StepView(physics, action, before, after, Spec.Dt), info);
        Terminated = task.Terminated(physics);
        after.CopyTo(before, 0);
    }

    /// <summary>Frees the native memory.</summary>
    public void Dispose()
    {
        disposed = true;
        simulation?.Dispose(); // null where the constructor failed
        engine.Dispose();
    }

    private string? Reset(ReadOnlySpan<double> qpos, ReadOnlySpan<double> qvel, ReadOnlySpan<double> act)
    {
        if (task.Begin is null)
            return simulation.Reset(qpos, qvel, state);
        var complaint = simulation.SuiteReset(qpos, qvel, act);
        simulation.CopySuiteState(state);
        return complaint;
    }

    private void Check(string what, ReadOnlySpan<double> numbers, int length)
    {
        if (numbers.Length != length)
            throw new RefusedArgumentException($"{task.Name}: {what} has {length} numbers, not {numbers.Length}.");
        var i = Numbers.FirstNotFinite(numbers);
        if (i >= 0)
            throw new RefusedArgumentException(
                Invariant($"{task.Name}: entry {i} of {what} is {numbers[i]}; it must be a finite number."));
    }

    private void ThrowIfDisposed()
    {
        if (disposed)
            throw Disposed.Error($"Env {task.Name}");
    }

    private void Complain(string? complaint)
    {
        if (complaint is not null)
            throw new SimulationException(task.Name, 0, elapsed, complaint);
    }
}
