namespace Sdac.Functional

open System
open Sdac.Kernels
open Sdac.LibTorch
open TorchSharp

/// A named part of a flat parameter vector.
type Slice = { Name: string; Offset: int; Shape: int list }

/// The parameters of a network: one flat float32 vector and the names of its parts. Immutable by convention: no
/// function of this library writes into it.
[<NoComparison; ReferenceEquality; StructuredFormatDisplay("{Display}")>]
type Params =
    { Layout: Slice list
      Flat: Tensor }

    /// One line for a session: how many numbers, and the shapes of the parts.
    member params'.Display =
        let shape (slice: Slice) = $"""{slice.Name} {String.Join("x", slice.Shape)}"""
        let parts = params'.Layout |> List.map shape |> String.concat ", "
        $"%d{params'.Layout |> List.sumBy (fun slice -> List.fold (*) 1 slice.Shape)} parameters: {parts}"

[<RequireQualifiedAccess>]
module Params =
    /// The part with the given name, as a view.
    let slice (name: string) (p: Params) : Tensor =
        match p.Layout |> List.tryFind (fun s -> s.Name = name) with
        | Some s -> p.Flat.narrow (0L, int64 s.Offset, int64 (List.fold (*) 1 s.Shape)) |> Tensors.view s.Shape
        | None ->
            let names = p.Layout |> List.map _.Name |> String.concat ", "
            invalidArg (nameof name) $"no parameters are called '{name}'; there are {names}"

    let withFlat (flat: Tensor) (p: Params) = { p with Flat = flat }
    let copy (p: Params) = { p with Flat = p.Flat.clone () }

/// The output of a network together with the pullback that turns a gradient with respect to the output into
/// gradients with respect to the parameters (flat) and the input. Dispose it to free what the pullback kept.
[<Sealed>]
type Vjp<'input>
    (
        output: Tensor,
        pullback: Tensor -> struct (Tensor * 'input),
        parameterPullback: Tensor -> Tensor,
        inputPullback: Tensor -> 'input,
        release: unit -> unit
    ) =
    member _.Output = output
    member _.Pullback(outputGradient: Tensor) = pullback outputGradient
    /// The parameters' gradient alone: the input's is not computed.
    member _.PullbackParameters(outputGradient: Tensor) = parameterPullback outputGradient
    /// The input's gradient alone: the parameters' is not computed.
    member _.PullbackInput(outputGradient: Tensor) = inputPullback outputGradient

    interface IDisposable with
        member _.Dispose() = release ()

/// The hidden layers of a network: their widths, what follows each linear map, and the ε of a layer norm between the two,
/// if there is one (PyTorch's is 1e-5, Flax's 1e-6).
type HiddenLayers = { Widths: int list; Activation: Activation; LayerNorm: float option }

[<RequireQualifiedAccess>]
module HiddenLayers =
    /// The published experiments' layers: mish, no layer norm.
    let mish (widths: int list) = { Widths = widths; Activation = Activation.Mish; LayerNorm = None }

    /// ε as the kernels take it.
    let epsilon (hidden: HiddenLayers) : Nullable<float32> = hidden.LayerNorm |> Option.map float32 |> Option.toNullable

    /// The network inputs -> hidden layers -> outputs, with an activation behind the last layer.
    let shapeTo (output: Activation) (inputs: int) (hidden: HiddenLayers) (outputs: int) : MlpShape =
        let widths = [| inputs; yield! hidden.Widths; outputs |]
        MlpShape(ReadOnlySpan<int> widths, hidden.Activation, output, epsilon hidden)

    /// The same with a linear last layer.
    let shape: int -> HiddenLayers -> int -> MlpShape = shapeTo Activation.Identity

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

/// A fully connected network: hidden layers with one activation, an identity output. y = x W + b, W is [in, out]; with layer
/// norm, hidden layers are activation(LN(x W + b)).
[<RequireQualifiedAccess>]
module Mlp =
    /// Names and places of the weights, biases and norms in the flat vector.
    let layout (prefix: string) (offset: int) (shape: MlpShape) =
        [ for i in 0 .. shape.LayerCount - 1 do
              { Name = $"{prefix}{i}.weight"
                Offset = offset + shape.WeightOffset i
                Shape = [ shape.Widths[i]; shape.Widths[i + 1] ] }

              { Name = $"{prefix}{i}.bias"
                Offset = offset + shape.BiasOffset i
                Shape = [ shape.Widths[i + 1] ] }

              if shape.HasNorm i then
                  { Name = $"{prefix}{i}.norm.weight"
                    Offset = offset + shape.NormWeightOffset i
                    Shape = [ shape.Widths[i + 1] ] }

                  { Name = $"{prefix}{i}.norm.bias"
                    Offset = offset + shape.NormBiasOffset i
                    Shape = [ shape.Widths[i + 1] ] } ]

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
    let initWith (initial: InitialWeights) (shape: MlpShape) (key: Key) : float32[] =
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

    /// `initWith` LeCun's uniform weights.
    let init: MlpShape -> Key -> float32[] = initWith InitialWeights.LecunUniform

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

    /// A network's parameters with the names of its parts. values: [ParameterCount].
    let parameters (compute: Compute) (shape: MlpShape) (values: float32[]) : Params =
        { Layout = layout "layer" 0 shape; Flat = Tensors.ofArray compute [ shape.ParameterCount ] values }

    // Overwrites what it is given: the fresh product of a layer.
    let private activate (activation: Activation) (x: Tensor) : Tensor =
        match activation with
        | Activation.Relu -> x.relu_ ()
        | Activation.Tanh -> x.tanh_ ()
        | Activation.Mish -> Mish.Apply x
        | Activation.Gelu -> x.gelu ()
        | Activation.Elu -> x.elu_ 1.0
        | _ -> x

    /// The activation of every entry, in libtorch.
    let activated (activation: Activation) (x: Tensor) : Tensor = activate activation (x.clone ())

    /// A layer in libtorch: y = activation(norm(x·Weight + Bias)).
    [<NoComparison; ReferenceEquality>]
    type private Layer = { Weight: Tensor; Bias: Tensor; Behind: Tensor -> Tensor }

    /// All layers, their parameters as views of the flat vector: one cut, whose backward pass is one operation as well.
    let private layers (shape: MlpShape) (flat: Tensor) : Layer[] =
        let parts =
            flat.split
                [| for i in 0 .. shape.LayerCount - 1 do
                       let outputs = int64 shape.Widths[i + 1]
                       int64 shape.Widths[i] * outputs
                       outputs

                       if shape.HasNorm i then
                           outputs
                           outputs |]

        let partsOfLayer = if shape.LayerNormEpsilon.HasValue then 4 else 2

        Array.init shape.LayerCount (fun i ->
            let part n = parts[i * partsOfLayer + n]
            let activate = activate (shape.ActivationOf i)

            { Weight = part 0 |> Tensors.view [ shape.Widths[i]; shape.Widths[i + 1] ]
              Bias = part 1
              Behind =
                if shape.HasNorm i then
                    let columns, epsilon = [| int64 shape.Widths[i + 1] |], float shape.LayerNormEpsilon.Value
                    fun sums -> torch.nn.functional.layer_norm (sums, columns, part 2, part 3, epsilon) |> activate
                else
                    activate })

    /// Everything behind the products of the first layer, in libtorch. first: [rows, widths[1]], its products.
    let private behindFirst (layers: Layer[]) (first: Tensor) : Tensor =
        let mutable h = layers[0].Behind first

        for i in 1 .. layers.Length - 1 do
            h <- layers[i].Bias.addmm(h, layers[i].Weight) |> layers[i].Behind

        h

    /// The straightforward forward pass in libtorch. x: [rows, in] -> [rows, out].
    let private libtorchForward (shape: MlpShape) (flat: Tensor) (x: Tensor) : Tensor =
        let layers = layers shape flat
        behindFirst layers (layers[0].Bias.addmm(x, layers[0].Weight))

    /// The first layer's products of rows that share leading inputs in groups, each shared one computed once.
    /// own: [rows, O] with its rows `w` of the weight; shared: [rows / repeat, 1, H] -> [rows, H].
    let private addShared (w: Tensor) (shared: Tensor) (own: Tensor) : Tensor =
        let products = own.mm w
        (products.view (shared.size 0, -1L, shared.size 2)).add_ shared |> ignore
        products

    /// The forward pass in libtorch of rows that share their leading inputs in groups (see `forwardShared`).
    let private libtorchShared (shape: MlpShape) (flat: Tensor) (shared: Tensor) (own: Tensor) : Tensor =
        let layers = layers shape flat
        let w = layers[0].Weight
        let common, rest = shared.size 1, own.size 1
        let start = layers[0].Bias.addmm(shared, w.narrow (0L, 0L, common))
        own |> addShared (w.narrow (0L, common, rest)) (start.unsqueeze 1L) |> behindFirst layers

    /// A network for many passes in libtorch over rows [shared | own | late], where `shared` is common to groups of rows and
    /// `late` is one of few rows common to all: what depends on those alone is computed once, here.
    /// shared: [G, S], late: [L, T]; the result maps l and own [rows, O] to the output [rows, out].
    let passes
        (shape: MlpShape)
        (flat: Tensor)
        (shared: Tensor)
        (ownWidth: int)
        (late: Tensor)
        : int -> Tensor -> Tensor =
        let layers = layers shape flat
        let w = layers[0].Weight
        let s, o, t = shared.size 1, int64 ownWidth, late.size 1
        let groups = (layers[0].Bias.addmm(shared, w.narrow (0L, 0L, s))).unsqueeze 1L
        let rows = late.mm(w.narrow (0L, s + o, t)).view(late.size 0, 1L, 1L, -1L)
        let starts = (groups.add rows).unbind 0
        let ownWeight = w.narrow (0L, s, o)
        fun l own -> own |> addShared ownWeight starts[l] |> behindFirst layers

    let private groupSize (shared: Tensor) (own: Tensor) =
        let groups, rows = Tensors.size 0 shared, Tensors.size 0 own

        if groups = 0 || rows % groups <> 0 then
            invalidArg (nameof own) $"{rows} rows cannot share {groups} leading rows evenly"

        rows / groups

    /// Forward pass of rows that share leading inputs in groups: input row r is [shared row (r / repeat) | own row r].
    /// shared: [rows/repeat, S], own: [rows, O], S + O = in; the result is [rows, out]. The shared product is
    /// computed once per group.
    let forwardShared (compute: Compute) (shape: MlpShape) (flat: Tensor) (shared: Tensor) (own: Tensor) : Tensor =
        let repeat = groupSize shared own

        if compute.Kernels then
            let shared, own = shared.contiguous (), own.contiguous ()
            let rows = Tensors.size 0 own
            let output = Tensors.empty [ rows; shape.OutputWidth ]

            Mlp.Forward(
                shape,
                Tensors.span flat,
                Tensors.span shared,
                repeat,
                Tensors.span own,
                rows,
                Tensors.span output
            )

            Tensors.keepAlive [ flat; shared; own ]
            output
        else
            libtorchShared shape flat shared own

    /// The smaller of two networks' outputs for such rows, in one pass over them: [rows, out].
    let forwardLeast
        (compute: Compute)
        (shape: MlpShape)
        (first: Tensor)
        (second: Tensor)
        (shared: Tensor)
        (own: Tensor)
        : Tensor =
        if compute.Kernels then
            let repeat = groupSize shared own
            let shared, own = shared.contiguous (), own.contiguous ()
            let rows = Tensors.size 0 own
            let output = Tensors.empty [ rows; shape.OutputWidth ]

            Mlp.ForwardLeast(
                shape,
                Tensors.span first,
                Tensors.span second,
                Tensors.span shared,
                repeat,
                Tensors.span own,
                rows,
                Tensors.span output
            )

            Tensors.keepAlive [ first; second; shared; own ]
            output
        else
            (forwardShared compute shape first shared own).minimum(forwardShared compute shape second shared own)

    /// x: [rows, in] -> [rows, out].
    let forward (compute: Compute) (shape: MlpShape) (flat: Tensor) (x: Tensor) : Tensor =
        Tensors.check "network input" [ -1; shape.InputWidth ] x

        if compute.Kernels then
            let x = x.contiguous ()
            let rows = Tensors.size 0 x
            let output = Tensors.empty [ rows; shape.OutputWidth ]

            Mlp.Forward(
                shape,
                Tensors.span flat,
                ReadOnlySpan<float32>.Empty,
                1,
                Tensors.span x,
                rows,
                Tensors.span output
            )

            Tensors.keepAlive [ flat; x ]
            output
        else
            libtorchForward shape flat x

    let private kernelVjp (shape: MlpShape) (flat: Tensor) (x: Tensor) =
        let x = x.contiguous ()
        let rows = Tensors.size 0 x
        let output = Tensors.empty [ rows; shape.OutputWidth ]

        let tape =
            Mlp.ForwardTape(
                shape,
                Tensors.span flat,
                ReadOnlySpan<float32>.Empty,
                1,
                Tensors.span x,
                rows,
                Tensors.span output
            )

        Tensors.keepAlive [ x ]

        let parameterGradient (outputGradient: Tensor) (dx: Tensor option) =
            let dy = outputGradient.contiguous ()
            let gradient = Tensors.empty [ shape.ParameterCount ]

            let dxSpan =
                match dx with
                | Some wanted -> Tensors.span wanted
                | None -> Span<float32>.Empty

            Mlp.Backward(shape, Tensors.span flat, tape, Tensors.span dy, Tensors.span gradient, dxSpan)
            Tensors.keepAlive (flat :: dy :: Option.toList dx)
            gradient

        let pullback (outputGradient: Tensor) =
            let dx = Tensors.empty [ rows; shape.InputWidth ]
            struct (parameterGradient outputGradient (Some dx), dx)

        let inputGradient (outputGradient: Tensor) =
            let dy = outputGradient.contiguous ()
            let dx = Tensors.empty [ rows; shape.InputWidth ]
            Mlp.Backward(shape, Tensors.span flat, tape, Tensors.span dy, Span<float32>.Empty, Tensors.span dx)
            Tensors.keepAlive [ flat; dy; dx ]
            dx

        new Vjp<Tensor>(output, pullback, (fun dy -> parameterGradient dy None), inputGradient, tape.Dispose)

    let private libtorchVjp (shape: MlpShape) (flat: Tensor) (x: Tensor) =
        let p = flat.detach().requires_grad_()
        let x = x.detach().requires_grad_()
        let y = libtorchForward shape p x

        let gradients (inputs: Tensor[]) (outputGradient: Tensor) =
            Gradient.Of("the network's output", y, inputs, outputGradient.reshape y.shape, true)

        let pullback (outputGradient: Tensor) =
            let found = gradients [| p; x |] outputGradient
            struct (found[0], found[1])

        let only (input: Tensor) dy = (gradients [| input |] dy)[0]
        new Vjp<Tensor>(y.detach (), pullback, only p, only x, ignore)

    /// The outputs of rows that share leading inputs in groups (see `forwardShared`), and each row's gradient of their sum with
    /// respect to its own inputs, [rows, O]: neither the parameters' gradient nor the shared inputs' is computed.
    let withSlopes
        (compute: Compute)
        (shape: MlpShape)
        (flat: Tensor)
        (shared: Tensor)
        (own: Tensor)
        : struct (Tensor * Tensor) =
        let repeat = groupSize shared own

        if compute.Kernels then
            let shared, own = shared.contiguous (), own.contiguous ()
            let rows = Tensors.size 0 own
            let output, slope = Tensors.empty [ rows; shape.OutputWidth ], torch.empty_like own

            Mlp.ForwardSlope(
                shape,
                Tensors.span flat,
                Tensors.span shared,
                repeat,
                Tensors.span own,
                rows,
                Tensors.span output,
                Tensors.span slope
            )

            Tensors.keepAlive [ flat; shared; own; slope ]
            struct (output, slope)
        else
            let own = own.detach().requires_grad_()
            let y = libtorchShared shape (flat.detach ()) (shared.detach ()) own
            let slopes = Gradient.Of("the network's output", y, [| own |], torch.ones_like y, true)
            struct (y.detach (), slopes[0])

    /// Output and pullback. x: [rows, in]; the pullback gives the gradient of the flat parameters and of x.
    let vjp (compute: Compute) (shape: MlpShape) (flat: Tensor) (x: Tensor) : Vjp<Tensor> =
        Tensors.check "network input" [ -1; shape.InputWidth ] x
        if compute.Kernels then kernelVjp shape flat x else libtorchVjp shape flat x

/// Q(s, a): [obs | action] -> hidden layers -> 1.
type QNetwork = { Shape: MlpShape; ObsDim: int; ActionDim: int }

[<RequireQualifiedAccess>]
module QNetwork =
    let createWith (obsDim: int) (actionDim: int) (hidden: HiddenLayers) =
        { Shape = HiddenLayers.shape (obsDim + actionDim) hidden 1; ObsDim = obsDim; ActionDim = actionDim }

    /// With mish and no layer norm.
    let create (obsDim: int) (actionDim: int) (hidden: int list) =
        createWith obsDim actionDim (HiddenLayers.mish hidden)

    let initWith (initial: InitialWeights) (compute: Compute) (net: QNetwork) (key: Key) : Params =
        Mlp.parameters compute net.Shape (Mlp.initWith initial net.Shape key)

    let init: Compute -> QNetwork -> Key -> Params = initWith InitialWeights.LecunUniform

    /// obs: [B, O], action: [B, A] -> [B].
    let forward (compute: Compute) (net: QNetwork) (p: Params) (obs: Tensor) (action: Tensor) : Tensor =
        Mlp.forwardShared compute net.Shape p.Flat obs action |> Tensors.view [ Tensors.size 0 action ]

    let private many (net: QNetwork) (value: Tensor -> Tensor) (obs: Tensor) (actions: Tensor) =
        Tensors.check "actions" [ Tensors.size 0 obs; -1; net.ActionDim ] actions
        let batch, n = Tensors.size 0 actions, Tensors.size 1 actions

        actions |> Tensors.reshape [ batch * n; net.ActionDim ] |> value |> Tensors.view [ batch; n ]

    /// Several actions per state. obs: [B, O], actions: [B, N, A] -> [B, N].
    let forwardMany (compute: Compute) (net: QNetwork) (p: Params) (obs: Tensor) (actions: Tensor) : Tensor =
        many net (Mlp.forwardShared compute net.Shape p.Flat obs) obs actions

    /// The smaller of two critics' values, both in one pass. obs: [B, O], actions: [B, N, A] -> [B, N].
    let least (compute: Compute) (net: QNetwork) (q1: Params) (q2: Params) (obs: Tensor) (actions: Tensor) : Tensor =
        many net (Mlp.forwardLeast compute net.Shape q1.Flat q2.Flat obs) obs actions

    /// Values of several actions per state and each one's gradient with respect to its action. obs: [B, O], actions: [B, N, A]
    /// -> [B, N] and [B, N, A].
    let withSlopes
        (compute: Compute)
        (net: QNetwork)
        (p: Params)
        (obs: Tensor)
        (actions: Tensor)
        : struct (Tensor * Tensor) =
        Tensors.check "actions" [ Tensors.size 0 obs; -1; net.ActionDim ] actions
        let batch, n = Tensors.size 0 actions, Tensors.size 1 actions
        let rows = Tensors.reshape [ batch * n; net.ActionDim ] actions
        let struct (values, slopes) = Mlp.withSlopes compute net.Shape p.Flat obs rows
        struct (Tensors.view [ batch; n ] values, Tensors.view [ batch; n; net.ActionDim ] slopes)

    /// Values [B] and the pullback: dQ [B] -> gradient of the parameters, and of the action [B, A].
    let vjp (compute: Compute) (net: QNetwork) (p: Params) (obs: Tensor) (action: Tensor) : Vjp<Tensor> =
        let inner = Mlp.vjp compute net.Shape p.Flat (Tensors.cat 1 [ obs; action ])
        let batch = Tensors.size 0 action

        let pullback (dq: Tensor) =
            let struct (gradient, dx) = inner.Pullback(Tensors.reshape [ batch; 1 ] dq)
            struct (gradient, dx.narrow (1L, int64 net.ObsDim, int64 net.ActionDim))

        let column = Tensors.reshape [ batch; 1 ]
        let parameters = column >> inner.PullbackParameters

        let action (dq: Tensor) = (inner.PullbackInput(column dq)).narrow(1L, int64 net.ObsDim, int64 net.ActionDim)

        let output = Tensors.view [ batch ] inner.Output
        new Vjp<Tensor>(output, pullback, parameters, action, (inner :> IDisposable).Dispose)

/// The noise network ε_θ(s, a_t, t): a time network turns the sinusoidal encoding of t into 16 features (16 -> 32 ->
/// mish -> 16); [obs | a_t | time features] -> hidden layers (mish) -> action-sized noise. The activation of both can be
/// another, and the second one's hidden layers can have a layer norm.
type NoiseNetwork = { Shape: NoiseNetworkShape }

[<RequireQualifiedAccess>]
module NoiseNetwork =
    let createWith (obsDim: int) (actionDim: int) (timeDim: int) (timeHidden: int) (hidden: HiddenLayers) =
        let widths = List.toArray hidden.Widths
        let epsilon = HiddenLayers.epsilon hidden

        { Shape =
            NoiseNetworkShape(
                obsDim,
                actionDim,
                timeDim,
                timeHidden,
                ReadOnlySpan<int> widths,
                hidden.Activation,
                epsilon
            ) }

    /// With mish and no layer norm.
    let create (obsDim: int) (actionDim: int) (timeDim: int) (timeHidden: int) (hidden: int list) =
        createWith obsDim actionDim timeDim timeHidden (HiddenLayers.mish hidden)

    let initWith (initial: InitialWeights) (compute: Compute) (net: NoiseNetwork) (key: Key) : Params =
        let struct (timeKey, mainKey) = Key.split key

        let values =
            Array.append (Mlp.initWith initial net.Shape.Time timeKey) (Mlp.initWith initial net.Shape.Main mainKey)

        { Layout = Mlp.layout "time" 0 net.Shape.Time @ Mlp.layout "layer" net.Shape.Time.ParameterCount net.Shape.Main
          Flat = Tensors.ofArray compute [ net.Shape.ParameterCount ] values }

    let init: Compute -> NoiseNetwork -> Key -> Params = initWith InitialWeights.LecunUniform

    /// `init` with the first layer's weights of obs and a_t multiplied by a factor. Above 1, the untrained network already bends
    /// within a short stretch of its input, and detail of that size is learnt in far fewer updates.
    let initSharper (compute: Compute) (net: NoiseNetwork) (factor: float) (key: Key) : Params =
        let p = init compute net key
        let inputs = int64 (net.Shape.ObsDim + net.Shape.ActionDim)
        let first = (Params.slice "layer0.weight" p).narrow(0L, 0L, inputs)
        first.mul_ (Scalars.ofFloat factor) |> ignore
        p

    let private parts (net: NoiseNetwork) (p: Params) =
        let timeCount, mainCount = int64 net.Shape.Time.ParameterCount, int64 net.Shape.Main.ParameterCount
        struct (p.Flat.narrow (0L, 0L, timeCount), p.Flat.narrow (0L, timeCount, mainCount))

    /// Sinusoidal features of timesteps: [n] -> [n, timeDim]; (1/√dim)·[sin(t·f_i) | cos(t·f_i)], f_i = 10000^(-2i/dim).
    let encodeTime (compute: Compute) (timeDim: int) (t: int[]) : Tensor =
        let encoded = Tensors.empty [ t.Length; timeDim ]
        TimeEncoding.Encode(ReadOnlySpan<float32>(Array.map float32 t), timeDim, Tensors.span encoded)
        Tensors.place compute encoded

    let private input (obs: Tensor) (noisy: Tensor) (time: Tensor) = Tensors.cat 1 [ obs; noisy; time ]

    /// obs: [B, O], noisy action a_t: [B, A], t: [B] -> predicted noise [B, A].
    let forward (compute: Compute) (net: NoiseNetwork) (p: Params) (obs: Tensor) (noisy: Tensor) (t: int[]) : Tensor =
        let struct (timeFlat, mainFlat) = parts net p

        let time = Mlp.forward compute net.Shape.Time timeFlat (encodeTime compute net.Shape.Time.InputWidth t)

        Mlp.forward compute net.Shape.Main mainFlat (input obs noisy time)

    /// Predictions along a reverse chain in libtorch: what depends on the state alone and on t alone is computed once, here.
    /// obs: [B, O]; the result maps t and noisy actions [B·P, A], P in a row for each state, to predicted noise [B·P, A].
    let along
        (compute: Compute)
        (net: NoiseNetwork)
        (p: Params)
        (timesteps: int)
        (obs: Tensor)
        : int -> Tensor -> Tensor =
        let struct (timeFlat, mainFlat) = parts net p
        let encoded = encodeTime compute net.Shape.Time.InputWidth [| 0 .. timesteps - 1 |]
        let time = Mlp.forward compute net.Shape.Time timeFlat encoded
        Mlp.passes net.Shape.Main mainFlat obs net.Shape.ActionDim time

    /// The same by our kernels, where `compute` has them.
    let alongShared
        (compute: Compute)
        (net: NoiseNetwork)
        (p: Params)
        (timesteps: int)
        (obs: Tensor)
        : int -> Tensor -> Tensor =
        if not compute.Kernels then
            along compute net p timesteps obs
        else
            let struct (timeFlat, mainFlat) = parts net p
            let encoded = encodeTime compute net.Shape.Time.InputWidth [| 0 .. timesteps - 1 |]
            let time = Mlp.forward compute net.Shape.Time timeFlat encoded

            fun t noisy ->
                let row = time.narrow(0L, int64 t, 1L).expand(noisy.size 0, -1L)
                Mlp.forwardShared compute net.Shape.Main mainFlat obs (Tensors.cat 1 [ noisy; row ])

    /// Predicted noise and the pullback: dε [B, A] -> gradient of the parameters, and of a_t [B, A].
    let vjp (compute: Compute) (net: NoiseNetwork) (p: Params) (obs: Tensor) (noisy: Tensor) (t: int[]) : Vjp<Tensor> =
        let struct (timeFlat, mainFlat) = parts net p

        let time = Mlp.vjp compute net.Shape.Time timeFlat (encodeTime compute net.Shape.Time.InputWidth t)

        let main = Mlp.vjp compute net.Shape.Main mainFlat (input obs noisy time.Output)
        let obsDim, actionDim = int64 net.Shape.ObsDim, int64 net.Shape.ActionDim

        let pullback (noiseGradient: Tensor) =
            let struct (mainGradient, dInput) = main.Pullback noiseGradient
            let dNoisy = dInput.narrow (1L, obsDim, actionDim)
            let dTime = dInput.narrow (1L, obsDim + actionDim, int64 net.Shape.Time.OutputWidth)
            let struct (timeGradient, _) = time.Pullback(dTime.contiguous ())
            struct (Tensors.cat 0 [ timeGradient; mainGradient ], dNoisy)

        let release () =
            (main :> IDisposable).Dispose()
            (time :> IDisposable).Dispose()

        // The time network's gradient comes through the main one's input: nothing can be left out.
        let parameters (noiseGradient: Tensor) =
            let struct (gradient, _) = pullback noiseGradient
            gradient

        let noisy (noiseGradient: Tensor) = (main.PullbackInput noiseGradient).narrow(1L, obsDim, actionDim)

        new Vjp<Tensor>(main.Output, pullback, parameters, noisy, release)
