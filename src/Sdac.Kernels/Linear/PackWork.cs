using Sdac.Kernels.Simd;

namespace Sdac.Kernels.Linear;

/// <summary>
/// Packs the weights of all layers, each where it lies among the parameters; one block per band of inputs, or per tile of
/// the backward product. With a split, the first layer's rows [0, split) and [split, split + own) are packed apart (for the
/// backward product the former not at all) and rows after these are left out.
/// </summary>
internal readonly unsafe struct PackWork<TSimd, V>(
    MlpShape shape, float* parameters, int split, int own, float* packed, bool backward) : IBlockWork
    where TSimd : struct, ISimd<V>
    where V : struct
{
    public static int Blocks(MlpShape shape, int split, int own, bool backward)
    {
        var blocks = split > 0
            ? BlocksBefore(split, backward) + BlocksOf(own, backward)
            : BlocksOf(shape.InputWidth, backward);
        for (var layer = 1; layer < shape.LayerCount; layer++)
            blocks += BlocksOf(shape.Widths[layer], backward);
        return blocks;
    }

    private static int BlocksOf(int inputs, bool backward) =>
        backward ? Weights.Tiles(inputs, TSimd.TileRows) : Weights.Bands(inputs);

    private static int BlocksBefore(int split, bool backward) => backward ? 0 : BlocksOf(split, backward);

    public void Run(int block, int worker)
    {
        var height = TSimd.TileRows;
        for (var layer = 0; layer < shape.LayerCount; layer++)
        {
            var inputs = shape.Widths[layer];
            var outputs = shape.Widths[layer + 1];
            var w = parameters + shape.WeightOffset(layer);
            var to = packed + shape.WeightOffset(layer);
            if (layer == 0 && split > 0)
            {
                var before = BlocksBefore(split, backward);
                if (block < before)
                {
                    Weights.PackForward(w, split, outputs, height, block, to);
                    return;
                }

                block -= before;
                inputs = own;
                w += (nint)split * outputs;
                to += (nint)split * outputs;
            }

            var blocks = BlocksOf(inputs, backward);
            if (block < blocks)
            {
                if (backward)
                    Weights.PackBackward(w, inputs, outputs, height, block, to);
                else
                    Weights.PackForward(w, inputs, outputs, height, block, to);
                return;
            }

            block -= blocks;
        }
    }
}
