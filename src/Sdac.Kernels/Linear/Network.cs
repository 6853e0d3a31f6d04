using System;
using Sdac.Kernels.Simd;

namespace Sdac.Kernels.Linear;

/// <summary>How many threads a kernel uses and how finely it cuts its rows. Neither changes a result.</summary>
internal static class Cutting
{
    // Waking a thread costs some microseconds: less work than this is done by the caller alone.
    private const long WorthSharing = 200_000;

    // A tile of 16 lanes runs at this fraction of the speed of one with 32.
    private const double NarrowSpeed = 0.92;

    /// <summary>Threads for so many fused multiply-adds.</summary>
    public static int Threads(long operations) => operations < WorthSharing ? 1 : Workers.Threads;

    /// <summary>Lanes per block, 32 or 16, whichever leaves the busiest thread less to do.</summary>
    public static int Lanes(int rows, int threads)
    {
        var wide = (Panel.Count(rows) + threads - 1) / threads;
        var narrow = (((rows + 15) / 16) + threads - 1) / threads;
        return narrow / (2 * NarrowSpeed) < wide ? 16 : Panel.Rows;
    }
}

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

    public static int Count(int rows, int lanes) => (rows + lanes - 1) / lanes;
}

/// <summary>
/// Packs the weights of all layers, one block per tile, each where it lies among the parameters. With a split, the first
/// layer's rows [0, split) and [split, split + own) are packed apart and rows after these are left out.
/// </summary>
internal readonly unsafe struct PackWork<TSimd, V>(
    MlpShape shape, float* parameters, int split, int own, float* packed, bool backward) : IBlockWork
    where TSimd : struct, ISimd<V>
    where V : struct
{
    public static int Blocks(MlpShape shape, int split, bool backward)
    {
        var blocks = 0;
        for (var layer = 0; layer < shape.LayerCount; layer++)
            blocks += Weights.Tiles(shape.Widths[backward ? layer : layer + 1], TSimd.TileRows);
        return split > 0 ? blocks + Weights.Tiles(shape.Widths[1], TSimd.TileRows) : blocks;
    }

    public void Run(int block, int worker)
    {
        var height = TSimd.TileRows;
        for (var layer = 0; layer < shape.LayerCount; layer++)
        {
            var inputs = shape.Widths[layer];
            var outputs = shape.Widths[layer + 1];
            var w = parameters + shape.WeightOffset(layer);
            var to = packed + shape.WeightOffset(layer);
            var tiles = Weights.Tiles(backward ? inputs : outputs, height);
            if (layer == 0 && split > 0)
            {
                if (block < tiles)
                {
                    Weights.PackForward(w, split, outputs, height, block, to);
                    return;
                }

                block -= tiles;
                inputs = own;
                w += (nint)split * outputs;
                to += (nint)split * outputs;
            }

            if (block < tiles)
            {
                if (backward)
                    Weights.PackBackward(w, inputs, outputs, height, block, to);
                else
                    Weights.PackForward(w, inputs, outputs, height, block, to);
                return;
            }

            block -= tiles;
        }
    }
}

/// <summary>bias + shared·W for the rows that several input rows share, one block per panel of them.</summary>
internal readonly unsafe struct SharedWork<TSimd, V>(
    float* packed, int inputs, int outputs, float* bias, float* shared, int rows, bool panels, float* result,
    float* scratch, int scratchSize) : IBlockWork
    where TSimd : struct, ISimd<V>
    where V : struct
{
    public static int ScratchSize(int inputs, int outputs) => (inputs + outputs) * Panel.Rows;

    public void Run(int block, int worker)
    {
        var slab = new Slab(block, Panel.Rows, rows);
        var x = scratch + ((nint)worker * scratchSize);
        var y = panels ? result + ((nint)block * outputs * Panel.Rows) : x + (inputs * Panel.Rows);
        Panel.Gather(shared, rows, inputs, slab.First, slab.Lanes, x);
        Layer<TSimd, V>.Forward(packed, inputs, outputs, bias, null, x, y, null, Activation.Identity, slab.Lanes);
        if (!panels)
            Panel.Scatter(y, rows, outputs, slab.First, slab.Lanes, result);
    }
}

/// <summary>
/// The shared part of the first layer as each slab of rows needs it: a panel to start from, or, where the whole slab
/// shares one row, that row in the bias's place.
/// </summary>
internal readonly unsafe struct SharedStart(float* product, int repeat, int rows, int outputs)
{
    /// <summary>Whether <see cref="SharedWork{TSimd, V}"/> should leave panels (or else rows).</summary>
    public static bool WantsPanels(int repeat) => repeat == 1;

    /// <summary>The row that all rows of the slab share, or null.</summary>
    public float* Row(Slab slab)
    {
        if (WantsPanels(repeat))
            return null;
        var last = Math.Min(slab.First + slab.Lanes, rows) - 1;
        return slab.First / repeat == last / repeat ? product + ((nint)(slab.First / repeat) * outputs) : null;
    }

    /// <summary>The panel to start from, at the slab's first lane; <paramref name="scratch"/> may be used for it.</summary>
    public float* StartPanel(Slab slab, float* scratch)
    {
        if (WantsPanels(repeat))
            return product + ((nint)slab.Panel * outputs * Panel.Rows) + slab.Lane;
        for (var lane = 0; lane < slab.Lanes; lane++)
        {
            var from = product + ((nint)(Math.Min(slab.First + lane, rows - 1) / repeat) * outputs);
            for (var j = 0; j < outputs; j++)
                scratch[(j * Panel.Rows) + lane] = from[j];
        }

        return scratch;
    }
}
