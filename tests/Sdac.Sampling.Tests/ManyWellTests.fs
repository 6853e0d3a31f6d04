module Sdac.Tests.ManyWellTests

open System
open Expecto
open FsCheck.FSharp
open Sdac.Functional
open Sdac.Sampling
open TorchSharp
open Sdac.Tests.Figures
open Sdac.Testing

let private cpu = Compute.cpu

let private key seed = Key.ofSeed (int64 seed)

/// ln p of a pair's first coordinate.
let private f u = -(u ** 4.0) + 6.0 * u * u + 0.5 * u

/// ∫ g·exp(f) from low to high by Simpson's rule.
let private integral (g: float -> float) low high =
    let n = 20_000
    let h = (high - low) / float n

    Seq.init (n + 1) (fun i ->
        let u = low + h * float i

        let weight =
            if i = 0 || i = n then 1.0
            elif i % 2 = 1 then 4.0
            else 2.0

        weight * g u * exp (f u))
    |> Seq.sum
    |> fun sum -> sum * h / 3.0

let private one _ = 1.0

[<Tests>]
let tests =
    testList
        "many wells"
        [ testCase "the normaliser is that of one pair by quadrature, to the power of the pairs" (fun () ->
              let pair = log (integral one -5.0 5.0) + 0.5 * log (2.0 * Math.PI)

              for pairs in [ 1; 3; 16 ] do
                  let target = ManyWell.target "wells" pairs
                  Expect.floatClose (within 1e-9) target.LogNormaliser.Value (float pairs * pair) $"{pairs} pairs")

          testCase "the density of one pair integrates to its normaliser in the plane" (fun () ->
              use _ = torch.NewDisposeScope()
              let target = ManyWell.target "well" 1
              let total = Measures.cells target |> Array.sum
              Expect.floatClose (within 1e-9) total 1.0 "shares"
              let n, half = 800, 5.0
              let at i = float32 ((float i + 0.5) * 2.0 * half / float n - half)
              let points = Array.init (2 * n * n) (fun i -> at (if i % 2 = 0 then (i / 2) % n else i / 2 / n))
              let logs = values (target.LogDensity(Tensors.ofArray cpu [ n * n; 2 ] points))
              let sum = logs |> Array.sumBy (fun l -> exp (l - target.LogNormaliser.Value))
              Expect.floatClose (within 1e-4) (sum * (2.0 * half / float n) ** 2.0) 1.0 "integral")

          testForAll
              "ln p and its gradient are the sum and the row of those of its pairs, whatever their number"
              40
              (Gen.zip (sizes 1 20) (sizes 0 1_000_000))
              (fun (pairs, seed) ->
                  use _ = torch.NewDisposeScope()
                  let x = (Key.normal cpu [ 5; 2 * pairs ] (key seed)).mul(num 1.5)
                  let v = values x
                  let target = ManyWell.target "wells" pairs
                  let logs, slopes = values (target.LogDensity x), values (target.Gradient x)

                  for row in 0..4 do
                      let at i = v[2 * pairs * row + i]

                      let want =
                          Seq.sum (seq { for i in 0 .. pairs - 1 -> f (at (2 * i)) - 0.5 * at (2 * i + 1) ** 2.0 })

                      Expect.floatClose (within (1e-6 * (10.0 + abs want))) logs[row] want "ln p"

                      for i in 0 .. pairs - 1 do
                          let u = at (2 * i)
                          // f' by a difference of f in double precision
                          let slope = (f (u + 1e-4) - f (u - 1e-4)) / 2e-4

                          Expect.floatClose
                              (within (1e-5 * (1.0 + abs slope)))
                              slopes[2 * pairs * row + 2 * i]
                              slope
                              "slope"

                          Expect.floatClose
                              (within 1e-6)
                              slopes[2 * pairs * row + 2 * i + 1]
                              -(at (2 * i + 1))
                              "slope of the second coordinate")

          testCase "modes lie where the slope is zero and weigh what the quadrature of their wells does" (fun () ->
              let total = integral one -5.0 5.0

              for mode in Targets.manyWell.Modes do
                  let u = mode.Centre[0]
                  Expect.floatClose (within 1e-9) (-4.0 * u ** 3.0 + 12.0 * u + 0.5) 0.0 "slope at the centre"
                  let middle = Targets.manyWell.Modes |> List.averageBy _.Centre[0]
                  let well = if u > 0.0 then integral one middle 5.0 else integral one -5.0 middle
                  Expect.floatClose (within 1e-7) mode.Weight (well / total) "weight"

              Expect.floatClose (within 1e-12) (Targets.manyWell.Modes |> List.sumBy _.Weight) 1.0 "all weights"
              Expect.isGreaterThan Targets.manyWell.Modes[1].Weight 0.8 "the right one is the heavier")

          testCase "exact samples have the moments of the density, in every pair" (fun () ->
              use _ = torch.NewDisposeScope()
              let n, pairs = 20_000, 16
              let v = values (Target.sample n (key 1) Targets.manyWell)
              let total = integral one -5.0 5.0

              for name, g in
                  [ "mean", id; "square", (fun u -> u * u); "right", (fun u -> if u > 0.0 then 1.0 else 0.0) ] do
                  // the jump of the last one lies between two nodes
                  let want = (integral g -5.0 0.0 + integral g 1e-12 5.0) / total

                  let variance =
                      (integral (fun u -> g u ** 2.0) -5.0 0.0 + integral (fun u -> g u ** 2.0) 1e-12 5.0) / total
                      - want ** 2.0

                  for pair in 0 .. pairs - 1 do
                      let mean = Seq.init n (fun i -> g v[2 * pairs * i + 2 * pair]) |> Seq.average
                      Expect.floatClose (within (5.0 * sqrt (variance / float n))) mean want $"{name} of pair {pair}"

              for pair in 0 .. pairs - 1 do
                  let square = Seq.init n (fun i -> v[2 * pairs * i + 2 * pair + 1] ** 2.0) |> Seq.average

                  Expect.floatClose
                      (within (5.0 * sqrt (2.0 / float n)))
                      square
                      1.0
                      $"second coordinate of pair {pair}")

          testCase "pairs choose their wells independently: the number on the right is binomial" (fun () ->
              use _ = torch.NewDisposeScope()
              let n, pairs = 20_000, 16
              let v = values (Target.sample n (key 2) Targets.manyWell)
              let weight = Targets.manyWell.Modes[1].Weight

              let counts =
                  Array.init n (fun i ->
                      Seq.sum (seq { for p in 0 .. pairs - 1 -> if v[2 * pairs * i + 2 * p] > 0.0 then 1.0 else 0.0 }))

              let mean = Array.average counts
              let variance = counts |> Array.averageBy (fun c -> (c - mean) ** 2.0)
              let wanted = float pairs * weight * (1.0 - weight)
              Expect.floatClose (within (5.0 * sqrt (wanted / float n))) mean (float pairs * weight) "mean"
              Expect.floatClose (within (0.06 * wanted)) variance wanted "variance")

          testForAll
              "the score of noised wells is that of the mean over their clean points"
              20
              (Gen.zip (between 0.02 0.99) (sizes 0 1_000_000))
              (fun (alphaBar, seed) ->
                  use _ = torch.NewDisposeScope()
                  let target = ManyWell.target "wells" 2
                  let clean = Target.boxSample 4 (key seed) target
                  let noise = Key.normal cpu [ 4; 4 ] (key (seed + 1))
                  let y = clean.mul(num (sqrt alphaBar)).add(noise.mul (num (sqrt (1.0 - alphaBar))))
                  let v, score = values y, values (target.NoisedScore.Value alphaBar y)
                  let keep, variance = sqrt alphaBar / target.HalfWidth, 1.0 - alphaBar

                  for i in 0..15 do
                      let want =
                          if i % 2 = 1 then
                              -v[i] / (keep * keep + variance)
                          else
                              let likelihood u = exp (-((v[i] - keep * u) ** 2.0) / (2.0 * variance))
                              let mean g = integral (fun u -> g u * likelihood u) -4.0 4.0
                              mean (fun u -> (keep * u - v[i]) / variance) / mean one

                      Expect.floatClose
                          (within (1e-4 * (1.0 + abs want)))
                          score[i]
                          want
                          $"ᾱ {alphaBar}, coordinate {i % 4}")

          testCase "its measures see a wrong share of the wells and no wrong in exact samples" (fun () ->
              use _ = torch.NewDisposeScope()
              let target = Targets.manyWell
              let x = Target.sample 4000 (key 3) target
              let exact = Tensors.toArray x
              let kl = Measures.divergence target exact
              Expect.isLessThan (abs kl.Value) 0.01 "KL of exact samples"
              Expect.isLessThan (Measures.modeWeightError target exact) 0.01 "mode weights of exact samples"
              Expect.equal (Measures.modesFound target exact) 2 "modes found"
              // every well on the right
              let right = Array.mapi (fun i v -> if i % 2 = 0 then abs v else v) exact
              let weight = target.Modes[0].Weight
              Expect.floatClose (within 1e-3) (Measures.modeWeightError target right) weight "mode weights"
              Expect.equal (Measures.modesFound target right) 1 "modes found"
              Expect.isGreaterThan (Measures.divergence target right).Value 0.1 "KL"

              Expect.isGreaterThan
                  (Measures.energyDistance 32 (Array.sub right 0 (32 * 1000)) (Array.sub exact (32 * 2000) (32 * 1000)))
                  0.05
                  "energy distance")

          testCase "no pairs are refused" (fun () ->
              failsWith [ "'none'"; "0 pairs"; "at least 1" ] (fun () -> ManyWell.target "none" 0 |> ignore)) ]
