namespace Sdac.Experiments

open System
open Microsoft.FSharp.Reflection
open Sdac.Functional

/// What the contract demands of an agent's state: nothing of it is forgotten, shared or leaked.
[<RequireQualifiedAccess>]
module internal StateClauses =
    let private require = ContractCase.require

    /// Another value for every leaf.
    let private changing: IVisit =
        { new IVisit with
            member _.Params(_, value) = Params.withFlat (value.Flat.add (Scalars.ofFloat 1.0)) value

            member _.Adam(_, value) =
                { M = value.M.add (Scalars.ofFloat 1.0)
                  V = value.V.add (Scalars.ofFloat 1.0)
                  Count = value.Count + 1L }

            member _.Float(_, value) = value + 1.0
            member _.Int(_, value) = value + 1L
            member _.Numbers(_, value) = Array.map ((+) 1.0) value

            member _.Rows(_, value) = value.Append(ReadOnlySpan(Array.create value.Width 1f)) }

    /// The paths of the fields, at any depth, that two values have in common.
    let rec private unchanged (path: string) (ty: Type) (a: obj | null) (b: obj | null) : string list =
        let fields (names: string[]) (types: Type[]) (valuesOf: obj -> (obj | null)[]) =
            match a, b with
            | NonNull a, NonNull b ->
                Array.zip3 names types (Array.zip (valuesOf a) (valuesOf b))
                |> List.ofArray
                |> List.collect (fun (name, ty, (x, y)) ->
                    unchanged (if path = "" then name else $"{path}.{name}") ty x y)
            | _ -> [ path ]

        match a, b with
        | (:? Params as a), (:? Params as b) -> if obj.ReferenceEquals(a.Flat, b.Flat) then [ path ] else []
        | _ when FSharpType.IsRecord ty ->
            let own = FSharpType.GetRecordFields ty
            fields (own |> Array.map _.Name) (own |> Array.map _.PropertyType) FSharpValue.GetRecordFields
        | _ when FSharpType.IsTuple ty ->
            let types = FSharpType.GetTupleElements ty
            fields (types |> Array.mapi (fun i _ -> $"item {i + 1}")) types FSharpValue.GetTupleFields
        | NonNull a, NonNull b -> if a.Equals b then [ path ] else []
        | _ -> [ path ]

    /// Parts gives every leaf a name of its own and reaches every field.
    let whole (case: ContractCase<'c, 's, 'w>) =
        ContractCase.using (ContractCase.start 1L case) (fun step ->
            let parts = step.Agent.Parts
            let names = Parts.names parts step.State

            let twice = names |> List.countBy id |> List.filter (fun (_, count) -> count > 1) |> List.map fst

            let twice = String.Join(", ", twice)
            require (twice = "") $"two leaves of the state are called {twice}: give each a name of its own in Parts"
            require (not names.IsEmpty) "the state has no leaves: visit its fields in Parts"
            use _ = TorchSharp.torch.NewDisposeScope()
            let changed = parts changing step.State
            let forgotten = unchanged "" typeof<'s> (box step.State) (box changed)
            let forgotten = String.Join(", ", forgotten)

            require
                (forgotten = "")
                $"Parts forgets {forgotten}: what it does not visit is lost in checkpoints and never freed")

    /// The networks of the beginning: twins differ, targets are copies.
    let beginnings (case: ContractCase<'c, 's, 'w>) =
        ContractCase.using (ContractCase.start 1L case) (fun step ->
            let networks = ResizeArray<string * float32[]>()

            let look =
                { new IVisit with
                    member _.Params(name, value) =
                        networks.Add(name, Tensors.toArray value.Flat)
                        value

                    member _.Adam(_, value) = value
                    member _.Float(_, value) = value
                    member _.Int(_, value) = value
                    member _.Numbers(_, value) = value
                    member _.Rows(_, value) = value }

            step.Agent.Parts look step.State |> ignore
            let isTarget (name: string) = name.StartsWith("target_", StringComparison.Ordinal)

            let online =
                [ for name, values in networks do
                      if not (isTarget name) then
                          name, values ]

            for i, (a, x) in List.indexed online do
                for b, y in List.skip (i + 1) online do
                    require (x <> y) $"{a} and {b} begin with the same parameters: draw each from a key of its own"

            for name, values in networks do
                if isTarget name then
                    let followedName = name.Substring "target_".Length

                    match List.tryFind (fst >> (=) followedName) online with
                    | Some(_, followed) ->
                        require
                            (values = followed)
                            $"{name} does not begin as a copy of {followedName}, which it follows"
                    | None -> ())

    /// An iteration changes nothing of the step that it is given, and twice the same gives the same bits.
    let purity (case: ContractCase<'c, 's, 'w>) =
        ContractCase.using (ContractCase.start 2L case |> ContractCase.rounds 1) (fun step ->
            let all (step: Step<'s, 'w>) =
                ContractCase.leavesOf step, step.Memory.Total, step.Iteration, step.EnvSteps, step.Obs

            let before = all step
            use _ = TorchSharp.torch.NewDisposeScope()
            let once = Round.iterate Pipeline.standard step
            let twice = Round.iterate Pipeline.standard step
            let same = ContractCase.differing (ContractCase.leavesOf once) (ContractCase.leavesOf twice)

            let moved =
                ContractCase.differing (let (leaves, _, _, _, _) = before in leaves) (ContractCase.leavesOf once)

            let names (leaves: string list) = String.Join(", ", leaves)

            try
                require
                    (all step = before)
                    "an iteration has changed the step that it was given: make new values instead"

                require
                    same.IsEmpty
                    $"the same iteration twice gives other bits in {names same}: draw from the keys given only"

                require (not moved.IsEmpty) "an iteration changes nothing of the state"
            finally
                for next in [ once; twice ] do
                    for tensor in Round.tensorsNotIn step next do
                        tensor.Dispose())

    /// The names of the networks and optimisers of a state.
    let private learning (parts: Parts<'s>) (state: 's) : Set<string> =
        let found = ResizeArray<string>()

        let look =
            { new IVisit with
                member _.Params(name, value) =
                    found.Add name
                    value

                member _.Adam(name, value) =
                    found.Add $"{name}.adam"
                    value

                member _.Float(_, value) = value
                member _.Int(_, value) = value
                member _.Numbers(_, value) = value
                member _.Rows(_, value) = value }

        parts look state |> ignore
        Set found

    /// The number of native tensors alive stays the same over 200 rounds, and none is left at the end. Meanwhile every network and
    /// every optimiser's moments have moved.
    let flat (case: ContractCase<'c, 's, 'w>) =
        let atFirst = ContractCase.liveTensors ()
        let mutable step = ContractCase.start 3L case

        try
            let start = ContractCase.leavesOf step
            step <- ContractCase.rounds 20 step
            let before = ContractCase.liveTensors ()
            step <- ContractCase.rounds 200 step
            let after = ContractCase.liveTensors ()
            require (after = before) $"{after - before} more tensors are alive after 200 rounds"
            let moved = ContractCase.differing start (ContractCase.leavesOf step)
            let still = learning step.Agent.Parts step.State - Set moved

            require
                still.IsEmpty
                $"""{String.Join(", ", still)} stand still over 220 rounds: put what an update makes of them into its next state"""
        finally
            Round.dispose step

        let left = ContractCase.liveTensors () - atFirst
        require (left = 0L) $"{left} tensors are left when a run is freed: visit them in Parts"
