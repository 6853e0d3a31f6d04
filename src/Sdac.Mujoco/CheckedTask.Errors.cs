using System;
using System.Runtime.InteropServices;
using Sdac.Environments;
using Sdac.Kernels;

namespace Sdac.Mujoco;

/// <content>The sentences about a task's functions.</content>
internal sealed partial class CheckedTask
{
    private const int LargestProbe = 1 << 20;
    private const int StartProbe = 1 << 16;
    private const string ObsSetting = "ObsDim";
    private const string MeasureSetting = "MeasureDim";
    private const string InfoSetting = "the number of InfoNames";

    // One past the last entry that was written.
    private static int Written(ReadOnlySpan<double> numbers) =>
        MemoryMarshal.Cast<double, long>(numbers).LastIndexOfAnyExcept(Unwritten) + 1;

    private void CheckWritten(string function, string setting, ReadOnlySpan<double> numbers)
    {
        var missing = MemoryMarshal.Cast<double, long>(numbers).IndexOf(Unwritten);
        if (missing >= 0)
            throw TooFew(function, setting, numbers, missing);
    }

    private RefusedArgumentException TooFew(string function, string setting, ReadOnlySpan<double> numbers, int missing)
    {
        var declared = numbers.Length;
        var written = declared - MemoryMarshal.Cast<double, long>(numbers).Count(Unwritten);
        var fix = missing == written && written > 0 ? $"write all {declared}, or set {setting} to {written}"
            : $"write all {declared} at every call";
        return new RefusedArgumentException(
            $"{Name}: {function} writes {written} numbers, but {setting} is {declared} "
            + $"(entry {missing} is not written): {fix}.");
    }

    private RefusedArgumentException TooMany(string function, string setting, int written, int declared, Exception cause) =>
        new(
            $"{Name}: {function} writes {written} numbers, but {setting} is {declared}: "
            + $"write {declared}, or set {setting} to {written}.",
            cause);

    private RefusedArgumentException StartTooMany(string array, int written, int length, Exception cause) =>
        new($"{Name}: Start writes {written} numbers of {array}, but the model has {length}: write {length}.", cause);

    private TaskFunctionException Failed(string function, Exception cause, string sizes = "") =>
        new(
            $"{Name}: {function} failed with {cause.GetType().Name}: {cause.Message.ReplaceLineEndings(" ")}{sizes}",
            cause);

    private string SizesOf(StepView step) =>
        $" (the step's action has {step.Action.Length} numbers, its Before and After have {MeasureDim} by MeasureDim)";

    // A function that fails at the end of its target, and does not with a longer one, writes too much: how much?
    private Exception Failed(
        string function, string setting, Exception cause, int declared, StepView view, Writer write)
    {
        if (cause is IndexOutOfRangeException or ArgumentException)
        {
            for (var length = declared + 64L; length <= LargestProbe; length *= 4)
            {
                var room = new double[length];
                room.AsSpan().Fill(UnwrittenNumber);
                try
                {
                    write(view, room);
                }
                catch (Exception again) when (again is IndexOutOfRangeException or ArgumentException)
                {
                    continue;
                }
                catch (Exception other) when (other is not OutOfMemoryException)
                {
                    break;
                }

                var written = Written(room);
                if (written > declared)
                    return TooMany(function, setting, written, declared, cause);
                break;
            }

            if (function == "Reward")
                return Failed(function, cause, SizesOf(view));
        }

        return Failed(function, cause);
    }

    private Exception StartFailed(PhiloxKey key, ReadOnlySpan<double> qpos0, int nv, Exception cause)
    {
        if (cause is IndexOutOfRangeException or ArgumentException)
        {
            var (qpos, qvel) = (new double[qpos0.Length + StartProbe], new double[nv + StartProbe]);
            qpos.AsSpan().Fill(UnwrittenNumber);
            qvel.AsSpan().Fill(UnwrittenNumber);
            qpos0.CopyTo(qpos);
            qvel.AsSpan(0, nv).Clear();
            try
            {
                task.Start(key, qpos, qvel);
            }
            catch (Exception again) when (again is not OutOfMemoryException)
            {
                return Failed("Start", cause);
            }

            if (Written(qpos) > qpos0.Length)
                return StartTooMany("qpos", Written(qpos), qpos0.Length, cause);
            if (Written(qvel) > nv)
                return StartTooMany("qvel", Written(qvel), nv, cause);
        }

        return Failed("Start", cause);
    }
}
