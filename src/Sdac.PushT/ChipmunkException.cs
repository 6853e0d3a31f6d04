using Sdac.Environments;

namespace Sdac.PushT;

/// <summary>Chipmunk is missing, or is not the build that the environment needs.</summary>
public sealed class ChipmunkException : EngineException
{
    /// <summary>An exception with one sentence for the user.</summary>
    public ChipmunkException(string message)
        : base(message)
    {
    }
}
