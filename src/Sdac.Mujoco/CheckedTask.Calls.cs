using System;
using Sdac.Environments;
using Sdac.Kernels;
using static System.FormattableString;

namespace Sdac.Mujoco;

/// <content>The calls of a task's functions.</content>
/// <remarks>
/// Before a function writes, its target is filled with one NaN that no arithmetic makes: what still holds it afterwards
/// was not written, and would have kept an older number.
/// </remarks>
internal sealed partial class CheckedTask
{
    private const long Unwritten = 0x7FFC_5DAC_0BAD_F00D;

    private static readonly double UnwrittenNumber = BitConverter.Int64BitsToDouble(Unwritten);

    private delegate void Writer(StepView view, Span<double> to);

    /// <summary>Writes the observation; returns null or which entry is not finite.</summary>
    public string? Observe(Physics physics, Span<double> obs)
    {
        obs.Fill(UnwrittenNumber);
        try
        {
            task.Observe(physics, obs);
        }
        catch (Exception cause) when (cause is not OutOfMemoryException)
        {
            throw Failed(
                "Observe", ObsSetting, cause, obs.Length, View(physics), (view, to) => task.Observe(view.Physics, to));
        }

        var complaint = NotFinite("the observation", obs);
        if (complaint is not null)
            CheckWritten("Observe", ObsSetting, obs);
        return complaint;
    }

    /// <summary>Writes what the task measures.</summary>
    public void Measure(Physics physics, Span<double> measured)
    {
        measured.Fill(UnwrittenNumber);
        try
        {
            task.Measure(physics, measured);
        }
        catch (Exception cause) when (cause is not OutOfMemoryException)
        {
            throw Failed(
                "Measure",
                MeasureSetting,
                cause,
                measured.Length,
                View(physics),
                (view, to) => task.Measure(view.Physics, to));
        }

        CheckWritten("Measure", MeasureSetting, measured);
    }

    /// <summary>The reward, and its components into info.</summary>
    public double Reward(StepView step, Span<double> info)
    {
        double reward;
        info.Fill(UnwrittenNumber);
        try
        {
            reward = task.Reward(step, info);
        }
        catch (Exception cause) when (cause is not OutOfMemoryException)
        {
            throw Failed("Reward", InfoSetting, cause, info.Length, step, (view, to) => task.Reward(view, to));
        }

        CheckWritten("Reward", InfoSetting, info);
        return reward;
    }

    /// <summary>Whether the task's rule ends the episode.</summary>
    public bool Terminated(Physics physics)
    {
        try
        {
            return task.Terminated(physics);
        }
        catch (Exception cause) when (cause is not OutOfMemoryException)
        {
            throw Failed("Terminated", cause);
        }
    }

    /// <summary>Adds the start's noise; returns null or which number of the start is not finite.</summary>
    public string? Start(PhiloxKey key, ReadOnlySpan<double> qpos0, Span<double> qpos, Span<double> qvel)
    {
        qpos0.CopyTo(qpos);
        qvel.Clear();
        try
        {
            task.Start(key, qpos, qvel);
        }
        catch (Exception cause) when (cause is not OutOfMemoryException)
        {
            throw StartFailed(key, qpos0, qvel.Length, cause);
        }

        return NotFinite("the qpos that Start gives", qpos) ?? NotFinite("the qvel that Start gives", qvel);
    }

    /// <summary>Which number is NaN or infinite, or null.</summary>
    private static string? NotFinite(string what, ReadOnlySpan<double> numbers)
    {
        var i = Numbers.FirstNotFinite(numbers);
        return i < 0 ? null : Invariant($"entry {i} of {what} is {numbers[i]}");
    }

    private static StepView View(Physics physics) => new(physics, default, default, default, 0);
}
