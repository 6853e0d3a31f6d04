using System;
using System.Collections.Generic;
using Sdac.Environments;

namespace Sdac.Mujoco;

/// <summary>Scratch for one simulation of a model (mjData). One thread at a time.</summary>
/// <remarks>
/// A physics state is <see cref="Model.StateSize"/> numbers: time, qpos, qvel, act, qacc_warmstart. Putting one back
/// and stepping gives the same bits as never having left it, so one scratch serves any number of environments.
/// </remarks>
public sealed unsafe partial class Simulation : IDisposable
{
    private readonly DataMemory memory;
    private readonly Dictionary<string, Field> fields;
    private readonly Field constraints;
    private readonly Field contacts;

    /// <summary>Makes scratch for a model.</summary>
    public Simulation(Model model)
    {
        Model = model;
        var data = Native.sdac_make_data(model.Memory);
        if (data == 0)
            throw new MujocoException($"{model.Name}: MuJoCo could not make simulation data: {Native.Message()}");
        memory = new DataMemory(data, model.Name, model.Memory);
        fields = Field.Table(
            memory, (rows, capacity) => Native.sdac_data_fields(model.Memory, memory, rows, capacity));
        constraints = this["nefc"];
        contacts = this["ncon"];
        Time = this["time"];
        Qpos = this["qpos"];
        Qvel = this["qvel"];
        Act = this["act"];
        Ctrl = this["ctrl"];
        Xpos = this["xpos"];
        Xquat = this["xquat"];
        Xmat = this["xmat"];
        Xipos = this["xipos"];
        SiteXpos = this["site_xpos"];
        Cinert = this["cinert"];
        Cvel = this["cvel"];
        CfrcExt = this["cfrc_ext"];
        QfrcActuator = this["qfrc_actuator"];
        QfrcConstraint = this["qfrc_constraint"];
        SensorData = this["sensordata"];
        BodyMass = model["body_mass"];
    }

    /// <summary>The model it simulates.</summary>
    public Model Model { get; }

    /// <summary>A read-only view of the engine's present numbers.</summary>
    public Physics Physics => new(this);

    /// <summary>A field of mjData by MuJoCo's name; ArgumentException if there is none.</summary>
    public Field this[string field] =>
        fields.TryGetValue(field, out var found)
            ? found
            : throw new RefusedArgumentException(
                $"mjData has no field {field}; the nearest is {Nearest.To(field, fields.Keys)}.");

    /// <summary>
    /// The numbers of a field that the last step wrote: what else a field holds depends on earlier ones.
    /// </summary>
    internal ReadOnlySpan<double> InUse(string name)
    {
        var field = this[name];
        if (name == "wrap_xpos")
            return field.Doubles[..(3 * WrapPoints())];
        if (!name.StartsWith("efc_", StringComparison.Ordinal))
            return field.Doubles;
        if (name is "efc_J" or "efc_JT" or "efc_AR")
            throw new RefusedOperationException(
                $"{name} changes its shape from step to step and keeps numbers of earlier ones: it cannot be viewed.");
        return field.Doubles[..(constraints.Integer * field.Columns)];
    }

    private int WrapPoints()
    {
        var (first, count) = (this["ten_wrapadr"], this["ten_wrapnum"]);
        return first.Length == 0 ? 0 : first.Ints[^1] + count.Ints[^1];
    }

    /// <summary>MuJoCo's names of all fields.</summary>
    internal IReadOnlyCollection<string> Names => fields.Keys;

    internal Field Time { get; }

    internal Field Qpos { get; }

    internal Field Qvel { get; }

    internal Field Act { get; }

    internal Field Ctrl { get; }

    internal Field Xpos { get; }

    internal Field Xquat { get; }

    internal Field Xmat { get; }

    internal Field Xipos { get; }

    internal Field SiteXpos { get; }

    internal Field Cinert { get; }

    internal Field Cvel { get; }

    internal Field CfrcExt { get; }

    internal Field QfrcActuator { get; }

    internal Field QfrcConstraint { get; }

    internal Field SensorData { get; }

    internal Field BodyMass { get; }

    /// <summary>Frees the native memory: ObjectDisposedException from then on.</summary>
    public void Dispose() => memory.Dispose();

    /// <summary>
    /// mj_resetData, the given positions and velocities, one mj_forward. Returns null, or what MuJoCo complained about.
    /// </summary>
    internal string? Reset(ReadOnlySpan<double> qpos, ReadOnlySpan<double> qvel, Span<double> state)
    {
        int status;
        fixed (double* p = qpos, v = qvel, s = state)
            status = Native.sdac_reset(Model.Memory.Address, Memory, p, v, s);
        return status == 0 ? null : Native.Message();
    }

    /// <summary>
    /// Puts a state back, applies ctrl, calls mj_step frameSkip times. Returns null, or what MuJoCo complained about.
    /// </summary>
    internal string? Step(
        ReadOnlySpan<double> state, ReadOnlySpan<double> ctrl, int frameSkip, bool contactForces, Span<double> next)
    {
        int status;
        fixed (double* s = state, c = ctrl, n = next)
            status = Native.sdac_step(Model.Memory.Address, Memory, frameSkip, contactForces ? 1 : 0, c, s, n);
        return status == 0 ? null : Native.Message();
    }

    /// <summary>
    /// Derives xpos and xquat of these positions, and nothing else. Returns null, or what MuJoCo complained about.
    /// </summary>
    internal string? Place(ReadOnlySpan<double> qpos)
    {
        int status;
        fixed (double* p = qpos)
            status = Native.sdac_pose(Model.Memory.Address, Memory, p);
        return status == 0 ? null : Native.Message();
    }

    private DataMemory Memory
    {
        get
        {
            memory.ThrowIfDisposed();
            return memory;
        }
    }
}
