namespace Sdac.Experiments

open System
open System.Diagnostics
open System.IO
open System.Threading
open Sdac.Functional
open Sdac.Sampling

/// A cell that is wanted: what, by which method, with which seed.
[<NoComparison; NoEquality>]
type ToyWish =
    { Target: Target
      Method: ToyMethod
      Seed: int64 }

    /// Where the cell is kept.
    member wish.Path(folder: string) = ToyCell.path folder wish.Target wish.Method wish.Seed
    /// The kept cell, if it is there, whole and of these settings.
    member wish.TryLoad(folder: string) = ToyCell.tryLoad (wish.Path folder) wish.Target wish.Method wish.Seed

/// Computing the cells of the page. Each is kept as soon as it is finished and not computed again.
[<RequireQualifiedAccess>]
module ToyRun =
    /// Milliseconds between two looks at the workers.
    [<Literal>]
    let private Poll = 200

    /// All combinations, in the order of the page.
    let wishes (targets: Target list) (methods: ToyMethod list) (seeds: int64 list) : ToyWish list =
        [ for target in targets do
              for method in methods do
                  for seed in seeds do
                      { Target = target; Method = method; Seed = seed } ]

    /// The wishes that the folder does not hold.
    let missing (folder: string) (wishes: ToyWish list) : ToyWish list =
        wishes |> List.filter (fun wish -> (wish.TryLoad folder).IsNone)

    // What one training makes: methods of one family share it.
    let private trainings (wishes: ToyWish list) =
        wishes |> List.groupBy (fun wish -> wish.Target.Name, wish.Method.Family, wish.Seed) |> List.map snd

    /// The first wishes, at most `count` of them and whole trainings only, unless the first training alone has more: a
    /// training that is cut would be run again for the rest of its cells.
    let atMost (count: int) (wishes: ToyWish list) : ToyWish list =
        let trainings = trainings wishes
        let sums = trainings |> List.scan (fun sum cells -> sum + cells.Length) 0 |> List.tail

        match List.zip trainings sums |> List.takeWhile (fun (_, sum) -> sum <= count), trainings with
        | [], first :: _ -> List.truncate count first
        | whole, _ -> List.collect fst whole

    /// The cells of the wishes that the folder holds.
    let kept (folder: string) (wishes: ToyWish list) : ToyCell list =
        wishes |> List.choose (fun wish -> wish.TryLoad folder)

    /// Computes what is missing in this process, one after the other.
    let work (folder: string) (wishes: ToyWish list) =
        for family in missing folder wishes |> trainings do
            let cells = ToyCell.compute family.Head.Target (family |> List.map _.Method) family.Head.Seed
            List.iter2 (fun (wish: ToyWish) -> ToyCell.save (wish.Path folder)) family cells

    /// A process's part: one family of methods on one target, so that its peak of memory is theirs.
    type private Group = { Name: string; Wishes: ToyWish list; Arguments: string list }

    let private group (wishes: ToyWish list) =
        let first = wishes.Head
        let seeds = wishes |> List.map _.Seed
        let methods = wishes |> List.map _.Method.Name |> List.distinct
        let count = List.max seeds - List.min seeds + 1L

        { Name = $"{first.Target.Name}-{first.Method.Family}"
          Wishes = wishes
          Arguments =
            [ "--target"; first.Target.Name; "--seed"; string (List.min seeds); "--seeds"; string count ]
            @ List.collect (fun method -> [ "--method"; method ]) methods }

    let private logOf folder (group: Group) = Path.Combine(folder, "logs", $"{group.Name}.log")

    /// What a failed process said last.
    let private complaint folder (group: Group) =
        match
            File.ReadAllLines(logOf folder group)
            |> Array.filter (fun line -> line.Trim() <> "")
            |> Array.tryLast
        with
        | Some line -> $"{group.Name} ({line.Trim().TrimEnd('.')})"
        | None -> group.Name

    let private start folder (worker: string list) (group: Group) =
        // bash for the log, which is then whole even if this process is killed
        Sessions.start (
            [ "bash"; "-c"; "log=$1; shift; exec \"$@\" >\"$log\" 2>&1 </dev/null"; "bash"; logOf folder group ]
            @ worker
            @ group.Arguments
        )

    /// Computes what is missing in processes of their own, `jobs` at a time. `worker` is the command that takes toy.fsx's
    /// arguments and calls `work`. `show` is told how many cells are finished and what is under way. Returns the
    /// sentences of the groups that failed; stops early when asked to.
    let supervise
        (folder: string)
        (worker: string list)
        (jobs: int)
        (wishes: ToyWish list)
        (stopping: CancellationToken)
        (show: int * string -> unit)
        : string list =
        for part in [ "cells"; "logs" ] do
            Files.createFolder (Path.Combine(folder, part))

        let wishes = missing folder wishes
        // what is there is damaged or out of date
        for wish in wishes do
            File.Delete(wish.Path folder)

        let groups = wishes |> List.groupBy (fun w -> w.Target.Name, w.Method.Family) |> List.map (snd >> group)
        let waiting = Collections.Generic.Queue groups
        let mutable busy: (Group * Process) list = []
        let failures = ResizeArray()

        let report () =
            let finished = wishes |> List.filter (fun wish -> File.Exists(wish.Path folder)) |> List.length
            show (finished, busy |> List.map (fun (group, _) -> group.Name) |> String.concat ", ")

        let retire (group: Group, worker: Process) =
            if worker.ExitCode <> 0 then
                failures.Add(complaint folder group)

            worker.Dispose()

        try
            while not stopping.IsCancellationRequested && (waiting.Count > 0 || not busy.IsEmpty) do
                let over, going = busy |> List.partition (fun (_, worker) -> worker.HasExited)
                List.iter retire over
                busy <- going

                while busy.Length < jobs && waiting.Count > 0 do
                    let next = waiting.Dequeue()
                    busy <- busy @ [ next, start folder worker next ]

                report ()

                if not busy.IsEmpty then
                    stopping.WaitHandle.WaitOne Poll |> ignore
        finally
            Sessions.stop (List.map snd busy)

        List.ofSeq failures
