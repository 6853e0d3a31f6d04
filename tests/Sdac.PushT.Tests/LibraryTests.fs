/// Finding Chipmunk, and keeping it quiet.
module Sdac.PushT.Tests.LibraryTests

open System
open System.Diagnostics
open Expecto
open Sdac.PushT

/// With this argument the test program makes one table and ends.
[<Literal>]
let OneTable = "--one-table"

let oneTable () =
    use env = new PushTEnv(PushTTask(PushTOptions()))
    env.Step(ReadOnlySpan [| 1.0; 2.0 |])
    0

[<Tests>]
let tests =
    testList
        "library"
        [ testCase "a missing Chipmunk names the fix" (fun () ->
              let failure = string (ChipmunkLibrary.FailureOf "/nowhere/libchipmunk.so.7")
              Expect.stringContains failure "SDAC_CHIPMUNK=/nowhere/libchipmunk.so.7" "failure"
              Expect.stringContains failure "./build.sh setup" "failure"
              Expect.stringContains (string (ChipmunkLibrary.FailureOf "libc.so.6")) "lacks the function" "failure"
              Expect.isTrue ChipmunkLibrary.IsAvailable "available"
              Expect.equal ChipmunkLibrary.Version ChipmunkLibrary.TestedVersion "version")

          testCase "the first table of a process prints nothing" (fun () ->
              let program = Environment.ProcessPath |> Option.ofObj |> Option.defaultValue "dotnet"
              let start = ProcessStartInfo(program, RedirectStandardOutput = true, RedirectStandardError = true)

              if IO.Path.GetFileNameWithoutExtension program = "dotnet" then
                  start.ArgumentList.Add(Reflection.Assembly.GetExecutingAssembly().Location)

              start.ArgumentList.Add OneTable

              use child =
                  match Process.Start start with
                  | null -> failtest "the child does not start"
                  | child -> child

              let errors = child.StandardError.ReadToEndAsync()
              Expect.equal (child.StandardOutput.ReadToEnd()) "" "standard output"
              Expect.equal errors.Result "" "standard error"
              child.WaitForExit()
              Expect.equal child.ExitCode 0 "exit code") ]
