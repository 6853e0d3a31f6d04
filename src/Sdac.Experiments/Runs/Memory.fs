namespace Sdac.Experiments

open System
open System.IO
open System.Runtime.InteropServices
open Sdac.Functional

/// A closed part of the replay memory in a file of its own, which is written once and never changed.
type MemoryPart =
    {
        /// Transitions ever remembered before its first one: its name
        First: int64
        Steps: int
        /// The digest that stands in the file
        Sha256: string
    }

/// The sizes that the parts of a replay memory share.
type MemorySizes =
    {
        Environments: int
        ObsDim: int
        ActionDim: int
        /// What is stored beside the transitions: names, and numbers per row
        Extras: (string * int) list
    }

/// Replay memory on disk. What no step is added to any more lies in files of its own, written once; the rest is written
/// into each checkpoint.
[<RequireQualifiedAccess>]
module Memory =
    [<Literal>]
    let private Format = "sdac-memory/1"

    /// A segment's numbers as tensors, their names beginning with `prefix`.
    let tensors (prefix: string) (sizes: MemorySizes) (s: ReplaySegment) : TensorSource list =
        let rows = int64 (s.Steps * sizes.Environments)
        let obs, action = int64 sizes.ObsDim, int64 sizes.ActionDim
        let finals = int64 (s.Finals.Length / sizes.ObsDim)

        [ Safetensors.ofMemory $"{prefix}obs" F32 [ rows + int64 sizes.Environments; obs ] s.Obs
          Safetensors.ofMemory $"{prefix}action" F32 [ rows; action ] s.Action
          Safetensors.ofMemory $"{prefix}reward" F32 [ rows ] s.Reward
          Safetensors.ofMemory $"{prefix}terminated" BOOL [ rows ] s.Terminated
          Safetensors.ofMemory $"{prefix}final" I32 [ rows ] s.Final
          Safetensors.ofMemory $"{prefix}finals" F32 [ finals; obs ] s.Finals
          for (name, width), values in List.zip sizes.Extras s.Extras do
              Safetensors.ofMemory $"{prefix}extra.{name}" F32 [ rows; int64 width ] values ]

    /// The segment of `steps` steps that `tensors` wrote. Fails with Damaged where a tensor is missing.
    let segment
        (sizes: MemorySizes)
        (path: string)
        (prefix: string)
        (file: TensorFile)
        (first: int64)
        (steps: int)
        (closed: bool)
        : ReplaySegment =
        let values (dtype: Dtype) (name: string) : ReadOnlyMemory<'a> =
            match file.Tensors |> Map.tryFind (prefix + name) with
            | Some t when t.Dtype = dtype -> ReadOnlyMemory(MemoryMarshal.Cast<byte, 'a>(ReadOnlySpan t.Data).ToArray())
            | _ ->
                Errors.fail (
                    Damaged $"{path} holds no '{prefix}{name}': it is no part of a replay memory of this program"
                )

        { First = first
          Closed = closed
          Steps = steps
          Obs = values F32 "obs"
          Action = values F32 "action"
          Reward = values F32 "reward"
          Terminated = values BOOL "terminated"
          Final = values I32 "final"
          Finals = values F32 "finals"
          Extras = [ for name, _ in sizes.Extras -> values F32 $"extra.{name}" ] }

    /// Writes the closed segments that are not among the parts `written` before; all parts of this memory, oldest first.
    let save (folder: RunFolder) (sizes: MemorySizes) (written: MemoryPart list) (segments: ReplaySegment list) =
        let known = Map [ for part in written -> part.First, part ]

        let write (s: ReplaySegment) =
            Files.createFolder folder.Memory
            let metadata = Map [ "format", Format; "first", string s.First; "steps", string s.Steps ]

            { First = s.First
              Steps = s.Steps
              Sha256 = Safetensors.writeDigest (folder.MemoryPartAt s.First) metadata (tensors "" sizes s) }

        [ for s in segments do
              if s.Closed then
                  Map.tryFind s.First known |> Option.defaultWith (fun () -> write s) ]

    /// Reads a part. Fails with Damaged where it is missing, damaged or another one.
    let load (folder: RunFolder) (sizes: MemorySizes) (part: MemoryPart) : ReplaySegment =
        let path = folder.MemoryPartAt part.First

        if not (File.Exists path) then
            Errors.fail (Damaged $"{path} is missing: it holds a part of the replay memory")

        let file = Safetensors.read path

        if Safetensors.digest file <> part.Sha256 then
            Errors.fail (Damaged $"{path} is not the part of the replay memory that the checkpoint names")

        segment sizes path "" file part.First part.Steps true

    /// A file with the name of a part that says it is something else.
    let private isForeign (first: int64) (path: string) =
        NumberedFiles.isLink path
        || (try
                let metadata = Safetensors.metadata path

                Map.tryFind "format" metadata <> Some Format || Map.tryFind "first" metadata <> Some(string first)
            with :? UserError ->
                false)

    /// The parts on disk that this program has written, newest first.
    let own (folder: RunFolder) : string list =
        RunFolder.memoryParts folder
        |> List.filter (fun (first, path) -> not (isForeign first path))
        |> List.map snd

    /// Removes the files of parts that are not in `needed`. What this program has not written stays.
    let prune (folder: RunFolder) (needed: MemoryPart seq) =
        let needed = set [ for part in needed -> part.First ]

        for first, path in RunFolder.memoryParts folder do
            if not (needed.Contains first || isForeign first path) then
                Files.guarded "delete" path (fun () -> File.Delete path)
