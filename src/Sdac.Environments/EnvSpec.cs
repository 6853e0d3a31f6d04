using System;
using System.Collections.Generic;

namespace Sdac.Environments;

/// <summary>The sizes and bounds of a task's environments.</summary>
public sealed record EnvSpec
{
    /// <summary>The task's name.</summary>
    public required string Task { get; init; }

    /// <summary>Length of an observation; its entries are unbounded.</summary>
    public required int ObsDim { get; init; }

    /// <summary>Length of an action.</summary>
    public int ActionDim => ActionLow.Count;

    /// <summary>
    /// Lower bounds of actions, [ActionDim]: MuJoCo clamps what lies outside; -Infinity where unbounded.
    /// </summary>
    public required IReadOnlyList<double> ActionLow { get; init; }

    /// <summary>Upper bounds of actions, [ActionDim].</summary>
    public required IReadOnlyList<double> ActionHigh { get; init; }

    /// <summary>How many steps of the engine make one step.</summary>
    public required int FrameSkip { get; init; }

    /// <summary>Seconds per step.</summary>
    public required double Dt { get; init; }

    /// <summary>The time limit in steps.</summary>
    public required int MaxEpisodeSteps { get; init; }

    /// <summary>Names of a step's info figures.</summary>
    public IReadOnlyList<string> InfoNames { get; init; } = [];

    /// <summary>
    /// Those of <see cref="InfoNames"/> that say at an episode's last step what the whole episode came to: evaluations note them
    /// beside the return.
    /// </summary>
    public IReadOnlyList<string> EpisodeFigures { get; init; } = [];

    /// <summary>The options by their names.</summary>
    public IReadOnlyDictionary<string, object> Options { get; init; } = new Dictionary<string, object>();

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
            throw new RefusedArgumentException(
                $"{Task}: actions come in rows of {ActionDim}, not {unit.Length} into {scaled.Length}.");
        for (var i = 0; i < unit.Length; i++)
        {
            var (low, high) = (ActionLow[i % ActionDim], ActionHigh[i % ActionDim]);
            scaled[i] = double.IsInfinity(high - low) ? unit[i] : (float)(low + (high - low) * 0.5 * (unit[i] + 1.0));
        }
    }

    /// <summary>Refuses so many environments that an array of theirs could not be.</summary>
    internal void CheckCount(int count, int stateSize, int measureDim)
    {
        Fits(count, ObsDim, "ObsDim");
        Fits(count, measureDim, "MeasureDim");
        Fits(count, InfoNames.Count, "InfoNames");
        Fits(count, stateSize, "the state");
        Fits(count, ActionDim, "the action");
    }

    private void Fits(int count, int each, string what)
    {
        if ((long)count * each > Array.MaxLength)
            throw new RefusedArgumentException(
                $"{Task}: {count} environments with {each} numbers each ({what}) are more than an array holds "
                + $"({Array.MaxLength}): take fewer environments.");
    }
}
