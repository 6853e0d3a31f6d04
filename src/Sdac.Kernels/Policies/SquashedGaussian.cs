using System;
using Sdac.Kernels.Linear;
using Sdac.Kernels.Simd;

namespace Sdac.Kernels;

/// <summary>
/// The squashed Gaussian policy (Haarnoja et al. 2018, arXiv 1812.05905, appendix C): u = μ + σ·ε, a = tanh(u),
/// log π = Σ_i [-½ε² - log σ - ½ ln 2π - ln(1 - tanh²u)], the last term exact for every u.
/// </summary>
/// <remarks>Sums run over the action's dimensions in order: no bit depends on the vector width or the threads.</remarks>
public static unsafe partial class SquashedGaussian
{
    // Fused multiply-adds that an element's exponentials and logarithms are worth.
    private const long OperationsPerElement = 60;

    private const float HalfLogTwoPi = 0.918938533f;

    /// <summary>Actions and their log-probabilities.</summary>
    /// <param name="actionDim">Columns A of an action.</param>
    /// <param name="range">From the raw output to log σ.</param>
    /// <param name="tanhCorrection">False leaves out ln(1 - tanh²u): the unsquashed Gaussian's log-probability.</param>
    /// <param name="output">[rows, 2A]: the means, then the raw outputs for log σ.</param>
    /// <param name="noise">ε [rows, A].</param>
    /// <param name="action">[rows, A].</param>
    /// <param name="logProbability">[rows].</param>
    /// <exception cref="ArgumentException">A length that does not fit.</exception>
    public static void Sample(
        int actionDim, LogStdRange range, bool tanhCorrection, ReadOnlySpan<float> output, ReadOnlySpan<float> noise,
        Span<float> action, Span<float> logProbability)
    {
        CheckLengths(actionDim, logProbability.Length, nameof(action), output, noise, action.Length);
        fixed (float* y = output, e = noise, a = action, l = logProbability)
        {
            var kernel = new Kernel(actionDim, logProbability.Length, range, tanhCorrection, y, e)
            {
                Action = a,
                LogProbability = l,
            };
            KernelPaths.Run(ref kernel);
        }
    }

    /// <summary>The gradient of a loss with respect to the network's output, the noise being fixed.</summary>
    /// <param name="actionDim">Columns A of an action.</param>
    /// <param name="range">From the raw output to log σ.</param>
    /// <param name="tanhCorrection">As for <see cref="Sample"/>.</param>
    /// <param name="output">[rows, 2A], as for <see cref="Sample"/>.</param>
    /// <param name="noise">ε [rows, A].</param>
    /// <param name="actionGradient">[rows, A].</param>
    /// <param name="logProbabilityGradient">[rows].</param>
    /// <param name="outputGradient">[rows, 2A], overwritten.</param>
    /// <exception cref="ArgumentException">A length that does not fit.</exception>
    public static void Backward(
        int actionDim, LogStdRange range, bool tanhCorrection, ReadOnlySpan<float> output, ReadOnlySpan<float> noise,
        ReadOnlySpan<float> actionGradient, ReadOnlySpan<float> logProbabilityGradient, Span<float> outputGradient)
    {
        var rows = logProbabilityGradient.Length;
        CheckLengths(actionDim, rows, nameof(actionGradient), output, noise, actionGradient.Length);
        Check.Length(nameof(outputGradient), outputGradient.Length, 2L * rows * actionDim, "rows x 2 x action dimension");
        fixed (float* y = output, e = noise, da = actionGradient, dl = logProbabilityGradient, dy = outputGradient)
        {
            var kernel = new Kernel(actionDim, rows, range, tanhCorrection, y, e)
            {
                ActionGradient = da,
                LogProbabilityGradient = dl,
                OutputGradient = dy,
            };
            KernelPaths.Run(ref kernel);
        }
    }

    private static void CheckLengths(
        int actionDim, int rows, string actionName, ReadOnlySpan<float> output, ReadOnlySpan<float> noise, int action)
    {
        Check.Positive(nameof(actionDim), actionDim);
        Check.Length(nameof(output), output.Length, 2L * rows * actionDim, "rows x 2 x action dimension");
        Check.Length(nameof(noise), noise.Length, (long)rows * actionDim, "rows x action dimension");
        Check.Length(actionName, action, (long)rows * actionDim, "rows x action dimension");
    }
}
