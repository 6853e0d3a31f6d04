/// Processes of this assembly's program (Program.fs), which tests can kill.
module Sdac.Experiments.Tests.Processes

open System
open System.Diagnostics
open System.IO
open System.Threading
open Sdac.Experiments

/// The `dotnet` that runs these tests.
let dotnet =
    let program = Process.GetCurrentProcess().MainModule |> Option.ofObj |> Option.map _.FileName

    match program, Environment.GetEnvironmentVariable "DOTNET_HOST_PATH" with
    | _, NonNull path -> path
    | Some path, _ when Path.GetFileName path = "dotnet" -> path
    | _ -> "dotnet"

/// Starts a command with further environment variables.
let startWith (variables: (string * string) list) (words: string list) : Process =
    let info =
        ProcessStartInfo(List.head words, List.tail words, RedirectStandardError = true, RedirectStandardOutput = true)

    for name, value in variables do
        info.Environment[name] <- value

    match Process.Start info with
    | null -> failwith "no process"
    | started -> started

/// The command that runs this assembly's program.
let host (arguments: string list) = [ dotnet; System.Reflection.Assembly.GetExecutingAssembly().Location ] @ arguments

/// Waits for the end of a process; its exit code and what it said to standard error.
let ended (running: Process) =
    let output = running.StandardOutput.ReadToEndAsync()
    let error = running.StandardError.ReadToEnd()
    running.WaitForExit()
    output.Wait()
    running.ExitCode, error

/// Waits until something holds; false where it does not within the seconds. What has held for a moment has held: it is not asked
/// again.
let within (seconds: float) (holds: unit -> bool) =
    let clock = Stopwatch.StartNew()
    let mutable held = holds ()

    while not held && clock.Elapsed.TotalSeconds < seconds do
        Thread.Sleep 20
        held <- holds ()

    held

/// Can a program be run at all?
let canRun (program: string) (arguments: string list) =
    match Commands.tryRun program arguments with
    | Some(Ok _) -> true
    | _ -> false
