module Sdac.Kernels.Tests.MlpTests

open System
open Expecto
open FsCheck
open FsCheck.FSharp
open Sdac.Kernels
open Sdac.Kernels.Tests.Reference
open Sdac.Kernels.Tests.Support
open Sdac.Testing

/// A network, its input split into shared and own columns, and a seed for the numbers.
type private Case =
    { Widths: int list
      Hidden: Activation
      Output: Activation
      Norm: float32 option
      SharedWidth: int
      Repeat: int
      Rows: int
      Seed: int }

let private genCase maxRows =
    gen {
        let! layers = Gen.choose (1, 4)
        let! widths = Gen.listOfLength (layers + 1) genWidth
        let! hidden = genActivation
        let! output = genActivation
        let! norm = genNorm
        let! sharedWidth = Gen.choose (0, widths.Head - 1)
        let! repeat = Gen.elements [ 1; 1; 2; 3; 10; 16; 32; 64 ]
        let! rows = Gen.choose (1, maxRows)
        let! seed = Gen.choose (0, 1_000_000)

        return
            { Widths = widths
              Hidden = hidden
              Output = output
              Norm = norm
              SharedWidth = sharedWidth
              Repeat = repeat
              Rows = rows
              Seed = seed }
    }

let private data case =
    let random = random case.Seed
    let shape = shapeWith case.Widths case.Hidden case.Output case.Norm
    let sharedRows = (case.Rows + case.Repeat - 1) / case.Repeat
    let ownWidth = case.Widths.Head - case.SharedWidth
    let shared = numbers random (sharedRows * case.SharedWidth) 1.0
    let own = numbers random (case.Rows * ownWidth) 1.0
    let all = concatenate shared case.SharedWidth case.Repeat own ownWidth case.Rows
    shape, parametersFor random shape, shared, own, all

let private forwardKernel (shape: MlpShape) (parameters: float32[]) (shared: float32[]) repeat (own: float32[]) rows =
    let y = zeros (rows * shape.OutputWidth)
    Mlp.Forward(shape, parameters, shared, repeat, own, rows, y)
    y

let private taped (shape: MlpShape) (parameters: float32[]) (shared: float32[]) repeat (own: float32[]) rows dy =
    let y = zeros (rows * shape.OutputWidth)
    use tape = Mlp.ForwardTape(shape, parameters, shared, repeat, own, rows, y)
    let dp, dx = zeros shape.ParameterCount, zeros (rows * shape.InputWidth)
    Mlp.Backward(shape, parameters, tape, (dy: float32[]), dp, dx)
    y, dp, dx

[<Tests>]
let tests =
    testList
        "networks"
        [ testForAll "forward passes of any size follow double precision" 150 (genCase 70) (fun case ->
              let shape, parameters, shared, own, all = data case
              let want = forward shape (toDouble parameters) (toDouble all)
              close "forward" 2e-5 want (forwardKernel shape parameters shared case.Repeat own case.Rows))

          testForAll "shared rows give the bits of the rows written out" 200 (genCase 200) (fun case ->
              let shape, parameters, shared, own, all = data case
              let written = forwardKernel shape parameters [||] 1 all case.Rows
              equalBits "shared" written (forwardKernel shape parameters shared case.Repeat own case.Rows))

          testForAll
              "the least of two networks has the bits of both passes and their minimum"
              150
              (genCase 200)
              (fun case ->
                  let shape, first, shared, own, _ = data case
                  let second = parametersFor (random (case.Seed + 1)) shape
                  let one = forwardKernel shape first shared case.Repeat own case.Rows
                  let other = forwardKernel shape second shared case.Repeat own case.Rows
                  let least = zeros one.Length
                  Mlp.ForwardLeast(shape, first, second, shared, case.Repeat, own, case.Rows, least)
                  equalBits "least" (Array.map2 (fun (a: float32) b -> MathF.Min(a, b)) one other) least)

          testCase "the least of two networks is NaN where either is" (fun () ->
              let shape = shapeOf [ 2; 3; 1 ] Activation.Mish Activation.Identity
              let good, bad = parametersFor (random 1) shape, Array.create shape.ParameterCount nanf
              let nothing, obs: float32[] * float32[] = [||], [| 1.0f; 2.0f |]

              for first, second in [ good, bad; bad, good ] do
                  let least = zeros 1
                  Mlp.ForwardLeast(shape, first, second, nothing, 1, obs, 1, least)
                  Expect.isTrue (Single.IsNaN least[0]) "least")

          testForAll "a taped forward pass gives the bits of the plain one" 150 (genCase 100) (fun case ->
              let shape, parameters, shared, own, _ = data case
              let plain = forwardKernel shape parameters shared case.Repeat own case.Rows
              let dy = zeros plain.Length
              let y, _, _ = taped shape parameters shared case.Repeat own case.Rows dy
              equalBits "taped" plain y)

          testForAll
              "outputs with their slopes have the bits of the plain pass and of the backward pass of their sum"
              200
              (genCase 200)
              (fun case ->
                  let shape, parameters, shared, own, _ = data case
                  let plain = forwardKernel shape parameters shared case.Repeat own case.Rows
                  let ones = Array.create plain.Length 1.0f
                  let _, _, dx = taped shape parameters shared case.Repeat own case.Rows ones
                  let ownWidth = case.Widths.Head - case.SharedWidth

                  let want =
                      [| for row in 0 .. case.Rows - 1 do
                             yield! Array.sub dx (row * shape.InputWidth + case.SharedWidth) ownWidth |]

                  let y, slope = Array.create plain.Length nanf, Array.create own.Length nanf
                  Mlp.ForwardSlope(shape, parameters, shared, case.Repeat, own, case.Rows, y, slope)
                  equalBits "outputs" plain y
                  equalBits "slopes" want slope)

          let genSmooth =
              genCase 40
              |> Gen.map (fun case ->
                  // The kink of relu is no place for central differences; it has a test of its own.
                  let smooth a = if a = Activation.Relu then Activation.Tanh else a
                  { case with Hidden = smooth case.Hidden; Output = smooth case.Output })

          testForAll "gradients follow central differences in double precision" 60 genSmooth (fun case ->
              let shape, parameters, shared, own, all = data case
              let random = random (case.Seed + 1)
              let dy = numbers random (case.Rows * shape.OutputWidth) 1.0
              let _, dp, dx = taped shape parameters shared case.Repeat own case.Rows dy
              let weigh y dy = Array.fold2 (fun sum y g -> sum + y * float g) 0.0 y (dy: float32[])
              let loss p x = weigh (forward shape p x) dy
              let p, x = toDouble parameters, toDouble all

              for _ in 1..6 do
                  let i = random.Next p.Length
                  let want = slope (fun p -> loss p x) p i
                  close $"parameter {i}" 2e-4 [| want |] [| dp[i] |]

              for _ in 1..6 do
                  let i = random.Next x.Length
                  // Rows do not mix: this one's share of the loss is enough.
                  let row = i / shape.InputWidth
                  let rowOf width values = Array.sub values (row * width) width
                  let rowLoss x = weigh (forwardRow shape p x) (rowOf shape.OutputWidth dy)
                  let want = slope rowLoss (rowOf shape.InputWidth x) (i % shape.InputWidth)
                  close $"input {i}" 2e-4 [| want |] [| dx[i] |])

          /// All gradients of a one-layer network by their formulas: dW = xᵀ·δ, db = Σ δ, dx = δ·Wᵀ.
          testForAll
              "every gradient of one linear layer is the textbook's"
              40
              (Gen.zip (Gen.zip genWidth genWidth) (Gen.choose (1, 90)))
              (fun ((inputs, outputs), rows) ->
                  let random = random (inputs + 1000 * outputs)
                  let shape = shapeOf [ inputs; outputs ] Activation.Identity Activation.Identity
                  let parameters = parametersFor random shape
                  let x, dy = numbers random (rows * inputs) 1.0, numbers random (rows * outputs) 1.0
                  let _, dp, dx = taped shape parameters [||] 1 x rows dy
                  let X r k = float x[r * inputs + k]
                  let D r j = float dy[r * outputs + j]
                  let W k j = float parameters[k * outputs + j]

                  let want =
                      [| for k in 0 .. inputs - 1 do
                             for j in 0 .. outputs - 1 do
                                 Seq.sum (seq { for r in 0 .. rows - 1 -> X r k * D r j })
                         for j in 0 .. outputs - 1 do
                             Seq.sum (seq { for r in 0 .. rows - 1 -> D r j }) |]

                  close "parameter gradient" 2e-5 want dp

                  let wantInput =
                      [| for r in 0 .. rows - 1 do
                             for k in 0 .. inputs - 1 do
                                 Seq.sum (seq { for j in 0 .. outputs - 1 -> D r j * W k j }) |]

                  close "input gradient" 2e-5 wantInput dx)

          testCase
              "layer norm has the reference sheet's values, over population variance and before the activation"
              (fun () ->
                  // Hidden sums 1, 2, 3, 4; the outputs read the four normalised values one by one.
                  let norm epsilon hidden =
                      let shape = normedShapeOf [ 1; 4; 4 ] hidden Activation.Identity epsilon
                      let p = zeros shape.ParameterCount
                      Array.blit [| 1.0f; 2.0f; 3.0f; 4.0f |] 0 p (shape.WeightOffset 0) 4
                      Array.blit [| 1.0f; 1.0f; 1.0f; 1.0f |] 0 p (shape.NormWeightOffset 0) 4

                      for i in 0..3 do
                          p[shape.WeightOffset 1 + 5 * i] <- 1.0f

                      forwardKernel shape p [||] 1 [| 1.0f |] 1

                  let want = [| -1.3416402498; -0.4472134166; 0.4472134166; 1.3416402498 |]
                  close "epsilon 1e-6" 1e-7 want (norm 1e-6f Activation.Identity)
                  close "epsilon 1e-5" 1e-7 [| -1.3416354200 |] (Array.take 1 (norm 1e-5f Activation.Identity))
                  close "relu" 1e-7 [| 0.0; 0.0; 0.4472134166; 1.3416402498 |] (norm 1e-6f Activation.Relu))

          testCase "a layer norm's parameters follow the layer's biases, and the last layer has none" (fun () ->
              let shape = normedShapeOf [ 5; 3; 4; 2 ] Activation.Relu Activation.Identity 1e-5f
              Expect.equal [ for i in 0..2 -> shape.HasNorm i ] [ true; true; false ] "norms"
              Expect.equal (shape.BiasOffset 0, shape.NormWeightOffset 0, shape.NormBiasOffset 0) (15, 18, 21) "first"

              Expect.equal
                  (shape.WeightOffset 1, shape.NormWeightOffset 1, shape.NormBiasOffset 1)
                  (24, 40, 44)
                  "second"

              Expect.equal (shape.WeightOffset 2, shape.ParameterCount) (48, 58) "last"
              Expect.equal (shapeOf [ 5; 3; 4; 2 ] Activation.Relu Activation.Identity).ParameterCount 44 "without")

          testCase "layer norm on sums that are all equal gives its offsets and finite gradients" (fun () ->
              let shape = normedShapeOf [ 2; 6; 1 ] Activation.Identity Activation.Identity 1e-5f
              let p = zeros shape.ParameterCount
              Array.blit (Array.create 6 1.0f) 0 p (shape.WeightOffset 1) 6
              Array.blit (Array.create 6 0.5f) 0 p (shape.NormBiasOffset 0) 6
              Array.blit (Array.create 6 1.0f) 0 p (shape.NormWeightOffset 0) 6
              let y, dp, dx = taped shape p [||] 1 [| 3.0f; -2.0f |] 1 [| 1.0f |]
              Expect.equal y [| 3.0f |] "output"

              for g in Array.append dp dx do
                  Expect.isTrue (Single.IsFinite g) "gradient")

          testForAll
              "all gradients of a network with layer norm follow double precision within 1e-4, relatively"
              20
              (Gen.zip (Gen.choose (2, 40)) (Gen.choose (1, 70)))
              (fun (width, rows) ->
                  let random = random (width + 1000 * rows)
                  let shape = normedShapeOf [ 7; 4 * width; 3 ] Activation.Gelu Activation.Identity 1e-5f
                  let parameters = parametersFor random shape
                  let x, dy = numbers random (rows * 7) 1.0, numbers random (rows * 3) 1.0
                  let _, dp, dx = taped shape parameters [||] 1 x rows dy

                  let wantParameters, wantInput =
                      Reference.normGradients shape (toDouble parameters) (toDouble x) (toDouble dy)

                  let relative context (want: float[]) (got: float32[]) =
                      let largest = want |> Array.map abs |> Array.max

                      close
                          context
                          1e-4
                          (Array.map (fun v -> v / largest) want)
                          (Array.map (fun v -> float32 (float v / largest)) got)

                  let part (values: 'a[]) first count = Array.sub values first count

                  for name, first, count in
                      [ "weights", shape.WeightOffset 0, 28 * width
                        "biases", shape.BiasOffset 0, 4 * width
                        "gains", shape.NormWeightOffset 0, 4 * width
                        "offsets", shape.NormBiasOffset 0, 4 * width
                        "last weights", shape.WeightOffset 1, 12 * width ] do
                      relative name (part wantParameters first count) (part dp first count)

                  relative "input" wantInput dx)

          testCase "the gradient of relu passes where the sum is positive and nowhere else" (fun () ->
              let shape = shapeOf [ 2; 3; 1 ] Activation.Relu Activation.Identity
              // Hidden sums: x0, x1, x0 + x1; the output adds them up with weights 1, 10, 100.
              let parameters = [| 1.0f; 0.0f; 1.0f; 0.0f; 1.0f; 1.0f; 0.0f; 0.0f; 0.0f; 1.0f; 10.0f; 100.0f; 0.0f |]
              let x = [| 2.0f; -1.0f; -3.0f; 1.0f |]
              let y, _, dx = taped shape parameters [||] 1 x 2 [| 1.0f; 1.0f |]
              Expect.equal y [| 102.0f; 10.0f |] "output"
              Expect.equal dx [| 101.0f; 100.0f; 0.0f; 10.0f |] "gradient of the input")

          testCase "gradients not wanted are not needed, and the others do not change" (fun () ->
              let case =
                  { Widths = [ 23; 40; 17 ]
                    Hidden = Activation.Mish
                    Output = Activation.Tanh
                    Norm = Some 1e-5f
                    SharedWidth = 5
                    Repeat = 3
                    Rows = 37
                    Seed = 5 }

              let shape, parameters, shared, own, _ = data case
              let dy = numbers (random 9) (case.Rows * 17) 1.0
              let _, dp, dx = taped shape parameters shared case.Repeat own case.Rows dy

              use tape =
                  Mlp.ForwardTape(shape, parameters, shared, case.Repeat, own, case.Rows, zeros (case.Rows * 17))

              let dp2, dx2 = Array.create shape.ParameterCount nanf, Array.create (case.Rows * 23) nanf
              Mlp.Backward(shape, parameters, tape, dy, dp2, Span.Empty)
              Mlp.Backward(shape, parameters, tape, dy, Span.Empty, dx2)
              equalBits "parameter gradient" dp dp2
              equalBits "input gradient" dx dx2)

          testCase "no rows give no output and a zero gradient" (fun () ->
              let shape = shapeOf [ 3; 4; 2 ] Activation.Mish Activation.Identity
              let parameters = parametersFor (random 1) shape
              let y, dp, dx = taped shape parameters [||] 1 [||] 0 [||]
              Mlp.ForwardSlope(shape, parameters, ReadOnlySpan.Empty, 1, ReadOnlySpan.Empty, 0, Span.Empty, Span.Empty)
              Expect.isEmpty y "output"
              Expect.isEmpty dx "gradient of the input"

              for g in dp do
                  Expect.equal g 0.0f "gradient")

          testCase "forward passes agree with the figures beside the checkout" (fun () ->
              match Golden.sdac.Value with
              | None -> skiptest Golden.missing
              | Some golden ->
                  let shape = NoiseNetworkShape(3, 2, 16, 32, ReadOnlySpan [| 8; 8; 8 |])
                  let parameters = Golden.policyParameters 0.0
                  let times = Golden.floats [ "forward"; "t" ] golden |> Array.map float32
                  let encoded, time = zeros (5 * 16), zeros (5 * 16)
                  TimeEncoding.Encode(times, 16, encoded)
                  let timeParameters, mainParameters = Array.splitAt shape.Time.ParameterCount parameters
                  Mlp.Forward(shape.Time, timeParameters, ReadOnlySpan.Empty, 1, encoded, 5, time)
                  close "time network" 1e-5 (Golden.floats [ "forward"; "time_net_t7" ] golden) (Array.sub time 32 16)
                  let obs = Array.init 15 (fun k -> float32 (sin (0.5 * float k + 0.2)))
                  let action = Array.init 10 (fun k -> float32 (0.9 * sin (0.8 * float k + 0.5)))

                  let input =
                      Array.concat
                          [ for r in 0..4 do
                                Array.sub obs (3 * r) 3
                                Array.sub action (2 * r) 2
                                Array.sub time (16 * r) 16 ]

                  let output = zeros 10
                  Mlp.Forward(shape.Main, mainParameters, ReadOnlySpan.Empty, 1, input, 5, output)
                  close "policy" 1e-5 (Golden.floats [ "forward"; "policy" ] golden) output) ]
