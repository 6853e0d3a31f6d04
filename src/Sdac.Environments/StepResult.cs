using System;

namespace Sdac.Environments;

/// <summary>What one step of N environments gave, beside their new states.</summary>
public sealed class StepResult
{
    internal readonly double[] FinalObs;
    internal readonly double[] RewardValues;
    internal readonly double[] InfoValues;
    internal readonly bool[] TerminatedFlags;
    internal readonly bool[] TruncatedFlags;
    internal readonly double[] EndedReturns;
    internal readonly int[] EndedLengths;
    internal readonly string?[] Complaints;

    internal StepResult(int count, int obsDim, int infoDim)
    {
        Count = count;
        InfoDim = infoDim;
        FinalObs = new double[count * obsDim];
        RewardValues = new double[count];
        InfoValues = new double[count * infoDim];
        TerminatedFlags = new bool[count];
        TruncatedFlags = new bool[count];
        EndedReturns = new double[count];
        EndedLengths = new int[count];
        Complaints = new string?[count];
    }

    /// <summary>How many environments.</summary>
    public int Count { get; }

    /// <summary>How many info figures each has.</summary>
    public int InfoDim { get; }

    /// <summary>
    /// The observations that the step led to, [Count, ObsDim]: where an episode ended its last one, not the next one's
    /// first (that one is in the new states).
    /// </summary>
    public ReadOnlySpan<double> NextObs => FinalObs;

    /// <summary>Rewards, unscaled, [Count].</summary>
    public ReadOnlySpan<double> Rewards => RewardValues;

    /// <summary>Whether the task's rule ended the episode, [Count].</summary>
    public ReadOnlySpan<bool> Terminated => TerminatedFlags;

    /// <summary>Whether the time limit ended the episode, [Count]; both may be true at once.</summary>
    public ReadOnlySpan<bool> Truncated => TruncatedFlags;

    /// <summary>The info figures, [Count, InfoDim], in the order of the spec's InfoNames.</summary>
    public ReadOnlySpan<double> Info => InfoValues;

    /// <summary>The returns of episodes that ended with this step, NaN elsewhere, [Count].</summary>
    public ReadOnlySpan<double> EpisodeReturns => EndedReturns;

    /// <summary>The lengths of episodes that ended with this step, 0 elsewhere, [Count].</summary>
    public ReadOnlySpan<int> EpisodeLengths => EndedLengths;

    /// <summary>Why an environment was reset in spite of a diverged simulation, null elsewhere, [Count].</summary>
    public ReadOnlySpan<string?> Warnings => Complaints;
}
