/// Statistics over runs, against cases by hand, closed forms and laws.
module Sdac.Tests.StatisticsTests

open System
open FsCheck.FSharp
open Sdac
open Sdac.Tests.Properties
open Xunit

let private near (tolerance: float) (expected: float) (actual: float) =
    Assert.InRange(actual, expected - tolerance, expected + tolerance)

let private scores low high =
    gen {
        let! n = sizes low high
        return! Gen.arrayOfLength n (between -100.0 100.0)
    }

/// Standard normal numbers by Box and Muller, decided by the key.
let private normals (n: int) (key: Key) =
    let unit k = Key.integers (1 <<< 24) n k |> Array.map (fun i -> (float i + 0.5) / float (1 <<< 24))
    let keys = Key.splitMany 2 key
    Array.map2 (fun u v -> sqrt (-2.0 * log u) * cos (2.0 * Math.PI * v)) (unit keys[0]) (unit keys[1])

[<Fact>]
let ``quantiles by hand`` () =
    let values = [| 4.0; 1.0; 3.0; 2.0 |]
    Assert.Equal(1.0, Statistics.quantile 0.0 values)
    Assert.Equal(1.75, Statistics.quantile 0.25 values)
    Assert.Equal(2.5, Statistics.quantile 0.5 values)
    Assert.Equal(4.0, Statistics.quantile 1.0 values)
    Assert.Equal(7.0, Statistics.quantile 0.3 [| 7.0 |])
    Assert.True(Double.IsNaN(Statistics.quantile 0.5 [||]))

[<Fact>]
let ``the interquartile mean by hand`` () =
    // 8 values: two go at either end
    Assert.Equal(3.5, Statistics.iqm [| 100.0; 2.0; 1.0; 3.0; 4.0; -50.0; 5.0; 6.0 |])
    // 10 values: floor(2.5) = 2 go at either end
    Assert.Equal(5.5, Statistics.iqm [| for i in 10..-1..1 -> float i |])
    // 4 values: the middle two
    Assert.Equal(2.5, Statistics.iqm [| 1.0; 2.0; 3.0; 1000.0 |])
    // fewer: the mean
    Assert.Equal(4.0, Statistics.iqm [| 1.0; 2.0; 9.0 |])
    Assert.True(Double.IsNaN(Statistics.iqm [||]))

[<Fact>]
let ``the interquartile mean of evenly spaced values is their centre`` () =
    forAll 50 (sizes 1 200) (fun n ->
        near 1e-9 (float (n - 1) / 2.0) (Statistics.iqm [| for i in 0 .. n - 1 -> float i |]))

[<Fact>]
let ``the interquartile mean does not see order, shifts with its values and lies among them`` () =
    forAll 200 (scores 1 30) (fun values ->
        let value = Statistics.iqm values
        near 1e-9 value (Statistics.iqm (Array.rev values))
        near 1e-9 (value + 7.0) (Statistics.iqm (Array.map ((+) 7.0) values))
        near 1e-9 (-2.0 * value) (Statistics.iqm (Array.map ((*) -2.0) values))
        Assert.InRange(value, Array.min values - 1e-9, Array.max values + 1e-9))

[<Fact>]
let ``one outlier among four does not move the interquartile mean`` () =
    forAll 100 (scores 4 30) (fun values ->
        let spoilt = Array.sort values
        let before = Statistics.iqm spoilt
        spoilt[spoilt.Length - 1] <- 1e9
        Assert.Equal(before, Statistics.iqm spoilt))

[<Fact>]
let ``a performance profile by hand`` () =
    let strata = [| [| 0.0; 1.0 |]; [| 1.0; 2.0; 3.0; 4.0 |] |]
    Assert.Equal(1.0, Statistics.profileAt -1.0 strata)
    // more than 0: half of the first task, all of the second
    Assert.Equal(0.75, Statistics.profileAt 0.0 strata)
    Assert.Equal(0.375, Statistics.profileAt 1.0 strata)
    Assert.Equal(0.0, Statistics.profileAt 4.0 strata)

[<Fact>]
let ``a performance profile falls from one to zero, and its area is the mean score`` () =
    let grid = [| for i in 0..2000 -> -100.05 + 0.1 * float i + 0.05 |]

    forAll 50 (scores 1 10) (fun runs ->
        let profile = grid |> Array.map (fun t -> Statistics.profileAt t [| runs |])
        Assert.True(Array.pairwise profile |> Array.forall (fun (a, b) -> a >= b))
        // E[X] = -100 + integral of P(X > t) from -100
        near 0.2 (Statistics.mean runs) (-100.0 + 0.1 * Array.sum profile))

[<Fact>]
let ``the probability of improvement by hand`` () =
    // pairs: 3>1 3>3(half) 5>1 5>3
    Assert.Equal(3.5 / 4.0, Statistics.improvement [| 3.0; 5.0 |] [| 1.0; 3.0 |])
    Assert.Equal(0.5, Statistics.improvement [| 2.0; 2.0 |] [| 2.0 |])
    // one task won, one lost
    Assert.Equal(0.5, Statistics.meanImprovement [| [| 1.0 |]; [| 0.0 |] |] [| [| 0.0 |]; [| 1.0 |] |])

[<Fact>]
let ``either of two is better, or they tie`` () =
    let whole low = scores low 12 |> Gen.map (Array.map round)

    forAll 200 (Gen.zip (whole 1) (whole 1)) (fun (x, y) ->
        near 1e-12 1.0 (Statistics.improvement x y + Statistics.improvement y x)
        Assert.Equal(0.5, Statistics.improvement x x))

[<Fact>]
let ``the probability of improvement between normals has its closed form`` () =
    let keys = Key.splitMany 2 (Key.ofSeed 5L)
    let x = normals 1500 keys[0] |> Array.map ((+) 1.0)
    let y = normals 1500 keys[1]
    // P(X > Y) = Φ(1/√2) = 0.7602
    near 0.02 0.76025 (Statistics.improvement x y)

[<Fact>]
let ``resamples stay within their stratum, keep its size and follow the key`` () =
    forAll 50 (Gen.arrayOfLength 3 (sizes 1 6)) (fun lengths ->
        let key = Key.ofSeed 3L
        let drawn = Statistics.resamples 20 lengths key
        Assert.Equal(20, drawn.Length)

        for resample in drawn do
            Assert.Equal<int[]>(lengths, Array.map Array.length resample)

            Array.iter2
                (fun n (draw: int[]) -> Assert.All(draw, (fun i -> Assert.InRange(i, 0, n - 1))))
                lengths
                resample

        Assert.Equal<int[][][]>(drawn, Statistics.resamples 20 lengths key))

[<Fact>]
let ``strata are drawn independently of each other`` () =
    let drawn = Statistics.resamples 4000 [| 2; 2 |] (Key.ofSeed 12L)
    // two draws of two runs each agree in a quarter of the cases
    let share = drawn |> Array.averageBy (fun resample -> if resample[0] = resample[1] then 1.0 else 0.0)
    near 0.028 0.25 share

[<Fact>]
let ``every run is drawn equally often`` () =
    let drawn = Statistics.resamples 4000 [| 5; 2 |] (Key.ofSeed 1L)

    let share stratum i =
        drawn
        |> Array.averageBy (fun r -> r[stratum] |> Array.averageBy (fun j -> if j = i then 1.0 else 0.0))

    for i in 0..4 do
        near 0.012 0.2 (share 0 i)

    for i in 0..1 do
        near 0.025 0.5 (share 1 i)

[<Fact>]
let ``the interval of a mean of two runs has its closed form`` () =
    // The bootstrap mean of {0, 1} is 0, 1/2, 1 with probabilities 1/4, 1/2, 1/4.
    let e =
        Statistics.bootstrap 0.95 2000 (Key.ofSeed 2L) (Statistics.pooled Statistics.mean) [| [| 0.0; 1.0 |] |]

    Assert.Equal({ Value = 0.5; Low = 0.0; High = 1.0 }, e)

    let half =
        Statistics.bootstrap 0.4 2000 (Key.ofSeed 2L) (Statistics.pooled Statistics.mean) [| [| 0.0; 1.0 |] |]

    Assert.Equal({ Value = 0.5; Low = 0.5; High = 0.5 }, half)

[<Fact>]
let ``the interval of a mean of many runs is the normal one`` () =
    let values = normals 400 (Key.ofSeed 8L)
    let e = Statistics.bootstrap 0.95 4000 (Key.ofSeed 9L) (Statistics.pooled Statistics.mean) [| values |]
    let centre = Statistics.mean values
    let deviation = sqrt (values |> Array.averageBy (fun v -> (v - centre) ** 2.0))
    let half = 1.959964 * deviation / sqrt 400.0
    near 0.006 (centre - half) e.Low
    near 0.006 (centre + half) e.High

[<Fact>]
let ``strata are resampled apart: what differs between tasks alone leaves no doubt`` () =
    // Tasks whose runs agree: however far the tasks lie apart, no resample differs from the sample.
    let e =
        Statistics.bootstrap
            0.95
            500
            (Key.ofSeed 4L)
            (Statistics.pooled Statistics.iqm)
            [| [| 1.0; 1.0; 1.0 |]; [| 50.0; 50.0 |] |]

    Assert.Equal(e.Value, e.Low)
    Assert.Equal(e.Value, e.High)

[<Fact>]
let ``the interval covers the mean of a normal about as often as it says`` () =
    let root = Key.ofSeed 11L

    let covered (statistic: float[] -> float) =
        [| 1L .. 400L |]
        |> Array.averageBy (fun i ->
            let keys = Key.splitMany 2 (Key.foldIn i root)
            let e = Statistics.bootstrap 0.95 400 keys[0] (Statistics.pooled statistic) [| normals 20 keys[1] |]
            if e.Low <= 0.0 && 0.0 <= e.High then 1.0 else 0.0)

    // The percentile interval of 20 runs is known to be a little narrow (92 to 94 %).
    Assert.InRange(covered Statistics.mean, 0.89, 0.97)
    Assert.InRange(covered Statistics.iqm, 0.88, 0.98)

[<Fact>]
let ``one run gives no interval`` () =
    let e =
        Statistics.bootstrap 0.95 100 (Key.ofSeed 1L) (Statistics.pooled Statistics.mean) [| [| 3.0 |]; [| 5.0 |] |]

    Assert.Equal(4.0, e.Value)
    Assert.True(Double.IsNaN e.Low && Double.IsNaN e.High)

[<Fact>]
let ``the interval of an improvement holds its estimate and turns round with its sides`` () =
    forAll 20 (Gen.zip (scores 2 6) (scores 2 6)) (fun (x, y) ->
        let over a b = Statistics.bootstrapImprovement 0.95 300 (Key.ofSeed 6L) [| a |] [| b |]
        let forth = over x y
        Assert.InRange(forth.Value, forth.Low, forth.High)
        Assert.InRange(forth.Low, 0.0, forth.High)
        near 1e-12 1.0 (forth.Value + (over y x).Value)
        let self = over x x
        Assert.InRange(0.5, self.Low, self.High))

[<Fact>]
let ``scores on the scale of their task`` () =
    Assert.Equal<float[]>([| 0.0; 0.5; 1.5 |], Statistics.normalise 10.0 20.0 [| 10.0; 15.0; 25.0 |])
    Assert.Equal<float[]>([| 1.0 |], Statistics.normalise 3.0 3.0 [| 3.0 |])
