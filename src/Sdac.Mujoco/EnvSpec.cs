using System;
using System.Collections.Generic;
using static System.FormattableString;

namespace Sdac.Mujoco;

/// <summary>The sizes and bounds of a task's environments.</summary>
public sealed record EnvSpec
{
    internal EnvSpec(CheckedTask task, Model model)
    {
        Task = task.Name;
        ObsDim = task.ObsDim;
        ActionDim = model.Nu;
        FrameSkip = task.FrameSkip;
        Dt = model.Timestep * task.FrameSkip;
        MaxEpisodeSteps = task.MaxEpisodeSteps;
        InfoNames = task.InfoNames;
        Options = task.Options;
        (ActionLow, ActionHigh) = Bounds(task.Name, model);
    }

    /// <summary>The task's name.</summary>
    public string Task { get; }

    /// <summary>Length of an observation; its entries are unbounded.</summary>
    public int ObsDim { get; }

    /// <summary>Length of an action.</summary>
    public int ActionDim { get; }

    /// <summary>
    /// The actuators' lower bounds, [ActionDim]: MuJoCo clamps what lies outside; -Infinity where unbounded.
    /// </summary>
    public IReadOnlyList<double> ActionLow { get; }

    /// <summary>The actuators' upper bounds, [ActionDim].</summary>
    public IReadOnlyList<double> ActionHigh { get; }

    /// <summary>How many mj_step make one step.</summary>
    public int FrameSkip { get; }

    /// <summary>Seconds per step.</summary>
    public double Dt { get; }

    /// <summary>The time limit in steps.</summary>
    public int MaxEpisodeSteps { get; }

    /// <summary>Names of a step's info figures.</summary>
    public IReadOnlyList<string> InfoNames { get; }

    /// <summary>The options by Gymnasium's names.</summary>
    public IReadOnlyDictionary<string, object> Options { get; }

    /// <summary>
    /// Policy actions to the task's units: [-1, 1] to [low, high], linearly; what lies outside stays outside (MuJoCo
    /// clamps it).
    /// </summary>
    /// <param name="unit">[rows, ActionDim].</param>
    /// <param name="scaled">[rows, ActionDim]; may be <paramref name="unit"/> itself.</param>
    public void ScaleActions(ReadOnlySpan<float> unit, Span<float> scaled)
    {
        // A model without actuators has rows of 0.
        var whole = ActionDim == 0 ? unit.Length == 0 : unit.Length % ActionDim == 0;
        if (!whole || scaled.Length != unit.Length)
            throw new ArgumentException(
                $"{Task}: actions come in rows of {ActionDim}, not {unit.Length} into {scaled.Length}.");
        for (var i = 0; i < unit.Length; i++)
        {
            var (low, high) = (ActionLow[i % ActionDim], ActionHigh[i % ActionDim]);
            scaled[i] = double.IsInfinity(high - low) ? unit[i] : (float)(low + (high - low) * 0.5 * (unit[i] + 1.0));
        }
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
                throw new ArgumentException(
                    Invariant($"{task}: the ctrlrange of actuator {i} of {model.Name} is [{low[i]}, {high[i]}]: ")
                    + "give it two numbers, low < high.");
        }

        return (low, high);
    }
}
