module Sdac.Torch.Tests.ShapeTests

open System
open FsCheck.FSharp
open TorchSharp
open Xunit
open Sdac.Torch.Tests.Reference
open Sdac.Torch.Tests.Support

[<Fact>]
let ``reshaping keeps the row-major order`` () =
    check (Arb.fromGen arrays) (fun a ->
        use _ = torch.NewDisposeScope()
        let flat = { a with Shape = [| a.Data.LongLength |] }
        assertEqual 0.0 flat ((tensor a).reshape(-1L))
        assertEqual 0.0 flat ((tensor a).flatten())
        assertEqual 0.0 a ((tensor flat).view(a.Shape)))

[<Fact>]
let ``permuting moves the indices`` () =
    check (Arb.fromGen (shapeOfRank 3 |> Gen.bind (valuesOf value))) (fun a ->
        use _ = torch.NewDisposeScope()
        let t = tensor a
        let moved = [| a.Shape[2]; a.Shape[0]; a.Shape[1] |]
        let expected = init moved (fun p -> at a [| p[1]; p[2]; p[0] |])
        assertEqual 0.0 expected (t.permute (2L, 0L, 1L))
        assertEqual 0.0 expected (torch.movedim (t, 2L, 0L))
        assertEqual 0.0 expected (t.transpose(1L, 2L).transpose(0L, 1L))
        assertEqual 0.0 expected (t.permute(2L, 0L, 1L).contiguous()))

[<Fact>]
let ``joining and cutting are inverse`` () =
    check (Arb.fromGen arraysWithDim) (fun (a, dim) ->
        use _ = torch.NewDisposeScope()
        let t, d = tensor a, int64 dim
        assertEqual 0.0 a (torch.cat (t.split (2L, dim), d))
        assertEqual 0.0 a (torch.cat (t.chunk (3L, d), d))
        assertEqual 0.0 a (torch.stack (t.unbind d, d))
        let sizes = [| 1L; a.Shape[dim] - 1L |]
        let parts = t.split (sizes, d)
        Assert.Equal<int64[]>(sizes, parts |> Array.map (fun p -> p.shape[dim]))
        assertEqual 0.0 a (torch.cat (parts, d)))

[<Fact>]
let ``repeating, expanding and interleaving copy along a dimension`` () =
    check (Arb.fromGen (Gen.choose (1, 4) |> Gen.bind (fun n -> valuesOf value [| int64 n |]))) (fun a ->
        use _ = torch.NewDisposeScope()
        let t, n = tensor a, a.Shape[0]
        let rows = init [| 3L; n |] (fun p -> a.Data[int p[1]])
        assertEqual 0.0 rows (t.expand (3L, -1L))
        assertEqual 0.0 rows (t.repeat (3L, 1L))
        assertEqual 0.0 rows (t.expand_as (torch.zeros (3L, n)))
        assertEqual 0.0 (init [| 2L * n |] (fun p -> a.Data[int (p[0] % n)])) (t.tile [| 2L |])
        assertEqual 0.0 (init [| 2L * n |] (fun p -> a.Data[int (p[0] / 2L)])) (t.repeat_interleave 2L))

[<Fact>]
let ``flipping and rolling move the elements round`` () =
    check (Arb.fromGen (Gen.choose (1, 6) |> Gen.bind (fun n -> valuesOf value [| int64 n |]))) (fun a ->
        use _ = torch.NewDisposeScope()
        let t, n = tensor a, a.Data.Length
        assertEqual 0.0 { a with Data = Array.rev a.Data } (t.flip 0L)

        assertEqual
            0.0
            { a with Data = Array.init n (fun i -> a.Data[(i - 2 + 2 * n) % n]) }
            (t.roll (2L, Nullable 0L)))

[<Fact>]
let ``dimensions of size 1 come and go`` () =
    check (Arb.fromGen arraysWithDim) (fun (a, dim) ->
        use _ = torch.NewDisposeScope()
        let t = (tensor a).unsqueeze(int64 dim)
        Assert.Equal<int64[]>(Array.insertAt dim 1L a.Shape, t.shape)
        assertEqual 0.0 a (t.squeeze (Nullable(int64 dim)))
        Assert.Equal<int64[]>(Array.filter ((<>) 1L) a.Shape, t.squeeze().shape)
        Assert.Equal<int64[]>(Array.insertAt (dim + 1) 1L a.Shape, (tensor a).unflatten(int64 dim, -1L, 1L).shape))

[<Fact>]
let ``sorting orders the values and says where they were`` () =
    check (Arb.fromGen arraysWithDim) (fun (a, dim) ->
        use _ = torch.NewDisposeScope()
        let t, d = tensor a, int64 dim
        let struct (values, indices) = t.sort (d, descending = true)
        assertEqual 0.0 (alongDim Array.sortDescending dim a) values
        assertEqual 0.0 (alongDim Array.sortDescending dim a) (t.gather (d, indices))
        let struct (top, _) = t.topk (1, dim)
        assertEqual 0.0 { (reduce Array.max dim a) with Shape = Array.updateAt dim 1L a.Shape } top
        assertEqual 0.0 (alongDim Array.sort dim a) (t.gather (d, t.argsort d)))

[<Fact>]
let ``a view shares memory and a clone does not`` () =
    use _ = torch.NewDisposeScope()
    let t = torch.zeros (2L, 2L)
    t.view(4L).narrow(0L, 3L, 1L).fill_(scalar 5) |> ignore
    Assert.Equal(5.0f, t[1L, 1L].item<float32>())
    t.clone().zero_() |> ignore
    Assert.Equal(5.0f, t[1L, 1L].item<float32>())
    Assert.Equal<int64[]>([| 1L; 2L |], t.t().stride())
    Assert.Equal(2L, t.size 0)
    Assert.Equal(3L, t.view(4L).narrow(0L, 3L, 1L).storage_offset())
