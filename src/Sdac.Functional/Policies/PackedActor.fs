namespace Sdac.Functional

open System
open Sdac.Kernels
open TorchSharp

/// A policy that acts on one observation after the other, with networks laid out for that. It gives the bits of its agent's `Act`
/// and makes no tensor.
[<Sealed>]
type PackedActor private (form: PolicyForm, policy: PackedPolicy, actionDim: int) =
    let candidates = Array.zeroCreate<float32>(form.Particles * actionDim)
    let first = Array.zeroCreate<float32>(if form.Critics.IsSome then form.Particles else 0)
    let second = Array.zeroCreate<float32> first.Length

    let chosen () =
        match form.Critics with
        | None -> 0
        | Some critics ->
            for i in 0 .. form.Particles - 1 do
                first[i] <-
                    match critics.Reduction with
                    | QReduction.Minimum -> MathF.Min(first[i], second[i])
                    | QReduction.Mean -> 0.5f * (first[i] + second[i])

            PackedActor.Largest first

    /// The action [A], in [-1, 1], that `Act` chooses in evaluations with this key. obs: [O]. Calls must not overlap.
    member _.Act(key: Key, obs: float32[]) : float32[] =
        let struct (initial, steps) = Key.split (form.NoiseKey key)

        policy.Act(
            ReadOnlySpan obs,
            form.Particles,
            initial.Philox,
            steps.Philox,
            Span candidates,
            Span first,
            Span second
        )

        let from = chosen () * actionDim
        candidates[from .. from + actionDim - 1]

    interface IDisposable with
        member _.Dispose() = policy.Dispose()

    /// The index of the largest value, as `Diffusion.bestOf` finds it: the first of several, and what is no number before all.
    static member Largest(values: float32[]) : int =
        let mutable at = 0

        for i in 1 .. values.Length - 1 do
            if values[i] > values[at] || Single.IsNaN values[i] && not (Single.IsNaN values[at]) then
                at <- i

        at

    // x̂_0 clipped, then x_{t-1} from the posterior, noise but in the last step: what the kernels' sampler does.
    static member private Coefficients(chain: FormChain) : ReverseCoefficients option =
        let last = Array.tryLast chain.Steps |> Option.exists (fun step -> step.Spread = 0.0)

        if chain.ClipsEstimate && not chain.ClipsState && chain.NoiseClip.IsNone && chain.End.IsClipped && last then
            let column number = chain.Steps |> Array.rev |> Array.map (number >> float32)

            Some(
                ReverseCoefficients(
                    column _.OfState,
                    column (fun step -> -step.OfOutput),
                    column _.OfEstimate,
                    column _.Kept,
                    column _.Spread
                )
            )
        else
            None

    static member private Pack
        (chain: FormChain)
        (noise: NoiseNetworkShape)
        (coefficients: ReverseCoefficients)
        (critics: FormNetwork list)
        : PackedPolicy option =
        // the critics' parts of their parameters are tensors
        use _ = torch.NewDisposeScope()
        let policy, scale = Tensors.toArray chain.Network.Params.Flat, float32 chain.InitialScale
        let canPack = PackedPolicy.CanPack noise.Main

        match critics with
        | [] when canPack -> Some(new PackedPolicy(noise, ReadOnlySpan policy, coefficients, scale))
        | [ first; second ] when canPack && PackedPolicy.CanPack first.Pieces.Head.Shape ->
            let flat (network: FormNetwork) = FormNetwork.flat network network.Pieces.Head |> Tensors.toArray
            let shape, first, second = first.Pieces.Head.Shape, flat first, flat second

            Some(
                new PackedPolicy(
                    noise,
                    ReadOnlySpan policy,
                    coefficients,
                    scale,
                    shape,
                    ReadOnlySpan first,
                    ReadOnlySpan second
                )
            )
        | _ -> None

    /// The actor of a policy that is a chain with the kernels' sampler on the CPU, alone or with two critics; None for others. The
    /// networks are copied.
    static member ofForm (compute: Compute) (space: Space) (form: PolicyForm) : PackedActor option =
        let critics = form.Critics |> Option.map _.Networks |> Option.defaultValue []
        let isPlain (n: FormNetwork) = n.Pieces.Length = 1

        match form.Candidates, form.Moments with
        | FormCandidates.Chain chain, None when compute.Kernels && List.forall isPlain critics ->
            match chain.Network.Noise, PackedActor.Coefficients chain with
            | Some noise, Some coefficients ->
                PackedActor.Pack chain noise coefficients critics
                |> Option.map (fun policy -> new PackedActor(form, policy, space.ActionDim))
            | _ -> None
        | _ -> None
