using System;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Sdac.Environments;

/// <summary>Passes over an environment's numbers, of which every step makes several.</summary>
internal static unsafe class Numbers
{
    private const long Exponent = 0x7FF0_0000_0000_0000; // all of it: infinite or NaN

    /// <summary>Where the first number that is NaN or infinite stands; -1: all are finite.</summary>
    public static int FirstNotFinite(ReadOnlySpan<double> numbers)
    {
        var i = 0;
        var exponent = Vector256.Create(Exponent);
        foreach (var four in MemoryMarshal.Cast<double, Vector256<long>>(numbers))
        {
            if (Vector256.EqualsAny(four & exponent, exponent))
                break;
            i += Vector256<double>.Count;
        }

        for (; i < numbers.Length; i++)
        {
            if (!double.IsFinite(numbers[i]))
                return i;
        }

        return -1;
    }

    /// <summary>The numbers rounded to floats.</summary>
    public static void Narrow(ReadOnlySpan<double> numbers, float* to)
    {
        var i = 0;
        foreach (var eight in MemoryMarshal.Cast<double, Pair>(numbers))
        {
            Vector256.Store(Vector256.Narrow(eight.Low, eight.High), to + i);
            i += Vector256<float>.Count;
        }

        for (; i < numbers.Length; i++)
            to[i] = (float)numbers[i];
    }

    [StructLayout(LayoutKind.Sequential)]
    private readonly struct Pair
    {
        public readonly Vector256<double> Low;
        public readonly Vector256<double> High;
    }
}
