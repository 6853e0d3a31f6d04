namespace Sdac.Experiments

open System
open System.IO
open System.Runtime.InteropServices
open Sdac.Functional
open Sdac.Kernels

/// A run as its last good checkpoint left it.
[<NoComparison; NoEquality>]
type Restored<'state, 'work> =
    {
        /// The checkpoint
        Path: string
        Step: Step<'state, 'work>
        Journal: Journal
        Parts: MemoryPart list
        /// What was wrong with each newer checkpoint
        Complaints: string list
    }

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

    let private stateOf checkRows (agent: Agent<'s, 'w>) (path: string) (file: TensorFile) : 's =
        // the fresh state only lends its layouts
        let fresh = agent.Init(Key.ofSeed 0L)

        try
            Tensors.owning (Parts.tensors agent.Parts) (fun () ->
                agent.Parts (CheckpointReader.reading checkRows agent.Compute path file) fresh)
        finally
            Parts.dispose agent.Parts fresh

    /// Reads a training state of an agent. Fails with Damaged for a damaged file, with Settings for one of another algorithm, task
    /// or size.
    let load (agent: Agent<'s, 'w>) (algorithm: string) (task: string) (path: string) : 's =
        let file = Safetensors.read path
        CheckpointReader.checkKind algorithm task path file
        stateOf (fun _ _ -> ()) agent path file

    /// States of the sizes of `like`.
    let private statesOf (like: EnvStates) (path: string) (file: TensorFile) : EnvStates =
        let values dtype name count = CheckpointReader.values path file dtype $"env.{name}" count
        let words: uint32[] = values U32 "keys" (4 * like.Count)
        let numbers name (count: int) : float[] = values F64 name count

        EnvStates(
            like.Task,
            MemoryMarshal.Cast<uint32, PhiloxKey>(ReadOnlySpan<uint32> words),
            numbers "physics" like.Physics.Length,
            numbers "obs" like.Observations.Length,
            numbers "measures" like.Measures.Length,
            numbers "returns" like.Returns.Length,
            (values I32 "elapsed" like.Count: int[]),
            (values I64 "episodes" like.Count: int64[])
        )

    /// A file that the run appends to must reach to where the checkpoint left it.
    let private checkLength (path: string) (position: int64) =
        let found = if File.Exists path then FileInfo(path).Length else 0L

        if found < position then
            Errors.fail (
                Damaged $"{path} ends after {found} bytes, before the {position} that the checkpoint counts on"
            )

    let private memoryOf
        (folder: RunFolder)
        (first: Step<'s, 'w>)
        (path: string)
        (file: TensorFile)
        (parts: MemoryPart list)
        : Replay =
        let sizes = CheckpointContent.sizes first

        let remembered, openSteps =
            CheckpointReader.countIn path file "remembered", CheckpointReader.countIn path file "openSteps"

        if openSteps > int64 Int32.MaxValue then
            CheckpointReader.damaged path $"holds '{openSteps}' as 'openSteps', more than a replay memory has"

        let last = Memory.segment sizes path "memory." file remembered (int openSteps) false

        try
            Replay.ofSegments first.Memory (List.map (Memory.load folder sizes) parts @ [ last ])
        with :? ArgumentException ->
            Errors.fail (
                Settings
                    $"the replay memory of {path} does not fit these settings: use the settings that the run was made with"
            )

    /// Rows beside the memory are of its transitions, the oldest one's among them, or there are none.
    let private checkRows (path: string) (memory: Replay) (name: string) (c: Column) =
        let oldest = memory.Total - int64 memory.Count

        if c.Count > 0 && (c.First > oldest || c.Next <= oldest || c.Next > memory.Total) then
            CheckpointReader.damaged
                path
                $"holds '{name}' of the transitions {c.First} to {c.Next - 1L} where its replay memory has {oldest} to {memory.Total - 1L}"

    /// A copy that was given the name of another checkpoint is not that checkpoint.
    let private checkNamed (iteration: int64) (path: string) (file: TensorFile) =
        let found = Map.tryFind "iteration" file.Metadata |> Option.defaultValue "no iteration"

        if found <> string iteration then
            Errors.fail (
                Damaged
                    $"{path} holds the checkpoint of {found}, not of {iteration}: it is a copy; give it a name of its own"
            )

    /// Reads a checkpoint by its name.
    let private readNamed (algorithm: string) (task: string) (path: string) =
        if (Files.realPath path).IsNone then
            Errors.fail (Damaged $"{path} is a link that leads to no file: put the file back, or delete the link")

        let file = Safetensors.read path
        CheckpointReader.checkKind algorithm task path file
        file

    /// Iterations and environment steps.
    let private countersOf (path: string) (file: TensorFile) : struct (int64 * int64) =
        if file.Metadata.ContainsKey "envSteps" then
            struct (CheckpointReader.countIn path file "iteration", CheckpointReader.countIn path file "envSteps")
        else
            let iteration, steps = CheckpointFormat2.counters (CheckpointReader.fixedValues path file I64)
            struct (CheckpointReader.counted path "counters" iteration, CheckpointReader.counted path "counters" steps)

    /// An entry that format 2 had under another name and in another form.
    let private renamed (path: string) (file: TensorFile) (key: string) (old: string * (string -> string)) parse =
        if file.Metadata.ContainsKey key then
            CheckpointReader.parsed path file key parse
        else
            CheckpointReader.parsed path file (fst old) (snd old >> parse)

    let private journalIn (path: string) (file: TensorFile) : Journal =
        CheckpointReader.parsed
            path
            file
            "journal"
            (CheckpointFormat2.journal path >> Json.parseOver path Journal.empty)

    let private partsIn (path: string) (file: TensorFile) : MemoryPart list =
        CheckpointReader.parsed path file "memory" (Json.parseOver path [])

    /// The run at a checkpoint. `first` is its beginning, whose environments are used on; the caller owns the new state.
    let private restoreFrom
        (registry: Registry)
        (folder: RunFolder)
        (spec: Spec)
        (first: Step<'s, 'w>)
        (iteration: int64, path: string)
        : Restored<'s, 'w> =
        let file = readNamed spec.Algorithm first.Environment.Task path
        let parsed key parse = CheckpointReader.parsed path file key parse
        parsed "spec" (Json.parseNode path) |> ignore
        let made = CheckpointReader.entry path file "spec" |> Spec.parseRecorded registry path
        // a checkpoint of format 2 knows no stages
        let made = if made.Stages.IsEmpty then { made with Stages = spec.Stages } else made
        // how far a run goes is in spec.json alone; a checkpoint of an earlier version says how far it was to go then
        let made =
            if made.Iterations = made.Horizon || made.Iterations < spec.Iterations then
                { made with Iterations = spec.Iterations }
            else
                made

        Spec.checkSame $"the checkpoint {path}" made folder.Spec spec
        checkNamed iteration path file
        let journal = journalIn path file
        checkLength folder.Metrics journal.MetricsBytes
        checkLength folder.Events journal.EventBytes
        let parts = partsIn path file
        let struct (iterations, envSteps) = countersOf path file
        let states = statesOf first.EnvStates path file

        let figures: Figures list =
            renamed path file "figures" ("metrics", CheckpointFormat2.figures path) (Json.parseOver path [])

        let own: string list =
            if file.Metadata.ContainsKey "own" then
                parsed "own" (Json.parseOver path [])
            else
                []

        let memory = memoryOf folder first path file parts
        let checkRows = checkRows path memory

        let saved stage =
            Saved(Parts.below $"own.{stage}" (CheckpointReader.reading checkRows first.Agent.Compute path file))

        { Path = path
          Step =
            { first with
                EnvStates = states
                Obs = Environment.obs states
                Memory = memory
                Iteration = iterations
                EnvSteps = envSteps
                Figures = List.tryHead figures
                Own = Map [ for stage in own -> stage, saved stage ]
                State = stateOf checkRows first.Agent path file }
          Journal = journal
          Parts = parts
          Complaints = [] }

    /// What `attempt` makes of the newest of these checkpoints that is not damaged, with what was wrong with each newer one; None
    /// where there is no checkpoint at all. Fails with Damaged where none can be used.
    let private newestBy
        (folder: RunFolder)
        (checkpoints: (int64 * string) list)
        (attempt: int64 * string -> 'a)
        : ('a * string list) option =
        let rec search complaints paths =
            match paths with
            | [] ->
                let why = complaints |> List.rev |> List.map (fun c -> "; " + c) |> String.concat ""

                Errors.fail (
                    Damaged $"{folder.Path} holds no checkpoint that can be used: train again in another folder{why}"
                )
            | named :: older ->
                match
                    (try
                        Ok(attempt named)
                     with :? UserError as error when error.Failure.IsDamaged ->
                         Error error.Failure.Sentence)
                with
                | Ok found -> found, List.rev complaints
                | Error complaint -> search (complaint :: complaints) older

        if checkpoints.IsEmpty then None else Some(search [] checkpoints)

    /// The newest checkpoint of a run that can be trusted, with what was wrong with each newer one.
    let newest
        (agent: Agent<'s, 'w>)
        (algorithm: string)
        (task: string)
        (folder: RunFolder)
        : struct (string * 's * string list) =
        let attempt (iteration, path) =
            let file = readNamed algorithm task path
            checkNamed iteration path file
            path, stateOf (fun _ _ -> ()) agent path file

        match newestBy folder (RunFolder.checkpoints folder) attempt with
        | Some((path, state), complaints) -> struct (path, state, complaints)
        | None -> Errors.fail (Damaged $"{folder.Path} holds no checkpoint: train first")

    /// The run as its newest good checkpoint left it; None where it has no checkpoint yet. `first` is the run's beginning,
    /// whose environments are used on. Nothing on disk is changed.
    let restore (registry: Registry) (folder: RunFolder) (spec: Spec) (first: Step<'s, 'w>) : Restored<'s, 'w> option =
        // the end of a shorter run may lie in the middle of a round, whose beginning is known no more
        let isUsable (iteration: int64, _) =
            iteration >= spec.Iterations || iteration % int64 first.Agent.Rhythm.Updates = 0L

        newestBy folder (RunFolder.checkpoints folder |> List.filter isUsable) (restoreFrom registry folder spec first)
        |> Option.map (fun (restored, complaints) -> { restored with Complaints = complaints })

    // ---- branches

    /// What a run had written when a checkpoint of it was made: the log, and the parts of the replay memory. Fails with Damaged where
    /// the checkpoint cannot be trusted.
    let reach (path: string) : struct (Journal * MemoryPart list) =
        let file = Safetensors.read path
        CheckpointReader.checkFormat path file
        struct (journalIn path file, partsIn path file)

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
