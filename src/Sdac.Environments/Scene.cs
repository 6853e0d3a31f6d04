using System.Collections.Generic;

namespace Sdac.Environments;

/// <summary>What a task's world looks like: shapes on bodies, whose poses a state decides (<see cref="IPoser"/>).</summary>
/// <remarks>A solid scene has z up and lengths in the engine's units; a flat one is a table of x to the right and y down.</remarks>
public sealed record Scene
{
    /// <summary>What a pose of a solid scene has: x, y, z, then the quaternion w, x, y, z.</summary>
    public const int SolidPose = 7;

    /// <summary>What a pose of a flat scene has: x, y, then the angle from x towards y.</summary>
    public const int FlatPose = 3;

    /// <summary>Width and height of a flat scene; empty for a solid one.</summary>
    public IReadOnlyList<double> Table { get; init; } = [];

    /// <summary>The bodies that move; body i of a shape or parent is entry i - 1, 0 is the world.</summary>
    public required IReadOnlyList<SceneBody> Bodies { get; init; }

    /// <summary>What is drawn.</summary>
    public required IReadOnlyList<SceneShape> Shapes { get; init; }

    /// <summary>The body that a camera follows; 0 for none.</summary>
    public int Followed { get; init; }

    /// <summary>How many numbers a pose has.</summary>
    public int PoseSize => Table.Count == 0 ? SolidPose : FlatPose;

    /// <summary>How many numbers the poses of all bodies are.</summary>
    public int PosesSize => Bodies.Count * PoseSize;
}

/// <summary>A body of a scene.</summary>
/// <param name="Name">May be empty.</param>
/// <param name="Parent">The body that it hangs on; 0 for the world.</param>
public sealed record SceneBody(string Name, int Parent);

/// <summary>What a shape is; its sizes are MuJoCo's half sizes.</summary>
public enum ShapeKind
{
    /// <summary>An endless plane, z upwards.</summary>
    Plane,

    /// <summary>Radius.</summary>
    Sphere,

    /// <summary>Radius, half length of the straight part along z.</summary>
    Capsule,

    /// <summary>Half axes along x, y, z.</summary>
    Ellipsoid,

    /// <summary>Radius, half length along z.</summary>
    Cylinder,

    /// <summary>Half lengths along x, y, z.</summary>
    Box,

    /// <summary>Triangles: points of three numbers, faces of three points.</summary>
    Mesh,

    /// <summary>Flat: a closed polygon, points of two numbers.</summary>
    Polygon,

    /// <summary>Flat: radius.</summary>
    Disc,

    /// <summary>Flat: a cross of this half length.</summary>
    Cross,
}

/// <summary>A shape of a scene, placed on its body.</summary>
public sealed record SceneShape
{
    /// <summary>What it is.</summary>
    public required ShapeKind Kind { get; init; }

    /// <summary>The body that it moves with; 0 stands still.</summary>
    public required int Body { get; init; }

    /// <summary>May be empty.</summary>
    public string Name { get; init; } = "";

    /// <summary>As its kind says.</summary>
    public IReadOnlyList<double> Size { get; init; } = [];

    /// <summary>Its pose on the body, as poses are; empty for none.</summary>
    public IReadOnlyList<double> Pose { get; init; } = [];

    /// <summary>Red, green, blue, opacity from 0 to 1; empty where the task gives none.</summary>
    public IReadOnlyList<double> Color { get; init; } = [];

    /// <summary>Of a polygon or mesh.</summary>
    public IReadOnlyList<double> Points { get; init; } = [];

    /// <summary>Of a mesh.</summary>
    public IReadOnlyList<int> Faces { get; init; } = [];
}
