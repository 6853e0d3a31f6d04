using System.Runtime.CompilerServices;
using Sdac.Kernels.Simd;

namespace Sdac.Kernels.Linear;

/// <summary>
/// Layer norm on a panel: each lane is a row, so all sums run over columns inside a lane. A sum is four sums over every
/// fourth column, added up pairwise, on every path alike.
/// </summary>
internal static unsafe class LayerNorm<TSimd, V>
    where TSimd : struct, ISimd<V>
    where V : struct
{
    /// <summary>z ← g ⊙ x̂ + c in place; x̂ and 1/√(var z + ε) are kept where the norm has room for them.</summary>
    /// <param name="norm">The norm.</param>
    /// <param name="z">Panel [columns, 32].</param>
    /// <param name="columns">Columns of z.</param>
    /// <param name="lanes">16 or 32 lanes, from the pointers on.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Forward(in Norm norm, float* z, int columns, int lanes)
    {
        var one = TSimd.Splat(1f);
        var count = TSimd.Splat(columns);
        for (var lane = 0; lane < lanes; lane += TSimd.Width)
        {
            var mean = TSimd.Div(Sum(z + lane, columns), count);
            var variance = TSimd.Div(Squares(z + lane, columns, mean), count);
            var inverse = TSimd.Div(one, TSimd.Sqrt(TSimd.Add(variance, TSimd.Splat(norm.Epsilon))));
            if (norm.Inverse != null)
                TSimd.Store(norm.Inverse + lane, inverse);
            for (var column = 0; column < columns; column++)
            {
                var at = (column * Panel.Rows) + lane;
                var normalised = TSimd.Mul(TSimd.Sub(TSimd.Load(z + at), mean), inverse);
                if (norm.Normalised != null)
                    TSimd.Store(norm.Normalised + at, normalised);
                var gain = TSimd.Splat(norm.Weight[column]);
                TSimd.Store(z + at, TSimd.Fma(gain, normalised, TSimd.Splat(norm.Bias[column])));
            }
        }
    }

    /// <summary>
    /// From the gradient at the norm's output to that at its input, in place: with d = g ⊙ dz,
    /// dz ← (d - mean d - x̂·mean(d ⊙ x̂))/√(var z + ε).
    /// </summary>
    /// <param name="norm">The norm, with what the forward pass kept.</param>
    /// <param name="dz">Panel [columns, 32].</param>
    /// <param name="columns">Columns of dz.</param>
    /// <param name="lanes">16 or 32 lanes, from the pointers on.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Backward(in Norm norm, float* dz, int columns, int lanes)
    {
        var count = TSimd.Splat(columns);
        for (var lane = 0; lane < lanes; lane += TSimd.Width)
        {
            for (var column = 0; column < columns; column++)
            {
                var at = dz + (column * Panel.Rows) + lane;
                TSimd.Store(at, TSimd.Mul(TSimd.Load(at), TSimd.Splat(norm.Weight[column])));
            }

            var mean = TSimd.Div(Sum(dz + lane, columns), count);
            var along = TSimd.Div(Products(dz + lane, norm.Normalised + lane, columns), count);
            var minusAlong = TSimd.Sub(TSimd.Splat(0f), along);
            var inverse = TSimd.Load(norm.Inverse + lane);
            for (var column = 0; column < columns; column++)
            {
                var at = (column * Panel.Rows) + lane;
                var centred = TSimd.Sub(TSimd.Load(dz + at), mean);
                var left = TSimd.Fma(TSimd.Load(norm.Normalised + at), minusAlong, centred);
                TSimd.Store(dz + at, TSimd.Mul(left, inverse));
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V Sum(float* x, int columns)
    {
        V a, b, c, d;
        a = b = c = d = TSimd.Splat(0f);
        var column = 0;
        for (; column + 4 <= columns; column += 4, x += 4 * Panel.Rows)
        {
            a = TSimd.Add(a, TSimd.Load(x));
            b = TSimd.Add(b, TSimd.Load(x + Panel.Rows));
            c = TSimd.Add(c, TSimd.Load(x + (2 * Panel.Rows)));
            d = TSimd.Add(d, TSimd.Load(x + (3 * Panel.Rows)));
        }

        for (; column < columns; column++, x += Panel.Rows)
            a = TSimd.Add(a, TSimd.Load(x));
        return TSimd.Add(TSimd.Add(a, b), TSimd.Add(c, d));
    }

    /// <summary>Σ (x - mean)².</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V Squares(float* x, int columns, V mean)
    {
        V a, b, c, d;
        a = b = c = d = TSimd.Splat(0f);
        var column = 0;
        for (; column + 4 <= columns; column += 4, x += 4 * Panel.Rows)
        {
            a = Square(x, mean, a);
            b = Square(x + Panel.Rows, mean, b);
            c = Square(x + (2 * Panel.Rows), mean, c);
            d = Square(x + (3 * Panel.Rows), mean, d);
        }

        for (; column < columns; column++, x += Panel.Rows)
            a = Square(x, mean, a);
        return TSimd.Add(TSimd.Add(a, b), TSimd.Add(c, d));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V Square(float* x, V mean, V sum)
    {
        var centred = TSimd.Sub(TSimd.Load(x), mean);
        return TSimd.Fma(centred, centred, sum);
    }

    /// <summary>Σ x·y.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V Products(float* x, float* y, int columns)
    {
        V a, b, c, d;
        a = b = c = d = TSimd.Splat(0f);
        var column = 0;
        for (; column + 4 <= columns; column += 4, x += 4 * Panel.Rows, y += 4 * Panel.Rows)
        {
            a = TSimd.Fma(TSimd.Load(x), TSimd.Load(y), a);
            b = TSimd.Fma(TSimd.Load(x + Panel.Rows), TSimd.Load(y + Panel.Rows), b);
            c = TSimd.Fma(TSimd.Load(x + (2 * Panel.Rows)), TSimd.Load(y + (2 * Panel.Rows)), c);
            d = TSimd.Fma(TSimd.Load(x + (3 * Panel.Rows)), TSimd.Load(y + (3 * Panel.Rows)), d);
        }

        for (; column < columns; column++, x += Panel.Rows, y += Panel.Rows)
            a = TSimd.Fma(TSimd.Load(x), TSimd.Load(y), a);
        return TSimd.Add(TSimd.Add(a, b), TSimd.Add(c, d));
    }
}
