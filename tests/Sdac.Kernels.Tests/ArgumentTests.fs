module Sdac.Kernels.Tests.ArgumentTests

open System
open Expecto
open Sdac.Kernels
open Sdac.Kernels.Tests.Support
open Sdac.Testing

let private shape = shapeOf [ 5; 4; 2 ] Activation.Mish Activation.Identity

let private parameters = parametersFor (random 1) shape

/// The call must fail naming the argument, what came and what was wanted.
let private refused (argument: string) (got: string) (wanted: string) (call: unit -> unit) =
    let error = Expect.raises<ArgumentException> call
    Expect.equal error.ParamName argument "name of the argument"
    Expect.stringContains error.Message got "sentence"
    Expect.stringContains error.Message wanted "sentence"

[<Tests>]
let tests =
    testList
        "arguments of the kernels"
        [ testCase "shapes refuse what is no network" (fun () ->
              refused "widths" "1 entries" "output width" (fun () ->
                  shapeOf [ 3 ] Activation.Mish Activation.Mish |> ignore)

              refused "widths" "0" "at least 1" (fun () ->
                  shapeOf [ 3; 0; 1 ] Activation.Mish Activation.Mish |> ignore)

              refused "hidden" "9" "no activation" (fun () -> shapeOf [ 3; 1 ] (enum 9) Activation.Mish |> ignore)

              for wrong in [ 0.0f; -1e-5f; nanf; infinityf ] do
                  refused "layerNormEpsilon" "positive number" "leaves the norm out" (fun () ->
                      normedShapeOf [ 3; 2; 1 ] Activation.Mish Activation.Mish wrong |> ignore)

              refused "layer" "2" "0 to 1" (fun () -> shape.WeightOffset 2 |> ignore)
              refused "timeDim" "7" "even" (fun () -> NoiseNetworkShape(3, 2, 7, 32, ReadOnlySpan.Empty) |> ignore))

          testCase "forward passes refuse wrong lengths" (fun () ->
              let forward (p: float32[]) (shared: float32[]) repeat (own: float32[]) rows (y: float32[]) () =
                  Mlp.Forward(shape, p, shared, repeat, own, rows, y)

              refused "parameters" "33" "34" (forward (zeros 33) [||] 1 (zeros 15) 3 (zeros 6))
              refused "own" "14" "15" (forward parameters [||] 1 (zeros 14) 3 (zeros 6))
              refused "output" "7" "6" (forward parameters [||] 1 (zeros 15) 3 (zeros 7))
              refused "shared" "5" "3" (forward parameters (zeros 5) 1 (zeros 9) 3 (zeros 6))
              refused "shared" "18" "width 5" (forward parameters (zeros 18) 1 (zeros 0) 3 (zeros 6))
              refused "own" "8" "9" (forward parameters (zeros 6) 1 (zeros 8) 3 (zeros 6))
              refused "repeat" "0" "at least 1" (forward parameters [||] 0 (zeros 15) 3 (zeros 6))
              refused "rows" "-1" "negative" (forward parameters [||] 1 (zeros 15) -1 (zeros 6))

              let sloped (own: float32[]) (slope: float32[]) () =
                  Mlp.ForwardSlope(shape, parameters, zeros 6, 1, own, 3, zeros 6, slope)

              refused "own" "8" "9" (sloped (zeros 8) (zeros 9))
              refused "slope" "15" "9" (sloped (zeros 9) (zeros 15)))

          testCase "backward passes refuse wrong lengths, foreign tapes and disposed ones" (fun () ->
              let record () = Mlp.ForwardTape(shape, parameters, ReadOnlySpan.Empty, 1, zeros 15, 3, zeros 6)
              use tape = record ()

              let backward (tape: MlpTape) (dy: float32[]) (dp: float32[]) (dx: float32[]) () =
                  Mlp.Backward(shape, parameters, tape, dy, dp, dx)

              refused "outputGradient" "5" "6" (backward tape (zeros 5) (zeros 34) (zeros 15))
              refused "parameterGradient" "33" "34" (backward tape (zeros 6) (zeros 33) (zeros 15))
              refused "inputGradient" "16" "15" (backward tape (zeros 6) (zeros 34) (zeros 16))
              let other = shapeOf [ 5; 4; 2 ] Activation.Tanh Activation.Identity

              refused "tape" "another shape" "ForwardTape" (fun () ->
                  Mlp.Backward(other, parameters, tape, zeros 6, zeros 34, zeros 15))

              let normed = normedShapeOf [ 5; 4; 2 ] Activation.Mish Activation.Identity 1e-5f

              refused "tape" "another shape" "ForwardTape" (fun () ->
                  Mlp.Backward(normed, parametersFor (random 1) normed, tape, zeros 6, zeros 42, zeros 15))

              let gone = record ()
              gone.Dispose()
              gone.Dispose()

              Expect.raises<ObjectDisposedException>(backward gone (zeros 6) (zeros 34) (zeros 15)) |> ignore)

          testCase "optimisers refuse unequal lengths" (fun () ->
              let adam (m: float32[]) (g: float32[]) (p2: float32[]) step () =
                  Adam.Step(zeros 3, m, zeros 3, g, p2, zeros 3, zeros 3, 1e-3, 0.9, 0.999, 1e-8, step)

              refused "m" "2" "3" (adam (zeros 2) (zeros 3) (zeros 3) 1L)
              refused "g" "4" "3" (adam (zeros 3) (zeros 4) (zeros 3) 1L)
              refused "p2" "0" "3" (adam (zeros 3) (zeros 3) (zeros 0) 1L)
              refused "step" "0" "at least 1" (adam (zeros 3) (zeros 3) (zeros 3) 0L)
              refused "online" "2" "3" (fun () -> Polyak.Step(zeros 3, zeros 2, 0.5, zeros 3))
              refused "result" "2" "3" (fun () -> Polyak.Step(zeros 3, zeros 3, 0.5, zeros 2)))

          testCase "random streams refuse impossible positions" (fun () ->
              let key = PhiloxKey(0u, 0u, 0u, 0u)
              refused "offset" "-1" "from 0" (fun () -> Philox.Normal(key, -1L, (zeros 3).AsSpan()))
              refused "bound" "0" "at least 1" (fun () -> Philox.Integers(key, 0L, 0, Array.zeroCreate<int> 3))
              refused "index" "9223372036854775808" "2^63" (fun () -> Philox.Derive(key, 1UL <<< 63) |> ignore)
              refused "dest" "5" "6" (fun () -> TimeEncoding.Encode(zeros 3, 2, zeros 5)))

          testCase "sampling refuses wrong lengths" (fun () ->
              let policy = NoiseNetworkShape(3, 2, 4, 5, ReadOnlySpan [| 6 |])
              let good = zeros policy.ParameterCount
              let c = SamplerTests.coefficients 4
              let key = PhiloxKey(0u, 0u, 0u, 0u)

              let sample (p: float32[]) c (obs: float32[]) states particles (actions: float32[]) () =
                  ReverseSampler.Sample(policy, p, c, obs, states, particles, 0.5f, key, key, actions)

              refused "parameters" "1" (string good.Length) (sample (zeros 1) c (zeros 6) 2 5 (zeros 20))
              refused "obs" "7" "6" (sample good c (zeros 7) 2 5 (zeros 20))
              refused "actions" "21" "20" (sample good c (zeros 6) 2 5 (zeros 21))
              refused "particles" "0" "at least 1" (sample good c (zeros 6) 2 0 (zeros 0))
              let short = ReverseCoefficients(c.SqrtRecip, c.SqrtRecipM1, c.Mean1, c.Mean2, zeros 3)
              refused "Sigma" "3" "4" (sample good short (zeros 6) 2 5 (zeros 20))

              let withNoise (initial: float32[]) (noise: float32[]) () =
                  ReverseSampler.SampleWithNoise(policy, good, c, zeros 6, 2, 5, 0.5f, initial, noise, zeros 20)

              refused "initialNoise" "19" "20" (withNoise (zeros 19) (zeros 80))
              refused "stepNoise" "79" "80" (withNoise (zeros 20) (zeros 79))) ]
