namespace Sdac.Functional

open System
open Sdac.Kernels
open Sdac.LibTorch

/// A piece of a network: an activation of its input, layers, and whether the input is added to what comes out.
type Segment =
    {
        Shape: MlpShape
        /// Identity: the layers get the input as it is
        Before: Activation
        Skip: bool
    }

/// Networks of pieces one behind the other. Their parameters, flat, lie in the same order.
[<RequireQualifiedAccess>]
module Segments =
    /// A linear map to this width, so many blocks x + W₂·a(W₁·a(x) + b₁) + b₂, and a linear map to the outputs: activations stand
    /// before the linear maps of the blocks and nowhere else (He et al. 2016, arXiv 1603.05027).
    let preActivated (inputs: int) (width: int) (blocks: int) (activation: Activation) (outputs: int) : Segment list =
        let linear inputs outputs = HiddenLayers.shape inputs (HiddenLayers.mish []) outputs
        let inner: HiddenLayers = { Widths = [ width ]; Activation = activation; LayerNorm = None }

        [ { Shape = linear inputs width; Before = Activation.Identity; Skip = false }
          for _ in 1..blocks do
              { Shape = HiddenLayers.shape width inner width; Before = activation; Skip = true }
          { Shape = linear width outputs; Before = Activation.Identity; Skip = false } ]

    let parameterCount (segments: Segment list) : int = segments |> List.sumBy _.Shape.ParameterCount

    let private offsets (segments: Segment list) = segments |> List.scan (fun at s -> at + s.Shape.ParameterCount) 0

    /// What the names of a segment's layers begin with. One segment's are called as those of any other network.
    let prefix (segments: Segment list) (i: int) : string = if segments.Length = 1 then "layer" else $"segment{i}.layer"

    /// Names and places of the parameters in a flat vector, from `offset`.
    let layout (offset: int) (segments: Segment list) : Slice list =
        [ for i, (segment, at) in List.indexed (List.zip segments (List.take segments.Length (offsets segments))) do
              yield! Mlp.layout (prefix segments i) (offset + at) segment.Shape ]

    /// Initial values, all layers as `initial` says; the i-th segment's by `key` i.
    let init (initial: InitialWeights) (segments: Segment list) (key: int -> Key) : float32[] =
        segments
        |> List.mapi (fun i segment -> InitialWeights.draw initial segment.Shape (key i))
        |> Array.concat

    /// Fresh parameters with their names.
    let parameters (initial: InitialWeights) (compute: Compute) (segments: Segment list) (key: Key) : Params =
        let values = init initial segments (fun i -> Key.foldIn (int64 i) key)
        { Layout = layout 0 segments; Flat = Tensors.ofArray compute [ values.Length ] values }

    /// Each segment's part of the parameters, which begin at `offset` of a flat vector.
    let split (offset: int) (segments: Segment list) (flat: Tensor) : Tensor list =
        let part (segment: Segment) at = flat.narrow (0L, int64 (offset + at), int64 segment.Shape.ParameterCount)
        List.map2 part segments (List.take segments.Length (offsets segments))

    let private before (segment: Segment) (x: Tensor) =
        if segment.Before = Activation.Identity then
            x
        else
            Mlp.activated segment.Before x

    /// What is behind the first segment's layers, or all of them. flats: a part of the parameters for each; x: [rows, in].
    let through (compute: Compute) (segments: Segment list) (flats: Tensor list) (x: Tensor) : Tensor =
        List.fold2
            (fun (x: Tensor) segment flat ->
                let y = before segment x |> Mlp.forward compute segment.Shape flat
                if segment.Skip then x.add y else y)
            x
            segments
            flats

    /// a(x) and the pullback d -> d·a'(x).
    let private activatedVjp (segment: Segment) (x: Tensor) : struct (Tensor * (Tensor -> Tensor)) =
        if segment.Before = Activation.Identity then
            struct (x, id)
        else
            let leaf = x.detach().requires_grad_()
            let y = Mlp.activated segment.Before leaf
            struct (y.detach (), (fun d -> (Gradient.Of("the activation", y, [| leaf |], d, true))[0]))

    /// Output and pullback. x: [rows, in]; the pullback gives the gradient of these segments' parameters, flat, and of x.
    let vjp (compute: Compute) (segments: Segment list) (flats: Tensor list) (x: Tensor) : Vjp<Tensor> =
        let folder (x: Tensor, passed) (segment, flat) =
            let struct (input, toInput) = activatedVjp segment x
            let pass = Mlp.vjp compute segment.Shape flat input
            let y = if segment.Skip then x.add pass.Output else pass.Output
            y, struct (segment, toInput, pass) :: passed

        let output, passed = List.fold folder (x, []) (List.zip segments flats)
        let skipped (segment: Segment) (d: Tensor) (dx: Tensor) = if segment.Skip then d.add dx else dx

        // From the last segment to the first.
        let back (d: Tensor, gradients) (struct (segment, toInput: Tensor -> Tensor, pass: Vjp<Tensor>)) =
            let struct (gradient, dx) = pass.Pullback d
            skipped segment d (toInput dx), gradient :: gradients

        let pullback d =
            let dx, gradients = List.fold back (d, []) passed
            struct (Tensors.cat 0 gradients, dx)

        let backToInput d (struct (segment, toInput: Tensor -> Tensor, pass: Vjp<Tensor>)) =
            pass.PullbackInput d |> toInput |> skipped segment d

        // The first segment's input needs no gradient.
        let parameters d =
            match List.rev passed with
            | struct (_, _, first) :: _ ->
                let d, gradients = List.fold back (d, []) (List.take (passed.Length - 1) passed)
                Tensors.cat 0 (first.PullbackParameters d :: gradients)
            | [] -> invalidArg (nameof segments) "a network needs at least one segment"

        let release () =
            for struct (_, _, pass) in passed do
                (pass :> IDisposable).Dispose()

        new Vjp<Tensor>(output, pullback, parameters, (fun d -> List.fold backToInput d passed), release)
