using System;
using System.Collections.Generic;
using System.Linq;

namespace TorchSharp;

/// <summary>
/// Owns what is created on this thread while it is the innermost scope, and disposes it at its end, except what was
/// moved to the outer scope or detached.
/// </summary>
public sealed class DisposeScope : IDisposable
{
    private readonly HashSet<IDisposable> owned = new(ReferenceEqualityComparer.Instance);
    private readonly DisposeScopeManager manager;

    internal DisposeScope(DisposeScopeManager manager) => this.manager = manager;

    public int DisposablesCount => owned.Count;

    public IReadOnlyList<IDisposable> DisposablesView => owned.ToList();

    public bool Contains(IDisposable disposable) => owned.Contains(disposable);

    /// <summary>
    /// Takes the object out of this scope and gives it to the scope around it; without one, to nobody.
    /// </summary>
    public T MoveToOuter<T>(T disposable) where T : IDisposable
    {
        Move(disposable, manager.Outer(this));
        return disposable;
    }

    public (T1 first, T2 second) MoveToOuter<T1, T2>(T1 first, T2 second)
        where T1 : IDisposable where T2 : IDisposable =>
        (MoveToOuter(first), MoveToOuter(second));

    public (T1 first, T2 second, T3 third) MoveToOuter<T1, T2, T3>(T1 first, T2 second, T3 third)
        where T1 : IDisposable where T2 : IDisposable where T3 : IDisposable =>
        (MoveToOuter(first), MoveToOuter(second), MoveToOuter(third));

    public void MoveToOuter(params IDisposable[] disposables) => MoveToOuter((IEnumerable<IDisposable>)disposables);

    public void MoveToOuter(IEnumerable<IDisposable> disposables)
    {
        foreach (var disposable in disposables) MoveToOuter<IDisposable>(disposable);
    }

    /// <summary>Takes the object out of this scope: from here on, its disposal is the caller's affair.</summary>
    public T Detach<T>(T disposable) where T : IDisposable
    {
        Move(disposable, null);
        return disposable;
    }

    public (T1 first, T2 second) Detach<T1, T2>(T1 first, T2 second)
        where T1 : IDisposable where T2 : IDisposable =>
        (Detach(first), Detach(second));

    public (T1 first, T2 second, T3 third) Detach<T1, T2, T3>(T1 first, T2 second, T3 third)
        where T1 : IDisposable where T2 : IDisposable where T3 : IDisposable =>
        (Detach(first), Detach(second), Detach(third));

    public void Detach(params IDisposable[] disposables) => Detach((IEnumerable<IDisposable>)disposables);

    public void Detach(IEnumerable<IDisposable> disposables)
    {
        foreach (var disposable in disposables) Detach<IDisposable>(disposable);
    }

    public void DisposeEverything() => DisposeEverythingBut([]);

    /// <summary>Disposes what this scope owns now, but for the objects given; the scope stays open.</summary>
    public void DisposeEverythingBut(IEnumerable<IDisposable> inKeep)
    {
        var keep = new HashSet<IDisposable>(inKeep, ReferenceEqualityComparer.Instance);
        var all = owned.ToArray();
        owned.Clear();
        foreach (var disposable in all)
            if (keep.Contains(disposable)) owned.Add(disposable);
            else Dispose(disposable);
    }

    public void DisposeEverythingBut(params IDisposable[] keep) =>
        DisposeEverythingBut((IEnumerable<IDisposable>)keep);

    public T DisposeEverythingBut<T>(T keep) where T : IDisposable
    {
        DisposeEverythingBut((IEnumerable<IDisposable>)[keep]);
        return keep;
    }

    public (T1 first, T2 second) DisposeEverythingBut<T1, T2>(T1 first, T2 second)
        where T1 : IDisposable where T2 : IDisposable
    {
        DisposeEverythingBut((IEnumerable<IDisposable>)[first, second]);
        return (first, second);
    }

    public (T1 first, T2 second, T3 third) DisposeEverythingBut<T1, T2, T3>(T1 first, T2 second, T3 third)
        where T1 : IDisposable where T2 : IDisposable where T3 : IDisposable
    {
        DisposeEverythingBut((IEnumerable<IDisposable>)[first, second, third]);
        return (first, second, third);
    }

    /// <summary>Forgets an object that was disposed by other means.</summary>
    public void MarkAsDisposed(IDisposable disposable) => owned.Remove(disposable);

    public void Dispose()
    {
        foreach (var disposable in owned) Dispose(disposable);
        owned.Clear();
        manager.Remove(this);
    }

    internal void Add(IDisposable disposable) => owned.Add(disposable);

    private static void Dispose(IDisposable disposable)
    {
        // Cut the way back first: the set must not change while it is walked.
        if (disposable is torch.Tensor tensor) tensor.OwningScope = null;
        disposable.Dispose();
    }

    private void Move(IDisposable disposable, DisposeScope? target)
    {
        if (!owned.Remove(disposable)) return;
        target?.owned.Add(disposable);
        if (disposable is torch.Tensor tensor) tensor.OwningScope = target;
    }
}
