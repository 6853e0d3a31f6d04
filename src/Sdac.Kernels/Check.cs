using System;
using System.Diagnostics.CodeAnalysis;
using static System.FormattableString;

namespace Sdac.Kernels;

/// <summary>Argument checks with sentences that name the argument, what came and what was wanted.</summary>
internal static class Check
{
    public static void Length(string name, long got, long wanted, string meaning)
    {
        if (got != wanted)
            ThrowLength(name, got, wanted, meaning);
    }

    public static void Positive(string name, long got)
    {
        if (got < 1)
            ThrowPositive(name, got);
    }

    [DoesNotReturn]
    private static void ThrowLength(string name, long got, long wanted, string meaning) =>
        throw new ArgumentException(Invariant($"{name} has {got} elements, but {meaning} needs {wanted}."), name);

    [DoesNotReturn]
    private static void ThrowPositive(string name, long got) =>
        throw new ArgumentException(Invariant($"{name} is {got}, but must be at least 1."), name);
}
