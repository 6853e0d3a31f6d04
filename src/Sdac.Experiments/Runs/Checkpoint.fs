namespace Sdac.Experiments

open System
open System.IO
open System.Runtime.InteropServices
open Sdac
open Sdac.Kernels

/// A run as its last good checkpoint left it.
[<NoComparison; NoEquality>]
type Restored =
    {
        /// The checkpoint
        Path: string
        Step: Step
        Journal: Journal
        Parts: MemoryPart list
        /// What was wrong with each newer checkpoint
        Complaints: string list
    }

/// All that a run needs to go on, on disk: one checksummed safetensors file per checkpoint, written atomically, which names
/// the parts of the replay memory that lie in files of their own (`Memory`).
[<RequireQualifiedAccess>]
module Checkpoint =
    /// The layout of checkpoints that this program writes and reads; the number rises when an older program could no longer read
    /// them.
    [<Literal>]
    let private Format = 2

    [<Literal>]
    let private FormatName = "sdac-checkpoint/"

    let private networks (s: TrainState) =
        [ "policy", s.Policy
          "target_policy", s.TargetPolicy
          "q1", s.Q1
          "q2", s.Q2
          "target_q1", s.TargetQ1
          "target_q2", s.TargetQ2 ]

    let private optimisers (s: TrainState) = [ "policy", s.PolicyAdam; "q1", s.Q1Adam; "q2", s.Q2Adam ]

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

    /// Each layer's weight and bias is a tensor of its own ("policy.layer0.weight"), so that other programs can read them.
    let private parts (name: string) (p: Params) =
        let flat = Tensors.toArray p.Flat

        [ for slice in p.Layout ->
              let size = List.fold (*) 1 slice.Shape

              Safetensors.ofFloat32
                  $"{name}.{slice.Name}"
                  (List.map int64 slice.Shape)
                  (Array.sub flat slice.Offset size) ]

    let private moments (name: string) (a: AdamState) =
        let vector part (t: Tensor) = Safetensors.ofFloat32 $"{name}.adam.{part}" [ t.numel () ] (Tensors.toArray t)

        [ vector "m" a.M; vector "v" a.V ]

    let private training (step: Step) =
        let s = step.State

        let counters =
            [| step.Iteration
               step.EnvSteps
               s.Updates
               s.PolicyAdam.Count
               s.Q1Adam.Count
               s.Q2Adam.Count
               s.Temperature.Count |]

        [ for name, p in networks s do
              yield! parts name p
          for name, a in optimisers s do
              yield! moments name a
          Safetensors.ofFloat64 "temperature" [ 3L ] [| s.Temperature.LogLambda; s.Temperature.M; s.Temperature.V |]
          Safetensors.ofFloat64 "values" [ 2L ] [| s.Values.Mean; s.Values.Deviation |]
          // where it has never left its beginning the file is what it was before there was a shift
          if s.EnergyShift <> EnergyShift.init then
              Safetensors.ofFloat64 "energy_shift" [ 2L ] [| s.EnergyShift.Shift; float s.EnergyShift.Idle |]
          Safetensors.ofInt64 "counters" [ counters.LongLength ] counters ]

    let private environments (states: EnvStates) =
        let n = int64 states.Count

        let numbers name (values: float[]) = Safetensors.ofFloat64 $"env.{name}" [ n; values.LongLength / n ] values

        let words = MemoryMarshal.Cast<PhiloxKey, uint32>(states.Keys).ToArray()

        [ Safetensors.ofMemory "env.keys" U32 [ n; 4L ] (ReadOnlyMemory words)
          numbers "physics" (states.Physics.ToArray())
          numbers "obs" (states.Observations.ToArray())
          numbers "measures" (states.Measures.ToArray())
          numbers "returns" (states.Returns.ToArray())
          Safetensors.ofMemory "env.elapsed" I32 [ n ] (ReadOnlyMemory(states.Elapsed.ToArray()))
          Safetensors.ofInt64 "env.episodes" [ n ] (states.Episodes.ToArray()) ]

    let private sizes (step: Step) : MemorySizes =
        { Environments = step.Environment.Count
          ObsDim = step.Model.ObsDim
          ActionDim = step.Model.ActionDim }

    /// The parts of the replay memory that a checkpoint names; none where it cannot be read.
    let private partsOf (path: string) (metadata: Map<string, string>) : MemoryPart list =
        try
            match Map.tryFind "memory" metadata with
            | Some text -> Json.parseOver path [] text
            | None -> []
        with :? UserError ->
            []

    /// Removes all but the newest `kept` checkpoints up to `iteration`, then the parts of the replay memory that none of the others
    /// names. Files that this run has not written are neither counted nor deleted, whatever their names. Those of later iterations
    /// could not be used, or the run would have gone on from them: they wait to be replaced.
    let private prune (folder: RunFolder) (kept: int) (iteration: int64) =
        let delete path = Files.guarded "delete" path (fun () -> File.Delete path)

        let rec follow left needed files =
            match files with
            | [] -> needed
            | (at, path) :: older ->
                match content at path with
                | _ when NumberedFiles.isLink path -> follow left needed older
                | Named metadata when at > iteration -> follow left (partsOf path metadata @ needed) older
                | Named metadata when left > 0 -> follow (left - 1) (partsOf path metadata @ needed) older
                | Named _ ->
                    delete path
                    follow left needed older
                | Unreadable when left = 0 ->
                    delete path
                    follow left needed older
                | Unreadable
                | Other -> follow left needed older

        Memory.prune folder (follow kept [] (RunFolder.checkpoints folder))

    /// Writes a checkpoint and removes what it makes superfluous. `written` are the parts of the replay memory that earlier
    /// ones have put on disk. The checkpoint's path, and the parts on disk now.
    let save
        (folder: RunFolder)
        (spec: Spec)
        (written: MemoryPart list)
        (journal: Journal)
        (step: Step)
        : struct (string * MemoryPart list) =
        let target = path folder step.Iteration
        let segments = Replay.segments step.Replay
        let sizes = sizes step
        let parts = Memory.save folder sizes written segments
        let last = List.last segments

        let metadata =
            Map
                [ "format", $"{FormatName}{Format}"
                  "task", step.Environment.Task
                  "iteration", string step.Iteration
                  "spec", Spec.print spec
                  "metrics", Json.print (Option.toList step.Metrics)
                  "journal", Json.print journal
                  "memory", Json.print parts
                  "remembered", string last.First
                  "openSteps", string last.Steps ]

        Safetensors.write
            target
            metadata
            (training step @ environments step.EnvStates @ Memory.tensors "memory." sizes last)

        prune folder spec.CheckpointsKept step.Iteration
        struct (target, parts)

    let private values (path: string) (file: TensorFile) (dtype: Dtype) (name: string) (count: int) : 'a[] =
        match file.Tensors |> Map.tryFind name with
        | Some t when t.Dtype = dtype && t.Data.LongLength = int64 count * dtype.Size ->
            MemoryMarshal.Cast<byte, 'a>(ReadOnlySpan<byte> t.Data).ToArray()
        | Some t ->
            Errors.fail (
                Settings
                    $"'{name}' in {path} has shape {t.Shape} where these settings need {count} numbers: use the settings that the run was made with"
            )
        | None -> Errors.fail (Damaged $"{path} holds no '{name}': it is not a checkpoint of this program; use another")

    let private damaged (path: string) (what: string) =
        Errors.fail (Damaged $"{path} {what}: runs cannot be resumed from it; use another checkpoint")

    /// Numbers whose count no setting decides: another count is damage.
    let private fixedValues (path: string) (file: TensorFile) (dtype: Dtype) (name: string) (count: int) : 'a[] =
        match file.Tensors |> Map.tryFind name with
        | Some t when t.Dtype <> dtype || t.Data.LongLength <> int64 count * dtype.Size ->
            damaged path $"holds '{name}' of shape {t.Shape} where {count} numbers of type {dtype} belong"
        | _ -> values path file dtype name count

    /// What a run has counted, as `training` writes it.
    let private countersOf (path: string) (file: TensorFile) : int64[] =
        let counters: int64[] = fixedValues path file I64 "counters" 7

        if counters |> Array.exists (fun count -> count < 0L) then
            damaged path "holds a negative number among its 'counters'"

        counters

    /// An entry of the checkpoint's metadata.
    let private entry (path: string) (file: TensorFile) (key: string) : string =
        file.Metadata |> Map.tryFind key |> Option.defaultWith (fun () -> damaged path $"holds no '{key}'")

    /// An entry as the whole number from 0 that it must be.
    let private countIn (path: string) (file: TensorFile) (key: string) : int64 =
        let text = entry path file key

        match Int64.TryParse(text, Globalization.NumberStyles.None, Globalization.CultureInfo.InvariantCulture) with
        | true, number -> number
        | _ -> damaged path $"holds '{text}' as '{key}' where a whole number belongs"

    /// An entry read by `parse`; a text that cannot be read is damage, not a wrong setting.
    let private parsed (path: string) (file: TensorFile) (key: string) (parse: string -> 'a) : 'a =
        let text = entry path file key

        try
            parse text
        with :? UserError as error ->
            damaged path $"holds '{key}' that cannot be read ({error.Failure.Sentence})"

    /// A checkpoint of a later version is refused for what it is: an older one beside it would silently undo work. One without
    /// a format is none of this program's.
    let private checkFormat (path: string) (file: TensorFile) =
        let found = file.Metadata |> Map.tryFind "format" |> Option.defaultValue ""

        let version =
            if found.StartsWith(FormatName, StringComparison.Ordinal) then
                Int32.TryParse(
                    found.Substring FormatName.Length,
                    Globalization.NumberStyles.None,
                    Globalization.CultureInfo.InvariantCulture
                )
            else
                false, 0

        match version with
        | true, Format -> ()
        | true, _ ->
            Errors.fail (
                Settings
                    $"{path} has the format {found}, but this version reads {FormatName}{Format}: use the version that wrote it, or train anew in another folder"
            )
        | false, _ ->
            Errors.fail (Damaged $"{path} names no format: it is not a checkpoint of this program; use another")

    /// A checkpoint of this layout and of this task?
    let private checkTask (task: string) (path: string) (file: TensorFile) =
        checkFormat path file
        let found = file.Metadata |> Map.tryFind "task" |> Option.defaultValue "another program"

        if found <> task then
            Errors.fail (Settings $"{path} is a checkpoint of {found}, not of {task}: give one of a run on {task}")

    let private stateOf (model: Model) (path: string) (file: TensorFile) : TrainState =
        let values dtype name count = values path file dtype name count

        let parameters name (p: Params) =
            let flat =
                p.Layout |> List.map (fun slice -> values F32 $"{name}.{slice.Name}" (List.fold (*) 1 slice.Shape))

            Params.withFlat (Tensors.ofArray model.Compute [ int (p.Flat.numel ()) ] (Array.concat flat)) p

        let fixedValues dtype name count = fixedValues path file dtype name count
        let counters = countersOf path file
        let temperature: float[] = fixedValues F64 "temperature" 3

        // checkpoints written before Q could be normalised hold none
        let running: RunningValues =
            if file.Tensors.ContainsKey "values" then
                let numbers: float[] = fixedValues F64 "values" 2
                { Mean = numbers[0]; Deviation = numbers[1] }
            else
                RunningValues.init

        let shift: EnergyShift =
            if file.Tensors.ContainsKey "energy_shift" then
                let numbers: float[] = fixedValues F64 "energy_shift" 2
                { Shift = numbers[0]; Idle = int64 numbers[1] }
            else
                EnergyShift.init

        let adam name (p: Params) count =
            let vector part =
                let n = int (p.Flat.numel ())
                Tensors.ofArray model.Compute [ n ] (values F32 $"{name}.adam.{part}" n)

            { M = vector "m"; V = vector "v"; Count = count }

        // the fresh state only lends its layouts
        let fresh = TrainState.init model (Key.ofSeed 0L)

        try
            Tensors.owning TrainState.tensors (fun () ->
                { Policy = parameters "policy" fresh.Policy
                  TargetPolicy = parameters "target_policy" fresh.TargetPolicy
                  Q1 = parameters "q1" fresh.Q1
                  Q2 = parameters "q2" fresh.Q2
                  TargetQ1 = parameters "target_q1" fresh.TargetQ1
                  TargetQ2 = parameters "target_q2" fresh.TargetQ2
                  PolicyAdam = adam "policy" fresh.Policy counters[3]
                  Q1Adam = adam "q1" fresh.Q1 counters[4]
                  Q2Adam = adam "q2" fresh.Q2 counters[5]
                  Temperature =
                    { LogLambda = temperature[0]; M = temperature[1]; V = temperature[2]; Count = counters[6] }
                  Values = running
                  EnergyShift = shift
                  Updates = counters[2] })
        finally
            TrainState.dispose fresh

    /// Reads a training state for `model`. Fails with Damaged for a damaged file, with Settings for one of other sizes.
    let load (model: Model) (task: string) (path: string) : TrainState =
        let file = Safetensors.read path
        checkTask task path file
        stateOf model path file

    /// States of the sizes of `like`.
    let private statesOf (like: EnvStates) (path: string) (file: TensorFile) : EnvStates =
        let values dtype name count = values path file dtype $"env.{name}" count
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

    let private replayOf (folder: RunFolder) (first: Step) (path: string) (file: TensorFile) (parts: MemoryPart list) =
        let sizes = sizes first
        let remembered, openSteps = countIn path file "remembered", countIn path file "openSteps"

        if openSteps > int64 Int32.MaxValue then
            damaged path $"holds '{openSteps}' as 'openSteps', more than a replay memory has"

        let last = Memory.segment path "memory." file remembered (int openSteps) false

        try
            Replay.ofSegments
                sizes.Environments
                sizes.ObsDim
                sizes.ActionDim
                first.Model.Config.BufferCapacity
                (List.map (Memory.load folder) parts @ [ last ])
        with :? ArgumentException ->
            Errors.fail (
                Settings
                    $"the replay memory of {path} does not fit these settings: use the settings that the run was made with"
            )

    /// A copy that was given the name of another checkpoint is not that checkpoint.
    let private checkNamed (iteration: int64) (path: string) (file: TensorFile) =
        let found = Map.tryFind "iteration" file.Metadata |> Option.defaultValue "no iteration"

        if found <> string iteration then
            Errors.fail (
                Damaged
                    $"{path} holds the checkpoint of {found}, not of {iteration}: it is a copy; give it a name of its own"
            )

    /// Reads a checkpoint by its name.
    let private readNamed (task: string) (path: string) =
        if (Files.realPath path).IsNone then
            Errors.fail (Damaged $"{path} is a link that leads to no file: put the file back, or delete the link")

        let file = Safetensors.read path
        checkTask task path file
        file

    /// The run at a checkpoint. `first` is its beginning, whose environments are used on; the caller owns the new state.
    let private restoreFrom (folder: RunFolder) (spec: Spec) (first: Step) (iteration: int64, path: string) : Restored =
        let file = readNamed first.Environment.Task path
        let parsed key parse = parsed path file key parse
        parsed "spec" (Json.parseNode path) |> ignore
        let made = entry path file "spec" |> Spec.parseRecorded path
        Spec.checkSame $"the checkpoint {path}" made folder.Spec spec
        checkNamed iteration path file
        let journal: Journal = parsed "journal" (Json.parseOver path Journal.empty)
        checkLength folder.Metrics journal.MetricsBytes
        checkLength folder.Events journal.EventBytes
        let parts: MemoryPart list = parsed "memory" (Json.parseOver path [])
        let counters = countersOf path file

        { Path = path
          Step =
            { first with
                EnvStates = statesOf first.EnvStates path file
                Replay = replayOf folder first path file parts
                Iteration = counters[0]
                EnvSteps = counters[1]
                Metrics = parsed "metrics" (Json.parseOver path []) |> List.tryHead
                State = stateOf first.Model path file }
          Journal = journal
          Parts = parts
          Complaints = [] }

    /// What `attempt` makes of the newest checkpoint that is not damaged, with what was wrong with each newer one; None where
    /// there is no checkpoint at all. Fails with Damaged where none can be used.
    let private newestBy (folder: RunFolder) (attempt: int64 * string -> 'a) : ('a * string list) option =
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

        match RunFolder.checkpoints folder with
        | [] -> None
        | paths -> Some(search [] paths)

    /// The newest checkpoint of a run that can be trusted, with what was wrong with each newer one.
    let newest (model: Model) (task: string) (folder: RunFolder) : struct (string * TrainState * string list) =
        let attempt (iteration, path) =
            let file = readNamed task path
            checkNamed iteration path file
            path, stateOf model path file

        match newestBy folder attempt with
        | Some((path, state), complaints) -> struct (path, state, complaints)
        | None -> Errors.fail (Damaged $"{folder.Path} holds no checkpoint: train first")

    /// The run as its newest good checkpoint left it; None where it has no checkpoint yet. `first` is the run's beginning,
    /// whose environments are used on. Nothing on disk is changed.
    let restore (folder: RunFolder) (spec: Spec) (first: Step) : Restored option =
        newestBy folder (restoreFrom folder spec first)
        |> Option.map (fun (restored, complaints) -> { restored with Complaints = complaints })
