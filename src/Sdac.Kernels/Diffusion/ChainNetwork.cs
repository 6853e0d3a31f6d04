using Sdac.Kernels.Linear;
using Sdac.Kernels.Simd;

namespace Sdac.Kernels;

/// <summary>
/// The noise network along a chain: the first layer from its action columns alone, on top of the products of observation
/// and time.
/// </summary>
/// <param name="tape">Holds the observations' products, and takes the hidden layers' sums where they are recorded.</param>
/// <param name="parameters">Time's, then Main's.</param>
/// <param name="packed">Main's weights, packed for the forward product.</param>
/// <param name="biases">The time's products, [T, first hidden width].</param>
internal readonly unsafe struct ChainNetwork<TSimd, V>(
    ChainTape tape, float* parameters, float* packed, float* biases)
    where TSimd : struct, ISimd<V>
    where V : struct
{
    /// <summary>
    /// ε of a slab, a panel in <paramref name="scratch"/> (two panels of the greatest width); the sums go to the tape
    /// where it keeps them.
    /// </summary>
    public float* Forward(int t, Slab slab, float* x, float* scratch)
    {
        var main = tape.Shape.Main;
        var size = main.MaximumWidth * Panel.Rows;
        var y = scratch;
        var spare = scratch + size;
        var sums = tape.IsRecorded ? tape.Sums(t, slab) : null;
        for (var layer = 0; layer < main.LayerCount; layer++)
        {
            var outputs = main.Widths[layer + 1];
            if (layer == main.LayerCount - 1 || sums == null)
            {
                Through(layer, t, slab, x, y, null, main.ActivationOf(layer));
            }
            else
            {
                Through(layer, t, slab, x, sums, null, Activation.Identity);
                Copy(sums, outputs, slab.Lanes, y);
                Epilogue<TSimd, V>.Activate(main.ActivationOf(layer), y, null, outputs, slab.Lanes);
                sums += outputs * Panel.Rows;
            }

            x = y;
            y = spare;
            spare = x;
        }

        return x;
    }

    /// <summary>
    /// The hidden layers' activations and slopes of a slab at step t, from the sums of the tape, or computed again.
    /// </summary>
    /// <param name="t">The step.</param>
    /// <param name="slab">The rows.</param>
    /// <param name="activations">One address for each hidden layer: panels [width, 32] of all rows.</param>
    /// <param name="slopes">Panels [width, 32] of the slab, one layer's behind the other's.</param>
    public void Hidden(int t, Slab slab, float** activations, float* slopes)
    {
        var main = tape.Shape.Main;
        var sums = tape.IsRecorded ? tape.Sums(t, slab) : null;
        var x = tape.Action(t) + slab.Offset(tape.Shape.ActionDim);
        for (var layer = 0; layer < main.LayerCount - 1; layer++)
        {
            var outputs = main.Widths[layer + 1];
            var y = activations[layer] + slab.Offset(outputs);
            if (sums == null)
            {
                Through(layer, t, slab, x, y, slopes, main.ActivationOf(layer));
            }
            else
            {
                Copy(sums, outputs, slab.Lanes, y);
                Epilogue<TSimd, V>.Activate(main.ActivationOf(layer), y, slopes, outputs, slab.Lanes);
                sums += outputs * Panel.Rows;
            }

            slopes += outputs * Panel.Rows;
            x = y;
        }
    }

    private void Through(int layer, int t, Slab slab, float* x, float* y, float* slope, Activation activation)
    {
        var shape = tape.Shape;
        var main = shape.Main;
        var outputs = main.Widths[layer + 1];
        if (layer == 0)
            Layer<TSimd, V>.Forward(
                packed + ((nint)shape.ObsDim * outputs), shape.ActionDim, outputs, biases + ((nint)t * outputs),
                tape.ObsProduct + slab.Offset(outputs), x, y, slope, activation, slab.Lanes);
        else
            Layer<TSimd, V>.Forward(
                packed + main.WeightOffset(layer), main.Widths[layer], outputs,
                parameters + shape.Time.ParameterCount + main.BiasOffset(layer), null, x, y, slope, activation,
                slab.Lanes);
    }

    private static void Copy(float* from, int columns, int lanes, float* to)
    {
        for (var column = 0; column < columns; column++, from += Panel.Rows, to += Panel.Rows)
        {
            for (var lane = 0; lane < lanes; lane += TSimd.Width)
                TSimd.Store(to + lane, TSimd.Load(from + lane));
        }
    }
}
