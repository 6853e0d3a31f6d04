using System;
using System.Threading;

namespace Sdac.Environments;

/// <summary>What an engine keeps for each environment of a batch, made when it is first asked for.</summary>
/// <remarks>Any thread may ask, for one environment no two at once.</remarks>
internal sealed class PerEnvironment<T>(Func<T> make) : IDisposable
    where T : class, IDisposable
{
    private readonly Lock growing = new();
    private T[] items = [];

    /// <summary>The environment's own.</summary>
    public T this[int environment]
    {
        get
        {
            var present = Volatile.Read(ref items);
            return environment < present.Length ? present[environment] : Grown(environment + 1)[environment];
        }
    }

    /// <summary>Disposes of all.</summary>
    public void Dispose()
    {
        foreach (var item in items)
            item.Dispose();
    }

    private T[] Grown(int count)
    {
        lock (growing)
        {
            var more = items;
            if (more.Length < count)
            {
                Array.Resize(ref more, count);
                for (var i = items.Length; i < count; i++)
                    more[i] = make();
                Volatile.Write(ref items, more);
            }

            return more;
        }
    }
}
