namespace Sdac.Experiments

open Google.Protobuf
open Sdac.Functional
open Sdac.Environments

/// A policy as a graph of ONNX: the reverse chain step by step and the choice of the best, the random numbers as inputs.
///
/// Inputs: obs [batch, O]; initial [batch, N, A], standard normal, where the policy draws numbers; steps [T, batch, N, A], standard
/// normal, where its steps do. Outputs: action [batch, A] in the task's units; candidates [batch, N, A] in [-1, 1]; values [batch, N]
/// where critics choose among them.
[<RequireQualifiedAccess>]
module internal OnnxPolicy =
    /// The graph's size that callers choose.
    let private batch: Choice<int, string> = Choice2Of2 "batch"

    let private fixedAt (n: int) : Choice<int, string> = Choice1Of2 n

    let private clipped (graph: OnnxGraph) (limit: float) (x: string) =
        graph.Apply("Clip", [ x; graph.Number -limit; graph.Number limit ])

    let private ended (graph: OnnxGraph) (finish: FormEnd) (x: string) =
        match finish with
        | FormEnd.Free -> x
        | FormEnd.Clipped -> clipped graph 1.0 x
        | FormEnd.Tanh -> graph.Apply("Tanh", [ x ])

    let private times (graph: OnnxGraph) (factor: float) (x: string) =
        if factor = 1.0 then x else graph.Apply("Mul", [ x; graph.Number factor ])

    /// The observations as the networks see them; in double precision, as training has them.
    let private seen (graph: OnnxGraph) (form: PolicyForm) (obs: string) : string =
        match form.Moments with
        | None -> obs
        | Some m ->
            let cast (kind: int64) x = graph.Apply("Cast", [ x ], [ OnnxMessages.int "to" kind ])
            let mean = graph.Float64s($"{m.Leaf}.mean", m.Moments.Mean)

            let deviation =
                graph.Float64s($"{m.Leaf}.deviation", m.Moments.Variance |> Array.map (fun v -> sqrt (v + 1e-8)))

            let low, high = graph.Float64s("low.clip", [| -m.Clip |]), graph.Float64s("high.clip", [| m.Clip |])
            let standardised = graph.Apply("Div", [ graph.Apply("Sub", [ cast 11L obs; mean ]); deviation ])
            graph.Apply("Max", [ graph.Apply("Min", [ standardised; high ]); low ]) |> cast 1L

    let private noise (graph: OnnxGraph) (form: PolicyForm) (actionDim: int) =
        graph.Input("initial", [ batch; fixedAt form.Particles; fixedAt actionDim ])

    /// Columns of the last axis.
    let private columns (graph: OnnxGraph) (from: int) (count: int) (x: string) =
        graph.Apply("Slice", [ x; graph.Places [ from ]; graph.Places [ from + count ]; graph.Places [ -1 ] ])

    let private direct
        (graph: OnnxGraph)
        (form: PolicyForm)
        (actionDim: int)
        (net: FormNetwork)
        (spread: FormSpread)
        (finish: FormEnd)
        (obs: string)
        : string =
        let output = OnnxLayers.ofObs graph net obs
        let rows x = graph.Apply("Unsqueeze", [ x; graph.Places [ 1 ] ])
        let width = (List.last net.Pieces).Shape.OutputWidth

        let mean = (if width = actionDim then output else columns graph 0 actionDim output) |> rows

        match spread with
        | FormSpread.Mode -> mean
        | FormSpread.Constant deviation ->
            graph.Apply("Add", [ mean; noise graph form actionDim |> times graph deviation ])
        | FormSpread.Outputs logStd ->
            let raw = columns graph actionDim actionDim output |> rows

            let logStd =
                match logStd with
                | LogStd.Clipped(low, high) -> graph.Apply("Clip", [ raw; graph.Number low; graph.Number high ])
                | LogStd.Smooth(low, high) ->
                    let half = graph.Apply("Tanh", [ raw ]) |> times graph (0.5 * (high - low))
                    graph.Apply("Add", [ half; graph.Number(0.5 * (low + high)) ])

            let std = graph.Apply("Exp", [ logStd ])
            graph.Apply("Add", [ mean; graph.Apply("Mul", [ std; noise graph form actionDim ]) ])
        |> ended graph finish

    let private chained
        (graph: OnnxGraph)
        (form: PolicyForm)
        (obsDim: int)
        (actionDim: int)
        (c: FormChain)
        (obs: string)
        : string =
        let initial = noise graph form actionDim

        let steps =
            if c.Steps |> Array.exists (fun s -> s.Spread <> 0.0) then
                graph.Input("steps", [ fixedAt c.Steps.Length; batch; fixedAt form.Particles; fixedAt actionDim ])
            else
                ""

        let network = OnnxLayers.shared graph c.Network obsDim actionDim obs

        let row i =
            if c.Times.IsEmpty then
                None
            else
                Some($"{c.Network.Leaf}.step{i}", OnnxLayers.embedding c.Network c.Times i)

        let spread i (s: FormStep) (x: string) =
            if s.Spread = 0.0 then
                x
            else
                let z = graph.Apply("Gather", [ steps; graph.Place i ], [ OnnxMessages.int "axis" 0L ])
                let z = c.NoiseClip |> Option.fold (fun z limit -> clipped graph limit z) z
                graph.Apply("Add", [ x; times graph s.Spread z ])

        let step x i =
            let s = c.Steps[i]
            let output = network (row i) x |> times graph s.OfOutput
            let estimate = graph.Apply("Add", [ times graph s.OfState x; output ])
            let estimate = if c.ClipsEstimate then clipped graph 1.0 estimate else estimate
            let moved = times graph s.OfEstimate estimate

            let moved =
                if s.Kept = 0.0 then
                    moved
                else
                    graph.Apply("Add", [ moved; times graph s.Kept x ])

            let next = spread i s moved
            if c.ClipsState then clipped graph 1.0 next else next

        Seq.fold step (times graph c.InitialScale initial) (seq { 0 .. c.Steps.Length - 1 })
        |> ended graph c.End

    /// The value of each candidate, [B, N].
    let private values (graph: OnnxGraph) (critics: FormCritics) obsDim actionDim (obs: string) (candidates: string) =
        let value net =
            let column = OnnxLayers.shared graph net obsDim actionDim obs None candidates
            graph.Apply("Squeeze", [ column; graph.Places [ 2 ] ])

        let values = List.map value critics.Networks

        match critics.Reduction with
        | QReduction.Minimum -> graph.Apply("Min", values)
        | QReduction.Mean -> graph.Apply("Sum", values) |> times graph (1.0 / float values.Length)

    /// From [-1, 1] to the task's range, kept in it.
    let private inUnits (graph: OnnxGraph) (task: EnvSpec) (action: string) : string =
        let vector name (value: int -> float) =
            let values () = Array.init task.ActionDim (value >> float32)
            graph.Float32s(name, [ task.ActionDim ], values)

        let low, high = Seq.toArray task.ActionLow, Seq.toArray task.ActionHigh
        let isFree i = System.Double.IsInfinity(high[i] - low[i])
        let half = vector "task.half" (fun i -> if isFree i then 1.0 else 0.5 * (high[i] - low[i]))
        let middle = vector "task.middle" (fun i -> if isFree i then 0.0 else 0.5 * (high[i] + low[i]))
        let scaled = graph.Apply("Add", [ graph.Apply("Mul", [ action; half ]); middle ])
        let least = graph.Apply("Max", [ scaled; vector "task.low" (Array.get low) ])
        graph.Apply("Min", [ least; vector "task.high" (Array.get high) ])

    /// The model of a policy on a task.
    let model (form: PolicyForm) (task: EnvSpec) (metadata: (string * string) list) : ByteString =
        let graph = OnnxGraph()
        let obsDim, actionDim, particles = task.ObsDim, task.ActionDim, form.Particles
        let obs = graph.Input("obs", [ batch; fixedAt obsDim ]) |> seen graph form

        let candidates =
            match form.Candidates with
            | FormCandidates.Direct(net, spread, finish) -> direct graph form actionDim net spread finish obs
            | FormCandidates.Chain chain -> chained graph form obsDim actionDim chain obs

        let action, values =
            match form.Critics with
            | None -> graph.Apply("Squeeze", [ candidates; graph.Places [ 1 ] ]), None
            | Some critics ->
                let values = values graph critics obsDim actionDim obs candidates
                let best = graph.Apply("ArgMax", [ values ], [ OnnxMessages.int "axis" 1L ])
                graph.Apply("GatherND", [ candidates; best ], [ OnnxMessages.int "batch_dims" 1L ]), Some values

        graph.Output("action", inUnits graph task action, [ batch; fixedAt actionDim ])
        graph.Output("candidates", candidates, [ batch; fixedAt particles; fixedAt actionDim ])

        match values with
        | Some values -> graph.Output("values", values, [ batch; fixedAt particles ])
        | None -> ()

        graph.Model("policy", metadata)
