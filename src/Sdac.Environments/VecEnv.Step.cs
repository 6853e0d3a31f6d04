using System;
using System.Diagnostics;
using Sdac.Kernels;
using static System.FormattableString;

namespace Sdac.Environments;

/// <content>One step of all environments.</content>
public sealed unsafe partial class VecEnv
{
    // With more environments the last step's length hardly matters.
    private const int MostSorted = 64;

    // The arguments of the step under way, for the blocks' threads.
    private EnvStates? from;
    private EnvStates? into;
    private StepResult? result;
    private float* nextObs32;
    private float* obs32;

    /// <summary>Steps every environment once; where an episode ends, the next one begins in the new states.</summary>
    /// <param name="states">Where the environments are; unchanged.</param>
    /// <param name="actions">
    /// [Count, ActionDim] in the task's units (widened to 64 bits as they are; the engine clamps, or not).
    /// </param>
    /// <exception cref="ArgumentException">
    /// Actions of the wrong length or not finite, states of another task.
    /// </exception>
    /// <exception cref="SimulationException">The simulation diverged and the option says stop.</exception>
    public (EnvStates Next, StepResult Result) Step(EnvStates states, ReadOnlySpan<float> actions)
    {
        var (next, outcome) = (NewStates(), NewResult());
        StepInto(states, actions, next, outcome);
        return (next, outcome);
    }

    /// <inheritdoc cref="Step(EnvStates, ReadOnlySpan{float})"/>
    public (EnvStates Next, StepResult Result) Step(EnvStates states, ReadOnlySpan<double> actions)
    {
        var (next, outcome) = (NewStates(), NewResult());
        StepInto(states, actions, next, outcome);
        return (next, outcome);
    }

    /// <summary>As Step, into buffers that the caller owns, without allocating.</summary>
    /// <param name="states">Where the environments are.</param>
    /// <param name="actions">[Count, ActionDim] in the task's units.</param>
    /// <param name="next">Becomes the new states; may be <paramref name="states"/> itself.</param>
    /// <param name="outcome">Becomes the result.</param>
    /// <param name="nextObs">
    /// Where to write the observations stepped to (final ones included) as floats, [Count, ObsDim]; or empty.
    /// </param>
    /// <param name="obs">Where to write the observations to act on next as floats, [Count, ObsDim]; or empty.</param>
    public void StepInto(
        EnvStates states,
        ReadOnlySpan<float> actions,
        EnvStates next,
        StepResult outcome,
        Span<float> nextObs = default,
        Span<float> obs = default)
    {
        ThrowIfDisposed();
        CheckLength(actions.Length);
        Enter();
        try
        {
            for (var i = 0; i < actions.Length; i++)
                controls[i] = actions[i];
            Run(states, next, outcome, nextObs, obs);
        }
        finally
        {
            Leave();
        }
    }

    /// <inheritdoc cref="StepInto(EnvStates, ReadOnlySpan{float}, EnvStates, StepResult, Span{float}, Span{float})"/>
    public void StepInto(
        EnvStates states,
        ReadOnlySpan<double> actions,
        EnvStates next,
        StepResult outcome,
        Span<float> nextObs = default,
        Span<float> obs = default)
    {
        ThrowIfDisposed();
        CheckLength(actions.Length);
        Enter();
        try
        {
            actions.CopyTo(controls);
            Run(states, next, outcome, nextObs, obs);
        }
        finally
        {
            Leave();
        }
    }

    private void Run(EnvStates states, EnvStates next, StepResult outcome, Span<float> nextObs, Span<float> obs)
    {
        CheckActions();
        CheckStates(states, nameof(states));
        CheckStates(next, nameof(next));
        CheckBuffers(outcome, nextObs, obs);
        states.EnvKeys.CopyTo(next.EnvKeys, 0);
        (from, into, result) = (states, next, outcome);
        try
        {
            fixed (float* final = nextObs, first = obs)
            {
                nextObs32 = final;
                obs32 = first;
                AddRooms();
                SortByCost();
                var work = new StepWork(this);
                Workers.For(Count, ref work, Math.Min(rooms.Length, Workers.Threads));
            }
        }
        finally
        {
            (from, into, result) = (null, null, null);
            nextObs32 = null;
            obs32 = null;
        }

        ThrowFirstComplaint(next, outcome);
    }

    // Whoever took longest last time goes first, so that no thread is left with a long step at the end. Which thread
    // steps an environment, and when, changes no result. Insertion, since the order hardly changes from step to step.
    private void SortByCost()
    {
        if (Count > MostSorted)
            return;
        for (var i = 1; i < Count; i++)
        {
            var environment = order[i];
            var place = i;
            for (; place > 0 && costs[order[place - 1]] < costs[environment]; place--)
                order[place] = order[place - 1];
            order[place] = environment;
        }
    }

    private void StepOne(Room room, int i)
    {
        var (source, target, outcome) = (from!, into!, result!);
        var finalObs = outcome.FinalObs.AsSpan(i * spec.ObsDim, spec.ObsDim);
        badStarts[i] = false;
        target.EpisodeNumbers[i] = source.EpisodeNumbers[i];
        target.ElapsedSteps[i] = source.ElapsedSteps[i] + 1;
        var complaint = AdvanceAt(room, i, finalObs);
        outcome.Complaints[i] = complaint;
        if (complaint is not null)
            Diverged(i, finalObs);
        target.ReturnSums[i] = source.ReturnSums[i] + outcome.RewardValues[i];
        if (nextObs32 != null)
            Numbers.Narrow(finalObs, nextObs32 + i * spec.ObsDim);
        if (outcome.TerminatedFlags[i] || outcome.TruncatedFlags[i])
        {
            outcome.EndedReturns[i] = target.ReturnSums[i];
            outcome.EndedLengths[i] = target.ElapsedSteps[i];
            if (complaint is null || divergence == Divergence.Reset)
            {
                target.EpisodeNumbers[i]++;
                if (Begin(room.Scratch, i, target) is { } badStart)
                {
                    outcome.Complaints[i] = badStart;
                    badStarts[i] = true;
                }
            }
        }
        else
        {
            outcome.EndedReturns[i] = double.NaN;
            outcome.EndedLengths[i] = 0;
            finalObs.CopyTo(ObsOf(target, i));
        }

        if (obs32 != null)
            Numbers.Narrow(ObsOf(target, i), obs32 + i * spec.ObsDim);
    }

    // What a task's own function throws is thrown on with its place.
    private string? AdvanceAt(Room room, int i, Span<double> obs)
    {
        try
        {
            return Advance(room, i, obs);
        }
        catch (TaskFunctionException failure) when (failure.Place is null)
        {
            throw failure.At(i, into!.ElapsedSteps[i]);
        }
    }

    // Physics, observation, reward, flags of one environment; returns null or what went wrong.
    private string? Advance(Room room, int i, Span<double> obs)
    {
        var (source, target, outcome) = (from!, into!, result!);
        var (scratch, after) = (room.Scratch, room.Measured);
        var action = controls.AsSpan(i * spec.ActionDim, spec.ActionDim);
        var complaint = scratch.Step(i, PhysicsOf(source, i), action, PhysicsOf(target, i));
        if (complaint is not null)
            return complaint;
        scratch.Measure(after);
        complaint = scratch.Observe(obs);
        var step = new Measurement(action, MeasuredOf(source, i), after);
        var reward = scratch.Reward(step, outcome.InfoValues.AsSpan(i * outcome.InfoDim, outcome.InfoDim));
        outcome.RewardValues[i] = reward;
        outcome.TerminatedFlags[i] = scratch.Terminated();
        outcome.TruncatedFlags[i] = target.ElapsedSteps[i] >= spec.MaxEpisodeSteps;
        after.CopyTo(MeasuredOf(target, i));
        return complaint ?? (double.IsFinite(reward) ? null : Invariant($"the reward is {reward}"));
    }

    private void Diverged(int i, Span<double> finalObs)
    {
        var outcome = result!;
        ObsOf(from!, i).CopyTo(finalObs);
        outcome.RewardValues[i] = 0;
        outcome.InfoValues.AsSpan(i * outcome.InfoDim, outcome.InfoDim).Clear();
        outcome.TerminatedFlags[i] = false;
        outcome.TruncatedFlags[i] = true;
    }

    private void ThrowFirstComplaint(EnvStates next, StepResult outcome)
    {
        for (var i = 0; i < Count; i++)
        {
            if (outcome.Complaints[i] is { } complaint && (divergence == Divergence.Stop || badStarts[i]))
                throw new SimulationException(spec.Task, i, next.ElapsedSteps[i], complaint);
        }
    }

    private void CheckLength(int length)
    {
        if (length != controls.Length)
            throw new RefusedArgumentException(
                $"{spec.Task}: {Count} environments need {Count} x {spec.ActionDim} action components, not {length}.");
    }

    private void CheckActions()
    {
        var i = Numbers.FirstNotFinite(controls);
        if (i >= 0)
            throw new ActionException(
                Invariant($"{spec.Task}: component {i % spec.ActionDim} of environment {i / spec.ActionDim}'s action is {controls[i]}; ")
                + "actions must be finite numbers.");
    }

    private void CheckBuffers(StepResult outcome, Span<float> nextObs, Span<float> obs)
    {
        if (outcome.FinalObs.Length != Count * spec.ObsDim || outcome.Count != Count
            || outcome.InfoDim != spec.InfoNames.Count)
            throw new RefusedArgumentException($"{spec.Task}: the result was not made by these environments' NewResult.");
        if ((nextObs.Length != 0 && nextObs.Length != Count * spec.ObsDim)
            || (obs.Length != 0 && obs.Length != Count * spec.ObsDim))
            throw new RefusedArgumentException(
                $"{spec.Task}: observation buffers must hold {Count} x {spec.ObsDim} numbers or none, "
                + $"not {nextObs.Length} and {obs.Length}.");
    }

    // An environment is a block: which thread steps it never matters, its results are its own.
    private readonly struct StepWork(VecEnv envs) : IBlockWork
    {
        public void Run(int block, int worker)
        {
            var environment = envs.order[block];
            if (envs.Count == 1)
            {
                // nothing to sort, and the clock would be a hundredth of a small task's step
                envs.StepOne(envs.rooms[worker], environment);
                return;
            }

            var began = Stopwatch.GetTimestamp();
            envs.StepOne(envs.rooms[worker], environment);
            envs.costs[environment] = Stopwatch.GetTimestamp() - began;
        }
    }
}
