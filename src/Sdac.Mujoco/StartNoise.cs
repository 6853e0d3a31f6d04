using System;
using Sdac.Kernels;

namespace Sdac.Mujoco;

/// <summary>
/// The usual noises of initial states. Positions and velocities draw from two streams of the episode's key.
/// </summary>
public static class StartNoise
{
    /// <summary>Every qpos and qvel + U(-scale, scale).</summary>
    public static StartFunction Uniform(double scale) =>
        (key, qpos, qvel) =>
        {
            AddUniform(Positions(key), scale, qpos);
            AddUniform(Velocities(key), scale, qvel);
        };

    /// <summary>Every qpos + U(-scale, scale), every qvel + scale·N(0, 1).</summary>
    public static StartFunction UniformAndNormal(double scale) =>
        (key, qpos, qvel) =>
        {
            AddUniform(Positions(key), scale, qpos);
            AddNormal(Velocities(key), scale, qvel);
        };

    /// <summary>The stream for positions.</summary>
    public static PhiloxKey Positions(PhiloxKey key) => Philox.Derive(key, 0);

    /// <summary>The stream for velocities.</summary>
    public static PhiloxKey Velocities(PhiloxKey key) => Philox.Derive(key, 1);

    /// <summary>Adds U(-scale, scale) to each number.</summary>
    public static void AddUniform(PhiloxKey key, double scale, Span<double> numbers)
    {
        Span<double> noise = stackalloc double[numbers.Length];
        Philox.Uniform(key, 0, noise);
        for (var i = 0; i < numbers.Length; i++)
            numbers[i] += (2 * noise[i] - 1) * scale;
    }

    /// <summary>Adds scale·N(0, 1) to each number.</summary>
    public static void AddNormal(PhiloxKey key, double scale, Span<double> numbers)
    {
        Span<double> noise = stackalloc double[numbers.Length];
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
    public static void DrawUntil(
        PhiloxKey key, double xLow, double xHigh, double yLow, double yHigh, AcceptFunction accept, Span<double> point)
    {
        var places = Philox.Derive(key, 2);
        for (long attempt = 0; ; attempt++)
        {
            Philox.Uniform(places, 2 * attempt, point);
            point[0] = xLow + (xHigh - xLow) * point[0];
            point[1] = yLow + (yHigh - yLow) * point[1];
            if (accept(point))
                return;
        }
    }
}
