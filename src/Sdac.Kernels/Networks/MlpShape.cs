using System;
using static System.FormattableString;

namespace Sdac.Kernels;

/// <summary>
/// The widths and activations of a multi-layer perceptron, and where its parameters lie in one flat vector: layer after
/// layer, first the weights W, row-major [in, out], then the biases b [out]; y = activation(x·W + b). With layer norm,
/// every layer but the last is y = activation(LN(x·W + b)), LN(z) = g ⊙ (z - mean z)/√(var z + ε) + c with mean and
/// population variance over the columns of each row; g [out] and c [out] follow the layer's biases.
/// </summary>
public sealed class MlpShape
{
    private readonly int[] widths;
    private readonly int[] weightOffsets;

    /// <summary>A network of <c>widths.Length - 1</c> layers.</summary>
    /// <param name="widths">Input width, hidden widths, output width.</param>
    /// <param name="hidden">Follows every layer but the last.</param>
    /// <param name="output">Follows the last layer.</param>
    /// <param name="layerNormEpsilon">ε of the layer norm of every layer but the last; null: no layer norm.</param>
    /// <exception cref="ArgumentException">Fewer than two widths, a width below 1, too many parameters, or an ε that is
    /// no positive number.</exception>
    public MlpShape(
        ReadOnlySpan<int> widths, Activation hidden, Activation output, float? layerNormEpsilon = null)
    {
        if (widths.Length < 2)
            throw new ArgumentException(
                $"widths has {widths.Length} entries, but a network needs an input and an output width.",
                nameof(widths));
        foreach (var width in widths)
            Check.Positive(nameof(widths), width);
        this.widths = widths.ToArray();
        Hidden = Defined(hidden, nameof(hidden));
        Output = Defined(output, nameof(output));
        if (layerNormEpsilon is { } epsilon && !(epsilon > 0 && float.IsFinite(epsilon)))
            throw new ArgumentException(
                Invariant($"layerNormEpsilon is {epsilon}, but must be a positive number; null leaves the norm out."),
                nameof(layerNormEpsilon));
        LayerNormEpsilon = layerNormEpsilon;
        weightOffsets = new int[widths.Length];
        long offset = 0;
        for (var layer = 0; layer + 1 < widths.Length; layer++)
        {
            weightOffsets[layer] = (int)offset;
            offset += (widths[layer] + (HasNorm(layer) ? 3L : 1L)) * widths[layer + 1];
            if (offset > int.MaxValue)
                throw new ArgumentException(
                    Invariant($"widths ask for more than {int.MaxValue:N0} parameters, which one vector cannot hold."),
                    nameof(widths));
            MaximumWidth = Math.Max(MaximumWidth, Math.Max(widths[layer], widths[layer + 1]));
        }

        weightOffsets[^1] = (int)offset;
    }

    /// <summary>Activation after every layer but the last.</summary>
    public Activation Hidden { get; }

    /// <summary>Activation after the last layer.</summary>
    public Activation Output { get; }

    /// <summary>ε of the layer norm of every layer but the last; null: no layer norm.</summary>
    public float? LayerNormEpsilon { get; }

    /// <summary>Input width, hidden widths, output width.</summary>
    public ReadOnlySpan<int> Widths => widths;

    /// <summary>Columns of an input row.</summary>
    public int InputWidth => widths[0];

    /// <summary>Columns of an output row.</summary>
    public int OutputWidth => widths[^1];

    /// <summary>Linear layers.</summary>
    public int LayerCount => widths.Length - 1;

    /// <summary>Length of the flat parameter vector.</summary>
    public int ParameterCount => weightOffsets[^1];

    /// <summary>The largest of all widths.</summary>
    internal int MaximumWidth { get; }

    /// <summary>Where layer <paramref name="layer"/>'s weights [in, out] start.</summary>
    public int WeightOffset(int layer) => weightOffsets[Layer(layer)];

    /// <summary>Where layer <paramref name="layer"/>'s biases [out] start.</summary>
    public int BiasOffset(int layer) => weightOffsets[Layer(layer)] + (widths[layer] * widths[layer + 1]);

    /// <summary>Whether layer <paramref name="layer"/>'s sums pass a layer norm before the activation.</summary>
    public bool HasNorm(int layer) => LayerNormEpsilon is not null && Layer(layer) < LayerCount - 1;

    /// <summary>Where the gains g [out] of layer <paramref name="layer"/>'s norm start, if it has one.</summary>
    public int NormWeightOffset(int layer) => BiasOffset(layer) + widths[layer + 1];

    /// <summary>Where the offsets c [out] of layer <paramref name="layer"/>'s norm start, if it has one.</summary>
    public int NormBiasOffset(int layer) => NormWeightOffset(layer) + widths[layer + 1];

    /// <summary>What follows layer <paramref name="layer"/>.</summary>
    public Activation ActivationOf(int layer) => Layer(layer) == LayerCount - 1 ? Output : Hidden;

    internal bool IsSameAs(MlpShape other) =>
        Hidden == other.Hidden && Output == other.Output && LayerNormEpsilon == other.LayerNormEpsilon
        && Widths.SequenceEqual(other.Widths);

    private static Activation Defined(Activation value, string name) =>
        value is >= Activation.Identity and <= Activation.Elu
            ? value
            : throw new ArgumentException(Invariant($"{name} is {(int)value}, which is no activation."), name);

    private int Layer(int layer) => (uint)layer < (uint)LayerCount
        ? layer
        : throw new ArgumentException(Invariant($"layer is {layer}, but must be from 0 to {LayerCount - 1}."), nameof(layer));
}
