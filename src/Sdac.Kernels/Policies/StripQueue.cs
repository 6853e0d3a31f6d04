using System.Threading;

namespace Sdac.Kernels;

/// <summary>
/// Which strip of actions a thread takes through its next timestep. Threads that each took whole strips through the whole chain
/// waited up to a tenth of the time for the last one: two processors are seldom equally fast for a millisecond.
/// </summary>
/// <param name="words">[2 · strips], zero at first: timesteps done and whether a thread has the strip; its last thread.</param>
/// <param name="strips">How many there are.</param>
/// <param name="timesteps">Of each strip.</param>
internal readonly unsafe struct StripQueue(int* words, int strips, int timesteps)
{
    private const int Taken = 1;

    /// <summary>Ints that the words take.</summary>
    public static int Words(int strips) => 2 * strips;

    /// <summary>
    /// Takes a free strip: the one with the fewest timesteps done, among equals one that this thread had before, whose numbers
    /// its cache still has. False when every strip is done or in other hands.
    /// </summary>
    public bool TryTake(int worker, out int strip, out int done)
    {
        while (true)
        {
            strip = -1;
            done = timesteps;
            for (var i = 0; i < strips; i++)
            {
                var word = Volatile.Read(ref words[i]);
                if ((word & Taken) != 0)
                    continue;
                if (word >> 1 < done || (strip >= 0 && word >> 1 == done && IsOwn(i, worker) && !IsOwn(strip, worker)))
                    (strip, done) = (i, word >> 1);
            }

            if (strip < 0)
                return false;
            var free = done << 1;
            if (Interlocked.CompareExchange(ref words[strip], free | Taken, free) == free)
            {
                words[strips + strip] = worker;
                return true;
            }
        }
    }

    /// <summary>Gives a strip back, one timestep further.</summary>
    public void Return(int strip, int done) => Volatile.Write(ref words[strip], (done + 1) << 1);

    private bool IsOwn(int strip, int worker) => words[strips + strip] == worker;
}
