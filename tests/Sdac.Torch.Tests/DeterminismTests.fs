module Sdac.Torch.Tests.DeterminismTests

open System
open TorchSharp
open Xunit
open Sdac.Torch.Tests.Support

let private withThreads count (body: unit -> 'a) =
    let before = torch.get_num_threads ()
    torch.set_num_threads count

    try
        body ()
    finally
        torch.set_num_threads before

let private bits (t: torch.Tensor) = Convert.ToHexString(t.contiguous().bytes.ToArray())

/// Sizes beyond which libtorch and OpenBLAS spread work over threads.
let private results () =
    use _ = torch.NewDisposeScope()
    let generator = new torch.Generator(17UL, torch.CPU)
    let normal (shape: int64[]) = torch.randn (shape, generator = generator)
    let x = normal [| 100_003L |]
    let tall, wide, vector = normal [| 20_000L; 3L |], normal [| 3L; 3000L |], normal [| 3000L |]
    let square = normal [| 257L; 257L |]
    let a = (normal [| 2000L; 40L |]).requires_grad_()
    let scale = torch.ones (1L, requires_grad = true)
    let loss = ((a * scale).tanh().matmul(normal [| 40L; 30L |])).softmax(1L).square().sum()
    let gradients = torch.autograd.grad ([| loss |], [| a; scale |])

    [ "sum", x.sum ()
      "mean", x.mean ()
      "var", x.var ()
      "norm", x.norm ()
      "logsumexp", x.logsumexp 0L
      "sum along a dimension", tall.sum 0L
      "dot", x.dot x
      "mm", tall.mm (wide.narrow (1L, 0L, 7L))
      "mm of a thin matrix", wide.mm (normal [| 3000L; 3000L |])
      "mm of a square", square.mm square
      "mv", wide.mv vector
      "mv, transposed", tall.t().mv(normal [| 20_000L |])
      "bmm", torch.bmm (wide.unsqueeze 0L, wide.t().unsqueeze 0L)
      "mse", torch.nn.functional.mse_loss (x, x.tanh ())
      "softmax", x.softmax 0L
      "cumsum", x.cumsum 0L
      "scatter_add", torch.zeros(7L).scatter_add(0L, torch.arange(100_003L).remainder(scalar 7L), x)
      "gradient", gradients[0]
      "gradient of a broadcast", gradients[1] ]
    |> List.map (fun (name, t) -> name, bits t)

[<Fact>]
let ``results have the same bits whatever the number of threads`` () =
    let alone = withThreads 1 results

    for threads in [ 2; 3 ] do
        for (name, expected), (_, actual) in List.zip alone (withThreads threads results) do
            Assert.True((expected = actual), $"{name} with {threads} threads")
