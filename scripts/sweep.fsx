// Runs a sweep on this machine or on a Slurm cluster. Run it with
//   dotnet fsi --exec scripts/sweep.fsx --spec FILE      (-- --help lists the arguments; after ./build.sh build)
#load "sdac.fsx"

open System
open System.IO
open Argu
open Sdac.Experiments

type Arguments =
    | [<Mandatory; Unique; EqualsAssignmentOrSpaced>] Spec of FILE: string
    | [<Unique; EqualsAssignmentOrSpaced>] Engine of NAME: string
    | [<Unique; EqualsAssignmentOrSpaced; AltCommandLine("-o")>] Out of FOLDER: string
    | [<Unique; EqualsAssignmentOrSpaced; AltCommandLine("-j")>] Jobs of COUNT: int
    | [<Unique; EqualsAssignmentOrSpaced>] Threads of COUNT: int
    | [<Unique; EqualsAssignmentOrSpaced>] Retries of COUNT: int
    | [<EqualsAssignmentOrSpaced>] Sbatch of OPTION: string
    | [<Unique>] Status

    interface IArgParserTemplate with
        member this.Usage =
            match this with
            | Spec _ -> "the sweep in JSON: name, preset, base, algorithms, tasks, seeds, settings (see the README)"
            | Engine _ ->
                "local (default): worker processes on this machine; slurm: one job array, resumed where it is requeued"
            | Out _ -> "the sweep's folder, default runs/NAME; one that holds a part of the sweep is continued"
            | Jobs _ -> "runs at a time; default local: processors / threads, slurm: as Slurm will"
            | Threads _ -> "threads of each run, default 1; results do not depend on it"
            | Retries _ ->
                "further tries of a run that failed, each from its last checkpoint, default 2; impossible settings and diverged runs are not tried again"
            | Sbatch _ -> "an option for sbatch, e.g. --sbatch --partition=long --sbatch --time=1-0; may be repeated"
            | Status -> "only show how the runs stand"

let script name = Path.Combine(__SOURCE_DIRECTORY__, name)

let engine (results: ParseResults<Arguments>) (folder: SweepFolder) =
    let threads = results.GetResult(Threads, 1)
    let retries = results.GetResult(Retries, 2)

    match results.GetResult(Engine, "local") with
    | "local" when results.Contains Sbatch ->
        Errors.fail (Usage "--sbatch says nothing to --engine local: leave it out")
    | "local" ->
        let jobs = results.GetResult(Jobs, max 1 (Environment.ProcessorCount / max 1 threads))
        Local { Jobs = jobs; Threads = threads; Retries = retries }
    | "slurm" ->
        Slurm
            { Jobs = results.TryGetResult Jobs
              Threads = threads
              Retries = retries
              Sbatch = results.GetResults Sbatch
              Report =
                [ "dotnet"; "fsi"; "--exec"; script "report.fsx"; "--" ]
                @ [ "--runs"; folder.Runs; "--out"; folder.Report ]
              Poll = TimeSpan.FromSeconds 5.0 }
    | other -> Errors.fail (Usage(Errors.unknown "engine" other "--engine" [ "local"; "slurm" ]))

let main () =
    let parser = ArgumentParser.Create<Arguments>(programName = "sweep.fsx")
    let results = parser.ParseCommandLine fsi.CommandLineArgs[1..]
    let file = results.GetResult Spec
    let sweep = SweepSpec.parse file (Files.readUtf8 file)
    let folder = SweepFolder.at (results.GetResult(Out, $"runs/{sweep.Name}"))
    let engine = engine results folder

    if results.Contains Status then
        Sweeps.status folder sweep engine
        0
    else
        Sweeps.run folder sweep [ "dotnet"; "fsi"; "--exec"; script "train.fsx"; "--" ] engine

exit (Main.run "sweep.fsx" main)
