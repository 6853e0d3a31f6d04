module Sdac.Torch.Tests.FactoryTests

open FsCheck.FSharp
open TorchSharp
open Xunit
open Sdac.Torch.Tests.Reference
open Sdac.Torch.Tests.Support

[<Fact>]
let ``filled tensors have their shape, type and value`` () =
    check (Arb.fromGen shapes) (fun shape ->
        use _ = torch.NewDisposeScope()
        let filled v = init shape (fun _ -> v)
        assertEqual 0.0 (filled 0.0) (torch.zeros shape)
        assertEqual 0.0 (filled 1.0) (torch.ones (shape, torch.int64))
        assertEqual 0.0 (filled 2.5) (torch.full (shape, (scalar 2.5), torch.float64))
        Assert.Equal(torch.float32, torch.zeros(shape).dtype)
        Assert.Equal(torch.int64, torch.ones_like(torch.zeros shape, torch.int64).dtype)
        assertEqual 0.0 (filled 3.0) (torch.full_like (torch.empty shape, (scalar 3))))

[<Fact>]
let ``ranges step from their start to before their end`` () =
    use _ = torch.NewDisposeScope()
    Assert.Equal<int64[]>([| 2L; 5L; 8L |], torch.arange(2, 9, 3).data<int64>().ToArray())
    Assert.Equal(torch.float32, torch.arange(0.5f, 3.0f).dtype)
    let even = torch.linspace (0.0, 1.0, 5L, torch.float64)
    Assert.Equal<float[]>([| 0.0; 0.25; 0.5; 0.75; 1.0 |], even.data<float>().ToArray())
    Assert.Equal<float32[]>([| 1.0f; 0.0f; 0.0f; 0.0f; 1.0f; 0.0f |], torch.eye(2L, 3L).data<float32>().ToArray())

[<Fact>]
let ``a factory can ask for gradients`` () =
    use t = torch.zeros (2L, requires_grad = true)
    Assert.True(t.requires_grad && t.is_leaf)

[<Fact>]
let ``the default type is what floating-point factories use`` () =
    torch.set_default_dtype torch.float64

    try
        use t = torch.zeros 1L
        Assert.Equal(torch.float64, t.dtype)
    finally
        torch.set_default_dtype torch.float32

[<Fact>]
let ``names of dimensions are refused`` () =
    Assert.Contains("names", messageOf (fun () -> torch.zeros (2L, names = [| "row" |]) |> ignore))
