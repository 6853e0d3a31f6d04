namespace Sdac.Sampling

open System
open Sdac.Functional
open Sdac.Kernels
open Sdac.LibTorch
open TorchSharp

/// RealNVP (Dinh et al. 2017): affine coupling layers over a standard normal base. Layer k leaves one half of the
/// coordinates as it is and maps the other to b·exp(s) + t, where an MLP gives s and t from the first; the halves change roles
/// from layer to layer. s = 2·tanh(raw) keeps every layer's stretch within e².
[<NoComparison>]
type RealNvp =
    {
        Dim: int
        /// The conditioners: half in, [s | t] of the other half out
        Conditioners: MlpShape[]
        /// Where each conditioner's parameters begin in the flat vector
        Offsets: int[]
    }

[<RequireQualifiedAccess>]
module RealNvp =
    /// Raises ArgumentException when dim < 2, layers < 1 or a width < 1.
    let create (dim: int) (layers: int) (hidden: int list) : RealNvp =
        if dim < 2 || layers < 1 || List.exists (fun h -> h < 1) hidden then
            invalidArg
                (nameof dim)
                $"a RealNVP flow couples two halves of the coordinates: it needs at least 2 dimensions, 1 layer and widths of 1, not %d{dim}, %d{layers} and {hidden}"

        let first = (dim + 1) / 2

        let conditioners =
            Array.init layers (fun k ->
                let given = if k % 2 = 0 then first else dim - first
                let widths = [| given; yield! hidden; 2 * (dim - given) |]
                MlpShape(ReadOnlySpan<int> widths, Activation.Relu, Activation.Identity))

        { Dim = dim
          Conditioners = conditioners
          Offsets = conditioners |> Array.map _.ParameterCount |> Array.scan (+) 0 }

    /// Initial parameters: the last layer of every conditioner is zero, so that the flow is the identity.
    let init (compute: Compute) (net: RealNvp) (key: Key) : Params =
        let values =
            net.Conditioners
            |> Array.mapi (fun k shape ->
                let values = InitialWeights.draw InitialWeights.LecunUniform shape (Key.foldIn (int64 k) key)
                let last = shape.WeightOffset(shape.LayerCount - 1)
                Array.fill values last (values.Length - last) 0.0f
                values)
            |> Array.concat

        { Layout =
            [ for k in 0 .. net.Conditioners.Length - 1 do
                  yield! Mlp.layout $"coupling{k}." net.Offsets[k] net.Conditioners[k] ]
          Flat = Tensors.ofArray compute [ values.Length ] values }

    let private bound (raw: Tensor) : Tensor = raw.tanh().mul(Scalars.ofFloat 2.0)

    let private halves (net: RealNvp) (x: Tensor) =
        let first = int64 ((net.Dim + 1) / 2)
        struct (x.narrow (1L, 0L, first), x.narrow (1L, first, int64 net.Dim - first))

    /// s and t of a layer from the half that it leaves as it is.
    let private scaleAndShift (conditioner: int -> Tensor -> Tensor) k (given: Tensor) =
        let both = conditioner k given
        let width = both.size 1 / 2L
        struct (bound (both.narrow (1L, 0L, width)), both.narrow (1L, width, width))

    /// Runs the layers in the given order over both halves; `map s t b` is a layer's new half. Returned with the sum of all s,
    /// ln|det| of the forward direction, [N].
    let private run (net: RealNvp) conditioner order (map: Tensor -> Tensor -> Tensor -> Tensor) (x: Tensor) =
        let struct (first, second) = halves net x
        let mutable first, second = first, second

        let stretches =
            [ for k in order do
                  let evenLayer = k % 2 = 0
                  let struct (s, t) = scaleAndShift conditioner k (if evenLayer then first else second)
                  if evenLayer then second <- map s t second else first <- map s t first
                  s ]

        struct (Tensors.cat 1 [ first; second ], (Tensors.cat 1 stretches).sum 1L)

    let private forwards (net: RealNvp) conditioner =
        run net conditioner [ 0 .. net.Conditioners.Length - 1 ] (fun s t b -> b.mul(s.exp ()).add t)

    let private backwards (net: RealNvp) conditioner x =
        let undo (s: Tensor) (t: Tensor) (b: Tensor) = b.sub(t).mul(s.neg().exp())
        let struct (z, stretch) = run net conditioner [ net.Conditioners.Length - 1 .. -1 .. 0 ] undo x
        struct (z, stretch.neg ())

    let private conditioner (compute: Compute) (net: RealNvp) (p: Params) k (given: Tensor) =
        let flat = p.Flat.narrow (0L, int64 net.Offsets[k], int64 net.Conditioners[k].ParameterCount)
        Mlp.forward compute net.Conditioners[k] flat given

    let private both x y = [ x; y ]

    /// Points x [N, D] of base points z [N, D], and ln|det ∂x/∂z| [N].
    let forward (compute: Compute) (net: RealNvp) (p: Params) (z: Tensor) : struct (Tensor * Tensor) =
        Tensors.check "flow input" [ -1; net.Dim ] z

        Tensors.scoped (fun (struct (x, logDet)) -> both x logDet) (fun () ->
            forwards net (conditioner compute net p) z)

    /// Base points z [N, D] of points x [N, D], and ln|det ∂z/∂x| [N].
    let inverse (compute: Compute) (net: RealNvp) (p: Params) (x: Tensor) : struct (Tensor * Tensor) =
        Tensors.check "flow input" [ -1; net.Dim ] x

        Tensors.scoped (fun (struct (z, logDet)) -> both z logDet) (fun () ->
            backwards net (conditioner compute net p) x)

    /// ln N(z; 0, I): [N, D] -> [N].
    let private logBase (z: Tensor) : Tensor =
        let constant = 0.5 * float (z.size 1) * log (2.0 * Math.PI)
        (z.square().sum 1L).mul(Scalars.ofFloat -0.5).sub(Scalars.ofFloat constant)

    /// ln q(x): [N, D] -> [N].
    let logDensity (compute: Compute) (net: RealNvp) (p: Params) (x: Tensor) : Tensor =
        Tensors.scoped List.singleton (fun () ->
            let struct (z, logDet) = inverse compute net p x
            (logBase z).add logDet)

    /// n samples x [n, D] and ln q(x) [n].
    let sample (compute: Compute) (net: RealNvp) (p: Params) (n: int) (key: Key) : struct (Tensor * Tensor) =
        Tensors.scoped (fun (struct (x, logQ)) -> both x logQ) (fun () ->
            let z = Key.normal compute [ n; net.Dim ] key
            let struct (x, logDet) = forward compute net p z
            struct (x, (logBase z).sub logDet))

    /// The layers of one conditioner as libtorch operations on leaves, for autograd.
    let private leafConditioner (leaves: Tensor[][]) k (given: Tensor) : Tensor =
        let layers = leaves[k]
        let mutable h = given

        for i in 0..2 .. layers.Length - 2 do
            h <- layers[i + 1].addmm(h, layers[i])

            if i < layers.Length - 2 then
                h <- h.relu ()

        h

    /// ln q(x) [N] and the gradient of a function of it with respect to the parameters (flat), by libtorch's autograd.
    /// `loss` turns ln q(x) into the scalar that is differentiated.
    let gradient (net: RealNvp) (p: Params) (x: Tensor) (loss: Tensor -> Tensor) : struct (Tensor * Tensor) =
        Tensors.check "flow input" [ -1; net.Dim ] x

        Tensors.scoped (fun (struct (logQ, gradient)) -> both logQ gradient) (fun () ->
            // One leaf per matrix and bias: a slice of one flat leaf would cost a pass over the whole vector each.
            let leaves =
                net.Conditioners
                |> Array.mapi (fun k shape ->
                    [| for part in Mlp.layout "" net.Offsets[k] shape ->
                           (p.Flat.narrow (0L, int64 part.Offset, int64 (List.fold (*) 1 part.Shape))
                            |> Tensors.view part.Shape)
                               .detach()
                               .requires_grad_() |])

            let struct (z, logDet) = backwards net (leafConditioner leaves) x
            let logQ = (logBase z).add logDet
            let found = Gradient.Of("the loss of the flow", loss logQ, Array.concat leaves)
            let flat = [ for g in found -> g.reshape [| -1L |] ] |> Tensors.cat 0
            struct (logQ.detach (), flat))
