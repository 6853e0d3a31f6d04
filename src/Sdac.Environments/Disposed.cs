using System;

namespace Sdac.Environments;

/// <summary>The sentence about what is used after Dispose.</summary>
internal static class Disposed
{
    public static ObjectDisposedException Error(string thing) =>
        new(thing, $"{thing} was used after Dispose: dispose of it after its last use, or make a new one.");
}
