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
