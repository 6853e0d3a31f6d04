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
        var area = 0.0;
        for (var i = 0; i < Shape.Vertices; i += Shape.Corners)
        {
            for (var j = 0; j < Shape.Vertices; j += Shape.Corners)
            {
                var polygon = block.Slice(i, Shape.Corners);
                var window = goal.Slice(j, Shape.Corners);
                if (!AreApart(polygon, window))
                    area += Common(polygon, window);
            }
        }

        return area / Shape.Area;
    }

    // Where the circles around two rectangles lie apart, the clip leaves nothing: their middles are then farther from each other
    // than half their diagonals, with an eighth of a percent for rounding.
    private static bool AreApart(ReadOnlySpan<Vector> one, ReadOnlySpan<Vector> other)
    {
        const double Slack = 1.00125;
        var (x, y) = (one[0].X + one[2].X - other[0].X - other[2].X, one[0].Y + one[2].Y - other[0].Y - other[2].Y);
        var reach = Slack * (Diagonal(one) + Diagonal(other));
        return x * x + y * y > reach * reach;
    }

    private static double Diagonal(ReadOnlySpan<Vector> rectangle)
    {
        var (x, y) = (rectangle[2].X - rectangle[0].X, rectangle[2].Y - rectangle[0].Y);
        return Math.Sqrt(x * x + y * y);
    }

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
