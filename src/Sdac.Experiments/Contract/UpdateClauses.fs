namespace Sdac.Experiments

open System
open System.Collections.Generic
open Sdac.Functional
open Sdac.Kernels

/// What the contract demands of rounds: which numbers they draw, what they store and tell, and that they learn.
[<RequireQualifiedAccess>]
module internal UpdateClauses =
    let private require = ContractCase.require

    let private names (leaves: string list) = String.Join(", ", leaves)

    /// The same bits on 1, 2 and 3 threads.
    let threads (case: ContractCase<'c, 's, 'w>) =
        let before = Workers.Threads

        let run count =
            Workers.Threads <- count
            ContractCase.using (ContractCase.start 4L case |> ContractCase.rounds 6) ContractCase.leavesOf

        try
            let one = run 1

            for count in [ 2; 3 ] do
                let differing = ContractCase.differing one (run count)
                require differing.IsEmpty $"{count} threads give other bits than one in {names differing}"
        finally
            Workers.Threads <- before

    /// The kernels' results are libtorch's, within 1e-4 of each leaf's largest number.
    let kernels (case: ContractCase<'c, 's, 'w>) =
        let run compute =
            ContractCase.using
                (ContractCase.beginOn compute (ContractTask.create 1 true) 5L case |> ContractCase.rounds 4)
                ContractCase.leavesOf

        for (name, ours), (_, theirs) in List.zip (run Compute.cpu) (run Compute.libtorch) do
            let scale = theirs |> Array.map abs |> Array.fold max 1.0
            let distance = Array.map2 (fun (a: float) b -> abs (a - b) / scale) ours theirs |> Array.fold max 0.0
            require (distance <= 1e-4) $"{name} by our kernels is {Number.display distance} away from libtorch's"

    /// Every key gives numbers once or is split, never both, over three rounds and an evaluation.
    let keys (case: ContractCase<'c, 's, 'w>) =
        let play () =
            ContractCase.using (ContractCase.start 6L case |> ContractCase.rounds 3) (fun step ->
                use arena = new Environment(ContractTask.create 4 false, 3)
                Evaluation.run step.Agent arena (Key.ofSeed 9L) step.State |> ignore)

        let struct (_, uses) = KeyTrace.during play
        let drawn, split = HashSet<PhiloxKey>(), HashSet<PhiloxKey>()

        for used in uses do
            match used with
            | Numbers key ->
                require
                    (drawn.Add key)
                    "the same key gives numbers twice: they are the same numbers; derive a key for each use"
            | Keys key -> split.Add key |> ignore

        require (drawn.Count > 0) "no random numbers are drawn"
        drawn.IntersectWith split
        require (drawn.Count = 0) "a key that gave numbers is split as well: its children are not independent of them"

    /// Each iteration learns from another batch.
    let batches (case: ContractCase<'c, 's, 'w>) =
        let seen = List<float32[]>()

        let watch =
            Pipeline.onBatch "watch" (fun batch ->
                seen.Add(Array.append (Tensors.toArray batch.Obs) (Tensors.toArray batch.Action))
                batch)

        let learn (step: Step<'s, 'w>) : Step<'s, 'w> =
            (step.Agent.Stages |> List.map (fun (name, f) -> Round.onWork name f) |> List.reduce (>>)) step

        let mutable step = ContractCase.start 7L case

        try
            for _ in 1..4 do
                step <- Round.consume (Round.collect >> watch >> learn) step
        finally
            Round.dispose step

        require (seen.Count >= 4) "OnBatch does not reach the transitions of an update"
        require ((seen |> Seq.distinct |> Seq.length) = seen.Count) "two iterations learn from the same batch"

    /// A time limit is stored as no termination, with the observation that it led to.
    let limits (case: ContractCase<'c, 's, 'w>) =
        let stored steps terminates =
            let task = ContractTask.create steps terminates

            ContractCase.using (ContractCase.beginOn Compute.cpu task 8L case |> ContractCase.rounds 3) (fun step ->
                use _ = TorchSharp.torch.NewDisposeScope()
                let batch = Replay.gather Compute.cpu [| 0 .. step.Memory.Count - 1 |] step.Memory
                Tensors.toArray batch.Terminated, Tensors.toArray batch.Obs, Tensors.toArray batch.NextObs)

        let terminated, obs, next = stored 3 false
        require (terminated |> Array.forall ((=) 0.0f)) "a step at the time limit is stored as a termination"
        // the point of the contract's task stays where it is until its episode ends
        require (obs = next) "a step at the time limit is stored with the observation of the next episode"
        let terminated, _, _ = stored 1 true
        require (terminated |> Array.forall ((=) 1.0f)) "a termination is stored as none"

    /// A time limit bootstraps and a termination does not: the same episodes ended by the one or the other teach other things.
    let bootstraps (case: ContractCase<'c, 's, 'w>) =
        let learned terminates =
            let task = ContractTask.create 1 terminates

            ContractCase.using
                (ContractCase.beginOn Compute.cpu task 9L case |> ContractCase.rounds 4)
                ContractCase.leavesOf

        let differing = ContractCase.differing (learned true) (learned false)
        require (not differing.IsEmpty) "time limits and terminations teach the same: one of them must bootstrap"

    /// What updates tell is declared, finite where it must be, and all that is declared is told.
    let figures (case: ContractCase<'c, 's, 'w>) =
        let infos = case.Algorithm.Figures
        let declared = infos |> List.map _.Name
        require (List.distinct declared = declared) "two figures have the same name"
        let told = HashSet<string>()

        let check (step: Step<'s, 'w>) =
            let figures = step.Figures |> Option.defaultValue Map.empty

            let unknown =
                figures |> Map.keys |> Seq.filter (fun name -> not (List.contains name declared)) |> List.ofSeq

            require unknown.IsEmpty $"updates tell {names unknown}, which Figures does not declare"
            told.UnionWith(Map.keys figures)

            match Algorithm.firstNotFinite infos figures with
            | Some(title, value) -> ContractCase.broken $"{title} is {string value} at iteration {step.Iteration}"
            | None -> ()

            for tally in step.Tallies do
                match step.Agent.Distributions |> List.tryFind (fun d -> d.Quantity = tally.Quantity) with
                | Some d when d.Edges.Length = tally.Counts.Length + 1 -> ()
                | _ -> ContractCase.broken $"updates tally {tally.Quantity}, which Distributions does not declare so"

        let mutable step = ContractCase.start 10L case

        try
            for _ in 1..12 do
                step <- ContractCase.advance 1 step
                check step
        finally
            Round.dispose step

        let silent = declared |> List.filter (told.Contains >> not)
        require silent.IsEmpty $"no update of the first twelve tells {names silent}, which Figures declares"

    /// Exploration acts differently under another key.
    let explores (case: ContractCase<'c, 's, 'w>) =
        ContractCase.using (ContractCase.start 11L case) (fun step ->
            use _ = TorchSharp.torch.NewDisposeScope()
            let obs = Key.normal Compute.cpu [ 5; 2 ] (Key.ofSeed 1L)
            let act seed = Tensors.toArray (step.Agent.Act Purpose.Explore step.State (Key.ofSeed seed) obs).Action
            require (act 1L = act 1L) "the same key explores in two ways"
            require (act 1L <> act 2L) "another key explores in the same way")

    /// Three seeds of the preset learn the contract's task: at least 0.9 of 1 (random actions: 1/3), in every episode nearly alike.
    let learns (case: ContractCase<'c, 's, 'w>) =
        for seed in 1L .. 3L do
            let start = ContractCase.start seed case

            ContractCase.using (ContractCase.advance (int case.Preset.Iterations) start) (fun step ->
                use arena = new Environment(ContractTask.create 1 true, 64)
                let score = Evaluation.run step.Agent arena (Key.ofSeed 100L) step.State |> Score.ofEpisodes

                require
                    (score.Mean >= 0.9 && score.Deviation <= 0.15)
                    $"seed {seed} ends at a mean of {Number.display score.Mean} and a deviation of {Number.display score.Deviation} over 64 episodes; at least 0.9 and at most 0.15 are asked for")
