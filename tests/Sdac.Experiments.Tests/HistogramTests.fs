module Sdac.Experiments.Tests.HistogramTests

open Expecto
open FsCheck
open FsCheck.FSharp
open Sdac.Functional
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
                  let tally = Distribution.tallyWeights draws (List.toArray weights)
                  let h = Option.get (Histogram.ofCounts (Distribution.weights draws) tally.Counts)

                  let relative =
                      weights
                      |> List.chunkBySize draws
                      |> List.collect (fun row ->
                          let scale = float32 draws / List.fold (+) 0.0f row
                          row |> List.map (fun w -> float (w * scale)))

                  tally.Quantity = (Distribution.weights draws).Quantity
                  && List.sum h.Counts = int64 weights.Length
                  && h.Edges.Length = h.Counts.Length + 1
                  && List.head h.Counts > 0L
                  && List.last h.Counts > 0L
                  && naive h.Edges relative = h.Counts))

          testCase "equal weights are 1, timesteps have a bucket each, and nothing makes no histogram" (fun () ->
              let weights = Distribution.weights 4
              let none = Array.zeroCreate (weights.Edges.Length - 1)
              Expect.equal (Histogram.ofCounts weights none) None "histogram of no weights"

              Expect.equal
                  (Histogram.ofCounts weights (Distribution.tallyWeights 4 (Array.create 8 0.25f)).Counts)
                  (Some { Edges = [ 1.0; 1.25 ]; Counts = [ 8L ] })
                  "histogram of equal weights"

              let timesteps = Distribution.timesteps 3
              Expect.equal (Histogram.ofCounts timesteps [| 0L; 0L; 0L |]) None "histogram of no timesteps"

              Expect.equal
                  (Histogram.ofCounts timesteps (Distribution.tallyTimesteps 3 [| 2; 0; 2 |]).Counts)
                  (Some { Edges = [ 0.0; 1.0; 2.0; 3.0 ]; Counts = [ 1L; 0L; 2L ] })
                  "histogram of timesteps")

          testCase "empty buckets at the ends go only where a distribution says so" (fun () ->
              let wide = { Quantity = "x"; Edges = [| 0.0; 1.0; 2.0; 4.0; 8.0 |]; Trimmed = false }
              let counts = [| 0L; 3L; 0L; 0L |]

              Expect.equal
                  (Histogram.ofCounts wide counts)
                  (Some { Edges = [ 0.0; 1.0; 2.0; 4.0; 8.0 ]; Counts = [ 0L; 3L; 0L; 0L ] })
                  "kept"

              Expect.equal
                  (Histogram.ofCounts { wide with Trimmed = true } counts)
                  (Some { Edges = [ 1.0; 2.0 ]; Counts = [ 3L ] })
                  "left out") ]
