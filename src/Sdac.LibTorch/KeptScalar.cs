using System;
using TorchSharp;

namespace Sdac.LibTorch;

/// <summary>
/// Numbers as libtorch's scalars. TorchSharp 0.107 passes a scalar's native address to libtorch and lets go of the scalar:
/// a garbage collection in that moment frees the number while libtorch reads it. Those of this class are held until the
/// thread has made a thousand more.
/// </summary>
public static class KeptScalar
{
    private const int Held = 1024;

    [ThreadStatic]
    private static Scalar?[]? held;
    [ThreadStatic]
    private static int next;

    /// <summary>The number as a scalar of double precision, for use in an operation that follows on this thread.</summary>
    public static Scalar Of(double value) => Keep(value);

    /// <summary>The number as a whole scalar.</summary>
    public static Scalar Of(long value) => Keep(value);

    private static Scalar Keep(Scalar scalar)
    {
        var ring = held ??= new Scalar?[Held];
        ring[next] = scalar;
        next = (next + 1) % Held;
        return scalar;
    }
}
