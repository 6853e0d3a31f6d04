namespace Sdac.Environments;

/// <summary>An engine whose episodes are cut elsewhere.</summary>
internal sealed class TimeLimited(IEngine inner, int limit) : IEngine
{
    /// <inheritdoc/>
    public EnvSpec Spec { get; } = inner.Spec with { MaxEpisodeSteps = limit };

    /// <inheritdoc/>
    public int StateSize => inner.StateSize;

    /// <inheritdoc/>
    public int MeasureDim => inner.MeasureDim;

    /// <inheritdoc/>
    public IEngine Innermost => inner.Innermost;

    /// <inheritdoc/>
    public IScratch NewScratch() => inner.NewScratch();

    /// <inheritdoc/>
    public void Dispose() => inner.Dispose();
}
