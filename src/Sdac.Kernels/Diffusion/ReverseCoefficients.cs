using System;

namespace Sdac.Kernels;

/// <summary>
/// What reverse sampling needs of a noise schedule, one entry per timestep (compute in double, then round):
/// x̂_0 = clip(x·SqrtRecip - ε·SqrtRecipM1, -1, 1), x ← x̂_0·Mean1 + x·Mean2 + [t > 0]·Sigma·N(0, I).
/// </summary>
/// <param name="SqrtRecip">√(1/ᾱ_t).</param>
/// <param name="SqrtRecipM1">√(1/ᾱ_t - 1).</param>
/// <param name="Mean1">The posterior mean's factor of x̂_0.</param>
/// <param name="Mean2">The posterior mean's factor of x.</param>
/// <param name="Sigma">The posterior's standard deviation; entry 0 is not used.</param>
public sealed record ReverseCoefficients(
    float[] SqrtRecip, float[] SqrtRecipM1, float[] Mean1, float[] Mean2, float[] Sigma)
{
    /// <summary>The number of diffusion steps T.</summary>
    public int Timesteps => SqrtRecip.Length;

    internal void CheckLengths()
    {
        Check.Positive(nameof(Timesteps), Timesteps);
        const string meaning = "the number of timesteps (SqrtRecip's length)";
        Check.Length(nameof(SqrtRecipM1), SqrtRecipM1.Length, Timesteps, meaning);
        Check.Length(nameof(Mean1), Mean1.Length, Timesteps, meaning);
        Check.Length(nameof(Mean2), Mean2.Length, Timesteps, meaning);
        Check.Length(nameof(Sigma), Sigma.Length, Timesteps, meaning);
    }
}
