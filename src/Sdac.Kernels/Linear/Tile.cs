using System.Runtime.CompilerServices;
using Sdac.Kernels.Simd;

namespace Sdac.Kernels.Linear;

/// <summary>
/// The inner loop of every matrix product: a register tile. Each accumulator is a local of its own, written out, because
/// only then does it stay in a register; rows beyond the tile's height vanish when the compiler specialises the method.
/// </summary>
internal static unsafe partial class Tile<TSimd, V>
    where TSimd : struct, ISimd<V>
    where V : struct
{
    /// <summary>
    /// c[i, lanes] = start + Σ_block Σ_k left(block, i, k)·right[block·depth + k, lanes] for as many rows i and vectors
    /// of lanes as the type arguments say; every sum runs in the order of its index, one fused multiply-add each.
    /// start is bias[i] where a bias is given, else what c holds.
    /// </summary>
    /// <param name="blocks">Blocks of the sum.</param>
    /// <param name="depth">Indices of the sum in one block.</param>
    /// <param name="left">The left factor's first element.</param>
    /// <param name="leftBlock">From block to block of the left factor.</param>
    /// <param name="right">The right factor, one panel row (32 floats) per index of the sum.</param>
    /// <param name="bias">One start per row, or null.</param>
    /// <param name="c">The result's first element.</param>
    /// <param name="stride">From row to row of the result.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply<TRows, TVectors, TLeft>(
        int blocks, int depth, float* left, nint leftBlock, float* right, float* bias, float* c, nint stride)
        where TRows : struct, ICount
        where TVectors : struct, ICount
        where TLeft : struct, ILeft
    {
        // Row i accumulates its first vector of lanes in p_i and its second in q_i.
        V p0, p1, p2, p3, p4, p5, p6, p7, p8, p9, p10, p11;
        V q0, q1, q2, q3, q4, q5, q6, q7, q8, q9, q10, q11;
        Unsafe.SkipInit(out p0);
        Unsafe.SkipInit(out q0);
        Unsafe.SkipInit(out p1);
        Unsafe.SkipInit(out q1);
        Unsafe.SkipInit(out p2);
        Unsafe.SkipInit(out q2);
        Unsafe.SkipInit(out p3);
        Unsafe.SkipInit(out q3);
        Unsafe.SkipInit(out p4);
        Unsafe.SkipInit(out q4);
        Unsafe.SkipInit(out p5);
        Unsafe.SkipInit(out q5);
        Unsafe.SkipInit(out p6);
        Unsafe.SkipInit(out q6);
        Unsafe.SkipInit(out p7);
        Unsafe.SkipInit(out q7);
        Unsafe.SkipInit(out p8);
        Unsafe.SkipInit(out q8);
        Unsafe.SkipInit(out p9);
        Unsafe.SkipInit(out q9);
        Unsafe.SkipInit(out p10);
        Unsafe.SkipInit(out q10);
        Unsafe.SkipInit(out p11);
        Unsafe.SkipInit(out q11);
        if (bias != null)
        {
            p0 = TSimd.Splat(bias[0]);
            q0 = p0;
            if (TRows.Value > 1)
            {
                p1 = TSimd.Splat(bias[1]);
                q1 = p1;
            }

            if (TRows.Value > 2)
            {
                p2 = TSimd.Splat(bias[2]);
                q2 = p2;
            }

            if (TRows.Value > 3)
            {
                p3 = TSimd.Splat(bias[3]);
                q3 = p3;
            }

            if (TRows.Value > 4)
            {
                p4 = TSimd.Splat(bias[4]);
                q4 = p4;
            }

            if (TRows.Value > 5)
            {
                p5 = TSimd.Splat(bias[5]);
                q5 = p5;
            }

            if (TRows.Value > 6)
            {
                p6 = TSimd.Splat(bias[6]);
                q6 = p6;
            }

            if (TRows.Value > 7)
            {
                p7 = TSimd.Splat(bias[7]);
                q7 = p7;
            }

            if (TRows.Value > 8)
            {
                p8 = TSimd.Splat(bias[8]);
                q8 = p8;
            }

            if (TRows.Value > 9)
            {
                p9 = TSimd.Splat(bias[9]);
                q9 = p9;
            }

            if (TRows.Value > 10)
            {
                p10 = TSimd.Splat(bias[10]);
                q10 = p10;
            }

            if (TRows.Value > 11)
            {
                p11 = TSimd.Splat(bias[11]);
                q11 = p11;
            }
        }
        else
        {
            p0 = TSimd.Load(c);
            if (TVectors.Value > 1)
                q0 = TSimd.Load(c + TSimd.Width);
            if (TRows.Value > 1)
            {
                p1 = TSimd.Load(c + (1 * stride));
                if (TVectors.Value > 1)
                    q1 = TSimd.Load(c + (1 * stride) + TSimd.Width);
            }

            if (TRows.Value > 2)
            {
                p2 = TSimd.Load(c + (2 * stride));
                if (TVectors.Value > 1)
                    q2 = TSimd.Load(c + (2 * stride) + TSimd.Width);
            }

            if (TRows.Value > 3)
            {
                p3 = TSimd.Load(c + (3 * stride));
                if (TVectors.Value > 1)
                    q3 = TSimd.Load(c + (3 * stride) + TSimd.Width);
            }

            if (TRows.Value > 4)
            {
                p4 = TSimd.Load(c + (4 * stride));
                if (TVectors.Value > 1)
                    q4 = TSimd.Load(c + (4 * stride) + TSimd.Width);
            }

            if (TRows.Value > 5)
            {
                p5 = TSimd.Load(c + (5 * stride));
                if (TVectors.Value > 1)
                    q5 = TSimd.Load(c + (5 * stride) + TSimd.Width);
            }

            if (TRows.Value > 6)
            {
                p6 = TSimd.Load(c + (6 * stride));
                if (TVectors.Value > 1)
                    q6 = TSimd.Load(c + (6 * stride) + TSimd.Width);
            }

            if (TRows.Value > 7)
            {
                p7 = TSimd.Load(c + (7 * stride));
                if (TVectors.Value > 1)
                    q7 = TSimd.Load(c + (7 * stride) + TSimd.Width);
            }

            if (TRows.Value > 8)
            {
                p8 = TSimd.Load(c + (8 * stride));
                if (TVectors.Value > 1)
                    q8 = TSimd.Load(c + (8 * stride) + TSimd.Width);
            }

            if (TRows.Value > 9)
            {
                p9 = TSimd.Load(c + (9 * stride));
                if (TVectors.Value > 1)
                    q9 = TSimd.Load(c + (9 * stride) + TSimd.Width);
            }

            if (TRows.Value > 10)
            {
                p10 = TSimd.Load(c + (10 * stride));
                if (TVectors.Value > 1)
                    q10 = TSimd.Load(c + (10 * stride) + TSimd.Width);
            }

            if (TRows.Value > 11)
            {
                p11 = TSimd.Load(c + (11 * stride));
                if (TVectors.Value > 1)
                    q11 = TSimd.Load(c + (11 * stride) + TSimd.Width);
            }
        }

        for (var block = 0; block < blocks; block++)
        {
            var a = left + (block * leftBlock);
            for (var k = depth; k > 0; k--)
            {
                var x0 = TSimd.Load(right);
                var x1 = TVectors.Value > 1 ? TSimd.Load(right + TSimd.Width) : x0;
                V w;
                w = TSimd.Splat(a[0]);
                p0 = TSimd.Fma(w, x0, p0);
                if (TVectors.Value > 1)
                    q0 = TSimd.Fma(w, x1, q0);
                if (TRows.Value > 1)
                {
                    w = TSimd.Splat(a[1 * TLeft.RowStep<TRows>()]);
                    p1 = TSimd.Fma(w, x0, p1);
                    if (TVectors.Value > 1)
                        q1 = TSimd.Fma(w, x1, q1);
                }

                if (TRows.Value > 2)
                {
                    w = TSimd.Splat(a[2 * TLeft.RowStep<TRows>()]);
                    p2 = TSimd.Fma(w, x0, p2);
                    if (TVectors.Value > 1)
                        q2 = TSimd.Fma(w, x1, q2);
                }

                if (TRows.Value > 3)
                {
                    w = TSimd.Splat(a[3 * TLeft.RowStep<TRows>()]);
                    p3 = TSimd.Fma(w, x0, p3);
                    if (TVectors.Value > 1)
                        q3 = TSimd.Fma(w, x1, q3);
                }

                if (TRows.Value > 4)
                {
                    w = TSimd.Splat(a[4 * TLeft.RowStep<TRows>()]);
                    p4 = TSimd.Fma(w, x0, p4);
                    if (TVectors.Value > 1)
                        q4 = TSimd.Fma(w, x1, q4);
                }

                if (TRows.Value > 5)
                {
                    w = TSimd.Splat(a[5 * TLeft.RowStep<TRows>()]);
                    p5 = TSimd.Fma(w, x0, p5);
                    if (TVectors.Value > 1)
                        q5 = TSimd.Fma(w, x1, q5);
                }

                if (TRows.Value > 6)
                {
                    w = TSimd.Splat(a[6 * TLeft.RowStep<TRows>()]);
                    p6 = TSimd.Fma(w, x0, p6);
                    if (TVectors.Value > 1)
                        q6 = TSimd.Fma(w, x1, q6);
                }

                if (TRows.Value > 7)
                {
                    w = TSimd.Splat(a[7 * TLeft.RowStep<TRows>()]);
                    p7 = TSimd.Fma(w, x0, p7);
                    if (TVectors.Value > 1)
                        q7 = TSimd.Fma(w, x1, q7);
                }

                if (TRows.Value > 8)
                {
                    w = TSimd.Splat(a[8 * TLeft.RowStep<TRows>()]);
                    p8 = TSimd.Fma(w, x0, p8);
                    if (TVectors.Value > 1)
                        q8 = TSimd.Fma(w, x1, q8);
                }

                if (TRows.Value > 9)
                {
                    w = TSimd.Splat(a[9 * TLeft.RowStep<TRows>()]);
                    p9 = TSimd.Fma(w, x0, p9);
                    if (TVectors.Value > 1)
                        q9 = TSimd.Fma(w, x1, q9);
                }

                if (TRows.Value > 10)
                {
                    w = TSimd.Splat(a[10 * TLeft.RowStep<TRows>()]);
                    p10 = TSimd.Fma(w, x0, p10);
                    if (TVectors.Value > 1)
                        q10 = TSimd.Fma(w, x1, q10);
                }

                if (TRows.Value > 11)
                {
                    w = TSimd.Splat(a[11 * TLeft.RowStep<TRows>()]);
                    p11 = TSimd.Fma(w, x0, p11);
                    if (TVectors.Value > 1)
                        q11 = TSimd.Fma(w, x1, q11);
                }

                a += TLeft.DepthStep<TRows>();
                right += Panel.Rows;
            }
        }

        TSimd.Store(c, p0);
        if (TVectors.Value > 1)
            TSimd.Store(c + TSimd.Width, q0);
        if (TRows.Value > 1)
        {
            TSimd.Store(c + (1 * stride), p1);
            if (TVectors.Value > 1)
                TSimd.Store(c + (1 * stride) + TSimd.Width, q1);
        }

        if (TRows.Value > 2)
        {
            TSimd.Store(c + (2 * stride), p2);
            if (TVectors.Value > 1)
                TSimd.Store(c + (2 * stride) + TSimd.Width, q2);
        }

        if (TRows.Value > 3)
        {
            TSimd.Store(c + (3 * stride), p3);
            if (TVectors.Value > 1)
                TSimd.Store(c + (3 * stride) + TSimd.Width, q3);
        }

        if (TRows.Value > 4)
        {
            TSimd.Store(c + (4 * stride), p4);
            if (TVectors.Value > 1)
                TSimd.Store(c + (4 * stride) + TSimd.Width, q4);
        }

        if (TRows.Value > 5)
        {
            TSimd.Store(c + (5 * stride), p5);
            if (TVectors.Value > 1)
                TSimd.Store(c + (5 * stride) + TSimd.Width, q5);
        }

        if (TRows.Value > 6)
        {
            TSimd.Store(c + (6 * stride), p6);
            if (TVectors.Value > 1)
                TSimd.Store(c + (6 * stride) + TSimd.Width, q6);
        }

        if (TRows.Value > 7)
        {
            TSimd.Store(c + (7 * stride), p7);
            if (TVectors.Value > 1)
                TSimd.Store(c + (7 * stride) + TSimd.Width, q7);
        }

        if (TRows.Value > 8)
        {
            TSimd.Store(c + (8 * stride), p8);
            if (TVectors.Value > 1)
                TSimd.Store(c + (8 * stride) + TSimd.Width, q8);
        }

        if (TRows.Value > 9)
        {
            TSimd.Store(c + (9 * stride), p9);
            if (TVectors.Value > 1)
                TSimd.Store(c + (9 * stride) + TSimd.Width, q9);
        }

        if (TRows.Value > 10)
        {
            TSimd.Store(c + (10 * stride), p10);
            if (TVectors.Value > 1)
                TSimd.Store(c + (10 * stride) + TSimd.Width, q10);
        }

        if (TRows.Value > 11)
        {
            TSimd.Store(c + (11 * stride), p11);
            if (TVectors.Value > 1)
                TSimd.Store(c + (11 * stride) + TSimd.Width, q11);
        }
    }
}
