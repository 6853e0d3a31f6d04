using System;

namespace Sdac.Kernels.Linear;

/// <summary>How many threads a kernel uses and how finely it cuts its rows. Neither changes a result.</summary>
internal static class Cutting
{
    // A tile of 16 lanes runs at this fraction of the speed of one with 32.
    private const double NarrowSpeed = 0.97;

    /// <summary>
    /// Fewer fused multiply-adds than this are done by the caller alone: waking a sleeping thread costs tens of
    /// microseconds. Settable so that tests can share out small work too.
    /// </summary>
    public static long WorthSharing { get; set; } = 1_000_000;

    /// <summary>Threads for so many fused multiply-adds.</summary>
    public static int Threads(long operations) => operations < WorthSharing ? 1 : Workers.Threads;

    /// <summary>Lanes per block, 32 or 16, whichever leaves the busiest thread less to do.</summary>
    public static int Lanes(int rows, int threads)
    {
        var wide = (Panel.Count(rows) + threads - 1) / threads;
        var narrow = (((rows + 15) / 16) + threads - 1) / threads;
        return narrow / (2 * NarrowSpeed) < wide ? 16 : Panel.Rows;
    }
}
