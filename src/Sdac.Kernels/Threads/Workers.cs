using System;
using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;
using System.Threading;
using static System.FormattableString;

namespace Sdac.Kernels;

/// <summary>
/// A fixed pool of background threads that share out blocks of work. Which thread runs a block is left to chance, so a
/// block must write only what belongs to it; then no result depends on <see cref="Threads"/>.
/// </summary>
/// <remarks>
/// Idle threads look for work for some microseconds and then sleep. A call made while another one holds the pool, or
/// from inside a block, runs all its blocks on the calling thread. No call allocates.
/// </remarks>
public static unsafe class Workers
{
    /// <summary>Most threads that <see cref="Threads"/> accepts.</summary>
    public const int MaximumThreads = 1024;

    private const int IdleSpins = 300;

    // A worker may be the first to run a kernel, so the compiler must find room on its stack too.
    private const int StackSize = 1024 * 1024;

    private static readonly Lock Pool = new();
    private static readonly SemaphoreSlim Wake = new(0);

    private static int threads = Environment.ProcessorCount;
    private static int started;
    private static int parked;

    // The job in hand: odd while open, even while closed.
    private static int generation;
    private static delegate*<void*, int, int, void> run;
    private static void* work;
    private static int blocks;
    private static int helpers;
    private static int joined;
    private static int next;
    private static int active;
    private static Exception? failure;

    /// <summary>Threads that share the work, the caller included; at first the number of processors.</summary>
    /// <exception cref="ArgumentException">Less than 1 or more than <see cref="MaximumThreads"/>.</exception>
    public static int Threads
    {
        get => Volatile.Read(ref threads);
        set
        {
            if (value is < 1 or > MaximumThreads)
                throw new ArgumentException(
                    Invariant($"Threads is {value}, but must be from 1 to {MaximumThreads}."), nameof(value));
            Volatile.Write(ref threads, value);
        }
    }

    /// <summary>
    /// Runs <paramref name="body"/> for every block from 0 to <paramref name="blocks"/> - 1 and waits.
    /// </summary>
    public static void For(int blocks, Action<int> body)
    {
        ArgumentNullException.ThrowIfNull(body);
        var wrapped = new ActionWork(body);
        For(blocks, ref wrapped);
    }

    /// <summary>
    /// Runs every block of <paramref name="work"/> and waits. An exception in a block is thrown here.
    /// </summary>
    public static void For<TWork>(int blocks, ref TWork work)
        where TWork : struct, IBlockWork => For(blocks, ref work, Threads);

    /// <summary>
    /// The same with at most <paramref name="most"/> threads, for callers who hold scratch memory for so many.
    /// </summary>
    public static void For<TWork>(int blocks, ref TWork work, int most)
        where TWork : struct, IBlockWork
    {
        var useful = Math.Min(most, blocks);
        if (useful < 2 || !Pool.TryEnter())
        {
            for (var block = 0; block < blocks; block++)
                work.Run(block, 0);
            return;
        }

        try
        {
            // A nested call on this thread would enter the lock again.
            if ((generation & 1) != 0)
            {
                for (var block = 0; block < blocks; block++)
                    work.Run(block, 0);
                return;
            }

            // The copy lives on this frame until every helper has left the job, so a plain pointer to it is safe.
            var local = work;
            Share(blocks, useful - 1, Unsafe.AsPointer(ref local), &RunBlock<TWork>);
            work = local;
        }
        finally
        {
            Pool.Exit();
        }
    }

    private static void RunBlock<TWork>(void* work, int block, int worker)
        where TWork : struct, IBlockWork => Unsafe.AsRef<TWork>(work).Run(block, worker);

    private static void Share(int count, int wanted, void* job, delegate*<void*, int, int, void> body)
    {
        while (started < wanted)
            Start();
        run = body;
        work = job;
        blocks = count;
        helpers = wanted;
        joined = 0;
        next = 0;
        failure = null;
        Interlocked.Increment(ref generation);
        WakeSleepers(wanted);

        Drain(0);

        Interlocked.Increment(ref generation);
        var wait = new SpinWait();
        while (Volatile.Read(ref active) != 0)
            wait.SpinOnce(sleep1Threshold: -1);
        var thrown = failure;
        failure = null;
        if (thrown is not null)
            ExceptionDispatchInfo.Throw(thrown);
    }

    private static void Drain(int worker)
    {
        try
        {
            int block;
            while ((block = Interlocked.Increment(ref next) - 1) < blocks)
                run(work, block, worker);
        }
        catch (Exception exception)
        {
            Interlocked.CompareExchange(ref failure, exception, null);
            Volatile.Write(ref next, blocks);
        }
    }

    private static void WakeSleepers(int wanted)
    {
        var asleep = Volatile.Read(ref parked);
        while (asleep > 0)
        {
            var rouse = Math.Min(asleep, wanted);
            var seen = Interlocked.CompareExchange(ref parked, asleep - rouse, asleep);
            if (seen == asleep)
            {
                Wake.Release(rouse);
                return;
            }

            asleep = seen;
        }
    }

    private static void Start()
    {
        started++;
        var thread = new Thread(Loop, StackSize) { IsBackground = true, Name = $"Sdac kernels {started}" };
        thread.UnsafeStart();
    }

    private static void Loop()
    {
        var seen = 0;
        while (true)
        {
            var now = AwaitJob(seen);
            seen = now;

            // The full fences here and in Share decide: either this thread sees the job closed, or Share sees it
            // active.
            Interlocked.Increment(ref active);
            if (Volatile.Read(ref generation) == now)
            {
                var worker = Interlocked.Increment(ref joined);
                if (worker <= helpers)
                    Drain(worker);
            }

            Interlocked.Decrement(ref active);
        }
    }

    /// <summary>Waits for an open job other than the one numbered <paramref name="seen"/>.</summary>
    private static int AwaitJob(int seen)
    {
        while (true)
        {
            for (var spin = 0; spin < IdleSpins; spin++)
            {
                if (IsNew(seen, out var now))
                    return now;
                Thread.SpinWait(8);
            }

            Interlocked.Increment(ref parked);
            if (IsNew(seen, out var late) && TryUnpark())
                return late;
            Wake.Wait();
        }
    }

    private static bool IsNew(int seen, out int now)
    {
        now = Volatile.Read(ref generation);
        return (now & 1) != 0 && now != seen;
    }

    /// <summary>
    /// Takes back this thread's entry among the sleepers, unless somebody has already paid to wake it.
    /// </summary>
    private static bool TryUnpark()
    {
        var asleep = Volatile.Read(ref parked);
        while (asleep > 0)
        {
            var before = Interlocked.CompareExchange(ref parked, asleep - 1, asleep);
            if (before == asleep)
                return true;
            asleep = before;
        }

        return false;
    }

    private struct ActionWork(Action<int> body) : IBlockWork
    {
        public readonly void Run(int block, int worker) => body(block);
    }
}
