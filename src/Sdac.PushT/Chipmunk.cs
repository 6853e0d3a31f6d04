using System;
using System.Runtime.InteropServices;

namespace Sdac.PushT;

/// <summary>The functions of libchipmunk that PushT needs, in double precision.</summary>
/// <remarks>
/// Structs of doubles go by value. What only reads or writes a body takes nanoseconds, and a step of the table's seven shapes half a
/// microsecond; none waits or calls back, so they need no word with the garbage collector. A failed assertion of Chipmunk's ends the process: numbers are checked before they go in.
/// </remarks>
internal static unsafe class Chipmunk
{
    private const string Library = "chipmunk";

    static Chipmunk()
    {
        NativeLibrary.SetDllImportResolver(
            typeof(Chipmunk).Assembly, static (name, _, _) => name == Library ? ChipmunkLibrary.Handle : 0);
    }

    [DllImport(Library)]
    public static extern nint cpSpaceNew();

    [DllImport(Library)]
    public static extern void cpSpaceFree(nint space);

    [DllImport(Library)]
    public static extern void cpSpaceSetGravity(nint space, Vector gravity);

    [DllImport(Library)]
    public static extern void cpSpaceSetDamping(nint space, double damping);

    [DllImport(Library)]
    public static extern nint cpSpaceGetStaticBody(nint space);

    [DllImport(Library)]
    public static extern nint cpSpaceAddBody(nint space, nint body);

    [DllImport(Library)]
    public static extern nint cpSpaceAddShape(nint space, nint shape);

    [DllImport(Library), SuppressGCTransition]
    public static extern void cpSpaceStep(nint space, double seconds);

    [DllImport(Library)]
    public static extern nint cpBodyNew(double mass, double moment);

    [DllImport(Library)]
    public static extern nint cpBodyNewKinematic();

    [DllImport(Library)]
    public static extern void cpBodyFree(nint body);

    [DllImport(Library)]
    public static extern void cpBodySetCenterOfGravity(nint body, Vector centre);

    [DllImport(Library)]
    public static extern void cpBodySetPosition(nint body, Vector position);

    [DllImport(Library)]
    public static extern void cpBodySetAngle(nint body, double angle);

    [DllImport(Library), SuppressGCTransition]
    public static extern Vector cpBodyGetPosition(nint body);

    [DllImport(Library), SuppressGCTransition]
    public static extern double cpBodyGetAngle(nint body);

    [DllImport(Library), SuppressGCTransition]
    public static extern Vector cpBodyGetVelocity(nint body);

    [DllImport(Library), SuppressGCTransition]
    public static extern double cpBodyGetAngularVelocity(nint body);

    [DllImport(Library), SuppressGCTransition]
    public static extern void cpBodySetVelocity(nint body, Vector velocity);

    // (cos, sin) of the body's angle
    [DllImport(Library), SuppressGCTransition]
    public static extern Vector cpBodyGetRotation(nint body);

    [DllImport(Library)]
    public static extern nint cpSegmentShapeNew(nint body, Vector from, Vector to, double radius);

    [DllImport(Library)]
    public static extern nint cpCircleShapeNew(nint body, double radius, Vector offset);

    [DllImport(Library)]
    public static extern nint cpPolyShapeNew(nint body, int count, Vector* vertices, Transform transform, double radius);

    [DllImport(Library)]
    public static extern void cpShapeFree(nint shape);

    [DllImport(Library)]
    public static extern double cpMomentForPoly(double mass, int count, Vector* vertices, Vector offset, double radius);
}
