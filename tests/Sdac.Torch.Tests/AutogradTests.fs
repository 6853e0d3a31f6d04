module Sdac.Torch.Tests.AutogradTests

open System.Collections.Generic
open FsCheck.FSharp
open TorchSharp
open Xunit
open Sdac.Torch.Tests.Reference
open Sdac.Torch.Tests.Support

type private T = torch.Tensor

let private gradient (y: T) (x: T) = torch.autograd.grad([| y |], [| x |])[0]

let private smooth: (T -> T) list =
    [ torch.tanh
      torch.sin
      torch.sigmoid
      torch.nn.functional.softplus
      torch.nn.functional.Mish
      (fun x -> x.silu ())
      (fun x -> x * x + (scalar 1))
      (fun x -> (scalar 1) / (x * x + (scalar 2)))
      (fun x -> x.softmax 0L)
      (fun x -> x - x.logsumexp 0L)
      (fun x -> x / (x.norm () + (scalar 1)))
      (fun x -> (torch.outer (x, x) + torch.eye (x.shape[0], dtype = torch.float64)).matmul x)
      (fun x -> torch.cat ([| x.narrow (0L, 1L, x.shape[0] - 1L); x.narrow (0L, 0L, 1L) |]))
      (fun x -> x.cumsum 0L)
      (fun x -> torch.erf x) ]

let private compositions =
    gen {
        let! functions = Gen.choose (1, 4) |> Gen.bind (fun n -> Gen.listOfLength n (Gen.elements smooth))
        let! size = Gen.choose (2, 5)
        let! point = valuesOf value [| int64 size |]
        let! weights = valuesOf value [| int64 size |]
        return List.reduce (>>) functions, point, weights
    }

[<Fact>]
let ``gradients of compositions equal central differences`` () =
    check (Arb.fromGen compositions) (fun (f, point, weights) ->
        use _ = torch.NewDisposeScope()
        let scalarOf (a: NdArray) = (f (tensor a) * tensor weights).sum().item<float>()
        let x = (tensor point).requires_grad_()
        let step = 1e-5

        let difference i =
            let moved by = scalarOf { point with Data = Array.updateAt i (point.Data[i] + by) point.Data }
            (moved step - moved -step) / (2.0 * step)

        let expected = { point with Data = Array.init point.Data.Length difference }
        assertEqual 2e-6 expected (gradient ((f x * tensor weights).sum()) x))

[<Fact>]
let ``grad_outputs is the vector of the vector-Jacobian product`` () =
    use _ = torch.NewDisposeScope()
    let x = torch.tensor ([| 1.0; 2.0; 3.0 |], requires_grad = true)
    let v = torch.tensor ([| 1.0; 10.0; 100.0 |])
    let g = torch.autograd.grad ([| x * x |], [| x |], [| v |])
    Assert.Equal<float[]>([| 2.0; 40.0; 600.0 |], g[0].data<float>().ToArray())

[<Fact>]
let ``a recorded gradient can be differentiated again`` () =
    use _ = torch.NewDisposeScope()
    let x = torch.tensor (2.0, requires_grad = true)
    let y = x.pow (scalar 3)
    let first = torch.autograd.grad([| y |], [| x |], retain_graph = true, create_graph = true)[0]
    Assert.Equal(12.0, first.item<float>())
    Assert.Equal(12.0, (gradient first x).item<float>())

[<Fact>]
let ``an input that no output depends on is refused, or null if allowed`` () =
    use _ = torch.NewDisposeScope()
    let x = torch.ones (2L, requires_grad = true)
    let unused = torch.ones (2L, requires_grad = true)
    let y = x.sum ()
    let refused () = torch.autograd.grad ([| y |], [| unused |], retain_graph = true) |> ignore
    Assert.Contains("allow_unused", messageOf refused)
    let g: IList<T> = torch.autograd.grad ([| y |], [| x; unused |], allow_unused = true)
    Assert.NotNull g[0]
    Assert.Null g[1]

[<Fact>]
let ``nothing is recorded under no_grad, and the mode comes back`` () =
    use _ = torch.NewDisposeScope()
    let x = torch.ones (2L, requires_grad = true)

    let inside =
        use _ = torch.no_grad ()
        Assert.False(torch.is_grad_enabled ())
        use _ = torch.enable_grad ()
        Assert.True((x * x).requires_grad)
        use _ = torch.set_grad_enabled false
        (x * x).requires_grad

    Assert.False inside
    Assert.True(torch.is_grad_enabled ())
    Assert.True((x * x).requires_grad)

[<Fact>]
let ``a detached tensor is a leaf that cuts the graph`` () =
    use _ = torch.NewDisposeScope()
    let x = torch.tensor (3.0, requires_grad = true)
    let cut = (x * x).detach().requires_grad_()
    Assert.True cut.is_leaf
    let y = cut * cut
    Assert.Equal(18.0, (gradient y cut).item<float>())

[<Fact>]
let ``backward releases its graph`` () =
    use _ = torch.NewDisposeScope()
    let x = torch.ones (2L, requires_grad = true)
    let y = (x * x).sum()
    y.backward ()
    Assert.Contains("second time", messageOf y.backward)

[<Fact>]
let ``integers do not take gradients`` () =
    use x = torch.ones (2L, torch.int64)
    Assert.Contains("floating point", messageOf (fun () -> x.requires_grad <- true))
