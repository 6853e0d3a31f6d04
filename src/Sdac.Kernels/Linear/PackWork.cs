using Sdac.Kernels.Simd;

namespace Sdac.Kernels.Linear;

/// <summary>
/// Packs the weights of all layers, one block per tile, each where it lies among the parameters. With a split, the
/// first layer's rows [0, split) and [split, split + own) are packed apart and rows after these are left out.
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
