/// The event file of a run through a reader that shares nothing with its writer (tests/tensorboard).
module Sdac.Experiments.Tests.TensorBoardReaderTests

open System.IO
open Expecto
open Sdac.Functional
open Sdac.Experiments
open Sdac.Experiments.Tests.Support
open Sdac.Testing

/// Debian's Python, whose packages the reader needs.
let private python = "/usr/bin/python3"

let private obstacle () =
    match Commands.tryRun python [ "-c"; "import google.protobuf, crcmod.predefined" ] with
    | Some(Ok _) -> None
    | _ -> Some "the reader needs Debian's Python: apt-get install python3-protobuf python3-crcmod"

let private reader = Path.Combine(repository, "tests", "tensorboard", "read_events.py")

let private read (events: string) : Result<Map<string, Figure> list, string> =
    match Commands.tryRun python [ reader; events ] with
    | Some(Ok text) ->
        inFolder (fun folder ->
            let lines = Path.Combine(folder, "lines")
            File.WriteAllText(lines, text)
            Ok(Metrics.read lines))
    | Some(Error complaint) -> Error complaint
    | None -> failwith "there is no Python"

/// What metrics.jsonl says, in the reader's words. TensorBoard keeps numbers as float32.
let private expected (folder: RunFolder) =
    let value figure =
        match figure with
        | Count n -> Value(float (float32 n))
        | Value x -> Value(float (float32 x))
        | other -> other

    [ for line in Metrics.read folder.Metrics do
          let step = line["envSteps"]

          match line["kind"], line with
          | Label "histogram", line ->
              let name =
                  match line["name"] with
                  | Label name -> name
                  | _ -> ""

              "histograms", $"distribution/{name}", step, [ line["edges"]; line["counts"] ]
          | Label kind, line ->
              for KeyValue(name, figure) in line do
                  if (Metrics.number figure).IsSome && name <> "iteration" && name <> "envSteps" then
                      "scalars", $"{kind}/{name}", step, [ value figure ]
          | _ -> () ]

let private said (lines: Map<string, Figure> list) =
    let text (line: Map<string, Figure>) name =
        match line[name] with
        | Label text -> text
        | _ -> ""

    let number figure =
        match figure with
        | Count n -> Value(float n)
        | other -> other

    [ for line in lines do
          let content =
              match text line "plugin" with
              | "histograms" -> [ line["edges"]; line["counts"] ]
              | "scalars" -> [ number line["value"] ]
              | _ -> [ line["text"] ]

          text line "plugin", text line "tag", line["step"], content ]

[<Tests>]
let tests =
    testList
        "TensorBoard's reader"
        [ testCase
              "another reader finds the specification, every number and every distribution where TensorBoard looks for them"
              (fun () ->
                  obstacle () |> Option.iter (fun reason -> skiptest reason)

                  inFolder (fun path ->
                      for spec in [ Runs.varied 60L; asDpmd (Runs.varied 60L) ] do
                          let folder = Runs.prepared (Path.Combine(path, spec.Algorithm)) spec
                          Runs.resumed folder |> ignore

                          match read folder.Events with
                          | Error complaint -> failwith complaint
                          | Ok lines ->
                              let texts, others =
                                  said lines |> List.partition (fun (plugin, _, _, _) -> plugin = "text")

                              let _, tag, step, content = (Expect.single texts "texts")
                              Expect.equal (tag, step) ("specification", Count 0L) "tag and step"

                              // as spec.json, without the stages, which are known only behind the warm-up
                              let specification =
                                  Spec.print { SpecFile.ofRun Registry.standard folder with Stages = [] }

                              Expect.equal content [ Label("```json\n" + specification + "```\n") ] "content"

                              let wanted = expected folder
                              Expect.exists wanted (fun (plugin, _, _, _) -> plugin = "histograms") "wanted"
                              Expect.equal (List.sort others) (List.sort wanted) "scalars and histograms"))

          testCase
              "another reader notices a changed bit, a record cut off and a name that TensorBoard would pass over"
              (fun () ->
                  obstacle () |> Option.iter (fun reason -> skiptest reason)

                  inFolder (fun path ->
                      let file = Path.Combine(path, "a.tfevents")

                      using (EventWriter.Continue(file, 0L, [ "specification", "text" ])) (fun writer ->
                          writer.Write(1L, [ "x", 0.5 ], []))

                      Expect.isTrue ((read file).IsOk) "an undamaged file is read"
                      let other name = Path.Combine(path, name)
                      File.Copy(file, other "a.events")
                      File.Copy(file, other "changed.tfevents")
                      Runs.spoil (other "changed.tfevents")
                      let bytes = File.ReadAllBytes file
                      File.WriteAllBytes(other "short.tfevents", Array.sub bytes 0 (bytes.Length - 1))

                      for name, complaint in
                          [ "a.events", "names"; "changed.tfevents", "checksum"; "short.tfevents", "cut off" ] do
                          match read (other name) with
                          | Ok _ -> failtest $"{name} was read"
                          | Error said -> Expect.stringContains said complaint "complaint")) ]
