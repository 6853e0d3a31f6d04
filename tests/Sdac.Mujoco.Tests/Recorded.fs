/// Figures recorded from Gymnasium 0.29.1 on MuJoCo 2.2.2. A few steps of each task travel with the tests; the full
/// recordings are used as well where they lie beside the checkout (../shared/goldens) or where SDAC_SHARED points.
module Sdac.Mujoco.Tests.Recorded

open System
open System.IO
open System.Collections.Generic
open System.Text.Json
open Sdac.Mujoco

let number (json: JsonElement) =
    match json.ValueKind with
    | JsonValueKind.Number -> json.GetDouble()
    | JsonValueKind.True -> 1.0
    | JsonValueKind.False -> 0.0
    | JsonValueKind.String when json.GetString() = "Infinity" -> infinity
    | JsonValueKind.String when json.GetString() = "-Infinity" -> -infinity
    | _ -> failwith $"{json.GetRawText()} is no number"

let rec numbers (json: JsonElement) : float[] =
    if json.ValueKind = JsonValueKind.Array then
        [| for item in json.EnumerateArray() do
               yield! numbers item |]
    else
        [| number json |]

let rows (json: JsonElement) = [| for row in json.EnumerateArray() -> numbers row |]

let flags (json: JsonElement) = [| for flag in json.EnumerateArray() -> flag.GetBoolean() |]

/// The property, or None where the record lacks it.
let find (name: string) (json: JsonElement) =
    match json.TryGetProperty name with
    | true, found -> Some found
    | _ -> None

let get (name: string) (json: JsonElement) = json.GetProperty name

let private read (path: string) = (JsonDocument.Parse(File.ReadAllText path)).RootElement

let private shared =
    let rec upward (folder: DirectoryInfo | null) =
        match folder with
        | null -> None
        | folder when File.Exists(Path.Combine(folder.FullName, "Sdac.Functional.sln")) -> Some folder.FullName
        | folder -> upward folder.Parent

    let root = upward (DirectoryInfo AppContext.BaseDirectory)
    let beside = root |> Option.map (fun root -> Path.Combine(root, "..", "shared"))

    [ Environment.GetEnvironmentVariable "SDAC_SHARED" |> Option.ofObj; beside ]
    |> List.choose id
    |> List.map (fun folder -> Path.Combine(folder, "goldens"))
    |> List.tryFind Directory.Exists

let private carried (task: string) = read (Path.Combine(AppContext.BaseDirectory, "recorded", task + ".json"))

/// What travels with the tests, then the full recording where there is one.
let environments (task: string) =
    [ yield carried task
      match shared with
      | Some folder -> yield read (Path.Combine(folder, "gym", task + ".json"))
      | None -> () ]

/// The compiled model's figures: some arrays, then all where there is the full recording.
let models (task: string) =
    [ yield get "model" (carried task)
      match shared with
      | Some folder -> yield read (Path.Combine(folder, "models", task + ".json"))
      | None -> () ]

/// Recordings of a task of the Control Suite, likewise.
let suite (task: string) =
    [ yield carried $"dmc-{task}"
      match shared with
      | Some folder -> yield read (Path.Combine(folder, "dmc", task + ".json"))
      | None -> () ]

/// The compiled models of recorded tasks of the Control Suite, where there is the full recording.
let suiteModels (tasks: string list) =
    [ match shared with
      | Some folder ->
          for task in tasks do
              task, read (Path.Combine(folder, "models", $"dmc-{task}.json"))
      | None -> () ]

/// Options of a recorded trajectory.
let options (json: JsonElement) =
    let values = Dictionary<string, objnull>()

    for item in (get "kwargs" json).EnumerateObject() do
        values[item.Name] <- box item.Value

    values

/// low + (high - low)(0.5 + 0.5 sin(0.7 k + 1.3 i)), the recordings' actions.
let action (low: float[]) (high: float[]) (k: int) =
    Array.init low.Length (fun i -> low[i] + (high[i] - low[i]) * (0.5 + 0.5 * sin (0.7 * float k + 1.3 * float i)))

/// For theories over all tasks.
type EveryTask() =
    static member Names = Tasks.NamesOf "v4" |> Seq.map (fun name -> [| box name |])
