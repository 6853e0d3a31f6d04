/// Tests run with a fault on.
module Trials

open System
open System.Collections.Concurrent
open System.Diagnostics
open System.IO
open Faults
open Plan
open Processes

type Outcome =
    | Noticed
    | Survived
    /// Nothing can be said: the tests fail without the fault, or it does not compile.
    | Broken of string

/// One language and the first failure are enough here.
let private command (t: Tests) =
    let dll = Path.Combine("tests", t.Project, "bin", "Release", $"{t.Project}.dll")
    [ "dotnet"; dll; "--until-failure"; "--language"; "ar_SA" ] @ t.Words

let private named (t: Tests) = String.concat " " (t.Project :: t.Words)

/// Does things `jobs` at a time, in the order given as far as that goes.
let atOnce (jobs: int) (work: 'a -> 'b) (items: 'a list) : 'b list =
    Async.Parallel(items |> List.map (fun item -> async { return work item }), jobs)
    |> Async.RunSynchronously
    |> List.ofArray

/// How long tests take without a fault; a complaint where they fail then.
let baseline (jobs: int) (tests: Tests list) : Map<Tests, Result<TimeSpan, string>> =
    let time (t: Tests) =
        let clock = Stopwatch.StartNew()

        match run Copy.folder [] (Some(TimeSpan.FromMinutes 15.0)) (command t) with
        | Code(0, _) -> t, Ok clock.Elapsed
        | Code(64, _) -> t, Error $"no test has these words in its name: {named t}"
        | Code(_, output) -> t, Error $"{named t} fails without a fault: {output.Trim()}"
        | TimeOut -> t, Error $"{named t} does not end"

    tests |> atOnce jobs time |> Map

/// Three times what the tests take, and a start: a fault that makes them endless is noticed.
let private limit (usual: TimeSpan) = 3.0 * usual + TimeSpan.FromSeconds 30.0

/// Runs a fault's tests, list by list, until one notices.
let rec trial (usual: Map<Tests, Result<TimeSpan, string>>) (number: int) (tests: Tests list) : Outcome =
    match tests with
    | [] -> Survived
    | t :: others ->
        match usual[t] with
        | Error complaint -> Broken complaint
        | Ok time ->
            match run Copy.folder [ ("SDAC_FAULT", string number) ] (Some(limit time)) (command t) with
            | Code(0, _) -> trial usual number others
            | Code((2 | 64), output) -> Broken(output.Trim())
            | Code _
            | TimeOut -> Noticed

/// A fault that no switch can hold: its project is built with it, then without.
let alone (usual: Map<Tests, Result<TimeSpan, string>>) (p: Planned) : Outcome =
    let path = Path.Combine(Copy.folder, p.Fault.File)
    let before = File.ReadAllText path
    let projects = p.Fault.Tests |> List.map (fun t -> Path.Combine("tests", t.Project)) |> List.distinct
    Copy.write p.Fault.File (Fault.planted (Copy.source p.Fault.File) p.Fault)

    try
        match
            projects
            |> List.map Copy.build
            |> List.tryPick (function
                | Error e -> Some e
                | Ok() -> None)
        with
        | Some complaint -> Broken $"it does not compile: {complaint.Trim()}"
        | None -> trial usual -1 p.Fault.Tests
    finally
        Copy.write p.Fault.File before
