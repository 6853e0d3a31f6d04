using System;
using System.Collections.Generic;
using System.Threading;

namespace Sdac.Mujoco;

/// <summary>Scratch for one simulation of a model (mjData). One thread at a time.</summary>
/// <remarks>
/// A physics state is <see cref="Model.StateSize"/> numbers: time, qpos, qvel, act, qacc_warmstart. Putting one back
/// and stepping gives the same bits as never having left it, so one scratch serves any number of environments.
/// </remarks>
public sealed unsafe class Simulation : IDisposable
{
    private readonly Dictionary<string, Field> fields;
    private nint handle;

    /// <summary>Makes scratch for a model.</summary>
    public Simulation(Model model)
    {
        Model = model;
        handle = Native.sdac_make_data(model.Handle);
        if (handle == 0)
            throw new MujocoException($"{model.Name}: MuJoCo could not make simulation data: {Native.Message()}");
        fields = Field.Table(this, (rows, capacity) => Native.sdac_data_fields(model.Handle, handle, rows, capacity));
        Time = Pointer("time");
        Qpos = Pointer("qpos");
        Qvel = Pointer("qvel");
        Act = Pointer("act");
        Ctrl = Pointer("ctrl");
        Xpos = Pointer("xpos");
        Xquat = Pointer("xquat");
        Xipos = Pointer("xipos");
        SiteXpos = Pointer("site_xpos");
        Cinert = Pointer("cinert");
        Cvel = Pointer("cvel");
        CfrcExt = Pointer("cfrc_ext");
        QfrcActuator = Pointer("qfrc_actuator");
        QfrcConstraint = Pointer("qfrc_constraint");
        SensorData = Pointer("sensordata");
        Sites = this["site_xpos"].Rows;
        Sensors = this["sensordata"].Length;
        BodyMass = model["body_mass"].Pointer;
        StartQpos = new double[model.Nq];
        StartQvel = new double[model.Nv];
    }

    /// <summary>Frees the scratch where Dispose was forgotten.</summary>
    ~Simulation() => Free();

    /// <summary>The model it simulates.</summary>
    public Model Model { get; }

    /// <summary>A read-only view of the engine's present numbers.</summary>
    public Physics Physics => new(this);

    /// <summary>A field of mjData by MuJoCo's name; ArgumentException if there is none.</summary>
    public Field this[string field] =>
        fields.TryGetValue(field, out var found)
            ? found
            : throw new ArgumentException(
                $"mjData has no field {field}; the nearest is {Nearest.To(field, fields.Keys)}.");

    internal double* Time { get; }

    internal double* Qpos { get; }

    internal double* Qvel { get; }

    internal double* Act { get; }

    internal double* Ctrl { get; }

    internal double* Xpos { get; }

    internal double* Xquat { get; }

    internal double* Xipos { get; }

    internal double* SiteXpos { get; }

    internal double* Cinert { get; }

    internal double* Cvel { get; }

    internal double* CfrcExt { get; }

    internal double* QfrcActuator { get; }

    internal double* QfrcConstraint { get; }

    internal double* SensorData { get; }

    internal double* BodyMass { get; }

    /// <summary>Room to draw an episode's start in.</summary>
    internal double[] StartQpos { get; }

    internal double[] StartQvel { get; }

    internal int Sites { get; }

    internal int Sensors { get; }

    /// <summary>Frees the native memory.</summary>
    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    /// <summary>
    /// mj_resetData, the given positions and velocities, one mj_forward. Returns null, or what MuJoCo complained about.
    /// </summary>
    internal string? Reset(ReadOnlySpan<double> qpos, ReadOnlySpan<double> qvel, Span<double> state)
    {
        int status;
        fixed (double* p = qpos, v = qvel, s = state)
            status = Native.sdac_reset(Model.Handle, Handle, p, v, s);
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
            status = Native.sdac_step(Model.Handle, Handle, frameSkip, contactForces ? 1 : 0, c, s, n);
        return status == 0 ? null : Native.Message();
    }

    private nint Handle => handle != 0 ? handle : throw new ObjectDisposedException($"Simulation of {Model.Name}");

    private double* Pointer(string field) => this[field].Pointer;

    private void Free()
    {
        var freed = Interlocked.Exchange(ref handle, 0);
        if (freed != 0)
            Native.sdac_free_data(freed);
    }
}
