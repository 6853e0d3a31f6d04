using System;
using static System.FormattableString;

namespace Sdac.Kernels;

/// <summary>The scaled sinusoidal encoding of a diffusion timestep.</summary>
public static class TimeEncoding
{
    /// <summary>
    /// Row r of <paramref name="dest"/> [timesteps, dim] is (1/√dim)·[sin(t·f_i) | cos(t·f_i)] with t = timesteps[r]
    /// and f_i = 10000^(-i/(dim/2)), i = 0 .. dim/2 - 1, computed in double.
    /// </summary>
    /// <exception cref="ArgumentException">An odd <paramref name="dim"/> or a wrong length.</exception>
    public static void Encode(ReadOnlySpan<float> timesteps, int dim, Span<float> dest)
    {
        CheckDim(nameof(dim), dim);
        Check.Length(nameof(dest), dest.Length, (long)timesteps.Length * dim, "timesteps x dim");
        var half = dim / 2;
        var scale = 1 / Math.Sqrt(dim);
        for (var i = 0; i < half; i++)
        {
            var frequency = Math.Pow(10000, -(double)i / half);
            for (var row = 0; row < timesteps.Length; row++)
            {
                var (sin, cos) = Math.SinCos(timesteps[row] * frequency);
                dest[(row * dim) + i] = (float)(scale * sin);
                dest[(row * dim) + half + i] = (float)(scale * cos);
            }
        }
    }

    internal static void CheckDim(string name, int dim)
    {
        if (dim < 2 || dim % 2 != 0)
            throw new ArgumentException(
                Invariant($"{name} is {dim}, but a time encoding needs an even width of at least 2."), name);
    }
}
