namespace Sdac.Experiments

open System
open Argu

/// Branches of a stored run from the command line.
[<RequireQualifiedAccess>]
module ForkCommand =
    /// The arguments of a fork.
    [<RequireQualifiedAccess>]
    type ForkArguments =
        | [<MainCommand; Mandatory; ExactlyOnce>] Run of FOLDER: string
        | [<Mandatory; Unique; EqualsAssignmentOrSpaced>] At of ITERATION: int64
        | [<Unique; EqualsAssignmentOrSpaced>] Until of ITERATION: int64
        | [<EqualsAssignmentOrSpaced>] Set of NAME_EQUALS_VALUE: string
        | [<EqualsAssignmentOrSpaced; CustomCommandLine("--seed-of")>] Seed_Of of STREAM: string
        | [<Unique; EqualsAssignmentOrSpaced; AltCommandLine("-o")>] Out of FOLDER: string
        | [<Unique; EqualsAssignmentOrSpaced>] Threads of COUNT: int
        | [<Unique>] Quiet

        interface IArgParserTemplate with
            member this.Usage =
                match this with
                | ForkArguments.Run _ -> "the run folder that training made; it is only read"
                | ForkArguments.At _ -> "begin at the newest kept checkpoint up to this iteration"
                | ForkArguments.Until _ -> "go on to this iteration; default the run's end"
                | ForkArguments.Set _ ->
                    "a branch with this setting, e.g. --set particles=8; may be repeated, each is a branch of its own"
                | ForkArguments.Seed_Of _ ->
                    "a branch with another seed for one stream of random numbers: act, batch, noise, prepare or environments, e.g. --seed-of batch or --seed-of batch=7; may be repeated"
                | ForkArguments.Out _ -> "the folder to make, default FOLDER-fork-at-ITERATION"
                | ForkArguments.Threads _ ->
                    "threads of the arithmetic, default all processors; results do not depend on it"
                | ForkArguments.Quiet -> "no progress, only the table"

    let private setting (text: string) =
        match text.IndexOf '=' with
        | -1 -> Errors.fail (Usage $"--set {text} lacks a value: write --set NAME=VALUE")
        | at -> Change.Setting(text.Substring(0, at), text.Substring(at + 1))

    let private stream (text: string) =
        match text.Split('=', 2) with
        | [| name; seed |] ->
            match Int64.TryParse(seed, Globalization.NumberStyles.None, Globalization.CultureInfo.InvariantCulture) with
            | true, seed -> Change.Stream(name, seed)
            | _ -> Errors.fail (Usage $"--seed-of {text} gives no seed: write a whole number from 0 behind the =")
        | _ -> Change.Stream(text, 1L)

    /// Makes the branches that the arguments name.
    let run (program: Program) (arguments: string[]) : int =
        let parser = ArgumentParser.Create<ForkArguments>(programName = program.Shown)
        let results = Arguments.parse program (fun () -> []) parser arguments
        let path, at = results.GetResult ForkArguments.Run, results.GetResult ForkArguments.At

        let fork (out: string) =
            Fork.run
                program.Registry
                path
                { At = at
                  Until = results.TryGetResult ForkArguments.Until
                  Changes =
                    List.map setting (results.GetResults ForkArguments.Set)
                    @ List.map stream (results.GetResults ForkArguments.Seed_Of)
                  Out = out
                  Threads = results.GetResult(ForkArguments.Threads, Environment.ProcessorCount)
                  Quiet = results.Contains ForkArguments.Quiet }
            |> ignore

        match results.TryGetResult ForkArguments.Out with
        | Some out -> fork out
        | None -> RunFolder.withUnused $"{IO.Path.TrimEndingDirectorySeparator path}-fork-at-{at}" fork

        0

/// Verifying a stored run from the command line.
[<RequireQualifiedAccess>]
module VerifyCommand =
    /// The arguments of verifying.
    [<RequireQualifiedAccess>]
    type VerifyArguments =
        | [<MainCommand; Mandatory; ExactlyOnce>] Run of FOLDER: string
        | [<Unique; EqualsAssignmentOrSpaced>] Windows of COUNT: int
        | [<Unique; EqualsAssignmentOrSpaced>] Iterations of COUNT: int64
        | [<Unique; EqualsAssignmentOrSpaced; AltCommandLine("-s")>] Seed of INTEGER: int64
        | [<Unique; EqualsAssignmentOrSpaced>] Threads of COUNT: int

        interface IArgParserTemplate with
            member this.Usage =
                match this with
                | VerifyArguments.Run _ -> "the run folder that training made; it is only read"
                | VerifyArguments.Windows _ -> "parts of the run that are run again, default 3"
                | VerifyArguments.Iterations _ ->
                    "iterations of each, default as many as lie between two of its planned checkpoints"
                | VerifyArguments.Seed _ -> "which parts are drawn, default 0"
                | VerifyArguments.Threads _ ->
                    "threads of the arithmetic, default all processors; results do not depend on it"

    /// Verifies the run that the arguments name.
    let run (program: Program) (arguments: string[]) : int =
        let parser = ArgumentParser.Create<VerifyArguments>(programName = program.Shown)
        let results = Arguments.parse program (fun () -> []) parser arguments

        Verify.run
            program.Registry
            (results.GetResult VerifyArguments.Run)
            { Windows = results.GetResult(VerifyArguments.Windows, Verify.usual.Windows)
              Length = results.TryGetResult VerifyArguments.Iterations
              Seed = results.GetResult(VerifyArguments.Seed, Verify.usual.Seed)
              Threads = results.GetResult(VerifyArguments.Threads, Verify.usual.Threads) }
        |> ignore

        0
