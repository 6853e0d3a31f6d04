/// Recorded figures beside the checkout (../shared, or the folder SDAC_SHARED names), where they exist.
module Sdac.Kernels.Tests.Golden

open System
open System.IO
open System.Text.Json

let private root =
    let rec up (folder: DirectoryInfo | null) =
        match folder with
        | null -> None
        | folder when File.Exists(Path.Combine(folder.FullName, "Sdac.Functional.sln")) -> Some folder.FullName
        | folder -> up folder.Parent

    up (DirectoryInfo AppContext.BaseDirectory)

let private file =
    [ Environment.GetEnvironmentVariable "SDAC_SHARED" |> Option.ofObj
      root |> Option.map (fun root -> Path.Combine(root, "..", "shared")) ]
    |> List.choose id
    |> List.map (fun shared -> Path.Combine(shared, "goldens", "sdac.json"))
    |> List.tryFind File.Exists

/// The figures of sdac.json, if the file is there.
let sdac = lazy (file |> Option.map (fun file -> JsonDocument.Parse(File.ReadAllText file).RootElement))

/// Why tests against them are skipped where they are not.
let missing = "the recorded figures, goldens/sdac.json in ../shared or in SDAC_SHARED, are not there"

let rec private flatten (element: JsonElement) =
    match element.ValueKind with
    | JsonValueKind.Array -> Seq.collect flatten (element.EnumerateArray())
    | _ -> Seq.singleton (element.GetDouble())

/// All numbers under a path, row-major.
let floats (path: string list) (element: JsonElement) =
    let found = path |> List.fold (fun (at: JsonElement) (name: string) -> at.GetProperty name) element
    flatten found |> Seq.toArray

/// The recorded network weights: W[i, j] = 0.8·sin(1.3·(i·cols + j) + layer), b[j] = 0.3·cos(0.7·j + layer).
let layerParameters (inputs: int) (outputs: int) (layer: float) =
    [| for k in 0 .. inputs * outputs - 1 -> float32 (0.8 * sin (1.3 * float k + layer))
       for j in 0 .. outputs - 1 -> float32 (0.3 * cos (0.7 * float j + layer)) |]

/// Parameters of the recorded policy (obs 3, action 2, hidden 3 x 8): the time network first.
let policyParameters (offset: float) =
    let widths = [ 16, 32; 32, 16; 3 + 2 + 16, 8; 8, 8; 8, 8; 8, 2 ]

    widths
    |> List.mapi (fun n (inputs, outputs) -> layerParameters inputs outputs (offset + float n))
    |> Array.concat

/// noise(s)[k] = 1.3·sin(1.7·k + s) + 0.5·cos(0.61·k + 2·s).
let noise (s: float) (k: int) = float32 (1.3 * sin (1.7 * float k + s) + 0.5 * cos (0.61 * float k + 2.0 * s))
