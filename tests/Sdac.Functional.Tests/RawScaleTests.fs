/// The scale of raw weights is part of the state, so that it does not depend on the draws that it multiplies.
module Sdac.Tests.RawScaleTests

open System
open Expecto
open Sdac.Functional
open TorchSharp
open Sdac.Tests.Figures
open Sdac.Tests.SdacTests
open Sdac.Testing

let private raw =
    { DpmdConfig.ofSdac small with
        Energy.QNormalisation = QNormalisation.Off
        Energy.QScale = 1.0
        Temperature.InitialTemperature = 1.0
        Data.BatchSize = 16
        Hidden = [ 4 ] }

let private batchOf (c: DataSettings) : Batch =
    let zeros columns = Tensors.zeros Compute.cpu [ c.BatchSize; columns ]
    let column () = Tensors.zeros Compute.cpu [ c.BatchSize ]

    { Obs = zeros 4; NextObs = zeros 4; Action = zeros 2; Reward = column (); Terminated = column () }

/// Policy steps on given energies, batch after batch: the weights of each batch.
let private weightsOf (compute: Compute) (c: DpmdConfig) (batches: float32[] list) : float[] list =
    let model = Dpmd.model compute { ObsDim = 4; ActionDim = 2 } c
    let batch = batchOf c.Data
    let noise = UpdateNoise.draw model c.Data.BatchSize (Key.ofSeed 1L)
    let mutable state = ActorCriticState.init model (Key.ofSeed 2L)

    [ for energies in batches ->
          use _ = torch.NewDisposeScope()
          let q = Tensors.ofArray compute [ c.Data.BatchSize; 1 ] energies
          let u = ActorCritic.start model noise batch state

          let after =
              ActorCritic.movePolicy (Dpmd.policyGradient model state noise batch.Obs (batch.Action.unsqueeze 1L) q) u

          let next = ActorCritic.finish after

          for tensor in Parts.tensorsNotIn ActorCriticState.parts state next do
              tensor.DetachFromDisposeScope() |> ignore

          Parts.disposeReplaced ActorCriticState.parts next state
          state <- next
          values after.Weights.Value ]

let private batches (count: int) (size: int) (seed: int) (energy: float -> float32) =
    let random = Random seed
    [ for _ in 1..count -> Array.init size (fun _ -> energy (random.NextDouble())) ]

[<Tests>]
let tests =
    testList
        "the scale of raw weights"
        [ testCase
              "one state with draws of two energies above 30 has the theorem's minimiser, whatever the batch"
              (fun () ->
                  for high, low, share, size in
                      [ 40.0, 36.0, 0.1, 16
                        40.0, 36.0, 0.1, 4
                        33.0, 31.0, 0.2, 2
                        130.0, 125.0, 0.02, 16
                        50.0, 26.0, 0.1, 16 ] do
                      let odds = share * exp (high - low) / (1.0 - share)
                      let exact = (odds - 1.0) / (odds + 1.0)
                      let c = { raw with Data.BatchSize = size }

                      for compute in [ Compute.cpu; Compute.libtorch ] do
                          let drawn = batches 2000 size 3 (fun u -> if u < share then float32 high else float32 low)

                          // the noise of a draw is 1 where the energy is high and -1 where it is low
                          let ofBatch (energies: float32[]) (weights: float[]) =
                              Array.fold2
                                  (fun (moment, mass) (energy: float32) weight ->
                                      (if float energy = high then moment + weight else moment - weight),
                                      mass + weight)
                                  (0.0, 0.0)
                                  energies
                                  weights

                          let moments = List.map2 ofBatch drawn (weightsOf compute c drawn) |> List.skip 100
                          let found = List.sumBy fst moments / List.sumBy snd moments

                          Expect.isTrue
                              (abs (found - exact) < 0.1)
                              $"energies {high} and {low}, batches of {size}: the minimiser is {found}, not {exact}")

          testCase "weights of energies up to 30 are their exponentials, to the last bit" (fun () ->
              let drawn = batches 20 16 5 (fun u -> float32 (60.0 * u - 30.0))

              for energies, weights in List.zip drawn (weightsOf Compute.cpu raw drawn) do
                  use _ = torch.NewDisposeScope()
                  Expect.equal weights (values ((Tensors.ofArray Compute.cpu [ 16; 1 ] energies).exp())) "weights")

          testCase "bounded energies raise the scale finitely often, and it stands from then on" (fun () ->
              let drawn = batches 500 16 7 (fun u -> float32 (100.0 * u))
              let weights = weightsOf Compute.cpu raw drawn
              let shift (energies: float32[]) (weights: float[]) = Math.Round(float energies[0] - log weights[0], 2)
              let shifts = List.map2 shift drawn weights
              Expect.isLessThan (List.distinct shifts).Length 20 "raises"
              Expect.equal (shifts |> List.skip 300 |> List.distinct) [ 70.0 ] "shift in the end")

          testCase "a scale that one batch has raised comes back where energies stay far below" (fun () ->
              let drawn = Array.create 16 500.0f :: List.replicate 1600 (Array.create 16 3.0f)
              let weights = weightsOf Compute.cpu raw drawn
              closeTo 1e-5 "first" [| exp 30.0 |] [| weights[0][0] |]
              Expect.equal (weights[1][0]) 0.0 "so far below that nothing is left"
              Expect.equal (weights[1000][0]) 0.0 "not before very many batches"
              closeTo 1e-5 "last" [| 1.0 |] [| (List.last weights)[0] |])

          testCase
              "SDAC's raw weights are measured from the shift of the state, by the kernels and by libtorch"
              (fun () ->
                  let c = { small with Draws.Weights = RssmWeights.Raw; Energy.QScale = 1e4 }
                  let key = Key.ofSeed 5L
                  let normal shape i = Key.normal Compute.cpu shape (Key.foldIn i key)

                  let run compute =
                      use _ = torch.NewDisposeScope()
                      let model = Sdac.model compute { ObsDim = 4; ActionDim = 2 } c
                      let state = ActorCriticState.init model (Key.foldIn 3L key)
                      let noise = UpdateNoise.draw model small.Data.BatchSize (Key.foldIn 1L key)
                      let action = (normal [ small.Data.BatchSize; 2 ] 4L).tanh()
                      let at state = Sdac.rssmGradient model state noise (normal [ small.Data.BatchSize; 4 ] 5L) action
                      let alone = at state
                      let found = alone.EnergyShift.Shift
                      let behind = at { state with EnergyShift = { Shift = found + 25.0; Idle = 0L } }

                      Expect.equal
                          behind.EnergyShift.Shift
                          (found + 25.0)
                          "a batch that would not overflow leaves the shift"

                      let ratio = Array.map2 (fun a b -> log b - log a) (values behind.Weights) (values alone.Weights)
                      Parts.dispose ActorCriticState.parts state
                      found, ratio |> Array.filter Double.IsFinite

                  let ours, ratio = run Compute.cpu
                  let theirs, _ = run Compute.libtorch
                  Expect.isGreaterThan ours 0.0 "energies above 30"
                  Expect.equal theirs ours "shifts"
                  Expect.isNonEmpty ratio "weights that are not 0"

                  for log in ratio do
                      Expect.isTrue (abs (log - 25.0) < 0.01) $"{log}, not 25") ]
