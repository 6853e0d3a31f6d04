/// Small real sweeps and the processes that work on them.
module Sdac.Experiments.Tests.SweepSupport

open System
open System.Diagnostics
open System.IO
open System.Text
open System.Threading
open System.Threading.Tasks
open Expecto
open Sdac.Functional
open Sdac.Experiments
open Sdac.Experiments.Tests.Support

let private assembly = Path.Combine(AppContext.BaseDirectory, "Sdac.Experiments.Tests.dll")

/// This assembly as a worker (see Program.fs): takes train.fsx's arguments but need not be compiled first.
let worker: string list = [ "dotnet"; assembly ]

/// Runs of a second or two, varied as `settings` says (JSON).
let sweepOf (name: string) (iterations: int) (settings: string) : Sweep =
    SweepSpec.parse
        standard
        "test"
        $"""{{ "name": "{name}", "settings": {settings},
               "base": {{ "iterations": {iterations}, "hidden": [16, 16], "batchSize": 16, "particles": 3,
                          "monteCarloDraws": 4, "timesteps": 5, "warmUp": 60, "evaluationEpisodes": 2, "logEvery": 10,
                          "evaluateEvery": 0, "checkpointEvery": {iterations / 10} }} }}"""

/// A folder prepared for a sweep, and what the engines want to know of its runs.
let prepared (path: string) (sweep: Sweep) (worker: string list) =
    let folder = SweepFolder.at path
    let plan = SweepSpec.plan standard sweep
    SweepFolder.prepare standard folder sweep plan worker
    folder, plan |> List.map (fun (run, spec) -> run.Name, spec.Iterations)

/// Metrics and final checkpoint of a run.
let result (run: RunFolder) : byte[] * byte[] =
    File.ReadAllBytes run.Metrics, File.ReadAllBytes(List.head (Checkpoint.list run))

/// What the possible runs of a sweep give when each is run alone, in this process, in one go.
let alone (path: string) (sweep: Sweep) : Map<string, byte[] * byte[]> =
    SweepSpec.plan standard sweep
    |> List.filter (fun (_, spec) -> (SdacConfig.problems (experimentOf spec).Config).IsEmpty)
    |> List.map (fun (run, spec) ->
        let out = Path.Combine(path, run.Name)
        captureOutput (fun () -> Runs.runInto out spec) |> ignore
        run.Name, result { Path = out })
    |> Map.ofList

/// Checks that the finished runs gave, byte for byte, what they give alone.
let sameAs (expected: Map<string, byte[] * byte[]>) (folder: SweepFolder) =
    for KeyValue(name, (metrics, checkpoint)) in expected do
        let foundMetrics, foundCheckpoint = result (folder.Run name)
        Expect.isTrue (metrics.AsSpan().SequenceEqual(foundMetrics.AsSpan())) $"the metrics of {name} differ"
        Expect.isTrue (checkpoint.AsSpan().SequenceEqual(foundCheckpoint.AsSpan())) $"the checkpoint of {name} differs"

let find (name: string) (runs: RunStatus list) = List.find (fun (run: RunStatus) -> run.Name = name) runs

/// Processes whose command line holds the text.
let processesWith (text: string) : int list =
    [ for folder in Directory.GetDirectories "/proc" do
          match Int32.TryParse(Path.GetFileName folder) with
          | true, id ->
              let command =
                  try
                      Encoding.UTF8.GetString(File.ReadAllBytes(Path.Combine(folder, "cmdline")))
                  with _ -> // it has ended
                      ""

              if command.Contains text then
                  id
          | _ -> () ]

/// kill -9 on the worker process of a run; false where there was none.
let killWorker (folder: SweepFolder) (name: string) : bool =
    let workers =
        processesWith (folder.Run name).Path
        |> List.filter (fun id -> List.contains id (processesWith assembly))

    for id in workers do
        try
            Process.GetProcessById(id).Kill()
        with :? ArgumentException -> // it has ended
            ()

    not workers.IsEmpty

/// Does something as soon as a run has written a checkpoint, beside what the test does; at most 60 s later.
let whenBegun (folder: SweepFolder) (name: string) (action: unit -> 'a) : Task<'a> =
    Task.Run<'a>(fun () ->
        let clock = Stopwatch.StartNew()

        while (Checkpoint.list (folder.Run name)).IsEmpty && clock.Elapsed.TotalSeconds < 60.0 do
            Thread.Sleep 2

        action ())
