/// No hidden layers are no hidden layers: every network of the settings is then linear, by the kernels and by libtorch.
module Sdac.Tests.LinearNetworkTests

open System
open Expecto
open Sdac.Functional
open TorchSharp
open Sdac.Tests.Figures
open Sdac.Tests.SdacTests
open Sdac.Testing

let private linear = { small with Hidden = [] }

let private batch: Batch =
    let keys = Key.splitMany 4 (Key.ofSeed 7L)
    let n = small.Data.BatchSize

    { Obs = Key.normal Compute.cpu [ n; 5 ] keys[0]
      NextObs = Key.normal Compute.cpu [ n; 5 ] keys[1]
      Action = (Key.normal Compute.cpu [ n; 3 ] keys[2]).tanh()
      Reward = Key.normal Compute.cpu [ n ] keys[3]
      Terminated = Tensors.zeros Compute.cpu [ n ] }

[<Tests>]
let tests =
    testList
        "networks without hidden layers"
        [ testCase "critics and noise network are linear alike" (fun () ->
              let model = Sdac.model Compute.cpu { ObsDim = 5; ActionDim = 3 } linear
              let widths (shape: Sdac.Kernels.MlpShape) = shape.Widths.ToArray()
              Expect.equal (widths model.Critics.Net.Shape) [| 8; 1 |] "critic"
              Expect.equal (widths model.Noise.Shape.Main) [| 8 + linear.Diffusion.TimeDim; 3 |] "noise network"

              use _ = torch.NewDisposeScope()
              let p = NoiseNetwork.init Compute.cpu model.Noise (Key.ofSeed 1L)
              let t = Array.create small.Data.BatchSize 2

              // f(x + y) - f(y) = f(x) - f(0)
              let at obs noisy = NoiseNetwork.forward Compute.cpu model.Noise p obs noisy t
              let zero = batch.Obs.zeros_like (), batch.Action.zeros_like ()
              let sum = (at (batch.Obs.add batch.NextObs) batch.Action).sub(at batch.NextObs (snd zero))
              closeTo 1e-5 "noise" (values ((at batch.Obs batch.Action).sub(at (fst zero) (snd zero)))) (values sum))

          testCase "updates by libtorch alone give what the kernels give" (fun () ->
              let space = { ObsDim = 5; ActionDim = 3 }

              let run update modelOf compute =
                  let model: ActorCriticModel = modelOf compute
                  let mutable state = ActorCriticState.init model (Key.ofSeed 2L)

                  for i in 0L .. 3L do
                      let struct (next, _) = update model (Key.ofSeed i) batch state
                      Parts.disposeReplaced ActorCriticState.parts next state
                      state <- next

                  let found = Parts.tensors ActorCriticState.parts state |> List.map values
                  Parts.dispose ActorCriticState.parts state
                  found

              let sdac compute = Sdac.model compute space linear
              let dpmd compute = Dpmd.model compute space (DpmdConfig.ofSdac linear)

              for name, update, modelOf in [ "SDAC", Sdac.update, sdac; "DPMD", Dpmd.update, dpmd ] do
                  for ours, theirs in List.zip (run update modelOf Compute.cpu) (run update modelOf Compute.libtorch) do
                      closeTo 2e-3 name theirs ours) ]
