namespace Sdac.Functional

open System
open Sdac.Kernels

/// How the weights of a fresh network are drawn. The biases start at zero but where it says otherwise.
[<RequireQualifiedAccess>]
type InitialWeights =
    /// Uniform with variance 1/fan-in.
    | LecunUniform
    /// Weights and biases uniform on ±1/√fan-in, as PyTorch's linear layers begin.
    | TorchUniform
    /// Normal with deviation 1/√fan-in, cut at two of them, as Haiku's linear layers begin.
    | CutNormal
    /// Normal with deviation ½/√fan-in, as DIPO's and QVPO's authors begin.
    | HalfNormal
    /// Uniform with variance 2/(fan-in + fan-out) (Glorot & Bengio 2010), as Flax's codes begin.
    | XavierUniform
    /// Orthogonal of gain √2 in every layer.
    | Orthogonal

[<RequireQualifiedAccess>]
module InitialWeights =
    let private fillUniform (bound: float32) (key: Key) (values: Span<float32>) =
        Philox.Uniform(key.Philox, 0L, values)

        for j in 0 .. values.Length - 1 do
            values[j] <- bound * (2.0f * values[j] - 1.0f)

    /// Normal numbers of this deviation; those beyond two deviations are drawn again, all of them from further streams.
    let private fillCutNormal (deviation: float32) (key: Key) (values: Span<float32>) =
        let rec drawn attempt (index: int[]) (into: float32[]) =
            if index.Length > 0 then
                let fresh = Array.zeroCreate<float32> index.Length
                Philox.Normal((Key.foldIn attempt key).Philox, 0L, Span fresh)
                Array.iteri (fun i at -> into[at] <- fresh[i]) index
                drawn (attempt + 1L) (index |> Array.filter (fun at -> abs into[at] > 2.0f)) into

        let numbers = Array.zeroCreate<float32> values.Length
        drawn 0L [| 0 .. numbers.Length - 1 |] numbers

        for j in 0 .. values.Length - 1 do
            values[j] <- deviation * numbers[j]

    /// So many orthonormal vectors of this length, at least as long as many, uniformly distributed: Gram and Schmidt's of normal
    /// numbers, each made orthogonal twice against rounding.
    let private orthonormal (count: int) (length: int) (key: Key) : float[][] =
        let numbers = Array.zeroCreate<float32>(count * length)
        Philox.Normal(key.Philox, 0L, Span numbers)
        let vectors = Array.init count (fun i -> Array.init length (fun j -> float numbers[i * length + j]))
        let dot (a: float[]) (b: float[]) = Array.fold2 (fun sum x y -> sum + x * y) 0.0 a b

        let without (other: float[]) (vector: float[]) =
            let share = dot other vector
            Array.map2 (fun x y -> x - share * y) vector other

        for i in 0 .. count - 1 do
            let before = Array.append vectors[.. i - 1] vectors[.. i - 1]
            let rest = Array.fold (fun vector other -> without other vector) vectors[i] before
            let length = sqrt (dot rest rest)
            vectors[i] <- Array.map (fun x -> x / length) rest

        vectors

    /// Orthogonal weights of a layer: its columns, or its rows where they are fewer, are orthogonal and of the gain in length.
    let private fillOrthogonal (gain: float) (inputs: int) (outputs: int) (key: Key) (values: Span<float32>) =
        let vectors = orthonormal (min inputs outputs) (max inputs outputs) key

        for x in 0 .. inputs - 1 do
            for y in 0 .. outputs - 1 do
                let entry = if inputs >= outputs then vectors[y][x] else vectors[x][y]
                values[x * outputs + y] <- float32 (gain * entry)

    /// Initial values: weights and biases as `initial` says, layer norms with gain one and offset zero; as a flat vector on
    /// the CPU.
    let draw (initial: InitialWeights) (shape: MlpShape) (key: Key) : float32[] =
        let values = Array.zeroCreate<float32> shape.ParameterCount

        for i in 0 .. shape.LayerCount - 1 do
            let fanIn, fanOut, key = shape.Widths[i], shape.Widths[i + 1], Key.foldIn i key
            let weights = Span<float32>(values, shape.WeightOffset i, fanIn * fanOut)

            match initial with
            | InitialWeights.LecunUniform -> fillUniform (sqrt (3.0f / float32 fanIn)) key weights
            | InitialWeights.TorchUniform ->
                let bound = 1.0f / sqrt (float32 fanIn)
                let struct (weightKey, biasKey) = Key.split key
                fillUniform bound weightKey weights
                fillUniform bound biasKey (Span<float32>(values, shape.BiasOffset i, fanOut))
            | InitialWeights.CutNormal -> fillCutNormal (1.0f / sqrt (float32 fanIn)) key weights
            | InitialWeights.XavierUniform -> fillUniform (sqrt (6.0f / float32 (fanIn + fanOut))) key weights
            | InitialWeights.Orthogonal -> fillOrthogonal (sqrt 2.0) fanIn fanOut key weights
            | InitialWeights.HalfNormal ->
                Philox.Normal(key.Philox, 0L, weights)

                for j in 0 .. weights.Length - 1 do
                    weights[j] <- 0.5f / sqrt (float32 fanIn) * weights[j]

            if shape.HasNorm i then
                Span<float32>(values, shape.NormWeightOffset i, fanOut).Fill 1.0f

        values


    /// Initial values with orthogonal weights: the columns of a layer's weight, or its rows where they are fewer, are orthogonal
    /// and of the layer's gain in length (Saxe et al. 2014, arXiv 1312.6120). Biases are zero, layer norms begin with gain one.
    let orthogonal (gains: float list) (shape: MlpShape) (key: Key) : float32[] =
        if gains.Length <> shape.LayerCount then
            invalidArg (nameof gains) $"{gains.Length} gains were given for {shape.LayerCount} layers"

        let values = Array.zeroCreate<float32> shape.ParameterCount

        for i, gain in List.indexed gains do
            let inputs, outputs = shape.Widths[i], shape.Widths[i + 1]
            let weights = Span<float32>(values, shape.WeightOffset i, inputs * outputs)
            fillOrthogonal gain inputs outputs (Key.foldIn i key) weights

            if shape.HasNorm i then
                Span<float32>(values, shape.NormWeightOffset i, outputs).Fill 1.0f

        values
