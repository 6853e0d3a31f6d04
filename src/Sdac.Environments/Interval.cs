using System.Globalization;

namespace Sdac.Environments;

/// <summary>An interval of a task's option, written [low, high]; ends may be infinite.</summary>
public readonly record struct Interval(double Low, double High)
{
    /// <summary>Whether a number lies strictly inside.</summary>
    public bool Contains(double number) => Low < number && number < High;

    /// <summary>"[low, high]".</summary>
    public override string ToString() =>
        string.Create(CultureInfo.InvariantCulture, $"[{Low}, {High}]");
}
