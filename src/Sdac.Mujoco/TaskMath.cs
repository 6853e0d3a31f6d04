using System;

namespace Sdac.Mujoco;

/// <summary>Small sums that several tasks' rewards share.</summary>
internal static class TaskMath
{
    /// <summary>
    /// Sum of squares, added in the order of the published environments (numpy's: in turn below 8 numbers, else in 8
    /// lanes): rewards then agree to the last bit, also where their terms nearly cancel.
    /// </summary>
    public static double SumOfSquares(ReadOnlySpan<double> numbers)
    {
        var sum = 0.0;
        var whole = 0;
        if (numbers.Length >= 8)
        {
            Span<double> lanes = stackalloc double[8];
            lanes.Clear();
            for (; whole + 8 <= numbers.Length; whole += 8)
            {
                for (var lane = 0; lane < 8; lane++)
                    lanes[lane] += numbers[whole + lane] * numbers[whole + lane];
            }

            sum = ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
        }

        foreach (var number in numbers[whole..])
            sum += number * number;
        return sum;
    }

    /// <summary>Copies with each number clipped to [-limit, limit].</summary>
    public static void CopyClipped(ReadOnlySpan<double> from, double limit, Span<double> to)
    {
        for (var i = 0; i < from.Length; i++)
            to[i] = Math.Clamp(from[i], -limit, limit);
    }

    /// <summary>Copies qpos from its <paramref name="skip"/>th entry, then qvel; returns what is left of obs.</summary>
    public static Span<double> CopyState(Physics physics, int skip, Span<double> obs)
    {
        var qpos = physics.Qpos[skip..];
        qpos.CopyTo(obs);
        physics.Qvel.CopyTo(obs[qpos.Length..]);
        return obs[(qpos.Length + physics.Qvel.Length)..];
    }

    /// <summary>Whether no number is NaN or infinite.</summary>
    public static bool AllFinite(ReadOnlySpan<double> numbers)
    {
        foreach (var number in numbers)
        {
            if (!double.IsFinite(number))
                return false;
        }

        return true;
    }

    /// <summary>Names of what <see cref="Travel"/> writes.</summary>
    public static readonly string[] TravelNames =
        ["x_position", "y_position", "distance_from_origin", "x_velocity", "y_velocity", "forward_reward"];

    /// <summary>The reward of moving along x, where the task measures its x and y.</summary>
    public static double Travel(StepView step, double weight, Span<double> info)
    {
        var xVelocity = (step.After[0] - step.Before[0]) / step.Dt;
        info[0] = step.After[0];
        info[1] = step.After[1];
        info[2] = Norm(step.After);
        info[3] = xVelocity;
        info[4] = (step.After[1] - step.Before[1]) / step.Dt;
        info[5] = weight * xVelocity;
        return info[5];
    }

    /// <summary>Euclidean length.</summary>
    public static double Norm(ReadOnlySpan<double> vector)
    {
        var sum = 0.0;
        foreach (var number in vector)
            sum = Math.FusedMultiplyAdd(number, number, sum);
        return Math.Sqrt(sum);
    }

    /// <summary>Position of one body minus that of another, [3].</summary>
    public static void Subtract(Physics physics, int body, int other, Span<double> to)
    {
        var a = physics.BodyPosition(body);
        var b = physics.BodyPosition(other);
        for (var i = 0; i < 3; i++)
            to[i] = a[i] - b[i];
    }

    /// <summary>A vector in a body's frame: (v·rotation)_j = Σ_i v_i·rotation_ij, [3].</summary>
    public static void IntoFrame(ReadOnlySpan<double> vector, ReadOnlySpan<double> rotation, Span<double> to)
    {
        for (var j = 0; j < 3; j++)
            to[j] = vector[0] * rotation[j] + vector[1] * rotation[3 + j] + vector[2] * rotation[6 + j];
    }

    /// <summary>Copies, and returns what is left of the target.</summary>
    public static Span<double> Append(ReadOnlySpan<double> numbers, Span<double> to)
    {
        numbers.CopyTo(to);
        return to[numbers.Length..];
    }
}
