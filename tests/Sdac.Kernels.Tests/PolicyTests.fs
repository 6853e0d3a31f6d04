module Sdac.Kernels.Tests.PolicyTests

open System
open Expecto
open FsCheck.FSharp
open Sdac.Kernels
open Sdac.Kernels.Tests.Support
open Sdac.Testing

let private clipped = LogStdRange(-20.0f, 2.0f, false)
let private smooth = LogStdRange(-5.0f, 2.0f, true)
let private halfLogTwoPi = 0.5 * log (2.0 * Math.PI)

let sample dim range correction (output: float32[]) (noise: float32[]) =
    let rows = noise.Length / dim
    let action, logProbability = zeros noise.Length, zeros rows
    SquashedGaussian.Sample(dim, range, correction, output, noise, action, logProbability)
    action, logProbability

let backward dim range correction (output: float32[]) (noise: float32[]) (da: float32[]) (dl: float32[]) =
    let gradient = zeros output.Length
    SquashedGaussian.Backward(dim, range, correction, output, noise, da, dl, gradient)
    gradient

/// ln(1 - tanh²u) in double, in the form of the reference sheet.
let private logOneLessTanhSquared u = 2.0 * (log 2.0 - u - Reference.softplus (-2.0 * u))

let private logStdOf (range: LogStdRange) x =
    let low, high = float range.Low, float range.High

    if range.Smooth then
        low + 0.5 * (high - low) * (tanh x + 1.0)
    else
        max low (min high x)

/// One row in double: actions and log-probability. output: [2A], noise: [A].
let private sampleRow range correction (output: float[]) (noise: float[]) =
    let dim = noise.Length
    let logStd = Array.init dim (fun i -> logStdOf range output[dim + i])
    let u = Array.init dim (fun i -> output[i] + exp logStd[i] * noise[i])

    let logProbability =
        Seq.sum (
            seq {
                for i in 0 .. dim - 1 do
                    let plain = -0.5 * noise[i] * noise[i] - logStd[i] - halfLogTwoPi
                    if correction then plain - logOneLessTanhSquared u[i] else plain
            }
        )

    Array.map tanh u, logProbability

let private genCase =
    gen {
        let! dim = Gen.elements [ 1; 2; 3; 6; 17; 21 ]
        let! rows = Gen.elements [ 1; 5; 31; 32; 33; 70 ]
        let! range = Gen.elements [ clipped; smooth ]
        let! correction = Gen.elements [ true; true; false ]
        let! seed = Gen.choose (0, 1_000_000)
        return dim, rows, range, correction, seed
    }

let private data (dim, rows, _, _, seed) =
    let random = random seed
    let mean = numbers random (rows * dim) 3.0
    let raw = numbers random (rows * dim) 3.0

    let output =
        Array.concat
            [ for r in 0 .. rows - 1 do
                  Array.sub mean (r * dim) dim
                  Array.sub raw (r * dim) dim ]

    output, numbers random (rows * dim) 2.0, numbers random (rows * dim) 1.0, numbers random rows 1.0

let logProbability (logStd: float32[]) (mean: float32[]) (action: float32[]) =
    let result = zeros (mean.Length / logStd.Length)
    DiagonalGaussian.LogProbability(logStd, mean, action, result)
    result

let private diagonalBackward (logStd: float32[]) (mean: float32[]) (action: float32[]) (dl: float32[]) =
    let dMean, dLogStd = zeros mean.Length, zeros logStd.Length
    DiagonalGaussian.Backward(logStd, mean, action, dl, dMean, dLogStd)
    dMean, dLogStd

let private genDiagonal =
    Gen.zip (Gen.elements [ 1; 2; 3; 6; 17 ]) (Gen.elements [ 1; 5; 31; 32; 33; 64; 300 ])

let private diagonal (dim, rows) =
    let random = random (dim + 1000 * rows)
    let logStd = numbers random dim 1.5
    let mean, action = numbers random (rows * dim) 1.0, numbers random (rows * dim) 2.0
    logStd, mean, action, numbers random rows 1.0

[<Tests>]
let tests =
    testList
        "Gaussian policies"
        [ testCase "the squashed Gaussian has the reference sheet's values" (fun () ->
              // mean (0.3, -0.5), deviation (0.5, 1.2), noise (0.7, -1.1).
              let output = [| 0.3f; -0.5f; log 0.5f; log 1.2f |]
              let noise = [| 0.7f; -1.1f |]
              let action, logProbability = sample 2 clipped true output noise
              close "action" 2e-7 [| 0.5716699661; -0.9488384234 |] action
              close "log-probability" 1e-6 [| 0.5242040744 |] logProbability
              close "without correction" 1e-6 [| -2.1770514426 |] (snd (sample 2 clipped false output noise))

              close
                  "gradient of the log-probability"
                  1e-6
                  [| 1.143339932; -1.897676847; -0.5998310237; 1.504933438 |]
                  (backward 2 clipped true output noise (zeros 2) [| 1.0f |]))

          testCase "the tanh correction is exact where tanh is 1 in float" (fun () ->
              // The sheet's ln(1 - tanh²u) at 5, 8 and 10, read off log-probabilities at deviation e^-20 and no noise.
              for u, correction in [ 5.0f, -8.613796437; 8.0f, -14.61370586; 10.0f, -18.61370564 ] do
                  for sign in [ 1.0f; -1.0f ] do
                      let _, got = sample 1 clipped true [| sign * u; -20.0f |] [| 0.0f |]
                      let _, plain = sample 1 clipped false [| sign * u; -20.0f |] [| 0.0f |]
                      close $"at {u}" 3e-7 [| -correction |] [| got[0] - plain[0] |])

          testForAll "samples, log-probabilities and gradients follow double precision" 150 genCase (fun case ->
              let dim, rows, range, correction, _ = case
              let output, noise, da, dl = data case
              let action, logProbability = sample dim range correction output noise
              let gradient = backward dim range correction output noise da dl

              for r in 0 .. rows - 1 do
                  let row width (values: float32[]) = Array.sub values (r * width) width
                  let y, e = Reference.toDouble (row (2 * dim) output), Reference.toDouble (row dim noise)
                  let want, wantLog = sampleRow range correction y e
                  close "action" 2e-6 want (row dim action)
                  close "log-probability" (2e-6 * float dim) [| wantLog |] [| logProbability[r] |]

                  let loss y =
                      let a, l = sampleRow range correction y e
                      Seq.sum (Seq.map2 (fun a (g: float32) -> a * float g) a (row dim da)) + l * float dl[r]

                  for i in 0 .. 2 * dim - 1 do
                      close $"gradient {i}" 2e-5 [| Reference.slope loss y i |] [| gradient[r * 2 * dim + i] |])

          testCase "far out and at the limits of log σ everything is finite and right" (fun () ->
              for range in [ clipped; smooth ] do
                  for mean in [ -30.0f; -10.0f; 0.0f; 10.0f; 30.0f ] do
                      for raw in [ -1000.0f; -20.0f; -5.0f; 2.0f; 1000.0f ] do
                          for noise in [ -4.0f; 0.0f; 4.0f ] do
                              let y = [| mean; raw |]
                              let action, got = sample 1 range true y [| noise |]
                              let want, wantLog = sampleRow range true (Reference.toDouble y) [| float noise |]
                              // Means of 30 and deviations of e² leave u with an error of some millionths.
                              close "action" 2e-5 want action
                              close "log-probability" 2e-5 [| wantLog |] got

                              for g in backward 1 range true y [| noise |] [| 1.0f |] [| 1.0f |] do
                                  Expect.isTrue (Single.IsFinite g) $"gradient at {mean}, {raw}, {noise}")

          testCase "a clipped log σ has a gradient inside its range, ends included, and none outside" (fun () ->
              let gradient raw = (backward 1 clipped true [| 0.3f; raw |] [| 0.5f |] [| 1.0f |] [| 1.0f |])[1]

              for raw in [ -20.5f; 2.1f ] do
                  Expect.equal (gradient raw) 0.0f $"at {raw}"

              for raw in [ -20.0f; -3.0f; 2.0f ] do
                  Expect.notEqual (gradient raw) 0.0f $"at {raw}")

          testForAll
              "the diagonal Gaussian follows double precision, with its gradients"
              60
              genDiagonal
              (fun (dim, rows) ->
                  let logStd, mean, action, dl = diagonal (dim, rows)
                  let z r i = float (action[r * dim + i] - mean[r * dim + i]) / exp (float logStd[i])
                  let dims, all = seq { 0 .. dim - 1 }, seq { 0 .. rows - 1 }

                  let want =
                      [| for r in all do
                             dims |> Seq.sumBy (fun i -> -0.5 * z r i * z r i - float logStd[i] - halfLogTwoPi) |]

                  close "log-probability" 5e-6 want (logProbability logStd mean action)
                  let dMean, dLogStd = diagonalBackward logStd mean action dl

                  let wantMean =
                      [| for r in all do
                             for i in dims -> float dl[r] * z r i / exp (float logStd[i]) |]

                  let wantLogStd =
                      [| for i in dims -> all |> Seq.sumBy (fun r -> float dl[r] * (z r i * z r i - 1.0)) |]

                  close "gradient of the means" 5e-6 wantMean dMean
                  close "gradient of log σ" 1e-4 wantLogStd dLogStd)

          testCase "the diagonal Gaussian has the reference sheet's value" (fun () ->
              let got = logProbability [| 0.0f; -0.5f |] [| 0.2f; -0.1f |] [| 0.5f; 0.3f |]
              close "log-probability" 5e-7 [| -1.600339613 |] got)

          testCase "the policies refuse wrong lengths and impossible ranges" (fun () ->
              let refused (argument: string) (words: string list) (call: unit -> unit) =
                  let error = Expect.raises<ArgumentException> call
                  Expect.equal error.ParamName argument "name of the argument"

                  for word in words do
                      Expect.stringContains error.Message word "sentence"

              refused "low" [ "between 2 and -20"; "in order" ] (fun () -> LogStdRange(2.0f, -20.0f, false) |> ignore)
              refused "low" [ "21" ] (fun () -> LogStdRange(-2.0f, 21.0f, true) |> ignore)
              refused "low" [ "NaN" ] (fun () -> LogStdRange(nanf, 2.0f, false) |> ignore)

              let sample (output: float32[]) (noise: float32[]) (action: float32[]) () =
                  SquashedGaussian.Sample(2, clipped, true, output, noise, action, zeros 3)

              refused "output" [ "11"; "12" ] (sample (zeros 11) (zeros 6) (zeros 6))
              refused "noise" [ "5"; "6" ] (sample (zeros 12) (zeros 5) (zeros 6))
              refused "action" [ "7"; "6" ] (sample (zeros 12) (zeros 6) (zeros 7))

              refused "outputGradient" [ "6"; "12" ] (fun () ->
                  SquashedGaussian.Backward(2, clipped, true, zeros 12, zeros 6, zeros 6, zeros 3, zeros 6))

              refused "mean" [ "5"; "6" ] (fun () ->
                  DiagonalGaussian.LogProbability(zeros 2, zeros 5, zeros 6, zeros 3))

              refused "logStdGradient" [ "3"; "2" ] (fun () ->
                  DiagonalGaussian.Backward(zeros 2, zeros 6, zeros 6, zeros 3, zeros 6, zeros 3))) ]

/// Everything that the policies compute, for comparisons of paths and threads.
let all () =
    Array.concat
        [ for dim, rows, range, correction in
              [ 1, 1, clipped, true; 6, 256, clipped, true; 17, 45, smooth, true; 3, 70, clipped, false ] do
              let output, noise, da, dl = data (dim, rows, range, correction, dim)
              let action, logProbability = sample dim range correction output noise
              action
              logProbability
              backward dim range correction output noise da dl

          for sizes in [ 1, 1; 6, 256; 17, 45 ] do
              let logStd, mean, action, dl = diagonal sizes
              logProbability logStd mean action
              let dMean, dLogStd = diagonalBackward logStd mean action dl
              dMean
              dLogStd ]
