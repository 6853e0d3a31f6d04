using Sdac.Environments;

namespace Sdac.Mujoco;

/// <summary>MuJoCo is missing, a model does not compile, or the engine reported an error.</summary>
public class MujocoException : EngineException
{
    /// <summary>An exception with one sentence for the user.</summary>
    public MujocoException(string message)
        : base(message)
    {
    }
}
