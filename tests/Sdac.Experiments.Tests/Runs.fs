/// Small runs, and what must be equal between two of them.
module Sdac.Experiments.Tests.Runs

open System
open System.IO
open System.Text.RegularExpressions
open Expecto
open Sdac
open Sdac.Experiments
open Sdac.Experiments.Tests.Support

/// Everything that can go wrong with a resumed run in a second or two: episodes that end, a replay memory that overflows,
/// policy, updates and temperature on rhythms of their own, and logs, checkpoints and evaluations that do not coincide.
let varied (iterations: int64) : Spec =
    let change (c: Config) =
        { c with
            Hidden = [ 16; 16 ]
            BatchSize = 16
            Particles = 3
            MonteCarloDraws = 4
            Timesteps = 5
            PolicyDelay = 3
            UpdatesPerStep = 2
            TemperatureDelay = 7
            WarmUp = 60
            Environments = 2
            BufferCapacity = 160 }

    { Presets.find "quick" with
        Experiment =
            Experiment.sdac "Hopper-v4"
            |> Experiment.seed 5L
            |> Experiment.iterations iterations
            |> Experiment.configure change
        EvaluateEvery = 60L
        EvaluationEpisodes = 2
        CheckpointEvery = 20L
        CheckpointsKept = 3
        LogEvery = 7L }

/// A run folder that holds nothing but a specification.
let prepared (path: string) (spec: Spec) =
    let folder = RunFolder.create path false
    Files.writeText folder.Spec (Spec.print spec)
    folder

/// Resumes a run without a word.
let resumed (folder: RunFolder) =
    captureOutput (fun () -> Runner.resume (Runner.stagesOf folder.Path) folder.Path 1 true) |> fst

/// Every file of a folder with its bytes, by its path below it.
let content (path: string) =
    Map
        [ for file in Directory.GetFiles(path, "*", SearchOption.AllDirectories) ->
              Path.GetRelativePath(path, file), File.ReadAllBytes file ]

/// A summary without what the clock and the system say.
let summaryOf (folder: RunFolder) =
    Regex.Replace(File.ReadAllText folder.Summary, "\"(wallClockSeconds|peakMemoryMiB)\": [^,\\s]+", "")

/// What equal runs have in common: everything but timings, machines and the lock.
let results (folder: RunFolder) =
    let ofRun (file: string) =
        file = "metrics.jsonl"
        || file = "metrics.tfevents"
        || file = "spec.json"
        || file.StartsWith "checkpoints"
        || file.StartsWith "memory"

    content folder.Path |> Map.filter (fun file _ -> ofRun file)

/// Checks that two runs have the same results, byte for byte, and nothing half written beside them.
let same (expected: RunFolder) (actual: RunFolder) =
    let a, b = results expected, results actual
    Expect.equal (List.ofSeq b.Keys) (List.ofSeq a.Keys) "keys"

    for file in a.Keys do
        Expect.isTrue (a[file].AsSpan().SequenceEqual(ReadOnlySpan b[file])) $"{file} differs"

    Expect.equal (summaryOf actual) (summaryOf expected) "summary"

/// A copy of a folder, with all below it.
let rec copy (from: string) (into: string) =
    Directory.CreateDirectory into |> ignore

    for file in Directory.GetFiles from do
        File.Copy(file, Path.Combine(into, string (Path.GetFileName file)))

    for folder in Directory.GetDirectories from do
        copy folder (Path.Combine(into, string (Path.GetFileName folder)))

/// Changes one bit in the middle of a file.
let spoil (path: string) =
    let bytes = File.ReadAllBytes path
    bytes[bytes.Length / 2] <- bytes[bytes.Length / 2] ^^^ 1uy
    File.WriteAllBytes(path, bytes)
