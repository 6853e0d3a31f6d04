using System;
using System.Collections.Generic;
using System.IO;
using System.Runtime.InteropServices;
using System.Text;
using System.Threading;
using Sdac.Environments;

namespace Sdac.Mujoco;

/// <summary>A compiled MuJoCo model (mjModel): read-only, shared by every thread.</summary>
public sealed unsafe class Model : IDisposable
{
    private static readonly Lock Loading = new(); // MuJoCo's compiler keeps global state
    private readonly ModelMemory memory;
    private readonly Dictionary<string, Field> fields;
    private readonly Dictionary<string, int> bodies = [];
    private Joint[]? joints;

    private Model(nint handle, string name, string warnings)
    {
        memory = new ModelMemory(handle, name);
        Name = name;
        Warnings = warnings;
        fields = Field.Table(memory, (rows, capacity) => Native.sdac_model_fields(memory, rows, capacity));
        Nq = Size("nq");
        Nv = Size("nv");
        Nu = Size("nu");
        Na = Size("na");
        NBody = Size("nbody");
        Timestep = this["opt.timestep"].Doubles[0];
        StateSize = Native.sdac_state_size(memory);
        for (var i = 0; i < NBody; i++)
        {
            if (NameOf("body", i) is { Length: > 0 } body)
                bodies[body] = i;
        }
    }

    /// <summary>The name given when it was loaded; errors begin with it.</summary>
    public string Name { get; }

    /// <summary>What MuJoCo's compiler warned about; empty mostly.</summary>
    public string Warnings { get; }

    /// <summary>Number of generalised coordinates (qpos).</summary>
    public int Nq { get; }

    /// <summary>Number of degrees of freedom (qvel).</summary>
    public int Nv { get; }

    /// <summary>Number of controls.</summary>
    public int Nu { get; }

    /// <summary>Number of actuator activations.</summary>
    public int Na { get; }

    /// <summary>Number of bodies, the world included.</summary>
    public int NBody { get; }

    /// <summary>Seconds per mj_step.</summary>
    public double Timestep { get; }

    /// <summary>How many numbers a physics state has: time, qpos, qvel, act, qacc_warmstart.</summary>
    public int StateSize { get; }

    /// <summary>The fields by MuJoCo's names.</summary>
    public IReadOnlyDictionary<string, Field> Fields => fields;

    /// <summary>The initial positions, [Nq].</summary>
    public ReadOnlySpan<double> Qpos0 => this["qpos0"].Doubles;

    internal bool IsDisposed => memory.IsDisposed;

    /// <summary>The joints, in order.</summary>
    internal Joint[] Joints => joints ??= ReadJoints();

    /// <summary>Whether sensor readings would have noise from C's rand().</summary>
    internal bool HasSensorNoise => Native.sdac_sensor_noise(Memory) != 0;

    internal ModelMemory Memory
    {
        get
        {
            memory.ThrowIfDisposed();
            return memory;
        }
    }

    /// <summary>
    /// A field by MuJoCo's name ("body_mass", "opt.timestep", "nq"); ArgumentException if there is none.
    /// </summary>
    public Field this[string field] =>
        fields.TryGetValue(field, out var found)
            ? found
            : throw new RefusedArgumentException(
                $"mjModel has no field {field}; the nearest is {Nearest.To(field, fields.Keys)}.");

    /// <summary>Compiles MJCF text. Throws MujocoException with MuJoCo's own message.</summary>
    /// <param name="name">What errors call the model.</param>
    /// <param name="xml">The text; it cannot refer to other files.</param>
    public static Model FromXml(string name, string xml)
    {
        MujocoLibrary.Load();
        var text = Encoding.UTF8.GetBytes(xml);
        fixed (byte* first = text)
        {
            var start = first;
            return Load(name, (error, size) => Native.sdac_load_text(start, text.Length, error, size));
        }
    }

    /// <summary>
    /// Compiles an MJCF or URDF file, with the files it refers to. Throws MujocoException with MuJoCo's own message.
    /// </summary>
    public static Model FromFile(string path)
    {
        MujocoLibrary.Load();
        if (!File.Exists(path))
            throw new MujocoException($"The model file {path} does not exist: correct the path.");
        fixed (byte* text = Encoding.UTF8.GetBytes(path + "\0"))
        {
            var start = text;
            return Load(path, (error, size) => Native.sdac_load_file(start, error, size));
        }
    }

    /// <summary>Puts a number in place of a compiled one. Before anyone uses the model.</summary>
    internal void Replace(string field, int index, double number) => this[field].Writable[index] = number;

    /// <summary>The id of a body; ArgumentException naming the nearest where there is none.</summary>
    public int Body(string name)
    {
        memory.ThrowIfDisposed();
        return bodies.TryGetValue(name, out var id)
            ? id
            : throw new RefusedArgumentException(
                $"{Name} has no body {name}; the nearest is {Nearest.To(name, bodies.Keys)}.");
    }

    /// <summary>
    /// The id of an object of a kind as MJCF calls it ("body", "joint", "geom", "site", "actuator", "sensor", …), or
    /// -1.
    /// </summary>
    public int Id(string kind, string name)
    {
        fixed (byte* k = Encoding.UTF8.GetBytes(kind + "\0"), n = Encoding.UTF8.GetBytes(name + "\0"))
            return Native.sdac_name_to_id(Memory, k, n);
    }

    /// <summary>The name of an object of a kind; empty where it has none.</summary>
    public string NameOf(string kind, int id)
    {
        fixed (byte* k = Encoding.UTF8.GetBytes(kind + "\0"))
            return Marshal.PtrToStringUTF8((nint)Native.sdac_id_to_name(Memory, k, id)) ?? "";
    }

    /// <summary>
    /// Frees the native model: its fields, and stepping a simulation of it, throw ObjectDisposedException from then on.
    /// </summary>
    public void Dispose() => memory.Dispose();

    private delegate nint Loader(byte* error, int size);

    private static Model Load(string name, Loader loader)
    {
        const int size = 1000;
        var error = stackalloc byte[size];
        nint handle;
        string said;
        lock (Loading)
        {
            handle = loader(error, size);
            said = (Marshal.PtrToStringUTF8((nint)error) ?? "").Trim();
            if (handle == 0 && said.Length == 0)
                said = Native.Message();
        }

        return handle != 0
            ? new Model(handle, name, said)
            : throw new MujocoException($"{name} is not a valid MuJoCo model: {said.ReplaceLineEndings(" ")}");
    }

    private Joint[] ReadJoints()
    {
        var types = this["jnt_type"].Ints;
        var addresses = this["jnt_qposadr"].Ints;
        var range = this["jnt_range"].Doubles;
        var limited = this["jnt_limited"].ToArray();
        var read = new Joint[types.Length];
        for (var i = 0; i < read.Length; i++)
            read[i] = new Joint(types[i], addresses[i], limited[i] != 0, range[2 * i], range[2 * i + 1]);
        return read;
    }

    private int Size(string name) => this[name].Ints[0];
}
