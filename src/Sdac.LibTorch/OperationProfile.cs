using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Linq;
using System.Runtime.InteropServices;
using System.Threading;

namespace Sdac.LibTorch;

/// <summary>What one kind of libtorch operation took.</summary>
/// <param name="Name">libtorch's name, as in "aten::addmm".</param>
/// <param name="Calls">How often TorchSharp or autograd called it.</param>
/// <param name="Nested">How often another operation called it.</param>
/// <param name="Seconds">Time inside it and not inside operations that it called.</param>
public readonly record struct OperationTime(string Name, long Calls, long Nested, double Seconds);

/// <summary>
/// Counts and times every operation that libtorch dispatches, on all threads, from its creation until it is disposed:
/// through libtorch's own observers (at::RecordFunction), which TorchSharp does not expose. One at a time. Times are the
/// host's: on a GPU they are those of the launches, unless it is waited for.
/// </summary>
public sealed unsafe class OperationProfile : IDisposable
{
    private const int Scopes = 10;

    private static readonly object Gate = new();
    private static OperationProfile? current;
    [ThreadStatic]
    private static Stack<Frame>? frames;
    [ThreadStatic]
    private static int depth;
    private static delegate* unmanaged<nint, byte*> nameOf;

    private readonly Dictionary<string, (long Calls, long Nested, long Ticks)> byName = [];
    private readonly ulong handle;
    private readonly Action? synchronize;
    private long count;

    /// <summary>Begins to count.</summary>
    /// <param name="synchronize">Called after every outermost operation, to wait for a device.</param>
    /// <exception cref="InvalidOperationException">Another profile is open.</exception>
    /// <exception cref="NotSupportedException">This libtorch has no such observers.</exception>
    public OperationProfile(Action? synchronize = null)
    {
        if (Interlocked.CompareExchange(ref current, this, null) is not null)
            throw new InvalidOperationException("an operation profile is open already: dispose it first");
        this.synchronize = synchronize;
        var add = Libtorch.Function("_ZN2at17addGlobalCallbackENS_22RecordFunctionCallbackE");
        var name = Libtorch.Function("_ZNK2at14RecordFunction4nameEv");
        if (add == 0 || name == 0)
        {
            current = null;
            throw new NotSupportedException($"operations can be counted with libtorch {Libtorch.Version} alone");
        }
        nameOf = (delegate* unmanaged<nint, byte*>)name;
        var callback = new Callback { Start = &Begin, End = &End, Probability = 1.0 };
        callback.ScopeUsed[0] = 1; // operations; not the passes of autograd, scripts and the like
        handle = ((delegate* unmanaged<Callback, ulong>)add)(callback);
    }

    /// <summary>Operations that TorchSharp or autograd called so far; those that an operation calls itself do not count.</summary>
    public long Count => Interlocked.Read(ref count);

    /// <summary>Every kind of operation so far, the one with the most time of its own first.</summary>
    public IReadOnlyList<OperationTime> Operations()
    {
        lock (Gate)
            return byName
                .Select(kind => new OperationTime(
                    kind.Key, kind.Value.Calls, kind.Value.Nested, kind.Value.Ticks / (double)Stopwatch.Frequency))
                .OrderByDescending(o => o.Seconds).ThenBy(o => o.Name, StringComparer.Ordinal).ToArray();
    }

    /// <summary>How often the operation ran, called from outside or by another one; 0 where it never did.</summary>
    public long Runs(string name) => Operations().Where(o => o.Name == name).Sum(o => o.Calls + o.Nested);

    /// <summary>Ends counting; what was counted stays.</summary>
    public void Dispose()
    {
        if (Interlocked.CompareExchange(ref current, null, this) != this)
            return;
        ((delegate* unmanaged<ulong, void>)Libtorch.Function("_ZN2at14removeCallbackEm"))(handle);
    }

    [UnmanagedCallersOnly]
    private static nint* Begin(nint* context, nint function)
    {
        // The name may be gone when the operation ends.
        var name = Marshal.PtrToStringUTF8((nint)nameOf(function)) ?? "";
        (frames ??= new Stack<Frame>()).Push(new Frame { Name = name, Began = Stopwatch.GetTimestamp() });
        if (IsOperation(name))
            depth++;
        *context = 0; // no std::unique_ptr<ObserverContext>
        return context;
    }

    [UnmanagedCallersOnly]
    private static void End(nint function, nint context)
    {
        if (frames is null || !frames.TryPop(out var frame))
            return;
        var isOperation = IsOperation(frame.Name);
        if (isOperation && --depth == 0)
            current?.synchronize?.Invoke();
        var ticks = Stopwatch.GetTimestamp() - frame.Began;
        if (frames.TryPop(out var parent))
        {
            parent.Inside += ticks;
            frames.Push(parent);
        }
        if (isOperation)
            current?.Add(frame.Name, ticks - frame.Inside, outermost: depth == 0);
    }

    // Autograd's engine reports its own frames as well.
    private static bool IsOperation(string name) => name.StartsWith("aten::", StringComparison.Ordinal);

    private void Add(string name, long ticks, bool outermost)
    {
        if (outermost)
            Interlocked.Increment(ref count);
        lock (Gate)
        {
            byName.TryGetValue(name, out var sum);
            byName[name] = (sum.Calls + (outermost ? 1 : 0), sum.Nested + (outermost ? 0 : 1), sum.Ticks + ticks);
        }
    }

    private struct Frame
    {
        public string Name;
        public long Began;
        public long Inside;
    }

    // at::RecordFunctionCallback of libtorch 2.10, passed by value.
    [StructLayout(LayoutKind.Sequential)]
    private struct Callback
    {
        public delegate* unmanaged<nint*, nint, nint*> Start;
        public delegate* unmanaged<nint, nint, void> End;
        public double Probability;
        public fixed byte ScopeUsed[Scopes];
        public byte NeedsInputs;
        public byte NeedsOutputs;
        public byte NeedsIds;
    }
}
