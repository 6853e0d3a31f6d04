using System;
using Sdac.Environments;

namespace Sdac.Mujoco;

/// <summary>Poses of bodies, computed on a simulation of its own.</summary>
/// <remarks>
/// On the one that steps, mj_kinematics would refresh what the published environments read stale: xpos for the next
/// reward of Reacher and Pusher, and Ant's and Humanoid's velocities.
/// </remarks>
internal sealed class MujocoPoser(Model model) : IPoser
{
    private readonly Simulation simulation = new(model);

    /// <inheritdoc/>
    public string? Pose(ReadOnlySpan<double> state, Span<double> poses)
    {
        if (simulation.Place(state.Slice(1, model.Nq)) is { } complaint) // the time comes first
            return complaint;
        var places = simulation.Xpos.Array;
        var turns = simulation.Xquat.Array;
        for (var body = 1; body < model.NBody; body++)
        {
            var pose = poses.Slice((body - 1) * Scene.SolidPose, Scene.SolidPose);
            places.Slice(3 * body, 3).CopyTo(pose);
            turns.Slice(4 * body, 4).CopyTo(pose[3..]);
        }

        return null;
    }

    /// <inheritdoc/>
    public void Dispose() => simulation.Dispose();
}
