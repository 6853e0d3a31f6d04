using System;

namespace Sdac.Mujoco;

/// <summary>MuJoCo is missing, a model does not compile, or the engine reported an error.</summary>
public class MujocoException : Exception
{
    /// <summary>An exception with one sentence for the user.</summary>
    public MujocoException(string message)
        : base(message)
    {
    }
}
