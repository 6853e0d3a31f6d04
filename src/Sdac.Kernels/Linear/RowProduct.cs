using Sdac.Kernels.Simd;

namespace Sdac.Kernels.Linear;

/// <summary>
/// One row times a matrix, straight from unpacked weights: for the few rows that do not fill a panel.
/// </summary>
internal static unsafe class RowProduct<TSimd, V>
    where TSimd : struct, ISimd<V>
    where V : struct
{
    /// <summary>y[j] = start[j] + Σ_k x[k]·w[k, j], w row-major [inputs, outputs]; a null start means zeros.</summary>
    public static void Run(float* x, int inputs, float* w, int outputs, float* start, float* y)
    {
        var j = 0;
        for (; j + (4 * TSimd.Width) <= outputs; j += 4 * TSimd.Width)
            Four(x, inputs, w + j, outputs, start == null ? null : start + j, y + j);
        for (; j + TSimd.Width <= outputs; j += TSimd.Width)
            One(x, inputs, w + j, outputs, start == null ? null : start + j, y + j);
        for (; j < outputs; j++)
            RowProduct<SimdScalar, float>.One(x, inputs, w + j, outputs, start == null ? null : start + j, y + j);
    }

    private static void Four(float* x, int inputs, float* w, nint stride, float* start, float* y)
    {
        var y0 = Start(start, 0);
        var y1 = Start(start, 1);
        var y2 = Start(start, 2);
        var y3 = Start(start, 3);
        for (var k = 0; k < inputs; k++, w += stride)
        {
            var factor = TSimd.Splat(x[k]);
            y0 = TSimd.Fma(factor, TSimd.Load(w), y0);
            y1 = TSimd.Fma(factor, TSimd.Load(w + TSimd.Width), y1);
            y2 = TSimd.Fma(factor, TSimd.Load(w + (2 * TSimd.Width)), y2);
            y3 = TSimd.Fma(factor, TSimd.Load(w + (3 * TSimd.Width)), y3);
        }

        TSimd.Store(y, y0);
        TSimd.Store(y + TSimd.Width, y1);
        TSimd.Store(y + (2 * TSimd.Width), y2);
        TSimd.Store(y + (3 * TSimd.Width), y3);
    }

    private static void One(float* x, int inputs, float* w, nint stride, float* start, float* y)
    {
        var sum = Start(start, 0);
        for (var k = 0; k < inputs; k++, w += stride)
            sum = TSimd.Fma(TSimd.Splat(x[k]), TSimd.Load(w), sum);
        TSimd.Store(y, sum);
    }

    private static V Start(float* start, int vector) =>
        start == null ? TSimd.Splat(0f) : TSimd.Load(start + (vector * TSimd.Width));
}
