module Sdac.Tests.GaussianMixtureTests

open System
open Expecto
open FsCheck.FSharp
open Sdac.Functional
open Sdac.Environments
open Sdac.Tests.Properties
open Sdac.Tests.Figures
open Sdac.Tests.TwinCriticsTests
open Sdac.Testing

let private diagonal (variances: float list) =
    let d = variances.Length
    Array2D.init d d (fun i j -> if i = j then variances[i] else 0.0)

/// Components of one dimension.
let private line (weights: float list) (means: float list) (deviations: float list) : GaussianMixture =
    { Weights = Array.ofList weights
      Means = [| for m in means -> [| m |] |]
      Covariances = [| for s in deviations -> diagonal [ s * s ] |] }

let private density (m: GaussianMixture) (x: float) =
    Array.map3
        (fun w (mean: float[]) (c: float[,]) ->
            w * exp (-0.5 * (x - mean[0]) ** 2.0 / c[0, 0]) / sqrt (2.0 * Math.PI * c[0, 0]))
        m.Weights
        m.Means
        m.Covariances
    |> Array.sum

/// -∫ p ln p on a fine grid.
let private entropy (m: GaussianMixture) =
    let width = 1e-4

    seq { -13.0 .. width .. 13.0 }
    |> Seq.sumBy (fun x ->
        let p = density m x
        if p > 1e-300 then -width * p * log p else 0.0)

let private normals (count: int) (key: Key) = Key.normal Compute.cpu [ count ] key |> Tensors.toArray |> Array.map float

/// So many points in d dimensions around one of three centres.
let private clustered (d: int) (n: int) (key: Key) : float[][] =
    let z = normals (n * d) key
    let centre i = [| -4.0; 0.5; 5.0 |][i % 3]
    Array.init n (fun i -> Array.init d (fun j -> centre (i + j / 2) + (0.1 + 0.2 * float (i % 3)) * z[i * d + j]))

let private settings = MixtureSettings.usual

let private meanLikelihood (m: GaussianMixture) (points: float[][]) =
    points |> Array.averageBy (fun x -> log (density m x[0]))

[<Tests>]
let tests =
    testList
        "Gaussian mixture"
        [ testCase "the entropy's bound has the reference sheet's numbers, wherever the means are" (fun () ->
              for means in [ [ -10.0; 0.0; 10.0 ]; [ -0.3; 0.0; 0.4 ]; [ 0.0; 0.0; 0.0 ] ] do
                  let m = line [ 0.5; 0.3; 0.2 ] means [ 0.1; 0.2; 0.5 ]
                  closeTo 1e-6 $"means {means}" [| 0.675838 |] [| GaussianMixture.entropyBound m |]

              let one: GaussianMixture =
                  { Weights = [| 1.0 |]
                    Means = [| [| 0.1; 0.2; 0.3 |] |]
                    Covariances = [| diagonal [ 0.04; 0.09; 0.01 ] |] }

              let three =
                  { Weights = Array.create 3 (1.0 / 3.0)
                    Means = Array.replicate 3 one.Means[0]
                    Covariances = Array.replicate 3 one.Covariances[0] }

              closeTo 1e-6 "one" [| -0.859180 |] [| GaussianMixture.entropyBound one |]
              closeTo 1e-6 "three" [| 0.239432 |] [| GaussianMixture.entropyBound three |]
              // exploration noise alone: c·α = 0.45
              closeTo 1e-6 "noise" [| 0.620431 |] [| GaussianMixture.entropyBound (line [ 1.0 ] [ 0.0 ] [ 0.45 ]) |])

          testCase "the bound is the entropy where components are apart and lies above it where they overlap" (fun () ->
              for means, truth in
                  [ [ -10.0; 0.0; 10.0 ], 0.675838; [ -0.3; 0.0; 0.4 ], 0.153075; [ 0.0; 0.0; 0.0 ], -0.115928 ] do
                  let m = line [ 0.5; 0.3; 0.2 ] means [ 0.1; 0.2; 0.5 ]
                  closeTo 1e-5 $"{means}" [| truth |] [| entropy m |]
                  Expect.isTrue (GaussianMixture.entropyBound m >= truth - 1e-6) "above")

          testForAll
              "a turned covariance has the same entropy, and correlation lowers it"
              50
              (Gen.zip (between 0.0 3.0) (between 0.1 2.0))
              (fun (angle, spread) ->
                  let c, s = cos angle, sin angle

                  // variances `spread` and 0.25 along turned axes
                  let turned =
                      array2D
                          [ [ c * c * spread + s * s * 0.25; c * s * (spread - 0.25) ]
                            [ c * s * (spread - 0.25); s * s * spread + c * c * 0.25 ] ]

                  let bound covariance =
                      GaussianMixture.entropyBound
                          { Weights = [| 1.0 |]; Means = [| [| 0.0; 0.0 |] |]; Covariances = [| covariance |] }

                  closeTo 1e-9 "turned" [| bound (diagonal [ spread; 0.25 ]) |] [| bound turned |]
                  let alone = diagonal [ turned[0, 0]; turned[1, 1] ]
                  Expect.isTrue (bound alone >= bound turned - 1e-12) "correlation")

          testForAll
              "one component is the points' mean and their covariance"
              40
              (Gen.zip (sizes 1 4) keys)
              (fun (d, key) ->
                  let points = clustered d 30 key
                  let m = GaussianMixture.fit { settings with MixtureComponents = 1 } key points
                  let mean = Array.init d (fun j -> points |> Array.averageBy (fun x -> x[j]))

                  let covariance =
                      Array2D.init d d (fun j k ->
                          (points |> Array.averageBy (fun x -> (x[j] - mean[j]) * (x[k] - mean[k])))
                          + (if j = k then 1e-6 else 0.0))

                  closeTo 1e-9 "weight" [| 1.0 |] m.Weights
                  closeTo 1e-9 "mean" mean m.Means[0]
                  let flat (a: float[,]) = a |> Seq.cast<float> |> Array.ofSeq
                  closeTo 1e-9 "covariance" (flat covariance) (flat m.Covariances[0]))

          testForAll "three clusters that are apart are found" 20 (Gen.zip (sizes 1 3) keys) (fun (d, key) ->
              let points = clustered d 600 key
              let m = GaussianMixture.fit settings key points

              let found = Array.zip3 m.Weights m.Means m.Covariances |> Array.sortBy (fun (_, mean, _) -> mean[0])

              for i, (weight, mean, covariance) in Array.indexed found do
                  closeTo 0.06 "weight" [| 1.0 / 3.0 |] [| weight |]
                  closeTo 0.06 "mean" [| [| -4.0; 0.5; 5.0 |][i] |] [| mean[0] |]
                  let deviation = [| 0.1; 0.3; 0.5 |][i]
                  closeTo 0.08 "deviation" [| deviation |] [| sqrt covariance[0, 0] |])

          testForAll "no round makes the points less likely" 30 keys (fun key ->
              let z = normals 400 key
              let points = Array.init 200 (fun i -> [| z[i] * (if i % 2 = 0 then 1.0 else 0.4) + 0.5 * z[200 + i] |])

              // a tolerance that is never met: the rounds alone end the fit
              let after rounds =
                  GaussianMixture.fit
                      { settings with
                          MixtureComponents = 2
                          MixtureRounds = rounds
                          MixtureRegularisation = 1e-12
                          MixtureTolerance = 1e-300 }
                      key
                      points

              let likelihoods = [ for rounds in [ 1; 2; 4; 8; 16 ] -> meanLikelihood (after rounds) points ]
              Expect.isTrue (List.last likelihoods > List.head likelihoods) $"{likelihoods}"

              for before, later in List.pairwise likelihoods do
                  Expect.isTrue (later >= before - 1e-7) $"{likelihoods}")

          testForAll
              "actions that are scaled and moved have an entropy larger by d·ln of the scale"
              30
              (Gen.zip3 (sizes 1 3) (between 0.5 3.0) keys)
              (fun (d, scale, key) ->
                  let points = clustered d 90 key
                  let moved = points |> Array.map (Array.map (fun x -> scale * x + 0.7))
                  let bound points = GaussianMixture.entropyBound (GaussianMixture.fit settings key points)
                  closeTo 1e-3 "entropy" [| bound points + float d * log scale |] [| bound moved |])

          testForAll "the fit is the same for the same key" 10 keys (fun key ->
              let points = clustered 2 50 key
              let fit () = GaussianMixture.entropyBound (GaussianMixture.fit settings key points)
              Expect.equal (fit ()) (fit ()) "bits")

          testCase "points that coincide at the wall are one component as narrow as the regularisation" (fun () ->
              let points = Array.replicate 40 [| 1.0; -1.0 |]
              let bound = GaussianMixture.entropyBound (GaussianMixture.fit settings (Key.ofSeed 1L) points)
              closeTo 1e-3 "entropy" [| 1.0 + log (2.0 * Math.PI) + log 1e-6 |] [| bound |])

          testForAll
              "the mean entropy of states is that of their mixtures, a key and its own samples each"
              20
              keys
              (fun key ->
                  let states, n, d = 3, 40, 2
                  let all = clustered d (states * n) key |> Array.map (Array.map float32)
                  let got = GaussianMixture.meanEntropy settings key states d (Array.concat all)

                  let one s =
                      all[s * n .. (s + 1) * n - 1]
                      |> Array.map (Array.map float)
                      |> GaussianMixture.fit settings (Key.foldIn (int64 s) key)
                      |> GaussianMixture.entropyBound

                  closeTo 1e-12 "mean" [| Array.average [| for s in 0..2 -> one s |] |] [| got |])

          testCase "each state's mixture is fitted from a key of its own" (fun () ->
              let n, d = 60, 2
              // no clusters: where a fit ends depends on where it begins
              let samples = Key.uniform Compute.cpu [ n; d ] (Key.ofSeed 8L) |> Tensors.toArray
              let settings = { settings with MixtureRounds = 3 }

              let entropyBy (key: Key) =
                  Array.init n (fun i -> Array.init d (fun j -> float samples[i * d + j]))
                  |> GaussianMixture.fit settings key
                  |> GaussianMixture.entropyBound

              let key = Key.ofSeed 9L
              let each = [ for s in 0..5 -> entropyBy (Key.foldIn (int64 s) key) ]
              Expect.isGreaterThan (List.max each - List.min each) 0.01 "the fits differ by their keys"
              let six = Array.concat (List.replicate 6 samples)
              let mean = GaussianMixture.meanEntropy settings key 6 d six
              Expect.floatClose Accuracy.veryHigh mean (List.average each) "their mean")

          testCase "what cannot be fitted is refused in a sentence" (fun () ->
              let refusal points =
                  (Expect.raises<RefusedArgumentException>(fun () ->
                      GaussianMixture.fit settings (Key.ofSeed 1L) points |> ignore))
                      .Message

              Expect.stringContains (refusal [| [| 0.0 |]; [| 1.0 |] |]) "2 points are too few" "few"
              Expect.stringContains (refusal (Array.create 9 [| nan |])) "not finite" "NaN"

              let problems change = MixtureSettings.problems (change settings) |> String.concat "; "

              Expect.stringContains
                  (problems (fun m -> { m with MixtureSamples = 5 }))
                  "mixtureSamples is 5; 3 components need at least 6 samples"
                  "samples"

              Expect.stringContains
                  (problems (fun m -> { m with MixtureComponents = 0 }))
                  "mixtureComponents is 0; it must be at least 1"
                  "components"

              Expect.stringContains
                  (problems (fun m -> { m with MixtureRegularisation = 0.0 }))
                  "mixtureRegularisation is 0"
                  "diagonal"

              Expect.equal (problems id) "" "usual") ]
