using System;
using System.Runtime.InteropServices;
using Sdac.Environments;
using static System.FormattableString;

namespace Sdac.PushT;

/// <summary>
/// One episode under way. Its state is its past: how many steps, the start, every action. Chipmunk carries contacts and
/// the order of its tree from step to step and offers no way to put them back, so that a state is put back by doing again
/// what led to it; where the world at hand has come the same way, it just goes on.
/// </summary>
internal sealed class Episode : IDisposable
{
    /// <summary>How many numbers a state has.</summary>
    public const int StateSize = Actions + 2 * PushTTask.MaxEpisodeSteps;

    private const int Count = 0;
    private const int Start = 1;
    private const int Actions = Start + Pose.Size;

    private readonly double[] state = new double[StateSize];
    private World? world;

    /// <summary>Where everything is now.</summary>
    public World World => world ?? throw new RefusedOperationException("The episode has not begun.");

    /// <summary>Begins at a pose; returns null or what is wrong with it.</summary>
    public string? Begin(Pose start)
    {
        Array.Clear(state);
        start.CopyTo(state.AsSpan(Start, Pose.Size));
        return Begin();
    }

    /// <summary>Goes to a state, unless it is there; returns null or what is wrong with the state.</summary>
    public string? GoTo(ReadOnlySpan<double> wanted)
    {
        if (world is not null && Bits(wanted[..Used]).SequenceEqual(Bits(state.AsSpan(0, Used))))
            return null;
        if (!(wanted[Count] >= 0 && wanted[Count] <= PushTTask.MaxEpisodeSteps && double.IsInteger(wanted[Count])))
            return Invariant($"the state's number of steps is {wanted[Count]}, not a whole number up to {PushTTask.MaxEpisodeSteps}");
        wanted.CopyTo(state);
        var complaint = Begin();
        for (var k = 0; complaint is null && k < (int)state[Count]; k++)
            complaint = Move(state.AsSpan(Actions + 2 * k, 2));
        return complaint;
    }

    /// <summary>As <see cref="GoTo"/>, by one step where the state's last action is all that is missing.</summary>
    public string? Follow(ReadOnlySpan<double> wanted)
    {
        var before = Actions + 2 * ((int)wanted[Count] - 1);
        var isAhead = world is not null && wanted[Count] == state[Count] + 1 && before == Used
            && Bits(wanted[Start..before]).SequenceEqual(Bits(state.AsSpan(Start..before)));
        return isAhead ? Step(wanted.Slice(before, 2)) : GoTo(wanted);
    }

    /// <summary>The action that led to a state; empty at an episode's start.</summary>
    public static ReadOnlySpan<double> LastAction(ReadOnlySpan<double> state) =>
        state[Count] >= 1 ? state.Slice(Actions + 2 * ((int)state[Count] - 1), 2) : [];

    /// <summary>One step; returns null or what went wrong.</summary>
    public string? Step(ReadOnlySpan<double> action)
    {
        var k = (int)state[Count];
        if (k == PushTTask.MaxEpisodeSteps)
            return Invariant($"the episode has had its {PushTTask.MaxEpisodeSteps} steps");
        action.CopyTo(state.AsSpan(Actions + 2 * k, 2));
        state[Count] = k + 1;
        return Move(action);
    }

    /// <summary>Writes the state.</summary>
    public void CopyTo(Span<double> to) => state.CopyTo(to);

    /// <summary>Frees the world.</summary>
    public void Dispose()
    {
        world?.Dispose();
        world = null;
    }

    // 0 and -0 are two pasts.
    private static ReadOnlySpan<byte> Bits(ReadOnlySpan<double> numbers) => MemoryMarshal.AsBytes(numbers);

    private int Used => Actions + 2 * (int)state[Count];

    private string? Begin()
    {
        Dispose();
        var start = Pose.Of(state.AsSpan(Start, Pose.Size));
        for (var i = Start; i < Actions; i++)
        {
            if (!(Math.Abs(state[i]) <= World.MostSpeed))
                return Invariant($"entry {i - Start} of the start is {state[i]}");
        }

        world = new World(start);
        return null;
    }

    // After a failure the world is not where its past leads.
    private string? Move(ReadOnlySpan<double> action)
    {
        var complaint = World.Step(action[0], action[1]);
        if (complaint is not null)
            Dispose();
        return complaint;
    }
}
