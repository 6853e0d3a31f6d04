module Sdac.Torch.Tests.DataTests

open System
open System.Runtime.CompilerServices
open System.Runtime.InteropServices
open FsCheck.FSharp
open TorchSharp
open Xunit
open Sdac.Torch.Tests.Reference
open Sdac.Torch.Tests.Support

[<Fact>]
let ``what goes in comes out, for every element type`` () =
    use _ = torch.NewDisposeScope()
    Assert.Equal<float32[]>([| 1.5f; -2.0f |], torch.tensor([| 1.5f; -2.0f |]).data<float32>().ToArray())
    Assert.Equal<float[]>([| 1.5; Double.NaN |], torch.tensor([| 1.5; Double.NaN |]).data<float>().ToArray())
    Assert.Equal<int64[]>([| Int64.MinValue; 7L |], torch.tensor([| Int64.MinValue; 7L |]).data<int64>().ToArray())
    Assert.Equal<int[]>([| Int32.MaxValue; -7 |], torch.tensor([| Int32.MaxValue; -7 |]).data<int>().ToArray())
    Assert.Equal<int16[]>([| -300s |], torch.tensor([| -300s |]).data<int16>().ToArray())
    Assert.Equal<byte[]>([| 255uy; 0uy |], torch.tensor([| 255uy; 0uy |]).data<byte>().ToArray())
    Assert.Equal<sbyte[]>([| -128y |], torch.tensor([| -128y |]).data<sbyte>().ToArray())
    Assert.Equal<bool[]>([| true; false |], torch.tensor([| true; false |]).data<bool>().ToArray())

[<Fact>]
let ``a tensor made from an array is a copy`` () =
    use _ = torch.NewDisposeScope()
    let array = [| 1.0f; 2.0f |]
    let t = torch.tensor array
    array[0] <- 9.0f
    Assert.Equal(1.0f, t[0L].item<float32>())

[<Fact>]
let ``as_tensor and frombuffer share the array's memory`` () =
    use _ = torch.NewDisposeScope()
    let array = [| 1.0f; 2.0f; 3.0f |]
    let t = torch.as_tensor array
    let tail = torch.frombuffer (array, torch.float32, 2L, 4L)
    array[1] <- 9.0f
    Assert.Equal<float32[]>([| 1.0f; 9.0f; 3.0f |], t.data<float32>().ToArray())
    Assert.Equal<float32[]>([| 9.0f; 3.0f |], tail.data<float32>().ToArray())
    tail.mul_ (scalar 2.0f) |> ignore
    Assert.Equal<float32[]>([| 1.0f; 18.0f; 6.0f |], array)
    Assert.True((torch.as_tensor [| true; false |]).data<bool>()[0L])

[<MethodImpl(MethodImplOptions.NoInlining)>] // so that no local keeps the array alive
let private shareAndLetGo () =
    let array = Array.zeroCreate<float32> 1000
    let t = torch.as_tensor array
    let view = t.narrow (0L, 10L, 5L)
    t.Dispose()
    array[10] <- 3.0f
    GC.Collect()
    Assert.Equal(3.0f, view.sum().item<float32>())
    view.Dispose()
    WeakReference array

[<Fact>]
let ``a shared array is let go when the last tensor over it is disposed`` () =
    let reference = shareAndLetGo ()
    GC.Collect()
    Assert.False reference.IsAlive

[<Fact>]
let ``bytes is the tensor's own memory`` () =
    use _ = torch.NewDisposeScope()
    let t = torch.zeros (2L, 3L)
    let span = MemoryMarshal.Cast<byte, float32>(t.bytes)
    span[4] <- 7.0f
    Assert.Equal(7.0f, t[1L, 1L].item<float32>())
    t.bytes <- Span(Array.create 24 0uy)
    Assert.Equal(0.0f, t.sum().item<float32>())

[<Fact>]
let ``bytes of a view that skips elements is refused`` () =
    use _ = torch.NewDisposeScope()
    let t = torch.zeros(2L, 3L).t()
    Assert.Contains("contiguous", messageOf (fun () -> t.bytes.Length |> ignore))

[<Fact>]
let ``element access follows the strides`` () =
    check (Arb.fromGen (shapeOfRank 2 |> Gen.bind (valuesOf value))) (fun a ->
        use _ = torch.NewDisposeScope()
        let t = (tensor a).t()
        let data = t.data<float>()

        for p in positions t.shape do
            Assert.Equal(at a [| p[1]; p[0] |], data[p])

        Assert.Equal<float[]>(t.contiguous().data<float>().ToArray(), data.ToArray())
        let nd = data.ToNDArray() :?> float[,]
        Assert.Equal(at a [| 0L; 0L |], nd[0, 0])
        data[0L, 0L] <- 42.0
        Assert.Equal(42.0, t[0L, 0L].item<float>()))

[<Fact>]
let ``an index outside of the tensor is refused`` () =
    use t = torch.zeros (2L, 3L)
    let data = t.data<float32>()
    Assert.Contains("[2, 0]", messageOf (fun () -> data[2L, 0L] |> ignore))

[<Fact>]
let ``a .NET array of rank 2 keeps its shape`` () =
    use t = torch.from_array (array2D [ [ 1; 2; 3 ]; [ 4; 5; 6 ] ])
    Assert.Equal<int64[]>([| 2L; 3L |], t.shape)
    Assert.Equal(torch.int32, t.dtype)
    Assert.Equal(6, t[1L, 2L].item<int>())

[<Fact>]
let ``item wants the tensor's own type and a single element`` () =
    use t = torch.ones (3L)
    Assert.Contains("Float32", messageOf (fun () -> t.item<float>() |> ignore))
    Assert.Contains("3 elements", messageOf (fun () -> t.item<float32>() |> ignore))
    Assert.Equal(3.0, t.sum().ToDouble())

[<Fact>]
let ``sizes that do not hold the data are refused`` () =
    let message =
        messageOf (fun () -> torch.tensor ([| 1.0; 2.0; 3.0 |], ReadOnlySpan [| 2L; 2L |]) |> ignore)

    Assert.Equal("3 elements do not fill a tensor of size [2, 2].", message)

[<Fact>]
let ``small tensors print their values`` () =
    use t = torch.tensor ([| 1; 2; 3; 4 |], ReadOnlySpan [| 2L; 2L |])
    Assert.Equal("[2x2], type = Int32, device = cpu, value = [[1, 2], [3, 4]]", t.ToString())

[<Fact>]
let ``conversions change the type and keep the values`` () =
    use _ = torch.NewDisposeScope()
    let t = torch.tensor ([| 0.0f; 2.0f |])
    Assert.Equal<int64[]>([| 0L; 2L |], t.long().data<int64>().ToArray())
    Assert.Equal<bool[]>([| false; true |], t.bool().data<bool>().ToArray())
    Assert.Equal(torch.float64, torch.tensor([| 1.0f |], torch.float64).dtype)
    Assert.Equal(2.0, float (torch.tensor 2.0))
