module Sdac.Torch.Tests.DisposeScopeTests

open System
open TorchSharp
open TorchSharp.Native
open Xunit
open Sdac.Torch.Tests.Support

[<Fact>]
let ``what is made in a scope ends with it, views too`` () =
    let scope = torch.NewDisposeScope()
    let t = torch.ones (3L)
    let view = t.view (3L, 1L)
    Assert.True(scope.Contains t && scope.Contains view)
    Assert.Equal(2, scope.DisposablesCount)
    scope.Dispose()
    Assert.True(t.IsInvalid && view.IsInvalid)
    Assert.Contains("disposed", messageOf (fun () -> t.sum () |> ignore))

[<Fact>]
let ``a tensor moved to the outer scope ends with that one`` () =
    let outer = torch.NewDisposeScope()

    let result =
        use _ = torch.NewDisposeScope()
        (torch.ones (2L) * (scalar 2)).MoveToOuterDisposeScope()

    Assert.False result.IsInvalid
    Assert.True(outer.Contains result)
    Assert.Equal(1, outer.DisposablesCount)
    outer.Dispose()
    Assert.True result.IsInvalid

[<Fact>]
let ``a detached tensor outlives all scopes`` () =
    let result =
        use outer = torch.NewDisposeScope()
        use inner = torch.NewDisposeScope()
        let a = torch.ones(2L).DetachFromDisposeScope()
        let struct (b, c) = inner.MoveToOuter(torch.ones (2L), torch.ones (2L))
        outer.Detach(b) |> ignore
        c.Dispose()
        [ a; b ]

    for t in result do
        Assert.Equal(2.0f, t.sum().item<float32>())
        t.Dispose()

[<Fact>]
let ``a scope can be emptied but for what is kept`` () =
    use scope = torch.NewDisposeScope()
    let a, b = torch.ones (1L), torch.ones (1L)
    Assert.Same(a, scope.DisposeEverythingBut a)
    Assert.False a.IsInvalid
    Assert.True b.IsInvalid
    Assert.Equal(1, scope.DisposablesCount)

[<Fact>]
let ``a tensor disposed by hand leaves its scope`` () =
    use scope = torch.NewDisposeScope()
    let t = torch.ones (1L)
    t.Dispose()
    t.Dispose()
    Assert.Equal(0, scope.DisposablesCount)

[<Fact>]
let ``scopes belong to threads`` () =
    use scope = torch.NewDisposeScope()
    let made = Collections.Concurrent.ConcurrentBag<torch.Tensor>()
    let thread = Threading.Thread(fun () -> made.Add(torch.ones (1L)))
    thread.Start()
    thread.Join()

    for elsewhere in made do
        Assert.False(scope.Contains elsewhere)
        elsewhere.Dispose()

let private work () =
    use _ = torch.NewDisposeScope()
    let x = torch.randn ([| 4L; 3L |], requires_grad = true)
    let parts = (x * x).split([| 1L; 2L |], 1L)
    let struct (values, _) = torch.cat(parts, 1L).sort()

    let y =
        values[torch.TensorIndex.Single(Nullable 1L), torch.TensorIndex.Slice(Nullable 0L, Nullable 2L)].softmax(0L)

    let g = torch.autograd.grad([| y.max () |], [| x |])[0]
    g.add_(scalar 1).mul_(x.detach ()) |> ignore
    g[torch.TensorIndex.Tensor(g.gt (scalar 0))] <- torch.zeros (1L)

    try
        x.mm x |> ignore
    with _ ->
        ()

    (x / (scalar 2)).Dispose()

let private finalizeForgotten () =
    GC.Collect()
    GC.WaitForPendingFinalizers()

[<Fact>]
let ``thousands of operations leave no tensor behind, in .NET or in libtorch`` () =
    work ()
    finalizeForgotten () // what other tests left to the finalizer is not to be counted
    let managed, native = torch.Tensor.TotalCount, Door.sdac_live_tensors ()
    let onThisThread = DisposeScopeManager.Statistics.ThreadTotalLiveCount

    for _ in 1..1000 do
        work ()

    Assert.Equal(managed, torch.Tensor.TotalCount)
    Assert.Equal(native, Door.sdac_live_tensors ())
    Assert.Equal(onThisThread, DisposeScopeManager.Statistics.ThreadTotalLiveCount)
    Assert.True(torch.Tensor.PeakCount > managed)

[<Fact>]
let ``the finalizer frees forgotten tensors`` () =
    finalizeForgotten ()
    let before = Door.sdac_live_tensors ()

    let forget () =
        for _ in 1..100 do
            torch.ones (1L) |> ignore

    forget ()
    Assert.True(Door.sdac_live_tensors () > before)
    finalizeForgotten ()
    Assert.True(Door.sdac_live_tensors () <= before + 1L)
