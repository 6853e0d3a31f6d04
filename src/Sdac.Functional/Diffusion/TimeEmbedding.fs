namespace Sdac.Functional

open System
open Sdac.Kernels

/// What a network is told of the diffusion time: the features of one number x, and small layers behind them. One case for each
/// published form.
[<RequireQualifiedAccess>]
type TimeEmbedding =
    /// sin and cos of x·10000^(-j/8), j = 0..7, all times ¼; 32, mish, 16 (DACER; SDAC's, whose own network has it built in).
    | Dacer
    /// sin and cos of x·10000^(-j/15), j = 0..15; 256, mish, 32 (DIPO, QVPO).
    | Dipo
    /// cos and sin of 2π·w_j·x, 32 trained w from N(0, 0.2²); 128, mish, 128 (QSM, IDQL).
    | Qsm
    /// sin and cos of x·10000^(-j/7), j = 0..7; 32, mish, 16 (DPPO).
    | Dppo
    /// The features of `Qsm`; 64, mish, 64, mish (flow-rl).
    | FlowRl
    /// sin and cos of x·10000^(-j/16), j = 0..15, all times 1/√32, and nothing behind them (the SDAC authors' DIPO).
    | Bare
    /// sin and cos of x·1000^(-j/63), j = 0..63, and nothing behind them (DQS).
    | Dqs

/// The features of a number.
[<RequireQualifiedAccess>]
type TimeFeatures =
    /// Scale times sin of x·f_j, then cos, f_j = Base^(-j/Span) for j = 0 .. Count-1.
    | Waves of Count: int * Base: float * Span: float * Scale: float
    /// cos of 2π·w_j·x, then sin; the `Count` numbers w_j are parameters.
    | Trained of Count: int

/// A time embedding as a network. Its parameters, flat: w of trained features, then the layers.
type TimeNetwork =
    {
        Features: TimeFeatures
        /// None: the features as they are
        Layers: MlpShape option
    }

    /// Numbers that come out.
    member n.Width =
        match n.Layers, n.Features with
        | Some layers, _ -> layers.OutputWidth
        | None, (TimeFeatures.Waves(count, _, _, _) | TimeFeatures.Trained count) -> 2 * count

    /// w_j.
    member n.FrequencyCount =
        match n.Features with
        | TimeFeatures.Trained count -> count
        | TimeFeatures.Waves _ -> 0

    member n.ParameterCount =
        n.FrequencyCount + (n.Layers |> Option.map _.ParameterCount |> Option.defaultValue 0)

[<RequireQualifiedAccess>]
module TimeNetwork =
    /// The network of an embedding.
    let create (embedding: TimeEmbedding) : TimeNetwork =
        let waves count scaleBase span scale = TimeFeatures.Waves(count, scaleBase, span, scale)

        let behind last features widths =
            let inputs =
                match features with
                | TimeFeatures.Waves(count, _, _, _)
                | TimeFeatures.Trained count -> 2 * count

            let shape (hidden: int list) outputs = HiddenLayers.shapeTo last inputs (HiddenLayers.mish hidden) outputs

            let layers =
                match List.rev widths with
                | [] -> None
                | output :: hidden -> Some(shape (List.rev hidden) output)

            { Features = features; Layers = layers }

        match embedding with
        | TimeEmbedding.Dacer -> behind Activation.Identity (waves 8 1e4 8.0 0.25) [ 32; 16 ]
        | TimeEmbedding.Dipo -> behind Activation.Identity (waves 16 1e4 15.0 1.0) [ 256; 32 ]
        | TimeEmbedding.Qsm -> behind Activation.Identity (TimeFeatures.Trained 32) [ 128; 128 ]
        | TimeEmbedding.Dppo -> behind Activation.Identity (waves 8 1e4 7.0 1.0) [ 32; 16 ]
        | TimeEmbedding.FlowRl -> behind Activation.Mish (TimeFeatures.Trained 32) [ 64; 64 ]
        | TimeEmbedding.Bare -> behind Activation.Identity (waves 16 1e4 16.0 (1.0 / sqrt 32.0)) []
        | TimeEmbedding.Dqs -> behind Activation.Identity (waves 64 1e3 63.0 1.0) []

    /// Names and places of the parameters in a flat vector, from `offset`.
    let layout (prefix: string) (offset: int) (n: TimeNetwork) : Slice list =
        [ if n.FrequencyCount > 0 then
              { Name = $"{prefix}.frequencies"; Offset = offset; Shape = [ n.FrequencyCount ] }

          match n.Layers with
          | Some shape -> yield! Mlp.layout $"{prefix}.layer" (offset + n.FrequencyCount) shape
          | None -> () ]

    /// Initial values: w from N(0, 0.2²), the layers as `initial` says.
    let init (initial: InitialWeights) (n: TimeNetwork) (key: Key) : float32[] =
        let struct (frequencyKey, layerKey) = Key.split key
        let frequencies = Array.zeroCreate<float32> n.FrequencyCount

        if frequencies.Length > 0 then
            Philox.Normal(frequencyKey.Philox, 0L, Span frequencies)

        let layers =
            match n.Layers with
            | Some shape -> InitialWeights.draw initial shape layerKey
            | None -> [||]

        Array.append (frequencies |> Array.map (fun w -> 0.2f * w)) layers

    let private part (n: TimeNetwork) (flat: Tensor) =
        struct (flat.narrow (0L, 0L, int64 n.FrequencyCount),
                flat.narrow (0L, int64 n.FrequencyCount, int64 (n.ParameterCount - n.FrequencyCount)))

    let private column (compute: Compute) (x: float[]) = Tensors.ofArray compute [ x.Length; 1 ] (Array.map float32 x)

    // 2π·w_j·x, [rows, Count].
    let private angles (compute: Compute) (frequencies: Tensor) (x: float[]) =
        num (2.0 * Math.PI) * (column compute x * frequencies.unsqueeze 0L)

    /// The features alone: [x.Length, 2·Count].
    let features (compute: Compute) (n: TimeNetwork) (flat: Tensor) (x: float[]) : Tensor =
        match n.Features with
        | TimeFeatures.Waves(count, scaleBase, span, scale) ->
            // In double: x may be large where f_j is not small.
            let values =
                [| for x in x do
                       let angle j = x * scaleBase ** (-float j / span)
                       yield! Array.init count (fun j -> float32 (scale * sin (angle j)))
                       yield! Array.init count (fun j -> float32 (scale * cos (angle j))) |]

            Tensors.ofArray compute [ x.Length; 2 * count ] values
        | TimeFeatures.Trained _ ->
            let struct (frequencies, _) = part n flat
            let angles = angles compute frequencies x
            Tensors.cat 1 [ angles.cos (); angles.sin () ]

    /// x -> the embedding, [x.Length, Width]. flat: the embedding's own parameters.
    let forward (compute: Compute) (n: TimeNetwork) (flat: Tensor) (x: float[]) : Tensor =
        let features = features compute n flat x

        match n.Layers with
        | None -> features
        | Some shape ->
            let struct (_, layers) = part n flat
            Mlp.forward compute shape layers features

    /// The embedding and the pullback to its own parameters: [rows, Width] -> [ParameterCount].
    let vjp
        (compute: Compute)
        (n: TimeNetwork)
        (flat: Tensor)
        (x: float[])
        : struct (Tensor * (Tensor -> Tensor) * IDisposable) =
        let struct (frequencies, layers) = part n flat
        let features = features compute n flat x

        // d cos(2πwx) = -sin(2πwx)·2πx·dw, d sin(2πwx) = cos(2πwx)·2πx·dw
        let toFrequencies (dFeatures: Tensor) =
            let angles, count = angles compute frequencies x, int64 n.FrequencyCount
            let dCos, dSin = dFeatures.narrow (1L, 0L, count), dFeatures.narrow (1L, count, count)
            let slope = dSin * angles.cos () - dCos * angles.sin ()
            (num (2.0 * Math.PI) * (slope * column compute x)).sum 0L

        match n.Layers with
        | Some shape ->
            let inner = Mlp.vjp compute shape layers features

            let pullback (d: Tensor) =
                if n.FrequencyCount = 0 then
                    inner.PullbackParameters d
                else
                    let struct (gradient, dFeatures) = inner.Pullback d
                    Tensors.cat 0 [ toFrequencies dFeatures; gradient ]

            struct (inner.Output, pullback, inner)
        | None ->
            let pullback (d: Tensor) = if n.FrequencyCount = 0 then Tensors.zeros compute [ 0 ] else toFrequencies d

            struct (features,
                    pullback,
                    { new IDisposable with
                        member _.Dispose() = () })
