module Sdac.Experiments.Tests.HistogramTests

open Expecto
open FsCheck
open FsCheck.FSharp
open Sdac.Experiments
open Sdac.Experiments.Tests.Support
open Sdac.Testing

/// Relative weights, counted by the edges as they are read.
let private naive (edges: float list) (values: float list) =
    [ for low, high in List.pairwise edges ->
          values |> List.filter (fun v -> v >= low && v < high) |> List.length |> int64 ]

let private weights =
    gen {
        let! rows = Gen.choose (1, 5)
        let! draws = Gen.elements [ 1; 4; 16; 300 ]
        let! exponents = Gen.listOfLength (rows * draws) (Gen.choose (-40, 12))
        let! mantissas = Gen.listOfLength (rows * draws) (Gen.elements [ 1.0; 1.25; 1.37; 1.5; 1.99 ])
        return draws, List.map2 (fun e m -> float32 (m * 2.0 ** float e)) exponents mantissas
    }

[<Tests>]
let tests =
    testList
        "histograms"
        [ testPropertyWithConfig
              seeded
              "relative weights are counted between the edges that are given with them"
              (Prop.forAll (Arb.fromGen weights) (fun (draws, weights) ->
                  let counts = Array.zeroCreate Histogram.weightBuckets
                  Histogram.addWeights draws (List.toArray weights) counts
                  let h = Option.get (Histogram.ofWeights draws counts)

                  let relative =
                      weights
                      |> List.chunkBySize draws
                      |> List.collect (fun row ->
                          let scale = float32 draws / List.fold (+) 0.0f row
                          row |> List.map (fun w -> float (w * scale)))

                  List.sum h.Counts = int64 weights.Length
                  && h.Edges.Length = h.Counts.Length + 1
                  && List.head h.Counts > 0L
                  && List.last h.Counts > 0L
                  && naive h.Edges relative = h.Counts))

          testCase "equal weights are 1, timesteps have a bucket each, and nothing makes no histogram" (fun () ->
              let counts = Array.zeroCreate Histogram.weightBuckets
              Expect.equal (Histogram.ofWeights 4 counts) None "histogram of no weights"
              Histogram.addWeights 4 (Array.create 8 0.25f) counts

              Expect.equal
                  (Histogram.ofWeights 4 counts)
                  (Some { Edges = [ 1.0; 1.25 ]; Counts = [ 8L ] })
                  "histogram of equal weights"

              let timesteps = Array.zeroCreate 3
              Expect.equal (Histogram.ofTimesteps timesteps) None "histogram of no timesteps"
              Histogram.addTimesteps [| 2; 0; 2 |] timesteps

              Expect.equal
                  (Histogram.ofTimesteps timesteps)
                  (Some { Edges = [ 0.0; 1.0; 2.0; 3.0 ]; Counts = [ 1L; 0L; 2L ] })
                  "histogram of timesteps") ]
