/// What the tests share: settings of the kernels, comparisons, FsCheck with a fixed seed.
module Sdac.Kernels.Tests.Support

open System
open Expecto
open FsCheck.FSharp
open Sdac.Kernels
open Sdac.Kernels.Linear
open Sdac.Kernels.Simd
open Sdac.Testing

/// A test of a property on so many values, always the same ones.
let testForAll name (count: int) gen (property: 'a -> unit) = testForAllWith (fixedSeed 2024UL count) name gen property

let paths = [ KernelPath.Scalar; KernelPath.Portable; KernelPath.Avx2; KernelPath.Avx512 ]

let private setting get set value action =
    let before = get ()
    set value

    try
        action ()
    finally
        set before

/// Skips the test where the processor lacks the path.
let onPath path action =
    if not (KernelPaths.IsSupported path) then
        skiptest $"this processor cannot run the path {path}"

    setting (fun () -> KernelPaths.Current) (fun value -> KernelPaths.Current <- value) path action

/// With so many threads, which share even the smallest work.
let onThreads count action =
    setting (fun () -> Workers.Threads) (fun value -> Workers.Threads <- value) count (fun () ->
        setting (fun () -> Cutting.WorthSharing) (fun value -> Cutting.WorthSharing <- value) 0L action)

let bits (values: float32[]) = values |> Array.map BitConverter.SingleToInt32Bits

let equalBits (context: string) (expected: float32[]) (actual: float32[]) =
    Expect.equal actual.Length expected.Length "number of actual"

    let expectedBits, actualBits = bits expected, bits actual

    match Seq.tryFind (fun i -> expectedBits[i] <> actualBits[i]) (seq { 0 .. expected.Length - 1 }) with
    | Some i -> failtest $"{context}: element {i} of {expected.Length} is {actual[i]:R}, expected {expected[i]:R}"
    | None -> ()

/// |got - want| <= tolerance·(1 + |want|), elementwise.
let close (context: string) (tolerance: float) (want: float[]) (got: float32[]) =
    Expect.equal got.Length want.Length "number of got"

    for i in 0 .. want.Length - 1 do
        if not (abs (float got[i] - want[i]) <= tolerance * (1.0 + abs want[i])) then
            failtest $"{context}: element {i} is {got[i]:R}, expected {want[i]:R} within {tolerance}"

/// That many zeros: fresh memory for a result.
let zeros count : float32[] = Array.zeroCreate count

let random (seed: int) = Random(seed)

/// Standard normals, roughly: enough spread to reach all parts of an activation.
let numbers (random: Random) count scale =
    let centred _ = random.NextDouble() - 0.5
    Array.init count (fun _ -> float32 (scale * Seq.sum (Seq.init 3 centred)))

let parametersFor (random: Random) (shape: MlpShape) =
    let parameters = zeros shape.ParameterCount

    for layer in 0 .. shape.LayerCount - 1 do
        let inputs = shape.Widths[layer]
        let outputs = shape.Widths[layer + 1]
        let weights = numbers random (inputs * outputs) (2.0 / sqrt (float inputs))
        let biases = numbers random outputs 0.5
        Array.blit weights 0 parameters (shape.WeightOffset layer) weights.Length
        Array.blit biases 0 parameters (shape.BiasOffset layer) biases.Length

        if shape.HasNorm layer then
            let gains = numbers random outputs 1.0 |> Array.map (fun g -> 1.0f + g)
            Array.blit gains 0 parameters (shape.NormWeightOffset layer) outputs
            Array.blit (numbers random outputs 0.5) 0 parameters (shape.NormBiasOffset layer) outputs

    parameters

let shapeOf (widths: int list) hidden output = MlpShape(ReadOnlySpan(List.toArray widths), hidden, output)

/// The same with a layer norm in every hidden layer.
let normedShapeOf (widths: int list) hidden output epsilon =
    MlpShape(ReadOnlySpan(List.toArray widths), hidden, output, Nullable epsilon)

let activations =
    [ Activation.Identity
      Activation.Relu
      Activation.Tanh
      Activation.Mish
      Activation.Gelu
      Activation.Elu ]

let genWidth =
    Gen.frequency
        [ 4, Gen.choose (1, 40)
          2, Gen.elements [ 1; 16; 17; 23; 32; 48; 64 ]
          1, Gen.elements [ 256; 376 ] ]

let genActivation = Gen.elements activations

/// No layer norm, or the ε of PyTorch or Flax.
let genNorm = Gen.frequency [ 1, Gen.constant None; 1, Gen.map Some (Gen.elements [ 1e-5f; 1e-6f ]) ]

let shapeWith (widths: int list) hidden output norm =
    match norm with
    | Some epsilon -> normedShapeOf widths hidden output epsilon
    | None -> shapeOf widths hidden output
