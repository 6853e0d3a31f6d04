using System.Runtime.InteropServices;

namespace Sdac.Mujoco;

/// <summary>One row of the table of fields, as native/mujoco_layout.c writes it.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct NativeField
{
    public byte* Name;
    public void* Data;
    public int Type;
    public int Rows;
    public int Columns;
    public int Scalar;
}
