/// Random numbers by tensor operations are the kernels' own.
module Sdac.LibTorch.Tests.TensorPhiloxTests

open System
open Expecto
open FsCheck.FSharp
open Sdac.Kernels
open Sdac.LibTorch
open Sdac.Testing
open TorchSharp

let private word = Gen.choose (Int32.MinValue, Int32.MaxValue) |> Gen.map uint32

let private keys = Gen.map2 (fun (a, b) (c, d) -> PhiloxKey(a, b, c, d)) (Gen.two word) (Gen.two word)

/// One to five streams of 0 to 3,000 numbers, lengths around whole groups of 64 among them.
let private streams =
    let lengths = Gen.oneof [ Gen.choose (0, 3000); Gen.elements [ 0; 1; 63; 64; 65; 128; 1024 ] ]

    Gen.zip keys lengths
    |> Gen.map (fun (key, count) -> struct (key, int64 count))
    |> Gen.listOf
    |> Gen.resize 5
    |> Gen.filter (List.isEmpty >> not)
    |> Gen.map List.toArray

let private drawn (draw: struct (PhiloxKey * int64)[] -> torch.Tensor[]) (streams: struct (PhiloxKey * int64)[]) =
    Libtorch.Start()
    use _ = torch.NewDisposeScope()
    draw streams |> Array.map (fun t -> t.contiguous().data<float32>().ToArray())

let private kernels (fill: PhiloxKey -> float32[] -> unit) (streams: struct (PhiloxKey * int64)[]) =
    streams
    |> Array.map (fun struct (key, count) ->
        let values = Array.zeroCreate<float32>(int count)
        fill key values
        values)

let private normals (streams: struct (PhiloxKey * int64)[]) = TensorPhilox.Normals(torch.CPU, streams)
let private uniforms (streams: struct (PhiloxKey * int64)[]) = TensorPhilox.Uniforms(torch.CPU, streams)

let private apart (a: float32[][]) (b: float32[][]) =
    Seq.map2 (Seq.map2 (fun x y -> abs (x - y))) a b |> Seq.concat |> Seq.fold max 0.0f

[<Tests>]
let tests =
    testList
        "Philox by tensor operations"
        [ testForAllWith (fixedSeed 20261126UL 60) "uniforms are the kernels', bit for bit" streams (fun streams ->
              let expected = kernels (fun key values -> Philox.Uniform(key, 0L, values.AsSpan())) streams
              Expect.equal (drawn uniforms streams) expected "every stream of a call")

          testForAllWith (fixedSeed 20261127UL 60) "normals are the kernels' to 4e-6" streams (fun streams ->
              let expected = kernels (fun key values -> Philox.Normal(key, 0L, values.AsSpan())) streams
              let actual = drawn normals streams
              Expect.equal (Array.map Array.length actual) (Array.map Array.length expected) "lengths"
              Expect.isLessThan (apart actual expected) 4e-6f "largest difference")

          test "a stream does not depend on what else is drawn in the call" {
              let one = struct (PhiloxKey(1u, 2u, 3u, 4u), 1000L)
              let other = struct (PhiloxKey(5u, 6u, 7u, 8u), 100L)
              let alone = drawn normals [| one |]
              let together = drawn normals [| other; one; other |]
              Expect.equal together[1] alone[0] "the same bits"
              Expect.equal together[0] together[2] "one key, one stream"
          }

          test "nothing but the keys goes to the device, and a call costs as many operations for one stream as for many" {
              Libtorch.Start()
              use _ = torch.NewDisposeScope()

              let count n =
                  use profile = new OperationProfile()
                  normals [| for i in 1..n -> struct (PhiloxKey(uint32 i, 0u, 0u, 0u), 640L) |] |> ignore
                  profile.Dispose()
                  profile.Count

              Expect.equal (count 8) (count 1) "operations"
              Expect.isLessThanOrEqual (count 1) 120L "operations of a call"
          }

          test "a negative count is refused" {
              failsWith [ "-1" ] (fun () -> normals [| struct (PhiloxKey(1u, 2u, 3u, 4u), -1L) |] |> ignore)
          } ]
