/// Trajectories recorded from gym-pusht 0.1.5. Their beginnings travel with the tests; the full recording is used as well
/// where it lies beside the checkout (../shared/goldens) or where SDAC_SHARED points.
module Sdac.PushT.Tests.Recorded

open System
open System.IO
open System.Text.Json
open FsCheck.FSharp
open Sdac.Kernels
open Sdac.Testing

let get (name: string) (json: JsonElement) = json.GetProperty name

let rec numbers (json: JsonElement) : float[] =
    match json.ValueKind with
    | JsonValueKind.Array ->
        [| for item in json.EnumerateArray() do
               yield! numbers item |]
    | JsonValueKind.True -> [| 1.0 |]
    | JsonValueKind.False -> [| 0.0 |]
    | _ -> [| json.GetDouble() |]

let rows (json: JsonElement) = [| for row in json.EnumerateArray() -> numbers row |]

let private read (path: string) = (JsonDocument.Parse(File.ReadAllText path)).RootElement

let private full =
    let rec upward (folder: DirectoryInfo | null) =
        match folder with
        | null -> None
        | folder when File.Exists(Path.Combine(folder.FullName, "Sdac.Functional.sln")) -> Some folder.FullName
        | folder -> upward folder.Parent

    let beside =
        upward (DirectoryInfo AppContext.BaseDirectory)
        |> Option.map (fun root -> Path.Combine(root, "..", "shared"))

    [ Environment.GetEnvironmentVariable "SDAC_SHARED" |> Option.ofObj; beside ]
    |> List.choose id
    |> List.map (fun folder -> Path.Combine(folder, "goldens", "pusht.json"))
    |> List.tryFind File.Exists

/// Named trajectories: the carried beginnings, then the whole ones where there are some.
let trajectories: (string * JsonElement) list =
    [ for source, path in
          [ yield "beginning", Path.Combine(AppContext.BaseDirectory, "recorded", "pusht.json")
            match full with
            | Some path -> yield "whole", path
            | None -> () ] do
          for trajectory in (read path |> get "trajectories").EnumerateArray() do
              let name = (get "name" trajectory).GetString()
              $"{name}, {source}", trajectory ]

/// Fails unless the numbers are equal bit for bit.
let same (what: string) (expected: float[]) (actual: float[]) =
    if expected.Length <> actual.Length then
        failwith $"{what}: {actual.Length} numbers instead of {expected.Length}"

    Array.iteri2
        (fun i (x: float) (y: float) ->
            if not (x.Equals y) then
                failwith $"{what}, entry {i}: {y:R} instead of {x:R}")
        expected
        actual

/// A test of a property on so many values, always the same ones.
let testForAll name (count: int) gen (property: 'a -> unit) =
    testForAllWith (fixedSeed 20251127UL count) name gen property

let key = Gen.choose (0, Int32.MaxValue) |> Gen.map (fun seed -> PhiloxKey(uint32 seed, 1u, 2u, 3u))
