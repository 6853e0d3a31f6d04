namespace Sdac.Functional

open System
open Sdac.Kernels

/// The networks of an on-policy actor-critic: the means of a Gaussian policy, log σ as a free vector, and a value, the parameters
/// one behind the other in one flat vector. Their inputs, outputs and gradients are arrays of the CPU, where environments and
/// equations are: with the kernels on, nothing else lies between.
[<NoComparison; NoEquality>]
type PolicyValue =
    {
        Compute: Compute
        /// obs -> hidden layers -> means of the action
        Policy: MlpShape
        /// obs -> hidden layers -> 1
        Value: MlpShape
    }

/// Both networks' outputs for a batch, and what turns gradients of these into one of all parameters. Dispose it to free what the
/// pullback kept.
[<Sealed>]
type PolicyValuePass
    (means: float32[], values: float32[], pullback: float32[] -> float32[] -> float32[] -> Tensor, release: unit -> unit)
    =
    /// [B, A]
    member _.Means = means
    /// [B]
    member _.Values = values

    /// The parameters' gradient from those of the means [B, A], of log σ [A] and of the values [B].
    member _.Pullback(means: float32[], logStd: float32[], values: float32[]) = pullback means logStd values

    interface IDisposable with
        member _.Dispose() = release ()

[<RequireQualifiedAccess>]
module PolicyValue =
    /// Two networks with the same hidden layers.
    let create (compute: Compute) (space: Space) (hidden: HiddenLayers) : PolicyValue =
        { Compute = compute
          Policy = HiddenLayers.shape space.ObsDim hidden space.ActionDim
          Value = HiddenLayers.shape space.ObsDim hidden 1 }

    let private actionDim (n: PolicyValue) = n.Policy.OutputWidth
    let private logStdOffset (n: PolicyValue) = n.Policy.ParameterCount
    let private valueOffset (n: PolicyValue) = n.Policy.ParameterCount + actionDim n

    /// The parameters of both networks and log σ with the names of their parts. policy, value: as `InitialWeights.draw` gives them.
    let parameters (n: PolicyValue) (policy: float32[]) (logStd: float32[]) (value: float32[]) : Params =
        let values = Array.concat [ policy; logStd; value ]

        { Layout =
            Mlp.layout "policy.layer" 0 n.Policy
            @ [ { Name = "logStd"; Offset = logStdOffset n; Shape = [ actionDim n ] } ]
            @ Mlp.layout "value.layer" (valueOffset n) n.Value
          Flat = Tensors.ofArray n.Compute [ values.Length ] values }

    let private part (offset: int) (count: int) (flat: Tensor) : Tensor = flat.narrow (0L, int64 offset, int64 count)

    let private forward (compute: Compute) (shape: MlpShape) (offset: int) (p: Params) (obs: float32[]) : float32[] =
        let rows = obs.Length / shape.InputWidth

        if compute.Kernels then
            let output = Array.zeroCreate<float32>(rows * shape.OutputWidth)
            let flat = Span.op_Implicit ((Tensors.span p.Flat).Slice(offset, shape.ParameterCount))
            Mlp.Forward(shape, flat, ReadOnlySpan.Empty, 1, ReadOnlySpan obs, rows, Span output)
            Tensors.keepAlive [ p.Flat ]
            output
        else
            use _ = TorchSharp.torch.NewDisposeScope()

            Tensors.ofArray compute [ rows; shape.InputWidth ] obs
            |> Mlp.forward compute shape (part offset shape.ParameterCount p.Flat)
            |> Tensors.toArray

    /// The means of the actions, [N, A]. obs: [N, O].
    let means (n: PolicyValue) (p: Params) (obs: float32[]) : float32[] = forward n.Compute n.Policy 0 p obs

    /// Values, [N]. obs: [N, O].
    let values (n: PolicyValue) (p: Params) (obs: float32[]) : float32[] =
        forward n.Compute n.Value (valueOffset n) p obs

    /// log σ, [A].
    let logStd (n: PolicyValue) (p: Params) : float32[] =
        if n.Compute.Kernels then
            (Tensors.span p.Flat).Slice(logStdOffset n, actionDim n).ToArray()
        else
            use _ = TorchSharp.torch.NewDisposeScope()
            part (logStdOffset n) (actionDim n) p.Flat |> Tensors.toArray

    let private kernelPass (n: PolicyValue) (p: Params) (obs: Tensor) : PolicyValuePass =
        let obs = obs.contiguous ()
        let rows = Tensors.size 0 obs

        let network (shape: MlpShape) (offset: int) =
            let output = Array.zeroCreate<float32>(rows * shape.OutputWidth)
            let flat = Span.op_Implicit ((Tensors.span p.Flat).Slice(offset, shape.ParameterCount))
            let input = Span.op_Implicit (Tensors.span obs)
            struct (output, Mlp.ForwardTape(shape, flat, ReadOnlySpan.Empty, 1, input, rows, Span output))

        let struct (means, policyTape) = network n.Policy 0
        let struct (values, valueTape) = network n.Value (valueOffset n)
        Tensors.keepAlive [ obs ]

        let pullback (dMeans: float32[]) (dLogStd: float32[]) (dValues: float32[]) =
            let gradient = Tensors.empty [ Tensors.size 0 p.Flat ]

            let backward (shape: MlpShape) (offset: int) (tape: MlpTape) (outputGradient: float32[]) =
                let flat = Span.op_Implicit ((Tensors.span p.Flat).Slice(offset, shape.ParameterCount))
                let into = (Tensors.span gradient).Slice(offset, shape.ParameterCount)
                Mlp.Backward(shape, flat, tape, ReadOnlySpan outputGradient, into, Span.Empty)

            backward n.Policy 0 policyTape dMeans
            dLogStd.AsSpan().CopyTo((Tensors.span gradient).Slice(logStdOffset n))
            backward n.Value (valueOffset n) valueTape dValues
            Tensors.keepAlive [ p.Flat; gradient ]
            gradient

        let release () =
            policyTape.Dispose()
            valueTape.Dispose()

        new PolicyValuePass(means, values, pullback, release)

    let private libtorchPass (n: PolicyValue) (p: Params) (obs: Tensor) : PolicyValuePass =
        let network (shape: MlpShape) offset = Mlp.vjp n.Compute shape (part offset shape.ParameterCount p.Flat) obs
        let policy, value = network n.Policy 0, network n.Value (valueOffset n)
        let rows = Tensors.size 0 obs

        let pullback (dMeans: float32[]) (dLogStd: float32[]) (dValues: float32[]) =
            let tensor = Tensors.ofArray n.Compute

            Tensors.cat
                0
                [ tensor [ rows; actionDim n ] dMeans |> policy.PullbackParameters
                  tensor [ actionDim n ] dLogStd
                  tensor [ rows; 1 ] dValues |> value.PullbackParameters ]

        let release () =
            (policy :> IDisposable).Dispose()
            (value :> IDisposable).Dispose()

        new PolicyValuePass(Tensors.toArray policy.Output, Tensors.toArray value.Output, pullback, release)

    /// Outputs and pullback. obs: [B, O].
    let pass (n: PolicyValue) (p: Params) (obs: Tensor) : PolicyValuePass =
        Tensors.check "observations" [ -1; n.Policy.InputWidth ] obs
        if n.Compute.Kernels then kernelPass n p obs else libtorchPass n p obs
