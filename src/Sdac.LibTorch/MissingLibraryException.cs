using System;

namespace Sdac.LibTorch;

/// <summary>A native library is missing or not the one that is needed; the message says what to do about it.</summary>
public sealed class MissingLibraryException : DllNotFoundException
{
    /// <summary>An exception with one sentence for the user.</summary>
    public MissingLibraryException(string message)
        : base(message)
    {
    }
}
