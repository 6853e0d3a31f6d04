namespace Sdac.Functional

open System
open Sdac.Kernels
open Sdac.LibTorch
open TorchSharp

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
