/// The same mathematics in double precision, written for reading.
module Sdac.Kernels.Tests.Reference

open System
open Sdac.Kernels

let softplus x =
    if x > 30.0 then x
    elif x < -15.0 then exp x - 0.5 * exp (2.0 * x)
    else log (1.0 + exp x)

/// Φ(-a) for a >= 0: the power series near 0, the continued fraction beyond.
let private normalTail a =
    let density = exp (-0.5 * a * a) / sqrt (2.0 * Math.PI)

    if a < 3.0 then
        let terms = Seq.unfold (fun (term, n) -> Some(term, (term * a * a / (n + 2.0), n + 2.0))) (a, 1.0)
        0.5 - density * Seq.sum (Seq.take 60 terms)
    else
        density / List.foldBack (fun n rest -> a + n / rest) [ 1.0 .. 200.0 ] a

/// The normal distribution function, relative error 1e-12.
let normalBelow x = if x < 0.0 then normalTail -x else 1.0 - normalTail x

/// e^x - 1 without cancellation.
let expLessOne x = 2.0 * exp (0.5 * x) * sinh (0.5 * x)

let activate activation x =
    match activation with
    | Activation.Relu -> max x 0.0
    | Activation.Tanh -> tanh x
    | Activation.Mish -> x * tanh (softplus x)
    | Activation.Gelu -> x * normalBelow x
    | Activation.Elu -> if x > 0.0 then x else expLessOne x
    | _ -> x

/// y = activation(x W + b), layer after layer, for one row.
let forwardRow (shape: MlpShape) (parameters: float[]) (input: float[]) =
    let mutable x = input

    for layer in 0 .. shape.LayerCount - 1 do
        let inputs, outputs = shape.Widths[layer], shape.Widths[layer + 1]
        let w, b = shape.WeightOffset layer, shape.BiasOffset layer
        let activation = shape.ActivationOf layer

        x <-
            Array.init outputs (fun j ->
                let mutable sum = parameters[b + j]

                for k in 0 .. inputs - 1 do
                    sum <- sum + x[k] * parameters[w + k * outputs + j]

                activate activation sum)

    x

/// [rows, input width] to [rows, output width].
let forward (shape: MlpShape) (parameters: float[]) (inputs: float[]) =
    inputs |> Array.chunkBySize shape.InputWidth |> Array.collect (forwardRow shape parameters)

/// The derivative of f at x along coordinate i, by central differences.
let slope (f: float[] -> float) (x: float[]) i =
    let h = 1e-5
    let at d = f (Array.mapi (fun j v -> if j = i then v + d else v) x)
    (at h - at -h) / (2.0 * h)

/// Input rows written out: [shared row r / repeat | own row r].
let concatenate (shared: 'a[]) sharedWidth repeat (own: 'a[]) ownWidth rows =
    Array.concat
        [ for r in 0 .. rows - 1 do
              Array.sub shared (r / repeat * sharedWidth) sharedWidth
              Array.sub own (r * ownWidth) ownWidth ]

let toDouble (values: float32[]) = Array.map float values
