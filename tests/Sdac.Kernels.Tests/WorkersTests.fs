module Sdac.Kernels.Tests.WorkersTests

open System
open System.Threading
open System.Threading.Tasks
open FsCheck.FSharp
open Sdac.Kernels
open Sdac.Kernels.Tests.Support
open Xunit

[<Fact>]
let ``every block runs exactly once, whatever the number of threads`` () =
    forAll (Gen.zip (Gen.choose (0, 200)) (Gen.choose (1, 5))) (fun (blocks, threads) ->
        onThreads threads (fun () ->
            let counts = Array.zeroCreate<int> blocks
            Workers.For(blocks, fun block -> Interlocked.Increment(&counts[block]) |> ignore)
            Assert.All(counts, fun count -> Assert.Equal(1, count))))
    |> checkTimes 500

[<Fact>]
let ``an exception in a block reaches the caller and the pool works on`` () =
    onThreads 3 (fun () ->
        for _ in 1..50 do
            let thrown =
                Assert.Throws<InvalidOperationException>(fun () ->
                    Workers.For(
                        20,
                        fun block ->
                            if block = 7 then
                                invalidOp "block seven"
                    ))

            Assert.Equal("block seven", thrown.Message)
            let mutable sum = 0
            Workers.For(20, fun block -> Interlocked.Add(&sum, block) |> ignore)
            Assert.Equal(190, sum))

[<Fact>]
let ``a block may itself share out work`` () =
    onThreads 3 (fun () ->
        let mutable sum = 0
        Workers.For(10, fun outer -> Workers.For(10, fun inner -> Interlocked.Add(&sum, 10 * outer + inner) |> ignore))
        Assert.Equal(99 * 100 / 2, sum))

[<Fact>]
let ``several threads may call kernels at once`` () =
    let shape = shapeOf [ 23; 64; 64; 5 ] Activation.Mish Activation.Identity
    let parameters = parametersFor (random 1) shape
    let input = numbers (random 2) (200 * 23) 1.0

    let evaluate () =
        let y, dp = zeros (200 * 5), zeros shape.ParameterCount
        use tape = Mlp.ForwardTape(shape, parameters, ReadOnlySpan.Empty, 1, input, 200, y)
        Mlp.Backward(shape, parameters, tape, y, dp, Span.Empty)
        Array.append y dp

    let want = evaluate ()

    onThreads 2 (fun () ->
        let results = Array.init 4 (fun _ -> Task.Run(fun () -> Array.init 25 (fun _ -> evaluate ())))

        for result in results do
            for got in result.Result do
                equalBits "concurrent" want got)

[<Fact>]
let ``thread counts out of range are refused`` () =
    for count in [ 0; -1; Workers.MaximumThreads + 1 ] do
        let error = Assert.Throws<ArgumentException>(fun () -> Workers.Threads <- count)
        Assert.Contains(string count, error.Message)
