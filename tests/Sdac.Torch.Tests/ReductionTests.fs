module Sdac.Torch.Tests.ReductionTests

open System
open FsCheck.FSharp
open TorchSharp
open Xunit
open Sdac.Torch.Tests.Reference
open Sdac.Torch.Tests.Support

type private T = torch.Tensor

let private alongDims: (string * (float[] -> float) * (T -> int64 -> T)) list =
    [ "sum", Array.sum, (fun t d -> t.sum d)
      "mean", Array.average, (fun t d -> t.mean [| d |])
      "var", variance false, (fun t d -> t.var (d, false))
      "std", variance false >> sqrt, (fun t d -> t.std (d, false))
      "norm", Array.sumBy (fun x -> x * x) >> sqrt, (fun t d -> t.norm (int d))
      "max", Array.max, (fun t d -> let struct (values, _) = t.max d in values)
      "min", Array.min, (fun t d -> let struct (values, _) = t.min d in values)
      "amax", Array.max, (fun t d -> t.amax [| d |])
      "amin", Array.min, (fun t d -> t.amin [| d |])
      "argmax", (fun xs -> float (Array.findIndex ((=) (Array.max xs)) xs)), (fun t d -> t.argmax d)
      "argmin", (fun xs -> float (Array.findIndex ((=) (Array.min xs)) xs)), (fun t d -> t.argmin d)
      "all", (fun xs -> if Array.forall ((<>) 0.0) xs then 1.0 else 0.0), (fun t d -> t.all d)
      "any", (fun xs -> if Array.exists ((<>) 0.0) xs then 1.0 else 0.0), (fun t d -> t.any d)
      "logsumexp", logSumExp, (fun t d -> t.logsumexp d) ]

[<Fact>]
let ``reductions along a dimension agree with plain doubles`` () =
    check (Arb.fromGen arraysWithDim) (fun (a, dim) ->
        for _, plain, op in alongDims do
            scoped (fun () ->
                let expected = reduce plain dim a
                assertEqual 1e-11 expected (op (tensor a) (int64 dim))
                assertEqual 1e-11 expected (op (tensor a) (int64 dim - int64 a.Shape.Length))))

[<Fact>]
let ``unbiased spread divides by one less`` () =
    check (Arb.fromGen (Gen.choose (2, 9) |> Gen.bind (fun n -> valuesOf value [| int64 n |]))) (fun a ->
        use _ = torch.NewDisposeScope()
        let expected = variance true a.Data
        Assert.Equal(expected, (tensor a).var().item<float>(), 1e-10)
        Assert.Equal(sqrt expected, torch.std(tensor a).item<float>(), 1e-10)
        let struct (deviation, mean) = torch.std_mean (tensor a)
        Assert.Equal(sqrt expected, deviation.item<float>(), 1e-10)
        Assert.Equal(Array.average a.Data, mean.item<float>(), 1e-10))

[<Fact>]
let ``reductions of everything agree with plain doubles`` () =
    check (Arb.fromGen arrays) (fun a ->
        use _ = torch.NewDisposeScope()
        let t = tensor a
        Assert.Equal(Array.sum a.Data, t.sum().item<float>(), 1e-9)
        Assert.Equal(Array.average a.Data, t.mean().item<float>(), 1e-9)
        Assert.Equal(Array.max a.Data, t.max().item<float>())
        Assert.Equal(Array.min a.Data, t.min().item<float>())
        Assert.Equal(int64 (Array.findIndex ((=) (Array.max a.Data)) a.Data), t.argmax().item<int64>())
        Assert.Equal(sqrt (Array.sumBy (fun x -> x * x) a.Data), t.norm().item<float>(), 1e-9))

[<Fact>]
let ``kept dimensions have size 1`` () =
    check (Arb.fromGen arraysWithDim) (fun (a, dim) ->
        use _ = torch.NewDisposeScope()
        let kept = Array.updateAt dim 1L a.Shape
        let t = tensor a
        Assert.Equal<int64[]>(kept, t.sum(int64 dim, keepdim = true).shape)
        Assert.Equal<int64[]>(kept, t.mean([| int64 dim |], keepdim = true).shape)
        Assert.Equal<int64[]>(kept, t.logsumexp(int64 dim, keepdim = true).shape)
        Assert.Equal<int64[]>(kept, t.amax([| int64 dim |], keepdim = true).shape))

[<Fact>]
let ``softmax, its logarithm and cumulative sums go line by line`` () =
    check (Arb.fromGen arraysWithDim) (fun (a, dim) ->
        use _ = torch.NewDisposeScope()
        let t, d = tensor a, int64 dim
        assertEqual 1e-12 (alongDim softmax dim a) (t.softmax d)
        assertEqual 1e-12 (alongDim softmax dim a) (torch.softmax (t, dim))
        assertEqual 1e-12 (alongDim (softmax >> Array.map Math.Log) dim a) (t.log_softmax d)
        assertEqual 1e-12 (alongDim (Array.scan (+) 0.0 >> Array.tail) dim a) (t.cumsum d)
        assertEqual 1e-12 (alongDim (Array.scan (*) 1.0 >> Array.tail) dim a) (t.cumprod d))

[<Fact>]
let ``softmax and logsumexp survive large arguments`` () =
    use _ = torch.NewDisposeScope()
    let t = torch.tensor ([| 1e4; 1e4 - 1.0; -1e4 |])
    Assert.Equal(1.0, t.softmax(0L).sum().item<float>(), 1e-12)
    Assert.Equal(logSumExp [| 1e4; 1e4 - 1.0 |], t.logsumexp(0L).item<float>(), 1e-9)

[<Fact>]
let ``several dimensions reduce at once`` () =
    check (Arb.fromGen (shapeOfRank 3 |> Gen.bind (valuesOf value))) (fun a ->
        use _ = torch.NewDisposeScope()
        let expected = a |> reduce Array.sum 2 |> reduce Array.sum 0
        assertEqual 1e-11 expected ((tensor a).sum(0L, 2L))
        assertEqual 1e-11 expected ((tensor a).sum([| -1L; 0L |]))
        assertEqual 1e-11 (a |> reduce Array.max 2 |> reduce Array.max 0) ((tensor a).amax([| 0L; 2L |])))

[<Fact>]
let ``losses average, sum or keep the elements`` () =
    check (Arb.fromGen (shapes |> Gen.bind (valuesOf value >> Gen.two))) (fun (a, b) ->
        use _ = torch.NewDisposeScope()
        let squares = map2 (fun x y -> (x - y) ** 2.0) a b
        let loss reduction = torch.nn.functional.mse_loss (tensor a, tensor b, reduction)
        assertEqual 1e-11 squares (loss torch.nn.Reduction.None)
        Assert.Equal(Array.sum squares.Data, (loss torch.nn.Reduction.Sum).item<float>(), 1e-9)
        Assert.Equal(Array.average squares.Data, (loss torch.nn.Reduction.Mean).item<float>(), 1e-9)

        let huber x y =
            let d = abs (x - y)
            if d < 0.5 then d * d / 2.0 else 0.5 * (d - 0.25)

        let none = torch.nn.Reduction.None
        assertEqual 1e-11 (map2 huber a b) (torch.nn.functional.huber_loss (tensor a, tensor b, 0.5, none))

        assertEqual
            1e-11
            (map2 (fun x y -> huber x y / 0.5) a b)
            (torch.nn.functional.smooth_l1_loss (tensor a, tensor b, none, 0.5)))
