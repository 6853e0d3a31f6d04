/// Statistics over runs, against cases by hand, closed forms and laws.
module Sdac.Experiments.Tests.StatisticsTests

open System
open Expecto
open FsCheck.FSharp
open Sdac.Functional
open Sdac.Experiments
open Sdac.Testing

let private near (tolerance: float) (expected: float) (actual: float) =
    Expect.inRange actual (expected - tolerance, expected + tolerance) "figure"

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

[<Tests>]
let tests =
    testList
        "statistics"
        [ testCase "quantiles by hand" (fun () ->
              let values = [| 4.0; 1.0; 3.0; 2.0 |]
              Expect.equal (Statistics.quantile 0.0 values) 1.0 "quantile"
              Expect.equal (Statistics.quantile 0.25 values) 1.75 "quantile"
              Expect.equal (Statistics.quantile 0.5 values) 2.5 "quantile"
              Expect.equal (Statistics.quantile 1.0 values) 4.0 "quantile"
              Expect.equal (Statistics.quantile 0.3 [| 7.0 |]) 7.0 "quantile"
              Expect.isTrue (Double.IsNaN(Statistics.quantile 0.5 [||])) "quantile")

          testCase "the interquartile mean by hand" (fun () ->
              // 8 values: two go at either end
              Expect.equal (Statistics.iqm [| 100.0; 2.0; 1.0; 3.0; 4.0; -50.0; 5.0; 6.0 |]) 3.5 "iqm"
              // 10 values: floor(2.5) = 2 go at either end
              Expect.equal (Statistics.iqm [| for i in 10..-1..1 -> float i |]) 5.5 "iqm"
              // 4 values: the middle two
              Expect.equal (Statistics.iqm [| 1.0; 2.0; 3.0; 1000.0 |]) 2.5 "iqm"
              // fewer: the mean
              Expect.equal (Statistics.iqm [| 1.0; 2.0; 9.0 |]) 4.0 "iqm"
              Expect.isTrue (Double.IsNaN(Statistics.iqm [||])) "iqm")

          testForAll "the interquartile mean of evenly spaced values is their centre" 50 (sizes 1 200) (fun n ->
              near 1e-9 (float (n - 1) / 2.0) (Statistics.iqm [| for i in 0 .. n - 1 -> float i |]))

          testForAll
              "the interquartile mean does not see order, shifts with its values and lies among them"
              200
              (scores 1 30)
              (fun values ->
                  let value = Statistics.iqm values
                  near 1e-9 value (Statistics.iqm (Array.rev values))
                  near 1e-9 (value + 7.0) (Statistics.iqm (Array.map ((+) 7.0) values))
                  near 1e-9 (-2.0 * value) (Statistics.iqm (Array.map ((*) -2.0) values))
                  Expect.inRange value (Array.min values - 1e-9, Array.max values + 1e-9) "interquartile mean")

          testForAll "one outlier among four does not move the interquartile mean" 100 (scores 4 30) (fun values ->
              let spoilt = Array.sort values
              let before = Statistics.iqm spoilt
              spoilt[spoilt.Length - 1] <- 1e9
              Expect.equal (Statistics.iqm spoilt) before "iqm")

          testCase "a performance profile by hand" (fun () ->
              let strata = [| [| 0.0; 1.0 |]; [| 1.0; 2.0; 3.0; 4.0 |] |]
              Expect.equal (Statistics.profileAt -1.0 strata) 1.0 "profile at"
              // more than 0: half of the first task, all of the second
              Expect.equal (Statistics.profileAt 0.0 strata) 0.75 "profile at"
              Expect.equal (Statistics.profileAt 1.0 strata) 0.375 "profile at"
              Expect.equal (Statistics.profileAt 4.0 strata) 0.0 "profile at")

          let grid = [| for i in 0..2000 -> -100.05 + 0.1 * float i + 0.05 |]

          testForAll
              "a performance profile falls from one to zero, and its area is the mean score"
              50
              (scores 1 10)
              (fun runs ->
                  let profile = grid |> Array.map (fun t -> Statistics.profileAt t [| runs |])
                  Expect.isTrue (Array.pairwise profile |> Array.forall (fun (a, b) -> a >= b)) "profile"
                  // E[X] = -100 + integral of P(X > t) from -100
                  near 0.2 (Statistics.mean runs) (-100.0 + 0.1 * Array.sum profile))

          testCase "the probability of improvement by hand" (fun () ->
              // pairs: 3>1 3>3(half) 5>1 5>3
              Expect.equal (Statistics.improvement [| 3.0; 5.0 |] [| 1.0; 3.0 |]) (3.5 / 4.0) "improvement"
              Expect.equal (Statistics.improvement [| 2.0; 2.0 |] [| 2.0 |]) 0.5 "improvement"
              // one task won, one lost
              Expect.equal
                  (Statistics.meanImprovement [| [| 1.0 |]; [| 0.0 |] |] [| [| 0.0 |]; [| 1.0 |] |])
                  0.5
                  "mean improvement")

          let whole low = scores low 12 |> Gen.map (Array.map round)

          testForAll "either of two is better, or they tie" 200 (Gen.zip (whole 1) (whole 1)) (fun (x, y) ->
              near 1e-12 1.0 (Statistics.improvement x y + Statistics.improvement y x)
              Expect.equal (Statistics.improvement x x) 0.5 "improvement")

          testCase "the probability of improvement between normals has its closed form" (fun () ->
              let keys = Key.splitMany 2 (Key.ofSeed 5L)
              let x = normals 1500 keys[0] |> Array.map ((+) 1.0)
              let y = normals 1500 keys[1]
              // P(X > Y) = Φ(1/√2) = 0.7602
              near 0.02 0.76025 (Statistics.improvement x y))

          testForAll
              "resamples stay within their stratum, keep its size and follow the key"
              50
              (Gen.arrayOfLength 3 (sizes 1 6))
              (fun lengths ->
                  let key = Key.ofSeed 3L
                  let drawn = Statistics.resamples 20 lengths key
                  Expect.equal drawn.Length 20 "number of drawn"

                  for resample in drawn do
                      Expect.equal (Array.map Array.length resample) lengths "resample"

                      Array.iter2
                          (fun n (draw: int[]) ->
                              for i in draw do
                                  Expect.inRange i (0, n - 1) "index")
                          lengths
                          resample

                  Expect.equal (Statistics.resamples 20 lengths key) drawn "resamples")

          testCase "strata are drawn independently of each other" (fun () ->
              let drawn = Statistics.resamples 4000 [| 2; 2 |] (Key.ofSeed 12L)
              // two draws of two runs each agree in a quarter of the cases
              let share = drawn |> Array.averageBy (fun resample -> if resample[0] = resample[1] then 1.0 else 0.0)
              near 0.028 0.25 share)

          testCase "every run is drawn equally often" (fun () ->
              let drawn = Statistics.resamples 4000 [| 5; 2 |] (Key.ofSeed 1L)

              let share stratum i =
                  drawn
                  |> Array.averageBy (fun r -> r[stratum] |> Array.averageBy (fun j -> if j = i then 1.0 else 0.0))

              for i in 0..4 do
                  near 0.012 0.2 (share 0 i)

              for i in 0..1 do
                  near 0.025 0.5 (share 1 i))

          testCase "the interval of a mean of two runs has its closed form" (fun () ->
              // The bootstrap mean of {0, 1} is 0, 1/2, 1 with probabilities 1/4, 1/2, 1/4.
              let e =
                  Statistics.bootstrap
                      0.95
                      2000
                      (Key.ofSeed 2L)
                      (Statistics.pooled Statistics.mean)
                      [| [| 0.0; 1.0 |] |]

              Expect.equal e { Value = 0.5; Low = 0.0; High = 1.0 } "estimate"

              let half =
                  Statistics.bootstrap
                      0.4
                      2000
                      (Key.ofSeed 2L)
                      (Statistics.pooled Statistics.mean)
                      [| [| 0.0; 1.0 |] |]

              Expect.equal half { Value = 0.5; Low = 0.5; High = 0.5 } "half")

          testCase "the interval of a mean of many runs is the normal one" (fun () ->
              let values = normals 400 (Key.ofSeed 8L)
              let e = Statistics.bootstrap 0.95 4000 (Key.ofSeed 9L) (Statistics.pooled Statistics.mean) [| values |]
              let centre = Statistics.mean values
              let deviation = sqrt (values |> Array.averageBy (fun v -> (v - centre) ** 2.0))
              let half = 1.959964 * deviation / sqrt 400.0
              near 0.006 (centre - half) e.Low
              near 0.006 (centre + half) e.High)

          testCase "strata are resampled apart: what differs between tasks alone leaves no doubt" (fun () ->
              // Tasks whose runs agree: however far the tasks lie apart, no resample differs from the sample.
              let e =
                  Statistics.bootstrap
                      0.95
                      500
                      (Key.ofSeed 4L)
                      (Statistics.pooled Statistics.iqm)
                      [| [| 1.0; 1.0; 1.0 |]; [| 50.0; 50.0 |] |]

              Expect.equal e.Low e.Value "low"
              Expect.equal e.High e.Value "high")

          testCase "the interval covers the mean of a normal about as often as it says" (fun () ->
              let root = Key.ofSeed 11L

              let covered (statistic: float[] -> float) =
                  [| 1L .. 400L |]
                  |> Array.averageBy (fun i ->
                      let keys = Key.splitMany 2 (Key.foldIn i root)

                      let e =
                          Statistics.bootstrap 0.95 400 keys[0] (Statistics.pooled statistic) [| normals 20 keys[1] |]

                      if e.Low <= 0.0 && 0.0 <= e.High then 1.0 else 0.0)

              // The percentile interval of 20 runs is known to be a little narrow (92 to 94 %).
              Expect.inRange (covered Statistics.mean) (0.89, 0.97) "coverage of the mean"
              Expect.inRange (covered Statistics.iqm) (0.88, 0.98) "iqm")

          testCase "one run gives no interval" (fun () ->
              let e =
                  Statistics.bootstrap
                      0.95
                      100
                      (Key.ofSeed 1L)
                      (Statistics.pooled Statistics.mean)
                      [| [| 3.0 |]; [| 5.0 |] |]

              Expect.equal e.Value 4.0 "estimate"
              Expect.isTrue (Double.IsNaN e.Low && Double.IsNaN e.High) "low")

          testForAll
              "the interval of an improvement holds its estimate and turns round with its sides"
              20
              (Gen.zip (scores 2 6) (scores 2 6))
              (fun (x, y) ->
                  let over a b = Statistics.bootstrapImprovement 0.95 300 (Key.ofSeed 6L) [| a |] [| b |]
                  let forth = over x y
                  Expect.inRange forth.Value (forth.Low, forth.High) "estimate"
                  Expect.inRange forth.Low (0.0, forth.High) "low"
                  near 1e-12 1.0 (forth.Value + (over y x).Value)
                  let self = over x x
                  Expect.inRange 0.5 (self.Low, self.High) "one half, in the interval")

          testCase "the figures of rliable's own small example" (fun () ->
              // its scores: 4 runs x 2 tasks, and 3 runs x 2 tasks; its test expects the same figures
              let x = [| [| 1.0; 2.0; 1.0; 2.0 |]; [| 2.0; 2.0; 1.0; 1.0 |] |]
              let y = [| [| 1.0; 2.0; 3.0 |]; [| 1.0; 2.0; 3.0 |] |]
              Expect.equal (Statistics.pooled Statistics.iqm x) 1.5 "interquartile mean of x"
              Expect.equal (Statistics.pooled Statistics.iqm y) 2.0 "interquartile mean of y"
              Expect.equal (Statistics.perStratum Statistics.mean x) 1.5 "mean of x"
              Expect.equal (Statistics.perStratum Statistics.mean y) 2.0 "mean of y"
              near 1e-12 (1.0 / 3.0) (Statistics.meanImprovement x y)
              // profiles by hand: of x half of the runs score more than 1, of y two thirds
              Expect.equal (Statistics.profileAt 1.0 x) 0.5 "profile of x"
              near 1e-12 (2.0 / 3.0) (Statistics.profileAt 1.0 y))

          testCase "paired differences do not see what both sides owe to the seed" (fun () ->
              let seeds = [| -500.0; 20.0; 0.0; 333.0; 1000.0 |]
              let over x y = Statistics.pairedDifference 0.95 500 (Key.ofSeed 3L) x y
              // always 2 more: no doubt, however far the seeds lie apart
              Expect.equal (over (Array.map ((+) 2.0) seeds) seeds) { Value = 2.0; Low = 2.0; High = 2.0 } "constant"
              // 0 and 1 more: the bootstrap mean of {0, 1}
              Expect.equal (over [| 5.0; 9.0 |] [| 5.0; 8.0 |]) { Value = 0.5; Low = 0.0; High = 1.0 } "two pairs"
              Expect.isTrue (Double.IsNaN (over [| 5.0 |] [| 4.0 |]).Low) "one pair")

          let pairOfSizes = Gen.zip (sizes 1 5) (sizes 1 5)

          testForAll "the chance of separation is the share of orders that separate" 30 pairOfSizes (fun (n, m) ->
              // of all choices of n places among n + m: the first n and the last n
              let rec choose n m = if n = 0 || m = 0 then 1.0 else choose (n - 1) m + choose n (m - 1)
              near 1e-12 (min 1.0 (2.0 / choose n m)) (Statistics.chanceOfSeparation [ n, m ])
              near 1e-12 (min 1.0 (2.0 / choose n m ** 2.0)) (Statistics.chanceOfSeparation [ n, m; m, n ]))

          testCase "scores on the scale of their task" (fun () ->
              Expect.equal (Statistics.normalise 10.0 20.0 [| 10.0; 15.0; 25.0 |]) [| 0.0; 0.5; 1.5 |] "normalise"
              Expect.equal (Statistics.normalise 3.0 3.0 [| 3.0 |]) [| 1.0 |] "normalise") ]
