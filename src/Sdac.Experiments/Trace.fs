namespace Sdac.Experiments

open System
open System.Buffers
open System.Collections.Generic
open System.IO
open System.Text.Json
open Sdac.Mujoco

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
            /// [nq]; None: the model's own positions.
            Qpos: float[] option
            /// [nv]; None: at rest.
            Qvel: float[] option
            /// [steps, nu], in the task's units; not clipped here.
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
        if not (Seq.contains request.Task Tasks.Names) then
            Errors.fail (Settings(Errors.unknown "task" request.Task request.Place Tasks.Names))

        try
            Tasks.Create(request.Task, request.Options)
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

    /// Refuses what does not fit the task, before anything is simulated.
    let private checkSizes (request: Request) (env: Env) =
        let state name wanted (values: float[] option) =
            match values with
            | Some values when values.Length <> wanted ->
                refuse
                    request.Place
                    $"{name} has {values.Length} numbers, but {request.Task} has {wanted}: give {wanted}, or leave {name} out"
            | Some values -> finite request.Place name "entry" values
            | None -> ()

        state "qpos" env.Model.Nq request.Qpos
        state "qvel" env.Model.Nv request.Qvel
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

    let private standing (env: Env) =
        { Obs = env.Obs.ToArray()
          Reward = env.Reward
          Terminated = env.Terminated
          Truncated = env.Truncated
          Qpos = env.Qpos.ToArray()
          Qvel = env.Qvel.ToArray()
          Info = List.zip (List.ofSeq env.Spec.InfoNames) (List.ofArray (env.Info.ToArray())) }

    /// Sets the state (mj_resetData, qpos and qvel, mj_forward), hands its observation to `started`, then takes every action in
    /// turn and hands what it led to to `stepped`, going on past the end of an episode. Fails with Settings (unknown task or
    /// option), Input (wrong sizes, numbers that are not finite) before anything is simulated, with Diverged at the step.
    let replay (request: Request) (started: float[] -> unit) (stepped: Step -> unit) =
        use env = new Env(taskOf request)
        checkSizes request env
        let qpos = request.Qpos |> Option.defaultWith (fun () -> env.Model.Qpos0.ToArray())
        let qvel = request.Qvel |> Option.defaultWith (fun () -> Array.zeroCreate env.Model.Nv)
        simulate request (fun () -> env.SetState(qpos, qvel))
        started (env.Obs.ToArray())

        for action in request.Actions do
            simulate request (fun () -> env.Step action)
            stepped (standing env)

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
        | Some path -> writeFile request path
        | None ->
            use stream = new BufferedStream(Console.OpenStandardOutput(), 1 <<< 16)
            write request stream
