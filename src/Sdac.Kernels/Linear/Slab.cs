namespace Sdac.Kernels.Linear;

/// <summary>Rows [First, First + Lanes) of a batch: a panel or half of one.</summary>
internal readonly struct Slab(int block, int lanes, int rows)
{
    public int Panel { get; } = block * lanes / Linear.Panel.Rows;

    /// <summary>Offset of the first lane inside the panel.</summary>
    public int Lane { get; } = block * lanes % Linear.Panel.Rows;

    /// <summary>First row.</summary>
    public int First { get; } = block * lanes;

    /// <summary>Lanes to compute: half a panel where no more rows are left.</summary>
    public int Lanes { get; } = rows - (block * lanes) <= 16 ? 16 : lanes;

    /// <summary>Where the slab begins in panels of so many columns.</summary>
    public nint Offset(int width) => ((nint)Panel * width * Linear.Panel.Rows) + Lane;

    public static int Count(int rows, int lanes) => (rows + lanes - 1) / lanes;
}
