/// Files in a run folder that this program has not written, whatever their names.
module Sdac.Experiments.Tests.ForeignFilesTests

open System
open System.IO
open Expecto
open Sdac.Functional
open Sdac.Experiments
open Sdac.Experiments.Tests.Runs
open Sdac.Experiments.Tests.Support
open Sdac.Testing

/// One uninterrupted run that keeps all its checkpoints, and one that keeps two.
let private whole, private pruned =
    let run kept =
        lazy
            (let path = Directory.CreateTempSubdirectory("sdac-test-").FullName
             AppDomain.CurrentDomain.ProcessExit.Add(fun _ -> Directory.Delete(path, true))
             let folder = prepared path { varied 130L with CheckpointsKept = kept }
             resumed folder |> ignore
             folder)

    run 100, run 2

/// A copy of the run that keeps all checkpoints, as it was killed after the checkpoint of iteration 60.
let private inKilled (test: RunFolder -> unit) =
    inFolder (fun path ->
        let path = Path.Combine(path, "run")
        copy whole.Value.Path path
        let folder: RunFolder = { Path = path }
        File.Delete folder.Summary

        for checkpoint in Checkpoint.list folder do
            if String.CompareOrdinal(checkpoint, Checkpoint.path folder 60L) > 0 then
                File.Delete checkpoint

        test folder)

let private inCheckpoints (folder: RunFolder) name = Path.Combine(folder.Checkpoints, name)

/// The updates of the checkpoint that is evaluated.
let private evaluated (folder: RunFolder) =
    let spec = SpecFile.ofRun standard folder
    let struct (path, state, complaints) = CheckpointRestore.newest (agentOf spec) "sdac" spec.Task folder
    disposeState state
    path, complaints

/// A run that keeps two checkpoints, stopped at iteration 70; `disturb` then changes its folder, and it is brought to its end.
let private stoppedAndResumed (disturb: RunFolder -> unit) (test: RunFolder -> string -> unit) =
    inFolder (fun path ->
        let folder = prepared (Path.Combine(path, "run")) { varied 130L with CheckpointsKept = 2 }

        try
            captureOutput (fun () -> resumedUntil 70L 1 folder) |> ignore
        with error when error.Message = "killed" ->
            ()

        disturb folder
        let summary, warnings = captureError (fun () -> resumed folder)
        Expect.isTrue summary.IsSome "it has ended"
        Expect.isTrue (File.Exists(Path.Combine(folder.Path, summary.Value.Checkpoint))) "the last checkpoint"
        test folder warnings)

/// Checks that these files are as they were, removes them, and compares what is left with an uninterrupted run.
let private unchanged (files: (string * byte[]) list) (folder: RunFolder) =
    for file, bytes in files do
        Expect.isTrue (File.Exists file) $"{file} is still there"
        Expect.equal (File.ReadAllBytes file) bytes $"content of {file}"
        File.Delete file

    same pruned.Value folder

[<Tests>]
let tests =
    testList
        "foreign files"
        [ testCase "only names that this program gives are checkpoints" (fun () ->
              inKilled (fun folder ->
                  let own = Checkpoint.list folder
                  Expect.equal own.Length 3 "own"

                  for name in
                      [ "best.safetensors"
                        "good.safetensors"
                        "keep-1.safetensors"
                        "000000100-good.safetensors"
                        "good-000000100.safetensors"
                        "100.safetensors"
                        "0000000100.safetensors"
                        "000000100.SAFETENSORS"
                        "000000100.safetensors.bak"
                        "-00000100.safetensors"
                        "+00000100.safetensors"
                        "00000010x.safetensors"
                        "00000100.0.safetensors"
                        "99999999999999999999.safetensors"
                        " 000000100.safetensors"
                        "٠٠٠٠٠٠١٠٠.safetensors" ] do
                      File.Copy(Checkpoint.path folder 20L, inCheckpoints folder name, true)

                  Directory.CreateDirectory(inCheckpoints folder "000000200.safetensors") |> ignore
                  Expect.equal (Checkpoint.list folder) own "list"
                  Expect.equal (evaluated folder) (Checkpoint.path folder 60L, []) "evaluated"))

          testCase "checkpoints are in the order of their numbers, of ten digits too" (fun () ->
              inKilled (fun folder ->
                  let numbers = [ 12_345_678_901L; 1_000_000_001L; 1_000_000_000L; 999_999_999L ]

                  for number in numbers do
                      File.WriteAllText(Checkpoint.path folder number, "")

                  Expect.equal
                      (Checkpoint.list folder |> List.truncate 4)
                      [ for number in numbers -> Checkpoint.path folder number ]
                      "list"))

          testCase "a run goes on and ends as if a user's files were not there, and leaves them there" (fun () ->
              let mutable files = []

              let disturb (folder: RunFolder) =
                  let add (path: string) (from: string) =
                      File.Copy(from, path)
                      files <- (path, File.ReadAllBytes path) :: files

                  let newest = List.head (Checkpoint.list folder)

                  for name in [ "good"; "keep-1"; "keep-2"; "keep-3"; "000000010-good"; "100"; "zzz" ] do
                      add (inCheckpoints folder $"{name}.safetensors") newest

                  let part = Directory.GetFiles folder.Memory |> Array.head

                  for name in [ "000000000000-mine.safetensors"; "notes.safetensors"; "7.safetensors" ] do
                      add (Path.Combine(folder.Memory, name)) part

                  for name in [ ".notes.tmp"; ".mine.x7.tmp" ] do
                      add (inCheckpoints folder name) newest

              stoppedAndResumed disturb (fun folder warnings ->
                  Expect.equal warnings "" "warnings"
                  unchanged files folder))

          testCase
              "copies under the names of other checkpoints are named, not used, not counted and not deleted"
              (fun () ->
                  let mutable files = []

                  let disturb (folder: RunFolder) =
                      let newest = List.head (Checkpoint.list folder)

                      for iteration in [ 13L; 999_999_997L; 999_999_998L; 1_000_000_000L ] do
                          File.Copy(newest, Checkpoint.path folder iteration)
                          files <- (Checkpoint.path folder iteration, File.ReadAllBytes newest) :: files

                  stoppedAndResumed disturb (fun folder warnings ->
                      Expect.stringContains
                          warnings
                          "1000000000.safetensors holds the checkpoint of 60, not of 1000000000: it is a copy"
                          "warnings"

                      let path, complaints = evaluated folder
                      Expect.equal path (Checkpoint.path folder 130L) "evaluated"
                      Expect.equal complaints.Length 3 "complaints"
                      unchanged files folder))

          testCase "an empty file and a link to nothing with names of checkpoints are named and not used" (fun () ->
              let empty (folder: RunFolder) = Checkpoint.path folder 201L
              let link (folder: RunFolder) = Checkpoint.path folder 202L

              let disturb (folder: RunFolder) =
                  File.WriteAllText(empty folder, "")
                  File.CreateSymbolicLink(link folder, "/nowhere/at/all") |> ignore
                  Directory.CreateDirectory(Checkpoint.path folder 203L) |> ignore

              stoppedAndResumed disturb (fun folder warnings ->
                  Expect.stringContains warnings "000000201.safetensors is truncated (0 bytes)" "the empty file"
                  Expect.stringContains warnings "000000202.safetensors is a link that leads to no file" "the link"
                  Expect.isNotNull (FileInfo(link folder).LinkTarget) "the link is there"
                  File.Delete(link folder)
                  Directory.Delete(Checkpoint.path folder 203L)
                  unchanged [ empty folder, [||] ] folder))

          testCase "a folder in the place of a checkpoint is named" (fun () ->
              inFolder (fun path ->
                  let path = Path.Combine(path, "000000100.safetensors")
                  Directory.CreateDirectory path |> ignore
                  failureOf (fun () -> Files.writeText path "x") |> says [ path; "a folder has this name" ]))

          testCase "a user's copy is evaluated where it is named" (fun () ->
              inKilled (fun folder ->
                  let best = inCheckpoints folder "good.safetensors"
                  File.Copy(Checkpoint.path folder 40L, best)

                  let _, text =
                      captureOutput (fun () -> Evaluate.run standard folder.Path (Some best) (Some 1) None 1)

                  Expect.stringContains text best "text"))

          testCase "a run is replaced without what it has not written" (fun () ->
              inKilled (fun folder ->
                  let foreign =
                      [ inCheckpoints folder "good.safetensors"
                        Path.Combine(folder.Memory, "notes.txt")
                        Path.Combine(folder.Path, "machine-notes.json") ]

                  for path in foreign do
                      File.WriteAllText(path, "mine")

                  RunFolder.create folder.Path true |> ignore

                  Expect.equal
                      (Directory.GetFiles(folder.Path, "*", SearchOption.AllDirectories)
                       |> Array.filter (fun path -> Path.GetFileName path <> ".lock")
                       |> Array.sort
                       |> List.ofArray)
                      (List.sort foreign)
                      "files")) ]
