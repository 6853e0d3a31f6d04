module Sdac.Experiments.Tests.TensorBoardTests

open System
open System.IO
open System.Text
open Google.Protobuf
open Sdac.Experiments
open Sdac.Experiments.Tests.Support
open Xunit

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
          Assert.Equal(masked length, reader.ReadUInt32())
          let data = reader.ReadBytes(int (BitConverter.ToInt64 length))
          Assert.Equal(masked data, reader.ReadUInt32())
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
    Assert.DoesNotContain(1, List.map fst fields)

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
    writer.Write(8L, [], [ "rssm/weight", { Edges = [ 0.0; 1.0; 4.0 ]; Counts = [ 3L; 5L ] } ])
    writer.Flush true
    writer.Position

[<Fact>]
let ``the checksum is that of the standard`` () =
    // RFC 3720, B.4: the test of this reader itself
    Assert.Equal(0xE3069283u, crc32c "123456789"B)

[<Fact>]
let ``an event file holds its version, the texts, scalars and histograms`` () =
    inFolder (fun folder ->
        let path = Path.Combine(folder, "x.tfevents")
        write path 0L [ "specification", "```json\n{}\n```" ] |> ignore
        let all = records path
        Assert.Equal(4, all.Length)
        Assert.Equal("brain.Event:2", message all[0] |> one 3 |> text)

        let plugin value = value |> one 9 |> message |> one 1 |> message |> one 1 |> text
        let _, texts = event all[1]
        let specification = Assert.Single texts
        Assert.Equal("specification", specification |> one 1 |> text)
        Assert.Equal("text", plugin specification)
        let tensor = specification |> one 8 |> message
        Assert.Contains((1, Varint 7L), tensor)
        Assert.Empty(tensor |> one 2)
        Assert.Equal("```json\n{}\n```", tensor |> one 8 |> text)

        let step, scalars = event all[2]
        Assert.Equal(7L, step)
        Assert.Equal<string list>([ "update/loss"; "update/other" ], scalars |> List.map (one 1 >> text))
        Assert.Contains((2, Fixed32 0.25f), scalars[0])

        let step, histograms = event all[3]
        Assert.Equal(8L, step)
        let histogram = Assert.Single histograms
        Assert.Equal("rssm/weight", histogram |> one 1 |> text)
        Assert.Equal("histograms", plugin histogram)
        let tensor = histogram |> one 8 |> message
        Assert.Contains((1, Varint 2L), tensor)

        Assert.Equal<int64 list>(
            [ 2L; 3L ],
            [ for dim in tensor |> one 2 |> message |> inner 2 do
                  for _, size in message dim do
                      match size with
                      | Varint n -> yield n
                      | _ -> () ]
        )

        let content = tensor |> one 4
        let numbers = [ for i in 0..5 -> BitConverter.ToDouble(content, 8 * i) ]
        Assert.Equal<float list>([ 0.0; 1.0; 3.0; 1.0; 4.0; 5.0 ], numbers))

[<Fact>]
let ``a file continued at a position equals one that was never interrupted`` () =
    inFolder (fun folder ->
        let at name = Path.Combine(folder, name)
        let position = write (at "whole") 0L []
        write (at "whole") position [] |> ignore
        write (at "parts") 0L [] |> ignore
        // what a killed process wrote behind its last checkpoint
        File.AppendAllText(at "parts", "half a record")
        write (at "parts") position [] |> ignore
        Assert.Equal<byte[]>(File.ReadAllBytes(at "whole"), File.ReadAllBytes(at "parts")))

[<Fact>]
let ``TensorBoard's file of a run holds the numbers of metrics.jsonl`` () =
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

        Assert.NotEmpty expected
        Assert.Equal<Set<_>>(set expected, set found)
        Assert.Equal(expected.Length, found.Length)

        // 60 iterations, every third moves the policy: 20 x 16 x 4 weights, less those after the last line at 56
        let lines = Metrics.read folder.Metrics

        let counted name =
            lines
            |> List.filter (fun line -> Map.tryFind "name" line = Some(Label name))
            |> List.sumBy (fun line ->
                match line["counts"] with
                | Values counts -> List.sum counts
                | _ -> nan)

        Assert.Equal(19.0 * 64.0, counted "weight")
        Assert.Equal(19.0 * 16.0, counted "timestep"))
