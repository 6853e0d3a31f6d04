namespace Sdac.Kernels.Linear;

/// <summary>
/// A layer norm as a kernel needs it: z ← g ⊙ x̂ + c with x̂ = (z - mean z)/√(var z + ε) over the columns of each row.
/// The default value stands for no norm.
/// </summary>
internal readonly unsafe struct Norm(float* weight, float* bias, float epsilon, float* normalised, float* inverse)
{
    /// <summary>g, one number per column.</summary>
    public readonly float* Weight = weight;

    /// <summary>c, one number per column.</summary>
    public readonly float* Bias = bias;

    public readonly float Epsilon = epsilon;

    /// <summary>Panel [columns, 32] of x̂, for the backward pass; null where there will be none.</summary>
    public readonly float* Normalised = normalised;

    /// <summary>One panel row [32] of 1/√(var z + ε), or null with <see cref="Normalised"/>.</summary>
    public readonly float* Inverse = inverse;

    public bool IsPresent => Weight != null;

    /// <summary>Layer <paramref name="layer"/>'s norm, or none.</summary>
    public static Norm Of(
        MlpShape shape, int layer, float* parameters, float* normalised = null, float* inverse = null) =>
        shape.HasNorm(layer)
            ? new Norm(
                parameters + shape.NormWeightOffset(layer), parameters + shape.NormBiasOffset(layer),
                shape.LayerNormEpsilon!.Value, normalised, inverse)
            : default;
}
