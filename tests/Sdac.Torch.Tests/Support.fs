/// What the tests share: fixed-seed checks, generators of arrays, and comparison of tensors with plain arrays.
module Sdac.Torch.Tests.Support

open System
open FsCheck
open FsCheck.FSharp
open TorchSharp
open Xunit
open Sdac.Torch.Tests.Reference

// Live tensors are counted for the whole process, so one test runs at a time.
[<assembly: CollectionBehavior(DisableTestParallelization = true)>]
do ()

/// Checks a property on 100 cases, always the same ones.
let check (arb: Arbitrary<'a>) (property: 'a -> unit) =
    let config = Config.QuickThrowOnFailure.WithReplay(20240607UL, 1234567UL).WithQuietOnSuccess(true)
    Check.One(config, Prop.forAll arb property)

let inline scalar (x: ^number) : Scalar = ((^number or Scalar): (static member op_Implicit: ^number -> Scalar) x)

let tensor (a: NdArray) = torch.tensor (a.Data, ReadOnlySpan a.Shape)

/// The tensor has this shape and, within a relative tolerance, these values.
let assertEqual tolerance (expected: NdArray) (actual: torch.Tensor) =
    Assert.Equal<int64[]>(expected.Shape, actual.shape)
    let values = actual.``double``().data<float>().ToArray()

    Array.iter2
        (fun (e: float) (a: float) ->
            let near = abs (e - a) <= tolerance * (1.0 + abs e)
            Assert.True((e = a || near || (Double.IsNaN e && Double.IsNaN a)), $"expected {e}, got {a}"))
        expected.Data
        values

let sizes = Gen.choose (1, 4) |> Gen.map int64

let shapeOfRank rank = Gen.arrayOfLength rank sizes

let shapes = Gen.choose (0, 3) |> Gen.bind shapeOfRank

let value = Gen.choose (-3000, 3000) |> Gen.map (fun i -> float i / 1000.0)

let valuesOf element shape =
    Gen.arrayOfLength (count shape) element |> Gen.map (fun data -> { Shape = shape; Data = data })

let arrays = shapes |> Gen.bind (valuesOf value)

/// Arrays of rank 1 to 3 with one of their dimensions.
let arraysWithDim =
    gen {
        let! rank = Gen.choose (1, 3)
        let! shape = shapeOfRank rank
        let! a = valuesOf value shape
        let! dim = Gen.choose (0, rank - 1)
        return a, dim
    }

/// Two arrays whose shapes broadcast.
let broadcastable =
    gen {
        let! shape = shapes

        let part =
            gen {
                let! dropped = Gen.choose (0, shape.Length)
                let! kept = Gen.arrayOfLength (shape.Length - dropped) (Gen.elements [ true; false ])
                let own = Array.map2 (fun keep size -> if keep then size else 1L) kept shape[dropped..]
                return! valuesOf value own
            }

        let! a = part
        let! b = part
        return a, b
    }

/// Runs in a dispose scope of its own.
let scoped (body: unit -> 'a) =
    use _ = torch.NewDisposeScope()
    body ()

let messageOf (action: unit -> unit) = (Assert.ThrowsAny<exn> action).Message
