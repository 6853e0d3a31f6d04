using System;

namespace Sdac.Environments;

/// <summary>An engine is missing, cannot take a task, or reported an error.</summary>
public class EngineException : Exception
{
    /// <summary>An exception with one sentence for the user.</summary>
    public EngineException(string message)
        : base(message)
    {
    }

    /// <summary>The sentence.</summary>
    public override string ToString() => Message;
}
