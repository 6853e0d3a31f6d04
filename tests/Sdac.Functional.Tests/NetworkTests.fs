module Sdac.Tests.NetworkTests

open System
open Expecto
open FsCheck.FSharp
open Sdac.Functional
open Sdac.Environments
open Sdac.Kernels
open TorchSharp
open Sdac.Tests.Properties
open Sdac.Tests.Figures
open Sdac.Testing

let private activations =
    [ Activation.Identity
      Activation.Relu
      Activation.Tanh
      Activation.Mish
      Activation.Gelu
      Activation.Elu ]

let private shapes =
    gen {
        let width = Gen.oneof [ Gen.elements [ 1; 15; 17; 32; 376 ]; sizes 1 70 ]
        let! depth = sizes 1 4
        let! widths = Gen.arrayOfLength (depth + 1) width
        let! hidden = Gen.elements activations
        let! rows = Gen.oneof [ Gen.constant 1; sizes 2 150 ]
        let! seed = sizes 0 1_000_000
        let! norm = Gen.elements [ Nullable(); Nullable 1e-5f ]
        // Few columns can be so alike that their norm magnifies rounding by 1/√ε; libtorch's gradient of one column is not zero.
        let widths = if norm.HasValue then Array.map (max 12) widths else widths
        return MlpShape(ReadOnlySpan<int> widths, hidden, Activation.Identity, norm), rows, Key.ofSeed (int64 seed)
    }

let private instance (shape: MlpShape, rows: int, key: Key) =
    let keys = Key.splitMany 4 key

    let flat =
        Tensors.ofArray
            Compute.cpu
            [ shape.ParameterCount ]
            (InitialWeights.draw InitialWeights.LecunUniform shape keys[0])
    // biases start at zero: move them, so that a forgotten bias shows
    let flat =
        flat.add ((Key.normal Compute.cpu [ shape.ParameterCount ] keys[1]).mul(Scalars.ofFloat 0.05))

    flat,
    Key.normal Compute.cpu [ rows; shape.InputWidth ] keys[2],
    Key.normal Compute.cpu [ rows; shape.OutputWidth ] keys[3]

// A plain double-precision noise network, for central differences.
let private reference (net: NoiseNetwork) (flat: float[]) (obs: float[]) (noisy: float[]) (t: int) =
    let mish x = x * tanh (log (1.0 + exp x))

    let dense (shape: MlpShape) start (input: float[]) =
        let mutable h = input

        for layer in 0 .. shape.LayerCount - 1 do
            let ins, outs = shape.Widths[layer], shape.Widths[layer + 1]

            h <-
                Array.init outs (fun j ->
                    let sum =
                        Seq.sum (
                            seq {
                                for i in 0 .. ins - 1 -> h[i] * flat[start + shape.WeightOffset layer + i * outs + j]
                            }
                        )

                    let z = sum + flat[start + shape.BiasOffset layer + j]
                    if layer = shape.LayerCount - 1 then z else mish z)

        h

    let half = net.Shape.Time.InputWidth / 2

    let encoding =
        Array.init (2 * half) (fun i ->
            let angle = float t * 10000.0 ** (-float(i % half) / float half)
            (if i < half then sin angle else cos angle) / sqrt (float (2 * half)))

    let time = dense net.Shape.Time 0 encoding
    dense net.Shape.Main net.Shape.Time.ParameterCount (Array.concat [ obs; noisy; time ])

[<Tests>]
let tests =
    testList
        "networks"
        [ testForAll
              "kernels and libtorch agree on the forward pass of any network"
              60
              shapes
              (fun (shape, rows, key) ->
                  use _ = torch.NewDisposeScope()
                  let flat, x, _ = instance (shape, rows, key)
                  let ours = Mlp.forward Compute.cpu shape flat x
                  closeTo 1e-5 "output" (values (Mlp.forward Compute.libtorch shape flat x)) (values ours))

          testForAll
              "kernels and libtorch's autograd agree on all gradients of any network"
              60
              shapes
              (fun (shape, rows, key) ->
                  use _ = torch.NewDisposeScope()
                  let flat, x, dy = instance (shape, rows, key)

                  let gradients compute =
                      use vjp = Mlp.vjp compute shape flat x
                      let struct (dp, dx) = vjp.Pullback dy

                      Expect.equal
                          (Tensors.toArray (vjp.PullbackParameters dy))
                          (Tensors.toArray dp)
                          "pullback parameters"

                      values vjp.Output, values dp, values dx

                  let y, dp, dx = gradients Compute.cpu
                  let y', dp', dx' = gradients Compute.libtorch
                  closeTo 1e-5 "output" y' y
                  let scale = 1e-5 * sqrt (float rows)
                  closeTo scale "parameter gradient" dp' dp
                  closeTo 2e-5 "input gradient" dx' dx)

          testForAll
              "rows that share leading inputs give what repeated rows give"
              40
              (Gen.zip (Gen.zip (sizes 1 20) (sizes 1 8)) (Gen.zip (sizes 1 9) (sizes 1 12)))
              (fun ((groups, repeat), (shared, own)) ->
                  use _ = torch.NewDisposeScope()

                  let shape =
                      MlpShape(ReadOnlySpan<int> [| shared + own; 24; 3 |], Activation.Mish, Activation.Identity)

                  let flat, x, _ = instance (shape, groups * repeat, Key.ofSeed (int64 (groups + 100 * own)))
                  let left = (x.narrow (0L, 0L, int64 groups)).narrow(1L, 0L, int64 shared)
                  let right = x.narrow (1L, int64 shared, int64 own)
                  let whole = Tensors.cat 1 [ left.repeat_interleave (int64 repeat, 0L); right ]
                  let expected = values (Mlp.forward Compute.libtorch shape flat whole)
                  closeTo 1e-5 "kernels" expected (values (Mlp.forwardShared Compute.cpu shape flat left right))
                  closeTo 1e-5 "libtorch" expected (values (Mlp.forwardShared Compute.libtorch shape flat left right)))

          testForAll
              "kernels and libtorch agree on the slopes of many actions a state, which are the pullback's of each"
              30
              (Gen.zip3 shapes (sizes 1 5) (sizes 1 4))
              (fun ((shape, rows, key), k, own) ->
                  use _ = torch.NewDisposeScope()
                  let own = min own shape.InputWidth
                  let flat, x, _ = instance (shape, rows, key)
                  let shared = x.narrow (1L, 0L, int64 (shape.InputWidth - own))
                  let actions = Key.normal Compute.cpu [ rows * k; own ] (Key.foldIn 9L key)
                  let whole = Tensors.cat 1 [ shared.repeat_interleave (int64 k, Nullable 0L); actions ]
                  use vjp = Mlp.vjp Compute.cpu shape flat whole
                  let dx = vjp.PullbackInput(torch.ones_like vjp.Output)
                  let wanted = dx.narrow(1L, int64 (shape.InputWidth - own), int64 own).contiguous()
                  let struct (y, slopes) = Mlp.withSlopes Compute.cpu shape flat shared actions
                  Expect.equal (values y) (values vjp.Output) "outputs"
                  Expect.equal (values slopes) (values wanted) "slopes"
                  let struct (y', slopes') = Mlp.withSlopes Compute.libtorch shape flat shared actions
                  Expect.isFalse (slopes'.requires_grad || y'.requires_grad) "plain tensors"
                  closeTo 1e-5 "libtorch's outputs" (values y') (values y)
                  closeTo 1e-4 "libtorch's slopes" (values slopes') (values slopes))

          testForAll
              "the noise network's gradients equal central differences in double"
              8
              (Gen.zip (sizes 1 5) (sizes 0 19))
              (fun (obsDim, t) ->
                  use _ = torch.NewDisposeScope()
                  let net = NoiseNetwork.create obsDim 2 8 6 [ 7; 5 ]
                  let p = NoiseNetwork.init Compute.cpu net (Key.ofSeed 11L)
                  let keys = Key.splitMany 3 (Key.ofSeed (int64 t))

                  let obs, noisy =
                      Key.normal Compute.cpu [ 1; obsDim ] keys[0], Key.normal Compute.cpu [ 1; 2 ] keys[1]

                  let dy = Key.normal Compute.cpu [ 1; 2 ] keys[2]
                  let flat, o, a, d = values p.Flat, values obs, values noisy, values dy
                  let objective flat a = Array.map2 (*) d (reference net flat o a t) |> Array.sum
                  let h = 1e-5

                  let differences (x: float[]) f =
                      Array.init x.Length (fun i ->
                          let at delta = f (Array.mapi (fun j v -> if i = j then v + delta else v) x)
                          (at h - at -h) / (2.0 * h))

                  for compute in [ Compute.cpu; Compute.libtorch ] do
                      use vjp = NoiseNetwork.vjp compute net p obs noisy [| t |]
                      closeTo 1e-5 "output" (reference net flat o a t) (values vjp.Output)
                      let struct (dp, da) = vjp.Pullback dy
                      closeTo 2e-5 "parameters" (differences flat (fun f -> objective f a)) (values dp)
                      closeTo 2e-5 "action" (differences a (objective flat)) (values da))

          testCase
              "kernels and libtorch agree on the noise network of any activation, with layer norm and without"
              (fun () ->
                  for activation in activations do
                      for norm in [ None; Some 1e-5 ] do
                          use _ = torch.NewDisposeScope()
                          let hidden = { Widths = [ 33; 24 ]; Activation = activation; LayerNorm = norm }
                          let net = NoiseNetwork.createWith 5 3 8 12 hidden
                          let keys = Key.splitMany 5 (Key.ofSeed (int64 activation))
                          let p = NoiseNetwork.init Compute.cpu net keys[0]
                          let moved = Key.normal Compute.cpu [ net.Shape.ParameterCount ] keys[1]
                          let p = Params.withFlat (p.Flat.add (moved.mul (Scalars.ofFloat 0.05))) p

                          let obs, noisy =
                              Key.normal Compute.cpu [ 40; 5 ] keys[2], Key.normal Compute.cpu [ 40; 3 ] keys[3]

                          let t = Array.init 40 (fun i -> i % 20)
                          let dy = Key.normal Compute.cpu [ 40; 3 ] keys[4]

                          let gradients compute =
                              use vjp = NoiseNetwork.vjp compute net p obs noisy t
                              let struct (dp, da) = vjp.Pullback dy
                              values vjp.Output, values dp, values da

                          let y, dp, da = gradients Compute.cpu
                          let y', dp', da' = gradients Compute.libtorch
                          closeTo 2e-5 $"output with {activation}" y' y
                          closeTo 1e-4 $"parameter gradient with {activation}" dp' dp
                          closeTo 5e-5 $"action gradient with {activation}" da' da

                          // Along a reverse chain, at one timestep for all rows.
                          let along = NoiseNetwork.along Compute.libtorch net p 20 obs 7 noisy
                          let whole = NoiseNetwork.forward Compute.cpu net p obs noisy (Array.create 40 7)
                          closeTo 2e-5 $"along a chain with {activation}" (values whole) (values along))

          testCase
              "layer norms have names, start as the plain normalisation, and stand in every hidden layer"
              (fun () ->
                  let hidden = { Widths = [ 4; 3 ]; Activation = Activation.Relu; LayerNorm = Some 1e-5 }

                  let net = QNetwork.createWith 2 1 hidden
                  let p = QNetwork.init Compute.cpu net (Key.ofSeed 1L)

                  Expect.equal
                      (p.Layout |> List.map _.Name)
                      [ "layer0.weight"
                        "layer0.bias"
                        "layer0.norm.weight"
                        "layer0.norm.bias"
                        "layer1.weight"
                        "layer1.bias"
                        "layer1.norm.weight"
                        "layer1.norm.bias"
                        "layer2.weight"
                        "layer2.bias" ]
                      "names"

                  Expect.equal (values (Params.slice "layer1.norm.weight" p)) (Array.create 3 1.0) "gains"
                  Expect.equal (values (Params.slice "layer1.norm.bias" p)) (Array.zeroCreate 3) "offsets"
                  let sizes = p.Layout |> List.map (fun slice -> List.fold (*) 1 slice.Shape)

                  Expect.equal
                      (p.Layout |> List.map _.Offset)
                      (List.scan (+) 0 sizes |> List.take 10)
                      "offsets in the vector"

                  Expect.equal (List.sum sizes) net.Shape.ParameterCount "length of the vector"

                  // Outputs of the first hidden layer before relu, read by a network of that layer and an identity behind it.
                  let weight name = values (Params.slice name p)
                  let x = [| 0.3; -0.7; 0.5 |]
                  let w = weight "layer0.weight"
                  let sums = Array.init 4 (fun j -> Seq.sum (seq { for k in 0..2 -> x[k] * w[k * 4 + j] }))
                  let mean = Array.average sums
                  let deviation = sqrt (Array.averageBy (fun v -> (v - mean) ** 2.0) sums + 1e-5)
                  let h = sums |> Array.map (fun v -> max 0.0 ((v - mean) / deviation))
                  let w1 = weight "layer1.weight"
                  let sums = Array.init 3 (fun j -> Seq.sum (seq { for k in 0..3 -> h[k] * w1[k * 3 + j] }))
                  let mean = Array.average sums
                  let deviation = sqrt (Array.averageBy (fun v -> (v - mean) ** 2.0) sums + 1e-5)
                  let h = sums |> Array.map (fun v -> max 0.0 ((v - mean) / deviation))
                  let want = Array.sum (Array.map2 (*) h (weight "layer2.weight"))

                  let row (numbers: float[]) =
                      Tensors.ofArray Compute.cpu [ 1; numbers.Length ] (Array.map float32 numbers)

                  for compute in [ Compute.cpu; Compute.libtorch ] do
                      let q = QNetwork.forward compute net p (row x[0..1]) (row x[2..2])
                      closeTo 1e-5 "value" [| want |] (values q))

          testCase "initial weights have variance one over fan-in and biases are zero" (fun () ->
              let net = QNetwork.create 100 100 [ 300 ]
              let p = QNetwork.init Compute.cpu net (Key.ofSeed 1L)
              let w = values (Params.slice "layer0.weight" p)
              let variance = Array.averageBy (fun x -> x * x) w
              Expect.inRange (variance * 200.0) (0.97, 1.03) "variance"

              for b in values (Params.slice "layer0.bias" p) do
                  Expect.equal b 0.0 "bias"

              let e = Expect.raises<RefusedArgumentException>(fun () -> Params.slice "layer9.weight" p |> ignore)
              Expect.stringContains e.Message "layer0.weight" "sentence")

          testForAll
              "a sharper start multiplies the first layer's weights of obs and action and nothing else"
              10
              (Gen.zip (sizes 1 5) (between 0.5 20.0))
              (fun (dim, factor) ->
                  let net = NoiseNetwork.create 2 dim 8 16 [ 12; 12 ]
                  let plain = NoiseNetwork.init Compute.cpu net (Key.ofSeed 3L)
                  let sharper = NoiseNetwork.initSharper Compute.cpu net factor (Key.ofSeed 3L)
                  let scaled = (plain.Layout |> List.find (fun slice -> slice.Name = "layer0.weight")).Offset

                  let expected =
                      values plain.Flat
                      |> Array.mapi (fun i w ->
                          if i >= scaled && i < scaled + (2 + dim) * 12 then
                              float32 w * float32 factor
                          else
                              float32 w)

                  Expect.equal (values sharper.Flat) (Array.map float expected) "parameters")

          testCase "an input of the wrong width is refused with both shapes" (fun () ->
              let net = QNetwork.create 3 2 [ 8 ]
              let p = QNetwork.init Compute.cpu net (Key.ofSeed 1L)

              let e =
                  Expect.raises<RefusedArgumentException>(fun () ->
                      Mlp.forward Compute.cpu net.Shape p.Flat (Tensors.zeros Compute.cpu [ 4; 6 ]) |> ignore)

              Expect.stringContains e.Message "[4; 6]" "sentence"
              Expect.stringContains e.Message "[-1; 5]" "sentence") ]
