using System;
using System.Collections.Generic;

namespace TorchSharp;

/// <summary>The open dispose scopes of one thread.</summary>
public class DisposeScopeManager
{
    [ThreadStatic]
    private static DisposeScopeManager? current;

    private readonly List<DisposeScope> open = [];
    internal ThreadDisposeScopeStatistics Counts { get; } = new();

    internal static DisposeScopeManager Current => current ??= new();

    /// <summary>Counts of this thread's tensors.</summary>
    public static ThreadDisposeScopeStatistics Statistics => Current.Counts;

    internal DisposeScope? Innermost => open.Count == 0 ? null : open[^1];

    internal DisposeScope NewScope()
    {
        var scope = new DisposeScope(this);
        open.Add(scope);
        return scope;
    }

    internal DisposeScope? Outer(DisposeScope scope)
    {
        var position = open.LastIndexOf(scope);
        return position > 0 ? open[position - 1] : null;
    }

    internal void Remove(DisposeScope scope) => open.Remove(scope);
}
