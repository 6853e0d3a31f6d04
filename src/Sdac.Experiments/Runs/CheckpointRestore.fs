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

/// States and whole runs from their checkpoints.
[<RequireQualifiedAccess>]
module CheckpointRestore =
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
                Damaged
                    $"{path} is missing or ends after {found} bytes, before what the checkpoints count on: put the whole file back"
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

    /// A checkpoint is of the run's specification.
    let private checkSpec (registry: Registry) (folder: RunFolder) (spec: Spec) (path: string) (file: TensorFile) =
        CheckpointReader.parsed path file "spec" (Json.parseNode path) |> ignore
        let made = CheckpointReader.entry path file "spec" |> SpecFile.parseRecorded registry path
        // a checkpoint of format 2 knows no stages
        let made = if made.Stages.IsEmpty then { made with Stages = spec.Stages } else made
        // how far a run goes is in spec.json alone; a checkpoint of an earlier version says how far it was to go then
        let made =
            if made.Iterations = made.Horizon || made.Iterations < spec.Iterations then
                { made with Iterations = spec.Iterations }
            else
                made

        SpecCheck.checkSame $"the checkpoint {path}" made folder.Spec spec

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
        checkSpec registry folder spec path file
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
                match complaints |> List.rev |> List.distinct with
                // nothing is wrong with the checkpoints themselves
                | [ why ] when complaints.Length > 1 ->
                    Errors.fail (Damaged $"no checkpoint of {folder.Path} can be used: {why}")
                | each ->
                    let why = each |> List.map (fun c -> "; " + c) |> String.concat ""

                    Errors.fail (
                        Damaged
                            $"{folder.Path} holds no checkpoint that can be used: train again in another folder{why}"
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

    /// What a run had written when a checkpoint of it was made: the log, and the parts of the replay memory. Fails with Damaged where
    /// the checkpoint cannot be trusted.
    let reach (path: string) : struct (Journal * MemoryPart list) =
        let file = Safetensors.read path
        CheckpointReader.checkFormat path file
        struct (journalIn path file, partsIn path file)
