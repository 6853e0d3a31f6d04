using System;
using Sdac.Kernels;

namespace Sdac.Mujoco;

/// <summary>How the Control Suite's episodes begin. A try draws from a stream of its own under the episode's key.</summary>
internal static class SuiteStart
{
    private const int MostTries = 1000;
    private const int Free = 0;
    private const int Hinge = 3;

    /// <summary>Random joints: limited ones over their range, other hinges over a turn, a free one's rotation.</summary>
    public static string? RandomJoints(PhiloxKey key, Simulation simulation)
    {
        if (simulation.SuiteClear() is { } complaint)
            return complaint;
        DrawJoints(Philox.Derive(key, 0), simulation);
        return simulation.SuiteSettle();
    }

    /// <summary>As <see cref="RandomJoints"/>, drawn again until nothing touches.</summary>
    public static string? RandomJointsApart(PhiloxKey key, Simulation simulation)
    {
        for (ulong attempt = 0; attempt < MostTries; attempt++)
        {
            if (RandomJoints(Philox.Derive(key, attempt), simulation) is { } complaint)
                return complaint;
            if (simulation.Contacts == 0)
                return simulation.SuiteSettle();
        }

        return $"no pose of {MostTries} was without contacts";
    }

    /// <summary>Limited joints over their range, then so many steps without controls.</summary>
    public static string? DriftingJoints(PhiloxKey key, Simulation simulation, int steps)
    {
        if (simulation.SuiteClear() is { } complaint)
            return complaint;
        DrawLimited(Philox.Derive(key, 0), simulation);
        return simulation.SuiteDrift(steps) ?? simulation.SuiteSettle();
    }

    /// <summary>Any rotation of a free joint at x = y = 0, lifted by centimetres from z = 0 until nothing touches.</summary>
    public static string? LiftedRotation(PhiloxKey key, Simulation simulation)
    {
        Span<double> rotation = stackalloc double[4];
        Philox.Normal(Philox.Derive(key, 0), 0, rotation);
        Normalise(rotation);
        var z = 0.0;
        for (var attempt = 0; attempt < MostTries; attempt++, z += 0.01)
        {
            if (simulation.SuiteClear() is { } complaint)
                return complaint;
            var qpos = simulation.Qpos.Writable;
            (qpos[0], qpos[1], qpos[2]) = (0, 0, z);
            rotation.CopyTo(qpos[3..]);
            if (simulation.SuiteSettle() is { } failure)
                return failure;
            if (simulation.Contacts == 0)
                return simulation.SuiteSettle();
        }

        return $"no height up to {MostTries} cm was without contacts";
    }

    // Rows of draws are as long as qpos, so that a joint's numbers do not depend on the other joints' kinds.
    private static void DrawJoints(PhiloxKey key, Simulation simulation)
    {
        var qpos = simulation.Qpos.Writable;
        Span<double> uniform = stackalloc double[qpos.Length];
        Philox.Uniform(key, 0, uniform);
        foreach (var joint in simulation.Model.Joints)
        {
            var at = joint.Address;
            if (joint.Type == Free)
            {
                // Components of U(0, 1), as published: rotations of one orthant only.
                uniform.Slice(at + 3, 4).CopyTo(qpos[(at + 3)..]);
                Normalise(qpos.Slice(at + 3, 4));
            }
            else if (joint.Limited)
            {
                qpos[at] = joint.Low + (joint.High - joint.Low) * uniform[at];
            }
            else if (joint.Type == Hinge)
            {
                qpos[at] = (2 * uniform[at] - 1) * Math.PI;
            }
        }
    }

    private static void DrawLimited(PhiloxKey key, Simulation simulation)
    {
        var qpos = simulation.Qpos.Writable;
        Span<double> uniform = stackalloc double[qpos.Length];
        Philox.Uniform(key, 0, uniform);
        foreach (var joint in simulation.Model.Joints)
        {
            if (joint.Limited)
                qpos[joint.Address] = joint.Low + (joint.High - joint.Low) * uniform[joint.Address];
        }
    }

    private static void Normalise(Span<double> quaternion)
    {
        var norm = TaskMath.Norm(quaternion);
        foreach (ref var number in quaternion)
            number /= norm;
    }
}
