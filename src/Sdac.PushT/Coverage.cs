using System;

namespace Sdac.PushT;

/// <summary>How much of the goal the block covers.</summary>
internal static class Coverage
{
    private const int MostVertices = 2 * Shape.Corners; // each clip by a line adds at most one

    /// <summary>Area of block ∩ goal over the area of the T: four clips of a rectangle by a rectangle.</summary>
    /// <param name="block">[8]: bar, then stem, on the table, area to the left of the edges.</param>
    /// <param name="goal">[8], likewise.</param>
    public static double Of(ReadOnlySpan<Vector> block, ReadOnlySpan<Vector> goal)
    {
        if (AreApart(block, goal))
            return 0;
        var area = 0.0;
        for (var i = 0; i < Shape.Vertices; i += Shape.Corners)
        {
            for (var j = 0; j < Shape.Vertices; j += Shape.Corners)
                area += Common(block.Slice(i, Shape.Corners), goal.Slice(j, Shape.Corners));
        }

        return area / Shape.Area;
    }

    // Where circles around the two lie apart, nothing is left of any clip. The middle of the edge between bar and stem has the
    // farthest vertex at √(15² + 90²) = 91.3.
    private static bool AreApart(ReadOnlySpan<Vector> block, ReadOnlySpan<Vector> goal)
    {
        const double Radius = 92;
        var (a, b) = (Middle(block), Middle(goal));
        var (x, y) = (a.X - b.X, a.Y - b.Y);
        return x * x + y * y > 4 * Radius * Radius;
    }

    private static Vector Middle(ReadOnlySpan<Vector> shape) =>
        new(0.5 * (shape[4].X + shape[5].X), 0.5 * (shape[4].Y + shape[5].Y));

    // Sutherland and Hodgman's: the first polygon is cut along every edge of the second, what lies to the left is kept.
    private static double Common(ReadOnlySpan<Vector> polygon, ReadOnlySpan<Vector> window)
    {
        Span<Vector> kept = stackalloc Vector[MostVertices];
        Span<Vector> cut = stackalloc Vector[MostVertices];
        polygon.CopyTo(kept);
        var count = polygon.Length;
        for (var edge = 0; edge < window.Length && count > 0; edge++)
        {
            count = Cut(kept[..count], window[edge], window[(edge + 1) % window.Length], cut);
            var other = kept;
            kept = cut;
            cut = other;
        }

        return Area(kept[..count]);
    }

    // What of a convex polygon lies to the left of the line from a to b; returns how many vertices that has.
    private static int Cut(ReadOnlySpan<Vector> polygon, Vector a, Vector b, Span<Vector> kept)
    {
        var count = 0;
        var from = polygon[^1];
        var before = Side(a, b, from);
        foreach (var to in polygon)
        {
            var after = Side(a, b, to);
            if ((before >= 0) != (after >= 0))
            {
                var share = before / (before - after);
                kept[count++] = new Vector(from.X + share * (to.X - from.X), from.Y + share * (to.Y - from.Y));
            }

            if (after >= 0)
                kept[count++] = to;
            (from, before) = (to, after);
        }

        return count;
    }

    // Twice the area of the triangle a, b, p: positive where p lies to the left.
    private static double Side(Vector a, Vector b, Vector p) =>
        (b.X - a.X) * (p.Y - a.Y) - (b.Y - a.Y) * (p.X - a.X);

    private static double Area(ReadOnlySpan<Vector> polygon)
    {
        var twice = 0.0;
        for (var i = 2; i < polygon.Length; i++)
            twice += Side(polygon[0], polygon[i - 1], polygon[i]);
        return 0.5 * twice;
    }
}
