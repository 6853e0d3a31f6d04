module Sdac.Experiments.Tests.KillTests

open System
open System.Diagnostics
open System.IO
open System.Threading
open Expecto
open Sdac.Experiments
open Sdac.Experiments.Tests.Processes
open Sdac.Experiments.Tests.Runs
open Sdac.Experiments.Tests.Support

/// Starts this assembly's program, by itself or through a command that runs it.
let private start (through: string list) (arguments: string list) = startWith [] (through @ host arguments)

/// How often the process is killed: 3 times in CI, 20 times elsewhere, or as often as SDAC_KILLS says.
let private kills =
    let given name = Environment.GetEnvironmentVariable name |> Option.ofObj |> Option.filter ((<>) "")

    match given "SDAC_KILLS", given "CI" with
    | Some text, _ -> int text
    | None, Some _ -> 3
    | None, None -> 20

let private newest folder = Checkpoint.list folder |> List.tryHead

/// Kills a process at a moment of chance: while it starts, or some time after its first new checkpoint.
let private killSometime (random: Random) (folder: RunFolder) (running: Process) =
    let before = newest folder

    if random.Next 4 > 0 then
        while newest folder = before && not running.HasExited do
            Thread.Sleep 1

        Thread.Sleep(random.Next 250)
    else
        Thread.Sleep(random.Next 700)

    let alive = not running.HasExited
    running.Kill()
    running.WaitForExit()
    alive

/// Can this process mount a file system of its own?
let private canMount () =
    try
        use trial = Process.Start("unshare", "-rm mount -t tmpfs none /mnt")
        trial.WaitForExit()
        trial.ExitCode = 0
    with :? ComponentModel.Win32Exception ->
        false

[<Tests>]
let tests =
    testList
        "killed processes"
        [ testCase
              "a process killed at random moments and resumed leaves what an uninterrupted one leaves, byte for byte"
              (fun () ->
                  inFolder (fun path ->
                      let spec = varied (int64 (400 + 150 * kills))
                      let expected = prepared (Path.Combine(path, "whole")) spec
                      resumed expected |> ignore
                      let folder = prepared (Path.Combine(path, "killed")) spec
                      let random = Random 20261122

                      for _ in 1..kills do
                          use running = start [] [ "--resume"; folder.Path ]

                          Expect.isTrue
                              (killSometime random folder running)
                              "the run was over before it could be killed"

                      use last = start [] [ "--resume"; folder.Path ]
                      let code, error = ended last
                      Expect.equal error "" "error"
                      Expect.equal code 0 "code"
                      same expected folder))

          testCase
              "a full disk stops the run with one sentence, and with room it goes on as if nothing had been"
              (fun () ->
                  if not (canMount ()) then
                      skiptest "this process may not mount a file system of its own (unshare -rm)"

                  inFolder (fun path ->
                      let spec = { varied 130L with CheckpointsKept = 100 }
                      let expected = prepared (Path.Combine(path, "whole")) spec
                      resumed expected |> ignore
                      let small, saved = Path.Combine(path, "small"), Path.Combine(path, "saved")
                      Directory.CreateDirectory small |> ignore
                      let folder = prepared (Path.Combine(path, "killed")) spec
                      let bytes = content expected.Path |> Map.toSeq |> Seq.sumBy (fun (_, bytes) -> bytes.Length)
                      // a disk that fills while the run writes its checkpoints; what it holds then is kept outside
                      let script =
                          $"mount -t tmpfs -o size={bytes * 6 / 10} none '{small}' && cp -r '{folder.Path}' '{small}/run' && shift && "
                          + $"\"$@\" '{small}/run'; code=$?; cp -r '{small}/run' '{saved}'; exit $code"

                      let code, error =
                          ended (start [ "unshare"; "-rm"; "sh"; "-c"; script; "sh"; "-" ] [ "--resume" ])

                      Expect.equal code ((Storage "").ExitCode) "code"
                      Expect.equal (error.Trim().Split('\n').Length) 1 "number of lines"
                      Expect.stringContains error "the disk is full" "error"
                      let rescued = RunFolder.openExisting saved
                      Expect.isNonEmpty (Checkpoint.list rescued) "checkpoints"
                      Expect.isTrue ((resumed rescued).IsSome) "resumed"
                      same expected rescued)) ]
