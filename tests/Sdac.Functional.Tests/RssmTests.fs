module Sdac.Tests.RssmTests

open System
open Expecto
open FsCheck.FSharp
open Sdac.Functional
open TorchSharp
open Sdac.Tests.Properties
open Sdac.Tests.Figures
open Sdac.Testing

let private cases = Gen.zip (Gen.zip (sizes 1 9) (sizes 2 12)) (Gen.zip (sizes 1 5) (sizes 0 1_000_000))

let private drawn (batch, k) (d, seed) =
    let keys = Key.splitMany 3 (Key.ofSeed (int64 seed))

    {| Prediction = Key.normal Compute.cpu [ batch; d ] keys[0]
       Noise = Key.normal Compute.cpu [ batch; k; d ] keys[1]
       Energy = (Key.normal Compute.cpu [ batch; k ] keys[2]).mul(Scalars.ofFloat 2.0) |}

[<Tests>]
let tests =
    testList
        "RSSM"
        [ testForAll
              "self-normalised weights sum to one and ignore a constant added to the energy"
              100
              (Gen.zip cases (between -1e4 1e4))
              (fun ((size, rest), shift) ->
                  use _ = torch.NewDisposeScope()
                  let e = (drawn size rest).Energy
                  let w = Rssm.weights RssmWeights.SelfNormalised e
                  closeTo 1e-6 "sum" (Array.create (fst size) 1.0) (values (w.sum 1L))
                  // float32 rounds the shifted energy itself to about 1e-3 at 1e4
                  closeTo
                      2e-3
                      "shifted"
                      (values w)
                      (values (Rssm.weights RssmWeights.SelfNormalised (e.add (Scalars.ofFloat shift)))))

          testCase "energies of ±1e4 give finite weights" (fun () ->
              let energy = Tensors.ofArray Compute.cpu [ 2; 3 ] [| 1e4f; -1e4f; 0.0f; -1e4f; -1e4f; -1e4f |]

              closeTo
                  1e-6
                  "weights"
                  [| 1.0; 0.0; 0.0; 1.0 / 3.0; 1.0 / 3.0; 1.0 / 3.0 |]
                  (values (Rssm.weights RssmWeights.SelfNormalised energy)))

          testCase "raw weights are the exponentials of the energies" (fun () ->
              let energy = Tensors.ofArray Compute.cpu [ 1; 3 ] [| 0.0f; 1.0f; -2.0f |]
              closeTo 1e-6 "weights" [| 1.0; exp 1.0; exp -2.0 |] (values (Rssm.weights RssmWeights.Raw energy)))

          testForAll
              "one trained row per state has the gradient of the loss over all draws"
              60
              cases
              (fun (size, rest) ->
                  use _ = torch.NewDisposeScope()
                  let c = drawn size rest

                  for kind in [ RssmWeights.SelfNormalised; RssmWeights.Raw ] do
                      let w = Rssm.weights kind c.Energy
                      let prediction = c.Prediction.detach().requires_grad_()
                      let loss = Rssm.loss prediction c.Noise w
                      let autograd = torch.autograd.grad([| loss |], [| prediction |]).[0]
                      closeTo 1e-5 $"{kind}" (values autograd) (values (Rssm.gradient c.Prediction c.Noise w)))

          testForAll
              "forward noising with the drawn noise returns the clean action"
              60
              (Gen.zip (Gen.zip schedules (sizes 1 30)) (Gen.zip (sizes 1 5) (sizes 0 100_000)))
              (fun ((kind, T), (d, seed)) ->
                  use _ = torch.NewDisposeScope()
                  let s = Schedule.create kind T
                  let keys = Key.splitMany 3 (Key.ofSeed (int64 seed))
                  let a0 = (Key.uniform Compute.cpu [ 8; d ] keys[0]).mul(Scalars.ofFloat 2.0).sub(Scalars.ofFloat 1.0)
                  let z = Key.normal Compute.cpu [ 8; d ] keys[1]
                  let t = Key.integers T 8 keys[2]
                  let noisy = Diffusion.noised Compute.cpu s t a0 z
                  let back = Diffusion.clean Compute.cpu s t noisy z
                  // float32 loses what √(1/ᾱ) amplifies
                  let worst =
                      t |> Array.map (fun t -> s.SqrtRecipM1AlphaBars[t] + s.SqrtRecipAlphaBars[t]) |> Array.max

                  closeTo (1e-6 * (1.0 + worst)) "a0" (values a0) (values back))

          testForAll
              "draws are inside the action box and clean where nothing was clipped"
              40
              cases
              (fun ((batch, k), (d, seed)) ->
                  use _ = torch.NewDisposeScope()
                  let s = Schedule.create (BetaSchedule.Linear 0.8) 20
                  let keys = Key.splitMany 3 (Key.ofSeed (int64 seed))

                  let noisy, noise =
                      Key.normal Compute.cpu [ batch; d ] keys[0], Key.normal Compute.cpu [ batch; k; d ] keys[1]

                  let t = Key.integers 20 batch keys[2]
                  let draws = values (Rssm.draws Compute.cpu s t noisy noise)

                  for x in draws do
                      Expect.inRange x (-1.0, 1.0) "draw"

                  let expected =
                      [| for b in 0 .. batch - 1 do
                             for j in 0 .. k - 1 do
                                 let clean =
                                     Diffusion.clean
                                         Compute.cpu
                                         s
                                         [| t[b] |]
                                         (noisy.narrow (0L, int64 b, 1L))
                                         (noise.select(0L, int64 b).narrow(0L, int64 j, 1L))

                                 yield! values clean |> Array.map (fun x -> max -1.0 (min 1.0 x)) |]

                  closeTo 1e-5 "draws" expected draws)

          testCase
              "the temperature follows the curve of the published settings whatever the number of actions"
              (fun () ->
                  for actionDim in [ 1; 3; 6; 17 ] do
                      let adam = { Beta1 = 0.9; Beta2 = 0.999; Epsilon = 1e-8 }
                      let mutable t = Temperature.init 5.0

                      let curve =
                          [ for update in 0..200_000 do
                                match update with
                                | 12_500
                                | 25_000
                                | 50_000
                                | 75_000
                                | 100_000
                                | 200_000 -> t.Lambda
                                | _ -> ()

                                if update % SdacConfig.published.Temperature.TemperatureDelay = 0 then
                                    t <- Temperature.step adam 7e-3 -0.9 actionDim t ]

                      for want, got in List.zip [ 3.56; 2.63; 1.65; 1.24; 1.08; 0.98 ] curve do
                          Expect.isTrue (abs (want - got) < 0.006) $"{actionDim} actions: λ {got}, not {want}")

          testForAll
              "best of N keeps the particle with the largest value of each state"
              60
              cases
              (fun ((batch, n), (d, seed)) ->
                  use _ = torch.NewDisposeScope()
                  let struct (a, b) = Key.split (Key.ofSeed (int64 seed))
                  let actions, q = Key.normal Compute.cpu [ batch; n; d ] a, Key.normal Compute.cpu [ batch; n ] b
                  let chosen = Diffusion.bestOf actions q
                  let flatActions, flatQ = values actions, values q

                  for i in 0 .. batch - 1 do
                      let best = Seq.maxBy (fun j -> flatQ[i * n + j]) (seq { 0 .. n - 1 })
                      Expect.equal (chosen.Index.[i].item<int64>()) (int64 best) "item"
                      Expect.equal ((values chosen.Value)[i]) (flatQ[i * n + best]) "value of the best"

                      Expect.equal
                          ((values chosen.Action)[i * d .. i * d + d - 1])
                          (flatActions[(i * n + best) * d .. (i * n + best) * d + d - 1])
                          "action of the best")

          testForAll
              "kernels and libtorch sample the same particles from the same key"
              25
              (Gen.zip (Gen.zip (sizes 1 7) (sizes 1 9)) (Gen.zip (sizes 1 6) (sizes 1 20)))
              (fun ((batch, n), (d, T)) ->
                  use _ = torch.NewDisposeScope()
                  let s = Schedule.create (BetaSchedule.Linear 0.8) T
                  let net = NoiseNetwork.create 5 d 16 32 [ 24; 17 ]
                  let p = NoiseNetwork.init Compute.cpu net (Key.ofSeed 2L)
                  let struct (a, b) = Key.split (Key.ofSeed (int64 (batch + 10 * T)))
                  let obs = Key.normal Compute.cpu [ batch; 5 ] a
                  let sample compute = Diffusion.sample compute s net p 0.5 n (SamplerNoise.Drawn b) obs |> values
                  // errors of the clean estimate grow with √(1/ᾱ - 1) until the clip
                  closeTo 1e-4 "particles" (sample Compute.libtorch) (sample Compute.cpu)) ]
