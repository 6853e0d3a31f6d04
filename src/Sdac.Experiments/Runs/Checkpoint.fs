namespace Sdac.Experiments

open System
open System.IO
open System.Runtime.InteropServices
open Sdac.Functional
open Sdac.Kernels

/// All that a run needs to go on, on disk: one checksummed safetensors file per checkpoint, written atomically, which names
/// the parts of the replay memory that lie in files of their own (`Memory`).
[<RequireQualifiedAccess>]
module Checkpoint =
    /// Where the checkpoint of an iteration lies.
    let path (folder: RunFolder) (iteration: int64) = folder.CheckpointAt iteration

    /// The checkpoints of a run by their names, newest first.
    let list (folder: RunFolder) : string list = RunFolder.checkpoints folder |> List.map snd

    /// What a file with the name of a checkpoint says of itself.
    type private Content =
        /// That it is this checkpoint; unverified
        | Named of metadata: Map<string, string>
        /// That it is something else: somebody has given it this name
        | Other
        | Unreadable

    let private content (iteration: int64) (path: string) : Content =
        try
            let metadata = Safetensors.metadata path

            if Map.tryFind "iteration" metadata = Some(string iteration) then
                Named metadata
            else
                Other
        with :? UserError ->
            Unreadable

    /// The checkpoints that are what their names say, as far as their headers tell, newest first.
    let own (folder: RunFolder) : string list =
        RunFolder.checkpoints folder
        |> List.filter (fun (iteration, path) -> (content iteration path).IsNamed && not (NumberedFiles.isLink path))
        |> List.map snd

    /// The parts of the replay memory that a checkpoint names; none where it cannot be read.
    let private partsOf (path: string) (metadata: Map<string, string>) : MemoryPart list =
        try
            match Map.tryFind "memory" metadata with
            | Some text -> Json.parseOver path [] text
            | None -> []
        with :? UserError ->
            []

    /// Has a multiple of `every` come due in the round of so many updates that ended at `iteration`? Not where none ended there.
    let isDue (every: int64) (updates: int) (iteration: int64) : bool =
        every > 0L
        && iteration % int64 updates = 0L
        && iteration / every > (iteration - int64 updates) / every

    /// Removes the checkpoints up to `iteration` that are not among the newest ones or those kept for good, and what a signal or the
    /// clock has put between them; then the parts of the replay memory that none of the others names. Files that this run has not
    /// written are neither counted nor deleted, whatever their names. Those of later iterations could not be used, or the run would
    /// have gone on from them: they wait to be replaced.
    let prune (folder: RunFolder) (spec: Spec) (updates: int) (iteration: int64) =
        let delete path = Files.guarded "delete" path (fun () -> File.Delete path)
        let isPlanned at = at = spec.Iterations || isDue spec.CheckpointEvery updates at
        let isForGood at = isDue (spec.CheckpointEvery * spec.KeepEvery) updates at

        let rec follow left needed files =
            match files with
            | [] -> needed
            | (at, path) :: older ->
                match content at path with
                | _ when NumberedFiles.isLink path -> follow left needed older
                | Named metadata when at > iteration || (at = iteration && not (isPlanned at)) ->
                    follow left (partsOf path metadata @ needed) older
                | Named metadata when isPlanned at && (left > 0 || isForGood at) ->
                    follow (max 0 (left - 1)) (partsOf path metadata @ needed) older
                | Named _ ->
                    delete path
                    follow left needed older
                | Unreadable when left = 0 ->
                    delete path
                    follow left needed older
                | Unreadable
                | Other -> follow left needed older

        Memory.prune folder (follow spec.CheckpointsKept [] (RunFolder.checkpoints folder))

    /// Writes a checkpoint and removes what it makes superfluous. `written` are the parts of the replay memory that earlier
    /// ones have put on disk. The checkpoint's path, and the parts on disk now.
    let save
        (folder: RunFolder)
        (spec: Spec)
        (written: MemoryPart list)
        (journal: Journal)
        (step: Step<'s, 'w>)
        : struct (string * MemoryPart list) =
        let target = path folder step.Iteration
        let segments = Replay.segments step.Memory
        let sizes = CheckpointContent.sizes step
        let parts = Memory.save folder sizes written segments
        let last = List.last segments

        let metadata =
            CheckpointContent.header spec step
            @ [ "figures", Json.print (Option.toList step.Figures)
                "own", Json.print (List.ofSeq (Map.keys step.Own))
                "journal", Json.print journal
                "memory", Json.print parts
                "remembered", string last.First
                "openSteps", string last.Steps ]

        Safetensors.write
            target
            (Map metadata)
            (CheckpointContent.training true step
             @ CheckpointContent.environments step.EnvStates
             @ Memory.tensors "memory." sizes last)

        prune folder spec step.Agent.Rhythm.Updates step.Iteration
        struct (target, parts)

    // ---- branches

    /// The keys of environments whose resets are to come from another seed.
    let private reseeded (seed: int64) (keys: TensorValue) : TensorValue =
        let words = MemoryMarshal.Cast<byte, PhiloxKey>(ReadOnlySpan<byte> keys.Data).ToArray()
        let other = words |> Array.map (fun key -> Philox.Derive(key, uint64 seed))
        { keys with Data = MemoryMarshal.AsBytes(ReadOnlySpan<PhiloxKey> other).ToArray() }

    /// Writes a checkpoint again as one of a branch with another specification, the first checkpoint of its folder.
    let rebase (path: string) (spec: Spec) (target: string) =
        let file = Safetensors.read path
        let text = Spec.print (Spec.planned spec)

        let metadata =
            file.Metadata
            // other settings may make another policy of the same networks
            |> if Map.tryFind "spec" file.Metadata = Some text then
                   id
               else
                   Map.remove PolicyMetadata.Key
            |> Map.remove "sha256"
            |> Map.add "spec" text

        let tensors =
            file.Tensors
            |> Map.map (fun name tensor ->
                match Map.tryFind "environments" spec.Reseeded with
                | Some seed when name = "env.keys" -> reseeded seed tensor
                | _ -> tensor)

        Safetensors.write
            target
            metadata
            [ for KeyValue(name, tensor) in tensors ->
                  Safetensors.ofBytes name tensor.Dtype tensor.Shape (ReadOnlyMemory tensor.Data) ]
