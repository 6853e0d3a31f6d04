namespace Sdac.Experiments

open System
open System.IO
open Sdac

/// Whole programs: a script ends in one of these.
[<RequireQualifiedAccess>]
module Main =
    let private commands =
        [ "train", Train.run
          "evaluate", EvaluateCommand.run
          "sweep", SweepCommand.run
          "report", ReportCommand.run
          "fork", ForkCommand.run
          "verify", VerifyCommand.run
          "watch", WatchCommand.run ]

    let private start (script: string) (words: string list) = [ "dotnet"; "fsi"; "--exec"; script; "--" ] @ words

    /// One of this library's scripts, which has a command of its own: `Main.script "train" __SOURCE_DIRECTORY__ arguments`. The
    /// others lie in the same folder.
    let script (command: string) (folder: string) (arguments: string[]) : int =
        let name = $"{command}.fsx"

        Script.run name (fun () ->
            (List.find (fst >> (=) command) commands |> snd)
                { Name = name
                  Registry = Registry.standard
                  Start = fun command -> start (Path.Combine(folder, $"{command}.fsx")) [] }
                arguments)

    /// A user's script with algorithms of its own: `Registry.standard |> Registry.add mine |> Main.run fsi.CommandLineArgs`. Its
    /// first argument says what to do: train, evaluate, sweep, report, fork, verify or watch.
    let run (commandLine: string[]) (registry: Registry) : int =
        let path = Path.GetFullPath commandLine[0]
        let script = string (Path.GetFileName path)

        Script.run script (fun () ->
            let names = commands |> List.map fst
            let usage = String.concat "|" names

            match List.ofArray commandLine[1..] with
            | command :: arguments when List.contains command names ->
                (List.find (fst >> (=) command) commands |> snd)
                    { Name = $"{script} {command}"
                      Registry = registry
                      Start = fun command -> start path [ command ] }
                    (List.toArray arguments)
            | [ "--help" ] ->
                printfn
                    $"usage: {script} {usage} ARGUMENT...    ({script} train --help lists the arguments of training)"

                0
            | [] -> Errors.fail (Usage $"say what to do: {script} {usage}")
            | word :: _ -> Errors.fail (Usage(Errors.unknown "command" word "" names)))
