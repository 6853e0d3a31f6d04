/// Run folders whose files were cut, lost or exchanged.
module Sdac.Experiments.Tests.WholeRunTests

open System
open System.IO
open System.Text.Json.Nodes
open Expecto
open Sdac.Experiments
open Sdac.Experiments.Tests.Runs
open Sdac.Experiments.Tests.Support
open Sdac.Testing

let private finished =
    lazy
        (let path = Directory.CreateTempSubdirectory("sdac-test-").FullName
         AppDomain.CurrentDomain.ProcessExit.Add(fun _ -> Directory.Delete(path, true))
         let folder = prepared path (varied 60L)
         resumed folder |> ignore
         folder)

let private inCopy (test: RunFolder -> unit) =
    inFolder (fun path ->
        let folder: RunFolder = { Path = Path.Combine(path, "run") }
        copy finished.Value.Path folder.Path
        test folder)

let private cut (path: string) =
    let bytes = File.ReadAllBytes path
    File.WriteAllBytes(path, bytes[.. bytes.Length / 2 - 1])

let private empty (path: string) = File.WriteAllBytes(path, [||])

let private lengthen (path: string) = File.AppendAllText(path, "\n")

let private refusal (folder: RunFolder) =
    match RunRecord.read standard folder.Path with
    | Error sentence -> sentence
    | Ok _ -> ""

/// The summary as an older program wrote it.
let private withoutFiles (folder: RunFolder) =
    let node = JsonNode.Parse(File.ReadAllText folder.Summary) |> nonNull
    node.AsObject().Remove "files" |> ignore
    File.WriteAllText(folder.Summary, node.ToJsonString())

[<Tests>]
let tests =
    testList
        "whole runs"
        [ testCase "a finished run is left out for any file that is not as the run wrote it" (fun () ->
              inCopy (fun folder ->
                  Expect.equal (refusal folder) "" "the run as it is"

                  let files = content folder.Path |> Map.remove ".lock" |> Map.remove "summary.json" |> Map.toList

                  Expect.isGreaterThan files.Length 10 "number of files"

                  for name, bytes in files do
                      let path = Path.Combine(folder.Path, name)

                      let shorten path = File.WriteAllBytes(path, bytes[.. bytes.Length - 2])

                      let harms =
                          [ "cut", cut
                            "empty", empty
                            "missing", File.Delete
                            // a line break more or less at the end of the machine's description is no harm
                            if name <> "machine.json" then
                                "longer", lengthen
                                "shorter", shorten
                            // what equal runs do not have in common is not compared byte by byte
                            if name <> "machine.json" && name <> "timings.jsonl" then
                                "another", spoil ]

                      for harm, harmful in harms do
                          harmful path
                          let sentence = refusal folder
                          Expect.stringContains sentence path $"{name}, {harm}"
                          Expect.stringContains sentence "left out" $"{name}, {harm}"
                          File.WriteAllBytes(path, bytes)

                  Expect.equal (refusal folder) "" "the run as it was"
                  File.WriteAllText(folder.Machine, "{}")
                  Expect.stringContains (refusal folder) $"{folder.Machine} describes no machine" "another file"))

          testCase "a finished run can do without its replay memory, but not with a part of it" (fun () ->
              inCopy (fun folder ->
                  let path = Directory.GetFiles folder.Memory |> Array.head
                  File.Delete path
                  Expect.stringContains (refusal folder) $"{path} is missing" "a part"
                  Directory.Delete(folder.Memory, true)
                  Expect.equal (refusal folder) "" "all of it"))

          testCase "a cut, emptied or foreign summary is named and does not count as unfinished" (fun () ->
              for harm in [ cut; empty; (fun path -> File.WriteAllText(path, "[]")) ] do
                  inCopy (fun folder ->
                      harm folder.Summary
                      Expect.stringContains (refusal folder) folder.Summary "sentence"))

          testCase "a finished run that is not whole is not said to be finished" (fun () ->
              inCopy (fun folder ->
                  cut folder.Metrics
                  failureOf (fun () -> resumed folder) |> says [ folder.Metrics; "instead of"; "delete summary.json" ]
                  // what the sentence advises, after the file was put back
                  File.Copy(finished.Value.Metrics, folder.Metrics, true)
                  File.Delete folder.Summary
                  Expect.isTrue (resumed folder).IsSome "finished again"
                  same finished.Value folder))

          testCase "many files that do not fit are one sentence" (fun () ->
              inCopy (fun folder ->
                  Directory.GetFiles folder.Memory |> Array.iter File.Delete
                  Directory.Delete(folder.Checkpoints, true)
                  let sentence = refusal folder
                  Expect.stringContains sentence "is missing" "sentence"
                  Expect.stringContains sentence "more files do not fit" "sentence"
                  Expect.isLessThan sentence.Length 900 "length"))

          testCase "a user's files beside those of a finished run are no harm" (fun () ->
              inCopy (fun folder ->
                  File.WriteAllText(Path.Combine(folder.Path, "notes.txt"), "good")
                  File.WriteAllText(Path.Combine(folder.Checkpoints, "good.safetensors"), "good")
                  Expect.equal (refusal folder) "" "sentence"))

          testCase "metrics of a run of an older program have to reach to its last evaluation" (fun () ->
              inCopy (fun folder ->
                  withoutFiles folder
                  Expect.equal (refusal folder) "" "whole"
                  let lines = File.ReadAllLines folder.Metrics
                  File.WriteAllLines(folder.Metrics, lines[.. lines.Length - 2])
                  Expect.stringContains (refusal folder) folder.Metrics "without the last line"
                  cut folder.Metrics
                  Expect.stringContains (refusal folder) folder.Metrics "cut"))

          testCase "an unfinished run may end in a torn line, but hold none" (fun () ->
              for path in [ (fun (folder: RunFolder) -> folder.Metrics); _.Timings ] do
                  inCopy (fun folder ->
                      let path = path folder
                      File.Delete folder.Summary
                      let bytes = File.ReadAllBytes path
                      File.WriteAllBytes(path, bytes[.. bytes.Length - 4])
                      Expect.equal (refusal folder) "" "torn at its end"
                      let lines = File.ReadAllLines path
                      lines[1] <- lines[1].Substring(0, lines[1].Length / 2)
                      File.WriteAllLines(path, lines)
                      Expect.stringContains (refusal folder) $"{path}: line 2 is not JSON" "torn in the middle"
                      lines[1] <- "3"
                      File.WriteAllLines(path, lines)
                      Expect.stringContains (refusal folder) $"{path}: line 2 is not an object" "no object"))

          testCase "a report goes on without the runs that are not whole, and names them" (fun () ->
              inFolder (fun root ->
                  for seed in [ "s0"; "s1" ] do
                      copy finished.Value.Path (Path.Combine(root, "runs", seed))

                  let s0: RunFolder = { Path = Path.Combine(root, "runs", "s0") }
                  cut s0.Metrics

                  let page, warnings =
                      captureError (fun () ->
                          Report.write standard [ Path.Combine(root, "runs") ] (Path.Combine(root, "out")))

                  for text in [ warnings; File.ReadAllText page ] do
                      Expect.stringContains text s0.Metrics "the file"
                      Expect.stringContains text "instead of" "its length"

                  Expect.stringLacks (File.ReadAllText(Path.Combine(root, "out", "runs.md"))) "s0" "table of runs")) ]
