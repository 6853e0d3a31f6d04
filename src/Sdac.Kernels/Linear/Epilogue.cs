using System.Runtime.CompilerServices;
using Sdac.Kernels.Simd;

namespace Sdac.Kernels.Linear;

/// <summary>What is done to a tile [rows, 32] of a panel while it is still in the first cache.</summary>
internal static unsafe class Epilogue<TSimd, V>
    where TSimd : struct, ISimd<V>
    where V : struct
{
    /// <summary>
    /// Applies an activation in place; its derivative goes to <paramref name="slope"/> unless that is null.
    /// </summary>
    public static void Activate(Activation activation, float* y, float* slope, int rows, int lanes)
    {
        switch (activation)
        {
            case Activation.Mish when slope == null:
                Mish(y, rows, lanes);
                break;
            case Activation.Mish:
                Mish(y, slope, rows, lanes);
                break;
            case Activation.Tanh:
                Tanh(y, slope, rows, lanes);
                break;
            case Activation.Relu:
                Relu(y, slope, rows, lanes);
                break;
            case Activation.Gelu when slope == null:
                Gelu(y, rows, lanes);
                break;
            case Activation.Gelu:
                Gelu(y, slope, rows, lanes);
                break;
            case Activation.Elu:
                Elu(y, slope, rows, lanes);
                break;
        }
    }

    /// <summary>y ← y ⊙ factor.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Scale(float* y, float* factor, int rows, int lanes)
    {
        for (var row = 0; row < rows; row++, y += Panel.Rows, factor += Panel.Rows)
        {
            for (var lane = 0; lane < lanes; lane += TSimd.Width)
                TSimd.Store(y + lane, TSimd.Mul(TSimd.Load(y + lane), TSimd.Load(factor + lane)));
        }
    }

    private static void Mish(float* y, int rows, int lanes)
    {
        var inRow = lanes / TSimd.Width;
        if (rows == 1 || lanes == Panel.Rows)
        {
            MishOf(y, rows * inRow, TSimd.Width);
        }
        else if (inRow == 1)
        {
            MishOf(y, rows, Panel.Rows);
        }
        else
        {
            for (var row = 0; row < rows; row++)
                MishOf(y + (row * Panel.Rows), inRow, TSimd.Width);
        }
    }

    /// <summary>So many vectors, a step apart.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void MishOf(float* y, int vectors, nint step)
    {
        for (; vectors >= 4; vectors -= 4)
        {
            var a = TSimd.Load(y);
            var b = TSimd.Load(y + step);
            var c = TSimd.Load(y + (2 * step));
            var d = TSimd.Load(y + (3 * step));
            Elementary<TSimd, V>.Mish(ref a, ref b, ref c, ref d);
            TSimd.Store(y, a);
            TSimd.Store(y + step, b);
            TSimd.Store(y + (2 * step), c);
            TSimd.Store(y + (3 * step), d);
            y += 4 * step;
        }

        for (; vectors > 0; vectors--, y += step)
            TSimd.Store(y, Elementary<TSimd, V>.Mish(TSimd.Load(y)));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Mish(float* y, float* slope, int rows, int lanes)
    {
        for (var row = 0; row < rows; row++, y += Panel.Rows, slope += Panel.Rows)
        {
            for (var lane = 0; lane < lanes; lane += TSimd.Width)
            {
                TSimd.Store(y + lane, Elementary<TSimd, V>.Mish(TSimd.Load(y + lane), out var derivative));
                TSimd.Store(slope + lane, derivative);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Gelu(float* y, int rows, int lanes)
    {
        for (var row = 0; row < rows; row++, y += Panel.Rows)
        {
            for (var lane = 0; lane < lanes; lane += TSimd.Width)
                TSimd.Store(y + lane, Elementary<TSimd, V>.Gelu(TSimd.Load(y + lane)));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Gelu(float* y, float* slope, int rows, int lanes)
    {
        for (var row = 0; row < rows; row++, y += Panel.Rows, slope += Panel.Rows)
        {
            for (var lane = 0; lane < lanes; lane += TSimd.Width)
            {
                TSimd.Store(y + lane, Elementary<TSimd, V>.Gelu(TSimd.Load(y + lane), out var derivative));
                TSimd.Store(slope + lane, derivative);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Elu(float* y, float* slope, int rows, int lanes)
    {
        for (var row = 0; row < rows; row++, y += Panel.Rows)
        {
            for (var lane = 0; lane < lanes; lane += TSimd.Width)
            {
                TSimd.Store(y + lane, Elementary<TSimd, V>.Elu(TSimd.Load(y + lane), out var derivative));
                if (slope != null)
                    TSimd.Store(slope + (row * Panel.Rows) + lane, derivative);
            }
        }
    }

    private static void Tanh(float* y, float* slope, int rows, int lanes)
    {
        for (var row = 0; row < rows; row++, y += Panel.Rows)
        {
            for (var lane = 0; lane < lanes; lane += TSimd.Width)
            {
                var value = Elementary<TSimd, V>.Tanh(TSimd.Load(y + lane));
                TSimd.Store(y + lane, value);
                if (slope == null)
                    continue;
                var square = TSimd.Mul(value, value);
                TSimd.Store(slope + (row * Panel.Rows) + lane, TSimd.Sub(TSimd.Splat(1f), square));
            }
        }
    }

    private static void Relu(float* y, float* slope, int rows, int lanes)
    {
        var zero = TSimd.Splat(0f);
        for (var row = 0; row < rows; row++, y += Panel.Rows)
        {
            for (var lane = 0; lane < lanes; lane += TSimd.Width)
            {
                var value = TSimd.Load(y + lane);
                TSimd.Store(y + lane, TSimd.Max(zero, value));
                if (slope != null)
                    TSimd.Store(
                        slope + (row * Panel.Rows) + lane, TSimd.And(TSimd.Greater(value, zero), TSimd.Splat(1f)));
            }
        }
    }
}
