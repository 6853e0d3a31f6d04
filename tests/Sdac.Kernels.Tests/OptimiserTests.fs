module Sdac.Kernels.Tests.OptimiserTests

open System
open Expecto
open FsCheck.FSharp
open Sdac.Kernels
open Sdac.Kernels.Tests.Support
open Sdac.Testing

let private adam (p: float32[]) (m: float32[]) (v: float32[]) (g: float32[]) lr step =
    let p2, m2, v2 = zeros p.Length, zeros p.Length, zeros p.Length
    Adam.Step(p, m, v, g, p2, m2, v2, lr, 0.9, 0.999, 1e-8, step)
    p2, m2, v2

let private adamInDouble p m v g lr (step: int64) =
    let m2 = 0.9 * m + 0.1 * g
    let v2 = 0.999 * v + 0.001 * g * g
    let mHat, vHat = m2 / (1.0 - 0.9 ** float step), v2 / (1.0 - 0.999 ** float step)
    p - lr * mHat / (sqrt vHat + 1e-8), m2, v2

[<Tests>]
let tests =
    testList
        "optimisers"
        [ testForAll
              "Adam follows its formula in double precision for any length and step"
              100
              (Gen.zip (Gen.choose (1, 300)) (Gen.choose (1, 5000)))
              (fun (length, step) ->
                  let random = random (length + step)
                  let p, m, g = numbers random length 1.0, numbers random length 0.1, numbers random length 1.0
                  let v = numbers random length 0.1 |> Array.map abs
                  let before = Array.map Array.copy [| p; m; v; g |]
                  let p2, m2, v2 = adam p m v g 3e-4 (int64 step)

                  let want =
                      Array.init length (fun i ->
                          adamInDouble (float p[i]) (float m[i]) (float v[i]) (float g[i]) 3e-4 (int64 step))

                  close "p" 1e-6 (want |> Array.map (fun (p, _, _) -> p)) p2
                  close "m" 1e-6 (want |> Array.map (fun (_, m, _) -> m)) m2
                  close "v" 1e-6 (want |> Array.map (fun (_, _, v) -> v)) v2
                  Array.iter2 (equalBits "an input changed") before [| p; m; v; g |])

          testCase "Adam has the recorded values over three steps" (fun () ->
              // lr 1e-3; gradients of the first steps and what they lead to.
              let p, m, v = adam [| 1.0f; -2.0f; 0.0f |] (zeros 3) (zeros 3) [| 0.1f; -3.0f; 1e-9f |] 1e-3 1L
              close "p" 1e-7 [| 0.9990000001; -1.999; -9.090909091e-05 |] p
              close "m" 1e-7 [| 0.01; -0.3; 1e-10 |] m
              close "v" 1e-7 [| 1e-5; 9e-3; 1e-21 |] v)

          testCase "Adam agrees with the figures beside the checkout" (fun () ->
              match Golden.sdac.Value with
              | None -> skiptest Golden.missing
              | Some golden ->
                  let adamGolden = golden.GetProperty "adam"
                  let mutable p = Golden.floats [ "p0" ] adamGolden |> Array.map float32
                  let mutable m, v = zeros p.Length, zeros p.Length
                  let mutable step = 0L

                  for entry in adamGolden.GetProperty("steps").EnumerateArray() do
                      step <- step + 1L
                      let p2, m2, v2 = adam p m v (Golden.floats [ "grad" ] entry |> Array.map float32) 1e-3 step
                      close $"p after step {step}" 1e-6 (Golden.floats [ "param" ] entry) p2
                      close $"m after step {step}" 1e-6 (Golden.floats [ "m" ] entry) m2
                      close $"v after step {step}" 1e-6 (Golden.floats [ "v" ] entry) v2
                      p <- p2
                      m <- m2
                      v <- v2

                  Expect.isTrue (step > 3L) "step")

          testForAll
              "Adam followed by its moving average has the bits of Adam and Polyak apart"
              30
              (Gen.choose (1, 40_000))
              (fun length ->
                  let random = random length
                  let p, m, g = numbers random length 1.0, numbers random length 0.1, numbers random length 1.0
                  let v, target = numbers random length 0.1 |> Array.map abs, numbers random length 1.0
                  let wantP, wantM, wantV = adam p m v g 1e-2 3L
                  let wantTarget = zeros length
                  Polyak.Step(target, wantP, 0.005, wantTarget)
                  let p2, m2, v2, target2 = zeros length, zeros length, zeros length, zeros length
                  Adam.Step(p, m, v, g, p2, m2, v2, 1e-2, 0.9, 0.999, 1e-8, 3L, target, 0.005, target2)
                  equalBits "p" wantP p2
                  equalBits "m" wantM m2
                  equalBits "v" wantV v2
                  equalBits "target" wantTarget target2)

          testCase "Adam may overwrite its own state" (fun () ->
              let random = random 3
              let length = 40_000
              let p, m, g = numbers random length 1.0, numbers random length 0.1, numbers random length 1.0
              let v = numbers random length 0.1 |> Array.map abs
              let p2, m2, v2 = adam p m v g 1e-2 7L
              Adam.Step(p, m, v, g, p, m, v, 1e-2, 0.9, 0.999, 1e-8, 7L)
              equalBits "p" p2 p
              equalBits "m" m2 m
              equalBits "v" v2 v)

          testForAll
              "Polyak averaging follows its formula, and its ends are exact"
              100
              (Gen.zip (Gen.choose (1, 300)) (Gen.elements [ 0.0; 0.005; 0.1; 0.9; 1.0 ]))
              (fun (length, tau) ->
                  let random = random length
                  let target, online = numbers random length 1.0, numbers random length 1.0
                  let result = zeros length
                  Polyak.Step(target, online, tau, result)

                  close
                      "average"
                      1e-6
                      (Array.map2 (fun t o -> (1.0 - tau) * float t + tau * float o) target online)
                      result

                  if tau = 0.0 then
                      equalBits "tau 0" target result

                  if tau = 1.0 then
                      equalBits "tau 1" online result

                  Polyak.Step(target, online, tau, target)
                  equalBits "in place" result target) ]
