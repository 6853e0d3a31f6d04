/// Programs started and waited for.
module Processes

open System
open System.Diagnostics

type Ended =
    | Code of int * output: string
    | TimeOut

/// Runs a program in a folder, at most so long; its children end with it.
let run (folder: string) (environment: (string * string) list) (limit: TimeSpan option) (command: string list) : Ended =
    let info =
        ProcessStartInfo(
            command.Head,
            command.Tail,
            WorkingDirectory = folder,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true
        )

    for name, value in environment do
        info.Environment[name] <- value

    match Process.Start info with
    | null -> failwith $"{command.Head} cannot be started"
    | started ->
        use started = started
        started.StandardInput.Close()
        let output = started.StandardOutput.ReadToEndAsync()
        let errors = started.StandardError.ReadToEndAsync()

        let ended =
            match limit with
            | Some limit -> started.WaitForExit limit
            | None ->
                started.WaitForExit()
                true

        if ended then
            started.WaitForExit()
            Code(started.ExitCode, output.Result + errors.Result)
        else
            started.Kill(entireProcessTree = true)
            started.WaitForExit()
            TimeOut

/// The output of a program that is to succeed.
let output (folder: string) (command: string list) : string =
    match run folder [] None command with
    | Code(0, output) -> output
    | Code(code, output) -> failwith $"""{String.concat " " command} ended with code {code}: {output}"""
    | TimeOut -> failwith $"{command.Head} has no time limit"
