using System;
using Sdac.Environments;

namespace Sdac.PushT;

/// <summary>Poses on the table, in an episode of its own.</summary>
/// <remarks>A state is its past: one that is a step ahead of the last one is gone to by that step.</remarks>
internal sealed class PushTPoser : IPoser
{
    private readonly Episode episode = new();

    /// <inheritdoc/>
    public string? Pose(ReadOnlySpan<double> state, Span<double> poses)
    {
        if (episode.Follow(state) is { } complaint)
            return complaint;
        var pose = episode.World.Pose;
        poses.Clear(); // agent and target do not turn
        (poses[0], poses[1], poses[2]) = (pose.BlockX, pose.BlockY, pose.BlockAngle);
        (poses[3], poses[4]) = (pose.AgentX, pose.AgentY);
        (poses[6], poses[7]) = Episode.LastAction(state) is { Length: > 0 } action
            ? (action[0], action[1])
            : (pose.AgentX, pose.AgentY);
        return null;
    }

    /// <inheritdoc/>
    public void Dispose() => episode.Dispose();
}
