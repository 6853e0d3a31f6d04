using Sdac.Kernels.Simd;

namespace Sdac.Kernels.Linear;

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
