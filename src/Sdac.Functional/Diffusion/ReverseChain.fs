namespace Sdac.Functional

open System
open Sdac.Kernels
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

    /// All steps in one call of the kernels, forward and back.
    let private kernelVjp
        (schedule: Schedule)
        (net: NoiseNetwork)
        (policy: Params)
        (activations: ChainActivations)
        (initialScale: float)
        (noise: ChainNoise)
        (obs: Tensor)
        : Vjp<Tensor> =
        let coefficients = Diffusion.coefficients schedule
        let rows, actionDim = Tensors.size 0 obs, net.Shape.ActionDim
        let obs, initial = obs.contiguous (), noise.Initial.contiguous ()
        let steps, action = torch.stack noise.Steps, Tensors.empty [ rows; actionDim ]

        let tape =
            ReverseChain.Forward(
                net.Shape,
                Tensors.span policy.Flat,
                coefficients,
                Tensors.span obs,
                rows,
                float32 initialScale,
                Tensors.span initial,
                Tensors.span steps,
                (activations = ChainActivations.Recorded),
                Tensors.span action
            )

        Tensors.keepAlive [ policy.Flat; obs; initial; steps; action ]

        let backward (wanted: Tensor option) (d: Tensor) =
            let d, toInitial = d.contiguous (), Tensors.empty [ rows; actionDim ]

            let gradient =
                match wanted with
                | Some gradient -> Tensors.span gradient
                | None -> Span<float32>.Empty

            ReverseChain.Backward(
                Tensors.span policy.Flat,
                coefficients,
                Tensors.span obs,
                tape,
                Tensors.span d,
                gradient,
                Tensors.span toInitial
            )

            Tensors.keepAlive (policy.Flat :: obs :: d :: toInitial :: Option.toList wanted)
            toInitial

        let pullback d =
            let gradient = Tensors.empty [ net.Shape.ParameterCount ]
            struct (gradient, backward (Some gradient) d)

        let parameters d =
            let struct (gradient, _) = pullback d
            gradient

        new Vjp<Tensor>(action, pullback, parameters, backward None, tape.Dispose)

    /// A step that was taken: where the clip of x̂_0 passes a gradient, and the network's pass at x_t.
    [<NoComparison; NoEquality>]
    type private Step = { Inside: Tensor; Pass: unit -> Vjp<Tensor> }

    /// x_{t-1} of x_t and a pass at it. z: the step's noise.
    let private forward (schedule: Schedule) (pass: Vjp<Tensor>) t (x: Tensor) (z: Tensor) : struct (Tensor * Tensor) =
        let scalar = Scalars.ofFloat

        let estimate =
            x.mul(scalar schedule.SqrtRecipAlphaBars[t]).add_(pass.Output, scalar -schedule.SqrtRecipM1AlphaBars[t])

        let mean =
            (Diffusion.clip estimate)
                .mul(scalar schedule.PosteriorMeanCoef1[t])
                .add_(x, scalar schedule.PosteriorMeanCoef2[t])

        let next = if t > 0 then mean.add_ (z, scalar (Schedule.sigma schedule t)) else mean
        struct (next, inside estimate)

    /// From the gradient at x_{t-1} to that at x_t, by what the network's pass makes of the gradient at ε.
    let private backward (schedule: Schedule) (step: Step) t (network: Tensor -> Tensor) (d: Tensor) : Tensor =
        let scalar = Scalars.ofFloat
        let dEstimate = d.mul(step.Inside).mul(scalar schedule.PosteriorMeanCoef1[t])
        let dx = network (dEstimate.mul (scalar -schedule.SqrtRecipM1AlphaBars[t]))

        d.mul(scalar schedule.PosteriorMeanCoef2[t]).add_(dEstimate, scalar schedule.SqrtRecipAlphaBars[t]).add_ dx

    /// The network at each timestep; its part that sees the time is passed once for all of them.
    [<NoComparison; NoEquality>]
    type private Timed =
        {
            /// Of all timesteps, [T, TimeDim]
            Time: Vjp<Tensor>
            /// The pass of all rows x_t [B, A] at t
            At: int -> Tensor -> Vjp<Tensor>
        }

    let private timed (compute: Compute) (net: NoiseNetwork) (policy: Params) (steps: int) (obs: Tensor) : Timed =
        let timeCount, mainCount = int64 net.Shape.Time.ParameterCount, int64 net.Shape.Main.ParameterCount

        let timeFlat, mainFlat =
            policy.Flat.narrow (0L, 0L, timeCount), policy.Flat.narrow (0L, timeCount, mainCount)

        // All rows are at the same timestep: one row of the time network for each.
        let encoded = NoiseNetwork.encodeTime compute net.Shape.TimeDim [| 0 .. steps - 1 |]
        let time = Mlp.vjp compute net.Shape.Time timeFlat encoded

        let at t (x: Tensor) =
            let told = time.Output.narrow(0L, int64 t, 1L).expand(obs.size 0, -1L)
            Mlp.vjp compute net.Shape.Main mainFlat (Tensors.cat 1 [ obs; x; told ])

        { Time = time; At = at }

    /// The chain forward: what is kept of each step, and x_0 before the last clip.
    let private passed
        (schedule: Schedule)
        (network: Timed)
        (activations: ChainActivations)
        (initialScale: float)
        (noise: ChainNoise)
        : struct (Step[] * Tensor) =
        let steps = schedule.Timesteps
        let kept = Array.zeroCreate<Step> steps
        let mutable x = noise.Initial.mul (Scalars.ofFloat initialScale)

        for t in steps - 1 .. -1 .. 0 do
            let at = x
            let pass = network.At t at
            let struct (next, inside) = forward schedule pass t at noise.Steps[steps - 1 - t]

            kept[t] <-
                match activations with
                | ChainActivations.Recorded -> { Inside = inside; Pass = fun () -> pass }
                | ChainActivations.Recomputed ->
                    (pass :> IDisposable).Dispose()
                    { Inside = inside; Pass = fun () -> network.At t at }

            x <- next

        struct (kept, x)

    /// One pass of the whole network after the other: for what the kernels do not take, and what they are tested against.
    let private stepwiseVjp
        (compute: Compute)
        (schedule: Schedule)
        (net: NoiseNetwork)
        (policy: Params)
        (activations: ChainActivations)
        (initialScale: float)
        (noise: ChainNoise)
        (obs: Tensor)
        : Vjp<Tensor> =
        let steps, obsDim, actionDim = schedule.Timesteps, int64 net.Shape.ObsDim, int64 net.Shape.ActionDim
        let network = timed compute net policy steps obs
        let struct (kept, last) = passed schedule network activations initialScale noise

        let released (pass: Vjp<Tensor>) =
            if activations = ChainActivations.Recomputed then
                (pass :> IDisposable).Dispose()

        let through (d: Tensor) (pull: int -> Vjp<Tensor> -> Tensor -> Tensor) =
            let back d t =
                Tensors.scoped List.singleton (fun () ->
                    let pass = kept[t].Pass()
                    let toAction d = (pull t pass d).narrow(1L, obsDim, actionDim)
                    let d = backward schedule kept[t] t toAction d
                    released pass
                    d)

            Seq.fold back (d.mul (inside last)) (seq { 0 .. steps - 1 })

        let pullback (d: Tensor) =
            let gradient = Tensors.zeros compute [ net.Shape.Main.ParameterCount ]
            let dTime = Tensors.zeros compute [ steps; net.Shape.TimeDim ]

            let toInitial =
                through d (fun t pass dNoise ->
                    let struct (own, dInput) = pass.Pullback dNoise
                    gradient.add_ own |> ignore
                    let told = dInput.narrow(1L, obsDim + actionDim, int64 net.Shape.TimeDim).sum(0L, true)
                    (dTime.narrow (0L, int64 t, 1L)).copy_ told |> ignore
                    dInput)

            struct (Tensors.cat 0 [ network.Time.PullbackParameters dTime; gradient ], toInitial)

        let parameters d =
            let struct (gradient, _) = pullback d
            gradient

        let toInitial d = through d (fun _ pass dNoise -> pass.PullbackInput dNoise)

        let release () =
            (network.Time :> IDisposable).Dispose()

            if activations = ChainActivations.Recorded then
                for step in kept do
                    (step.Pass() :> IDisposable).Dispose()

        new Vjp<Tensor>(Diffusion.clip last, pullback, parameters, toInitial, release)

    /// The action [B, A] and its pullback: dA [B, A] -> gradient of the policy's parameters, and of x_T [B, A]; none where a clip
    /// is active. Until it is disposed of it keeps the activations of B rows at every step, or of none. obs: [B, O]; the noise has
    /// B rows.
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

        if noise.Steps.Length <> schedule.Timesteps then
            invalidArg
                (nameof noise)
                $"the noise has {noise.Steps.Length} steps, but the chain takes {schedule.Timesteps}"

        if compute.Kernels && ReverseChain.CanRun net.Shape then
            kernelVjp schedule net policy activations initialScale noise obs
        else
            stepwiseVjp compute schedule net policy activations initialScale noise obs
