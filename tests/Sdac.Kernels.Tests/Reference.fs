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

/// (x - mean)/√(variance + ε) over one row, population variance.
let normalise epsilon (x: float[]) =
    let mean = Array.average x
    let variance = x |> Array.averageBy (fun v -> (v - mean) ** 2.0)
    x |> Array.map (fun v -> (v - mean) / sqrt (variance + epsilon))

let private layerNorm (shape: MlpShape) layer (parameters: float[]) (z: float[]) =
    let g, c = shape.NormWeightOffset layer, shape.NormBiasOffset layer

    z
    |> normalise (float shape.LayerNormEpsilon.Value)
    |> Array.mapi (fun j v -> parameters[g + j] * v + parameters[c + j])

/// y = activation(x W + b), with layer norm between the two where the shape has it, layer after layer, for one row.
let forwardRow (shape: MlpShape) (parameters: float[]) (input: float[]) =
    let mutable x = input

    for layer in 0 .. shape.LayerCount - 1 do
        let inputs, outputs = shape.Widths[layer], shape.Widths[layer + 1]
        let w, b = shape.WeightOffset layer, shape.BiasOffset layer
        let activation = shape.ActivationOf layer

        let sums =
            Array.init outputs (fun j ->
                let mutable sum = parameters[b + j]

                for k in 0 .. inputs - 1 do
                    sum <- sum + x[k] * parameters[w + k * outputs + j]

                sum)

        let normed = if shape.HasNorm layer then layerNorm shape layer parameters sums else sums
        x <- Array.map (activate activation) normed

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

/// All gradients of the loss Σ dy·y for a network of two layers with gelu and layer norm between them, by the formulas.
let normGradients (shape: MlpShape) (p: float[]) (x: float[]) (dy: float[]) =
    let inputs, hidden, outputs = shape.Widths[0], shape.Widths[1], shape.Widths[2]
    let epsilon = float shape.LayerNormEpsilon.Value
    let dp, dx = Array.zeroCreate<float> p.Length, Array.zeroCreate<float> x.Length
    let add at value = dp[at] <- dp[at] + value

    let w0, b0, g, c =
        shape.WeightOffset 0, shape.BiasOffset 0, shape.NormWeightOffset 0, shape.NormBiasOffset 0

    let w1, b1 = shape.WeightOffset 1, shape.BiasOffset 1
    let density v = exp (-0.5 * v * v) / sqrt (2.0 * Math.PI)

    for r in 0 .. x.Length / inputs - 1 do
        let sums =
            Array.init hidden (fun j ->
                p[b0 + j] + Seq.sum (seq { for k in 0 .. inputs - 1 -> x[r * inputs + k] * p[w0 + k * hidden + j] }))

        let mean = Array.average sums
        let deviation = sqrt (Array.averageBy (fun v -> (v - mean) ** 2.0) sums + epsilon)
        let normalised = sums |> Array.map (fun v -> (v - mean) / deviation)
        let z = normalised |> Array.mapi (fun j v -> p[g + j] * v + p[c + j])
        let d k = dy[r * outputs + k]

        let dz =
            z
            |> Array.mapi (fun j v ->
                let upper = Seq.sum (seq { for k in 0 .. outputs - 1 -> d k * p[w1 + j * outputs + k] })
                upper * (normalBelow v + v * density v))

        let scaled = dz |> Array.mapi (fun j v -> v * p[g + j])
        let scaledMean = Array.average scaled
        let along = Array.average (Array.map2 (*) scaled normalised)
        let dSum = Array.map2 (fun v n -> (v - scaledMean - n * along) / deviation) scaled normalised

        for k in 0 .. outputs - 1 do
            add (b1 + k) (d k)

            for j in 0 .. hidden - 1 do
                add (w1 + j * outputs + k) (d k * activate Activation.Gelu z[j])

        for j in 0 .. hidden - 1 do
            add (g + j) (dz[j] * normalised[j])
            add (c + j) dz[j]
            add (b0 + j) dSum[j]

            for k in 0 .. inputs - 1 do
                add (w0 + k * hidden + j) (x[r * inputs + k] * dSum[j])
                dx[r * inputs + k] <- dx[r * inputs + k] + dSum[j] * p[w0 + k * hidden + j]

    dp, dx
