namespace Sdac.Experiments

open System
open System.Diagnostics

/// Other programs, run to their end.
[<RequireQualifiedAccess>]
module Commands =
    /// What a program printed (standard output), or its last complaint (standard error) when its exit code was not 0. None when
    /// there is no such program.
    let tryRun (program: string) (arguments: string list) : Result<string, string> option =
        let info = ProcessStartInfo(program, arguments)
        info.RedirectStandardInput <- true
        info.RedirectStandardOutput <- true
        info.RedirectStandardError <- true

        let started =
            try
                Process.Start info |> Option.ofObj
            with :? ComponentModel.Win32Exception ->
                None

        started
        |> Option.map (fun running ->
            use running = running
            running.StandardInput.Close()
            let complaints = running.StandardError.ReadToEndAsync()
            let text = running.StandardOutput.ReadToEnd()
            running.WaitForExit()

            if running.ExitCode = 0 then
                Ok text
            else
                let lines = complaints.Result.Split('\n', StringSplitOptions.RemoveEmptyEntries)
                let last = Array.tryLast lines |> Option.defaultValue $"exit code {running.ExitCode}"
                Error(last.Trim()))
