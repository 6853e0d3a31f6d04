module Sdac.Tests.GaussianPolicyTests

open System
open Expecto
open FsCheck.FSharp
open Sdac.Functional
open TorchSharp
open Sdac.Tests.Properties
open Sdac.Tests.Figures
open Sdac.Testing

let private computes = [ Compute.cpu; Compute.libtorch ]
let private halfLogTwoPi = 0.5 * log (2.0 * Math.PI)

let private tensor (shape: int list) (numbers: float[]) = Tensors.ofArray Compute.cpu shape (Array.map float32 numbers)

let private head dim range correction =
    { SquashedGaussian.standard dim with LogStd = range; TanhCorrection = correction }

let private softplus x = max x 0.0 + log (1.0 + exp (-(abs x)))

/// The reference sheet's formulas in double: actions and log-probability of one row. output: [2A], noise: [A].
let private reference (head: SquashedGaussian) (output: float[]) (noise: float[]) =
    let dim = head.ActionDim

    let logStd i =
        match head.LogStd with
        | LogStd.Clipped(low, high) -> max low (min high output[dim + i])
        | LogStd.Smooth(low, high) -> low + 0.5 * (high - low) * (tanh output[dim + i] + 1.0)

    let u = Array.init dim (fun i -> output[i] + exp (logStd i) * noise[i])

    let each i =
        let gaussian = -0.5 * noise[i] * noise[i] - logStd i - halfLogTwoPi
        let correction = 2.0 * (log 2.0 - u[i] - softplus (-2.0 * u[i]))
        if head.TanhCorrection then gaussian - correction else gaussian

    Array.map tanh u, Seq.sumBy each (seq { 0 .. dim - 1 })

let private slope (f: float[] -> float) (x: float[]) i =
    let h = 1e-5
    let at step = f (Array.mapi (fun j v -> if i = j then v + step else v) x)
    (at h - at -h) / (2.0 * h)

let private ranges =
    Gen.elements
        [ LogStd.Clipped(-20.0, 2.0)
          LogStd.Clipped(-20.0, 0.5)
          LogStd.Smooth(-5.0, 2.0)
          LogStd.Smooth(-10.0, 2.0) ]

let private cases =
    gen {
        let! dim = sizes 1 7
        let! rows = Gen.elements [ 1; 3; 40 ]
        let! range = ranges
        let! correction = Gen.elements [ true; true; false ]
        let! output = Gen.arrayOfLength (rows * 2 * dim) (between -3.0 1.9)
        let! noise = Gen.arrayOfLength (rows * dim) (between -2.5 2.5)
        return head dim range correction, rows, output, noise
    }

let private density (logProbability: Tensor) = values logProbability |> Array.map exp

[<Tests>]
let tests =
    testList
        "Gaussian policy heads"
        [ testCase "the squashed Gaussian has the reference sheet's numbers, on kernels and in libtorch" (fun () ->
              for compute in computes do
                  use _ = torch.NewDisposeScope()
                  let output = tensor [ 1; 4 ] [| 0.3; -0.5; log 0.5; log 1.2 |]
                  let noise = tensor [ 1; 2 ] [| 0.7; -1.1 |]
                  let sample = SquashedGaussian.sample compute (SquashedGaussian.standard 2) output noise
                  closeTo 1e-6 "action" [| 0.5716699661; -0.9488384234 |] (values sample.Action)
                  closeTo 1e-6 "log-probability" [| 0.5242040744 |] (values sample.LogProbability)
                  let gradient = sample.Pullback (tensor [ 1; 2 ] [| 0.0; 0.0 |]) (tensor [ 1 ] [| 1.0 |])
                  closeTo 2e-6 "gradient" [| 1.143339932; -1.897676847; -0.5998310237; 1.504933438 |] (values gradient)
                  let plain = head 2 (LogStd.Clipped(-20.0, 2.0)) false
                  let sample = SquashedGaussian.sample compute plain output noise
                  closeTo 1e-6 "without correction" [| -2.1770514426 |] (values sample.LogProbability)
                  closeTo 1e-6 "mode" [| tanh 0.3; tanh -0.5 |] (values (SquashedGaussian.mode plain output)))

          testForAll
              "samples and pullbacks follow double precision and its differences"
              60
              cases
              (fun (head, rows, output, noise) ->
                  use _ = torch.NewDisposeScope()
                  let dim = head.ActionDim
                  let random = Random rows
                  let number _ = float (float32 (2.0 * random.NextDouble() - 1.0))
                  let da, dl = Array.init (rows * dim) number, Array.init rows number
                  let row width r (numbers: float[]) = Array.sub numbers (r * width) width
                  let rounded = Array.map (float32 >> float)

                  for compute in computes do
                      let sample =
                          SquashedGaussian.sample
                              compute
                              head
                              (tensor [ rows; 2 * dim ] output)
                              (tensor [ rows; dim ] noise)

                      let gradient = values (sample.Pullback (tensor [ rows; dim ] da) (tensor [ rows ] dl))

                      for r in 0 .. rows - 1 do
                          let y, e = rounded (row (2 * dim) r output), rounded (row dim r noise)
                          let action, logProbability = reference head y e
                          closeTo 1e-5 "action" action (row dim r (values sample.Action))
                          closeTo 1e-5 "log-probability" [| logProbability |] [| (values sample.LogProbability)[r] |]

                          let loss y =
                              let a, l = reference head y e
                              Array.sum (Array.map2 (*) a (row dim r da)) + l * dl[r]

                          let want = Array.init (2 * dim) (slope loss y)
                          closeTo 5e-5 "pullback" want (row (2 * dim) r gradient))

          testForAll
              "the squashed density integrates to one"
              20
              (Gen.zip ranges (Gen.zip (between -1.5 1.5) (between -1.2 0.4)))
              (fun (range, (mean, raw)) ->
                  // Midpoints of a fine grid of actions, each reached by the noise that leads to it.
                  let n = 20_000
                  let head = head 1 range true

                  let logStd =
                      match range with
                      | LogStd.Clipped(low, high) -> max low (min high raw)
                      | LogStd.Smooth(low, high) -> low + 0.5 * (high - low) * (tanh raw + 1.0)

                  let actions = Array.init n (fun k -> -1.0 + 2.0 * (float k + 0.5) / float n)
                  let noise = actions |> Array.map (fun a -> (Math.Atanh a - mean) / exp logStd)

                  for compute in computes do
                      use _ = torch.NewDisposeScope()
                      let output = tensor [ n; 2 ] (Array.concat (Seq.replicate n [| mean; raw |]))
                      let sample = SquashedGaussian.sample compute head output (tensor [ n; 1 ] noise)
                      closeTo 1e-5 "actions" actions (values sample.Action)
                      let mass = Array.sum (density sample.LogProbability) * 2.0 / float n
                      Expect.inRange mass (0.998, 1.002) "probability of all actions")

          testCase "far out and at the limits of log σ every number is finite" (fun () ->
              for compute in computes do
                  for range in [ LogStd.Clipped(-20.0, 2.0); LogStd.Smooth(-5.0, 2.0) ] do
                      use _ = torch.NewDisposeScope()
                      let means, raws = [ -30.0; -9.0; 0.0; 9.0; 30.0 ], [ -1e3; -20.0; 2.0; 1e3 ]

                      let rows =
                          [| for mean in means do
                                 for raw in raws -> [| mean; raw |] |]

                      let n = rows.Length
                      let head = head 1 range true
                      let noise = Array.create n 0.1

                      let sample =
                          SquashedGaussian.sample
                              compute
                              head
                              (tensor [ n; 2 ] (Array.concat rows))
                              (tensor [ n; 1 ] noise)

                      let want = rows |> Array.map (fun row -> snd (reference head row [| float 0.1f |]))
                      closeTo 1e-5 "log-probability" want (values sample.LogProbability)

                      let gradient =
                          sample.Pullback (tensor [ n; 1 ] (Array.create n 1.0)) (tensor [ n ] (Array.create n 1.0))

                      for number in Array.append (values sample.Action) (values gradient) do
                          Expect.isTrue (Double.IsFinite number) $"finite, not {number}")

          testCase "the diagonal Gaussian and its entropy have the reference sheet's numbers" (fun () ->
              use _ = torch.NewDisposeScope()
              let mean, action = tensor [ 1; 2 ] [| 0.2; -0.1 |], tensor [ 1; 2 ] [| 0.5; 0.3 |]
              let logStd = tensor [ 2 ] [| 0.0; -0.5 |]

              for compute in computes do
                  let density = DiagonalGaussian.density compute mean logStd action
                  closeTo 1e-6 "log-probability" [| -1.600339613 |] (values density.LogProbability)

              let entropy logStd = values (DiagonalGaussian.entropy (tensor [ 3 ] (Array.create 3 logStd)))
              closeTo 1e-6 "entropy" [| 4.2568156 |] (entropy 0.0)
              closeTo 1e-6 "entropy" [| 2.7568156 |] (entropy -0.5)
              let noise = tensor [ 1; 2 ] [| 0.7; -1.1 |]
              let sampled = values (DiagonalGaussian.sample mean logStd noise)
              closeTo 1e-6 "sample" [| 0.9; -0.1 - 1.1 * exp -0.5 |] sampled)

          testForAll
              "the diagonal density integrates to one, and its entropy is that of the grid"
              20
              (Gen.zip (between -1.0 1.0) (between -2.0 1.0))
              (fun (mean, logStd) ->
                  let n = 4_000
                  let reach = 9.0 * exp logStd
                  let actions = Array.init n (fun k -> mean - reach + 2.0 * reach * (float k + 0.5) / float n)

                  for compute in computes do
                      use _ = torch.NewDisposeScope()
                      let sigma = tensor [ 1 ] [| logStd |]

                      let found =
                          DiagonalGaussian.density
                              compute
                              (tensor [ n; 1 ] (Array.create n mean))
                              sigma
                              (tensor [ n; 1 ] actions)

                      let width = 2.0 * reach / float n
                      let logs = values found.LogProbability
                      Expect.inRange (Array.sumBy exp logs * width) (0.9999, 1.0001) "probability of all actions"
                      let entropy = -(Array.sumBy (fun l -> exp l * l) logs) * width
                      closeTo 1e-4 "entropy" [| entropy |] (values (DiagonalGaussian.entropy sigma)))

          testForAll
              "the diagonal Gaussian's pullback equals differences in double"
              40
              (Gen.zip (sizes 1 7) (Gen.elements [ 1; 3; 40; 64 ]))
              (fun (dim, rows) ->
                  use _ = torch.NewDisposeScope()
                  let random = Random(dim + 100 * rows)
                  let number _ = float (float32 (2.0 * random.NextDouble() - 1.0))
                  let mean, action = Array.init (rows * dim) number, Array.init (rows * dim) number
                  let logStd, dl = Array.init dim number, Array.init rows number

                  let loss (mean: float[]) (logStd: float[]) =
                      Seq.sum (
                          seq {
                              for i in 0 .. rows * dim - 1 do
                                  let s = logStd[i % dim]
                                  let z = (action[i] - mean[i]) / exp s
                                  dl[i / dim] * (-0.5 * z * z - s - halfLogTwoPi)
                          }
                      )

                  for compute in computes do
                      let density =
                          DiagonalGaussian.density
                              compute
                              (tensor [ rows; dim ] mean)
                              (tensor [ dim ] logStd)
                              (tensor [ rows; dim ] action)

                      let struct (dMean, dLogStd) = density.Pullback(tensor [ rows ] dl)
                      let wantLogStd = Array.init dim (slope (fun s -> loss mean s) logStd)
                      closeTo 5e-5 "gradient of log σ" wantLogStd (values dLogStd)
                      let found = values dMean

                      for i in [ 0; rows * dim / 2; rows * dim - 1 ] do
                          closeTo
                              5e-5
                              "gradient of the mean"
                              [| slope (fun m -> loss m logStd) mean i |]
                              [| found[i] |])

          testCase "wrong shapes and impossible limits are refused on kernels and in libtorch" (fun () ->
              use _ = torch.NewDisposeScope()
              let zeros shape = Tensors.zeros Compute.cpu shape

              for compute in computes do
                  let sample head output noise () = SquashedGaussian.sample compute head output noise |> ignore
                  let standard = SquashedGaussian.standard 2
                  failsWith [ "policy output"; "[3; 3]" ] (sample standard (zeros [ 3; 3 ]) (zeros [ 3; 2 ]))
                  failsWith [ "noise"; "[2; 2]" ] (sample standard (zeros [ 3; 4 ]) (zeros [ 2; 2 ]))

                  for range in [ LogStd.Clipped(2.0, -20.0); LogStd.Smooth(nan, 2.0) ] do
                      failsWith [ "log σ"; "in order" ] (sample (head 2 range true) (zeros [ 3; 4 ]) (zeros [ 3; 2 ]))

                  let density mean logStd action () = DiagonalGaussian.density compute mean logStd action |> ignore
                  failsWith [ "means" ] (density (zeros [ 3; 2 ]) (zeros [ 3 ]) (zeros [ 3; 2 ]))
                  failsWith [ "action" ] (density (zeros [ 3; 2 ]) (zeros [ 2 ]) (zeros [ 4; 2 ]))) ]
