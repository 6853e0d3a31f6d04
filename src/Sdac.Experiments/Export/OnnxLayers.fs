namespace Sdac.Experiments

open System
open Sdac.Functional
open Sdac.Kernels

/// Networks as operations of ONNX. Rows may have any number of axes before the last one.
[<RequireQualifiedAccess>]
module internal OnnxLayers =
    let private activated (graph: OnnxGraph) (activation: Activation) (x: string) : string =
        match activation with
        | Activation.Identity -> x
        | Activation.Relu -> graph.Apply("Relu", [ x ])
        | Activation.Tanh -> graph.Apply("Tanh", [ x ])
        | Activation.Elu -> graph.Apply("Elu", [ x ])
        | Activation.Mish ->
            let bend = graph.Apply("Tanh", [ graph.Apply("Softplus", [ x ]) ])
            graph.Apply("Mul", [ x; bend ])
        | Activation.Gelu ->
            let scaled = graph.Apply("Mul", [ x; graph.Number(1.0 / sqrt 2.0) ])
            let share = graph.Apply("Add", [ graph.Apply("Erf", [ scaled ]); graph.Number 1.0 ])
            graph.Apply("Mul", [ graph.Apply("Mul", [ x; share ]); graph.Number 0.5 ])
        | other -> invalidOp $"the activation {other} has no form in ONNX"

    /// A part of a network's parameters as a constant, called as checkpoints call it.
    let private part (graph: OnnxGraph) (net: FormNetwork) (name: string) (shape: int list) : string =
        graph.Float32s($"{net.Leaf}.{name}", shape, (fun () -> Params.slice name net.Params |> Tensors.toArray))

    /// Rows of the first layer's weight, for inputs that come in parts.
    let private weightRows (graph: OnnxGraph) (net: FormNetwork) (what: string) (from: int) (count: int) : string =
        let first = net.Pieces.Head
        let name = $"{first.Prefix}0.weight"

        graph.Float32s(
            $"{net.Leaf}.{name}.{what}",
            [ count; first.Shape.Widths[1] ],
            fun () -> (Params.slice name net.Params).narrow(0L, int64 from, int64 count) |> Tensors.toArray
        )

    let private normed (graph: OnnxGraph) (net: FormNetwork) (l: FormLayers) (i: int) (x: string) : string =
        if l.Shape.HasNorm i then
            let part what = part graph net $"{l.Prefix}{i}.norm.{what}" [ l.Shape.Widths[i + 1] ]
            let epsilon = OnnxMessages.float "epsilon" (float l.Shape.LayerNormEpsilon.Value)

            graph.Apply(
                "LayerNormalization",
                [ x; part "weight"; part "bias" ],
                [ epsilon; OnnxMessages.int "axis" -1L ]
            )
        else
            x

    /// What is behind the sums of a piece's first layer.
    let private behindSums (graph: OnnxGraph) (net: FormNetwork) (l: FormLayers) (sums: string) : string =
        let behind i x = normed graph net l i x |> activated graph (l.Shape.ActivationOf i)

        let next h i =
            let weight = part graph net $"{l.Prefix}{i}.weight" [ l.Shape.Widths[i]; l.Shape.Widths[i + 1] ]
            let bias = part graph net $"{l.Prefix}{i}.bias" [ l.Shape.Widths[i + 1] ]
            graph.Apply("Add", [ graph.Apply("MatMul", [ h; weight ]); bias ]) |> behind i

        Seq.fold next (behind 0 sums) (seq { 1 .. l.Shape.LayerCount - 1 })

    /// All pieces but the first.
    let private further (graph: OnnxGraph) (net: FormNetwork) (x: string) : string =
        let piece x (l: FormLayers) =
            let input = activated graph l.Before x
            let weight = part graph net $"{l.Prefix}0.weight" [ l.Shape.Widths[0]; l.Shape.Widths[1] ]
            let bias = part graph net $"{l.Prefix}0.bias" [ l.Shape.Widths[1] ]

            let y = graph.Apply("Add", [ graph.Apply("MatMul", [ input; weight ]); bias ]) |> behindSums graph net l

            if l.Skip then graph.Apply("Add", [ x; y ]) else y

        List.fold piece x net.Pieces.Tail

    /// A network whose input comes in parts: [obs | own | row], obs common to the candidates of a state and `row` to all of them.
    /// obs: [B, O]; the result maps the embedding of a step by its name and numbers, and own [B, N, W], to [B, N, outputs].
    let shared
        (graph: OnnxGraph)
        (net: FormNetwork)
        (obsDim: int)
        (ownDim: int)
        (obs: string)
        : (string * float32[]) option -> string -> string =
        let first = net.Pieces.Head
        let width = first.Shape.Widths[1]

        if first.Skip || first.Before <> Activation.Identity then
            invalidOp $"the network {net.Leaf} does not begin with a linear map"

        let bias = part graph net $"{first.Prefix}0.bias" [ width ]
        let ofObs = graph.Apply("MatMul", [ obs; weightRows graph net "obs" 0 obsDim ])
        let ofState = graph.Apply("Unsqueeze", [ graph.Apply("Add", [ ofObs; bias ]); graph.Places [ 1 ] ])
        let ownWeight = weightRows graph net "action" obsDim ownDim

        fun row own ->
            let start =
                match row with
                | None -> ofState
                | Some(name, values: float32[]) ->
                    let product () =
                        use _ = TorchSharp.torch.NewDisposeScope()

                        let weight =
                            (Params.slice $"{first.Prefix}0.weight" net.Params)
                                .narrow(0L, int64 (obsDim + ownDim), int64 values.Length)

                        (Tensors.ofArray Compute.cpu [ 1; values.Length ] values).mm(weight.cpu ()) |> Tensors.toArray

                    graph.Apply("Add", [ ofState; graph.Float32s(name, [ width ], product) ])

            graph.Apply("Add", [ graph.Apply("MatMul", [ own; ownWeight ]); start ])
            |> behindSums graph net first
            |> further graph net

    /// A network of the observations alone. obs: [B, O] -> [B, outputs].
    let ofObs (graph: OnnxGraph) (net: FormNetwork) (obs: string) : string =
        let first = net.Pieces.Head
        let weight = part graph net $"{first.Prefix}0.weight" [ first.Shape.Widths[0]; first.Shape.Widths[1] ]
        let bias = part graph net $"{first.Prefix}0.bias" [ first.Shape.Widths[1] ]

        graph.Apply("Add", [ graph.Apply("MatMul", [ obs; weight ]); bias ])
        |> behindSums graph net first
        |> further graph net

    /// The embedding of a step's numbers.
    let embedding (net: FormNetwork) (times: FormTime list) (step: int) : float32[] =
        use _ = TorchSharp.torch.NewDisposeScope()

        let one (time: FormTime) =
            let features =
                match time.Features with
                | TimeFeatures.Waves(count, scaleBase, span, scale) ->
                    let angle j = time.At[step] * scaleBase ** (-float j / span)

                    Array.append
                        (Array.init count (fun j -> float32 (scale * sin (angle j))))
                        (Array.init count (fun j -> float32 (scale * cos (angle j))))
                | TimeFeatures.Trained _ ->
                    let angles =
                        Params.slice time.Frequencies net.Params
                        |> Tensors.toArray
                        |> Array.map (fun w -> 2.0 * Math.PI * float w * time.At[step])

                    Array.append (angles |> Array.map (cos >> float32)) (angles |> Array.map (sin >> float32))

            match time.Layers with
            | None -> features
            | Some layers ->
                Tensors.ofArray Compute.libtorch [ 1; features.Length ] features
                |> Mlp.forward Compute.libtorch layers.Shape ((FormNetwork.flat net layers).cpu())
                |> Tensors.toArray

        times |> List.map one |> Array.concat
