namespace Sdac.Experiments

open Argu

/// Pages of recorded episodes from the command line.
[<RequireQualifiedAccess>]
module WatchCommand =
    /// The arguments of watching.
    [<RequireQualifiedAccess>]
    type WatchArguments =
        | [<MainCommand; Mandatory; ExactlyOnce>] Run of FOLDER: string
        | [<Unique; EqualsAssignmentOrSpaced; AltCommandLine("-n")>] Episodes of COUNT: int
        | [<Unique>] Best
        | [<Unique; EqualsAssignmentOrSpaced; AltCommandLine("-s")>] Seed of INTEGER: int64
        | [<Unique; EqualsAssignmentOrSpaced; AltCommandLine("-o")>] Out of FILE: string
        | [<Unique; EqualsAssignmentOrSpaced>] Threads of COUNT: int

        interface IArgParserTemplate with
            member this.Usage =
                match this with
                | WatchArguments.Run _ -> "the run folder that training made"
                | WatchArguments.Episodes _ -> $"episodes to play and record, default {Watch.usual.Episodes}"
                | WatchArguments.Best -> "the networks of the run's best evaluation, instead of the newest checkpoint"
                | WatchArguments.Seed _ ->
                    "the seed of the starts and of the sampler; default the run's, whose starts are those of its evaluations"
                | WatchArguments.Out _ ->
                    "the page to write; default watch.html in the run folder, watch-best.html with --best"
                | WatchArguments.Threads _ ->
                    "threads of the arithmetic, default all processors; results do not depend on it"

    /// Writes the page that the arguments ask for.
    let run (program: Program) (arguments: string[]) : int =
        let parser = ArgumentParser.Create<WatchArguments>(programName = program.Shown)
        let results = Arguments.parse program (fun () -> []) parser arguments

        Watch.run
            program.Registry
            (results.GetResult WatchArguments.Run)
            { Episodes = results.GetResult(WatchArguments.Episodes, Watch.usual.Episodes)
              Best = results.Contains WatchArguments.Best
              Seed = results.TryGetResult WatchArguments.Seed
              Out = results.TryGetResult WatchArguments.Out
              Threads = results.GetResult(WatchArguments.Threads, Watch.usual.Threads) }
        |> ignore

        0
