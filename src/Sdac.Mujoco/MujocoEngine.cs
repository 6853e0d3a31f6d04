using System;
using Sdac.Environments;
using static System.FormattableString;

namespace Sdac.Mujoco;

/// <summary>MuJoCo simulating one task.</summary>
/// <remarks>A state is <see cref="Model.StateSize"/> numbers: time, qpos, qvel, act, qacc_warmstart.</remarks>
public sealed class MujocoEngine : IEngine
{
    private readonly PerEnvironment<Simulation> simulations; // of the Control Suite's tasks
    private Scene? scene;

    internal MujocoEngine(TaskDefinition task)
    {
        Task = new CheckedTask(task);
        Model = Task.LoadModel();
        simulations = new PerEnvironment<Simulation>(() => new Simulation(Model));
        try
        {
            Spec = SpecOf(Task, Model);
        }
        catch
        {
            Model.Dispose();
            throw;
        }
    }

    /// <summary>The compiled model.</summary>
    public Model Model { get; }

    /// <inheritdoc/>
    public EnvSpec Spec { get; }

    /// <inheritdoc/>
    public int StateSize => Model.StateSize;

    /// <inheritdoc/>
    public int MeasureDim => Task.MeasureDim;

    /// <inheritdoc/>
    public Scene Scene => scene ??= MujocoScene.Of(Model);

    internal CheckedTask Task { get; }

    /// <summary>The model of environments that MuJoCo simulates; ArgumentException if another engine does.</summary>
    public static Model ModelOf(VecEnv environments) =>
        environments.Engine.Innermost is MujocoEngine engine
            ? engine.Model
            : throw new RefusedArgumentException($"{environments.Spec.Task} is not simulated by MuJoCo: it has no model.");

    /// <inheritdoc/>
    public IScratch NewScratch() =>
        Task.Begin is null ? new GymScratch(Task, Model, Spec.Dt) : new SuiteScratch(Task, simulations, Spec.Dt);

    /// <inheritdoc/>
    public IPoser NewPoser() => new MujocoPoser(Model);

    /// <summary>Frees the model and its simulations.</summary>
    public void Dispose()
    {
        simulations.Dispose();
        Model.Dispose();
    }

    private static EnvSpec SpecOf(CheckedTask task, Model model)
    {
        var (low, high) = Bounds(task.Name, model);
        return new EnvSpec
        {
            Task = task.Name,
            ObsDim = task.ObsDim,
            ActionLow = low,
            ActionHigh = high,
            FrameSkip = task.FrameSkip,
            Dt = model.Timestep * task.FrameSkip,
            MaxEpisodeSteps = task.MaxEpisodeSteps,
            InfoNames = task.InfoNames,
            EpisodeFigures = task.EpisodeFigures,
            Options = task.Options,
        };
    }

    private static (double[] Low, double[] High) Bounds(string task, Model model)
    {
        var range = model["actuator_ctrlrange"].Doubles;
        var limited = model["actuator_ctrllimited"].ToArray();
        var low = new double[model.Nu];
        var high = new double[model.Nu];
        for (var i = 0; i < model.Nu; i++)
        {
            low[i] = limited[i] != 0 ? range[2 * i] : double.NegativeInfinity;
            high[i] = limited[i] != 0 ? range[2 * i + 1] : double.PositiveInfinity;
            if (!(low[i] < high[i]))
                throw new RefusedArgumentException(
                    Invariant($"{task}: the ctrlrange of actuator {i} of {model.Name} is [{low[i]}, {high[i]}]: ")
                    + "give it two numbers, low < high.");
        }

        return (low, high);
    }
}
