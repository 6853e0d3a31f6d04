namespace Sdac.Experiments

open System
open System.IO
open Sdac.Functional

/// Whole programs: a script ends in one of these.
[<RequireQualifiedAccess>]
module Main =
    /// What a program can be asked to do: one line each.
    let private commands =
        [ "train", Train.run
          "evaluate", EvaluateCommand.run
          "sweep", SweepCommand.run
          "report", ReportCommand.run
          "fork", ForkCommand.run
          "verify", VerifyCommand.run
          "export", ExportCommand.run
          "watch", WatchCommand.run ]

    /// Those that no algorithm of a user's own has part in.
    let private others =
        [ "envs", EnvsCommand.run
          "trace", TraceCommand.run
          "toy", ToyCommand.run
          "one-state", OneStateCommand.run ]

    let private ran (command: string) (program: Program) (arguments: string[]) : int =
        let body = commands @ others |> List.find (fst >> (=) command) |> snd
        Script.runWith $"{program.Shown} --help" program.Name (fun () -> body program arguments)

    /// One of this library's scripts, which has a command of its own: `Main.script "train" __SOURCE_DIRECTORY__ arguments`. The
    /// others lie in the same folder.
    let script (command: string) (folder: string) (arguments: string[]) : int =
        ran
            command
            { Name = $"{command}.fsx"
              Shown = $"dotnet fsi --exec scripts/{command}.fsx --"
              Registry = Registry.standard
              Start = fun command -> [ "dotnet"; "fsi"; "--exec"; Path.Combine(folder, $"{command}.fsx"); "--" ] }
            arguments

    /// The library itself as a program, which does what the unchanged scripts do and starts in a third of the time:
    /// `dotnet Sdac.Experiments.dll train --help`.
    let program (arguments: string[]) : int =
        let names = commands @ others |> List.map fst
        let library = Reflection.Assembly.GetExecutingAssembly().Location

        match List.ofArray arguments with
        | command :: rest when List.contains command names ->
            ran
                command
                { Name = command
                  Shown = $"./build.sh {command}"
                  Registry = Registry.standard
                  Start = fun command -> [ "dotnet"; library; command ] }
                (List.toArray rest)
        | [] -> Script.run "sdac" (fun () -> Errors.fail (Usage $"""say what to do: {String.concat ", " names}"""))
        | word :: _ -> Script.run "sdac" (fun () -> Errors.fail (Usage(Errors.unknown "command" word "" names)))

    /// A user's script with algorithms of its own: `Registry.standard |> Registry.add mine |> Main.run fsi.CommandLineArgs`. Its
    /// first argument says what to do: train, evaluate, sweep, report, fork, verify, export or watch.
    let run (commandLine: string[]) (registry: Registry) : int =
        let path = Path.GetFullPath commandLine[0]
        let script = string (Path.GetFileName path)
        let names = commands |> List.map fst
        let usage = String.concat "|" names

        match List.ofArray commandLine[1..] with
        | command :: arguments when List.contains command names ->
            ran
                command
                { Name = $"{script} {command}"
                  Shown = $"dotnet fsi --exec {script} {command}"
                  Registry = registry
                  Start = fun command -> [ "dotnet"; "fsi"; "--exec"; path; "--"; command ] }
                (List.toArray arguments)
        | [ "--help" ] ->
            printfn $"usage: {script} {usage} ARGUMENT...    ({script} train --help lists the arguments of training)"
            0
        | [] -> Script.run script (fun () -> Errors.fail (Usage $"say what to do: {script} {usage}"))
        | word :: _ -> Script.run script (fun () -> Errors.fail (Usage(Errors.unknown "command" word "" names)))
