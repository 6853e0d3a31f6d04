using System.Runtime.CompilerServices;
using Sdac.Kernels.Simd;

namespace Sdac.Kernels.Linear;

/// <summary>
/// Few rows times packed weights: the inner loop for batches of a panel or less. Rows lie one behind the other,
/// <see cref="Strip.Stride"/> floats apart, and lanes are outputs, so that a row's number is spread over a vector of weights
/// where <see cref="Tile{TSimd, V}"/> spreads a weight over a vector of rows. A tile then needs 11 loads for 24
/// multiply-adds with eight rows, where the other needs 13 for 12 with sixteen. Sums run in the same order: the same bits.
/// </summary>
internal static unsafe class Strip<TSimd, V>
    where TSimd : struct, ISimd<V>
    where V : struct
{
    /// <summary>y = activation(start + x·W) for some strips of rows, each band of weights for all of them.</summary>
    /// <param name="layer">The layer's packed weights.</param>
    /// <param name="start">One number per padded output, which all rows begin with.</param>
    /// <param name="rows">A multiple of <see cref="Strip.Rows"/>.</param>
    /// <param name="x">Rows of inputs.</param>
    /// <param name="y">Rows of padded outputs; not x.</param>
    public static void Forward(in StripLayer layer, float* start, int rows, float* x, float* y)
    {
        int width;
        for (var first = 0; first < layer.Padded; first += width)
        {
            width = layer.BandWidth(first);
            var band = layer.Weights + ((nint)first * layer.Inputs);
            for (var row = 0; row < rows; row += TSimd.StripRows)
                Band(layer.Inputs, width, band, start + first, x + (row * Strip.Stride), y + (row * Strip.Stride) + first);
        }

        for (var row = 0; row < rows; row++)
            Epilogue<TSimd, V>.Activate(layer.Activation, y + (row * Strip.Stride), null, 1, layer.Padded);
    }

    private static void Band(int depth, int width, float* w, float* start, float* x, float* y)
    {
        var lane = 0;
        for (; lane + (3 * TSimd.Width) <= width && TSimd.StripRows == 8; lane += 3 * TSimd.Width)
            Multiply<Count.Eight, Count.Three>(depth, x, w + lane, width, start + lane, y + lane);
        for (; lane + (2 * TSimd.Width) <= width; lane += 2 * TSimd.Width)
        {
            if (TSimd.StripRows == 8)
                Multiply<Count.Eight, Count.Two>(depth, x, w + lane, width, start + lane, y + lane);
            else
                Multiply<Count.Four, Count.Two>(depth, x, w + lane, width, start + lane, y + lane);
        }

        for (; lane < width; lane += TSimd.Width)
        {
            if (TSimd.StripRows == 8)
                Multiply<Count.Eight, Count.One>(depth, x, w + lane, width, start + lane, y + lane);
            else
                Multiply<Count.Four, Count.One>(depth, x, w + lane, width, start + lane, y + lane);
        }
    }

    // Row r accumulates its vectors of lanes in a_r, b_r and c_r. Every accumulator is a local of its own, written out,
    // because only then does it stay in a register; what the type arguments leave out vanishes.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Multiply<TRows, TVectors>(int depth, float* x, float* w, nint step, float* start, float* y)
        where TRows : struct, ICount
        where TVectors : struct, ICount
    {
        V a0, a1, a2, a3, a4, a5, a6, a7;
        V b0, b1, b2, b3, b4, b5, b6, b7;
        V c0, c1, c2, c3, c4, c5, c6, c7;
        a0 = TSimd.Load(start);
        b0 = TVectors.Value > 1 ? TSimd.Load(start + TSimd.Width) : a0;
        c0 = TVectors.Value > 2 ? TSimd.Load(start + (2 * TSimd.Width)) : a0;
        a1 = a2 = a3 = a4 = a5 = a6 = a7 = a0;
        b1 = b2 = b3 = b4 = b5 = b6 = b7 = b0;
        c1 = c2 = c3 = c4 = c5 = c6 = c7 = c0;
        for (var k = 0; k < depth; k++)
        {
            var w0 = TSimd.Load(w);
            var w1 = TVectors.Value > 1 ? TSimd.Load(w + TSimd.Width) : w0;
            var w2 = TVectors.Value > 2 ? TSimd.Load(w + (2 * TSimd.Width)) : w0;
            V s;
            s = TSimd.Splat(x[0]);
            a0 = TSimd.Fma(w0, s, a0);
            if (TVectors.Value > 1)
                b0 = TSimd.Fma(w1, s, b0);
            if (TVectors.Value > 2)
                c0 = TSimd.Fma(w2, s, c0);
            s = TSimd.Splat(x[Strip.Stride]);
            a1 = TSimd.Fma(w0, s, a1);
            if (TVectors.Value > 1)
                b1 = TSimd.Fma(w1, s, b1);
            if (TVectors.Value > 2)
                c1 = TSimd.Fma(w2, s, c1);
            s = TSimd.Splat(x[2 * Strip.Stride]);
            a2 = TSimd.Fma(w0, s, a2);
            if (TVectors.Value > 1)
                b2 = TSimd.Fma(w1, s, b2);
            if (TVectors.Value > 2)
                c2 = TSimd.Fma(w2, s, c2);
            s = TSimd.Splat(x[3 * Strip.Stride]);
            a3 = TSimd.Fma(w0, s, a3);
            if (TVectors.Value > 1)
                b3 = TSimd.Fma(w1, s, b3);
            if (TVectors.Value > 2)
                c3 = TSimd.Fma(w2, s, c3);
            if (TRows.Value > 4)
            {
                s = TSimd.Splat(x[4 * Strip.Stride]);
                a4 = TSimd.Fma(w0, s, a4);
                if (TVectors.Value > 1)
                    b4 = TSimd.Fma(w1, s, b4);
                if (TVectors.Value > 2)
                    c4 = TSimd.Fma(w2, s, c4);
                s = TSimd.Splat(x[5 * Strip.Stride]);
                a5 = TSimd.Fma(w0, s, a5);
                if (TVectors.Value > 1)
                    b5 = TSimd.Fma(w1, s, b5);
                if (TVectors.Value > 2)
                    c5 = TSimd.Fma(w2, s, c5);
                s = TSimd.Splat(x[6 * Strip.Stride]);
                a6 = TSimd.Fma(w0, s, a6);
                if (TVectors.Value > 1)
                    b6 = TSimd.Fma(w1, s, b6);
                if (TVectors.Value > 2)
                    c6 = TSimd.Fma(w2, s, c6);
                s = TSimd.Splat(x[7 * Strip.Stride]);
                a7 = TSimd.Fma(w0, s, a7);
                if (TVectors.Value > 1)
                    b7 = TSimd.Fma(w1, s, b7);
                if (TVectors.Value > 2)
                    c7 = TSimd.Fma(w2, s, c7);
            }

            x++;
            w += step;
        }

        Store<TVectors>(y, a0, b0, c0);
        Store<TVectors>(y + Strip.Stride, a1, b1, c1);
        Store<TVectors>(y + (2 * Strip.Stride), a2, b2, c2);
        Store<TVectors>(y + (3 * Strip.Stride), a3, b3, c3);
        if (TRows.Value > 4)
        {
            Store<TVectors>(y + (4 * Strip.Stride), a4, b4, c4);
            Store<TVectors>(y + (5 * Strip.Stride), a5, b5, c5);
            Store<TVectors>(y + (6 * Strip.Stride), a6, b6, c6);
            Store<TVectors>(y + (7 * Strip.Stride), a7, b7, c7);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store<TVectors>(float* y, V a, V b, V c)
        where TVectors : struct, ICount
    {
        TSimd.Store(y, a);
        if (TVectors.Value > 1)
            TSimd.Store(y + TSimd.Width, b);
        if (TVectors.Value > 2)
            TSimd.Store(y + (2 * TSimd.Width), c);
    }
}
