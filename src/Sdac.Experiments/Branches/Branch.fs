namespace Sdac.Experiments

open System
open System.IO
open Sdac.Functional

/// A run folder that goes on from a checkpoint of another, and how its results compare with that one's.
[<RequireQualifiedAccess>]
module internal Branch =
    /// The first bytes of a file.
    let private copyBeginning (from: string) (bytes: int64) (into: string) =
        let content = Files.reading from (fun () -> File.ReadAllBytes from)

        if content.LongLength < bytes then
            Errors.fail (
                Damaged
                    $"{from} ends after {content.LongLength} bytes, before the {bytes} that the checkpoint counts on"
            )

        Files.writeAtomic into (fun stream -> stream.Write(ReadOnlySpan(content, 0, int bytes)))

    let private copy (from: string) (into: string) =
        Files.reading from (fun () ->
            use source = File.OpenRead from
            Files.writeAtomic into source.CopyTo)

    /// The updates of a round.
    let private updates (registry: Registry) (spec: Spec) : int64 =
        (Spec.algorithm registry "the specification" spec.Algorithm).Open
            { new IOpen<int64> with
                member _.Open algorithm =
                    int64 (Spec.experiment registry.Tasks algorithm spec |> Experiment.rhythm).Updates }

    /// The kept checkpoints that a branch can go on from: at the end of a round, before the run's end; newest first.
    let starts (registry: Registry) (run: RunFolder) (spec: Spec) : (int64 * string) list =
        let updates = updates registry spec
        let own = set (Checkpoint.own run)

        RunFolder.checkpoints run
        |> List.filter (fun (iteration, path) ->
            own.Contains path && iteration < spec.Iterations && iteration % updates = 0L)

    /// A folder that holds the run as it was at a checkpoint, to go on with a specification. The run's own files are not touched.
    let plant (run: RunFolder) (iteration: int64, checkpoint: string) (spec: Spec) (path: string) : RunFolder =
        let struct (journal, parts) = CheckpointRestore.reach checkpoint
        let folder = RunFolder.create path false
        Files.createFolder folder.Memory

        for part in parts do
            if not (File.Exists(run.MemoryPartAt part.First)) then
                Errors.fail (
                    Damaged
                        $"{run.MemoryPartAt part.First} is missing: it holds a part of the replay memory; put it back, or choose a run that has its memory"
                )

            copy (run.MemoryPartAt part.First) (folder.MemoryPartAt part.First)

        copyBeginning run.Metrics journal.MetricsBytes folder.Metrics
        copyBeginning run.Events journal.EventBytes folder.Events

        // the machine that the run was made on: going on elsewhere is warned of
        if File.Exists run.Machine then
            copy run.Machine folder.Machine

        if Map.tryFind "spec" (Safetensors.metadata checkpoint) = Some(Spec.print (Spec.planned spec)) then
            copy checkpoint (folder.CheckpointAt iteration)
        else
            Checkpoint.rebase checkpoint spec (folder.CheckpointAt iteration)

        // of an evaluation before the checkpoint; a later one is the branch's to make again
        match BestCheckpoint.iteration run with
        | Some best when best < iteration -> copy run.Best folder.Best
        | _ -> ()

        Files.writeText folder.Spec (Spec.print spec)
        folder

    /// A folder for a run from its beginning.
    let plantAtBeginning (run: RunFolder) (spec: Spec) (path: string) : RunFolder =
        let folder = RunFolder.create path false

        if File.Exists run.Machine then
            copy run.Machine folder.Machine

        Files.writeText folder.Spec (Spec.print spec)
        folder

    /// Where a branch of the same specification first differs from its run, as far as both go; None where it does not: metrics.jsonl
    /// and TensorBoard's file, and the checkpoints that both keep, byte for byte.
    let difference (run: RunFolder) (branch: RunFolder) : string option =
        let bytes path = Files.reading path (fun () -> File.ReadAllBytes path)

        let firstLine () =
            let theirs, own = File.ReadAllLines run.Metrics, File.ReadAllLines branch.Metrics

            Seq.zip theirs own
            |> Seq.tryFindIndex (fun (a, b) -> a <> b)
            |> Option.map (fun i -> $"line {i + 1} of metrics.jsonl")

        let beginning (path: RunFolder -> string) =
            let theirs, own = bytes (path run), bytes (path branch)
            let shared = min theirs.Length own.Length

            if theirs.AsSpan(0, shared).SequenceEqual(own.AsSpan(0, shared)) then
                None
            else
                firstLine () |> Option.orElse (Some(string (Path.GetFileName(path run))))

        let checkpoint (path: string) =
            let name = string (Path.GetFileName path)
            let theirs = Path.Combine(run.Checkpoints, name)

            if File.Exists theirs && bytes theirs <> bytes path then
                Some $"checkpoint {name}"
            else
                None

        beginning _.Metrics
        |> Option.orElseWith (fun () -> beginning _.Events)
        |> Option.orElseWith (fun () -> Checkpoint.own branch |> List.rev |> List.tryPick checkpoint)
