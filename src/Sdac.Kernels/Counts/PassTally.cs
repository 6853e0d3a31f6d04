using System;
using System.Collections.Generic;
using System.Threading;

namespace Sdac.Kernels;

/// <summary>
/// Counts the rows that this process puts through networks, from <see cref="Start"/> until it is disposed of: what an
/// update costs, by cause. Every kernel's call adds its rows once; where nothing counts, that is one read of a field per
/// call. Any number of threads may call kernels meanwhile.
/// </summary>
public sealed class PassTally : IDisposable
{
    private static PassTally? current;

    private readonly Lock key = new();
    private readonly List<PassCount> counts = [];

    private PassTally()
    {
    }

    /// <summary>The tally under way; null: none.</summary>
    internal static PassTally? Current => Volatile.Read(ref current);

    /// <summary>
    /// So far, one entry for each network and kind, in the order of their first calls; entries of equal networks hold
    /// the same shape.
    /// </summary>
    public IReadOnlyList<PassCount> Counts
    {
        get
        {
            lock (key)
                return [.. counts];
        }
    }

    /// <summary>Begins to count, from zero.</summary>
    /// <exception cref="InvalidOperationException">Another tally is under way.</exception>
    public static PassTally Start()
    {
        var fresh = new PassTally();
        if (Interlocked.CompareExchange(ref current, fresh, null) is not null)
            throw new InvalidOperationException("Rows are being counted already: dispose of that tally first.");
        return fresh;
    }

    /// <summary>Counts no further; what was counted stays.</summary>
    public void Dispose() => Interlocked.CompareExchange(ref current, null, this);

    /// <summary>Adds the rows of one call.</summary>
    internal void Add(MlpShape network, PassKind kind, long rows, long multiplyAdds)
    {
        lock (key)
        {
            for (var i = 0; i < counts.Count; i++)
            {
                var count = counts[i];
                if (!(count.Network == network || count.Network.IsSameAs(network)))
                    continue;
                network = count.Network; // the same object in all entries of a shape
                if (count.Kind != kind)
                    continue;
                counts[i] = count with { Rows = count.Rows + rows, MultiplyAdds = count.MultiplyAdds + multiplyAdds };
                return;
            }

            counts.Add(new PassCount(network, kind, rows, multiplyAdds));
        }
    }
}
