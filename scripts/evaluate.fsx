// Plays a checkpoint again:  dotnet fsi --exec scripts/evaluate.fsx --run FOLDER        (-- --help lists the options)
#load "sdac.fsx"

open System
open Argu
open Sdac.Experiments

type Arguments =
    | [<Mandatory; Unique; EqualsAssignmentOrSpaced; AltCommandLine("-r")>] Run of FOLDER: string
    | [<Unique; EqualsAssignmentOrSpaced>] Checkpoint of FILE: string
    | [<Unique; EqualsAssignmentOrSpaced; AltCommandLine("-n")>] Episodes of COUNT: int
    | [<Unique; EqualsAssignmentOrSpaced; AltCommandLine("-s")>] Seed of INTEGER: int64
    | [<Unique; EqualsAssignmentOrSpaced>] Threads of COUNT: int

    interface IArgParserTemplate with
        member this.Usage =
            match this with
            | Run _ -> "the run folder that train.fsx made"
            | Checkpoint _ -> "one checkpoint file; default the newest of the run"
            | Episodes _ -> "episodes to play, default as many as the run's own evaluations"
            | Seed _ ->
                "the seed of the starts and of the sampler; default the run's: with the default number of episodes this repeats the final evaluation"
            | Threads _ -> "threads of the arithmetic, default all processors; results do not depend on it"

let main () =
    let parser = ArgumentParser.Create<Arguments>(programName = "evaluate.fsx")
    let results = parser.ParseCommandLine fsi.CommandLineArgs[1..]

    Evaluate.run
        (results.GetResult Run)
        (results.TryGetResult Checkpoint)
        (results.TryGetResult Episodes)
        (results.TryGetResult Seed)
        (results.GetResult(Threads, Environment.ProcessorCount))

    0

exit (Main.run "evaluate.fsx" main)
