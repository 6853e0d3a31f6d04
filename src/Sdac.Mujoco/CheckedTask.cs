using System;
using System.Collections.Generic;
using System.Linq;
using Sdac.Environments;
using static System.FormattableString;

namespace Sdac.Mujoco;

/// <summary>
/// A task whose settings are possible. Its functions are called through here, so that what goes wrong in one names the
/// task and the function.
/// </summary>
internal sealed partial class CheckedTask
{
    private readonly TaskDefinition task;

    /// <exception cref="ArgumentException">A setting that cannot be; the sentence names it and its value.</exception>
    public CheckedTask(TaskDefinition task)
    {
        ArgumentNullException.ThrowIfNull(task);
        if (string.IsNullOrWhiteSpace(task.Name))
            throw new RefusedArgumentException("A task has no Name: give one, such as \"Rail\".");
        this.task = task;
        Given(task.LoadModel, "LoadModel");
        Given(task.Observe, "Observe");
        Given(task.Reward, "Reward");
        Given(task.Terminated, "Terminated");
        Given(task.Start, "Start");
        Given(task.Measure, "Measure");
        Given(task.InfoNames, "InfoNames");
        Given(task.EpisodeFigures, "EpisodeFigures");
        Given(task.Options, "Options");
        AtLeast(1, task.FrameSkip, "FrameSkip", "mj_step calls per step");
        AtLeast(1, task.MaxEpisodeSteps, "MaxEpisodeSteps", "steps per episode; int.MaxValue is no limit");
        AtLeast(1, task.ObsDim, "ObsDim", "numbers that Observe writes");
        AtLeast(0, task.MeasureDim, "MeasureDim", "numbers that Measure writes");
        InfoNames = [.. task.InfoNames];
        CheckInfoNames();
        EpisodeFigures = [.. task.EpisodeFigures];
        CheckEpisodeFigures();
    }

    public string Name => task.Name;

    public int FrameSkip => task.FrameSkip;

    public int MaxEpisodeSteps => task.MaxEpisodeSteps;

    public int ObsDim => task.ObsDim;

    public int MeasureDim => task.MeasureDim;

    public bool ContactForces => task.ContactForces;

    /// <summary>The Control Suite's start, or null.</summary>
    public BeginFunction? Begin => task.Begin;

    /// <summary>As they were when the task was checked: the caller's list may change.</summary>
    public string[] InfoNames { get; }

    /// <summary>The same of these.</summary>
    public string[] EpisodeFigures { get; }

    public IReadOnlyDictionary<string, object> Options => task.Options;

    /// <summary>The task's model, refused where no step of it could be what its arguments say.</summary>
    public Model LoadModel()
    {
        Model? model;
        try
        {
            model = task.LoadModel();
        }
        catch (Exception cause) when (cause is not (MujocoException or OutOfMemoryException))
        {
            throw Failed("LoadModel", cause);
        }

        if (model is null)
            throw new RefusedArgumentException($"{Name}: LoadModel returned null: return a model, such as Model.FromFile's.");
        if (model.IsDisposed)
            throw new RefusedArgumentException(
                $"{Name}: LoadModel returned the model {model.Name} after its Dispose: load a new one at each call, "
                + "since the environments dispose of theirs.");
        try
        {
            Check(model);
        }
        catch
        {
            model.Dispose();
            throw;
        }

        return model;
    }

    private void Check(Model model)
    {
        if (!(model.Timestep > 0 && double.IsFinite(model.Timestep)))
            throw new RefusedArgumentException(
                Invariant($"{Name}: the timestep of {model.Name} is {model.Timestep} s, with which the physics cannot advance: ")
                + "set <option timestep=\"...\"/> to a positive number.");
        if (model.HasSensorNoise)
            throw new RefusedArgumentException(
                $"{Name}: {model.Name} enables sensornoise, which MuJoCo draws from C's rand(), so that equal keys "
                + "would give other numbers: take the flag out of the model, or set its sensors' noise to 0.");
    }

    private void CheckInfoNames()
    {
        var seen = new HashSet<string>();
        for (var i = 0; i < InfoNames.Length; i++)
        {
            if (string.IsNullOrWhiteSpace(InfoNames[i]))
                throw new RefusedArgumentException($"{Name}: entry {i} of InfoNames is empty: name each figure.");
            if (!seen.Add(InfoNames[i]))
                throw new RefusedArgumentException(
                    $"{Name}: InfoNames holds {InfoNames[i]} more than once: give each figure a name of its own.");
        }
    }

    private void CheckEpisodeFigures()
    {
        foreach (var name in EpisodeFigures)
        {
            if (!InfoNames.Contains(name))
                throw new RefusedArgumentException(
                    $"{Name}: EpisodeFigures holds {name}, which is none of InfoNames ({string.Join(", ", InfoNames)}): name one of those.");
            if (EpisodeFigures.Count(other => other == name) > 1)
                throw new RefusedArgumentException($"{Name}: EpisodeFigures holds {name} more than once: name each figure once.");
        }
    }

    private void Given(object? value, string setting)
    {
        if (value is null)
            throw new RefusedArgumentException($"{Name}: {setting} is null: give it, or leave it at its default.");
    }

    private void AtLeast(int least, int value, string setting, string what)
    {
        if (value < least)
            throw new RefusedArgumentException(Invariant($"{Name}: {setting} is {value}, but must be at least {least} ({what})."));
    }
}
