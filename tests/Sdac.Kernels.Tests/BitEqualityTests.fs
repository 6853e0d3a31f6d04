/// All paths and all thread counts give the same bits.
module Sdac.Kernels.Tests.BitEqualityTests

open System
open Expecto
open FsCheck.FSharp
open Sdac.Kernels
open Sdac.Kernels.Simd
open Sdac.Kernels.Tests.Support
open Sdac.Testing

/// Runs an action on a path with 1, 2 and 3 threads and compares what it gives with the scalar path on one thread.
let private asScalar path context (action: unit -> float32[]) =
    let want = onPath KernelPath.Scalar (fun () -> onThreads 1 action)

    for threads in 1..3 do
        let got = onPath path (fun () -> onThreads threads action)
        equalBits $"{context} on {path} with {threads} threads" want got

let private genCase =
    gen {
        let! widths = Gen.listOfLength 3 genWidth
        let! rows = Gen.choose (1, 150)
        let! activation = genActivation
        let! repeat = Gen.elements [ 1; 3; 32 ]
        let! norm = genNorm
        return widths, rows, activation, repeat, norm
    }

[<Tests>]
let tests =
    testList
        "bit equality of paths and threads"
        [ for path in paths do
              testCase $"random streams: {path}" (fun () ->
                  let key = PhiloxKey(1u, 2u, 3u, 0xffffffffu)

                  for normal in [ false; true ] do
                      for offset in [ 0L; 17L; 0xffff_ffff0L - 70L ] do
                          asScalar path $"normal {normal}" (fun () ->
                              let values = zeros 40_000

                              if normal then
                                  Philox.Normal(key, offset, values.AsSpan())
                              else
                                  Philox.Uniform(key, offset, values.AsSpan())

                              values))

              testCase $"activations and their derivatives from -40 to 40: {path}" (fun () ->
                  let x = Array.init 20_001 (fun i -> float32 (float (i - 10_000) * 0.004))
                  let ones = Array.create x.Length 1.0f

                  for activation in activations do
                      let shape = shapeOf [ 1; 1 ] Activation.Identity activation

                      asScalar path $"{activation}" (fun () ->
                          let y, plain, dx = zeros x.Length, zeros x.Length, zeros x.Length
                          let one = [| 1.0f; 0.0f |]
                          use tape = Mlp.ForwardTape(shape, one, ReadOnlySpan.Empty, 1, x, x.Length, y)
                          Mlp.Backward(shape, one, tape, ones, Span.Empty, dx)
                          Mlp.Forward(shape, one, ReadOnlySpan.Empty, 1, x, x.Length, plain)
                          equalBits "without a tape" y plain
                          Array.concat [ y; dx ]))

              testForAll
                  $"forward and backward passes: {path}"
                  15
                  genCase
                  (fun (widths, rows, activation, repeat, norm) ->
                      let widths = 1 + widths.Head :: widths.Tail
                      let shape = shapeWith widths activation activation norm
                      let random = random rows
                      let parameters = parametersFor random shape
                      let shared = numbers random ((rows + repeat - 1) / repeat * (widths.Head / 2)) 1.0
                      let own = numbers random (rows * (widths.Head - widths.Head / 2)) 1.0
                      let dy = numbers random (rows * shape.OutputWidth) 1.0

                      asScalar path $"widths {widths}" (fun () ->
                          let y = zeros dy.Length
                          let dp, dx = zeros shape.ParameterCount, zeros (rows * shape.InputWidth)
                          use tape = Mlp.ForwardTape(shape, parameters, shared, repeat, own, rows, y)
                          Mlp.Backward(shape, parameters, tape, dy, dp, dx)
                          let plain = zeros dy.Length
                          Mlp.Forward(shape, parameters, shared, repeat, own, rows, plain)
                          let sloped, slope = zeros dy.Length, zeros own.Length
                          Mlp.ForwardSlope(shape, parameters, shared, repeat, own, rows, sloped, slope)
                          Array.concat [ y; plain; dp; dx; sloped; slope ]))

              testCase $"Gaussian policies: {path}" (fun () -> asScalar path "policies" PolicyTests.all)

              testCase $"optimiser steps: {path}" (fun () ->
                  let random = random 11
                  let length = 70_001
                  let p, m, g = numbers random length 1.0, numbers random length 0.1, numbers random length 1.0
                  let v = numbers random length 0.1 |> Array.map abs

                  asScalar path "Adam and Polyak" (fun () ->
                      let p2, m2, v2 = zeros length, zeros length, zeros length
                      Adam.Step(p, m, v, g, p2, m2, v2, 3e-4, 0.9, 0.999, 1e-8, 12L)
                      let average = zeros length
                      Polyak.Step(p, p2, 0.005, average)
                      Array.concat [ p2; m2; v2; average ]))

              testCase $"reverse sampling: {path}" (fun () ->
                  let sizes =
                      [ 17, 6, [| 64; 64 |], 7, 32
                        3, 2, [| 13 |], 40, 1
                        5, 17, [| 33; 20; 8 |], 5, 10
                        11, 3, [| 256 |], 1, 32
                        11, 3, [| 96; 33 |], 3, 7
                        6, 4, [| 40; 20 |], 9, 4 ]

                  for obs, action, hidden, states, particles in sizes do
                      let shape = SamplerTests.shapeFor obs action (Array.toList hidden) states
                      let random = random states
                      let parameters = SamplerTests.parametersOf random shape
                      let observations = numbers random (states * obs) 1.0

                      asScalar path $"{states} states x {particles}" (fun () ->
                          SamplerTests.sample
                              shape
                              parameters
                              (SamplerTests.coefficients 4)
                              observations
                              states
                              particles))

          testCase "the path can be chosen by name and wrong names are refused with the choices" (fun () ->
              Expect.equal (KernelPaths.Choose "portable") KernelPath.Portable "choose"
              Expect.equal (KernelPaths.Choose "scalar") KernelPath.Scalar "choose"
              Expect.isTrue (KernelPaths.IsSupported(KernelPaths.Choose "")) "supported"
              let error = Expect.raises<InvalidOperationException>(fun () -> KernelPaths.Choose "sse9" |> ignore)
              Expect.stringContains error.Message "sse9" "sentence"
              Expect.stringContains error.Message "avx512, avx2, portable" "sentence") ]
