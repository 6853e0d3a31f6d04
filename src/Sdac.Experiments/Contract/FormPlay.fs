namespace Sdac.Experiments

open Sdac.Functional
open TorchSharp

/// A policy given as data, played as the data say: what acts where only the data are there.
[<RequireQualifiedAccess>]
module internal FormPlay =
    let private scalar: float -> Scalar = Scalars.ofFloat

    let private clip (limit: float) (x: Tensor) = x.clamp (scalar -limit, scalar limit)

    let private ended (finish: FormEnd) (x: Tensor) =
        match finish with
        | FormEnd.Free -> x
        | FormEnd.Clipped -> clip 1.0 x
        | FormEnd.Tanh -> x.tanh ()

    /// A network's outputs. x: [rows, inputs].
    let private network (compute: Compute) (n: FormNetwork) (x: Tensor) : Tensor =
        let segment (l: FormLayers) : Segment = { Shape = l.Shape; Before = l.Before; Skip = l.Skip }
        Segments.through compute (List.map segment n.Pieces) (List.map (FormNetwork.flat n) n.Pieces) x

    /// What a step's embeddings tell the network, [1, width].
    let private embedded (compute: Compute) (n: FormNetwork) (times: FormTime list) (step: int) : Tensor list =
        [ for time in times do
              let frequencies =
                  match time.Features with
                  | TimeFeatures.Trained _ -> [ Params.slice time.Frequencies n.Params ]
                  | TimeFeatures.Waves _ -> []

              let layers = time.Layers |> Option.map (FormNetwork.flat n) |> Option.toList

              let flat =
                  match frequencies @ layers with
                  | [] -> Tensors.empty [ 0 ]
                  | parts -> Tensors.cat 0 parts

              TimeNetwork.forward
                  compute
                  { Features = time.Features; Layers = time.Layers |> Option.map _.Shape }
                  flat
                  [| time.At[step] |] ]

    let private chained (compute: Compute) (c: FormChain) (noise: ChainNoise) (obs: Tensor) : Tensor =
        let rows = Tensors.size 0 obs

        let step (x: Tensor) i =
            let s = c.Steps[i]
            let told = embedded compute c.Network c.Times i |> List.map _.expand(int64 rows, -1L)
            let output = network compute c.Network (Tensors.cat 1 (obs :: x :: told))
            let estimate = num s.OfState * x + num s.OfOutput * output
            let estimate = if c.ClipsEstimate then clip 1.0 estimate else estimate
            let z = noise.Steps[i]
            let z = c.NoiseClip |> Option.fold (fun z limit -> clip limit z) z
            let next = num s.OfEstimate * estimate + num s.Kept * x + num s.Spread * z
            if c.ClipsState then clip 1.0 next else next

        Seq.fold step (num c.InitialScale * noise.Initial) (seq { 0 .. c.Steps.Length - 1 }) |> ended c.End

    let private direct
        (compute: Compute)
        (actionDim: int)
        (n: FormNetwork)
        (spread: FormSpread)
        (noise: Lazy<ChainNoise>)
        obs
        =
        let output = network compute n obs
        let mean = output.narrow (1L, 0L, int64 actionDim)

        match spread with
        | FormSpread.Mode -> mean
        | FormSpread.Constant deviation -> mean + num deviation * noise.Value.Initial
        | FormSpread.Outputs logStd ->
            let raw = output.narrow (1L, int64 actionDim, int64 actionDim)

            let logStd =
                match logStd with
                | LogStd.Clipped(low, high) -> raw.clamp (scalar low, scalar high)
                | LogStd.Smooth(low, high) -> num (0.5 * (high - low)) * raw.tanh () + scalar (0.5 * (low + high))

            mean + logStd.exp () * noise.Value.Initial

    /// Every state's candidates [B, N, A], and the critics' values of them [B, N] where there are critics, with this key. obs: [B, O].
    let candidates
        (compute: Compute)
        (space: Space)
        (form: PolicyForm)
        (key: Key)
        (obs: Tensor)
        : Tensor * Tensor option =
        let states = Tensors.size 0 obs

        let seen =
            match form.Moments with
            | None -> obs
            | Some m ->
                RunningMoments.normaliseSingle m.Clip m.Moments (Tensors.toArray obs)
                |> Tensors.ofArray compute [ states; space.ObsDim ]

        let repeated = seen.repeat_interleave (int64 form.Particles, 0L)
        let noise = lazy (form.Noise key states)

        let actions =
            match form.Candidates with
            | FormCandidates.Direct(n, spread, finish) ->
                direct compute space.ActionDim n spread noise repeated |> ended finish
            | FormCandidates.Chain chain -> chained compute chain noise.Value repeated

        let shaped (width: int list) = Tensors.view (states :: form.Particles :: width)

        let values =
            form.Critics
            |> Option.map (fun critics ->
                let value n = network compute n (Tensors.cat 1 [ repeated; actions ]) |> shaped []
                let all = critics.Networks |> List.map value

                match critics.Reduction with
                | QReduction.Minimum -> all |> List.reduce (fun (a: Tensor) b -> a.minimum b)
                | QReduction.Mean -> num (1.0 / float all.Length) * List.reduce (fun (a: Tensor) b -> a.add b) all)

        shaped [ space.ActionDim ] actions, values

    /// How far actions [B, A] are from the candidates that may be chosen: those whose value is the best one's or at most this below it.
    let distance (slack: float) (candidates: Tensor, values: Tensor option) (actions: Tensor) : float =
        let apart: Tensor = (candidates - actions.unsqueeze 1L).abs().amax([| 2L |])

        let allowed =
            match values with
            | None -> apart
            | Some values ->
                let best: Tensor = values.amax ([| 1L |], true)
                let far = values.lt (best.sub (scalar slack))
                apart.masked_fill (far, scalar infinity)

        Tensors.toArray (allowed.amin [| 1L |]) |> Array.fold max 0.0f |> float
