namespace Sdac.Functional

open System.Collections.Generic

/// What a visitor of a state may meet. Each leaf comes with its name, unique within the state ("policy", "temperature.m"),
/// and is replaced by what the visitor returns.
type IVisit =
    /// A network's parameters.
    abstract Params: name: string * value: Params -> Params
    /// An optimiser's moments and its count.
    abstract Adam: name: string * value: AdamState -> AdamState
    abstract Float: name: string * value: float -> float
    abstract Int: name: string * value: int64 -> int64
    /// Numbers in double precision whose count the agent's sizes fix: running moments.
    abstract Numbers: name: string * value: float[] -> float[]
    /// Rows aligned to the transitions of the replay memory.
    abstract Rows: name: string * value: Column -> Column

/// The one traversal of a state: rebuilds it from its named leaves. Disposal, sharing, checkpoints and the tests' bits are
/// written once over it.
type Parts<'state> = IVisit -> 'state -> 'state

[<RequireQualifiedAccess>]
module Parts =
    /// A visitor that leaves all as it is and shows each tensor to `tensor` and each name to `name`.
    let private looking (name: string -> unit) (tensor: Tensor -> unit) =
        { new IVisit with
            member _.Params(at, value) =
                name at
                tensor value.Flat
                value

            member _.Adam(at, value) =
                name $"{at}.adam"
                tensor value.M
                tensor value.V
                value

            member _.Float(at, value) =
                name at
                value

            member _.Int(at, value) =
                name at
                value

            member _.Numbers(at, value) =
                name at
                value

            member _.Rows(at, value) =
                name at
                value }

    /// Every tensor of a state, in the order of the traversal.
    let tensors (parts: Parts<'state>) (state: 'state) : Tensor list =
        let found = List()
        parts (looking ignore found.Add) state |> ignore
        List.ofSeq found

    /// The names of all leaves, an optimiser's with ".adam" behind it.
    let names (parts: Parts<'state>) (state: 'state) : string list =
        let found = List()
        parts (looking found.Add ignore) state |> ignore
        List.ofSeq found

    /// The tensors of `state` that `other` does not hold. Parts that an update leaves alone are shared by both states.
    let tensorsNotIn (parts: Parts<'state>) (other: 'state) (state: 'state) : Tensor list =
        let shared = HashSet<Tensor>(tensors parts other, HashIdentity.Reference)
        tensors parts state |> List.filter (fun t -> not (shared.Contains t))

    /// Frees what `old` holds and `current` does not.
    let disposeReplaced (parts: Parts<'state>) (current: 'state) (old: 'state) =
        for t in tensorsNotIn parts current old do
            t.Dispose()

    /// Frees a state's tensors.
    let dispose (parts: Parts<'state>) (state: 'state) =
        for t in tensors parts state do
            t.Dispose()

    /// The visitor, for leaves whose names begin with `prefix` and a dot.
    let below (prefix: string) (visit: IVisit) : IVisit =
        { new IVisit with
            member _.Params(name, value) = visit.Params($"{prefix}.{name}", value)
            member _.Adam(name, value) = visit.Adam($"{prefix}.{name}", value)
            member _.Float(name, value) = visit.Float($"{prefix}.{name}", value)
            member _.Int(name, value) = visit.Int($"{prefix}.{name}", value)
            member _.Numbers(name, value) = visit.Numbers($"{prefix}.{name}", value)
            member _.Rows(name, value) = visit.Rows($"{prefix}.{name}", value) }

    /// The traversal of running moments.
    let moments (name: string) (visit: IVisit) (m: RunningMoments) : RunningMoments =
        { Count = visit.Float($"{name}.count", m.Count)
          Mean = visit.Numbers($"{name}.mean", m.Mean)
          Variance = visit.Numbers($"{name}.variance", m.Variance) }

    /// Two states as one. Their names must differ.
    let pair (first: Parts<'a>) (second: Parts<'b>) : Parts<struct ('a * 'b)> =
        fun visit struct (a, b) ->
            let a = first visit a
            struct (a, second visit b)
