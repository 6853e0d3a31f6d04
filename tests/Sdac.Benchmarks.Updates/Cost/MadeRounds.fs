namespace Sdac.Benchmarks

open System
open Sdac.Functional
open TorchSharp

/// An agent's rounds on made-up transitions: normal numbers for observations and rewards, no physics, spaces of any size.
/// Episodes never end, and a round goes on where the algorithm would end it early. warmUp: random transitions first.
[<Sealed>]
type MadeRounds<'state, 'work>(agent: Agent<'state, 'work>, warmUp: int) =
    let { ObsDim = obsDim; ActionDim = actionDim } = agent.Space
    let count = agent.Rhythm.Environments
    let learn = agent.Stages |> List.map snd |> List.fold (>>) id
    let mutable keys = 0L

    let key () =
        keys <- keys + 1L
        Key.foldIn keys (Key.ofSeed 1L)

    let numbers length =
        use _ = torch.NewDisposeScope()
        Key.normal Compute.cpu [ length ] (key ()) |> Tensors.toArray

    let mutable state = agent.Init(key ())

    let mutable memory =
        Replay.createWith (List.map snd agent.Extras) count obsDim actionDim agent.Rhythm.Capacity

    let mutable obs = numbers (count * obsDim)
    let mutable table: RoundTable option = None
    let mutable updates = 0

    let own (next: unit -> 'state) =
        let next = Tensors.owning (Parts.tensorsNotIn agent.Parts state) next
        Parts.disposeReplaced agent.Parts next state
        state <- next

    let remember (action: float32[]) (extras: float32[] list) : 'state =
        let next = numbers (count * obsDim)

        let struct (after, stored) =
            agent.Observe
                { Obs = obs
                  Action = action
                  Reward = numbers count
                  Terminated = Array.zeroCreate count
                  Truncated = Array.zeroCreate count
                  NextObs = next
                  Current = next
                  Extras = extras }
                state

        memory <- Replay.append stored memory
        obs <- next
        after

    let random () =
        let action = numbers (count * actionDim) |> Array.map (fun a -> Math.Clamp(a, -1f, 1f))
        own (fun () -> remember action [ for _, width in agent.Extras -> Array.zeroCreate (count * width) ])

    do
        while memory.Total < int64 warmUp do
            random ()

    /// An action for each of so many made-up observations.
    member _.Act (purpose: Purpose) (rows: int) : unit =
        let seen = numbers (rows * obsDim)
        use _ = torch.NewDisposeScope()
        agent.Act purpose state (key ()) (Tensors.ofArray agent.Compute [ rows; obsDim ] seen) |> ignore

    /// A step of all environments.
    member _.VectorStep() : unit =
        own (fun () ->
            let acted =
                agent.Act Purpose.Explore state (key ()) (Tensors.ofArray agent.Compute [ count; obsDim ] obs)

            remember (Tensors.toArray acted.Action) (List.map Tensors.toArray acted.Extras))

    /// A round's steps; of an agent that keeps its memory, which can learn at once, a single one.
    member rounds.Collect() : unit =
        if agent.Rhythm.KeepMemory then
            rounds.VectorStep()
        else
            memory <- Replay.cleared memory

            for _ in 1 .. agent.Rhythm.VectorSteps do
                rounds.VectorStep()

    /// What a round computes once, after collecting.
    member _.Prepare() : unit =
        own (fun () ->
            let struct (after, prepared) = agent.Prepare (key ()) memory state
            table <- Some prepared
            updates <- 0
            after)

    /// An update of a prepared round; behind the last one of a round that drops its memory, the first of the same rows prepared again.
    member rounds.Update() : unit =
        if not agent.Rhythm.KeepMemory && updates = agent.Rhythm.Updates then
            rounds.Prepare()

        updates <- updates + 1

        own (fun () ->
            let work = agent.Begin table.Value { Batch = key (); Noise = key () } state
            (work |> learn |> agent.Finish).State)

    interface IDisposable with
        member _.Dispose() = Parts.dispose agent.Parts state
