module Sdac.Tests.KeyTests

open System.Collections.Generic
open Expecto
open FsCheck.FSharp
open Sdac.Functional
open Sdac.Tests.Properties
open Sdac.Testing

let private seeds = sizes -1_000_000 1_000_000 |> Gen.map int64

[<Tests>]
let tests =
    testList
        "keys"
        [ testForAll "the same key gives the same numbers" 50 (Gen.zip seeds (sizes 1 300)) (fun (seed, n) ->
              let draw () = Key.ofSeed seed |> Key.normal Compute.cpu [ n ] |> Tensors.toArray
              Expect.equal (draw ()) (draw ()) "draw")

          testForAll
              "children of a key are all different, by split, by number and from their parent"
              50
              seeds
              (fun seed ->
                  let root = Key.ofSeed seed
                  let struct (a, b) = Key.split root

                  let all =
                      [ root; a; b; yield! [ for i in 0L .. 200L -> Key.foldIn i root ]; yield! Key.splitMany 50 a ]

                  Expect.equal (HashSet(all).Count) all.Length "number of hash set"

                  Expect.equal
                      (let c = Key.splitMany 2 root in struct (c[0], c[1]))
                      (struct (a, b))
                      "children by number"

                  Expect.equal (Array.init 50 (fun i -> Key.at i a)) (Key.splitMany 50 a) "one child alone")

          testCase "streams of sibling keys share no part, at any shift, and are uncorrelated" (fun () ->
              let struct (a, b) = Key.split (Key.ofSeed 3L)

              let x, y =
                  Key.normal Compute.cpu [ 100_000 ] a |> Tensors.toArray,
                  Key.normal Compute.cpu [ 100_000 ] b |> Tensors.toArray

              let correlation = Array.map2 (fun p q -> float p * float q) x y |> Array.average
              Expect.isTrue (abs correlation < 4.0 / sqrt 1e5) $"correlation {correlation}"
              // float32 normals repeat by chance; a shared stream, at whatever shift, would repeat nearly always
              let common = Set.intersect (Set.ofArray (Array.truncate 2_000 x)) (Set.ofArray y)
              Expect.isTrue (common.Count < 200) $"{common.Count} of 2,000 numbers stand in the sibling's stream")

          testCase "integers cover their range evenly" (fun () ->
              let n, bound = 200_000, 20
              let counts = Key.ofSeed 5L |> Key.integers bound n |> Array.countBy id |> Map.ofArray
              Expect.equal counts.Count bound "number of counts"
              let expected = float n / float bound
              let chi2 = counts |> Seq.sumBy (fun c -> (float c.Value - expected) ** 2.0 / expected)
              // the 0.9999 quantile of χ² with 19 degrees of freedom
              Expect.isTrue (chi2 < 50.8) $"χ² = {chi2}")

          testCase "folding in a negative number is refused" (fun () ->
              let e =
                  Expect.raises<Sdac.Environments.RefusedArgumentException>(fun () ->
                      Key.foldIn -1L (Key.ofSeed 0L) |> ignore)

              Expect.stringContains e.Message "-1" "sentence") ]
