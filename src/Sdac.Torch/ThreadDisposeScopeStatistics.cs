namespace TorchSharp;

/// <summary>How many tensors one thread has made and not disposed.</summary>
public class ThreadDisposeScopeStatistics
{
    private long live;

    /// <summary>Tensors created on this thread less those disposed on it, since the last <see cref="Reset"/>.</summary>
    public long ThreadTotalLiveCount => live;

    public void Reset() => live = 0;

    internal void Created() => live++;

    internal void Disposed() => live--;
}
