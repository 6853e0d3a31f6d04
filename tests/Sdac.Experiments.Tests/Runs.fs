/// Small runs, and what must be equal between two of them.
module Sdac.Experiments.Tests.Runs

open System
open System.IO
open System.Text.RegularExpressions
open Expecto
open Sdac.Functional
open Sdac.Experiments
open Sdac.Experiments.Tests.Support

/// Everything that can go wrong with a resumed run in a second or two: episodes that end, a replay memory that overflows,
/// policy, updates and temperature on rhythms of their own, and logs, checkpoints and evaluations that do not coincide.
let varied (iterations: int64) : Spec =
    let change (c: SdacConfig) =
        { c with
            Hidden = [ 16; 16 ]
            Data.BatchSize = 16
            Particles.Particles = 3
            Draws.MonteCarloDraws = 4
            Diffusion.Timesteps = 5
            Policy.PolicyDelay = 3
            Data.UpdatesPerStep = 2
            Temperature.TemperatureDelay = 7
            Data.WarmUp = 60
            Data.Environments = 2
            Data.BufferCapacity = 160 }

    let experiment =
        Experiment.on Sdac.algorithm "Hopper-v4"
        |> Experiment.seed 5L
        |> Experiment.iterations iterations
        |> Experiment.configure change

    { Spec.create experiment with
        EvaluateEvery = 60L
        EvaluationEpisodes = 2
        CheckpointEvery = 20L
        CheckpointsKept = 3
        LogEvery = 7L }

/// A run folder that holds nothing but a specification, with its algorithm's own stages.
let prepared (path: string) (spec: Spec) =
    let folder = RunFolder.create path false
    Files.writeText folder.Spec (Spec.print (withOwnStages spec))
    folder

/// Resumes a run without a word.
let resumed (folder: RunFolder) = captureOutput (fun () -> Runner.resume standard folder.Path 1 true) |> fst

/// The options of a run into a folder, without progress.
let into (out: string) (threads: int) : RunOptions = { RunOptions.into out with Threads = threads; Quiet = true }

/// A run of a specification into a folder, without progress.
let runInto (out: string) (spec: Spec) : Summary = Runner.run standard spec (into out 1)

/// The stages of an algorithm behind one that ends the process, so to say, at the beginning of iteration `stop`.
let stoppingAt (stop: int64) (step: Step<'s, 'w>) : Step<'s, 'w> =
    (if step.Iteration = stop then failwith "killed" else step) |> Pipeline.standard

/// Resumes a run of SDAC that is killed at the beginning of an iteration.
let resumedUntil (stop: int64) (threads: int) (folder: RunFolder) =
    Runner.resumeComposed (stoppingAt stop) Sdac.algorithm folder.Path threads true

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
