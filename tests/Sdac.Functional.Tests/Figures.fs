/// Recorded figures: a small part carried with the tests, and the full records where ../shared is there.
module Sdac.Tests.Figures

open System
open System.IO
open System.Text.Json
open Expecto
open Sdac.Functional

/// The recorded SDAC numerics: the carried part always, the whole record when it can be found.
let sources: string list =
    let carried = Path.Combine(AppContext.BaseDirectory, "figures", "sdac.json")

    let rec above (dir: string) =
        if File.Exists(Path.Combine(dir, "Sdac.Functional.sln")) then
            Some(Path.Combine(dir, "..", "shared"))
        else
            Path.GetDirectoryName dir |> Option.ofObj |> Option.bind above

    let shared =
        Environment.GetEnvironmentVariable "SDAC_SHARED"
        |> Option.ofObj
        |> Option.orElse (above AppContext.BaseDirectory)

    [ carried
      yield!
          shared
          |> Option.map (fun s -> Path.Combine(s, "goldens", "sdac.json"))
          |> Option.filter File.Exists
          |> Option.toList ]

let load (path: string) : JsonElement =
    use document = JsonDocument.Parse(File.ReadAllText path)
    document.RootElement.Clone()

/// The property of a JSON object.
let (/.) (e: JsonElement) (name: string) : JsonElement = e.GetProperty name

let items (e: JsonElement) = e.EnumerateArray() |> Seq.toArray

let number (e: JsonElement) = e.GetDouble()

/// All numbers below an element, row-major.
let rec numbers (e: JsonElement) : float[] =
    match e.ValueKind with
    | JsonValueKind.Array -> e.EnumerateArray() |> Seq.collect numbers |> Seq.toArray
    | _ -> [| e.GetDouble() |]

/// |got - want| ≤ tolerance·(1 + |want|), every one.
let closeTo (tolerance: float) (what: string) (want: float[]) (got: float[]) =
    Expect.isTrue (want.Length = got.Length) $"{what}: {got.Length} numbers, {want.Length} recorded"

    for i in 0 .. want.Length - 1 do
        let error = abs (got[i] - want[i]) / (1.0 + abs want[i])
        Expect.isTrue (error <= tolerance) $"{what}[{i}]: got {got[i]}, recorded {want[i]} (relative {error:e2})"

let values (t: Tensor) = Tensors.toArray t |> Array.map float

/// Live tensors of the process, after those that other tests forgot have been collected.
let liveTensors () =
    GC.Collect()
    GC.WaitForPendingFinalizers()
    TorchSharp.torch.Tensor.TotalCount
