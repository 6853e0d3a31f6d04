module Sdac.Tests.HuberTests

open System
open Expecto
open FsCheck.FSharp
open Sdac.Functional
open TorchSharp
open Sdac.Tests.Properties
open Sdac.Tests.Figures
open Sdac.Testing

let private vector (numbers: float[]) = Tensors.ofArray Compute.cpu [ numbers.Length ] (Array.map float32 numbers)

let private huber kappa (delta: float) =
    if abs delta <= kappa then
        0.5 * delta * delta
    else
        kappa * (abs delta - 0.5 * kappa)

let private differences =
    gen {
        let! n = sizes 1 300
        let! kappa = between 0.1 3.0
        let! deltas = Gen.arrayOfLength n (between -6.0 6.0)
        let! targets = Gen.arrayOfLength n (between -2.0 2.0)
        return kappa, deltas, targets
    }

[<Tests>]
let tests =
    testList
        "Huber loss"
        [ testCase "it is quadratic inside the threshold and linear outside, averaged over the batch" (fun () ->
              use _ = torch.NewDisposeScope()
              // δ = 0.5, -2, 3 and, on the threshold, 1: ½·0.25, 2 - ½, 3 - ½, ½.
              let value, target = vector [| 1.5; -1.0; 3.0; 0.0 |], vector [| 1.0; 1.0; 0.0; -1.0 |]
              closeTo 1e-7 "loss" [| (0.125 + 1.5 + 2.5 + 0.5) / 4.0 |] (values (Critic.huberLoss 1.0 value target))
              closeTo 1e-7 "gradient" [| 0.125; -0.25; 0.25; 0.25 |] (values (Critic.huberGradient 1.0 value target)))

          testForAll "loss and gradient follow double precision" 60 differences (fun (kappa, deltas, targets) ->
              use _ = torch.NewDisposeScope()
              let n = float deltas.Length
              let value, target = vector (Array.map2 (+) deltas targets), vector targets
              let loss = deltas |> Array.averageBy (huber kappa)
              closeTo 2e-6 "loss" [| loss |] (values (Critic.huberLoss kappa value target))
              let clipped = deltas |> Array.map (fun delta -> max -kappa (min kappa delta) / n)
              closeTo 1e-6 "gradient" clipped (values (Critic.huberGradient kappa value target))

              // The gradient is the loss's own: the difference along one coordinate.
              let h, i = 1e-4, deltas.Length / 2
              let at step = (huber kappa (deltas[i] + step)) / n

              closeTo
                  2e-4
                  "slope"
                  [| (at h - at -h) / (2.0 * h) |]
                  [| (values (Critic.huberGradient kappa value target))[i] |])

          testForAll
              "with all differences inside the threshold it is half the squared error"
              20
              differences
              (fun (_, deltas, targets) ->
                  use _ = torch.NewDisposeScope()
                  let value, target = vector (Array.map2 (+) deltas targets), vector targets
                  let half = values (Critic.loss value target) |> Array.map (fun loss -> 0.5 * loss)
                  closeTo 1e-6 "loss" half (values (Critic.huberLoss 100.0 value target))
                  let half = values (Critic.gradient value target) |> Array.map (fun g -> 0.5 * g)
                  closeTo 1e-6 "gradient" half (values (Critic.huberGradient 100.0 value target)))

          testCase "a threshold that is no positive number is refused" (fun () ->
              use _ = torch.NewDisposeScope()
              let one = vector [| 1.0 |]

              for wrong in [ 0.0; -1.0; nan; infinity ] do
                  failsWith [ "Huber"; "positive threshold" ] (fun () -> Critic.huberLoss wrong one one |> ignore)
                  failsWith [ "Huber"; "positive threshold" ] (fun () -> Critic.huberGradient wrong one one |> ignore)) ]
