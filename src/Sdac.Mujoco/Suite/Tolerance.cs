using System;

namespace Sdac.Mujoco;

/// <summary>
/// The Control Suite's tolerance: 1 inside an interval, outside it a function of the distance over a margin that has the
/// value <c>at</c> where the distance is the margin; 0 outside if there is no margin.
/// </summary>
internal static class Tolerance
{
    private const double Infinity = double.PositiveInfinity;

    /// <summary>Of a number that should be at least so large.</summary>
    public static double AtLeast(
        double x, double low, double margin, Falloff falloff = Falloff.Gaussian, double at = 0.1) =>
        Of(x, low, Infinity, margin, falloff, at);

    /// <summary>Of a number that should be 0.</summary>
    public static double Zero(double x, double margin, Falloff falloff = Falloff.Gaussian, double at = 0.1) =>
        Of(x, 0, 0, margin, falloff, at);

    /// <summary>Of a number that should lie in [low, high].</summary>
    public static double Of(
        double x, double low, double high, double margin = 0, Falloff falloff = Falloff.Gaussian, double at = 0.1)
    {
        if (low <= x && x <= high)
            return 1;
        return margin == 0 ? 0 : Value((x < low ? low - x : x - high) / margin, falloff, at);
    }

    /// <summary>mean over controls of tolerance(u; 0, 0, 1, quadratic, 0): how small the controls are.</summary>
    public static double SmallControls(ReadOnlySpan<double> controls)
    {
        var sum = 0.0;
        foreach (var control in controls)
            sum += Zero(control, 1, Falloff.Quadratic, 0);
        return sum / controls.Length;
    }

    private static double Value(double d, Falloff falloff, double at)
    {
        switch (falloff)
        {
            case Falloff.Linear:
                return Math.Abs(d * (1 - at)) < 1 ? 1 - d * (1 - at) : 0;
            case Falloff.Quadratic:
                var root = d * Math.Sqrt(1 - at);
                return Math.Abs(root) < 1 ? 1 - root * root : 0;
            case Falloff.Cosine:
                var s = d * Math.Acos(2 * at - 1) / Math.PI;
                return Math.Abs(s) < 1 ? (1 + Math.Cos(Math.PI * s)) / 2 : 0;
            case Falloff.Reciprocal:
                return 1 / (d * (1 / at - 1) + 1);
            case Falloff.LongTail:
                var tail = d * Math.Sqrt(1 / at - 1);
                return 1 / (tail * tail + 1);
            case Falloff.Hyperbolic:
                return 1 / Math.Cosh(d * Math.Acosh(1 / at));
            case Falloff.TanhSquared:
                var tanh = Math.Tanh(d * Math.Atanh(Math.Sqrt(1 - at)));
                return 1 - tanh * tanh;
            default:
                var scaled = d * Math.Sqrt(-2 * Math.Log(at));
                return Math.Exp(-0.5 * scaled * scaled);
        }
    }
}
