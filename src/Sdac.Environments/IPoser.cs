using System;

namespace Sdac.Environments;

/// <summary>Room to compute poses in. One thread at a time; what it computes touches no stepping.</summary>
public interface IPoser : IDisposable
{
    /// <summary>Writes where the scene's bodies are in a state: [bodies, <see cref="Scene.PoseSize"/>].</summary>
    /// <returns>Null or what is wrong with the state.</returns>
    string? Pose(ReadOnlySpan<double> state, Span<double> poses);
}
