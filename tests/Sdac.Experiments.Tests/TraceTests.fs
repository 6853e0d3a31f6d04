/// Traces through the same path as trace.fsx: JSON text in, JSON lines out.
module Sdac.Experiments.Tests.TraceTests

open System
open System.IO
open System.Text.Json
open Expecto
open FsCheck
open FsCheck.FSharp
open Sdac.Environments
open Sdac.Mujoco
open Sdac.Experiments
open Sdac.Experiments.Tests.Support
open Sdac.Testing

/// Traces a file's text; the lines.
let private trace (text: string) =
    let lines = ref [||]

    inFolder (fun folder ->
        let input, output = Path.Combine(folder, "in.json"), Path.Combine(folder, "out.jsonl")
        File.WriteAllText(input, text)
        Trace.run input (Some output)
        lines.Value <- File.ReadAllLines output)

    lines.Value

let private parse (line: string) =
    use document = JsonDocument.Parse line
    document.RootElement.Clone()

let private get (name: string) (json: JsonElement) = json.GetProperty name

let private items (json: JsonElement) = json.EnumerateArray() |> Seq.toArray

let private number (json: JsonElement) = Number.tryRead json |> Option.get

let private numbers (json: JsonElement) = items json |> Array.map number

let private has (name: string) (json: JsonElement) = fst (json.TryGetProperty name)

// ---- the recordings of Gymnasium 0.29.1 on MuJoCo 2.2.2

/// The carried parts, then the full recordings where they lie beside the checkout or where SDAC_SHARED points.
let private recordings (task: string) =
    let rec root (folder: DirectoryInfo | null) =
        match folder with
        | null -> None
        | folder when File.Exists(Path.Combine(folder.FullName, "Sdac.Functional.sln")) -> Some folder.FullName
        | folder -> root folder.Parent

    let beside =
        root (DirectoryInfo AppContext.BaseDirectory)
        |> Option.map (fun root -> Path.Combine(root, "..", "shared"))

    let shared =
        [ Environment.GetEnvironmentVariable "SDAC_SHARED" |> Option.ofObj; beside ] |> List.choose id

    let full =
        [ for folder in shared -> Path.Combine(folder, "goldens", "gym", task + ".json") ]
        |> List.tryFind File.Exists

    let carried = Path.Combine(AppContext.BaseDirectory, "recorded", task + ".json")
    [ for path in carried :: Option.toList full -> parse (File.ReadAllText path) ]

/// low + (high - low)(0.5 + 0.5 sin(0.7 k + 1.3 i)), the recordings' actions.
let private recordedAction (low: float[]) (high: float[]) (k: int) =
    Array.init low.Length (fun i -> low[i] + (high[i] - low[i]) * (0.5 + 0.5 * sin (0.7 * float k + 1.3 * float i)))

let private request (task: string) (options: string) (qpos: string) (qvel: string) (actions: float[][]) =
    $"""{{"env":"{task}","options":{options},"qpos":{qpos},"qvel":{qvel},"actions":{JsonSerializer.Serialize actions}}}"""

/// Entries of the observation that went through sine or cosine, where numpy's last bit differs from the C library's.
let private trigonometric (recording: JsonElement) =
    [ for slice in items (recording |> get "spec" |> get "obs_layout") do
          if List.contains (string (get "name" slice)) [ "sin"; "cos" ] then
              let start = (get "start" slice).GetInt32()
              yield! [ start .. start + (get "len" slice).GetInt32() - 1 ] ]

let private same (what: string) (loose: int list) (expected: float[]) (actual: float[]) =
    Expect.isTrue (expected.Length = actual.Length) $"{what}: {actual.Length} numbers, {expected.Length} recorded"

    for i in 0 .. expected.Length - 1 do
        let fits =
            if List.contains i loose then
                abs (expected[i] - actual[i]) <= 4e-16
            else
                BitConverter.DoubleToInt64Bits expected[i] = BitConverter.DoubleToInt64Bits actual[i]

        Expect.isTrue fits $"{what}, entry {i}: {actual[i]:R}, recorded {expected[i]:R}"

let private close (what: string) (expected: float) (actual: float) =
    Expect.isTrue (abs (actual - expected) <= 1e-12 * abs expected) $"{what}: {actual:R}, recorded {expected:R}"

/// Gymnasium's info figures, and the components it does not report; `pick` takes this step's value.
let private sameInfo
    (what: string)
    (recorded: JsonElement)
    (pick: JsonElement -> JsonElement option)
    (line: JsonElement)
    =
    let withContacts = recorded |> get "kwargs" |> has "use_contact_forces"

    for part in [ "info"; "derived" ] |> List.filter (fun part -> has part recorded) do
        for figure in (get part recorded).EnumerateObject() do
            match figure.Name, pick figure.Value with
            | "contact_cost_if_used", _ when not withContacts -> ()
            | name, Some expected ->
                let name = if name = "contact_cost_if_used" then "contact_cost" else name

                let expected =
                    if expected.ValueKind = JsonValueKind.True then 1.0
                    elif expected.ValueKind = JsonValueKind.False then 0.0
                    else number expected

                close $"{what} info {name}" expected (line |> get "info" |> get name |> number)
            | _ -> ()

let private sameTrajectory (task: string) (recording: JsonElement) (recorded: JsonElement) =
    let spec, loose = get "spec" recording, trigonometric recording
    let low, high = numbers (get "ctrlrange_low" spec), numbers (get "ctrlrange_high" spec)
    let rewards = numbers (get "reward" recorded)
    let raw name = (get name recorded).GetRawText()
    let actions = Array.init rewards.Length (recordedAction low high)

    let lines =
        trace (request task (raw "kwargs") (raw "qpos_in") (raw "qvel_in") actions) |> Array.map parse

    Expect.equal lines.Length (rewards.Length + 1) "number of lines"
    Expect.equal [ for field in lines[0].EnumerateObject() -> field.Name ] [ "obs" ] "fields of the first line"
    same $"{task} start" loose (numbers (get "obs0" recorded)) (numbers (get "obs" lines[0]))
    let kept = numbers (get "obs_steps" recorded) |> Array.map int

    for k in 0 .. rewards.Length - 1 do
        let what, line = $"{task} step {k}", lines[k + 1]
        close $"{what} reward" rewards[k] (number (get "reward" line))

        for flag in [ "terminated"; "truncated" ] do
            let expected = (items (get flag recorded))[k]
            Expect.equal ((get flag line).GetBoolean()) (expected.GetBoolean()) "get"

        sameInfo
            what
            recorded
            (fun values -> if values.ValueKind = JsonValueKind.Array then Some((items values)[k]) else None)
            line

        match Array.IndexOf(kept, k) with
        | -1 -> ()
        | at ->
            let expected name = numbers ((items (get name recorded))[at])
            same $"{what} qpos" [] (expected "qpos") (numbers (get "qpos" line))
            same $"{what} qvel" [] (expected "qvel") (numbers (get "qvel" line))
            same $"{what} obs" loose (expected "obs") (numbers (get "obs" line))

let private sameTransition (task: string) (recording: JsonElement) (recorded: JsonElement) =
    let loose = trigonometric recording
    let raw name = (get name recorded).GetRawText()

    let lines =
        trace (request task (raw "kwargs") (raw "qpos") (raw "qvel") [| numbers (get "action" recorded) |])
        |> Array.map parse

    let expected name = numbers (get name recorded)
    same $"{task} before" loose (expected "obs_before") (numbers (get "obs" lines[0]))
    same $"{task} obs" loose (expected "obs") (numbers (get "obs" lines[1]))
    same $"{task} qpos" [] (expected "next_qpos") (numbers (get "qpos" lines[1]))
    same $"{task} qvel" [] (expected "next_qvel") (numbers (get "qvel" lines[1]))
    close $"{task} reward" (number (get "reward" recorded)) (number (get "reward" lines[1]))
    Expect.equal ((get "terminated" lines[1]).GetBoolean()) ((get "terminated" recorded).GetBoolean()) "terminated"
    sameInfo task recorded Some lines[1]

let tasks () = Tasks.NamesOf "v4" |> Seq.map (fun name -> [| box name |])

/// A replay without files: the first observation and the steps.
let private replay (text: string) =
    let start, steps = ref [||], ResizeArray<Trace.Step>()
    Trace.replay (Trace.parse "test" text) (fun obs -> start.Value <- obs) steps.Add
    start.Value, List.ofSeq steps

let private hopper (actions: float[][]) = $"""{{"env":"Hopper-v4","actions":{JsonSerializer.Serialize actions}}}"""

let private hopperActions =
    Gen.choose (-3000, 3000)
    |> Gen.map (fun n -> float n / 1000.0)
    |> Gen.arrayOfLength 3
    |> Gen.arrayOf
    |> Arb.fromGen

let private refused (text: string) = failureOf (fun () -> trace text)

let private isInput (parts: string list) (failure: Failure) =
    Expect.isTrue failure.IsInput "input"
    says ("in.json" :: parts) failure

let private isSettings (parts: string list) (failure: Failure) =
    Expect.isTrue failure.IsSettings "settings"
    says ("in.json" :: parts) failure

[<Tests>]
let tests =
    testList
        "traces"
        [ for task in Tasks.NamesOf "v4" do
              testCase $"traces equal the recorded trajectories: {task}" (fun () ->
                  for recording in recordings task do
                      for recorded in items (get "trajectories" recording) do
                          sameTrajectory task recording recorded)

          for task in Tasks.NamesOf "v4" do
              testCase $"traces of one step from disturbed states equal the recorded ones: {task}" (fun () ->
                  for recording in recordings task do
                      for recorded in items (get "transitions" recording) do
                          sameTransition task recording recorded)

          // ---- properties

          testPropertyWithConfig
              seeded
              "a trace of the first actions is the beginning of the trace"
              (Prop.forAll hopperActions (fun actions ->
                  let start, steps = replay (hopper actions)
                  let half = actions.Length / 2
                  replay (hopper actions[.. half - 1]) = (start, List.truncate half steps)))

          testPropertyWithConfig
              seeded
              "the engine clamps actions, and the control cost is that of the action as given"
              (Prop.forAll hopperActions (fun actions ->
                  let clamp = Array.map (Array.map (fun a -> Math.Clamp(a, -1.0, 1.0)))
                  let (_, given), (_, clamped) = replay (hopper actions), replay (hopper (clamp actions))
                  let states = List.map (fun (step: Trace.Step) -> step.Qpos, step.Qvel, step.Obs)

                  let loss (action: float[]) (step: Trace.Step) =
                      // Velocity and health: what is left of the reward once the cost is taken away again.
                      step.Reward + 1e-3 * Array.sumBy (fun a -> a * a) action

                  let near a b = abs (a - b) <= 1e-12 * (1.0 + abs a)
                  let losses = List.map2 loss (List.ofArray actions) given

                  states given = states clamped
                  && List.forall2 near losses (List.map2 loss (List.ofArray (clamp actions)) clamped)))

          testCase "numbers in the lines read back to the bits of the engine" (fun () ->
              let actions = Array.init 5 (fun k -> [| sin (float k); 0.3; -0.7 |])
              let start, steps = replay (hopper actions)
              let lines = trace (hopper actions) |> Array.map parse
              Expect.equal (numbers (get "obs" lines[0])) start "numbers"

              for step, line in Seq.zip steps lines[1..] do
                  let names = [ for field in line.EnumerateObject() -> field.Name ]
                  Expect.equal names [ "obs"; "reward"; "terminated"; "truncated"; "qpos"; "qvel"; "info" ] "names"
                  Expect.equal (numbers (get "obs" line)) step.Obs "numbers"
                  Expect.equal (numbers (get "qvel" line)) step.Qvel "numbers"
                  Expect.equal (number (get "reward" line)) step.Reward "reward"

                  Expect.equal
                      [ for figure in (get "info" line).EnumerateObject() -> figure.Name, number figure.Value ]
                      step.Info
                      "info")

          testCase "PushT is put into poses and stepped: the first recorded numbers" (fun () ->
              let start, steps =
                  replay """{"env":"PushT","qpos":[256,400,256,300,0.7],"actions":[[256.0,502.6708954668014]]}"""

              Expect.equal start [| 256.0; 400.0; 284.9897959256961; 310.58210157219804; 0.7 |] "numbers"
              let step = List.head steps
              Expect.equal step.Obs [| 256.0; 430.3568870240015; 284.9897959256961; 310.58210157219804; 0.7 |] "obs"
              Expect.equal (step.Qpos, step.Qvel) (step.Obs, [| 0.0; 384.14074861084146; 0.0; 0.0; 0.0 |]) "pose"
              Expect.equal (List.map fst step.Info) [ "coverage"; "is_success"; "max_coverage"; "max_reward" ] "info"

              refused """{"env":"PushT","qvel":[1,2],"actions":[]}"""
              |> isInput [ "qvel has 2 numbers"; "PushT has 0" ]

              refused """{"env":"PushT","actions":[[1e300,0]]}""" |> ignore)

          // ---- what may be left out, and options

          testCase "without a state the trace starts from the task's own, at rest" (fun () ->
              let full =
                  """{"env":"Hopper-v4","options":{},"qpos":[0,1.25,0,0,0,0],"qvel":[0,0,0,0,0,0],"actions":[[1,1,1]]}"""

              let expected = trace full
              Expect.equal (trace """{"env":"Hopper-v4","actions":[[1,1,1]]}""") expected "trace"

              Expect.equal
                  (trace
                      """{"env":"Hopper-v4","options":null,"qvel":null,"qpos":[0,1.25,0,0,0,0],"actions":[[1,1,1]]}""")
                  expected
                  "trace")

          testCase "without actions there is the first observation alone" (fun () ->
              Expect.equal ((trace """{"env":"InvertedPendulum-v4","actions":[]}""").Length) 1 "number of lines")

          testCase "options are numbers, booleans and ranges by Gymnasium's names" (fun () ->
              let steps options =
                  replay $"""{{"env":"Hopper-v4","options":{{{options}}},"actions":[[1,1,1]]}}"""
                  |> snd
                  |> List.exactlyOne

              let plain = steps ""
              Expect.equal plain.Obs.Length 11 "number of obs"
              Expect.isFalse plain.Terminated "terminated"

              Expect.equal
                  ((steps "\"exclude_current_positions_from_observation\":false").Obs.Length)
                  12
                  "number of obs"

              Expect.isTrue ((steps "\"healthy_z_range\":[1.4,\"Infinity\"]").Terminated) "terminated"

              Expect.isFalse
                  ((steps "\"healthy_z_range\":[1.4,\"Infinity\"],\"terminate_when_unhealthy\":false").Terminated)
                  "terminated"

              Expect.floatClose (within 5e-13) ((steps "\"ctrl_cost_weight\":0").Reward) (plain.Reward + 3e-3) "reward")

          // ---- bad input

          testCase "text that is not a trace is refused with what is wrong" (fun () ->
              refused "{\n  \"env\": \"Hopper-v4\",\n  \"actions\": [[1, 2 3]]\n}"
              |> isSettings [ "line 3"; "column 21" ]

              refused "" |> isSettings [ "not JSON" ]
              refused "[1, 2]" |> isInput [ "must be an object"; "[1,2]" ]
              refused "null" |> isInput [ "must be an object" ]

              refused """{"env":"Hopper-v4","action":[[0,0,0]]}"""
              |> isInput [ "unknown field 'action'"; "'actions'" ]

              refused """{"env":"Hopper-v4"}""" |> isInput [ "'actions' is missing" ]
              refused """{"actions":[]}""" |> isInput [ "'env' is missing" ]
              refused """{"env":3,"actions":[]}""" |> isInput [ "env must be a task's name, not 3" ]

              refused """{"env":"Hopper-v4","env":"Hopper-v4","actions":[]}"""
              |> isSettings [ "gives 'env' twice (line 1, column 20)" ]

              refused """{"env":"Hopper-v4","actions":[0,0,0]}"""
              |> isInput [ "actions[0] must be a list of numbers, not 0" ]

              refused """{"env":"Hopper-v4","actions":[[0,0,0],[0,"left",0]]}"""
              |> isInput [ "actions[1][1] must be a number"; "\"left\"" ]

              refused """{"env":"Hopper-v4","qpos":{},"actions":[]}"""
              |> isInput [ "qpos must be a list of numbers" ])

          testCase "unknown tasks and options are named together with the nearest" (fun () ->
              refused """{"env":"Hoper-v4","actions":[]}""" |> isSettings [ "'Hoper-v4'"; "'Hopper-v4'" ]

              refused """{"env":"Hopper-v4","options":{"healthy_z_rang":[0,1]},"actions":[]}"""
              |> isSettings [ "no option healthy_z_rang;"; "nearest is healthy_z_range" ]

              refused """{"env":"Hopper-v4","options":{"ctrl_cost_weight":"much"},"actions":[]}"""
              |> isSettings [ "ctrl_cost_weight"; "a number" ]

              refused """{"env":"Hopper-v4","options":[1],"actions":[]}"""
              |> isInput [ "options must be an object" ])

          testCase "a state or action of the wrong length is refused with what it has and what is wanted" (fun () ->
              refused """{"env":"Hopper-v4","qpos":[0,1.25],"actions":[]}"""
              |> isInput [ "qpos has 2 numbers"; "Hopper-v4 has 6" ]

              refused """{"env":"Hopper-v4","qvel":[0,0,0,0,0,0,0],"actions":[]}"""
              |> isInput [ "qvel has 7 numbers"; "has 6" ]

              refused """{"env":"Hopper-v4","actions":[[0,0,0],[0,0,0],[0,0]]}"""
              |> isInput [ "step 3"; "actions[2]"; "has 2 numbers"; "Hopper-v4 takes 3" ])

          testCase "numbers that are not finite are refused with step and component" (fun () ->
              refused """{"env":"Hopper-v4","actions":[[0,0,0],[0,0,"NaN"]]}"""
              |> isInput [ "component 2"; "step 2"; "actions[1]"; "is NaN" ]

              refused """{"env":"Hopper-v4","actions":[[0,"-Infinity",0]]}"""
              |> isInput [ "component 1"; "step 1"; "is -Infinity" ]

              refused """{"env":"Hopper-v4","actions":[[1e999,0,0]]}"""
              |> isInput [ "component 0"; "is Infinity" ]

              refused """{"env":"Hopper-v4","qvel":[0,0,0,"NaN",0,0],"actions":[]}"""
              |> isInput [ "entry 3 of qvel is NaN" ])

          testCase "a file that is not there is named" (fun () ->
              let failure = failureOf (fun () -> Trace.run "nowhere.json" None)
              Expect.isTrue failure.IsStorage "storage"
              failure |> says [ "nowhere.json"; "no such file" ])

          testCase "the output never overwrites the input" (fun () ->
              inFolder (fun folder ->
                  let path = Path.Combine(folder, "in.json")
                  let text = """{"env":"Hopper-v4","actions":[]}"""
                  File.WriteAllText(path, text)

                  failureOf (fun () -> Trace.run path (Some(Path.Combine(folder, ".", "in.json"))))
                  |> says [ "overwrite"; "another name" ]

                  let ofRun = Path.Combine(folder, "spec.json")
                  File.WriteAllText(ofRun, "{}")

                  failureOf (fun () -> Trace.run path (Some ofRun))
                  |> says [ "would overwrite a file of the run"; "another name" ]

                  Expect.equal (File.ReadAllText ofRun) "{}" "a run's own file"
                  Expect.equal (File.ReadAllText path) text "content of path"))

          testCase "a bad trace leaves an earlier output as it was, a diverging one leaves the steps before" (fun () ->
              inFolder (fun folder ->
                  let input, output = Path.Combine(folder, "in.json"), Path.Combine(folder, "out.jsonl")
                  File.WriteAllText(output, "earlier")
                  File.WriteAllText(input, """{"env":"Hopper-v4","actions":[[0,0,0],[0,0,"NaN"]]}""")
                  failureOf (fun () -> Trace.run input (Some output)) |> isInput [ "NaN" ]
                  Expect.equal (File.ReadAllText output) "earlier" "content of output"

                  File.WriteAllText(
                      input,
                      """{"env":"Hopper-v4","qvel":[0,0,0,0,0,1e12],"actions":[[0,0,0],[0,0,0]]}"""
                  )

                  let failure = failureOf (fun () -> Trace.run input (Some output))
                  Expect.isTrue failure.IsDiverged "diverged"
                  failure |> says [ "in.json"; "Hopper-v4 diverged at step 1, actions[0]" ]
                  Expect.equal ((File.ReadAllLines output).Length) 1 "number of content of output")) ]
