namespace Sdac.Sampling

open System
open System.Numerics
open Sdac.Functional

/// A part of a mixture: a normal distribution with independent coordinates.
type Component = { Weight: float; Mean: float[]; Deviation: float[] }

/// Mixtures of normal distributions: everything about them is known in closed form, under noise too.
[<RequireQualifiedAccess>]
module Mixture =
    /// The components as flat arrays, for arithmetic without indirection.
    type private Flat =
        {
            Count: int
            Dim: int
            /// ln(weight) - ln of the normal's normaliser
            Constants: float[]
            Means: float[]
            Precisions: float[]
        }

    let private flat (parts: Component[]) =
        { Count = parts.Length
          Dim = parts[0].Mean.Length
          Constants =
            parts
            |> Array.map (fun part ->
                log part.Weight - (part.Deviation |> Array.sumBy (fun d -> log d + 0.5 * log (2.0 * Math.PI))))
          Means = parts |> Array.collect _.Mean
          Precisions = parts |> Array.collect (fun part -> part.Deviation |> Array.map (fun d -> 1.0 / (d * d))) }

    // Components this far below the largest change no digit of a float32.
    [<Literal>]
    let private Negligible = 30.0

    /// ln of the i-th component's weighted density at values[start ..].
    let inline private logWeighted (f: Flat) i (values: float32[]) start =
        let mutable sum = 0.0

        for j in 0 .. f.Dim - 1 do
            let at = i * f.Dim + j
            let z = float values[start + j] - f.Means[at]
            sum <- sum + z * z * f.Precisions[at]

        f.Constants[i] - 0.5 * sum

    /// ln Σ w_i N(x; μ_i, σ_i²), normalised: [N, D] -> [N].
    let logDensity (parts: Component[]) : Tensor -> Tensor =
        let f = flat parts
        let vectors (values: float[]) = values |> Array.map (fun v -> Vector<float32>(float32 v))
        let constants, means = vectors f.Constants, vectors f.Means
        let halves = vectors (f.Precisions |> Array.map (fun p -> 0.5 * p))
        let negligible = Vector<float32>(float32 Negligible)

        // RSSM asks for this more often than for anything else.
        Rows.mapLanes (fun () ->
            let terms = Array.zeroCreate<Vector<float32>> f.Count

            fun point ->
                let mutable top = Vector<float32> Single.NegativeInfinity

                for i in 0 .. f.Count - 1 do
                    let mutable term = constants[i]

                    for j in 0 .. f.Dim - 1 do
                        let z = point[j] - means[i * f.Dim + j]
                        term <- term - z * z * halves[i * f.Dim + j]

                    terms[i] <- term
                    top <- Vector.Max(top, term)

                let mutable sum = Vector<float32>.Zero
                let cut = top - negligible

                for term in terms do
                    // true for NaN too, which must not be lost
                    if not (Vector.LessThanOrEqualAll(term, cut)) then
                        sum <- sum + Vector.Exp(term - top)

                top + Vector.Log sum)

    /// ∇ ln Σ w_i N(x; μ_i, σ_i²): [N, D] -> [N, D].
    let score (parts: Component[]) : Tensor -> Tensor =
        let f = flat parts

        // One pass: the sums are rescaled when a larger term comes.
        Rows.mapVector (fun values start result ->
            let mutable top = Double.NegativeInfinity
            let mutable sum = 0.0
            let gradient = Array.zeroCreate<float> f.Dim

            for i in 0 .. f.Count - 1 do
                let term = logWeighted f i values start

                if term > top - Negligible then
                    if term > top then
                        let shrink = exp (top - term)
                        sum <- sum * shrink

                        for j in 0 .. f.Dim - 1 do
                            gradient[j] <- gradient[j] * shrink

                        top <- term

                    let weight = exp (term - top)
                    sum <- sum + weight

                    for j in 0 .. f.Dim - 1 do
                        let at = i * f.Dim + j

                        gradient[j] <-
                            gradient[j] - weight * (float values[start + j] - f.Means[at]) * f.Precisions[at]

            for j in 0 .. f.Dim - 1 do
                result[start + j] <- float32 (gradient[j] / sum))

    /// Independent samples [n, D].
    let sample (parts: Component[]) (n: int) (key: Key) : Tensor =
        let dim = parts[0].Mean.Length
        let struct (choiceKey, noiseKey) = Key.split key
        let u = Key.uniform Compute.cpu [ n ] choiceKey |> Tensors.toArray
        let z = Key.normal Compute.cpu [ n; dim ] noiseKey |> Tensors.toArray
        let total = parts |> Array.sumBy _.Weight
        let sums = parts |> Array.map (fun p -> p.Weight / total) |> Array.scan (+) 0.0 |> Array.tail

        let choose (u: float) =
            match sums |> Array.tryFindIndex (fun s -> u < s) with
            | Some i -> i
            | None -> parts.Length - 1

        for row in 0 .. n - 1 do
            let part = parts[choose (float u[row])]

            for j in 0 .. dim - 1 do
                let i = row * dim + j
                z[i] <- float32 (part.Mean[j] + part.Deviation[j] * float z[i])

        Tensors.ofArray Compute.cpu [ n; dim ] z

    /// The mixture of x/halfWidth under forward noise √ᾱ·x + √(1-ᾱ)·z.
    let noised (halfWidth: float) (alphaBar: float) (parts: Component[]) : Component[] =
        let scale = sqrt alphaBar / halfWidth

        parts
        |> Array.map (fun part ->
            { part with
                Mean = part.Mean |> Array.map (fun m -> scale * m)
                Deviation = part.Deviation |> Array.map (fun d -> sqrt (scale * scale * d * d + 1.0 - alphaBar)) })

    /// The mixture as a target. Weights are normalised. Raises ArgumentException on an empty mixture, weights or
    /// deviations that are not positive, or unequal dimensions.
    let target (name: string) (halfWidth: float) (parts: Component list) : Target =
        match parts with
        | [] -> invalidArg (nameof parts) $"mixture '{name}' has no components; it needs at least one"
        | first :: _ ->
            for i, part in List.indexed parts do
                if part.Mean.Length <> first.Mean.Length || part.Deviation.Length <> first.Mean.Length then
                    invalidArg (nameof parts) $"component {i} of mixture '{name}' differs in dimension from the first"

                let positive value = value > 0.0 && Double.IsFinite value

                if not (positive part.Weight && Array.forall positive part.Deviation) then
                    invalidArg
                        (nameof parts)
                        $"component {i} of mixture '{name}' has weight {string part.Weight} and deviations {List.ofArray part.Deviation}; all must be positive numbers"

        let total = parts |> List.sumBy _.Weight
        let parts = [| for part in parts -> { part with Weight = part.Weight / total } |]

        { Target.create name parts[0].Mean.Length halfWidth (logDensity parts) with
            Gradient = score parts
            LogNormaliser = Some 0.0
            Sample = Some(sample parts)
            NoisedScore = Some(fun alphaBar -> score (noised halfWidth alphaBar parts))
            Modes =
                [ for part in parts ->
                      { Centre = part.Mean; Weight = part.Weight; Radius = 3.0 * Array.max part.Deviation } ] }
