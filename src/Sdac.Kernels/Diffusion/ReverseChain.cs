using System;
using Sdac.Kernels.Simd;
using static System.FormattableString;

namespace Sdac.Kernels;

/// <summary>
/// One reverse diffusion per row, as <see cref="ReverseSampler"/> does it, and the gradient through all its steps.
/// </summary>
/// <remarks>
/// The observation's share of the first layer is multiplied once per row and the time's once per step, forward and
/// backward: the gradient of their weights comes from the first layer's gradient summed over steps, and over rows. Rows
/// go forward block by block through all steps; backward all rows take a step together, whose sums over rows then go on
/// where the last step's ended. Neither depends on the number of threads.
/// </remarks>
public static unsafe partial class ReverseChain
{
    /// <summary>Whether the network is one of those this class can differentiate: without layer norm.</summary>
    public static bool CanRun(NoiseNetworkShape shape)
    {
        ArgumentNullException.ThrowIfNull(shape);
        return shape.Main.LayerNormEpsilon is null;
    }

    /// <summary>The chain's actions; the tape returned is what <see cref="Backward"/> needs.</summary>
    /// <param name="shape">The noise network, without layer norm.</param>
    /// <param name="parameters">[ParameterCount].</param>
    /// <param name="coefficients">The schedule; its length is T.</param>
    /// <param name="obs">[rows, obsDim].</param>
    /// <param name="rows">Number of rows.</param>
    /// <param name="initialScale">Standard deviation of x_T.</param>
    /// <param name="initialNoise">[rows, A].</param>
    /// <param name="stepNoise">[T, rows, A]; entry i is used at t = T-1-i.</param>
    /// <param name="record">Keep the hidden layers' sums of all steps; otherwise the backward pass computes them
    /// again.</param>
    /// <param name="actions">[rows, A].</param>
    /// <exception cref="ArgumentException">A length that does not fit, or a network with layer norm.</exception>
    public static ChainTape Forward(
        NoiseNetworkShape shape, ReadOnlySpan<float> parameters, ReverseCoefficients coefficients,
        ReadOnlySpan<float> obs, int rows, float initialScale, ReadOnlySpan<float> initialNoise,
        ReadOnlySpan<float> stepNoise, bool record, Span<float> actions)
    {
        CheckNetwork(shape, parameters, coefficients);
        if (rows < 0)
            throw new ArgumentException(Invariant($"rows is {rows}, but must not be negative."), nameof(rows));
        Check.Length(nameof(obs), obs.Length, (long)rows * shape.ObsDim, "rows x obs dimension");
        Check.Length(nameof(actions), actions.Length, (long)rows * shape.ActionDim, "rows x action dimension");
        Check.Length(nameof(initialNoise), initialNoise.Length, actions.Length, "rows x action dimension");
        Check.Length(
            nameof(stepNoise), stepNoise.Length, (long)actions.Length * coefficients.Timesteps,
            "timesteps x rows x action dimension");
        var tape = new ChainTape(shape, coefficients.Timesteps, rows, record);
        if (rows == 0)
            return tape;
        PassTally.Current?.Add(
            shape.Main, PassKind.Recorded, (long)rows * coefficients.Timesteps,
            MultiplyAdds.Chain(shape, rows, rows, coefficients.Timesteps));
        fixed (float* p = parameters, o = obs, i = initialNoise, z = stepNoise, a = actions)
        {
            var kernel = new ForwardKernel
            {
                Tape = tape,
                Parameters = p,
                Coefficients = coefficients,
                Obs = o,
                InitialScale = initialScale,
                InitialNoise = i,
                StepNoise = z,
                Actions = a,
            };
            KernelPaths.Run(ref kernel);
        }

        return tape;
    }

    /// <summary>
    /// The gradients of a scalar loss, given its gradient with respect to the chain's actions: none passes a clip that is
    /// active.
    /// </summary>
    /// <param name="parameters">The parameters of the forward pass [ParameterCount].</param>
    /// <param name="coefficients">The schedule of the forward pass.</param>
    /// <param name="obs">The observations of the forward pass [rows, obsDim].</param>
    /// <param name="tape">What the forward pass left.</param>
    /// <param name="actionGradient">[rows, A].</param>
    /// <param name="parameterGradient">[ParameterCount], overwritten; empty if not wanted.</param>
    /// <param name="initialGradient">With respect to x_T [rows, A], overwritten.</param>
    /// <exception cref="ArgumentException">A length that does not fit.</exception>
    /// <exception cref="ObjectDisposedException">The tape was disposed.</exception>
    public static void Backward(
        ReadOnlySpan<float> parameters, ReverseCoefficients coefficients, ReadOnlySpan<float> obs, ChainTape tape,
        ReadOnlySpan<float> actionGradient, Span<float> parameterGradient, Span<float> initialGradient)
    {
        ArgumentNullException.ThrowIfNull(tape);
        ObjectDisposedException.ThrowIf(tape.IsDisposed, tape);
        var shape = tape.Shape;
        CheckNetwork(shape, parameters, coefficients);
        if (coefficients.Timesteps != tape.Timesteps)
            throw new ArgumentException(
                Invariant($"coefficients has {coefficients.Timesteps} steps, but the tape was recorded with {tape.Timesteps}."),
                nameof(coefficients));
        const string perRow = "rows of the tape x action dimension";
        var actions = (long)tape.Rows * shape.ActionDim;
        Check.Length(nameof(obs), obs.Length, (long)tape.Rows * shape.ObsDim, "rows of the tape x obs dimension");
        Check.Length(nameof(actionGradient), actionGradient.Length, actions, perRow);
        Check.Length(nameof(initialGradient), initialGradient.Length, actions, perRow);
        if (!parameterGradient.IsEmpty)
            Check.Length(
                nameof(parameterGradient), parameterGradient.Length, shape.ParameterCount,
                "the shape's ParameterCount");
        parameterGradient.Clear();
        if (tape.Rows == 0)
            return;
        var toParameters = !parameterGradient.IsEmpty;
        PassTally.Current?.Add(
            shape.Main, toParameters ? PassKind.BackToParameters : PassKind.BackToInputs,
            (long)tape.Rows * tape.Timesteps,
            MultiplyAdds.ChainBackward(shape, tape.Rows, tape.Timesteps, toParameters, tape.IsRecorded));
        fixed (float* p = parameters, o = obs, g = actionGradient, dp = parameterGradient, dx = initialGradient)
        {
            var kernel = new BackwardKernel
            {
                Tape = tape,
                Parameters = p,
                Coefficients = coefficients,
                Obs = o,
                ActionGradient = g,
                ParameterGradient = dp,
                InitialGradient = dx,
            };
            KernelPaths.Run(ref kernel);
        }

        // The kernel works with pointers into the tape: its finalizer must not run before.
        GC.KeepAlive(tape);
    }

    private static void CheckNetwork(
        NoiseNetworkShape shape, ReadOnlySpan<float> parameters, ReverseCoefficients coefficients)
    {
        ArgumentNullException.ThrowIfNull(coefficients);
        coefficients.CheckLengths();
        if (!CanRun(shape))
            throw new ArgumentException(
                "shape has a layer norm, which a chain's kernel cannot differentiate: take one without.", nameof(shape));
        Check.Length(nameof(parameters), parameters.Length, shape.ParameterCount, "the shape's ParameterCount");
    }
}
