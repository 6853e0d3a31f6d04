using System;

namespace Sdac.Environments;

/// <summary>Poses of what simulates inside a wrapped engine, whose numbers come first in a state.</summary>
internal sealed class InnermostPoser(IPoser inner, int stateSize) : IPoser
{
    /// <inheritdoc/>
    public string? Pose(ReadOnlySpan<double> state, Span<double> poses) => inner.Pose(state[..stateSize], poses);

    /// <inheritdoc/>
    public void Dispose() => inner.Dispose();
}
