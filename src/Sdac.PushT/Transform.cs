using System.Runtime.InteropServices;

namespace Sdac.PushT;

/// <summary>Chipmunk's cpTransform: (x, y) to (A·x + C·y + X, B·x + D·y + Y).</summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly record struct Transform(double A, double B, double C, double D, double X, double Y)
{
    /// <summary>Leaves every point where it is.</summary>
    public static Transform Identity { get; } = new(1, 0, 0, 1, 0, 0);
}
