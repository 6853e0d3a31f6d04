using System;
using System.Runtime.InteropServices;

namespace Sdac.Mujoco;

/// <content>The Control Suite's way of calling MuJoCo, see native/mujoco_layout.c.</content>
public sealed unsafe partial class Simulation
{
    private double[] suiteState = []; // what the stages of the engine belong to, if they belong to a state
    private bool isAtState;

    /// <summary>How many contacts there are.</summary>
    internal int Contacts => contacts.Integer;

    /// <summary>The default pose at rest, derived. Each returns null, or what MuJoCo complained about.</summary>
    internal string? SuiteClear()
    {
        isAtState = false;
        return Said(Native.sdac_suite_clear(Model.Memory.Address, Memory));
    }

    /// <summary>Derives everything from what was written into qpos, qvel and act.</summary>
    internal string? SuiteSettle()
    {
        int status;
        fixed (double* s = SuiteRoom())
            status = Native.sdac_suite_settle(Model.Memory.Address, Memory, s);
        isAtState = status == 0;
        return Said(status);
    }

    /// <summary>Steps without controls, to be settled; the clock is then set back to 0.</summary>
    internal string? SuiteDrift(int steps)
    {
        isAtState = false;
        fixed (double* s = SuiteRoom())
            return Said(Native.sdac_suite_drift(Model.Memory.Address, Memory, steps, s));
    }

    /// <summary>The default pose, then these positions, velocities and activations, derived.</summary>
    internal string? SuiteReset(ReadOnlySpan<double> qpos, ReadOnlySpan<double> qvel, ReadOnlySpan<double> act)
    {
        if (SuiteClear() is { } complaint)
            return complaint;
        qpos.CopyTo(Qpos.Writable);
        qvel.CopyTo(Qvel.Writable);
        act.CopyTo(Act.Writable);
        return SuiteSettle();
    }

    /// <summary>Writes the state that the simulation settled in or stepped to.</summary>
    internal void CopySuiteState(Span<double> state) => suiteState.CopyTo(state);

    /// <summary>
    /// Goes to a state, unless the simulation is there, and steps: mj_step2, mj_step, …, mj_step1.
    /// </summary>
    internal string? SuiteStep(
        ReadOnlySpan<double> state, ReadOnlySpan<double> ctrl, int subSteps, Span<double> next)
    {
        var room = SuiteRoom();
        var there = isAtState && MemoryMarshal.AsBytes(state).SequenceEqual(MemoryMarshal.AsBytes<double>(room));
        int status;
        fixed (double* s = state, c = ctrl, n = room)
            status = Native.sdac_suite_step(Model.Memory.Address, Memory, subSteps, there ? 1 : 0, c, s, n);
        isAtState = status == 0;
        room.AsSpan().CopyTo(next);
        return Said(status);
    }

    private double[] SuiteRoom()
    {
        if (suiteState.Length == 0)
            suiteState = new double[Model.StateSize];
        return suiteState;
    }

    private static string? Said(int status) => status == 0 ? null : Native.Message();
}
