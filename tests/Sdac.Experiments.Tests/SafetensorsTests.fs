module Sdac.Experiments.Tests.SafetensorsTests

open System
open System.IO
open System.Text
open Expecto
open Sdac.Environments
open FsCheck
open FsCheck.FSharp
open Sdac.Experiments
open Sdac.Experiments.Tests.Support
open Sdac.Testing

let private tensor =
    gen {
        let! dtype = Gen.elements Dtype.All
        let! shape = Gen.choose (0, 5) |> Gen.map int64 |> Gen.listOf |> Gen.resize 3
        let length = int (List.fold (*) 1L shape * dtype.Size)
        let! data = Gen.choose (0, 255) |> Gen.map byte |> Gen.arrayOfLength length
        return dtype, shape, data
    }

let private name =
    Gen.elements [ 'a' .. 'z' ] |> Gen.listOf |> Gen.map (fun letters -> String(Array.ofList letters))

/// Metadata and tensors with names of their own, also awkward ones.
let private content =
    gen {
        let! metadata = Gen.zip name name |> Gen.listOf |> Gen.resize 4
        let! tensors = Gen.listOf tensor |> Gen.resize 6
        let! suffix = Gen.elements [ ""; ".weight"; " \"quoted\""; "/λ" ]
        return Map metadata, tensors |> List.mapi (fun i (dtype, shape, data) -> $"t{i}{suffix}", dtype, shape, data)
    }
    |> Arb.fromGen

let private sources tensors =
    [ for name, dtype, shape, data in tensors -> Safetensors.ofBytes name dtype shape (ReadOnlyMemory(data: byte[])) ]

let private bytesOf metadata tensors =
    use stream = new MemoryStream()
    Safetensors.writeTo stream metadata (sources tensors)
    stream.ToArray()

let private readBytes folder (bytes: byte[]) =
    let path = Path.Combine(folder, "file.safetensors")
    File.WriteAllBytes(path, bytes)
    Safetensors.read path

let private sample =
    bytesOf
        (Map [ "iteration", "12" ])
        [ "weights", F32, [ 2L; 3L ], Array.init 24 byte
          "count", I64, [], Array.init 8 byte
          "flags", U8, [ 3L ], [| 1uy; 2uy; 3uy |] ]

/// A file as another program writes it: no checksum, names in its own order.
let private foreign =
    let header = Encoding.UTF8.GetBytes "{\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}"
    Array.concat [ BitConverter.GetBytes(int64 header.Length); header; BitConverter.GetBytes 1.5f ]

[<Tests>]
let tests =
    testList
        "safetensors"
        [ testPropertyWithConfig
              seeded
              "what is written is read back, metadata included"
              (Prop.forAll content (fun (metadata, tensors) ->
                  inFolder (fun folder ->
                      let path = Path.Combine(folder, "file.safetensors")
                      Safetensors.write path metadata (sources tensors)
                      let file = Safetensors.read path

                      Map.remove "sha256" file.Metadata = Map.remove "sha256" metadata
                      && file.Tensors.Count = tensors.Length
                      && tensors
                         |> List.forall (fun (name, dtype, shape, data) ->
                             let read = file.Tensors[name]
                             (read.Dtype, read.Shape) = (dtype, shape) && read.Data = data))))

          testCase "every single changed byte is noticed" (fun () ->
              inFolder (fun folder ->
                  for position in 0 .. sample.Length - 1 do
                      let damagedBytes = Array.copy sample
                      damagedBytes[position] <- damagedBytes[position] ^^^ 1uy

                      match failureOf (fun () -> readBytes folder damagedBytes) with
                      | Damaged _ as failure -> says [ "file.safetensors"; "use an older file" ] failure
                      | other -> failwith $"byte {position}: {other}"))

          let damage =
              Gen.zip (Gen.choose (0, sample.Length - 1)) (Gen.choose (1, 255))
              |> Gen.nonEmptyListOf
              |> Arb.fromGen

          testPropertyWithConfig
              seeded
              "bytes changed at random places to random values are noticed"
              (Prop.forAll damage (fun changes ->
                  inFolder (fun folder ->
                      let damagedBytes = Array.copy sample

                      for position, change in List.distinctBy fst changes do
                          damagedBytes[position] <- damagedBytes[position] ^^^ byte change

                      match failureOf (fun () -> readBytes folder damagedBytes) with
                      | Damaged _ -> true
                      | _ -> false)))

          testCase "every truncation and every extension is noticed" (fun () ->
              inFolder (fun folder ->
                  for length in 0 .. sample.Length - 1 do
                      match failureOf (fun () -> readBytes folder sample[.. length - 1]) with
                      | Damaged _ -> ()
                      | other -> failwith $"length {length}: {other}"

                  failureOf (fun () -> readBytes folder (Array.append sample [| 0uy |]))
                  |> says [ "truncated or damaged" ]))

          testCase "the layout is the format's own: length, JSON header, data at multiples of 8" (fun () ->
              let length = int (BitConverter.ToInt64(sample, 0))
              Expect.equal (length % 8) 0 "length"
              let header = Encoding.UTF8.GetString(sample, 8, length)
              Expect.stringStarts header ("{\"__metadata__\":{\"sha256\":\"") "header"

              Expect.stringContains
                  header
                  ("\"count\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[0,8]}")
                  "header"

              Expect.stringContains
                  header
                  ("\"weights\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[8,32]}")
                  "header"

              Expect.stringContains
                  header
                  ("\"flags\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[32,35]}")
                  "header"

              Expect.equal sample.Length (8 + length + 35) "number of sample")

          testCase "a foreign file is read when asked for and refused as a checkpoint" (fun () ->
              inFolder (fun folder ->
                  let path = Path.Combine(folder, "python.safetensors")
                  File.WriteAllBytes(path, foreign)
                  let file = Safetensors.readForeign path
                  Expect.equal (BitConverter.ToSingle(file.Tensors["x"].Data, 0)) 1.5f "number"
                  failureOf (fun () -> Safetensors.read path) |> says [ path; "no checksum" ]))

          testCase "a file of another kind is refused" (fun () ->
              inFolder (fun folder ->
                  failureOf (fun () ->
                      readBytes folder (Encoding.UTF8.GetBytes "PK this is a zip file, or a text, or a picture"))
                  |> says [ "not a safetensors file" ]))

          testCase "a source that writes too little or a repeated name is refused" (fun () ->
              use stream = new MemoryStream()

              let short: TensorSource =
                  { Name = "x"
                    Dtype = F32
                    Shape = [ 2L ]
                    Write = fun stream -> stream.Write(ReadOnlySpan [| 1uy |]) }

              Expect.raises<RefusedOperationException>(fun () -> Safetensors.writeTo stream Map.empty [ short ])
              |> ignore

              let twice = [ Safetensors.ofFloat32 "x" [ 1L ] [| 1f |]; Safetensors.ofInt64 "x" [ 1L ] [| 1L |] ]

              Expect.raises<RefusedArgumentException>(fun () -> Safetensors.writeTo stream Map.empty twice)
              |> ignore) ]
