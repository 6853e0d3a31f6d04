namespace TorchSharp;

/// <summary>How many tensors one thread has made and not disposed.</summary>
public class ThreadDisposeScopeStatistics
{
    /// <summary>Tensors created on this thread less those disposed on it, since the last <see cref="Reset"/>.</summary>
    public long ThreadTotalLiveCount { get; private set; }

    public void Reset() => ThreadTotalLiveCount = 0;

    internal void Created() => ThreadTotalLiveCount++;

    internal void Disposed() => ThreadTotalLiveCount--;
}
