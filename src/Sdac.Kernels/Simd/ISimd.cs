namespace Sdac.Kernels.Simd;

/// <summary>
/// The operations a kernel may use, for one vector width. Every operation acts on lanes alone and rounds once, so a
/// kernel written against it gives the same bits for every width. Integer operations act on the lanes' bit patterns.
/// </summary>
internal unsafe interface ISimd<V>
    where V : struct
{
    /// <summary>Lanes of one vector; divides 16.</summary>
    static abstract int Width { get; }

    /// <summary>Rows of the register tile: as many accumulators as the register file holds.</summary>
    static abstract int TileRows { get; }

    /// <summary>Rows of the tile for few rows, 8 or 4; divides <see cref="Linear.Strip.Rows"/>.</summary>
    static abstract int StripRows { get; }

    static abstract V Load(float* source);
    static abstract void Store(float* destination, V value);
    static abstract V Splat(float value);
    static abstract V SplatBits(int bits);

    static abstract V Add(V a, V b);
    static abstract V Sub(V a, V b);
    static abstract V Mul(V a, V b);
    static abstract V Div(V a, V b);
    static abstract V Sqrt(V a);

    /// <summary>a·b + c with one rounding.</summary>
    static abstract V Fma(V a, V b, V c);

    /// <summary>a &lt; b ? a : b, so a NaN in <paramref name="b"/> survives.</summary>
    static abstract V Min(V a, V b);

    /// <summary>a &gt; b ? a : b, so a NaN in <paramref name="b"/> survives.</summary>
    static abstract V Max(V a, V b);

    static abstract V And(V a, V b);
    static abstract V Or(V a, V b);
    static abstract V Xor(V a, V b);
    static abstract V AndNot(V a, V mask);
    static abstract V AddBits(V a, V b);
    static abstract V SubBits(V a, V b);
    static abstract V ShiftLeft(V a, int count);
    static abstract V ShiftRight(V a, int count);
    static abstract V ShiftRightUnsigned(V a, int count);

    /// <summary>All bits set where a &gt; b, else none.</summary>
    static abstract V Greater(V a, V b);

    /// <summary>The signed integers in the lanes as floats, rounded to nearest.</summary>
    static abstract V IntToFloat(V a);
}
