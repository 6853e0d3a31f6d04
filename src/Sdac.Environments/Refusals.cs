using System;

namespace Sdac.Environments;

/// <summary>
/// An argument or a setting that cannot be used. Its text is one sentence, also where it is printed whole: an interactive session prints
/// no stack of calls behind it.
/// </summary>
public sealed class RefusedArgumentException : ArgumentException
{
    /// <summary>An exception with one sentence for the user: the thing, the place and the fix.</summary>
    public RefusedArgumentException(string sentence, Exception? cause = null)
        : base(sentence, cause)
    {
    }

    /// <summary>The sentence.</summary>
    public override string ToString() => Message;
}

/// <summary>Something that cannot be done at this point, such as a stage before the one that it needs. Its text is one sentence.</summary>
public sealed class RefusedOperationException : InvalidOperationException
{
    /// <summary>An exception with one sentence for the user: the thing, the place and the fix.</summary>
    public RefusedOperationException(string sentence)
        : base(sentence)
    {
    }

    /// <summary>The sentence.</summary>
    public override string ToString() => Message;
}
