using System;

namespace Sdac.Kernels.Linear;

/// <summary>
/// Rows of a matrix travel through a network in panels of 32, column after column: element (row, column) lies at
/// [column·32 + row]. A layer's output panel is the next layer's input as it is, whatever the widths.
/// </summary>
internal static unsafe class Panel
{
    public const int Rows = 32;

    public static int Count(int rows) => (rows + Rows - 1) / Rows;

    /// <summary>
    /// Rows [first, first + lanes) of a row-major matrix into their lanes of a panel, zeros past the end.
    /// </summary>
    public static void Gather(float* matrix, int rows, int columns, int first, int lanes, float* panel)
    {
        var present = Math.Clamp(rows - first, 0, lanes);
        Transposition.Run(matrix + ((nint)first * columns), columns, present, columns, panel, Rows);
        if (present == lanes)
            return;
        for (var j = 0; j < columns; j++)
            new Span<float>(panel + (j * Rows) + present, lanes - present).Clear();
    }

    /// <summary>The reverse of <see cref="Gather"/>: lanes past the end are dropped.</summary>
    public static void Scatter(float* panel, int rows, int columns, int first, int lanes, float* matrix)
    {
        var present = Math.Clamp(rows - first, 0, lanes);
        Transposition.Run(panel, Rows, columns, present, matrix + ((nint)first * columns), columns);
    }
}
