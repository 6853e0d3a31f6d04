using System;
using Sdac.Kernels.Simd;
using static System.FormattableString;

namespace Sdac.Kernels;

/// <summary>
/// Reverse diffusion sampling of actions (design §7.1): x_T = scale·N(0, I); for t = T-1 .. 0: ε = ε_θ(s, x, t),
/// x̂_0 = clip(x·√(1/ᾱ_t) - ε·√(1/ᾱ_t - 1), -1, 1), x ← x̂_0·Mean1 + x·Mean2 + [t > 0]·σ_t·N(0, I); at last clip to
/// [-1, 1].
/// </summary>
/// <remarks>
/// Works on a block of rows through all timesteps, so that its activations stay in the nearest caches; the
/// observation's share of the first layer is computed once per state and the time's share once per timestep. Equals the
/// network evaluated step by step up to rounding: the first layer's sum runs (bias + obs) + time, then the action.
/// </remarks>
public static unsafe partial class ReverseSampler
{
    /// <summary>Samples with noise from two streams of normals.</summary>
    /// <param name="shape">The noise network.</param>
    /// <param name="parameters">[ParameterCount].</param>
    /// <param name="coefficients">The schedule; its length is T.</param>
    /// <param name="obs">[states, obsDim].</param>
    /// <param name="states">Number of states S.</param>
    /// <param name="particles">Samples per state P, at least 1.</param>
    /// <param name="initialScale">Standard deviation of x_T.</param>
    /// <param name="initialKey">x_T's stream: element (s·P + p)·A + a.</param>
    /// <param name="stepKey">The steps' stream: element ((i·S + s)·P + p)·A + a at t = T-1-i.</param>
    /// <param name="actions">[S, P, A].</param>
    /// <exception cref="ArgumentException">A length that does not fit.</exception>
    public static void Sample(
        NoiseNetworkShape shape, ReadOnlySpan<float> parameters, ReverseCoefficients coefficients,
        ReadOnlySpan<float> obs, int states, int particles, float initialScale, PhiloxKey initialKey,
        PhiloxKey stepKey, Span<float> actions)
    {
        CheckArguments(shape, parameters, coefficients, obs, states, particles, actions);
        Count(shape, coefficients.Timesteps, states, particles);
        fixed (float* p = parameters, o = obs, a = actions)
        {
            var kernel = new SampleKernel(shape, p, coefficients, o, states, particles, a)
            {
                InitialScale = initialScale,
                InitialKey = initialKey,
                StepKey = stepKey,
            };
            KernelPaths.Run(ref kernel);
        }
    }

    /// <summary>As <see cref="Sample"/>, with the noise given.</summary>
    /// <param name="shape">The noise network.</param>
    /// <param name="parameters">[ParameterCount].</param>
    /// <param name="coefficients">The schedule; its length is T.</param>
    /// <param name="obs">[states, obsDim].</param>
    /// <param name="states">Number of states S.</param>
    /// <param name="particles">Samples per state P, at least 1.</param>
    /// <param name="initialScale">Standard deviation of x_T.</param>
    /// <param name="initialNoise">[S, P, A].</param>
    /// <param name="stepNoise">[T, S, P, A]; entry i is used at t = T-1-i.</param>
    /// <param name="actions">[S, P, A].</param>
    /// <exception cref="ArgumentException">A length that does not fit.</exception>
    public static void SampleWithNoise(
        NoiseNetworkShape shape, ReadOnlySpan<float> parameters, ReverseCoefficients coefficients,
        ReadOnlySpan<float> obs, int states, int particles, float initialScale, ReadOnlySpan<float> initialNoise,
        ReadOnlySpan<float> stepNoise, Span<float> actions)
    {
        CheckArguments(shape, parameters, coefficients, obs, states, particles, actions);
        Check.Length(
            nameof(initialNoise), initialNoise.Length, actions.Length, "states x particles x action dimension");
        Check.Length(
            nameof(stepNoise), stepNoise.Length, (long)actions.Length * coefficients.Timesteps,
            "timesteps x states x particles x action dimension");
        Count(shape, coefficients.Timesteps, states, particles);
        fixed (float* p = parameters, o = obs, a = actions, i = initialNoise, z = stepNoise)
        {
            var kernel = new SampleKernel(shape, p, coefficients, o, states, particles, a)
            {
                InitialScale = initialScale,
                InitialNoise = i,
                StepNoise = z,
            };
            KernelPaths.Run(ref kernel);
        }
    }

    private static void CheckArguments(
        NoiseNetworkShape shape, ReadOnlySpan<float> parameters, ReverseCoefficients coefficients,
        ReadOnlySpan<float> obs, int states, int particles, Span<float> actions)
    {
        ArgumentNullException.ThrowIfNull(shape);
        ArgumentNullException.ThrowIfNull(coefficients);
        coefficients.CheckLengths();
        Check.Length(nameof(parameters), parameters.Length, shape.ParameterCount, "the shape's ParameterCount");
        if (states < 0 || (long)states * particles > int.MaxValue)
            throw new ArgumentException(
                Invariant($"states is {states} and particles {particles}: their product must be from 0 to {int.MaxValue}."),
                nameof(states));
        Check.Positive(nameof(particles), particles);
        Check.Length(nameof(obs), obs.Length, (long)states * shape.ObsDim, "states x obs dimension");
        Check.Length(
            nameof(actions), actions.Length, (long)states * particles * shape.ActionDim,
            "states x particles x action dimension");
    }

    // The time network's rows are counted by its own pass.
    private static void Count(NoiseNetworkShape shape, int timesteps, long states, int particles)
    {
        if (states == 0)
            return;
        PassTally.Current?.Add(
            shape.Main, PassKind.Forward, timesteps * states * particles,
            MultiplyAdds.Chain(shape, states, states * particles, timesteps));
    }

    /// <summary>sum = a + b.</summary>
    internal static void Add<TSimd, V>(float* a, float* b, int count, float* sum)
        where TSimd : struct, ISimd<V>
        where V : struct
    {
        var i = 0;
        for (; i + TSimd.Width <= count; i += TSimd.Width)
            TSimd.Store(sum + i, TSimd.Add(TSimd.Load(a + i), TSimd.Load(b + i)));
        for (; i < count; i++)
            sum[i] = a[i] + b[i];
    }
}
