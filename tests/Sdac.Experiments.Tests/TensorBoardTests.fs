module Sdac.Experiments.Tests.TensorBoardTests

open System
open System.IO
open System.Text
open Expecto
open Google.Protobuf
open Sdac.Experiments
open Sdac.Experiments.Tests.Support
open Sdac.Testing

/// CRC-32C bit by bit (polynomial 0x1EDC6F41, reflected).
let private crc32c (bytes: byte[]) =
    let mutable crc = 0xFFFFFFFFu

    for value in bytes do
        crc <- crc ^^^ uint32 value

        for _ in 1..8 do
            crc <- if crc &&& 1u = 1u then (crc >>> 1) ^^^ 0x82F63B78u else crc >>> 1

    ~~~crc

let private masked (bytes: byte[]) =
    let crc = crc32c bytes
    ((crc >>> 15) ||| (crc <<< 17)) + 0xA282EAD8u

/// The records of a TFRecord file, their checksums verified.
let private records (path: string) =
    use reader = new BinaryReader(File.OpenRead path)

    [ while reader.BaseStream.Position < reader.BaseStream.Length do
          let length = reader.ReadBytes 8
          Expect.equal (reader.ReadUInt32()) (masked length) "checksum of the length"
          let data = reader.ReadBytes(int (BitConverter.ToInt64 length))
          Expect.equal (reader.ReadUInt32()) (masked data) "checksum of the data"
          data ]

/// A field of a message as it stands on the wire.
type private Wire =
    | Varint of int64
    | Fixed32 of float32
    | Fixed64 of float
    | Bytes of byte[]

let private message (data: byte[]) =
    use input = new CodedInputStream(data)

    [ while not input.IsAtEnd do
          let tag = input.ReadTag()

          WireFormat.GetTagFieldNumber tag,
          match WireFormat.GetTagWireType tag with
          | WireFormat.WireType.Varint -> Varint(input.ReadInt64())
          | WireFormat.WireType.Fixed32 -> Fixed32(input.ReadFloat())
          | WireFormat.WireType.Fixed64 -> Fixed64(input.ReadDouble())
          | _ -> Bytes(input.ReadBytes().ToByteArray()) ]

let private inner number fields =
    fields
    |> List.choose (fun (n, value) ->
        match value with
        | Bytes data when n = number -> Some data
        | _ -> None)

let private one number fields = List.exactlyOne (inner number fields)

let private text (data: byte[]) = Encoding.UTF8.GetString data

/// An event's step, and the values of its summary as messages.
let private event (data: byte[]) =
    let fields = message data
    // field 1 is wall_time: never written
    Expect.isFalse (List.exists (fst >> (=) 1) fields) "fields"

    let step =
        fields
        |> List.tryPick (fun (n, v) ->
            match v with
            | Varint s when n = 2 -> Some s
            | _ -> None)

    Option.defaultValue 0L step, inner 5 fields |> List.collect (message >> inner 1) |> List.map message

let private write path position texts =
    use writer = EventWriter.Continue(path, position, texts)
    writer.Write(7L, [ "update/loss", 0.25; "update/other", nan ], [])
    writer.Write(8L, [], [ "distribution/weight", { Edges = [ 0.0; 1.0; 4.0 ]; Counts = [ 3L; 5L ] } ])
    writer.Flush true
    writer.Position

[<Tests>]
let tests =
    testList
        "TensorBoard"
        [ testCase "the checksum is that of the standard" (fun () ->
              // RFC 3720, B.4: the test of this reader itself
              Expect.equal (crc32c "123456789"B) 0xE3069283u "crc32c")

          testCase "an event file holds its version, the texts, scalars and histograms" (fun () ->
              inFolder (fun folder ->
                  let path = Path.Combine(folder, "x.tfevents")
                  write path 0L [ "specification", "```json\n{}\n```" ] |> ignore
                  let all = records path
                  Expect.equal all.Length 4 "number of all"
                  Expect.equal (message all[0] |> one 3 |> text) "brain.Event:2" "message"

                  let plugin value = value |> one 9 |> message |> one 1 |> message |> one 1 |> text
                  let _, texts = event all[1]
                  let specification = (Expect.single texts "texts")
                  Expect.equal (specification |> one 1 |> text) "specification" "specification"
                  Expect.equal (plugin specification) "text" "plugin"
                  let tensor = specification |> one 8 |> message
                  Expect.contains tensor (1, Varint 7L) "tensor"
                  Expect.isEmpty (tensor |> one 2) "tensor"
                  Expect.equal (tensor |> one 8 |> text) "```json\n{}\n```" "tensor"

                  let step, scalars = event all[2]
                  Expect.equal step 7L "step"
                  Expect.equal (scalars |> List.map (one 1 >> text)) [ "update/loss"; "update/other" ] "scalars"
                  Expect.contains (scalars[0]) (2, Fixed32 0.25f) "scalars"

                  let step, histograms = event all[3]
                  Expect.equal step 8L "step"
                  let histogram = (Expect.single histograms "histograms")
                  Expect.equal (histogram |> one 1 |> text) "distribution/weight" "histogram"
                  Expect.equal (plugin histogram) "histograms" "plugin"
                  let tensor = histogram |> one 8 |> message
                  Expect.contains tensor (1, Varint 2L) "tensor"

                  Expect.equal
                      [ for dim in tensor |> one 2 |> message |> inner 2 do
                            for _, size in message dim do
                                match size with
                                | Varint n -> yield n
                                | _ -> () ]
                      [ 2L; 3L ]
                      "shape"

                  let content = tensor |> one 4
                  let numbers = [ for i in 0..5 -> BitConverter.ToDouble(content, 8 * i) ]
                  Expect.equal numbers [ 0.0; 1.0; 3.0; 1.0; 4.0; 5.0 ] "numbers"))

          testCase "a file continued at a position equals one that was never interrupted" (fun () ->
              inFolder (fun folder ->
                  let at name = Path.Combine(folder, name)
                  let position = write (at "whole") 0L []
                  write (at "whole") position [] |> ignore
                  write (at "parts") 0L [] |> ignore
                  // what a killed process wrote behind its last checkpoint
                  File.AppendAllText(at "parts", "half a record")
                  write (at "parts") position [] |> ignore
                  Expect.equal (File.ReadAllBytes(at "parts")) (File.ReadAllBytes(at "whole")) "content of at"))

          testCase "TensorBoard's file of a run holds the numbers of metrics.jsonl" (fun () ->
              inFolder (fun path ->
                  let folder = Runs.prepared (Path.Combine(path, "run")) (Runs.varied 60L)
                  Runs.resumed folder |> ignore

                  let expected =
                      [ for line in Metrics.read folder.Metrics do
                            match line["kind"] with
                            | Label "histogram" -> ()
                            | Label kind ->
                                for pair in line do
                                    match Metrics.number pair.Value with
                                    | Some x when pair.Key <> "iteration" && pair.Key <> "envSteps" ->
                                        $"{kind}/{pair.Key}", line["envSteps"], float32 x
                                    | _ -> ()
                            | _ -> () ]

                  let found =
                      [ for step, values in records folder.Events |> List.tail |> List.map event do
                            for value in values do
                                for number, wire in value do
                                    match number, wire with
                                    | 2, Fixed32 x -> value |> one 1 |> text, Count step, x
                                    | _ -> () ]

                  Expect.isNonEmpty expected "figures"
                  Expect.equal (set found) (set expected) "figures"
                  Expect.equal found.Length expected.Length "number of found"

                  // 60 iterations, every third moves the policy: 20 x 16 x 4 weights, less those after the last line at 56
                  let lines = Metrics.read folder.Metrics

                  let counted name =
                      lines
                      |> List.filter (fun line -> Map.tryFind "name" line = Some(Label name))
                      |> List.sumBy (fun line ->
                          match line["counts"] with
                          | Values counts -> List.sum counts
                          | _ -> nan)

                  Expect.equal (counted "weight") (19.0 * 64.0) "counted"
                  Expect.equal (counted "timestep") (19.0 * 16.0) "counted")) ]
