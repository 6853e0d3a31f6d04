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
    /// others lie in the same folder. build.sh starts them where they have been edited.
    let script (command: string) (folder: string) (arguments: string[]) : int =
        let file command = Path.Combine(folder, $"{command}.fsx")

        let name, shown =
            match Entrance.typed () with
            | Some _ -> command, Entrance.ofBuild
            | None ->
                let path command = Path.GetRelativePath(Directory.GetCurrentDirectory(), file command)
                $"{command}.fsx", (fun command -> $"dotnet fsi --exec {Entrance.quote (path command)} --")

        let program =
            { Name = name
              Shown = shown command
              Registry = Registry.standard
              Start = fun command -> [ "dotnet"; "fsi"; "--exec"; file command; "--" ] }

        Entrance.during shown (fun () -> ran command program arguments)

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
                  Shown = Entrance.ofBuild command
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

        let shown command = $"dotnet fsi --exec {Entrance.quote commandLine[0]} {command}"

        match List.ofArray commandLine[1..] with
        | command :: arguments when List.contains command names ->
            let program =
                { Name = $"{script} {command}"
                  Shown = shown command
                  Registry = registry
                  Start = fun command -> [ "dotnet"; "fsi"; "--exec"; path; "--"; command ] }

            Entrance.during shown (fun () -> ran command program (List.toArray arguments))
        | [ "--help" ] ->
            printfn $"usage: {script} {usage} ARGUMENT...    ({script} train --help lists the arguments of training)"
            0
        | [] -> Script.run script (fun () -> Errors.fail (Usage $"say what to do: {script} {usage}"))
        | word :: _ -> Script.run script (fun () -> Errors.fail (Usage(Errors.unknown "command" word "" names)))
