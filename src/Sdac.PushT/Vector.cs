using System.Runtime.InteropServices;

namespace Sdac.PushT;

/// <summary>Chipmunk's cpVect: a point or a direction, y pointing down on the screen.</summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly record struct Vector(double X, double Y);
