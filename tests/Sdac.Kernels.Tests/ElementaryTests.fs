module Sdac.Kernels.Tests.ElementaryTests

open System
open Expecto
open Sdac.Kernels
open Sdac.Kernels.Tests.Support

let private identity = [| 1.0f; 0.0f |]

/// An activation on its own: a network of one layer with weight 1 and bias 0.
let private single activation = shapeOf [ 1; 1 ] Activation.Identity activation

let private apply activation (x: float32[]) =
    let y = zeros x.Length
    Mlp.Forward(single activation, identity, ReadOnlySpan.Empty, 1, x, x.Length, y)
    y

let private derivative activation (x: float32[]) =
    let shape = single activation
    use tape = Mlp.ForwardTape(shape, identity, ReadOnlySpan.Empty, 1, x, x.Length, zeros x.Length)
    let dx = zeros x.Length
    let dy = Array.create x.Length 1.0f
    Mlp.Backward(shape, identity, tape, dy, Span.Empty, dx)
    dx

let private grid = Array.init 40001 (fun i -> float32 (float (i - 20000) * 0.002))

[<Tests>]
let tests =
    testList
        "elementary functions"
        [ testCase "mish and its derivative have the recorded values" (fun () ->
              // From the formula in double precision.
              let recorded =
                  [ -10.0, -0.0004539889919, -0.0004085797869
                    -1.0, -0.3034014614, 0.05921675588
                    0.0, 0.0, 0.6
                    0.5, 0.3752452113, 0.8864243754
                    1.0, 0.8650983883, 1.049036220
                    20.0, 20.0, 1.0 ]

              let x = recorded |> List.map (fun (x, _, _) -> float32 x) |> List.toArray
              let values = recorded |> List.map (fun (_, y, _) -> y) |> List.toArray
              let derivatives = recorded |> List.map (fun (_, _, d) -> d) |> List.toArray
              close "mish" 2e-6 values (apply Activation.Mish x)
              close "its derivative" 2e-6 derivatives (derivative Activation.Mish x))

          testCase "mish and its derivative agree with the figures beside the checkout" (fun () ->
              match Golden.sdac.Value with
              | None -> skiptest Golden.missing
              | Some golden ->
                  let x = Golden.floats [ "mish"; "x" ] golden |> Array.map float32
                  close "mish" 2e-6 (Golden.floats [ "mish"; "y" ] golden) (apply Activation.Mish x)
                  close "its derivative" 2e-6 (Golden.floats [ "mish"; "dy" ] golden) (derivative Activation.Mish x))

          testCase "gelu and elu and their derivatives have the recorded values" (fun () ->
              // gelu(x) = x·Φ(x), gelu'(x) = Φ(x) + x·φ(x), from tables of Φ and φ; elu from e^x.
              let recorded =
                  [ Activation.Gelu, -10.0, -7.619853024e-23, -7.618400096e-22
                    Activation.Gelu, -2.0, -0.04550026390, -0.08523180108
                    Activation.Gelu, -1.0, -0.1586552539, -0.08331547059
                    Activation.Gelu, 0.0, 0.0, 0.5
                    Activation.Gelu, 1.0, 0.8413447461, 1.083315471
                    Activation.Gelu, 3.0, 2.995950306, 1.011945647
                    Activation.Elu, -2.0, -0.8646647168, 0.1353352832
                    Activation.Elu, -1e-4, -9.999500017e-5, 0.9999000050
                    Activation.Elu, 0.0, 0.0, 1.0
                    Activation.Elu, 2.5, 2.5, 1.0 ]

              for activation, x, y, slope in recorded do
                  let x = [| float32 x |]
                  close $"{activation}" 1e-6 [| y |] (apply activation x)
                  close $"derivative of {activation}" 1e-6 [| slope |] (derivative activation x))

          testCase "activations follow double precision to a few millionths, relatively" (fun () ->
              for activation in activations do
                  let got = apply activation grid

                  for i in 0 .. grid.Length - 1 do
                      let want = Reference.activate activation (float grid[i])

                      if not (abs (float got[i] - want) <= 3e-6 * abs want + 1e-37) then
                          failtest $"{activation} of {grid[i]} is {got[i]}, expected {want}")

          testCase "derivatives of activations follow central differences" (fun () ->
              let smooth = activations |> List.except [ Activation.Relu; Activation.Elu ]

              for activation in smooth do
                  let got = derivative activation grid
                  let slope x = Reference.slope (fun v -> Reference.activate activation v[0]) [| float x |] 0
                  let want = Array.map slope grid
                  close $"derivative of {activation}" 3e-6 want got

              // Central differences are wrong next to elu's kink, where the derivative itself is continuous.
              let elu = derivative Activation.Elu grid
              close "derivative of elu" 3e-6 (grid |> Array.map (fun x -> exp (min (float x) 0.0))) elu

              let relu = derivative Activation.Relu [| -2.0f; -1e-30f; 0.0f; 1e-30f; 2.0f |]
              Expect.equal relu [| 0.0f; 0.0f; 0.0f; 1.0f; 1.0f |] "relu")

          testCase "gelu's and elu's derivatives keep their relative precision far below zero" (fun () ->
              for i in 20..250 do
                  let x = float32 (-0.05 * float i)
                  let density = exp (-0.5 * float x * float x) / sqrt (2.0 * Math.PI)

                  for activation, want in
                      [ Activation.Gelu, Reference.normalBelow (float x) + float x * density
                        Activation.Elu, exp (float x) ] do
                      let got = float (Array.head (derivative activation [| x |]))

                      Expect.isTrue
                          (abs (got - want) <= 5e-6 * abs want)
                          $"{activation} at {x}: {got}, expected {want}")

          for path in paths do
              testCase $"extreme inputs give finite values and a NaN stays a NaN: {path}" (fun () ->
                  onPath path (fun () ->
                      for activation in activations do
                          let extremes = [| -1e30f; -1000.0f; -88.0f; 88.0f; 1000.0f; 1e30f |]

                          for y in apply activation extremes do
                              Expect.isTrue (Single.IsFinite y) "finite"

                          for y in derivative activation extremes do
                              Expect.isTrue (Single.IsFinite y) "finite"

                          Expect.isTrue (Single.IsNaN(Array.head (apply activation [| nanf |]))) $"{activation}"))

          testCase "the time encoding has the recorded values" (fun () ->
              let encoded = zeros 32
              let timesteps = [| 0.0f; 1.0f |]
              TimeEncoding.Encode(timesteps, 16, encoded)
              let sines = [| 0.2103677462; 0.07774589823; 0.02495835416; 0.007904376601 |]
              let want = Array.concat [ Array.create 8 0.0; Array.create 8 0.25; sines ]
              close "encoding" 1e-7 want (Array.take 20 encoded))

          testCase "the time encoding agrees with the figures beside the checkout" (fun () ->
              match Golden.sdac.Value with
              | None -> skiptest Golden.missing
              | Some golden ->
                  let encoded = zeros (20 * 16)
                  let timesteps = Array.init 20 float32
                  TimeEncoding.Encode(timesteps, 16, encoded)
                  close "encoding" 1e-7 (Golden.floats [ "time_encoding" ] golden) encoded) ]
