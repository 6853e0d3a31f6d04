module Sdac.Torch.Tests.GeneratorTests

open System
open TorchSharp
open Xunit
open Sdac.Torch.Tests.Support

let private draw (generator: torch.Generator) = torch.randn([| 100L |], generator = generator).data<float32>().ToArray()

[<Fact>]
let ``the same seed gives the same numbers, another seed others`` () =
    use _ = torch.NewDisposeScope()
    let of' seed = draw (new torch.Generator(seed, torch.CPU))
    Assert.Equal<float32[]>(of' 7UL, of' 7UL)
    Assert.NotEqual<float32[]>(of' 7UL, of' 8UL)

[<Fact>]
let ``a generator does not disturb the default one`` () =
    use _ = torch.NewDisposeScope()
    torch.manual_seed 3L |> ignore
    let expected = torch.rand(5L).data<float32>().ToArray()
    torch.manual_seed 3L |> ignore
    draw (new torch.Generator(1UL, torch.CPU)) |> ignore
    Assert.Equal<float32[]>(expected, torch.rand(5L).data<float32>().ToArray())

[<Fact>]
let ``a saved state replays`` () =
    use _ = torch.NewDisposeScope()
    let generator = new torch.Generator(5UL, torch.CPU)
    draw generator |> ignore
    let state = generator.get_state ()
    let first = draw generator
    generator.set_state state
    Assert.Equal<float32[]>(first, draw generator)
    Assert.Equal(5L, generator.initial_seed ())

[<Fact>]
let ``draws lie where they should`` () =
    use _ = torch.NewDisposeScope()
    let generator = new torch.Generator(11UL, torch.CPU)
    let uniform = torch.rand ([| 20000L |], torch.float64, generator = generator)
    Assert.True(uniform.min().item<float>() >= 0.0 && uniform.max().item<float>() < 1.0)
    Assert.Equal(0.5, uniform.mean().item<float>(), 0.01)
    let normal = torch.empty([| 20000L |], torch.float64).normal_(2.0, 3.0, generator)
    Assert.Equal(2.0, normal.mean().item<float>(), 0.1)
    Assert.Equal(3.0, normal.std().item<float>(), 0.1)
    let whole = torch.randint(-2L, 3L, [| 5000L |], generator = generator).data<int64>().ToArray()
    Assert.Equal<int64[]>([| -2L .. 2L |], whole |> Array.distinct |> Array.sort)
    let permutation = torch.randperm(50L, generator = generator).data<int64>().ToArray()
    Assert.Equal<int64[]>([| 0L .. 49L |], Array.sort permutation)
    Assert.NotEqual<int64[]>([| 0L .. 49L |], permutation)

[<Fact>]
let ``a disposed generator is refused`` () =
    let generator = new torch.Generator(1UL, torch.CPU)
    generator.Dispose()
    Assert.Throws<ObjectDisposedException>(fun () -> draw generator |> ignore) |> ignore
