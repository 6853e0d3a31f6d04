namespace Sdac.Experiments

open System
open Argu

/// Sweeps from the command line.
[<RequireQualifiedAccess>]
module SweepCommand =
    /// The arguments of a sweep.
    [<RequireQualifiedAccess>]
    type SweepArguments =
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
                | SweepArguments.Spec _ ->
                    "the sweep in JSON: name, preset, base, algorithms, tasks, seeds, settings (see the README)"
                | SweepArguments.Engine _ ->
                    "local (default): worker processes on this machine; slurm: one job array, resumed where it is requeued"
                | SweepArguments.Out _ ->
                    "the sweep's folder, default runs/NAME; one that holds a part of the sweep is continued"
                | SweepArguments.Jobs _ -> "runs at a time; default local: processors / threads, slurm: as Slurm will"
                | SweepArguments.Threads _ -> "threads of each run, default 1; results do not depend on it"
                | SweepArguments.Retries _ ->
                    "further tries of a run that failed, each from its last checkpoint, default 2; impossible settings and diverged runs are not tried again"
                | SweepArguments.Sbatch _ ->
                    "an option for sbatch, e.g. --sbatch --partition=long --sbatch --time=1-0; may be repeated"
                | SweepArguments.Status -> "only show the status of the runs"

    let private engine (program: Program) (results: ParseResults<SweepArguments>) (folder: SweepFolder) : Engine =
        let threads = results.GetResult(SweepArguments.Threads, 1)
        let retries = results.GetResult(SweepArguments.Retries, 2)

        match results.GetResult(SweepArguments.Engine, "local") with
        | "local" when results.Contains SweepArguments.Sbatch ->
            Errors.fail (Usage "--sbatch says nothing to --engine local: leave it out")
        | "local" ->
            let jobs = results.GetResult(SweepArguments.Jobs, max 1 (Environment.ProcessorCount / max 1 threads))
            Local { Jobs = jobs; Threads = threads; Retries = retries }
        | "slurm" ->
            Slurm
                { Jobs = results.TryGetResult SweepArguments.Jobs
                  Threads = threads
                  Retries = retries
                  Sbatch = results.GetResults SweepArguments.Sbatch
                  Report = program.Start "report" @ [ "--runs"; folder.Runs; "--out"; folder.Report ]
                  Poll = TimeSpan.FromSeconds 5.0 }
        | other -> Errors.fail (Usage(Errors.unknown "engine" other "--engine" [ "local"; "slurm" ]))

    /// Runs the sweep that the arguments name, or shows its status.
    let run (program: Program) (arguments: string[]) : int =
        let parser = ArgumentParser.Create<SweepArguments>(programName = program.Shown)
        let results = Arguments.parse program (fun () -> []) parser arguments
        let file = results.GetResult SweepArguments.Spec
        let sweep = SweepSpec.parse program.Registry file (Files.readUtf8 file)
        let folder = SweepFolder.at (results.GetResult(SweepArguments.Out, $"runs/{sweep.Name}"))
        let engine = engine program results folder

        if results.Contains SweepArguments.Status then
            Sweeps.status program.Registry folder sweep engine
            0
        else
            Sweeps.run program.Registry folder sweep (program.Start "train") engine
