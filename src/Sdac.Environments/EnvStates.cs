using System;
using Sdac.Kernels;
using static System.FormattableString;

namespace Sdac.Environments;

/// <summary>The states of N environments of one task, a value: nothing changes it once it is made.</summary>
/// <remarks>
/// Only <see cref="VecEnv.StepInto(EnvStates, ReadOnlySpan{float}, EnvStates, StepResult, Span{float}, Span{float})"/>
/// writes into one, given by a caller who owns it.
/// </remarks>
public sealed class EnvStates
{
    internal readonly double[] PhysicsNumbers;
    internal readonly double[] Obs;
    internal readonly double[] Measured;
    internal readonly double[] ReturnSums;
    internal readonly int[] ElapsedSteps;
    internal readonly long[] EpisodeNumbers;
    internal readonly PhiloxKey[] EnvKeys;

    internal EnvStates(string task, int count, int stateSize, int obsDim, int measureDim)
    {
        Task = task;
        Count = count;
        EnvKeys = new PhiloxKey[count];
        PhysicsNumbers = new double[count * stateSize];
        Obs = new double[count * obsDim];
        Measured = new double[count * measureDim];
        ReturnSums = new double[count];
        ElapsedSteps = new int[count];
        EpisodeNumbers = new long[count];
    }

    /// <summary>Puts states together from the numbers that the properties below gave; they are copied.</summary>
    public EnvStates(
        string task,
        ReadOnlySpan<PhiloxKey> keys,
        ReadOnlySpan<double> physics,
        ReadOnlySpan<double> observations,
        ReadOnlySpan<double> measures,
        ReadOnlySpan<double> returns,
        ReadOnlySpan<int> elapsed,
        ReadOnlySpan<long> episodes)
    {
        Task = task;
        Count = keys.Length;
        EnvKeys = keys.ToArray();
        PhysicsNumbers = physics.ToArray();
        Obs = observations.ToArray();
        Measured = measures.ToArray();
        ReturnSums = returns.ToArray();
        ElapsedSteps = elapsed.ToArray();
        EpisodeNumbers = episodes.ToArray();
    }

    /// <summary>The task's name.</summary>
    public string Task { get; }

    /// <summary>How many environments.</summary>
    public int Count { get; }

    /// <summary>The environments' keys, [Count]: episode e's noise draws from Derive(key, e).</summary>
    public ReadOnlySpan<PhiloxKey> Keys => EnvKeys;

    /// <summary>The engine's states, [Count, StateSize]; of MuJoCo time, qpos, qvel, act, qacc_warmstart each.</summary>
    public ReadOnlySpan<double> Physics => PhysicsNumbers;

    /// <summary>The observations to act on, [Count, ObsDim].</summary>
    public ReadOnlySpan<double> Observations => Obs;

    /// <summary>What the tasks measured last, [Count, MeasureDim].</summary>
    public ReadOnlySpan<double> Measures => Measured;

    /// <summary>The sums of rewards of the running episodes, [Count].</summary>
    public ReadOnlySpan<double> Returns => ReturnSums;

    /// <summary>Steps of the running episodes, [Count].</summary>
    public ReadOnlySpan<int> Elapsed => ElapsedSteps;

    /// <summary>Numbers of the running episodes, from 0, [Count].</summary>
    public ReadOnlySpan<long> Episodes => EpisodeNumbers;

    /// <summary>Writes the observations as 32-bit floats, [Count, ObsDim].</summary>
    public void CopyObservations(Span<float> to)
    {
        if (to.Length != Obs.Length)
            throw new RefusedArgumentException(
                $"{Task}: the observations are {Obs.Length} numbers, the buffer holds {to.Length}.");
        for (var i = 0; i < to.Length; i++)
            to[i] = (float)Obs[i];
    }

    /// <summary>The states of <paramref name="count"/> environments from <paramref name="first"/> on, copied.</summary>
    public EnvStates Slice(int first, int count)
    {
        if (first < 0 || count < 1 || first + count > Count)
            throw new RefusedArgumentException(
                Invariant($"{Task}: environments {first} to {first + count - 1} are not among the {Count} there are."));
        return new EnvStates(
            Task,
            EnvKeys.AsSpan(first, count),
            Rows(PhysicsNumbers, first, count),
            Rows(Obs, first, count),
            Rows(Measured, first, count),
            ReturnSums.AsSpan(first, count),
            ElapsedSteps.AsSpan(first, count),
            EpisodeNumbers.AsSpan(first, count));
    }

    private ReadOnlySpan<double> Rows(double[] numbers, int first, int count)
    {
        var width = numbers.Length / Count;
        return numbers.AsSpan(first * width, count * width);
    }
}
