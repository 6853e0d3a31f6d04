using System;

namespace Sdac.PushT;

/// <summary>The T: a bar of 120 x 30 and a stem of 30 x 90 that share an edge.</summary>
internal static class Shape
{
    /// <summary>Vertices of one rectangle.</summary>
    public const int Corners = 4;

    /// <summary>Vertices of both.</summary>
    public const int Vertices = 2 * Corners;

    /// <summary>120·30 + 30·90.</summary>
    public const double Area = 6300;

    /// <summary>The goal's angle; its origin is at (256, 256).</summary>
    public const double GoalAngle = Math.PI / 4;

    /// <summary>Bar, then stem, in the block's frame, in the order that Chipmunk's hulls have: area to the left.</summary>
    public static readonly Vector[] Block =
    [
        new(-60, 0), new(60, 0), new(60, 30), new(-60, 30),
        new(-15, 30), new(15, 30), new(15, 120), new(-15, 120),
    ];

    /// <summary>The goal's vertices on the table.</summary>
    public static readonly Vector[] Goal = Array.ConvertAll(Block, InGoal);

    /// <summary>Centre of gravity in the block's frame: the mean of the two rectangles' centres.</summary>
    public static readonly Vector Centre = new(0, 45);

    private static Vector InGoal(Vector v)
    {
        var (sin, cos) = Math.SinCos(GoalAngle);
        return new Vector(cos * v.X - sin * v.Y + 256, sin * v.X + cos * v.Y + 256);
    }
}
