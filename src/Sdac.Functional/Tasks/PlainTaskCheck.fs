namespace Sdac.Functional

open System
open Sdac.Environments

/// What makes a plain task impossible, said before anything is run with it.
[<RequireQualifiedAccess>]
module internal PlainTaskCheck =
    let private refuse (task: string) (sentence: string) : 'a = raise (ArgumentException $"{task}: {sentence}")

    /// Calls a function of the task's; what it throws names it.
    let attempt (task: string) (what: string) (work: unit -> 'a) : 'a =
        try
            work ()
        with error ->
            let message = error.Message.ReplaceLineEndings " "
            raise (TaskFunctionException($"{task}: {what} failed with {error.GetType().Name}: {message}", error))

    /// Bounds and sizes.
    let sizes (task: string) (low: float list) (high: float list) (obsDim: int) (maxEpisodeSteps: int) =
        if String.IsNullOrWhiteSpace task then
            invalidArg (nameof task) "a task has no Name: give one, such as \"cart\""

        if low.IsEmpty || low.Length <> high.Length then
            refuse
                task
                $"ActionLow has {low.Length} numbers and ActionHigh {high.Length}: give both one for each component of an action"

        for i, (low, high) in List.indexed (List.zip low high) do
            if not (Double.IsFinite low && Double.IsFinite high && low < high) then
                refuse
                    task
                    $"component {i} of its actions lies in [{string low}, {string high}]: give finite bounds, the lower one first"

        if obsDim < 1 then
            refuse task $"ObsDim is {obsDim}, but must be at least 1 (numbers that Observe writes)"

        if maxEpisodeSteps < 1 then
            refuse task $"MaxEpisodeSteps is {maxEpisodeSteps}, but must be at least 1"

    let private names (paths: string list) =
        match paths with
        | [ "" ] -> "the state"
        | paths -> String.Join(", ", paths)

    let private unsaved (task: string) (fields: string list) =
        if not fields.IsEmpty then
            refuse
                task
                $"its state cannot be saved: Parts loses {names fields}; visit it (visit.Float, visit.Int, visit.Numbers), or close over what no step changes"

    /// Every leaf of a state is a number with a name of its own, and comes back when the state is made from its numbers.
    /// `first`, `other`: two states of the task, of different episodes.
    let state (task: string) (parts: Parts<'state>) (first: 'state) (other: 'state) =
        let leaves =
            try
                attempt task "Parts" (fun () -> PlainState.leaves parts first)
            with :? TaskFunctionException as error ->
                match error.InnerException with
                | NonNull(NotANumberLeaf(name, what)) ->
                    refuse
                        task
                        $"its state cannot be saved: '{name}' is {what}; a task's state holds numbers alone (visit.Float, visit.Int, visit.Numbers)"
                | _ -> reraise ()

        match leaves |> List.countBy fst |> List.tryFind (fun (_, count) -> count > 1) with
        | Some(name, _) ->
            refuse
                task
                $"its state cannot be saved: two leaves are called '{name}'; give each a name of its own in Parts"
        | None -> ()

        let back =
            attempt task "Parts" (fun () ->
                let codec = PlainState.Codec(parts, first)
                let numbers = Array.zeroCreate<float> codec.Size
                codec.Write(other, Span numbers) |> ignore
                codec.Read(ReadOnlySpan numbers))

        StateFields.compare "" (box other) (box back)
        |> List.filter (snd >> not)
        |> List.map fst
        |> unsaved task

        // A field that both states have in common comes back unvisited too: it must follow a change of its leaf. Leaves may be
        // such that not every number is one of them.
        let changed =
            try
                Some(PlainState.changed parts other)
            with _ ->
                None

        match changed with
        | Some changed ->
            StateFields.compare "" (box other) (box changed) |> List.filter snd |> List.map fst |> unsaved task
        | None -> ()
