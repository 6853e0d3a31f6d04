using System.Runtime.CompilerServices;
using Sdac.Kernels.Simd;

namespace Sdac.Kernels.Linear;

/// <summary>How the left factor of a tile product lies in memory: element (i, k) of a block.</summary>
internal interface ILeft
{
    /// <summary>From row to row of the left factor.</summary>
    static abstract int RowStep<TRows>()
        where TRows : struct, ICount;

    /// <summary>From one index of the sum to the next.</summary>
    static abstract int DepthStep<TRows>()
        where TRows : struct, ICount;
}

/// <summary>The inner loop of every matrix product: a register tile.</summary>
internal static unsafe class Tile<TSimd, V>
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
        V r00, r10, r20, r30, r40, r50, r60, r70, r80, r90, r100, r110;
        V r01, r11, r21, r31, r41, r51, r61, r71, r81, r91, r101, r111;
        Unsafe.SkipInit(out r00);
        Unsafe.SkipInit(out r01);
        Unsafe.SkipInit(out r10);
        Unsafe.SkipInit(out r11);
        Unsafe.SkipInit(out r20);
        Unsafe.SkipInit(out r21);
        Unsafe.SkipInit(out r30);
        Unsafe.SkipInit(out r31);
        Unsafe.SkipInit(out r40);
        Unsafe.SkipInit(out r41);
        Unsafe.SkipInit(out r50);
        Unsafe.SkipInit(out r51);
        Unsafe.SkipInit(out r60);
        Unsafe.SkipInit(out r61);
        Unsafe.SkipInit(out r70);
        Unsafe.SkipInit(out r71);
        Unsafe.SkipInit(out r80);
        Unsafe.SkipInit(out r81);
        Unsafe.SkipInit(out r90);
        Unsafe.SkipInit(out r91);
        Unsafe.SkipInit(out r100);
        Unsafe.SkipInit(out r101);
        Unsafe.SkipInit(out r110);
        Unsafe.SkipInit(out r111);
        if (bias != null)
        {
            r00 = TSimd.Splat(bias[0]);
            r01 = r00;
            if (TRows.Value > 1)
            {
                r10 = TSimd.Splat(bias[1]);
                r11 = r10;
            }

            if (TRows.Value > 2)
            {
                r20 = TSimd.Splat(bias[2]);
                r21 = r20;
            }

            if (TRows.Value > 3)
            {
                r30 = TSimd.Splat(bias[3]);
                r31 = r30;
            }

            if (TRows.Value > 4)
            {
                r40 = TSimd.Splat(bias[4]);
                r41 = r40;
            }

            if (TRows.Value > 5)
            {
                r50 = TSimd.Splat(bias[5]);
                r51 = r50;
            }

            if (TRows.Value > 6)
            {
                r60 = TSimd.Splat(bias[6]);
                r61 = r60;
            }

            if (TRows.Value > 7)
            {
                r70 = TSimd.Splat(bias[7]);
                r71 = r70;
            }

            if (TRows.Value > 8)
            {
                r80 = TSimd.Splat(bias[8]);
                r81 = r80;
            }

            if (TRows.Value > 9)
            {
                r90 = TSimd.Splat(bias[9]);
                r91 = r90;
            }

            if (TRows.Value > 10)
            {
                r100 = TSimd.Splat(bias[10]);
                r101 = r100;
            }

            if (TRows.Value > 11)
            {
                r110 = TSimd.Splat(bias[11]);
                r111 = r110;
            }
        }
        else
        {
            r00 = TSimd.Load(c);
            if (TVectors.Value > 1)
                r01 = TSimd.Load(c + TSimd.Width);
            if (TRows.Value > 1)
            {
                r10 = TSimd.Load(c + (1 * stride));
                if (TVectors.Value > 1)
                    r11 = TSimd.Load(c + (1 * stride) + TSimd.Width);
            }

            if (TRows.Value > 2)
            {
                r20 = TSimd.Load(c + (2 * stride));
                if (TVectors.Value > 1)
                    r21 = TSimd.Load(c + (2 * stride) + TSimd.Width);
            }

            if (TRows.Value > 3)
            {
                r30 = TSimd.Load(c + (3 * stride));
                if (TVectors.Value > 1)
                    r31 = TSimd.Load(c + (3 * stride) + TSimd.Width);
            }

            if (TRows.Value > 4)
            {
                r40 = TSimd.Load(c + (4 * stride));
                if (TVectors.Value > 1)
                    r41 = TSimd.Load(c + (4 * stride) + TSimd.Width);
            }

            if (TRows.Value > 5)
            {
                r50 = TSimd.Load(c + (5 * stride));
                if (TVectors.Value > 1)
                    r51 = TSimd.Load(c + (5 * stride) + TSimd.Width);
            }

            if (TRows.Value > 6)
            {
                r60 = TSimd.Load(c + (6 * stride));
                if (TVectors.Value > 1)
                    r61 = TSimd.Load(c + (6 * stride) + TSimd.Width);
            }

            if (TRows.Value > 7)
            {
                r70 = TSimd.Load(c + (7 * stride));
                if (TVectors.Value > 1)
                    r71 = TSimd.Load(c + (7 * stride) + TSimd.Width);
            }

            if (TRows.Value > 8)
            {
                r80 = TSimd.Load(c + (8 * stride));
                if (TVectors.Value > 1)
                    r81 = TSimd.Load(c + (8 * stride) + TSimd.Width);
            }

            if (TRows.Value > 9)
            {
                r90 = TSimd.Load(c + (9 * stride));
                if (TVectors.Value > 1)
                    r91 = TSimd.Load(c + (9 * stride) + TSimd.Width);
            }

            if (TRows.Value > 10)
            {
                r100 = TSimd.Load(c + (10 * stride));
                if (TVectors.Value > 1)
                    r101 = TSimd.Load(c + (10 * stride) + TSimd.Width);
            }

            if (TRows.Value > 11)
            {
                r110 = TSimd.Load(c + (11 * stride));
                if (TVectors.Value > 1)
                    r111 = TSimd.Load(c + (11 * stride) + TSimd.Width);
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
                r00 = TSimd.Fma(w, x0, r00);
                if (TVectors.Value > 1)
                    r01 = TSimd.Fma(w, x1, r01);
                if (TRows.Value > 1)
                {
                    w = TSimd.Splat(a[1 * TLeft.RowStep<TRows>()]);
                    r10 = TSimd.Fma(w, x0, r10);
                    if (TVectors.Value > 1)
                        r11 = TSimd.Fma(w, x1, r11);
                }

                if (TRows.Value > 2)
                {
                    w = TSimd.Splat(a[2 * TLeft.RowStep<TRows>()]);
                    r20 = TSimd.Fma(w, x0, r20);
                    if (TVectors.Value > 1)
                        r21 = TSimd.Fma(w, x1, r21);
                }

                if (TRows.Value > 3)
                {
                    w = TSimd.Splat(a[3 * TLeft.RowStep<TRows>()]);
                    r30 = TSimd.Fma(w, x0, r30);
                    if (TVectors.Value > 1)
                        r31 = TSimd.Fma(w, x1, r31);
                }

                if (TRows.Value > 4)
                {
                    w = TSimd.Splat(a[4 * TLeft.RowStep<TRows>()]);
                    r40 = TSimd.Fma(w, x0, r40);
                    if (TVectors.Value > 1)
                        r41 = TSimd.Fma(w, x1, r41);
                }

                if (TRows.Value > 5)
                {
                    w = TSimd.Splat(a[5 * TLeft.RowStep<TRows>()]);
                    r50 = TSimd.Fma(w, x0, r50);
                    if (TVectors.Value > 1)
                        r51 = TSimd.Fma(w, x1, r51);
                }

                if (TRows.Value > 6)
                {
                    w = TSimd.Splat(a[6 * TLeft.RowStep<TRows>()]);
                    r60 = TSimd.Fma(w, x0, r60);
                    if (TVectors.Value > 1)
                        r61 = TSimd.Fma(w, x1, r61);
                }

                if (TRows.Value > 7)
                {
                    w = TSimd.Splat(a[7 * TLeft.RowStep<TRows>()]);
                    r70 = TSimd.Fma(w, x0, r70);
                    if (TVectors.Value > 1)
                        r71 = TSimd.Fma(w, x1, r71);
                }

                if (TRows.Value > 8)
                {
                    w = TSimd.Splat(a[8 * TLeft.RowStep<TRows>()]);
                    r80 = TSimd.Fma(w, x0, r80);
                    if (TVectors.Value > 1)
                        r81 = TSimd.Fma(w, x1, r81);
                }

                if (TRows.Value > 9)
                {
                    w = TSimd.Splat(a[9 * TLeft.RowStep<TRows>()]);
                    r90 = TSimd.Fma(w, x0, r90);
                    if (TVectors.Value > 1)
                        r91 = TSimd.Fma(w, x1, r91);
                }

                if (TRows.Value > 10)
                {
                    w = TSimd.Splat(a[10 * TLeft.RowStep<TRows>()]);
                    r100 = TSimd.Fma(w, x0, r100);
                    if (TVectors.Value > 1)
                        r101 = TSimd.Fma(w, x1, r101);
                }

                if (TRows.Value > 11)
                {
                    w = TSimd.Splat(a[11 * TLeft.RowStep<TRows>()]);
                    r110 = TSimd.Fma(w, x0, r110);
                    if (TVectors.Value > 1)
                        r111 = TSimd.Fma(w, x1, r111);
                }

                a += TLeft.DepthStep<TRows>();
                right += Panel.Rows;
            }
        }

        TSimd.Store(c, r00);
        if (TVectors.Value > 1)
            TSimd.Store(c + TSimd.Width, r01);
        if (TRows.Value > 1)
        {
            TSimd.Store(c + (1 * stride), r10);
            if (TVectors.Value > 1)
                TSimd.Store(c + (1 * stride) + TSimd.Width, r11);
        }

        if (TRows.Value > 2)
        {
            TSimd.Store(c + (2 * stride), r20);
            if (TVectors.Value > 1)
                TSimd.Store(c + (2 * stride) + TSimd.Width, r21);
        }

        if (TRows.Value > 3)
        {
            TSimd.Store(c + (3 * stride), r30);
            if (TVectors.Value > 1)
                TSimd.Store(c + (3 * stride) + TSimd.Width, r31);
        }

        if (TRows.Value > 4)
        {
            TSimd.Store(c + (4 * stride), r40);
            if (TVectors.Value > 1)
                TSimd.Store(c + (4 * stride) + TSimd.Width, r41);
        }

        if (TRows.Value > 5)
        {
            TSimd.Store(c + (5 * stride), r50);
            if (TVectors.Value > 1)
                TSimd.Store(c + (5 * stride) + TSimd.Width, r51);
        }

        if (TRows.Value > 6)
        {
            TSimd.Store(c + (6 * stride), r60);
            if (TVectors.Value > 1)
                TSimd.Store(c + (6 * stride) + TSimd.Width, r61);
        }

        if (TRows.Value > 7)
        {
            TSimd.Store(c + (7 * stride), r70);
            if (TVectors.Value > 1)
                TSimd.Store(c + (7 * stride) + TSimd.Width, r71);
        }

        if (TRows.Value > 8)
        {
            TSimd.Store(c + (8 * stride), r80);
            if (TVectors.Value > 1)
                TSimd.Store(c + (8 * stride) + TSimd.Width, r81);
        }

        if (TRows.Value > 9)
        {
            TSimd.Store(c + (9 * stride), r90);
            if (TVectors.Value > 1)
                TSimd.Store(c + (9 * stride) + TSimd.Width, r91);
        }

        if (TRows.Value > 10)
        {
            TSimd.Store(c + (10 * stride), r100);
            if (TVectors.Value > 1)
                TSimd.Store(c + (10 * stride) + TSimd.Width, r101);
        }

        if (TRows.Value > 11)
        {
            TSimd.Store(c + (11 * stride), r110);
            if (TVectors.Value > 1)
                TSimd.Store(c + (11 * stride) + TSimd.Width, r111);
        }
    }

    /// <summary>The same for any number of rows up to <see cref="ISimd{V}.TileRows"/>.</summary>
    public static void Multiply<TVectors, TLeft>(
        int rows, int blocks, int depth, float* left, nint leftBlock, float* right, float* bias, float* c, nint stride)
        where TVectors : struct, ICount
        where TLeft : struct, ILeft
    {
        switch (rows)
        {
            case 1:
                Multiply<Count.One, TVectors, TLeft>(blocks, depth, left, leftBlock, right, bias, c, stride);
                break;
            case 2:
                Multiply<Count.Two, TVectors, TLeft>(blocks, depth, left, leftBlock, right, bias, c, stride);
                break;
            case 3:
                Multiply<Count.Three, TVectors, TLeft>(blocks, depth, left, leftBlock, right, bias, c, stride);
                break;
            case 4:
                Multiply<Count.Four, TVectors, TLeft>(blocks, depth, left, leftBlock, right, bias, c, stride);
                break;
            case 5:
                Multiply<Count.Five, TVectors, TLeft>(blocks, depth, left, leftBlock, right, bias, c, stride);
                break;
            case 6:
                Multiply<Count.Six, TVectors, TLeft>(blocks, depth, left, leftBlock, right, bias, c, stride);
                break;
            case 7:
                Multiply<Count.Seven, TVectors, TLeft>(blocks, depth, left, leftBlock, right, bias, c, stride);
                break;
            case 8:
                Multiply<Count.Eight, TVectors, TLeft>(blocks, depth, left, leftBlock, right, bias, c, stride);
                break;
            case 9:
                Multiply<Count.Nine, TVectors, TLeft>(blocks, depth, left, leftBlock, right, bias, c, stride);
                break;
            case 10:
                Multiply<Count.Ten, TVectors, TLeft>(blocks, depth, left, leftBlock, right, bias, c, stride);
                break;
            case 11:
                Multiply<Count.Eleven, TVectors, TLeft>(blocks, depth, left, leftBlock, right, bias, c, stride);
                break;
            case 12:
                Multiply<Count.Twelve, TVectors, TLeft>(blocks, depth, left, leftBlock, right, bias, c, stride);
                break;
        }
    }
}

/// <summary>
/// Weights packed for <see cref="Tile{TSimd, V}"/>: the rows of a tile side by side for each index of the sum.
/// </summary>
internal readonly struct Packed : ILeft
{
    public static int RowStep<TRows>()
        where TRows : struct, ICount => 1;

    public static int DepthStep<TRows>()
        where TRows : struct, ICount => TRows.Value;
}

/// <summary>A panel of activations as the left factor: the sum runs over its rows.</summary>
internal readonly struct Activations : ILeft
{
    public static int RowStep<TRows>()
        where TRows : struct, ICount => Panel.Rows;

    public static int DepthStep<TRows>()
        where TRows : struct, ICount => 1;
}
