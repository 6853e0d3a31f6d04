namespace Sdac.Experiments

open System
open System.Globalization
open System.IO
open System.Text
open System.Text.RegularExpressions

/// The folder of one run: what lies where, and who may write it.
type RunFolder =
    { Path: string }

    /// The whole specification, as given and completed (JSON).
    member folder.Spec = Path.Combine(folder.Path, "spec.json")
    /// Program, runtime, processor and threads of the run (JSON).
    member folder.Machine = Path.Combine(folder.Path, "machine.json")
    /// Deterministic results, one JSON object a line.
    member folder.Metrics = Path.Combine(folder.Path, "metrics.jsonl")
    /// The same results for TensorBoard, which knows its files by "tfevents" in their names.
    member folder.Events = Path.Combine(folder.Path, "metrics.tfevents")
    /// Wall-clock figures, one JSON object a line.
    member folder.Timings = Path.Combine(folder.Path, "timings.jsonl")
    /// The end of the run (JSON).
    member folder.Summary = Path.Combine(folder.Path, "summary.json")
    /// The learning curve; a PNG lies beside it.
    member folder.Curve = Path.Combine(folder.Path, "curve.svg")
    /// The learning curve in pixels.
    member folder.CurvePng = Path.Combine(folder.Path, "curve.png")
    /// Episodes of the newest checkpoint, to be watched.
    member folder.Page = Path.Combine(folder.Path, "watch.html")
    /// Episodes of the networks of the best evaluation, to be watched.
    member folder.BestPage = Path.Combine(folder.Path, "watch-best.html")
    /// Checkpoints.
    member folder.Checkpoints = Path.Combine(folder.Path, "checkpoints")
    /// The networks of the best evaluation.
    member folder.Best = Path.Combine(folder.Checkpoints, "best.safetensors")
    /// The parts of the replay memory that the checkpoints name.
    member folder.Memory = Path.Combine(folder.Path, "memory")
    /// The checkpoint of an iteration.
    member folder.CheckpointAt(iteration: int64) = Path.Combine(folder.Checkpoints, $"{iteration:D9}.safetensors")
    /// The part of the replay memory that has so many transitions before its first one.
    member folder.MemoryPartAt(first: int64) = Path.Combine(folder.Memory, $"{first:D12}.safetensors")
    /// Program, runtime, processor and threads of a process that resumed the run at an iteration (JSON).
    member folder.MachineAt(iteration: int64) = Path.Combine(folder.Path, $"machine-{iteration:D9}.json")
    /// Held while a process writes to this folder.
    member folder.Lock = Path.Combine(folder.Path, ".lock")

/// Files that this program names by a number. Whatever else lies beside them is somebody else's: not to be used or deleted.
[<RequireQualifiedAccess>]
module NumberedFiles =
    /// Those files of a folder whose names are exactly `nameOf` a number, with their numbers, the greatest first.
    let list (folder: string) (nameOf: int64 -> string) : (int64 * string) list =
        let number (path: string) =
            let name = string (Path.GetFileName path)
            let digits = Regex.Match(name, "[0-9]+").Value

            match Int64.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture) with
            | true, number when nameOf number = name -> Some(number, path)
            | _ -> None

        if Directory.Exists folder then
            Files.guarded "read" folder (fun () -> Directory.GetFiles folder)
            |> Seq.choose number
            |> Seq.sortByDescending fst
            |> List.ofSeq
        else
            []

    /// A link, which this program never makes.
    let isLink (path: string) = not (isNull (FileInfo(path).LinkTarget))

/// Creating, opening and locking run folders.
[<RequireQualifiedAccess>]
module RunFolder =
    let private isRun (folder: RunFolder) = File.Exists folder.Spec

    /// The checkpoints by name, newest first: iteration and path.
    let checkpoints (folder: RunFolder) =
        NumberedFiles.list folder.Checkpoints (folder.CheckpointAt >> Path.GetFileName >> string)

    /// The parts of the replay memory by name, newest first: transitions before their first one, and path.
    let memoryParts (folder: RunFolder) =
        NumberedFiles.list folder.Memory (folder.MemoryPartAt >> Path.GetFileName >> string)

    /// What processes that resumed the run say of their machines, by name, newest first: iteration and path.
    let machines (folder: RunFolder) = NumberedFiles.list folder.Path (folder.MachineAt >> Path.GetFileName >> string)

    /// The run's own files, without its specification.
    let private files (folder: RunFolder) : string list =
        [ folder.Machine
          folder.Metrics
          folder.Events
          folder.Timings
          folder.Summary
          folder.Curve
          folder.CurvePng
          folder.Page
          folder.BestPage
          folder.Best
          for numbered in [ checkpoints folder; memoryParts folder; machines folder ] do
              yield! List.map snd numbered ]

    /// Refuses a file to be written that a run would lose: one of its own, but for the pages made of it. `option` names the file.
    let refuseOwn (option: string) (path: string) : unit =
        let path = Path.GetFullPath path
        let around = Files.folderOf path

        for folder in [ { Path = around }; { Path = Files.folderOf around } ] do
            let own = folder.Spec :: files folder |> List.except [ folder.Page; folder.BestPage ]

            if isRun folder && List.contains path own then
                Errors.fail (
                    Usage $"{option} {path} would overwrite a file of the run in {folder.Path}: choose another name"
                )

    /// Deletes the run's own files; what else lies in the folder stays.
    let private clear (folder: RunFolder) =
        Files.guarded "empty" folder.Path (fun () ->
            List.iter File.Delete (files folder)

            for inner in [ folder.Path; folder.Checkpoints; folder.Memory ] do
                Files.removeUnfinished inner

            for inner in [ folder.Checkpoints; folder.Memory ] do
                if Directory.Exists inner && Seq.isEmpty (Directory.EnumerateFileSystemEntries inner) then
                    Directory.Delete inner

            // Last: a folder without its specification is no longer recognised as a run.
            File.Delete folder.Spec)

    /// Who holds the lock, as far as its file says.
    let private holder (folder: RunFolder) =
        match Files.peek folder.Lock with
        | "" -> ""
        | line -> $" ({line})"

    /// The file, open for this process alone (flock); IOException where another has it.
    let private openAlone (path: string) =
        new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, 1)

    /// Some network file systems are mounted without locks, and .NET does not tell. Where they work, not even this process gets
    /// the file a second time.
    let private warnWithoutLocks (folder: RunFolder) =
        let works =
            try
                (openAlone folder.Lock).Dispose()
                false
            with :? IOException ->
                true

        if not works then
            eprintfn
                $"warning: the file system of {folder.Path} keeps no locks: see to it yourself that no second process works on this folder"

    /// Takes the folder for this process until disposed; a second process is refused with Locked. The system gives it back
    /// however the process ends.
    let lock (folder: RunFolder) : IDisposable =
        try
            let stream = openAlone folder.Lock
            warnWithoutLocks folder
            let me = $"pid {Environment.ProcessId} on {Environment.MachineName}\n"
            stream.SetLength 0L
            stream.Write(ReadOnlySpan(Encoding.UTF8.GetBytes me))
            stream.Flush()
            stream
        with
        | :? UnauthorizedAccessException ->
            Errors.fail (
                Storage $"no permission to write in {folder.Path}: change its permissions, or choose another folder"
            )
        | :? IOException as error when error.HResult = 11 (* EAGAIN: somebody else holds it *) ->
            Errors.fail (
                Locked
                    $"another process{holder folder} is writing to {folder.Path}: wait for it, or choose another folder"
            )
        | :? IOException as error ->
            Errors.fail (Storage $"cannot write in {folder.Path}: {error.Message.TrimEnd '.'}; choose another folder")

    /// True where a process has a file open with a lock on it, or cannot be looked into.
    let private locks (processId: int) (path: string) =
        let folder = $"/proc/{processId}/fd"

        let isLocked (descriptor: string) =
            (FileInfo descriptor).LinkTarget = path
            && (File.ReadAllText $"/proc/{processId}/fdinfo/{Path.GetFileName descriptor}").Contains "FLOCK"

        try
            Directory.Exists folder && Directory.GetFiles folder |> Array.exists isLocked
        with
        | :? UnauthorizedAccessException -> true
        // a descriptor or the process has gone meanwhile
        | :? IOException -> false

    /// Does a process hold the folder's lock? Only looks: takes no lock and writes nothing.
    let isLocked (folder: RunFolder) : bool =
        match Files.realPath folder.Lock, Regex.Match(Files.peek folder.Lock, "^pid ([0-9]+) on (.*)$") with
        | Some path, holder when holder.Success && holder.Groups[2].Value = Environment.MachineName ->
            match Int32.TryParse(holder.Groups[1].Value, CultureInfo.InvariantCulture) with
            | true, processId -> locks processId path
            | _ -> false
        | Some path, _ -> Files.hasRecordLock path
        | None, _ -> false

    /// What a process may leave that was killed before it wrote the specification.
    let private isScaffold (folder: RunFolder) (entry: string) =
        entry = folder.Lock
        || (entry = folder.Checkpoints && Seq.isEmpty (Directory.EnumerateFileSystemEntries entry))
        || entry.StartsWith(Path.Combine(folder.Path, ".spec.json."), StringComparison.Ordinal)

    /// A new run folder. An existing one is refused unless it is empty, or holds a run and `overwrite` is set.
    let create (path: string) (overwrite: bool) =
        let folder = { Path = Path.GetFullPath path }

        if File.Exists folder.Path then
            Errors.fail (Storage $"{path} is a file: choose another folder with --out")

        let occupied =
            Directory.Exists folder.Path
            && not (Seq.forall (isScaffold folder) (Directory.EnumerateFileSystemEntries folder.Path))

        match occupied, isRun folder, overwrite with
        | true, true, false ->
            Errors.fail (
                Storage
                    $"the run folder {path} already holds a run: add --overwrite to replace it or choose another with --out"
            )
        | true, false, _ ->
            Errors.fail (Storage $"the folder {path} holds something that is not a run: choose another with --out")
        | true, true, true -> using (lock folder) (fun _ -> clear folder)
        | false, _, _ -> ()

        Files.createFolder folder.Path
        Files.createFolder folder.Checkpoints
        folder

    /// The first of `path`, `path`-2, `path`-3, ... that is not there yet. It is made at once, which the system lets only one
    /// process do: others that want the same name at the same time get the next ones.
    let unused (path: string) : string =
        Files.createFolder (Files.folderOf path)

        Seq.initInfinite (fun i -> if i = 0 then path else $"{path}-{i + 1}")
        |> Seq.find Files.tryMakeFolder

    let private deleteEmpty (folder: string) =
        try
            if Directory.Exists folder && Seq.isEmpty (Directory.EnumerateFileSystemEntries folder) then
                Directory.Delete folder
        with :? IOException ->
            () // another process has put something there meanwhile

    /// Runs `body` on an unused folder. What could not begin takes no name: an empty folder goes again, and the one around it where it
    /// was made for this.
    let withUnused (path: string) (body: string -> 'a) : 'a =
        let around = Files.folderOf path
        let isNew = not (Directory.Exists around)
        let out = unused path

        try
            body out
        finally
            deleteEmpty out

            if isNew then
                deleteEmpty around

    /// An existing run folder; Storage when it is none.
    let openExisting (path: string) =
        let folder = { Path = Path.GetFullPath path }
        let train = Entrance.shown "train"

        if not (Directory.Exists folder.Path) then
            Errors.fail (
                Storage
                    $"there is no run folder {path}: check the path, or train first with `{train} --out {Entrance.quote path}`"
            )

        if not (isRun folder) then
            Errors.fail (
                Storage $"{path} is not a run folder (spec.json is missing): give the folder that `{train} --out` made"
            )

        folder
