module Sdac.Tests.KeyTests

open System.Collections.Generic
open Xunit
open FsCheck.FSharp
open Sdac
open Sdac.Tests.Properties

let private seeds = sizes -1_000_000 1_000_000 |> Gen.map int64

[<Fact>]
let ``the same key gives the same numbers`` () =
    forAll 50 (Gen.zip seeds (sizes 1 300)) (fun (seed, n) ->
        let draw () = Key.ofSeed seed |> Key.normal Compute.cpu [ n ] |> Tensors.toArray
        Assert.Equal<float32[]>(draw (), draw ()))

[<Fact>]
let ``children of a key are all different, by split, by number and from their parent`` () =
    forAll 50 seeds (fun seed ->
        let root = Key.ofSeed seed
        let struct (a, b) = Key.split root
        let all = [ root; a; b; yield! [ for i in 0L .. 200L -> Key.foldIn i root ]; yield! Key.splitMany 50 a ]
        Assert.Equal(all.Length, HashSet(all).Count)
        Assert.Equal(struct (a, b), (let c = Key.splitMany 2 root in struct (c[0], c[1]))))

[<Fact>]
let ``streams of sibling keys share no part, at any shift, and are uncorrelated`` () =
    let struct (a, b) = Key.split (Key.ofSeed 3L)

    let x, y =
        Key.normal Compute.cpu [ 100_000 ] a |> Tensors.toArray, Key.normal Compute.cpu [ 100_000 ] b |> Tensors.toArray

    let correlation = Array.map2 (fun p q -> float p * float q) x y |> Array.average
    Assert.True(abs correlation < 4.0 / sqrt 1e5, $"correlation {correlation}")
    // float32 normals repeat by chance; a shared stream, at whatever shift, would repeat nearly always
    let common = Set.intersect (Set.ofArray (Array.truncate 2_000 x)) (Set.ofArray y)
    Assert.True(common.Count < 200, $"{common.Count} of 2,000 numbers stand in the sibling's stream")

[<Fact>]
let ``integers cover their range evenly`` () =
    let n, bound = 200_000, 20
    let counts = Key.ofSeed 5L |> Key.integers bound n |> Array.countBy id |> Map.ofArray
    Assert.Equal(bound, counts.Count)
    let expected = float n / float bound
    let chi2 = counts |> Seq.sumBy (fun c -> (float c.Value - expected) ** 2.0 / expected)
    // the 0.9999 quantile of χ² with 19 degrees of freedom
    Assert.True(chi2 < 50.8, $"χ² = {chi2}")

[<Fact>]
let ``folding in a negative number is refused`` () =
    let e = Assert.Throws<System.ArgumentException>(fun () -> Key.foldIn -1L (Key.ofSeed 0L) |> ignore)
    Assert.Contains("-1", e.Message)
