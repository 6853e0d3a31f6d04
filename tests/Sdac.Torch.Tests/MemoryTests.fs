module Sdac.Torch.Tests.MemoryTests

open System.Threading
open FsCheck.FSharp
open Microsoft.FSharp.NativeInterop
open TorchSharp
open Xunit
open Sdac.Torch.Tests.Support

#nowarn "9" // addresses are compared, not followed

let private address (t: torch.Tensor) = t.DataPointer() |> NativePtr.ofVoidPtr<byte> |> NativePtr.toNativeInt

let private elementCounts =
    Gen.oneof [ Gen.choose (1, 200); Gen.choose (1, 60_000); Gen.choose (200_000, 900_000) ]
    |> Gen.map int64

[<Fact>]
let ``a freed block serves the next tensor of its size`` () =
    check (Arb.fromGen elementCounts) (fun count ->
        let first = torch.empty count
        let place = address first
        first.Dispose()
        use second = torch.empty count
        Assert.Equal(place, address second))

[<Fact>]
let ``blocks start at cache lines and do not overlap`` () =
    check (Arb.fromGen (Gen.listOfLength 12 elementCounts)) (fun counts ->
        use _ = torch.NewDisposeScope()

        let made =
            counts
            |> List.mapi (fun i count ->
                if i % 3 = 1 then
                    (torch.empty count).Dispose() // leaves a hole for a later one

                i, torch.full (count, scalar i, torch.int32))

        for i, t in made do
            Assert.Equal(0n, address t % 64n)
            Assert.True(t.eq(scalar i).all().item<bool>()))

[<Fact>]
let ``large tensors made again and again do not let the process grow`` () =
    let residentMegabytes () =
        use self = System.Diagnostics.Process.GetCurrentProcess()
        self.WorkingSet64 / 1048576L

    let churn () =
        for extra in 0L .. 9L do
            use _ = torch.NewDisposeScope()
            let b = torch.zeros (5_000_000L + extra) + scalar 1.0f
            Assert.Equal(1.0f, b[0L].item<float32>())

    churn ()
    let before = residentMegabytes ()

    for _ in 1..3 do
        churn ()

    Assert.True(residentMegabytes () - before < 40L)

[<Fact>]
let ``threads may free what others allocated`` () =
    let rounds = 300
    let queue = new System.Collections.Concurrent.BlockingCollection<int * torch.Tensor>(8)

    let producer =
        Thread(fun () ->
            for i in 1..rounds do
                queue.Add((i, torch.full (int64 (i * 37 % 5000 + 1), scalar i, torch.int32)))

            queue.CompleteAdding())

    producer.Start()

    for i, t in queue.GetConsumingEnumerable() do
        use t = t
        use noise = torch.zeros (int64 (i * 53 % 5000 + 1))
        Assert.True(t.eq(scalar i).all().item<bool>())

    producer.Join()
