namespace Sdac.Mujoco;

/// <summary>The element type of a field of mjModel or mjData.</summary>
public enum FieldType
{
    /// <summary>32-bit integer.</summary>
    Int,

    /// <summary>mjtNum, a 64-bit float.</summary>
    Double,

    /// <summary>32-bit float.</summary>
    Float,

    /// <summary>mjtByte, mostly a flag.</summary>
    Byte,

    /// <summary>Text.</summary>
    Char,

    /// <summary>A struct, such as mjContact.</summary>
    Struct,
}
