module Sdac.Experiments.Tests.KillTests

open System
open System.Diagnostics
open System.IO
open Expecto
open Sdac.Experiments
open Sdac.Experiments.Tests.Processes
open Sdac.Experiments.Tests.Runs
open Sdac.Experiments.Tests.Support

/// Starts this assembly's program, by itself or through a command that runs it.
let private start (through: string list) (arguments: string list) = startWith [] (through @ host arguments)

/// A run that is over in a moment and yet does all that a run does to files: it logs, evaluates, writes checkpoints that do not coincide with
/// these, and removes old ones.
let private brief =
    { varied 9L with
        CheckpointEvery = 3L
        CheckpointsKept = 1
        LogEvery = 2L
        EvaluateEvery = 5L
        EvaluationEpisodes = 1 }

/// The library that stands before the system's calls, compiled.
let private snapshots (path: string) : string =
    let library = Path.Combine(path, "snapshots.so")
    let source = Path.Combine(AppContext.BaseDirectory, "snapshots.c")

    if not (canRun "gcc" [ "-shared"; "-fPIC"; "-o"; library; source; "-ldl" ]) then
        failtest "gcc could not compile snapshots.c"

    library

/// Resumes a run in a process of its own with the library before the system's.
let private resumedUnder (path: string) (variables: (string * string) list) (folder: RunFolder) =
    use running =
        startWith
            ([ "LD_PRELOAD", snapshots path; "SNAPSHOT_OF", folder.Path ] @ variables)
            (host [ "--resume"; folder.Path ])

    ended running

/// What a folder holds. Of a file that was being written its being there is all that counts: it is removed, whatever is in it.
let private kept (folder: string) =
    content folder
    |> Map.map (fun file bytes -> if Files.isUnfinished file then "" else Convert.ToHexString bytes)

/// The folders that differ, in the order of their numbers.
let private different (path: string) : RunFolder list =
    Directory.GetDirectories path
    |> List.ofArray
    |> List.sortBy (fun folder -> int (string (Path.GetFileName folder)))
    |> List.distinctBy kept
    |> List.map RunFolder.openExisting

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
              "what a kill before or amid any write leaves goes on as if nothing had been, byte for byte"
              (fun () ->
                  inFolder (fun path ->
                      let expected = prepared (Path.Combine(path, "whole")) brief
                      resumed expected |> ignore
                      let folder = prepared (Path.Combine(path, "killed")) brief
                      let copies = Directory.CreateDirectory(Path.Combine(path, "copies")).FullName
                      Expect.equal (resumedUnder path [ "SNAPSHOT_INTO", copies ] folder) (0, "") "the run"
                      same expected folder
                      let moments = different copies
                      // three checkpoints, four lines of metrics, an evaluation and the end, each in several steps
                      Expect.isGreaterThan moments.Length 40 "different moments"

                      for moment in moments do
                          if not (File.Exists moment.Summary) then
                              captureError (fun () -> resumed moment) |> ignore
                              same expected moment
                              Expect.isEmpty (Directory.GetFiles(moment.Checkpoints, ".*")) "nothing half written"))

          testCase "a process that is killed amid a write lets go of its run" (fun () ->
              inFolder (fun path ->
                  let expected = prepared (Path.Combine(path, "whole")) brief
                  resumed expected |> ignore
                  let folder = prepared (Path.Combine(path, "killed")) brief
                  let code, _ = resumedUnder path [ "SNAPSHOT_KILL", "50" ] folder
                  Expect.equal code 137 "killed"
                  Expect.isTrue (resumed folder).IsSome "resumed"
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
