namespace Sdac.Sampling

open Sdac.Functional
open TorchSharp

/// On-policy agents for one state: they learn from the rewards of their own actions, not from a critic.
[<RequireQualifiedAccess>]
module OneStateRounds =
    /// A step of all environments: episodes of one step each, whose rewards are the values of the actions.
    let private step
        (agent: Agent<'s, 'w>)
        (value: ActionValue)
        (key: Key)
        struct (state: 's, memory: Replay)
        : struct ('s * Replay) =
        let count = agent.Rhythm.Environments
        let still, obs = Array.zeroCreate<float32> count, Tensors.zeros Compute.cpu [ count; 1 ]
        let acted = agent.Act Purpose.Explore state key obs

        let struct (state, stored) =
            agent.Observe
                { Obs = still
                  Action = Tensors.toArray acted.Action
                  Reward = value.Values obs (acted.Action.unsqueeze 1L) |> Tensors.toArray
                  Terminated = Array.create count true
                  Truncated = Array.create count false
                  NextObs = still
                  Current = still
                  Extras = List.map Tensors.toArray acted.Extras }
                state

        struct (state, Replay.append stored memory)

    /// An update; what it replaces of the state is freed.
    let private update (agent: Agent<'s, 'w>) (table: RoundTable) (keys: UpdateKeys) (state: 's) : Finished<'s> =
        let kept (finished: Finished<'s>) = Parts.tensorsNotIn agent.Parts state finished.State

        let finished =
            Tensors.owning kept (fun () ->
                let work = agent.Begin table keys state
                agent.Stages |> List.fold (fun work (_, stage) -> stage work) work |> agent.Finish)

        Parts.disposeReplaced agent.Parts finished.State state
        finished

    let private round (agent: Agent<'s, 'w>) (value: ActionValue) (state: 's) (key: Key) : 's =
        use _ = torch.NewDisposeScope()
        let r = agent.Rhythm
        let keys = Key.splitMany (1 + r.VectorSteps + r.Updates) key
        let empty = Replay.createWith (List.map snd agent.Extras) r.Environments 1 1 r.Capacity

        let struct (state, memory) =
            Array.fold (fun at key -> step agent value key at) (struct (state, empty)) keys[1 .. r.VectorSteps]

        let struct (state, table) = agent.Prepare keys[0] memory state

        let next (state, verdict) key =
            if verdict = Verdict.EndOfRound then
                state, verdict
            else
                let struct (batchKey, noiseKey) = Key.split key
                let finished = update agent table { Batch = batchKey; Noise = noiseKey } state
                finished.State, finished.Verdict

        Array.fold next (state, Verdict.Continue) keys[1 + r.VectorSteps ..] |> fst

    /// So many updates with this value, at least a round of them, then n actions.
    let run (agent: Agent<'s, 'w>) (value: ActionValue) (updates: int) (n: int) (key: Key) : float32[] =
        let keys = Key.splitMany 3 key
        let rounds = Key.splitMany (max 1 (updates / agent.Rhythm.Updates)) keys[1]
        let state = Array.fold (round agent value) (agent.Init keys[0]) rounds
        use _ = torch.NewDisposeScope()
        let acted = agent.Act Purpose.Explore state keys[2] (Tensors.zeros Compute.cpu [ n; 1 ])
        let actions = Tensors.toArray acted.Action
        Parts.dispose agent.Parts state
        actions
