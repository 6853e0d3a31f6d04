using System;

namespace TorchSharp.Native;

/// <summary>
/// One operator of libtorch, found by name and overload on first use and called through the dispatcher.
/// Trailing arguments left out take the defaults of the operator's schema.
/// </summary>
/// <param name="name">As in libtorch's schema, without the namespace.</param>
/// <param name="overload">As in libtorch's schema, after the dot.</param>
/// <param name="inOrder">
/// Run on one thread: the parallel form adds up in an order, and so to bits, that depend on the number of threads.
/// </param>
internal sealed unsafe class Op(string name, string overload = "", bool inOrder = false)
{
    private const int MaxArguments = 8;

    private nint handle;

    public string Name => name;

    public string Overload => overload;

    /// <summary>Looks the operator up.</summary>
    /// <exception cref="System.Runtime.InteropServices.ExternalException">libtorch has no such operator.</exception>
    internal nint Find()
    {
        if (handle == 0)
        {
            var found = Door.sdac_operator("aten::" + name, overload, inOrder ? 1 : 0);
            if (found == 0) throw Door.Error();
            handle = found;
        }
        return handle;
    }

    /// <summary>For operators that give one tensor.</summary>
    internal torch.Tensor Call(Arg a, Arg b = default, Arg c = default, Arg d = default, Arg e = default,
        Arg f = default, Arg g = default, Arg h = default)
    {
        NativeValue result;
        Invoke(a, b, c, d, e, f, g, h, &result, 1);
        return torch.Tensor.Own(result);
    }

    /// <summary>For in-place operators, whose result is an argument.</summary>
    internal void Run(Arg a, Arg b = default, Arg c = default, Arg d = default, Arg e = default,
        Arg f = default, Arg g = default, Arg h = default) =>
        Invoke(a, b, c, d, e, f, g, h, null, 0);

    /// <summary>For operators that give two tensors.</summary>
    internal (torch.Tensor, torch.Tensor) Pair(Arg a, Arg b = default, Arg c = default, Arg d = default,
        Arg e = default, Arg f = default, Arg g = default, Arg h = default)
    {
        var results = stackalloc NativeValue[2];
        Invoke(a, b, c, d, e, f, g, h, results, 2);
        return (torch.Tensor.Own(results[0]), torch.Tensor.Own(results[1]));
    }

    /// <summary>For operators that give three tensors.</summary>
    internal (torch.Tensor, torch.Tensor, torch.Tensor) Triple(Arg a, Arg b = default, Arg c = default, Arg d = default,
        Arg e = default, Arg f = default, Arg g = default, Arg h = default)
    {
        var results = stackalloc NativeValue[3];
        Invoke(a, b, c, d, e, f, g, h, results, 3);
        return (torch.Tensor.Own(results[0]), torch.Tensor.Own(results[1]), torch.Tensor.Own(results[2]));
    }

    /// <summary>For operators that give a list of tensors.</summary>
    internal torch.Tensor[] Many(Arg a, Arg b = default, Arg c = default, Arg d = default, Arg e = default,
        Arg f = default, Arg g = default, Arg h = default)
    {
        NativeValue result;
        Invoke(a, b, c, d, e, f, g, h, &result, 1);
        var handles = (long*)result.Bits;
        var tensors = new torch.Tensor[result.Count];
        for (var i = 0; i < tensors.Length; i++) tensors[i] = torch.Tensor.Own((nint)handles[i]);
        Door.sdac_free(handles);
        return tensors;
    }

    /// <summary>For operators that give a plain value: a number or a truth value.</summary>
    internal Scalar Value(Arg a, Arg b = default, Arg c = default, Arg d = default, Arg e = default,
        Arg f = default, Arg g = default, Arg h = default)
    {
        NativeValue result;
        Invoke(a, b, c, d, e, f, g, h, &result, 1);
        return new Scalar(result.Kind, result.Bits);
    }

    private void Invoke(in Arg a, in Arg b, in Arg c, in Arg d, in Arg e, in Arg f, in Arg g, in Arg h,
        NativeValue* results, int capacity)
    {
        var args = stackalloc NativeValue[MaxArguments];
        int status;
        fixed (long* la = a.List, lb = b.List, lc = c.List, ld = d.List,
               le = e.List, lf = f.List, lg = g.List, lh = h.List)
        {
            a.Write(args, la);
            b.Write(args + 1, lb);
            c.Write(args + 2, lc);
            d.Write(args + 3, ld);
            e.Write(args + 4, le);
            f.Write(args + 5, lf);
            g.Write(args + 6, lg);
            h.Write(args + 7, lh);
            status = Door.sdac_call(Find(), args, MaxArguments, results, capacity);
        }
        // A tensor must not be finalised between the reading of its handle and the end of the call.
        GC.KeepAlive(a.Owner);
        GC.KeepAlive(b.Owner);
        GC.KeepAlive(c.Owner);
        GC.KeepAlive(d.Owner);
        GC.KeepAlive(e.Owner);
        GC.KeepAlive(f.Owner);
        GC.KeepAlive(g.Owner);
        GC.KeepAlive(h.Owner);
        if (status < 0) throw Door.Error();
    }
}
