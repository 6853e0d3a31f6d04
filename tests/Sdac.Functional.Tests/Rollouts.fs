/// Rounds of on-policy agents, of transitions that a test makes up.
module Sdac.Tests.Rollouts

open Sdac.Functional

type internal MadeRollout<'state, 'work> =
    {
        Agent: Agent<'state, 'work>
        First: 'state
        State: 'state
        Memory: Replay
        /// As they were stored
        Stored: Transitions list
    }

/// A round of random rewards and observations of four numbers for an agent of two actions; episodes end as `ends` says of each
/// row, by 1 a termination and by 2 a time limit.
let internal collected (agent: Agent<'state, 'work>) (ends: int -> int) (key: Key) : MadeRollout<'state, 'work> =
    let count = agent.Rhythm.Environments
    let numbers width key = Tensors.toArray (Key.normal Compute.cpu [ count * width ] key)
    let first = agent.Init(Key.foldIn 1L key)

    let step (state, memory, obs, stored) t =
        let keys = Key.splitMany 4 (Key.foldIn (100L + int64 t) key)
        let acted = agent.Act Purpose.Explore state keys[0] (Tensors.ofArray Compute.cpu [ count; 4 ] obs)
        let led = numbers 4 keys[1] |> Array.map (fun x -> 3.0f * x + 1.0f)
        let ended = Array.init count (fun e -> ends (t * count + e))
        let fresh = numbers 4 keys[2]

        let transitions: Transitions =
            { Obs = obs
              Action = Tensors.toArray acted.Action
              Reward = numbers 1 keys[3]
              Terminated = Array.map ((=) 1) ended
              Truncated = Array.map ((=) 2) ended
              NextObs = led
              Current = Array.init led.Length (fun i -> if ended[i / 4] = 0 then led[i] else fresh[i])
              Extras = List.map Tensors.toArray acted.Extras }

        let struct (state, transitions) = agent.Observe transitions state
        state, Replay.append transitions memory, transitions.Current, transitions :: stored

    let empty = Replay.createWith (List.map snd agent.Extras) count 4 2 agent.Rhythm.Capacity

    let state, memory, _, stored =
        Seq.fold step (first, empty, numbers 4 (Key.foldIn 2L key), []) (seq { 0 .. agent.Rhythm.VectorSteps - 1 })

    { Agent = agent; First = first; State = state; Memory = memory; Stored = List.rev stored }

/// What `Prepare` makes of a round.
let internal table (r: MadeRollout<'state, 'work>) (key: Key) : struct ('state * RoundTable) =
    r.Agent.Prepare key r.Memory r.State

/// For an agent whose updates draw nothing.
let internal noKeys = { Batch = Key.ofSeed 0L; Noise = Key.ofSeed 1L }

/// A number of each transition of a round, row by row.
let internal all (f: Transitions -> 'a[]) (r: MadeRollout<'state, 'work>) : 'a[] =
    r.Stored |> List.map f |> Array.concat
