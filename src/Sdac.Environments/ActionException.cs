using System;

namespace Sdac.Environments;

/// <summary>An action is not a finite number: what chose it has diverged.</summary>
public sealed class ActionException : ArgumentException
{
    /// <summary>An exception with one sentence for the user.</summary>
    public ActionException(string message)
        : base(message)
    {
    }

    /// <summary>The sentence.</summary>
    public override string ToString() => Message;
}
