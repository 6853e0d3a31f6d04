namespace Sdac

open System
open TorchSharp

/// What a reverse chain keeps of its networks' passes until its pullback.
[<RequireQualifiedAccess>]
type ChainActivations =
    /// The activations of all steps
    | Recorded
    /// The steps' actions alone: the activations of a step are computed again when the pullback comes to it
    | Recomputed

/// A reverse chain as a policy whose gradient goes through all its steps (Wang et al. 2024, arXiv 2405.15177): the posterior's
/// steps of `Diffusion.reverse`, x_T = the initial noise times its scale.
[<RequireQualifiedAccess>]
module ReverseChain =
    /// Where clipping to ±1 passes a gradient on: 1 in the box and on its walls, 0 beyond them.
    let inside (t: Tensor) : Tensor = t.abs().le(Scalars.ofFloat 1.0).``to`` torch.float32

    /// A step that was taken: where the clip of x̂_0 passes a gradient, and the network's pass at x_t.
    [<NoComparison; NoEquality>]
    type private Step = { Inside: Tensor; Pass: unit -> Vjp<Tensor> }

    /// The action [B, A] and its pullback: dA [B, A] -> gradient of the policy's parameters, and of x_T [B, A]. What is kept until
    /// it is disposed of are the activations of B rows at every step, or of none. obs: [B, O]; the noise has B rows.
    let vjp
        (compute: Compute)
        (schedule: Schedule)
        (net: NoiseNetwork)
        (policy: Params)
        (activations: ChainActivations)
        (initialScale: float)
        (noise: ChainNoise)
        (obs: Tensor)
        : Vjp<Tensor> =
        Tensors.check "obs" [ -1; net.Shape.ObsDim ] obs
        let rows, steps = Tensors.size 0 obs, schedule.Timesteps
        let scalar = Scalars.ofFloat
        let timeCount, mainCount = int64 net.Shape.Time.ParameterCount, int64 net.Shape.Main.ParameterCount

        let timeFlat, mainFlat =
            policy.Flat.narrow (0L, 0L, timeCount), policy.Flat.narrow (0L, timeCount, mainCount)

        // All rows are at the same timestep: one row of the time network for each.
        let encoded = NoiseNetwork.encodeTime compute net.Shape.Time.InputWidth [| 0 .. steps - 1 |]
        let time = Mlp.vjp compute net.Shape.Time timeFlat encoded

        let network t (x: Tensor) =
            let told = time.Output.narrow(0L, int64 t, 1L).expand(int64 rows, -1L)
            Mlp.vjp compute net.Shape.Main mainFlat (Tensors.cat 1 [ obs; x; told ])

        /// x_{t-1} of x_t.
        let forward t (x: Tensor) (z: Tensor) : struct (Tensor * Step) =
            let pass = network t x
            let ofEstimate, ofNoisy = schedule.PosteriorMeanCoef1[t], schedule.PosteriorMeanCoef2[t]

            let estimate =
                x.mul(scalar schedule.SqrtRecipAlphaBars[t]).add_(pass.Output, scalar -schedule.SqrtRecipM1AlphaBars[t])

            let mean = (Diffusion.clip estimate).mul(scalar ofEstimate).add_(x, scalar ofNoisy)
            let next = if t > 0 then mean.add_ (z, scalar (Schedule.sigma schedule t)) else mean

            match activations with
            | ChainActivations.Recorded -> struct (next, { Inside = inside estimate; Pass = fun () -> pass })
            | ChainActivations.Recomputed ->
                (pass :> IDisposable).Dispose()
                struct (next, { Inside = inside estimate; Pass = fun () -> network t x })

        let kept = Array.zeroCreate<Step> steps
        let mutable x = noise.Initial.mul (scalar initialScale)

        for t in steps - 1 .. -1 .. 0 do
            let struct (next, step) = forward t x noise.Steps[steps - 1 - t]
            kept[t] <- step
            x <- next

        let last = x
        let obsDim, actionDim = int64 net.Shape.ObsDim, int64 net.Shape.ActionDim
        let timeWidth = int64 net.Shape.Time.OutputWidth

        /// From the gradient at x_{t-1} to that at x_t; the parameters' is added to `gradient`, the time features' is row t of `dTime`.
        let backward t (d: Tensor) (wanted: (Tensor * Tensor) option) =
            Tensors.scoped List.singleton (fun () ->
                let step = kept[t]
                let pass = step.Pass()
                let dEstimate = d.mul(step.Inside).mul(scalar schedule.PosteriorMeanCoef1[t])
                let dNoise = dEstimate.mul (scalar -schedule.SqrtRecipM1AlphaBars[t])

                let dInput =
                    match wanted with
                    | None -> pass.PullbackInput dNoise
                    | Some(gradient, dTime) ->
                        let struct (own, dInput) = pass.Pullback dNoise
                        gradient.add_ own |> ignore
                        let dTold = dInput.narrow(1L, obsDim + actionDim, timeWidth).sum 0L
                        (dTime.narrow (0L, int64 t, 1L)).copy_(dTold.unsqueeze 0L) |> ignore
                        dInput

                if activations = ChainActivations.Recomputed then
                    (pass :> IDisposable).Dispose()

                d
                    .mul(scalar schedule.PosteriorMeanCoef2[t])
                    .add_(dEstimate, scalar schedule.SqrtRecipAlphaBars[t])
                    .add_(dInput.narrow (1L, obsDim, actionDim)))

        let through (d: Tensor) wanted =
            let atEnd = d.mul (inside last)
            Seq.fold (fun d t -> backward t d wanted) atEnd (seq { 0 .. steps - 1 })

        let pullback (d: Tensor) =
            let gradient = Tensors.zeros compute [ int mainCount ]
            let dTime = Tensors.zeros compute [ steps; int timeWidth ]
            let dInitial = through d (Some(gradient, dTime))
            struct (Tensors.cat 0 [ time.PullbackParameters dTime; gradient ], dInitial)

        let parameters d =
            let struct (gradient, _) = pullback d
            gradient

        let release () =
            (time :> IDisposable).Dispose()

            if activations = ChainActivations.Recorded then
                for step in kept do
                    (step.Pass() :> IDisposable).Dispose()

        new Vjp<Tensor>(Diffusion.clip last, pullback, parameters, (fun d -> through d None), release)
