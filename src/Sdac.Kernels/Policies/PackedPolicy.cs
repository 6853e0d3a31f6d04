using System;
using Sdac.Kernels.Linear;
using Sdac.Kernels.Simd;
using static System.FormattableString;

namespace Sdac.Kernels;

/// <summary>
/// A diffusion policy and the twin critics that choose among its actions, laid out once to act on one observation after the
/// other: what does not depend on the observation is computed here, and threads take a few actions at a time from timestep to
/// timestep and through a critic. Gives the bits of <see cref="ReverseSampler.Sample"/> and of <see cref="Mlp.Forward"/>.
/// </summary>
/// <remarks>
/// Holds native memory of the networks' size, the policy's once for each of <see cref="Workers.Threads"/>.
/// </remarks>
public sealed unsafe partial class PackedPolicy : IDisposable
{
    private const int MostCopies = 8;

    private readonly NoiseNetworkShape shape;
    private readonly ReverseCoefficients coefficients;
    private readonly float initialScale;
    private readonly MlpShape? critic;

    // One copy for each thread: where two read the same weights, lines that one core's cache has lost are fetched from the
    // other's, which took a tenth to a fifth longer.
    private readonly PackedNetwork[] policies;
    private readonly PackedNetwork[] critics;

    // [T, first hidden width]: what the embedded timestep adds to the first layer's sums.
    private readonly float[] timeStarts;
    private bool isDisposed;

    /// <summary>Packs a policy alone.</summary>
    /// <param name="shape">The noise network.</param>
    /// <param name="parameters">[ParameterCount].</param>
    /// <param name="coefficients">The schedule; its length is T.</param>
    /// <param name="initialScale">Standard deviation of x_T.</param>
    /// <exception cref="ArgumentException">A length that does not fit, or a network that cannot be packed.</exception>
    public PackedPolicy(
        NoiseNetworkShape shape, ReadOnlySpan<float> parameters, ReverseCoefficients coefficients, float initialScale)
    {
        ArgumentNullException.ThrowIfNull(shape);
        ArgumentNullException.ThrowIfNull(coefficients);
        coefficients.CheckLengths();
        Check.Length(nameof(parameters), parameters.Length, shape.ParameterCount, "the shape's ParameterCount");
        CheckPacking(nameof(shape), shape.Main);
        this.shape = shape;
        this.coefficients = coefficients;
        this.initialScale = initialScale;
        timeStarts = ReverseSampler.TimeBiases(shape, parameters, coefficients.Timesteps);
        critics = [];
        policies = new PackedNetwork[Math.Min(Workers.Threads, MostCopies)];
        for (var i = 0; i < policies.Length; i++)
            policies[i] = new PackedNetwork(
                shape.Main, parameters[shape.Time.ParameterCount..], shape.ObsDim, shape.ActionDim);
    }

    /// <summary>Packs a policy and two critics.</summary>
    /// <param name="shape">The noise network.</param>
    /// <param name="parameters">[ParameterCount].</param>
    /// <param name="coefficients">The schedule; its length is T.</param>
    /// <param name="initialScale">Standard deviation of x_T.</param>
    /// <param name="critic">Both critics, [obs | action] → 1.</param>
    /// <param name="first">Parameters of one [ParameterCount].</param>
    /// <param name="second">Parameters of the other [ParameterCount].</param>
    /// <exception cref="ArgumentException">A length that does not fit, or networks that cannot be packed.</exception>
    public PackedPolicy(
        NoiseNetworkShape shape, ReadOnlySpan<float> parameters, ReverseCoefficients coefficients, float initialScale,
        MlpShape critic, ReadOnlySpan<float> first, ReadOnlySpan<float> second)
        : this(shape, parameters, coefficients, initialScale)
    {
        ArgumentNullException.ThrowIfNull(critic);
        CheckPacking(nameof(critic), critic);
        Check.Length(nameof(first), first.Length, critic.ParameterCount, "the critic's ParameterCount");
        Check.Length(nameof(second), second.Length, critic.ParameterCount, "the critic's ParameterCount");
        if (critic.OutputWidth != 1 || critic.InputWidth != shape.ObsDim + shape.ActionDim)
            throw new ArgumentException(
                Invariant($"critic maps {critic.InputWidth} numbers to {critic.OutputWidth}, but must map an observation ")
                    + Invariant($"and an action of the policy, {shape.ObsDim} and {shape.ActionDim} numbers, to 1."),
                nameof(critic));
        this.critic = critic;
        critics =
        [
            new PackedNetwork(critic, first, shape.ObsDim, shape.ActionDim),
            new PackedNetwork(critic, second, shape.ObsDim, shape.ActionDim),
        ];
    }

    /// <summary>Whether a network can be packed: no layer norm, no layer wider than 1,024.</summary>
    public static bool CanPack(MlpShape shape)
    {
        ArgumentNullException.ThrowIfNull(shape);
        return shape.LayerNormEpsilon is null && shape.MaximumWidth <= Strip.MaximumWidth;
    }

    /// <summary>Actions on one observation, each by a chain of its own, and what each critic says of them.</summary>
    /// <param name="obs">[obsDim].</param>
    /// <param name="particles">Actions P, at least 1.</param>
    /// <param name="initialKey">x_T's stream, as <see cref="ReverseSampler.Sample"/> reads it for one state.</param>
    /// <param name="stepKey">The steps' stream.</param>
    /// <param name="actions">[P, A].</param>
    /// <param name="firstValues">[P], or empty without critics.</param>
    /// <param name="secondValues">[P].</param>
    /// <exception cref="ArgumentException">A length that does not fit.</exception>
    /// <exception cref="ObjectDisposedException">After <see cref="Dispose"/>.</exception>
    public void Act(
        ReadOnlySpan<float> obs, int particles, PhiloxKey initialKey, PhiloxKey stepKey, Span<float> actions,
        Span<float> firstValues, Span<float> secondValues)
    {
        ObjectDisposedException.ThrowIf(isDisposed, this);
        Check.Positive(nameof(particles), particles);
        Check.Length(nameof(obs), obs.Length, shape.ObsDim, "obs dimension");
        Check.Length(nameof(actions), actions.Length, (long)particles * shape.ActionDim, "particles x action dimension");
        var values = critic is null ? 0 : particles;
        Check.Length(nameof(firstValues), firstValues.Length, values, "particles, or none without critics");
        Check.Length(nameof(secondValues), secondValues.Length, values, "particles, or none without critics");
        Count(particles);
        fixed (float* o = obs, a = actions, v = firstValues, w = secondValues, t = timeStarts)
        {
            var kernel = new ActKernel
            {
                Policy = this,
                Obs = o,
                TimeStarts = t,
                Particles = particles,
                InitialKey = initialKey,
                StepKey = stepKey,
                Actions = a,
                FirstValues = v,
                SecondValues = w,
            };
            KernelPaths.Run(ref kernel);
        }

        // the packed memory is freed when its owner is collected
        GC.KeepAlive(this);
    }

    /// <summary>Frees the packed networks.</summary>
    public void Dispose()
    {
        isDisposed = true;
        foreach (var network in policies)
            network.Dispose();
        foreach (var network in critics)
            network.Dispose();
    }

    private void Count(int particles)
    {
        var steps = coefficients.Timesteps;
        var chain = MultiplyAdds.Chain(shape, 1, particles, steps) - MultiplyAdds.Times(shape, steps);
        PassTally.Current?.Add(shape.Main, PassKind.Forward, (long)steps * particles, chain);
        if (critic is not null)
            PassTally.Current?.Add(
                critic, PassKind.Forward, 2L * particles, 2 * MultiplyAdds.Forward(critic, particles, 1, shape.ObsDim));
    }

    private static void CheckPacking(string name, MlpShape shape)
    {
        if (!CanPack(shape))
            throw new ArgumentException(
                Invariant(
                    $"{name} has layer norm or a layer wider than {Strip.MaximumWidth:N0}: such networks cannot be packed."),
                name);
    }
}
