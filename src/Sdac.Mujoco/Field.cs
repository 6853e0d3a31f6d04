using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;

namespace Sdac.Mujoco;

/// <summary>
/// A field of mjModel or mjData: its name, element type and shape [Rows, Columns], and where its numbers lie.
/// </summary>
public sealed unsafe class Field
{
    private readonly object owner; // keeps the native memory alive
    private readonly void* data;

    private Field(object owner, in NativeField row)
    {
        this.owner = owner;
        data = row.Data;
        Name = Marshal.PtrToStringUTF8((nint)row.Name)!;
        Type = (FieldType)row.Type;
        Rows = row.Rows;
        Columns = row.Columns;
        IsScalar = row.Scalar != 0;
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
    public int Length => Rows * Columns;

    internal double* Pointer => (double*)data;

    /// <summary>
    /// The numbers of a <see cref="FieldType.Double"/> field, row-major; anything else is an InvalidOperationException.
    /// </summary>
    public ReadOnlySpan<double> Doubles => View<double>(FieldType.Double);

    /// <summary>
    /// The numbers of a <see cref="FieldType.Int"/> field, row-major; anything else is an InvalidOperationException.
    /// </summary>
    public ReadOnlySpan<int> Ints => View<int>(FieldType.Int);

    /// <summary>
    /// All numbers widened to 64-bit floats, row-major: exact for every type but <see cref="FieldType.Struct"/>.
    /// </summary>
    public double[] ToArray()
    {
        var numbers = new double[Length];
        for (var i = 0; i < numbers.Length; i++)
        {
            numbers[i] = Type switch
            {
                FieldType.Int => ((int*)data)[i],
                FieldType.Double => ((double*)data)[i],
                FieldType.Float => ((float*)data)[i],
                FieldType.Byte or FieldType.Char => ((byte*)data)[i],
                _ => throw new InvalidOperationException($"{Name} holds structs, which have no numbers of their own."),
            };
        }

        GC.KeepAlive(owner);
        return numbers;
    }

    private ReadOnlySpan<T> View<T>(FieldType wanted)
        where T : unmanaged =>
        Type == wanted
            ? new ReadOnlySpan<T>(data, Length)
            : throw new InvalidOperationException($"{Name} is a {Type} field, not {wanted}.");

    internal delegate int Fill(NativeField* rows, int capacity);

    internal static Dictionary<string, Field> Table(object owner, Fill fill)
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
}
