/// The rules of file formats, one example each.
module Sdac.Experiments.Tests.FormatTests

open System
open System.IO
open System.Text
open Expecto
open Sdac.Environments
open Sdac.Experiments
open Sdac.Experiments.Tests.Support
open Sdac.Testing

let private framed (header: string) (data: byte[]) =
    let header = Encoding.UTF8.GetBytes header
    Array.concat [ BitConverter.GetBytes(int64 header.Length); header; data ]

let private entry (dtype: string) (shape: string) (first: int64) (last: int64) =
    $"{{\"dtype\":\"{dtype}\",\"shape\":{shape},\"data_offsets\":[{first},{last}]}}"

let private one = entry "F32" "[1]" 0L 4L
let private second = entry "F32" "[1]" 4L 8L
let private wrapped = entry "F64" "[2305843009213693952]" 0L 0L
let private wrappedTo4 = entry "F32" "[4611686018427387905]" 0L 4L
let private negative = entry "F32" "[-1,-1]" 0L 4L
let private third = entry "F32" "[1]" 8L 12L
let private two = entry "F32" "[2]" 0L 8L
let private overlapping = entry "F32" "[2]" 4L 12L
let private none = entry "F32" "[0,3]" 4L 4L

/// Headers with the bytes of data behind them, and a part of the sentence that refuses them.
let private malformed =
    [ "a name twice", $"{{\"a\":{one},\"a\":{second}}}", 8, "holds 'a' twice"
      "a name twice, once escaped", $"{{\"a\":{one},\"\\u0061\":{second}}}", 8, "holds 'a' twice"
      "a key twice",
      "{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
      4,
      "'dtype' twice"
      "metadata twice", $"{{\"__metadata__\":{{}},\"__metadata__\":{{}},\"a\":{one}}}", 4, "'__metadata__' twice"
      "a metadata key twice", $"{{\"__metadata__\":{{\"k\":\"1\",\"k\":\"2\"}},\"a\":{one}}}", 4, "'k' twice"
      "another key", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"x\":1}}", 4, "field 'x'"
      "metadata of null", $"{{\"__metadata__\":{{\"k\":null}},\"a\":{one}}}", 4, "'k' of its metadata"
      "a product of 2^64", $"{{\"a\":{wrapped}}}", 0, "does not fit its shape"
      "a product of 2^64 + 4", $"{{\"a\":{wrappedTo4}}}", 4, "does not fit its shape"
      "a size of -1 twice", $"{{\"a\":{negative}}}", 4, "the shape of tensor 'a'"
      "a fraction",
      "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0.0,4]}}",
      4,
      "data_offsets of tensor 'a'"
      "a blank before", $" {{\"a\":{one}}}", 4, "not a JSON object"
      "a line feed behind", $"{{\"a\":{one}}}\n", 4, "not a JSON object"
      "a zero byte behind", $"{{\"a\":{one}}}\000", 4, "not a JSON object"
      "half a character", $"{{\"a\\ud800\":{one}}}", 4, "not Unicode"
      "a hole", $"{{\"a\":{one},\"b\":{third}}}", 12, "tensor 'b' begins at byte 8 of the data instead of 4"
      "shared bytes", $"{{\"a\":{two},\"b\":{overlapping}}}", 12, "tensor 'b' begins at byte 4"
      "bytes behind", $"{{\"a\":{one}}}", 5, "truncated or damaged" ]

let private valid =
    [ "spaces behind", $"{{\"a\":{one}}}    ", 4, [ "a" ]
      "a tensor of no bytes between others", $"{{\"b\":{second},\"z\":{none},\"a\":{one}}}", 8, [ "a"; "b"; "z" ]
      "no tensors", "{}", 0, []
      "another program's sha256", $"{{\"__metadata__\": {{\"sha256\":\"abc\"}},\"a\":{one}}}", 4, [ "a" ] ]

let private inFile (bytes: byte[]) (test: string -> unit) =
    inFolder (fun folder ->
        let path = Path.Combine(folder, "file.safetensors")
        File.WriteAllBytes(path, bytes)
        test path)

[<Tests>]
let tests =
    testList
        "file formats"
        [ for what, header, length, sentence in malformed do
              testCase $"safetensors: {what} is refused" (fun () ->
                  inFile (framed header (Array.zeroCreate length)) (fun path ->
                      let failure = failureOf (fun () -> Safetensors.readForeign path)
                      Expect.isTrue failure.IsDamaged "damaged"
                      says [ path; sentence ] failure))

          for what, header, length, names in valid do
              testCase $"safetensors: {what} is read" (fun () ->
                  inFile (framed header (Array.zeroCreate length)) (fun path ->
                      let file = Safetensors.readForeign path
                      Expect.equal (List.ofSeq file.Tensors.Keys) names "tensors"))

          testCase "safetensors: a tensor over 2 GiB is refused before it is read" (fun () ->
              // 3 GiB and 2^32 + 8 bytes, of which the disk holds only the header
              for size in [ 3221225472L; 4294967304L ] do
                  let large = entry "U8" $"[{size}]" 0L size
                  let header = $"{{\"a\":{large}}}"

                  inFile (framed header [||]) (fun path ->
                      using (File.OpenWrite path) (fun stream -> stream.SetLength(stream.Length + size))
                      let failure = failureOf (fun () -> Safetensors.readForeign path)
                      Expect.isTrue failure.IsStorage "storage"
                      says [ path; $"tensor 'a' takes {size} bytes"; "2 GiB" ] failure
                      Expect.isEmpty (Safetensors.metadata path) "its metadata can be read"))

          testCase "safetensors: a tensor over 2 GiB is refused before anything is written" (fun () ->
              inFolder (fun folder ->
                  let path = Path.Combine(folder, "kept.safetensors")
                  Safetensors.write path Map.empty [ Safetensors.ofFloat32 "x" [ 1L ] [| 1f |] ]
                  let before = File.ReadAllBytes path

                  let large: TensorSource =
                      { Name = "large"
                        Dtype = F64
                        Shape = [ 1_000_000_000L ]
                        Write = fun _ -> failtest "it is written" }

                  let failure = failureOf (fun () -> Safetensors.write path Map.empty [ large ])
                  Expect.isTrue failure.IsStorage "storage"
                  says [ path; "'large' takes 8000000000 bytes" ] failure
                  Expect.equal (File.ReadAllBytes path) before "the file that was there"
                  Expect.equal (Directory.GetFiles folder) [| path |] "files in the folder"))

          testCase "safetensors: what the format cannot hold is not written" (fun () ->
              use stream = new MemoryStream()
              // a literal would be mended by the compiler
              let half = String('\ud800', 1)
              let source name shape = Safetensors.ofBytes name U8 shape (ReadOnlyMemory [| 1uy |])

              for metadata, sources, word in
                  [ Map.empty, [ source half [ 1L ] ], "Unicode"
                    Map [ "k", half ], [ source "a" [ 1L ] ], "Unicode"
                    Map.empty, [ source "a" [ -1L; -1L ] ], "impossible"
                    Map.empty, [ source "a" [ 4294967296L; 4294967296L; 2L ] ], "impossible" ] do
                  let error =
                      Expect.raises<RefusedArgumentException>(fun () -> Safetensors.writeTo stream metadata sources)

                  Expect.stringContains error.Message word "sentence"

              Expect.equal stream.Length 0L "bytes written")

          testCase "bytes that are no UTF-8 are refused in specifications and traces" (fun () ->
              inFolder (fun folder ->
                  let run: RunFolder = { Path = folder }
                  let text = Encoding.Latin1.GetBytes "{\"task\":\"Höpper-v4\"}"
                  File.WriteAllBytes(run.Spec, text)

                  for read in
                      [ fun () -> SpecFile.ofRun standard run |> ignore
                        fun () -> Trace.run run.Spec None ] do
                      let failure = failureOf read
                      Expect.isTrue failure.IsDamaged "damaged"
                      says [ run.Spec; "UTF-8" ] failure))

          testCase "half a surrogate pair is refused in specifications, sweeps and traces" (fun () ->
              for text in [ """{"\ud800":1}"""; """{"env":"\ud800"}"""; """{"name":["\udc00\ud800"]}""" ] do
                  for read in
                      [ fun () -> parseSpec "in.json" text |> ignore
                        fun () -> SweepSpec.parse standard "in.json" text |> ignore
                        fun () -> Trace.parse "in.json" text |> ignore ] do
                      failureOf read |> says [ "in.json holds a text that is not Unicode" ])

          testCase "names with line feeds stay within the one line of a sentence" (fun () ->
              failureOf (fun () -> Trace.parse "in.json" """{"env\n\u2028x":"Hopper-v4"}""")
              |> says [ "unknown field 'env  x' in in.json" ]) ]
