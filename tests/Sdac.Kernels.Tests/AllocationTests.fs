module Sdac.Kernels.Tests.AllocationTests

open System
open Expecto
open Sdac.Kernels
open Sdac.Kernels.Tests.Support
open Sdac.Testing

/// Managed bytes per call on the calling thread once everything is warm.
let private bytesPerCall (action: unit -> unit) =
    for _ in 1..20 do
        action ()

    let before = GC.GetAllocatedBytesForCurrentThread()

    for _ in 1..50 do
        action ()

    float (GC.GetAllocatedBytesForCurrentThread() - before) / 50.0

[<Tests>]
let tests =
    testList
        "memory of the kernels"
        [ testCase "kernels allocate nothing once warm, a tape only its handle" (fun () ->
              let shape = normedShapeOf [ 23; 64; 64; 6 ] Activation.Gelu Activation.Identity 1e-5f
              let parameters = parametersFor (random 1) shape
              let input, output = numbers (random 2) (100 * 23) 1.0, zeros (100 * 6)
              let gradient, inputGradient = zeros shape.ParameterCount, zeros input.Length
              let policy = NoiseNetworkShape(11, 3, 16, 32, ReadOnlySpan [| 64; 64 |])
              let policyParameters = SamplerTests.parametersOf (random 3) policy
              let c = SamplerTests.coefficients 5
              let obs, actions = numbers (random 4) (9 * 11) 1.0, zeros (9 * 8 * 3)
              let key = PhiloxKey(1u, 2u, 3u, 4u)
              use packed = new PackedPolicy(policy, policyParameters, c, 0.5f)
              let m, v = zeros shape.ParameterCount, zeros shape.ParameterCount
              let optimised = Array.copy parameters

              let range = LogStdRange(-20.0f, 2.0f, false)
              let head, noise, mean = numbers (random 5) 1200 1.0, numbers (random 6) 600 1.0, zeros 600
              let sampled, logProbability, headGradient = zeros 600, zeros 100, zeros 1200
              let logStd, logStdGradient = zeros 6, zeros 6

              let none =
                  [ "Forward", (fun () -> Mlp.Forward(shape, parameters, ReadOnlySpan.Empty, 1, input, 100, output))
                    "ForwardSlope",
                    (fun () ->
                        Mlp.ForwardSlope(shape, parameters, ReadOnlySpan.Empty, 1, input, 100, output, inputGradient))
                    "Normal", (fun () -> Philox.Normal(key, 5L, input.AsSpan()))
                    "Adam",
                    (fun () -> Adam.Step(optimised, m, v, gradient, optimised, m, v, 1e-3, 0.9, 0.999, 1e-8, 3L))
                    "SquashedGaussian",
                    (fun () ->
                        SquashedGaussian.Sample(6, range, true, head, noise, sampled, logProbability)
                        SquashedGaussian.Backward(6, range, true, head, noise, noise, logProbability, headGradient))
                    "DiagonalGaussian",
                    (fun () ->
                        DiagonalGaussian.LogProbability(logStd, mean, noise, logProbability)
                        DiagonalGaussian.Backward(logStd, mean, noise, logProbability, sampled, logStdGradient))
                    "Polyak", (fun () -> Polyak.Step(optimised, parameters, 0.1, optimised))
                    "Sample",
                    (fun () -> ReverseSampler.Sample(policy, policyParameters, c, obs, 9, 8, 0.5f, key, key, actions))
                    "Act",
                    (fun () ->
                        packed.Act(obs.AsSpan(0, 11), 24, key, key, actions.AsSpan(0, 72), Span.Empty, Span.Empty)) ]

              let tape () =
                  use tape = Mlp.ForwardTape(shape, parameters, ReadOnlySpan.Empty, 1, input, 100, output)
                  Mlp.Backward(shape, parameters, tape, output, gradient, inputGradient)

              for threads in [ 1; 2 ] do
                  onThreads threads (fun () ->
                      for name, action in none do
                          Expect.isTrue (bytesPerCall action = 0.0) $"{name} allocates {bytesPerCall action} bytes"

                      Expect.inRange (bytesPerCall tape) (1.0, 100.0) "bytes per call"))

          testCase "memory of undisposed tapes comes back" (fun () ->
              let shape = shapeOf [ 64; 256; 256; 1 ] Activation.Mish Activation.Identity
              let parameters = parametersFor (random 1) shape
              let input, output = numbers (random 2) (512 * 64) 1.0, zeros 512

              let leak () =
                  for _ in 1..20 do
                      Mlp.ForwardTape(shape, parameters, ReadOnlySpan.Empty, 1, input, 512, output) |> ignore

                  GC.Collect()
                  GC.WaitForPendingFinalizers()

              leak ()
              let before = Environment.WorkingSet

              for _ in 1..20 do
                  leak ()

              Expect.inRange (Environment.WorkingSet - before) (Int64.MinValue, 60_000_000L) "working set") ]
