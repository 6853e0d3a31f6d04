using System;
using Sdac.Environments;
using Sdac.Kernels;
using static System.FormattableString;

namespace Sdac.Mujoco;

/// <summary>
/// The usual noises of initial states. Positions and velocities draw from two streams of the episode's key.
/// </summary>
public static class StartNoise
{
    private const int LargestOnStack = 1024;

    private const int MostAttempts = 1_000_000;

    /// <summary>Every qpos and qvel + U(-scale, scale).</summary>
    /// <exception cref="ArgumentException">A scale that is not finite.</exception>
    public static StartFunction Uniform(double scale)
    {
        CheckScale(scale);
        return (key, qpos, qvel) =>
        {
            AddUniform(Positions(key), scale, qpos);
            AddUniform(Velocities(key), scale, qvel);
        };
    }

    /// <summary>Every qpos + U(-scale, scale), every qvel + scale·N(0, 1).</summary>
    /// <exception cref="ArgumentException">A scale that is not finite.</exception>
    public static StartFunction UniformAndNormal(double scale)
    {
        CheckScale(scale);
        return (key, qpos, qvel) =>
        {
            AddUniform(Positions(key), scale, qpos);
            AddNormal(Velocities(key), scale, qvel);
        };
    }

    /// <summary>The stream for positions.</summary>
    public static PhiloxKey Positions(PhiloxKey key) => Philox.Derive(key, 0);

    /// <summary>The stream for velocities.</summary>
    public static PhiloxKey Velocities(PhiloxKey key) => Philox.Derive(key, 1);

    /// <summary>Adds U(-scale, scale) to each number.</summary>
    public static void AddUniform(PhiloxKey key, double scale, Span<double> numbers)
    {
        var noise = numbers.Length <= LargestOnStack ? stackalloc double[numbers.Length] : new double[numbers.Length];
        Philox.Uniform(key, 0, noise);
        for (var i = 0; i < numbers.Length; i++)
            numbers[i] += (2 * noise[i] - 1) * scale;
    }

    /// <summary>Adds scale·N(0, 1) to each number.</summary>
    public static void AddNormal(PhiloxKey key, double scale, Span<double> numbers)
    {
        var noise = numbers.Length <= LargestOnStack ? stackalloc double[numbers.Length] : new double[numbers.Length];
        Philox.Normal(key, 0, noise);
        for (var i = 0; i < numbers.Length; i++)
            numbers[i] += noise[i] * scale;
    }

    /// <summary>Draws points uniformly from a rectangle, on a stream of their own, until one is accepted.</summary>
    /// <param name="key">The episode's key.</param>
    /// <param name="xLow">Least first coordinate.</param>
    /// <param name="xHigh">Bound of the first coordinate.</param>
    /// <param name="yLow">Least second coordinate.</param>
    /// <param name="yHigh">Bound of the second coordinate.</param>
    /// <param name="accept">Which points to take.</param>
    /// <param name="point">Becomes the point, [2].</param>
    /// <exception cref="ArgumentException">Bounds that are no rectangle, or a point of another size.</exception>
    /// <exception cref="InvalidOperationException">No point was accepted in a million attempts.</exception>
    public static void DrawUntil(
        PhiloxKey key, double xLow, double xHigh, double yLow, double yHigh, AcceptFunction accept, Span<double> point)
    {
        if (!(double.IsFinite(xLow) && double.IsFinite(yLow) && xLow <= xHigh && yLow <= yHigh
            && double.IsFinite(xHigh) && double.IsFinite(yHigh)) || point.Length != 2)
            throw new RefusedArgumentException(
                "DrawUntil wants finite bounds low <= high and a point of 2 numbers, "
                + Invariant($"not [{xLow}, {xHigh}] x [{yLow}, {yHigh}] and {point.Length}."));
        var places = Philox.Derive(key, 2);
        for (long attempt = 0; attempt < MostAttempts; attempt++)
        {
            Philox.Uniform(places, 2 * attempt, point);
            point[0] = xLow + (xHigh - xLow) * point[0];
            point[1] = yLow + (yHigh - yLow) * point[1];
            if (accept(point))
                return;
        }

        throw new RefusedOperationException(
            Invariant($"None of {MostAttempts} points in [{xLow}, {xHigh}] x [{yLow}, {yHigh}] was accepted: ")
            + "widen the rectangle or the rule.");
    }

    private static void CheckScale(double scale)
    {
        if (!double.IsFinite(scale))
            throw new RefusedArgumentException(
                Invariant($"The scale of the start's noise is {scale}, but must be a finite number."));
    }
}
