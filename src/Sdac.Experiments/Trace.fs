namespace Sdac.Experiments

open System
open System.Buffers
open System.Collections.Generic
open System.IO
open System.Text.Json
open Sdac.Environments
open Sdac.Mujoco
open Sdac.PushT

/// Replays given actions from a given state, without resets: for debugging environments and for comparing them with other
/// implementations.
[<RequireQualifiedAccess>]
module Trace =
    /// A task, where it starts, what is done.
    type Request =
        {
            /// How messages name the request: the file's name.
            Place: string
            Task: string
            /// By Gymnasium's names, as TaskOptions.Parse takes them.
            Options: Dictionary<string, objnull>
            /// [nq]; None: the model's own positions. Of PushT where agent and block are put: x, y, x, y, angle.
            Qpos: float[] option
            /// [nv]; None: at rest, as PushT always begins.
            Qvel: float[] option
            /// [steps, actions], in the task's units; not clipped here.
            Actions: float[][]
        }

    /// What one step led to.
    type Step =
        {
            Obs: float[]
            Reward: float
            Terminated: bool
            Truncated: bool
            Qpos: float[]
            Qvel: float[]
            /// The reward's components and other figures, in the task's order.
            Info: (string * float) list
        }

    let private known = [ "env"; "options"; "qpos"; "qvel"; "actions" ]

    let private refuse place text = Errors.fail (Input $"{place}: {text}")

    /// The start of a JSON value, on one line.
    let private shown (value: JsonElement) =
        let text = value.GetRawText().ReplaceLineEndings " "
        if text.Length <= 40 then text else text.Substring(0, 40) + "..."

    /// The fields of an object; null counts as left out.
    let private fields (place: string) (what: string) (value: JsonElement) =
        if value.ValueKind <> JsonValueKind.Object then
            refuse place $"{what} must be an object with named fields, not {shown value}"

        [ for field in value.EnumerateObject() do
              if field.Value.ValueKind <> JsonValueKind.Null then
                  field.Name, field.Value ]

    let private list (place: string) (name: string) (ofWhat: string) (value: JsonElement) =
        if value.ValueKind <> JsonValueKind.Array then
            refuse place $"{name} must be a list of {ofWhat}, not {shown value}"

        value.EnumerateArray() |> Seq.toArray

    let private numbers (place: string) (name: string) (value: JsonElement) =
        list place name "numbers" value
        |> Array.mapi (fun i item ->
            match Number.tryRead item with
            | Some number -> number
            | None -> refuse place $"{name}[{i}] must be a number, not {shown item}")

    /// Reads {"env","options":{..},"qpos":[..],"qvel":[..],"actions":[[..],..]}; options, qpos and qvel may be left out.
    /// `place` names the text in messages. Sizes are checked by `replay`, which knows the task.
    let parse (place: string) (text: string) : Request =
        let given = Json.parseNode place text |> JsonSerializer.SerializeToElement |> fields place "the trace"

        for name, _ in given do
            if not (List.contains name known) then
                Errors.fail (Input(Errors.unknown "field" name place known))

        let find name = given |> List.tryFind (fun (given, _) -> given = name) |> Option.map snd

        let required name example =
            find name
            |> Option.defaultWith (fun () -> refuse place $"'{name}' is missing: add it, such as {example}")

        let task = required "env" "\"env\": \"Hopper-v4\""

        if task.ValueKind <> JsonValueKind.String then
            refuse place $"env must be a task's name, not {shown task}"

        let options = find "options" |> Option.map (fields place "options") |> Option.defaultValue []

        { Place = place
          Task = string task
          Options = Dictionary(options |> Seq.map (fun (name, value) -> KeyValuePair(name, box value)))
          Qpos = find "qpos" |> Option.map (numbers place "qpos")
          Qvel = find "qvel" |> Option.map (numbers place "qvel")
          Actions =
            required "actions" "\"actions\": [[0.1, -0.2, 0.3]]"
            |> list place "actions" "actions, each a list of numbers"
            |> Array.mapi (fun i action -> numbers place $"actions[{i}]" action) }

    let private taskOf (request: Request) =
        let suite = Sdac.Functional.Environment.suite

        if not (Seq.contains request.Task suite.Names) then
            Errors.fail (Settings(Errors.unknown "task" request.Task request.Place suite.Names))

        try
            suite.Create(request.Task, request.Options)
        with :? ArgumentException as error ->
            Errors.fail (Settings $"{request.Place}: {error.Message.TrimEnd '.'}")

    /// Steps are counted from 1, as the environments count them; entries of lists from 0.
    let private stepName k = $"step {k + 1}, actions[{k}]"

    let private finite (place: string) (what: string) (kind: string) (values: float[]) =
        match values |> Array.tryFindIndex (Double.IsFinite >> not) with
        | Some i ->
            let value = values[i].ToString Globalization.CultureInfo.InvariantCulture
            refuse place $"{kind} {i} of {what} is {value}: give a finite number"
        | None -> ()

    /// One environment of either engine, as a replay needs it.
    type private Traced =
        {
            Spec: EnvSpec
            /// Numbers of qpos and of qvel that can be set
            StateSizes: int * int
            Set: float[] option -> float[] option -> unit
            Obs: unit -> float[]
            Advance: float[] -> unit
            Status: unit -> Step
            Close: unit -> unit
        }

    let private named (spec: EnvSpec) (values: ReadOnlySpan<float>) =
        List.zip (List.ofSeq spec.InfoNames) (List.ofArray (values.ToArray()))

    let private ofMujoco (env: Env) =
        let rest () = Array.zeroCreate<float> env.Model.Nv

        { Spec = env.Spec
          StateSizes = env.Model.Nq, env.Model.Nv
          Set =
            fun qpos qvel ->
                let qpos: float[] = qpos |> Option.defaultWith (fun () -> env.Model.Qpos0.ToArray())
                let qvel: float[] = qvel |> Option.defaultWith rest
                env.SetState(ReadOnlySpan qpos, ReadOnlySpan qvel)
          Obs = fun () -> env.Obs.ToArray()
          Advance = fun action -> env.Step(ReadOnlySpan action)
          Status =
            fun () ->
                { Obs = env.Obs.ToArray()
                  Reward = env.Reward
                  Terminated = env.Terminated
                  Truncated = env.Truncated
                  Qpos = env.Qpos.ToArray()
                  Qvel = env.Qvel.ToArray()
                  Info = named env.Spec env.Info }
          Close = env.Dispose }

    let private ofPushT (env: PushTEnv) =
        { Spec = env.Spec
          StateSizes = Pose.Size, 0
          Set = fun qpos _ -> qpos |> Option.iter (fun numbers -> env.SetState(Pose.Of(ReadOnlySpan numbers)))
          Obs = fun () -> env.Obs.ToArray()
          Advance = fun action -> env.Step(ReadOnlySpan action)
          Status =
            fun () ->
                let pose = Array.zeroCreate Pose.Size
                env.Pose.CopyTo(Span pose)

                { Obs = env.Obs.ToArray()
                  Reward = env.Reward
                  Terminated = env.Terminated
                  Truncated = env.Truncated
                  Qpos = pose
                  Qvel = env.Velocities
                  Info = named env.Spec env.Info }
          Close = env.Dispose }

    let private opened (task: ITask) : Traced =
        match task with
        | :? TaskDefinition as task -> ofMujoco (new Env(task))
        | :? PushTTask as task -> ofPushT (new PushTEnv(task))
        | task when task.Options.Keys |> Seq.exists (fun option -> Seq.contains option Wrappers.Names) ->
            let names = String.Join(", ", Wrappers.Names)
            Errors.fail (Settings $"{task.Name} is traced as it is: leave {names} out")
        | task -> Errors.fail (Settings $"{task.Name} is of an engine whose trajectories cannot be traced")

    /// Refuses what does not fit the task, before anything is simulated.
    let private checkSizes (request: Request) (env: Traced) =
        let state name wanted (values: float[] option) =
            match values with
            | Some values when values.Length <> wanted ->
                refuse
                    request.Place
                    $"{name} has {values.Length} numbers, but {request.Task} has {wanted}: give {wanted}, or leave {name} out"
            | Some values -> finite request.Place name "entry" values
            | None -> ()

        state "qpos" (fst env.StateSizes) request.Qpos
        state "qvel" (snd env.StateSizes) request.Qvel
        let wanted = env.Spec.ActionDim

        request.Actions
        |> Array.iteri (fun k action ->
            if action.Length <> wanted then
                refuse
                    request.Place
                    $"the action of {stepName k}, has {action.Length} numbers, but {request.Task} takes {wanted}: give {wanted}"

            finite request.Place $"the action of {stepName k}," "component" action)

    /// Turns the engine's complaint into a failure with its step.
    let private simulate (request: Request) (action: unit -> unit) =
        try
            action ()
        with :? SimulationException as error ->
            let at =
                if error.Step = 0 then
                    "when its state was set"
                else
                    $"at {stepName (error.Step - 1)}"

            Errors.fail (
                Diverged
                    $"{request.Place}: {request.Task} diverged {at} ({error.Cause.TrimEnd '.'}): \
                      start from another state or give smaller actions before it"
            )

    /// Sets the state (of MuJoCo mj_resetData, qpos and qvel, mj_forward), hands its observation to `started`, then takes every action in
    /// turn and hands what it led to to `stepped`, going on past the end of an episode. Fails with Settings (unknown task or
    /// option), Input (wrong sizes, numbers that are not finite) before anything is simulated, with Diverged at the step.
    let replay (request: Request) (started: float[] -> unit) (stepped: Step -> unit) =
        let env = opened (taskOf request)

        try
            checkSizes request env
            simulate request (fun () -> env.Set request.Qpos request.Qvel)
            started (env.Obs())

            for action in request.Actions do
                simulate request (fun () -> env.Advance action)
                stepped (env.Status())
        finally
            env.Close()

    let private writeNumbers (writer: Utf8JsonWriter) (name: string) (values: float[]) =
        writer.WriteStartArray name
        values |> Array.iter (Number.write writer)
        writer.WriteEndArray()

    let private writeStep (writer: Utf8JsonWriter) (step: Step) =
        writeNumbers writer "obs" step.Obs
        writer.WritePropertyName "reward"
        Number.write writer step.Reward
        writer.WriteBoolean("terminated", step.Terminated)
        writer.WriteBoolean("truncated", step.Truncated)
        writeNumbers writer "qpos" step.Qpos
        writeNumbers writer "qvel" step.Qvel
        writer.WriteStartObject "info"

        for name, value in step.Info do
            writer.WritePropertyName name
            Number.write writer value

        writer.WriteEndObject()

    /// Replays into JSON lines: {"obs"} of the start, then per step {"obs","reward","terminated","truncated","qpos","qvel",
    /// "info"}; numbers read back to the same bits.
    let write (request: Request) (output: Stream) =
        let buffer = ArrayBufferWriter<byte>()
        use writer = new Utf8JsonWriter(buffer)

        let line (fill: unit -> unit) =
            writer.WriteStartObject()
            fill ()
            writer.WriteEndObject()
            writer.Flush()
            output.Write buffer.WrittenSpan
            output.WriteByte(byte '\n')
            buffer.ResetWrittenCount()
            writer.Reset()

        replay request (fun obs -> line (fun () -> writeNumbers writer "obs" obs)) (fun step ->
            line (fun () -> writeStep writer step))

    /// The output file appears at the end, whole; where the simulation diverges, with the lines before that.
    let private writeFile (request: Request) (path: string) =
        let diverged = ref None

        Files.writeAtomic path (fun stream ->
            try
                write request stream
            with :? UserError as error when error.Failure.IsDiverged ->
                diverged.Value <- Some error)

        diverged.Value |> Option.iter raise

    /// Replays the file `input` to the file `output`, or to standard output.
    let run (input: string) (output: string option) =
        let request = parse input (Files.readUtf8 input)

        match output with
        | Some path when Path.GetFullPath path = Path.GetFullPath input ->
            Errors.fail (Usage $"--out {path} would overwrite the input: choose another name")
        | Some path ->
            RunFolder.refuseOwn "--out" path
            writeFile request path
        | None ->
            use stream = new BufferedStream(Console.OpenStandardOutput(), 1 <<< 16)
            write request stream
