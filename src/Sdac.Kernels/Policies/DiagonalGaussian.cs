using System;
using Sdac.Kernels.Simd;

namespace Sdac.Kernels;

/// <summary>
/// A Gaussian policy whose log σ [A] is the same for every state: log π = Σ_i [-½z² - log σ_i - ½ ln 2π],
/// z = (a - μ)/σ. A log σ beyond -80 to 20 counts as that limit.
/// </summary>
/// <remarks>
/// Sums over dimensions run in order; sums over rows add up panels of 32 rows in order, each in the order of its rows:
/// no bit depends on the vector width or the threads.
/// </remarks>
public static unsafe partial class DiagonalGaussian
{
    // Fused multiply-adds that an element's division and its share of the reordering are worth.
    private const long OperationsPerElement = 30;

    private const float HalfLogTwoPi = 0.918938533f;

    /// <summary>Log-probabilities of given actions.</summary>
    /// <param name="logStd">[A].</param>
    /// <param name="mean">[rows, A].</param>
    /// <param name="action">[rows, A].</param>
    /// <param name="logProbability">[rows].</param>
    /// <exception cref="ArgumentException">A length that does not fit.</exception>
    public static void LogProbability(
        ReadOnlySpan<float> logStd, ReadOnlySpan<float> mean, ReadOnlySpan<float> action, Span<float> logProbability)
    {
        CheckLengths(logStd.Length, logProbability.Length, mean.Length, action.Length);
        fixed (float* s = logStd, m = mean, a = action, l = logProbability)
        {
            var kernel = new Kernel(logStd.Length, logProbability.Length, s, m, a) { LogProbability = l };
            KernelPaths.Run(ref kernel);
        }
    }

    /// <summary>
    /// The gradients of a loss, given its gradient g with respect to the log-probabilities of fixed actions:
    /// dμ = g·z/σ, dlogσ = Σ_rows g·(z² - 1).
    /// </summary>
    /// <param name="logStd">[A].</param>
    /// <param name="mean">[rows, A].</param>
    /// <param name="action">[rows, A].</param>
    /// <param name="logProbabilityGradient">[rows].</param>
    /// <param name="meanGradient">[rows, A], overwritten.</param>
    /// <param name="logStdGradient">[A], overwritten.</param>
    /// <exception cref="ArgumentException">A length that does not fit.</exception>
    public static void Backward(
        ReadOnlySpan<float> logStd, ReadOnlySpan<float> mean, ReadOnlySpan<float> action,
        ReadOnlySpan<float> logProbabilityGradient, Span<float> meanGradient, Span<float> logStdGradient)
    {
        var rows = logProbabilityGradient.Length;
        CheckLengths(logStd.Length, rows, mean.Length, action.Length);
        Check.Length(nameof(meanGradient), meanGradient.Length, mean.Length, "rows x action dimension");
        Check.Length(nameof(logStdGradient), logStdGradient.Length, logStd.Length, "the action dimension");
        fixed (float* s = logStd, m = mean, a = action, dl = logProbabilityGradient, dm = meanGradient, ds = logStdGradient)
        {
            var kernel = new Kernel(logStd.Length, rows, s, m, a)
            {
                LogProbabilityGradient = dl,
                MeanGradient = dm,
                LogStdGradient = ds,
            };
            KernelPaths.Run(ref kernel);
        }
    }

    private static void CheckLengths(int actionDim, int rows, int mean, int action)
    {
        Check.Positive("logStd's length", actionDim);
        Check.Length(nameof(mean), mean, (long)rows * actionDim, "rows x action dimension");
        Check.Length(nameof(action), action, (long)rows * actionDim, "rows x action dimension");
    }
}
