namespace Sdac

open System
open Sdac.Kernels
open TorchSharp

/// A named part of a flat parameter vector.
type Slice = { Name: string; Offset: int; Shape: int list }

/// The parameters of a network: one flat float32 vector and the names of its parts. Immutable by convention: no
/// function of this library writes into it.
[<NoComparison; ReferenceEquality>]
type Params = { Layout: Slice list; Flat: Tensor }

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
        release: unit -> unit
    ) =
    member _.Output = output
    member _.Pullback(outputGradient: Tensor) = pullback outputGradient
    /// The parameters' gradient alone: the input's is not computed.
    member _.PullbackParameters(outputGradient: Tensor) = parameterPullback outputGradient

    interface IDisposable with
        member _.Dispose() = release ()

/// A fully connected network: hidden layers with one activation, an identity output. y = x W + b, W is [in, out].
[<RequireQualifiedAccess>]
module Mlp =
    /// Names and places of the weights and biases in the flat vector.
    let layout (prefix: string) (offset: int) (shape: MlpShape) =
        [ for i in 0 .. shape.LayerCount - 1 do
              { Name = $"{prefix}{i}.weight"
                Offset = offset + shape.WeightOffset i
                Shape = [ shape.Widths[i]; shape.Widths[i + 1] ] }

              { Name = $"{prefix}{i}.bias"
                Offset = offset + shape.BiasOffset i
                Shape = [ shape.Widths[i + 1] ] } ]

    /// Initial values: weights uniform with variance 1/fan-in (LeCun), biases zero; as a flat vector on the CPU.
    let init (shape: MlpShape) (key: Key) : float32[] =
        let values = Array.zeroCreate<float32> shape.ParameterCount

        for i in 0 .. shape.LayerCount - 1 do
            let fanIn = shape.Widths[i]
            let bound = sqrt (3.0f / float32 fanIn)
            let weights = Span<float32>(values, shape.WeightOffset i, fanIn * shape.Widths[i + 1])
            Philox.Uniform((Key.foldIn i key).Philox, 0L, weights)

            for j in 0 .. weights.Length - 1 do
                weights[j] <- bound * (2.0f * weights[j] - 1.0f)

        values

    let private activate (activation: Activation) (x: Tensor) : Tensor =
        match activation with
        | Activation.Relu -> torch.nn.functional.relu x
        | Activation.Tanh -> x.tanh ()
        | Activation.Mish -> torch.nn.functional.mish x
        | _ -> x

    /// The straightforward forward pass in libtorch. x: [rows, in] -> [rows, out].
    let private libtorchForward (shape: MlpShape) (flat: Tensor) (x: Tensor) : Tensor =
        let part offset (dims: int list) =
            flat.narrow (0L, int64 offset, int64 (List.fold (*) 1 dims)) |> Tensors.view dims

        let mutable h = x

        for i in 0 .. shape.LayerCount - 1 do
            let inputs, outputs = shape.Widths[i], shape.Widths[i + 1]
            let w = part (shape.WeightOffset i) [ inputs; outputs ]
            let b = part (shape.BiasOffset i) [ outputs ]

            let activation = if i = shape.LayerCount - 1 then shape.Output else shape.Hidden

            h <- b.addmm (h, w) |> activate activation

        h

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
            let shared = if repeat = 1 then shared else shared.repeat_interleave (int64 repeat, 0L)
            libtorchForward shape flat (Tensors.cat 1 [ shared; own ])

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

        new Vjp<Tensor>(output, pullback, (fun dy -> parameterGradient dy None), tape.Dispose)

    let private libtorchVjp (shape: MlpShape) (flat: Tensor) (x: Tensor) =
        let p = flat.detach().requires_grad_()
        let x = x.detach().requires_grad_()
        let y = libtorchForward shape p x

        let gradients (inputs: Tensor[]) (outputGradient: Tensor) =
            torch.autograd.grad ([| y |], inputs, [| outputGradient.reshape y.shape |], retain_graph = true)

        let pullback (outputGradient: Tensor) =
            let found = gradients [| p; x |] outputGradient
            struct (found[0], found[1])

        new Vjp<Tensor>(y.detach (), pullback, (fun dy -> (gradients [| p |] dy)[0]), ignore)

    /// Output and pullback. x: [rows, in]; the pullback gives the gradient of the flat parameters and of x.
    let vjp (compute: Compute) (shape: MlpShape) (flat: Tensor) (x: Tensor) : Vjp<Tensor> =
        Tensors.check "network input" [ -1; shape.InputWidth ] x
        if compute.Kernels then kernelVjp shape flat x else libtorchVjp shape flat x

/// Q(s, a): [obs | action] -> hidden layers (mish) -> 1.
type QNetwork = { Shape: MlpShape; ObsDim: int; ActionDim: int }

[<RequireQualifiedAccess>]
module QNetwork =
    let create (obsDim: int) (actionDim: int) (hidden: int list) =
        let widths = [| obsDim + actionDim; yield! hidden; 1 |]

        { Shape = MlpShape(ReadOnlySpan<int> widths, Activation.Mish, Activation.Identity)
          ObsDim = obsDim
          ActionDim = actionDim }

    let init (compute: Compute) (net: QNetwork) (key: Key) : Params =
        { Layout = Mlp.layout "layer" 0 net.Shape
          Flat = Tensors.ofArray compute [ net.Shape.ParameterCount ] (Mlp.init net.Shape key) }

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

    /// Values [B] and the pullback: dQ [B] -> gradient of the parameters, and of the action [B, A].
    let vjp (compute: Compute) (net: QNetwork) (p: Params) (obs: Tensor) (action: Tensor) : Vjp<Tensor> =
        let inner = Mlp.vjp compute net.Shape p.Flat (Tensors.cat 1 [ obs; action ])
        let batch = Tensors.size 0 action

        let pullback (dq: Tensor) =
            let struct (gradient, dx) = inner.Pullback(Tensors.reshape [ batch; 1 ] dq)
            struct (gradient, dx.narrow (1L, int64 net.ObsDim, int64 net.ActionDim))

        let parameters (dq: Tensor) = inner.PullbackParameters(Tensors.reshape [ batch; 1 ] dq)
        new Vjp<Tensor>(Tensors.view [ batch ] inner.Output, pullback, parameters, (inner :> IDisposable).Dispose)

/// The noise network ε_θ(s, a_t, t): a time network turns the sinusoidal encoding of t into 16 features (16 -> 32 ->
/// mish -> 16); [obs | a_t | time features] -> hidden layers (mish) -> action-sized noise.
type NoiseNetwork = { Shape: NoiseNetworkShape }

[<RequireQualifiedAccess>]
module NoiseNetwork =
    let create (obsDim: int) (actionDim: int) (timeDim: int) (timeHidden: int) (hidden: int list) =
        { Shape = NoiseNetworkShape(obsDim, actionDim, timeDim, timeHidden, ReadOnlySpan<int>(List.toArray hidden)) }

    let init (compute: Compute) (net: NoiseNetwork) (key: Key) : Params =
        let struct (timeKey, mainKey) = Key.split key
        let values = Array.append (Mlp.init net.Shape.Time timeKey) (Mlp.init net.Shape.Main mainKey)

        { Layout = Mlp.layout "time" 0 net.Shape.Time @ Mlp.layout "layer" net.Shape.Time.ParameterCount net.Shape.Main
          Flat = Tensors.ofArray compute [ net.Shape.ParameterCount ] values }

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

        new Vjp<Tensor>(main.Output, pullback, parameters, release)
