namespace Sdac.Experiments

open System
open Argu

/// Playing a checkpoint again from the command line.
[<RequireQualifiedAccess>]
module EvaluateCommand =
    /// The arguments of playing a checkpoint again.
    [<RequireQualifiedAccess>]
    type EvaluateArguments =
        | [<Mandatory; Unique; EqualsAssignmentOrSpaced; AltCommandLine("-r")>] Run of FOLDER: string
        | [<Unique; EqualsAssignmentOrSpaced>] Checkpoint of FILE: string
        | [<Unique>] Best
        | [<Unique; EqualsAssignmentOrSpaced; AltCommandLine("-n")>] Episodes of COUNT: int
        | [<Unique; EqualsAssignmentOrSpaced; AltCommandLine("-s")>] Seed of INTEGER: int64
        | [<Unique; EqualsAssignmentOrSpaced>] Threads of COUNT: int

        interface IArgParserTemplate with
            member this.Usage =
                match this with
                | EvaluateArguments.Run _ -> "the run folder that training made"
                | EvaluateArguments.Checkpoint _ -> "one checkpoint file; default the newest of the run"
                | EvaluateArguments.Best ->
                    "the networks of the run's best evaluation, instead of the newest checkpoint"
                | EvaluateArguments.Episodes _ -> "episodes to play, default as many as the run's own evaluations"
                | EvaluateArguments.Seed _ ->
                    "the seed of the starts and of the sampler; default the run's: with the default number of episodes this repeats the final evaluation"
                | EvaluateArguments.Threads _ ->
                    "threads of the arithmetic, default all processors; results do not depend on it"

    /// Plays as the arguments say.
    let run (program: Program) (arguments: string[]) : int =
        let parser = ArgumentParser.Create<EvaluateArguments>(programName = program.Shown)
        let results = Arguments.parse program (fun () -> []) parser arguments

        let run = results.GetResult EvaluateArguments.Run

        let checkpoint =
            match results.TryGetResult EvaluateArguments.Checkpoint, results.Contains EvaluateArguments.Best with
            | Some _, true ->
                Errors.fail (Usage "--best and --checkpoint name two sets of networks: leave one of them out")
            | None, true -> Some(RunFolder.openExisting run |> BestCheckpoint.path)
            | given, false -> given

        Evaluate.run
            program.Registry
            run
            checkpoint
            (results.TryGetResult EvaluateArguments.Episodes)
            (results.TryGetResult EvaluateArguments.Seed)
            (results.GetResult(EvaluateArguments.Threads, Environment.ProcessorCount))
        |> ignore

        0
