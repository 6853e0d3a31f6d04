using System;

namespace Sdac.Kernels.Linear;

/// <summary>
/// The shared part of the first layer as each slab of rows needs it: a panel to start from, or, where the whole slab
/// shares one row, that row in the bias's place.
/// </summary>
internal readonly unsafe struct SharedStart(float* product, int repeat, int rows, int outputs)
{
    /// <summary>Whether <see cref="SharedWork{TSimd, V}"/> should leave panels (or else rows).</summary>
    public static bool WantsPanels(int repeat) => repeat == 1;

    /// <summary>The row that all rows of the slab share, or null.</summary>
    public float* Row(Slab slab)
    {
        if (WantsPanels(repeat))
            return null;
        var last = Math.Min(slab.First + slab.Lanes, rows) - 1;
        return slab.First / repeat == last / repeat ? product + ((nint)(slab.First / repeat) * outputs) : null;
    }

    /// <summary>
    /// The panel to start from, at the slab's first lane; <paramref name="scratch"/> may be used for it.
    /// </summary>
    public float* StartPanel(Slab slab, float* scratch)
    {
        if (WantsPanels(repeat))
            return product + ((nint)slab.Panel * outputs * Panel.Rows) + slab.Lane;
        for (var lane = 0; lane < slab.Lanes; lane++)
        {
            var from = product + ((nint)(Math.Min(slab.First + lane, rows - 1) / repeat) * outputs);
            for (var j = 0; j < outputs; j++)
                scratch[(j * Panel.Rows) + lane] = from[j];
        }

        return scratch;
    }
}
