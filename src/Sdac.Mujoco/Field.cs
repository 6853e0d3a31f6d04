using System;
using System.Collections.Generic;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Sdac.Environments;

namespace Sdac.Mujoco;

/// <summary>
/// A field of mjModel or mjData: its name, element type and shape [Rows, Columns], and its numbers.
/// </summary>
/// <remarks>
/// Numbers are given as long as the model or simulation is not disposed of (ObjectDisposedException); a span that was
/// given before stays readable.
/// </remarks>
public sealed unsafe class Field
{
    private readonly NativeMemory owner;
    private readonly double[] numbers; // the owner's
    private readonly long offset; // in bytes; -1: the field lies in MuJoCo's struct itself
    private readonly void* data;

    private Field(NativeMemory owner, in NativeField row)
    {
        this.owner = owner;
        numbers = owner.Numbers;
        data = row.Data;
        Name = Marshal.PtrToStringUTF8((nint)row.Name)!;
        Type = (FieldType)row.Type;
        Rows = row.Rows;
        Columns = row.Columns;
        IsScalar = row.Scalar != 0;
        Length = Rows * Columns;
        offset = owner.OffsetOf(data);
    }

    /// <summary>MuJoCo's own name; options and statistics as "opt.timestep", "stat.extent".</summary>
    public string Name { get; }

    /// <summary>The element type.</summary>
    public FieldType Type { get; }

    /// <summary>How many bodies, joints, … the field has a row for.</summary>
    public int Rows { get; }

    /// <summary>How many numbers a row has.</summary>
    public int Columns { get; }

    /// <summary>Whether it is one number and not an array of MuJoCo's.</summary>
    public bool IsScalar { get; }

    /// <summary>Rows x Columns.</summary>
    public int Length { get; }

    /// <summary>
    /// The numbers of a <see cref="FieldType.Double"/> field, row-major; anything else is an InvalidOperationException.
    /// </summary>
    public ReadOnlySpan<double> Doubles => View<double>(FieldType.Double);

    /// <summary>
    /// The numbers of a <see cref="FieldType.Int"/> field, row-major; anything else is an InvalidOperationException.
    /// </summary>
    public ReadOnlySpan<int> Ints => View<int>(FieldType.Int);

    /// <summary>As <see cref="Doubles"/>, of an array that is known to hold doubles.</summary>
    internal ReadOnlySpan<double> Array
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get
        {
            owner.ThrowIfDisposed();
            return Span<double>();
        }
    }

    /// <summary>The numbers of an array of doubles, to be written.</summary>
    internal Span<double> Writable
    {
        get
        {
            var view = Array;
            return MemoryMarshal.CreateSpan(ref MemoryMarshal.GetReference(view), view.Length);
        }
    }

    /// <summary>The one number of a double field of MuJoCo's struct, without allocating.</summary>
    internal double Number
    {
        get
        {
            using var use = new Use(owner);
            return *(double*)data;
        }
    }

    /// <summary>The one number of an int field of MuJoCo's struct, without allocating.</summary>
    internal int Integer
    {
        get
        {
            using var use = new Use(owner);
            return *(int*)data;
        }
    }

    /// <summary>
    /// All numbers widened to 64-bit floats, row-major: exact for every type but <see cref="FieldType.Struct"/>.
    /// </summary>
    public double[] ToArray()
    {
        using var use = new Use(owner);
        var widened = new double[Length];
        for (var i = 0; i < widened.Length; i++)
        {
            widened[i] = Type switch
            {
                FieldType.Int => ((int*)data)[i],
                FieldType.Double => ((double*)data)[i],
                FieldType.Float => ((float*)data)[i],
                FieldType.Byte or FieldType.Char => ((byte*)data)[i],
                _ => throw new RefusedOperationException($"{Name} holds structs, which have no numbers of their own."),
            };
        }

        return widened;
    }

    private ReadOnlySpan<T> View<T>(FieldType wanted)
        where T : unmanaged
    {
        if (Type != wanted)
            throw new RefusedOperationException($"{Name} is a {Type} field, not {wanted}.");
        if (offset < 0)
        {
            using var use = new Use(owner);
            return new ReadOnlySpan<T>(data, Length).ToArray();
        }

        owner.ThrowIfDisposed();
        return Span<T>();
    }

    // A reference into the managed array: the garbage collector keeps that array while the span lives.
    private ReadOnlySpan<T> Span<T>()
        where T : unmanaged =>
        MemoryMarshal.CreateReadOnlySpan(
            ref Unsafe.As<double, T>(
                ref Unsafe.AddByteOffset(ref MemoryMarshal.GetArrayDataReference(numbers), (nint)offset)),
            Length);

    internal delegate int Fill(NativeField* rows, int capacity);

    internal static Dictionary<string, Field> Table(NativeMemory owner, Fill fill)
    {
        var rows = new NativeField[fill(null, 0)];
        fixed (NativeField* first = rows)
            fill(first, rows.Length);
        var table = new Dictionary<string, Field>(rows.Length);
        foreach (ref readonly var row in rows.AsSpan())
        {
            var field = new Field(owner, row);
            table[field.Name] = field;
        }

        return table;
    }

    /// <summary>Keeps the native struct from being freed while it is read, whoever disposes of it meanwhile.</summary>
    private readonly ref struct Use
    {
        private readonly NativeMemory memory;

        public Use(NativeMemory memory)
        {
            memory.ThrowIfDisposed();
            var held = false;
            memory.DangerousAddRef(ref held);
            this.memory = memory;
        }

        public void Dispose() => memory.DangerousRelease();
    }
}
