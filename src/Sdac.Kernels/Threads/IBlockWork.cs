namespace Sdac.Kernels;

/// <summary>Work split into blocks that do not depend on each other.</summary>
public interface IBlockWork
{
    /// <summary>Does one block.</summary>
    /// <param name="block">0 to blocks - 1.</param>
    /// <param name="worker">Which thread runs it, 0 to <see cref="Workers.Threads"/> - 1: an index for scratch
    /// memory.</param>
    void Run(int block, int worker);
}
